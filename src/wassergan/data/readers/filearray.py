"""The array in a `.npy` file, read piece by piece. It is never mapped: a mapped file that shrinks kills the process."""

import io
import os
from math import prod
from mmap import mmap
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.marks import FileMark, Marks, reading_marked
from wassergan.errors import UserError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
LONGEST_HEADER = 10_000  # bytes; NumPy parses no longer one, but reads up to 4 GiB before it says so


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of the `.npy` that begins here; the numbers come next.

    Raises:
        ValueError: it is no header, or a longer one than any array needs.
    """
    version = np.lib.format.read_magic(file)
    width = 2 if version == (1, 0) else 4
    size = file.read(width)
    if int.from_bytes(size, "little") > LONGEST_HEADER:
        raise ValueError(f"a header of {int.from_bytes(size, 'little'):,} bytes")
    header = io.BytesIO(size + file.read(int.from_bytes(size, "little")))
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = _HEADERS.get(version, _HEADERS[(2, 0)])(header)
    return found


class FileArray:
    """Rows of an array that lies in a file, with as much of NumPy's interface as readers need.

    Args:
        path: the file.
        shape: of the array.
        dtype: of its numbers.
        offset: of its first byte in the file.
        is_fortran: whether the first axis varies fastest.
        mark: of the file, from before its header was read; as it is now unless given.

    Raises:
        UserError: the file holds less than that.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: Any,
        *,
        offset: int,
        is_fortran: bool,
        mark: FileMark | None = None,
    ) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.ndim, self.size = len(shape), prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.mark = mark or FileMark.of(path)
        self._offset, self._is_fortran = offset, is_fortran
        held = path.stat().st_size - offset
        if min(shape, default=0) < 0 or self.nbytes > held:
            raise UserError(
                f"{path} holds less than its header says",
                found=f"shape {shape} of {dtype}, and {held:,} bytes",
                hint="save it again",
            )

    @property
    def marks(self) -> Marks:
        """Of the files that rows are read from."""
        return (self.mark,)

    @property
    def together(self) -> int:
        """Rows that are unpacked together: who reads one of them reads all; 1 where each can be read by itself."""
        return 1

    @classmethod
    def open(cls, path: Path) -> "FileArray":
        """The array of a `.npy` file.

        Raises:
            UserError: it holds less than its header says.
            ValueError: it is no such file.
        """
        mark = FileMark.of(path)
        with reading_marked(mark) as file:
            if file.read(1) == b"\x80":  # as all pickles begin
                raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
            file.seek(0)
            shape, is_fortran, dtype = read_header(file)
            offset = file.tell()
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
        return cls(path, shape, dtype, offset=offset, is_fortran=is_fortran, mark=mark)

    @classmethod
    def under(cls, array: Any) -> "FileArray | None":
        """The file under an array that a caller mapped whole; None where the two may differ."""
        base: object = getattr(array, "base", None)  # views of a mapping do not know where in the file they begin
        if not isinstance(array, np.memmap) or not isinstance(base, mmap) or array.mode == "c":
            return None
        path = Path(str(array.filename))
        is_fortran = not array.flags.c_contiguous
        if not path.is_file() or (is_fortran and not array.flags.f_contiguous):
            return None
        if array.mode != "r":
            array.flush()
        return cls(path, array.shape, array.dtype, offset=int(array.offset), is_fortran=is_fortran)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self.rows(0, len(self)) if self.ndim else self._scalar()
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a slice, or at row numbers (k,), as a new array."""
        if isinstance(key, slice):
            first, end, step = key.indices(len(self))
            if step == 1:
                return self.rows(first, max(first, end))
            key = np.arange(first, end, step)
        return self._at(np.asarray(key))

    def _at(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        """Rows at row numbers (k,)."""
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        with self._session() as reading:
            for index, first, end in _runs(wanted):
                self._fill(reading, first, found[index : index + end - first])
        return found

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Rows from `first` up to `end` as a new array."""
        found = np.empty((end - first, *self.shape[1:]), self.dtype)
        self.fill(first, found)
        return found

    def fill(self, first: int, rows: NDArray[Any]) -> None:
        """Read as many rows from `first` on as an array of them holds, which lies in one piece, into it."""
        with self._session() as reading:
            self._fill(reading, first, rows)

    def _session(self) -> "_Reading":
        """The file, open while some rows are read."""
        return _Reading(self.mark)

    def _fill(self, reading: "_Reading", first: int, rows: NDArray[Any]) -> None:
        if not rows.size:
            return
        width = self.dtype.itemsize
        if not self._is_fortran or self.ndim == 1:
            per_row = prod(self.shape[1:]) * width
            reading.into(rows, self._offset + first * per_row)
            return
        turned = np.empty(rows.shape[::-1], self.dtype)  # the last axis first: each column of rows lies together
        flat = turned.reshape(-1, len(rows))
        for column in range(len(flat)):
            reading.into(flat[column], self._offset + (column * len(self) + first) * width)
        rows[:] = turned.T

    def _scalar(self) -> NDArray[Any]:
        found = np.empty(1, self.dtype)
        with self._session() as reading:
            reading.into(found, self._offset)
        return found.reshape(())


class _Reading:
    """A file while some rows are read; that it is still the same is seen before, and again after."""

    def __init__(self, mark: FileMark) -> None:
        self._mark = mark

    def __enter__(self) -> "_Reading":
        self._opened = reading_marked(self._mark)
        try:
            self._file = self._opened.__enter__()
        except OSError as error:
            raise self._mark.changed(error.strerror or str(error)) from error
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        return self._opened.__exit__(kind, error, trace)

    def into(self, rows: NDArray[Any], offset: int) -> None:
        """Fill a contiguous array with the bytes from `offset` on."""
        left = memoryview(rows.reshape(-1).view(np.uint8).data) if rows.size else memoryview(b"")
        while len(left):  # a read gives 2 GiB at most
            try:
                got = os.preadv(self._file.fileno(), [left], offset)
            except OSError as error:
                raise self._mark.changed(error.strerror or str(error)) from error
            if not got:
                raise self._mark.changed("it became shorter")
            left, offset = left[got:], offset + got


def _runs(numbers: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(place, first, end) of numbers that follow each other."""
    if not len(numbers):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers) != 1) + 1])
    ends = np.concatenate([starts[1:], [len(numbers)]])
    return [(int(a), int(numbers[a]), int(numbers[a]) + int(b - a)) for a, b in zip(starts, ends, strict=True)]
