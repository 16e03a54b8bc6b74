"""HDF5 files: NetCDF-4, MATLAB 7.3 and plain ones.

The library that defines the format reads names, attributes and where the numbers lie, through a stream that gives it so
many bytes and no more; the numbers are read and unpacked here. Links to other files are never followed.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.chunked import ChunkedArray
from wassergan.data.grids.contents import MOST_NUMBERS, MOST_VARIABLES, Contents, Variable, plain_attribute
from wassergan.data.grids.unpacking import UNPACKERS, DamagedChunkError, unshuffle, without_fletcher32
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.errors import UserError, WasserganError
from wassergan.storage.arrays import read_hdf5 as open_hdf5

EXTRA = "install it: pip install 'wassergan[hdf5]'"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
BLOCKS = (0, 512, 1024, 2048)  # where a file may begin, behind what is not HDF5's
LARGEST_READ, LEAST_READ = 2**24, 2**26  # of names and attributes: at once, and in all
FILTERS = {4: "szip", 5: "nbit", 6: "scale-offset", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32026: "Blosc2"}
NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
LARGEST_TEXTS = 2**20


class Code(IntEnum):
    """Of the filters that are undone here."""

    DEFLATE, SHUFFLE, FLETCHER32, ZSTD = 1, 2, 3, 32015


class Filter(NamedTuple):
    """One step of a pipeline, and its first parameter."""

    code: int
    value: int


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with reading_marked(FileMark.of(path)) as file:
        starts = [(file.seek(at), file.read(len(SIGNATURE)))[1] for at in BLOCKS]
    return SIGNATURE in starts


class _Bounded(io.RawIOBase):
    """A file of which only so much can be read."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, LEAST_READ + size // 8

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        size = memoryview(buffer).nbytes
        self._left -= size
        if size > LARGEST_READ or self._left < 0:
            raise OSError("names and attributes that take more memory than those of any data")
        view = memoryview(buffer).cast("B")
        content = self._file.read(size)
        view[: len(content)] = content
        view[len(content) :] = bytes(size - len(content))
        return size


@contextmanager
def _opened(mark: FileMark) -> Iterator[Any]:
    """The file as the library sees it.

    Raises:
        UserError: the library is not installed, or the file is damaged.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise UserError(f"Reading {mark.path} needs {error.name}, which is not installed", hint=EXTRA) from error
    try:
        with reading_marked(mark) as file, open_hdf5(cast(IO[bytes], _Bounded(file, mark.size))) as found:
            yield found
    except WasserganError:
        raise
    except Exception as error:  # damaged bytes surface as whatever the library raises
        raise UserError(
            f"{mark.path} cannot be read as an HDF5 file", found=str(error)[:300] or type(error).__name__
        ) from error


def read_hdf5(path: Path, *, kind: str = "HDF5") -> Contents:
    """What a file holds.

    Args:
        path: of the file.
        kind: what to call it.

    Raises:
        UserError: no reader is installed, or the file is damaged or hostile.
    """
    mark = FileMark.of(path)
    with _opened(mark) as file:
        walk = _Walk(mark, file)
        walk.run()
        attributes = _attributes(file)
    return Contents(path, kind, walk.variables, attributes, tuple(walk.passed))


class _Walk:
    """All groups of a file, each once, without following links that lead elsewhere."""

    def __init__(self, mark: FileMark, file: Any) -> None:
        self._mark, self._file = mark, file
        self.variables: dict[str, Variable] = {}
        self.passed: list[str] = []
        self._seen: set[Any] = set()

    def run(self) -> None:
        import h5py

        pending = [(self._file.id, "")]
        while pending:
            group, prefix = pending.pop()
            inner = []
            for raw in group:
                name = prefix + raw.decode("utf-8", "replace")
                if len(self._seen) > MOST_VARIABLES:
                    raise UserError(f"{self._mark.path} holds too many objects", found=f"more than {MOST_VARIABLES}")
                if group.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
                    self.passed.append(f"Passed over in {self._mark.path.name}: {name}, a link.")
                    continue
                found = h5py.h5o.open(group, raw)
                token = bytes(repr(h5py.h5o.get_info(found).addr), "ascii")
                if token in self._seen:
                    continue
                self._seen.add(token)
                if isinstance(found, h5py.h5g.GroupID):
                    inner.append((found, f"{name}/"))
                elif isinstance(found, h5py.h5d.DatasetID):
                    self._note(found, name)
            pending += inner[::-1]

    def _note(self, dataset: Any, name: str) -> None:
        import h5py

        layout = dataset.get_create_plist()
        if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
            self.passed.append(f"Passed over in {self._mark.path.name}: {name}, whose numbers lie in other files.")
            return
        attributes = _attributes(h5py.Dataset(dataset))
        dtype = _dtype(dataset)
        if str(attributes.get("NAME", "")).startswith(NO_VARIABLE):
            return
        shape = tuple(int(each) for each in dataset.shape)
        dims = self._dims(h5py.Dataset(dataset), name, len(shape), attributes)
        limits = dataset.get_space().get_simple_extent_dims(True) if shape else ()
        grows = frozenset(each for each, limit in zip(dims, limits, strict=False) if limit == h5py.h5s.UNLIMITED)
        mark, path = self._mark, f"/{name}"
        if dtype.kind == "O":
            self.variables[name] = Variable(name, shape, dtype, dims, attributes, lambda: _texts(mark, path), grows)
            return
        self.variables[name] = Variable(name, shape, dtype, dims, attributes, lambda: _array(mark, path), grows)

    def _dims(self, dataset: Any, name: str, count: int, attributes: Any) -> tuple[str, ...]:
        if attributes.get("CLASS") == "DIMENSION_SCALE" and count == 1 and "DIMENSION_LIST" not in dataset.attrs:
            return (name.rpartition("/")[2],)
        found = []
        for axis in range(count):
            scales = dataset.dims[axis]
            label = scales.label
            if len(scales):
                label = str(scales[0].name).rpartition("/")[2]
            found.append(str(label))
        return tuple(found) if all(found) and len(set(found)) == len(found) else ()


HIDDEN = ("DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties")
MARKS = ("CLASS", "NAME")  # of the axes; NetCDF's own


def _attributes(thing: Any) -> dict[str, Any]:
    """Attributes of a file or an array in plain types; large ones are left out."""
    import h5py

    found: dict[str, Any] = {}
    for name in list(thing.attrs)[:MOST_NUMBERS]:
        if name in HIDDEN:
            continue
        own = thing.attrs.get_id(name)
        if own.get_space().get_select_npoints() > MOST_NUMBERS or own.get_storage_size() > 2**20:
            continue
        if own.get_type().get_class() in (h5py.h5t.REFERENCE, h5py.h5t.COMPOUND, h5py.h5t.OPAQUE):
            continue
        value = thing.attrs[name]
        plain = None if isinstance(value, h5py.Empty) else plain_attribute(value)
        if plain is not None:
            found[str(name)] = plain
    return found


def _dtype(dataset: Any) -> np.dtype[Any]:
    """Of the numbers as they lie in the file; of kind `O` for all that are none."""
    import h5py

    kind = dataset.get_type()
    dtype: np.dtype[Any] = dataset.dtype
    is_plain = kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM) and dtype.kind in "fiub"
    if not is_plain:
        return dtype if dtype.kind == "V" else np.dtype(object)
    own = kind.get_super() if kind.get_class() == h5py.h5t.ENUM else kind
    is_whole = own.get_size() == dtype.itemsize and own.get_precision() == 8 * dtype.itemsize and own.get_offset() == 0
    return dtype if is_whole else np.dtype(object)


def _texts(mark: FileMark, name: str) -> NDArray[Any]:
    """An array of texts, such as names of stations; a few."""
    with _opened(mark) as file:
        dataset, total, found = file[name], 0, []
        if dataset.dtype.kind not in "SO" or dataset.ndim != 1 or len(dataset) > MOST_NUMBERS:
            raise UserError(f"{name} of {mark.path} is no short list of texts", hint="leave it out")
        for index in range(len(dataset)):
            text = plain_attribute(dataset[index])
            total += len(text) if isinstance(text, str) else 0
            if not isinstance(text, str) or total > LARGEST_TEXTS:
                raise UserError(f"{name} of {mark.path} is no short list of texts", hint="leave it out")
            found.append(text)
    return np.array(found, dtype=object)


def _array(mark: FileMark, name: str) -> NDArray[Any] | FileArray:
    """The numbers of one array: where they lie in one piece or in chunks, they are read when they are needed."""
    import h5py

    told = f"{mark.path.name}:{name[1:]}"
    with _opened(mark) as file:
        dataset = h5py.h5d.open(file.id, name.encode())
        plan = dataset.get_create_plist()
        shape, dtype = tuple(int(each) for each in dataset.shape), dataset.dtype
        if plan.get_layout() == h5py.h5d.CHUNKED:
            return _HDF5Chunks.of(mark, told, dataset, plan)
        if plan.get_layout() == h5py.h5d.COMPACT:  # below 64 KiB, in the header
            require_room(int(np.prod([float(each) for each in shape])) * dtype.itemsize, told)
            found = np.empty(shape, dtype)
            dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, found)
            return found
        offset = dataset.get_offset()
        if offset is None:  # nothing was written yet
            require_room(int(np.prod([float(each) for each in shape])) * dtype.itemsize, told)
            return np.full(shape, _fill(plan, dtype), dtype)
    stored = np.dtype(np.uint8) if dtype.kind == "b" else dtype
    return FileArray(mark.path, shape, stored, offset=int(offset), is_fortran=False, mark=mark)


def _fill(plan: Any, dtype: np.dtype[Any]) -> Any:
    value = np.zeros(1, dtype)
    plan.get_fill_value(value)
    return value[0]


class _HDF5Chunks(ChunkedArray):
    """Chunks whose places in the file are known."""

    @classmethod
    def of(cls, mark: FileMark, name: str, dataset: Any, plan: Any) -> "_HDF5Chunks":
        dtype = np.dtype(np.uint8) if dataset.dtype.kind == "b" else dataset.dtype
        chunks = tuple(int(each) for each in plan.get_chunk())
        shape = tuple(int(each) for each in dataset.shape)
        fill = _fill(plan, dataset.dtype)
        array = cls(mark.path, name, shape, dtype, chunks=chunks, fill=fill)
        array.mark = mark
        array.filters = _filters(plan, name)
        places: list[tuple[int, int, int, int]] = []

        def note(found: Any) -> None:
            place = [int(each) // side for each, side in zip(found.chunk_offset, chunks, strict=True)]
            if all(0 <= each < size for each, size in zip(place, array.grid, strict=True)):
                number = int(np.ravel_multi_index(place, array.grid))
                places.append((number, int(found.byte_offset or 0), int(found.size), int(found.filter_mask)))

        if array.size:
            dataset.chunk_iter(note)
        table = np.array(sorted(places), np.int64).reshape(-1, 4)
        outside = (table[:, 1] < 0) | (table[:, 2] < 0) | (table[:, 1] + table[:, 2] > mark.size)
        if outside.any() or (np.diff(table[:, 0]) == 0).any():
            raise UserError(f"{name} is damaged", found="chunks that lie outside the file, or twice", hint="mend it")
        array.table = table[:, 1:].copy()
        array.table[:, 0] += _shift(mark, dataset, table, array)
        array.found(table[:, 0].copy(), mark.size)
        return array

    filters: tuple[Filter, ...]
    table: NDArray[np.int64]

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with self._session() as reading:
            yield reading

    def _chunk(self, reading: Any, at: int) -> NDArray[Any]:
        offset, size, mask = self.table[at].tolist()
        stored = np.empty(size, np.uint8)
        reading.into(stored, offset)
        content = unpiped(stored.tobytes(), self.filters, mask, self.chunk_bytes)
        return np.frombuffer(content, self.dtype).reshape(self.chunks)


def _shift(mark: FileMark, dataset: Any, table: NDArray[np.int64], array: ChunkedArray) -> int:
    """What is to be added to places: releases differ in whether they count from the start of the file."""
    if not len(table):
        return 0
    number, offset, size, _ = table[0].tolist()
    corner = tuple(int(at) * side for at, side in zip(np.unravel_index(number, array.grid), array.chunks, strict=True))
    if size > LARGEST_READ:
        return 0
    _, stored = dataset.read_direct_chunk(corner)
    with reading_marked(mark) as file:
        for shift in BLOCKS:
            file.seek(offset + shift)
            if file.read(size) == stored:
                return shift
    raise UserError(f"{array.name} is damaged", found="chunks that are not where they should be", hint="mend it")


def _filters(plan: Any, name: str) -> tuple[Filter, ...]:
    found = []
    for index in range(plan.get_nfilters()):
        code, _, values, _ = plan.get_filter(index)
        if code not in set(Code):
            raise UserError(
                f"{name} is packed in a way that is not read",
                found=f"the filter {FILTERS.get(code, code)}",
                hint="pack it with gzip: h5repack -f GZIP=4 FILE NEW",
            )
        found.append(Filter(int(code), int(values[0]) if values else 0))
    return tuple(found)


def unpiped(content: bytes, filters: tuple[Filter, ...], mask: int, size: int) -> bytes:
    """The bytes of a chunk of `size` bytes, with its filters undone, the last one first.

    Args:
        content: as stored.
        filters: in the order in which they were used.
        mask: bits of those that were left out.
        size: of the chunk.

    Raises:
        DamagedChunkError: it is another number of bytes.
    """
    used = [(at, each) for at, each in enumerate(filters) if not mask >> at & 1]
    for at, (code, value) in reversed(used):
        sums = sum(4 for place, (other, _) in used if place < at and other == Code.FLETCHER32)
        match code:
            case Code.FLETCHER32:
                content = without_fletcher32(content)
            case Code.SHUFFLE:
                content = unshuffle(content, max(1, value))
            case Code.DEFLATE:
                content = UNPACKERS["zlib"](content, size + sums)
            case _:
                content = UNPACKERS["zstd"](content, size + sums)
    if len(content) != size:
        raise DamagedChunkError(f"a chunk of {len(content)} bytes where {size} belong")
    return content
