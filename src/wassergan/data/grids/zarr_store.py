"""Folders of Zarr, versions 2 and 3: metadata are JSON, chunks are files that are read and unpacked when needed.

Nothing outside the folder is read: links are refused wherever they lead.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.chunked import ChunkedArray
from wassergan.data.grids.contents import MOST_VARIABLES, Attribute, Contents, Variable, plain_attribute
from wassergan.data.grids.unpacking import UNPACKERS, DamagedChunkError, unshuffle, without_crc32c
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import Marks, reading_marked
from wassergan.data.readers.paths import MarkedFiles, PathIndex
from wassergan.errors import UserError
from wassergan.storage.files import read_text

SUFFIX = ".zarr"
METADATA = (".zarray", ".zgroup", "zarr.json")
MOST_FILES = 10**7  # chunks of an array
NAMES = re.compile(r"\d{1,18}")
DTYPES_3 = {
    **{f"{kind}{bits}": f"{kind[0]}{bits // 8}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"f{bits // 8}" for bits in (16, 32, 64)},
    "bool": "b1",
}
Step = Callable[[bytes, int], bytes]


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store, or a group or an array of one."""
    return path.is_dir() and any((path / name).is_file() for name in METADATA)


def read_zarr(path: Path) -> Contents:
    """What a store holds.

    Raises:
        UserError: damaged metadata, links, or ways of packing that are not read.
    """
    variables: dict[str, Variable] = {}
    passed: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        folder = path / prefix
        metadata = _Metadata.of(folder)
        if metadata is None:
            continue
        if len(variables) + len(pending) > MOST_VARIABLES:
            raise UserError(f"{path} holds too many arrays", found=f"more than {MOST_VARIABLES}")
        if metadata.is_array:
            name = prefix or path.stem
            try:
                variables[name] = _variable(folder, path, name, metadata)
            except _NotReadError as error:
                passed.append(f"Passed over in {path.name}: {name}, {error}.")
            continue
        pending += [f"{prefix}/{each}" if prefix else each for each in reversed(_folders(folder))]
    root = _Metadata.of(path)
    return Contents(path, "Zarr", variables, {} if root is None or root.is_array else root.attributes, tuple(passed))


class _NotReadError(Exception):
    """An array that is not read, and why."""


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as found:
        return sorted(each.name for each in found if each.is_dir(follow_symlinks=False))[:MOST_VARIABLES]


@dataclass(frozen=True)
class _Metadata:
    """What the JSON of a group or an array says."""

    is_array: bool
    version: int
    own: Mapping[str, Any]
    attributes: dict[str, Attribute]
    dims: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> "_Metadata | None":
        """Of a folder; None where it is neither."""
        if (folder / "zarr.json").is_file():
            own = _json(folder / "zarr.json")
            said = own.get("attributes") or {}
            dims = own.get("dimension_names") or said.get("_ARRAY_DIMENSIONS")
            return cls(own.get("node_type") == "array", 3, own, _attributes(said), _dims(dims))
        for name in METADATA[:2]:
            if (folder / name).is_file():
                own = _json(folder / name)
                said = _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
                return cls(name == ".zarray", 2, own, _attributes(said), _dims(said.get("_ARRAY_DIMENSIONS")))
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path, follow=False))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged", found=str(error)[:200], hint="give an undamaged copy") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged", found="no JSON object", hint="give an undamaged copy")
    return found


def _dims(said: Any) -> tuple[str, ...]:
    names = tuple(said) if isinstance(said, list) else ()
    return names if all(isinstance(each, str) and each for each in names) and len(set(names)) == len(names) else ()


def _attributes(said: Any) -> dict[str, Attribute]:
    if not isinstance(said, dict):
        return {}
    found: dict[str, Attribute] = {}
    for name, value in list(said.items())[:MOST_VARIABLES]:
        if name == "_ARRAY_DIMENSIONS" or not isinstance(value, str | int | float | list):
            continue
        try:
            plain = plain_attribute(value)
        except (ValueError, OverflowError):
            continue
        if plain is not None:
            found[name] = plain
    return found


def _variable(folder: Path, root: Path, name: str, metadata: _Metadata) -> Variable:
    try:
        plan = _plan_of_2(metadata) if metadata.version == 2 else _plan_of_3(metadata)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{folder} is damaged", found=str(error)[:200], hint="give an undamaged copy") from error
    dims = metadata.dims if len(metadata.dims) == len(plan.shape) else ()
    attributes = dict(metadata.attributes)
    fill = _said_fill(metadata, plan)
    if fill is not None:
        attributes["_FillValue"] = fill
    else:
        attributes.pop("_FillValue", None)
    return Variable(
        name, plan.shape, plan.dtype, dims, attributes, lambda: _ZarrChunks.of(folder, f"{root.name}:{name}", plan)
    )


def _said_fill(metadata: _Metadata, plan: "_Plan") -> NDArray[Any] | None:
    """What xarray takes for missing: the attribute, which version 3 has in base 64; in version 2 the fill value."""
    said = metadata.attributes.get("_FillValue")
    if isinstance(said, str):
        try:
            content = base64.b64decode(said, validate=True)
            kind = plan.dtype.newbyteorder("<") if len(content) == plan.dtype.itemsize else np.dtype("<f8")
            return np.frombuffer(content, kind).astype(plan.dtype)[:1].reshape(())
        except ValueError:
            return np.asarray(np.nan) if said == "NaN" else None
    if said is not None and isinstance(said, np.ndarray):
        return said
    is_told = metadata.version == 2 and metadata.dims and metadata.own.get("fill_value") is not None
    return np.asarray(plan.fill, plan.dtype) if is_told else None


@dataclass(frozen=True)
class _Plan:
    """How an array lies in its folder.

    Args:
        shape: of it.
        chunks: shape of a chunk.
        dtype: of its numbers.
        fill: number where no chunk is stored.
        steps: what undoes the packing of a chunk, given how many bytes come out.
        separator: between the numbers in a chunk's name; a slash makes folders of them.
        prefix: what stands before the numbers.
        order: axes of a chunk as they lie in memory; None for their own order.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    steps: tuple[Step, ...]
    separator: str
    prefix: str
    order: tuple[int, ...] | None = None


def _sizes(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(isinstance(each, int) and 0 <= each < 2**62 for each in said):
        raise ValueError(f"sizes {said}"[:100])
    return tuple(said)


def _plan_of_2(metadata: _Metadata) -> _Plan:
    own = metadata.own
    if not isinstance(own["dtype"], str):
        raise _NotReadError("a record")
    dtype = np.dtype(own["dtype"])
    if dtype.kind not in "fiub":
        raise _NotReadError(f"which holds {dtype}")
    steps: list[Step] = []
    if own.get("compressor") is not None:
        steps.append(_unpacker(own["compressor"]["id"]))
    for each in reversed(own.get("filters") or []):
        if each.get("id") != "shuffle":
            raise _NotReadError(f"packed by the filter {each.get('id')}"[:80])
        steps.append(partial(_unshuffled, width=int(each.get("elementsize", 4))))
    shape, chunks = _sizes(own["shape"]), _sizes(own["chunks"])
    order = tuple(range(len(shape)))[::-1] if own.get("order") == "F" else None
    return _Plan(shape, chunks, dtype, _fill(own.get("fill_value"), dtype), tuple(steps), _mark(own), "", order)


def _mark(said: Mapping[str, Any], usual: str = ".") -> str:
    mark = said.get("dimension_separator", said.get("separator", usual))
    if mark not in (".", "/"):
        raise ValueError(f"a separator {mark!r}"[:80])
    return str(mark)


def _unshuffled(content: bytes, size: int, *, width: int) -> bytes:
    return unshuffle(content, max(1, width))


def _checked(content: bytes, size: int) -> bytes:
    return without_crc32c(content)


def _unpacker(name: Any) -> Step:
    if name not in UNPACKERS:
        raise _NotReadError(f"packed by {name}"[:80])
    return UNPACKERS[name]


def _plan_of_3(metadata: _Metadata) -> _Plan:
    own = metadata.own
    if own["data_type"] not in DTYPES_3:
        raise _NotReadError(f"which holds {own['data_type']}"[:80])
    dtype = np.dtype(DTYPES_3[own["data_type"]])
    if own["chunk_grid"]["name"] != "regular" or own.get("storage_transformers"):
        raise _NotReadError("whose chunks are not regular")
    chunks = _sizes(own["chunk_grid"]["configuration"]["chunk_shape"])
    encoding = own["chunk_key_encoding"]
    is_usual = encoding["name"] == "default"
    mark = _mark(encoding.get("configuration") or {}, "/" if is_usual else ".")
    steps: list[Step] = []
    order: tuple[int, ...] | None = None
    for each in reversed(own["codecs"]):
        name, said = each["name"], each.get("configuration") or {}
        if name == "bytes":
            dtype = dtype.newbyteorder(">" if said.get("endian") == "big" else "<")
        elif name == "transpose":
            order = _sizes(said["order"])
            if sorted(order) != list(range(len(chunks))) or order is None:
                raise ValueError("an order that is none")
        elif name == "crc32c":
            steps.append(_checked)
        elif name == "sharding_indexed":
            raise _NotReadError("whose chunks lie in shards; write it again without them")
        else:
            steps.append(_unpacker(name))
    fill = _fill(own.get("fill_value"), dtype)
    return _Plan(_sizes(own["shape"]), chunks, dtype, fill, tuple(steps), mark, "c" if is_usual else "", order)


def _fill(said: Any, dtype: np.dtype[Any]) -> Any:
    if said is None:
        return np.zeros((), dtype)[()]
    if isinstance(said, str) and said.startswith("0x"):
        return np.frombuffer(bytes.fromhex(said[2:]), dtype.newbyteorder(">"))[0]
    if isinstance(said, str):
        said = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}[said]
    return np.asarray(said).astype(dtype)[()] if isinstance(said, int | float) else np.zeros((), dtype)[()]


class _ZarrChunks(ChunkedArray):
    """Chunks that are files of a folder."""

    @classmethod
    def of(cls, folder: Path, name: str, plan: _Plan) -> "_ZarrChunks":
        array = cls(folder, name, plan.shape, plan.dtype, chunks=plan.chunks, fill=plan.fill)
        array.plan = plan
        found: list[tuple[int, str]] = []
        is_folder = plan.prefix and plan.separator == "/"
        for key in _keys(folder / plan.prefix if is_folder else folder, plan, len(plan.shape)):
            places = [int(each) for each in key.split(plan.separator)]
            if all(place < size for place, size in zip(places, array.grid, strict=True)):
                number = int(np.ravel_multi_index(places, array.grid))
                found.append((number, f"{plan.prefix}{plan.separator}{key}" if plan.prefix else key))
        found.sort()
        raw = [os.fsencode(key) for _, key in found]
        index = PathIndex(folder, b"".join(raw), np.cumsum([len(each) for each in raw], dtype=np.int64))
        array.files = MarkedFiles(index)
        stored = sum(array.files[at].size for at in range(len(found)))
        array.found(np.array([number for number, _ in found], np.int64), stored)
        return array

    plan: _Plan
    files: MarkedFiles

    @property
    def marks(self) -> Marks:
        """Of the chunks' files."""
        return self.files

    def _chunk(self, reading: Any, at: int) -> NDArray[Any]:
        mark = self.files[at]
        require_room(mark.size, f"A chunk of {self.name}")
        with reading_marked(mark) as file:
            content = file.read(mark.size + 1)
        for step in self.plan.steps:
            content = step(content, self.chunk_bytes)
        if len(content) != self.chunk_bytes:
            raise DamagedChunkError(f"a chunk of {len(content)} bytes where {self.chunk_bytes} belong")
        order = self.plan.order
        values = np.frombuffer(content, self.dtype)
        if order is None:
            return values.reshape(self.chunks)
        return values.reshape([self.chunks[axis] for axis in order]).transpose(np.argsort(order))


def _keys(folder: Path, plan: _Plan, axes: int) -> Iterator[str]:
    """Names of the chunks that are stored: files alone, of this folder and no other.

    Raises:
        UserError: a link among them, or too many.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    start = f"{plan.prefix}." if plan.prefix and plan.separator == "." else ""  # names such as c.0.1
    depth = axes if plan.separator == "/" else 1
    pending, count = [(folder, "", 0)], 0
    while pending:
        above, prefix, level = pending.pop()
        with os.scandir(above) as found:
            for each in found:
                name = each.name.removeprefix(start)
                parts = name.split(".") if depth == 1 else [name]
                fits = len(parts) == (axes if depth == 1 else 1)
                if not fits or not all(NAMES.fullmatch(part) for part in parts):
                    continue
                if each.is_symlink():
                    raise UserError(f"{each.path} is a link", found="a chunk that may lie elsewhere", hint="copy it")
                count += 1
                if count > MOST_FILES:
                    raise UserError(f"{folder} holds too many chunks", found=f"more than {MOST_FILES:,}")
                if level + 1 == depth and each.is_file():
                    yield prefix + name
                elif level + 1 < depth and each.is_dir():
                    pending.append((Path(each.path), f"{prefix}{name}/", level + 1))
