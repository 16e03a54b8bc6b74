"""NetCDF's classic formats (CDF-1, CDF-2 and CDF-5): the header is read, numbers stay where they lie."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.contents import LONGEST_TEXT, MOST_NUMBERS, MOST_VARIABLES, Attribute, Contents, Variable
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.errors import UserError, WasserganError

MAGIC = {b"CDF\x01": 1, b"CDF\x02": 2, b"CDF\x05": 5}
TYPES = {
    1: "i1",
    2: "S1",
    3: ">i2",
    4: ">i4",
    5: ">f4",
    6: ">f8",
    7: "u1",
    8: ">u2",
    9: ">u4",
    10: ">i8",
    11: ">u8",
}
DIMENSIONS, VARIABLES, ATTRIBUTES = 10, 11, 12
MOST_AXES = 32
LONGEST_NAME = 1024


def is_netcdf3(path: Path) -> bool:
    """Whether a file begins as classic NetCDF does."""
    with reading_marked(FileMark.of(path)) as file:
        return file.read(4) in MAGIC


def read_netcdf3(path: Path) -> Contents:
    """What a file holds.

    Raises:
        UserError: the file is damaged.
    """
    mark = FileMark.of(path)
    try:
        with reading_marked(mark) as file:
            return _Header(mark, file).contents()
    except WasserganError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a NetCDF file", found=str(error)[:200]) from error


class _Header:
    """The header of a file, from its first byte on."""

    def __init__(self, mark: FileMark, file: IO[bytes]) -> None:
        self._mark, self._file = mark, file
        self._version = MAGIC[file.read(4)]

    def contents(self) -> Contents:
        count = self._count(signed=True)
        dims = [(self._name(), self._count()) for _ in range(self._listed(DIMENSIONS))]
        attributes = self._attributes()
        told = [self._variable(dims) for _ in range(self._listed(VARIABLES))]
        grows = [each for each in told if each[4]]
        sizes = [_padded(each[5]) for each in grows]
        step = grows[0][5] if len(grows) == 1 else sum(sizes)  # a single one lies without gaps
        if count < 0:  # written to a stream: as many as there are
            first = min((each[3] for each in grows), default=0)
            count = max(0, (self._mark.size - first) // max(1, step))
        variables = {}
        for name, own, dtype, begin, is_growing, size in [each[:6] for each in told]:
            shape = tuple(count if index == 0 and is_growing else dims[at][1] for index, at in enumerate(own))
            names = tuple(dims[at][0] for at in own)
            opened = self._opener(name, shape, dtype, begin, step if is_growing else size)
            unlimited = frozenset(names[:1] if is_growing else ())
            plain = dtype if dtype.kind != "S" else np.dtype(object)
            variables[name] = Variable(name, shape, plain, names, self._told[name], opened, unlimited)
        return Contents(self._mark.path, "NetCDF", variables, attributes)

    def _variable(self, dims: list[tuple[str, int]]) -> tuple[str, list[int], np.dtype[Any], int, bool, int]:
        name = self._name()
        own = [self._count() for _ in range(self._within(self._count(), MOST_AXES, "axes"))]
        if any(at >= len(dims) for at in own) or any(dims[at][1] == 0 for at in own[1:]):
            raise ValueError(f"{name} has axes that are not there")
        self._told[name] = self._attributes()
        dtype = np.dtype(TYPES[self._int()])
        self._count()  # its size, which does not tell large ones'
        begin = int.from_bytes(self._take(4 if self._version == 1 else 8), "big")
        is_growing = bool(own) and dims[own[0]][1] == 0
        size = prod(dims[at][1] for at in own[is_growing:]) * dtype.itemsize
        return name, own, dtype, begin, is_growing, size

    _told: dict[str, dict[str, Attribute]]

    def _listed(self, kind: int) -> int:
        if kind == VARIABLES:
            self._told = {}
        found, count = self._int(), self._count()
        if found not in (0, kind) or (found == 0 and count):
            raise ValueError(f"a list of kind {found}")
        return self._within(count, MOST_VARIABLES, "entries")

    def _attributes(self) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        for _ in range(self._listed(ATTRIBUTES)):
            name, dtype, count = self._name(), np.dtype(TYPES[self._int()]), self._count()
            self._within(count * dtype.itemsize, 2**24, "bytes")
            content = self._take(_padded(count * dtype.itemsize))[: count * dtype.itemsize]
            if dtype.kind == "S":
                found[name] = content.decode("utf-8", "replace").rstrip("\0")[:LONGEST_TEXT]
            elif 0 < count <= MOST_NUMBERS:
                values: NDArray[Any] = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
                found[name] = values.reshape(()) if count == 1 else values
        return found

    def _opener(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], begin: int, step: int
    ) -> Callable[[], FileArray]:
        mark, told = self._mark, f"{self._mark.path.name}:{name}"

        def opened() -> FileArray:
            row = prod(shape[1:]) * dtype.itemsize
            if not shape or step in (row, prod(shape) * dtype.itemsize):
                return FileArray(mark.path, shape, dtype, offset=begin, is_fortran=False, mark=mark)
            return _Records(mark, told, shape, dtype, begin, step)

        return opened

    def _name(self) -> str:
        size = self._within(self._count(), LONGEST_NAME, "bytes of a name")
        return self._take(_padded(size))[:size].decode("utf-8", "replace")

    def _count(self, *, signed: bool = False) -> int:
        content = self._take(8 if self._version == 5 else 4)
        return -1 if signed and content == b"\xff" * len(content) else int.from_bytes(content, "big")

    def _int(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def _take(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise EOFError("the header ends too early")
        return content

    def _within(self, value: int, most: int, what: str) -> int:
        if value > most:
            raise ValueError(f"{value} {what}")
        return value


def _padded(size: int) -> int:
    return -(-size // 4) * 4


class _Records(FileArray):
    """Rows that lie between those of other arrays."""

    def __init__(
        self, mark: FileMark, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], begin: int, step: int
    ) -> None:
        needed = begin + (shape[0] - 1) * step + prod(shape[1:]) * dtype.itemsize if shape[0] else 0
        if needed > mark.size:
            raise UserError(
                f"{name} holds less than its header says",
                found=f"shape {shape} of {dtype}, which ends at byte {needed:,} of {mark.size:,}",
                hint="give an undamaged copy",
            )
        super().__init__(mark.path, (0, *shape[1:]), dtype, offset=0, is_fortran=False, mark=mark)
        self.shape, self.size = shape, prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self._begin, self._step = begin, step

    def _fill(self, reading: Any, first: int, rows: NDArray[Any]) -> None:
        for index in range(len(rows)):
            reading.into(rows[index : index + 1], self._begin + (first + index) * self._step)
