"""Which array of a file is meant, along which of its axes the samples lie, and what is to be kept of the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.cf import BOUNDS, MEMBERS, PACKING, REFERRING, SAMPLES, UnpackedRows, is_time, packing_of
from wassergan.data.grids.contents import Contents, Variable, text_of
from wassergan.data.grids.metadata import LARGEST_COORDINATE, Coordinate, GridMetadata
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError, parameter, unknown_name

CHANNELS = ("channel", "channels", "band", "bands", "colour", "color", "rgb", "c")
MOST_NAMED = 2**12
LISTED = 20
LARGEST_KEPT = 2**19  # numbers of all coordinates together
Log = Callable[[str], None]


@dataclass(frozen=True)
class Gridded:
    """An array of a file, its first axis that of the samples.

    Args:
        name: what to call it.
        array: of numbers, unpacked; rows are read when they are needed, where the file allows it.
        codes: numbers besides NaN that stand for missing values.
        layout: its axes as their names tell them; `auto` where they have none.
        names: of the channels or features, where a coordinate gives them.
        metadata: what is written back with samples.
    """

    name: str
    array: NDArray[Any] | FileArray
    codes: tuple[int | float, ...]
    layout: str
    names: tuple[str, ...]
    metadata: GridMetadata | None


def chosen(contents: Contents, key: str | None) -> Variable:
    """The array that is asked for; the only one, or the only one of most axes, unless one is.

    Raises:
        UserError: there is no such array, none, or several.
    """
    numeric = {name: each for name, each in contents.variables.items() if each.is_numeric}
    if key is not None:
        wanted = key.strip("/")
        if wanted in numeric:
            return numeric[wanted]
        ends = [name for name in numeric if name.rpartition("/")[2] == wanted]
        if len(ends) == 1:
            return numeric[ends[0]]
        if wanted in contents.variables:
            raise UserError(f"{wanted} of {contents.path} is no array of numbers", hint=_listed(numeric.values()))
        raise unknown_name(f"array in {contents.path.name}", wanted, list(numeric))
    candidates = _data_variables(contents, numeric)
    if not candidates:
        passed = " ".join(contents.passed[:LISTED])
        raise UserError(
            f"{contents.path} holds no arrays of numbers", found=passed or f"a {contents.kind} file without any"
        )
    most = max(len(each.shape) for each in candidates)
    largest = [each for each in candidates if len(each.shape) == most]
    if len(largest) > 1:
        first = largest[0].name
        raise UserError(
            f"{contents.path} holds several arrays",
            found=", ".join(map(str, largest[:LISTED])) + (", ..." if len(largest) > LISTED else ""),
            hint=f"say which: {parameter('key', first)}, or {contents.path.name}::{first}",
        )
    return largest[0]


def _listed(variables: Any) -> str:
    return f"there are {', '.join(map(str, list(variables)[:LISTED]))}"


def _data_variables(contents: Contents, numeric: dict[str, Variable]) -> list[Variable]:
    """Arrays that are no coordinates, bounds of cells and the like."""
    referred: set[str] = set()
    for each in contents.variables.values():
        for name in REFERRING:
            referred.update(text_of(each.attributes, name).split())
    dims = {dim for each in numeric.values() for dim in each.dims}
    found = []
    for name, each in numeric.items():
        last = name.rpartition("/")[2]
        is_axis = len(each.shape) == 1 and last in dims and each.dims == (last,)
        if not is_axis and last not in referred:
            found.append(each)
    return found


def gridded(
    contents: Contents,
    *,
    key: str | None = None,
    sample_dim: str | None = None,
    whole: bool = False,
    log: Log = lambda sentence: None,
) -> Gridded:
    """The array that is asked for, with its samples along the first axis.

    Args:
        contents: of the file.
        key: its name; see `chosen`.
        sample_dim: name of the axis along which samples lie, or several with commas between, or the number of an axis
            that has no name; found by the CF conventions unless given.
        whole: there are no samples: the array is one volume.
        log: receives, in a sentence each, what was decided.

    Raises:
        UserError: no such array or axis, no axis that is clear, or more than memory has room for.
    """
    for sentence in contents.passed:
        log(sentence)
    variable = chosen(contents, key)
    axes = [] if whole else _sample_axes(contents, variable, sample_dim)
    name = f"{contents.path.name}:{variable.name}"
    along = ", ".join(variable.dims[axis] if variable.dims else str(axis) for axis in axes)
    others = [each for each in _data_variables(contents, _numeric(contents)) if each.name != variable.name]
    told = f" Samples lie along {along}." if axes and variable.dims else ""
    log(f"Using {variable} of {contents.path.name}.{told}")
    if others and key is None:
        log(f"Passed over in {contents.path.name}: {', '.join(map(str, others[:LISTED]))}.")
    rest = [axis for axis in range(len(variable.shape)) if axis not in axes]
    kept = [axis for axis in rest if variable.shape[axis] != 1] if variable.dims else rest
    shape = tuple(variable.shape[axis] for axis in kept)
    array, codes = _array(variable, axes, rest, shape, name)
    metadata = None if whole else _metadata(contents, variable, rest)
    names = tuple(variable.dims[axis] for axis in kept) if variable.dims else ()
    layout = "auto" if whole or not variable.dims else _layout(names)
    return Gridded(name, array, codes, layout, _names(metadata, layout, names), metadata)


def _numeric(contents: Contents) -> dict[str, Variable]:
    return {name: each for name, each in contents.variables.items() if each.is_numeric}


def _sample_axes(contents: Contents, variable: Variable, asked: str | None) -> list[int]:
    """Numbers of the axes along which samples lie."""
    dims, count = variable.dims, len(variable.shape)
    if asked is not None:
        found = []
        for name in asked.split(","):
            if name in dims:
                found.append(dims.index(name))
            elif name.isdecimal() and int(name) < count:
                found.append(int(name))
            else:
                known = dims or tuple(map(str, range(count)))
                raise unknown_name(f"axis of {variable.name}", name, known)
        return list(dict.fromkeys(found))
    if not dims:
        return [0]
    coordinates = {dim: _coordinate(contents, variable, dim) for dim in dims}
    tests: Sequence[Callable[[str], bool]] = (
        lambda dim: dim.lower() in SAMPLES,
        lambda dim: is_time(dim, coordinates[dim]),
        lambda dim: dim in variable.unlimited,
        lambda dim: dim.lower() in MEMBERS,
    )
    for test in tests:
        fitting = [axis for axis, dim in enumerate(dims) if test(dim) and variable.shape[axis] > 1]
        if fitting:
            return fitting[:1]
    raise UserError(
        f"It is not clear along which axis the samples of {variable.name} lie",
        found=str(variable),
        hint=f"say {parameter('sample_dim', dims[0])}, or another of its axes",
    )


def _coordinate(contents: Contents, variable: Variable, dim: str) -> Variable | None:
    """The variable that has the name of an axis, in the group of a variable or above."""
    group = variable.name.rpartition("/")[0]
    while True:
        found = contents.variables.get(f"{group}/{dim}" if group else dim)
        if found is not None and (found.dims in ((dim,), ()) or not found.shape):
            return found
        if not group:
            return None
        group = group.rpartition("/")[0]


def _array(
    variable: Variable, axes: list[int], rest: list[int], shape: tuple[int, ...], name: str
) -> tuple[NDArray[Any] | FileArray, tuple[int | float, ...]]:
    """The numbers, samples first, and what stands for missing ones."""
    packing = packing_of(variable, shape)
    codes = () if packing.is_packed else packing.codes
    stored = variable.read()
    if axes == [0] and isinstance(stored, FileArray):
        plain = packing.is_plain and stored.shape[1:] == shape and stored.dtype == packing.dtype
        return (stored if plain else UnpackedRows(stored, packing)), codes
    require_room(stored.nbytes + stored.size * packing.dtype.itemsize, name)
    values = np.asarray(stored)
    order = [*axes, *rest]
    count = prod(variable.shape[axis] for axis in axes)
    rows = np.ascontiguousarray(values.transpose(order)).reshape(
        (count, *(variable.shape[axis] for axis in rest)) if axes else (1, *values.shape)
    )
    found = packing.rows(rows)
    return (found if axes else found[0]), codes


def _layout(names: tuple[str, ...]) -> str:
    """The layout of samples whose axes are called so, behind that of the samples."""
    if len(names) <= 2:
        return ("N", "ND", "NHW")[len(names)]
    if len(names) == 3:
        return "NHWC" if names[-1].lower() in CHANNELS else "NCHW"
    return "auto"


def _names(metadata: GridMetadata | None, layout: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the channels or features, by the positions along their axis."""
    if metadata is None or layout not in ("ND", "NCHW", "NHWC"):
        return ()
    dim = dims[-1] if layout == "NHWC" else dims[0]
    coordinate = metadata.coordinates.get(dim)
    if coordinate is None or coordinate.dims != (dim,) or len(coordinate.values) > MOST_NAMED:
        return ()
    values = coordinate.values
    is_text = values.dtype.kind == "O"
    names = tuple(str(each) if is_text else f"{dim} {each:.10g}" for each in values.tolist())
    return names if len(set(names)) == len(names) and all(names) else ()


def _metadata(contents: Contents, variable: Variable, rest: list[int]) -> GridMetadata:
    """What is written back: axes of a sample, their coordinates, attributes."""
    dims = tuple(variable.dims[axis] for axis in rest) if variable.dims else ()
    dims = dims or tuple(f"axis_{axis}" for axis in rest)
    sizes = tuple(variable.shape[axis] for axis in rest)
    own = variable.attributes
    dropped = {*PACKING, "actual_range", "DIMENSION_LABELS"}
    if own.keys() & {"scale_factor", "add_offset"}:
        dropped |= set(BOUNDS)  # of stored numbers
    packing = packing_of(variable, ())
    fill = None if own.keys() & {"scale_factor", "add_offset"} else (packing.codes or (None,))[0]
    attributes = {name: value for name, value in own.items() if name not in dropped}
    found = GridMetadata(variable.name.rpartition("/")[2], dims, sizes, attributes, {}, dict(contents.attributes), fill)
    return replace(found, coordinates=_coordinates(contents, variable, found)) if variable.dims else found


def _coordinates(contents: Contents, variable: Variable, found: GridMetadata) -> dict[str, Coordinate]:
    """Coordinates of a sample: those of its axes, and others that are named, all of whose axes it has."""
    named = {dim: _coordinate(contents, variable, dim) for dim in found.dims}
    group = variable.name.rpartition("/")[0]
    for each in f"{text_of(variable.attributes, 'coordinates')} {text_of(contents.attributes, 'coordinates')}".split():
        path = f"{group}/{each}" if group and f"{group}/{each}" in contents.variables else each
        named.setdefault(each, contents.variables.get(path))
    mapping = text_of(variable.attributes, "grid_mapping")
    named[mapping] = contents.variables.get(mapping)
    kept: dict[str, Coordinate] = {}
    left = LARGEST_KEPT
    for name, other in named.items():
        if other is None or not name or not set(other.dims) <= set(found.dims):
            continue
        size = prod(other.shape)
        dims = other.dims if other.shape else ()
        known = dict(zip(found.dims, found.sizes, strict=True))
        if size > min(left, LARGEST_COORDINATE) or tuple(known[dim] for dim in dims) != other.shape:
            continue
        values = _values(other)
        if values is not None:
            left -= size
            kept[name] = Coordinate(dims, values, {k: v for k, v in other.attributes.items() if k not in UNKEPT})
    return kept


UNKEPT = ("CLASS", "NAME", "DIMENSION_LABELS")


def _values(variable: Variable) -> NDArray[Any] | None:
    """Numbers or texts of a coordinate; None where it has others."""
    try:
        values = np.asarray(variable.read())
    except (UserError, ValueError):
        return None
    if values.dtype.kind in "fiub":
        return np.array(values.astype(values.dtype.newbyteorder("=")))
    return values if values.dtype.kind == "O" else None


def named_in(text: str) -> tuple[Path, str | None]:
    """The path, and what follows `::` if there is no file of the whole name.

    >>> named_in("era5.nc::t2m")[1]
    't2m'
    """
    path, mark, name = text.rpartition("::")
    if not mark or Path(text).exists():
        return Path(text), None
    return Path(path), name.strip("/") or None
