"""Samples as NetCDF-4 and MATLAB files, with the axes, coordinates and attributes of the data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.codec import ALONE, LAST, Codec
from wassergan.data.grids.contents import Attribute
from wassergan.data.grids.metadata import Coordinate, GridMetadata
from wassergan.errors import UserError
from wassergan.storage.arrays import save_matlab
from wassergan.storage.arrays import write_netcdf as new_netcdf
from wassergan.storage.files import filling

NETCDF_WRITTEN, MATLAB_WRITTEN = (".nc", ".nc4", ".h5", ".hdf5"), (".mat",)
WRITTEN = (*NETCDF_WRITTEN, *MATLAB_WRITTEN)
TOLD = ".nc, .h5 or .mat"
EXTRA = "install it: pip install 'wassergan[netcdf]'"
LARGEST_MATLAB = 2**31 - 1  # bytes of an array in its version 7
AXES = ("x", "y", "z")
NAME = "samples"
_RESERVED = ("CLASS", "NAME", "_FillValue", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid")


@dataclass(frozen=True)
class Form:
    """What is around the numbers in a file.

    Args:
        metadata: of the data.
        leading: names and lengths of the axes before those of a sample.
        dtype: of the numbers that are written.
        missing: the number by which missing values come; None where none are.
    """

    metadata: GridMetadata
    leading: Mapping[str, int]
    dtype: np.dtype[Any]
    missing: int | float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all samples."""
        return (*self.leading.values(), *self.metadata.sizes)


def require_writer(path: Path) -> None:
    """Refuse a file that nothing installed writes.

    Raises:
        UserError: names what is not installed.
    """
    if path.suffix.lower() not in NETCDF_WRITTEN:
        return
    for name in ("h5netcdf", "h5py"):
        if find_spec(name) is None:
            raise UserError(f"Writing {path.name} needs {name}, which is not installed", hint=EXTRA)


def form_of(codec: Codec, first: NDArray[Any], leading: tuple[int, ...]) -> Form:
    """What is to be written around samples.

    Args:
        codec: that decoded them.
        first: some of them, (k, ...) in the user's layout.
        leading: lengths of the axes before those of a sample: of all samples, or of conditions and draws of each.
    """
    shape = first.shape[1:]
    metadata = codec.grid
    if metadata is None or not metadata.fits(shape):
        metadata = _plain_metadata(codec, shape)
    dtype = first.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.int8)
    elif dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    names = _free(("sample",) if len(leading) == 1 else ("condition", "draw"), metadata)
    code = codec.parts.written[0] if codec.parts is not None and codec.parts.written else None
    missing = metadata.fill if metadata.fill is not None else code
    if missing is None and dtype.kind == "f":
        missing = float("nan")
    if metadata.fill is not None and dtype.kind == "f":
        missing = float(np.asarray(metadata.fill, dtype))
    return Form(metadata, dict(zip(names, leading, strict=True)), dtype, missing)


def _free(names: tuple[str, ...], metadata: GridMetadata) -> tuple[str, ...]:
    """The same names, longer where an axis of a sample is called so."""
    taken = {*metadata.dims, *metadata.coordinates, metadata.name}
    return tuple(f"{name}_" if name in taken else name for name in names)


def _plain_metadata(codec: Codec, shape: tuple[int, ...]) -> GridMetadata:
    """Axes of samples that no file named."""
    own = codec.grid
    grid = len(shape) - (codec.layout not in ALONE)
    dims = ("time",) if codec.layout == "NTC" else AXES[:grid][::-1]
    if codec.layout == "ND":
        dims, channel = (), "feature"
    else:
        channel = "channel"
    if codec.layout not in ALONE:
        dims = (*dims, channel) if codec.layout in LAST else (channel, *dims)
    coordinates = {}
    if codec.channels and channel in dims and len(codec.channels) == shape[dims.index(channel)]:
        coordinates[channel] = Coordinate((channel,), np.array(codec.channels, dtype=object))
    found = GridMetadata(NAME, dims, shape, {}, coordinates)
    return found if own is None else replace(found, name=own.name, attributes=own.attributes, fill=own.fill)


def write_netcdf(chunks: Iterator[NDArray[Any]], form: Form, temporary: Path) -> Iterator[int]:
    """Write samples, chunk by chunk, to the path from `replacing`; yields how many are written after each.

    Args:
        chunks: of samples in the user's units and layout.
        form: what is around them.
        temporary: the path.
    """
    metadata = form.metadata
    with filling(temporary, "wb+") as stream, new_netcdf(stream) as file:
        file.dimensions = {**form.leading, **dict(zip(metadata.dims, metadata.sizes, strict=True))}
        _put_attributes(file, metadata.file_attributes)
        for name, each in metadata.coordinates.items():
            _put_coordinate(file, name, each)
        fill = None if form.missing is None else np.asarray(form.missing).astype(form.dtype)[()]
        variable = file.create_variable(
            metadata.name,
            (*form.leading, *metadata.dims),
            dtype=form.dtype,
            fillvalue=fill,
            chunks=_chunks(form),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        _put_attributes(variable, metadata.attributes)
        yield from _put_samples(variable, chunks, form)


def _put_samples(variable: Any, chunks: Iterator[NDArray[Any]], form: Form) -> Iterator[int]:
    draws = prod(list(form.leading.values())[1:])
    sizes, done, rest = form.metadata.sizes, 0, np.empty((0, *form.metadata.sizes), form.dtype)
    for chunk in chunks:
        own = _filled(chunk, form).reshape(-1, *sizes)
        rest = np.concatenate([rest, own]) if len(rest) else own
        whole = len(rest) // draws
        if whole:
            rows = rest[: whole * draws]
            variable[done : done + whole] = rows.reshape(whole, *list(form.leading.values())[1:], *sizes)
            done, rest = done + whole, rest[whole * draws :]
        yield done * draws


def _filled(chunk: NDArray[Any], form: Form) -> NDArray[Any]:
    """Samples in the type that is written, with the file's number for missing values."""
    own = chunk.astype(form.dtype)
    if own.dtype.kind == "f" and form.missing is not None and form.missing == form.missing:
        own[np.isnan(own)] = form.missing
    return own


def _chunks(form: Form) -> tuple[int, ...]:
    """One sample, or as many as fill a mebibyte; the axes of a large one are halved."""
    shape = list(form.shape)
    shape[0] = max(1, min(shape[0], 2**20 // max(1, prod(shape[1:]) * form.dtype.itemsize)))
    while prod(shape) * form.dtype.itemsize > 2**24:
        at = int(np.argmax(shape))
        shape[at] = -(-shape[at] // 2)
    return tuple(shape)


def _put_coordinate(file: Any, name: str, each: Coordinate) -> None:
    values = each.values
    if values.dtype.kind == "O":
        import h5py

        variable = file.create_variable(name, each.dims, dtype=h5py.string_dtype())
        variable[...] = values
    else:
        fill = each.attributes.get("_FillValue")
        own = values.astype(np.int8) if values.dtype.kind == "b" else values
        variable = file.create_variable(
            name, each.dims, dtype=own.dtype, fillvalue=None if fill is None else np.asarray(fill).astype(own.dtype)[()]
        )
        variable[...] = own
    _put_attributes(variable, each.attributes)


def _put_attributes(thing: Any, attributes: Mapping[str, Attribute]) -> None:
    for name, value in attributes.items():
        if name not in _RESERVED:
            thing.attrs[name] = value if isinstance(value, str | list) else np.asarray(value)


def write_matlab(samples: NDArray[Any], form: Form, file: IO[bytes]) -> None:
    """Write samples to a stream as MATLAB's version 7.

    Raises:
        UserError: they are more than such a file holds.
    """
    own = samples.astype(form.dtype).reshape(form.shape)
    if own.nbytes > LARGEST_MATLAB:
        raise UserError(
            "A MATLAB file of version 7 holds no more than 2 GiB", found=f"{own.nbytes:,} bytes", hint="name a .h5 file"
        )
    save_matlab(file, {_identifier(form.metadata.name): own})


def _identifier(name: str) -> str:
    """A name that MATLAB takes."""
    kept = "".join(each if each.isascii() and (each.isalnum() or each == "_") else "_" for each in name)[:60]
    return kept if kept[:1].isalpha() else f"x{kept}"
