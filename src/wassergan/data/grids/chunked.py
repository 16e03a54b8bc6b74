"""Arrays that lie in packed chunks, read row by row: chunks are found by a table and unpacked when they are needed."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError, WasserganError

PLAUSIBLE_RATIO = 1000  # unpacked bytes for each in a file: deflate reaches 1032
MOST_CHUNKS = 2**62
MOST_AXES = 32


class ChunkedArray(FileArray):
    """Rows of an array in chunks of one shape.

    Args:
        path: the file or the folder.
        name: of the array, for messages.
        shape: of the array.
        dtype: of its numbers.
        chunks: shape of a chunk; those at the far edges reach beyond the array.
        fill: value where no chunk is stored.

    Raises:
        UserError: a chunk, or a row of chunks, would fill too much memory.
    """

    def __init__(
        self, path: Path, name: str, shape: tuple[int, ...], dtype: Any, *, chunks: tuple[int, ...], fill: Any
    ) -> None:
        if len(chunks) != len(shape) or not 0 < len(shape) <= MOST_AXES or min(shape) < 0 or min(chunks) < 1:
            raise UserError(f"{name} has no shape that an array has", found=f"{shape} in chunks of {chunks}"[:200])
        self.path, self.name, self.shape, self.dtype = path, name, shape, np.dtype(dtype)
        self.ndim, self.size = len(shape), prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        self.chunks, self.value = chunks, fill
        self.grid = tuple(-(-side // chunk) for side, chunk in zip(shape, chunks, strict=True))
        if prod(self.grid) > MOST_CHUNKS:
            raise UserError(f"{name} promises too many chunks", found=f"shape {shape} in chunks of {chunks}"[:200])
        self.chunk_bytes = prod(chunks) * self.dtype.itemsize
        require_room(self.chunk_bytes, f"A chunk of {name}")
        self._numbers: NDArray[np.int64] = np.zeros(0, np.int64)

    def found(self, numbers: NDArray[np.int64], stored: int) -> None:
        """Take note of which chunks are stored, and refuse what so few bytes cannot hold.

        Args:
            numbers: of the chunks in the order of their places, ascending.
            stored: bytes of them all.
        """
        self._numbers = numbers
        rows = min(self.chunks[0], max(1, len(self))) * prod(self.shape[1:]) * self.dtype.itemsize
        if self.nbytes > PLAUSIBLE_RATIO * max(stored, 1):
            require_room(self.nbytes, self.name)
        if rows > 2 * self.chunk_bytes:  # what is unpacked to read one row
            require_room(rows, f"A row of chunks of {self.name}")

    @property
    def together(self) -> int:
        """Rows of a chunk."""
        return max(2, self.chunks[0])

    def _at(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for row in np.unique(wanted // self.chunks[0]).tolist():
            here = wanted // self.chunks[0] == row
            first = row * self.chunks[0]
            found[here] = self.rows(first, min(first + self.chunks[0], len(self)))[wanted[here] - first]
        return found

    def fill(self, first: int, rows: NDArray[Any]) -> None:
        """Read as many rows from `first` on as an array of them holds into it."""
        if not rows.size:
            return
        rows[...] = self.value
        per_row, height = prod(self.grid[1:]), self.chunks[0]
        low, high = first // height * per_row, -(-(first + len(rows)) // height) * per_row
        begin, end = np.searchsorted(self._numbers, [low, high]).tolist()
        with self._reading() as reading:
            for at in range(begin, end):
                place = np.unravel_index(int(self._numbers[at]), self.grid)
                self._put(self._unpacked(reading, at), [int(each) for each in place], first, rows)

    def _unpacked(self, reading: Any, at: int) -> NDArray[Any]:
        try:
            return self._chunk(reading, at)
        except WasserganError:
            raise
        except Exception as error:  # of whatever unpacks it
            found = f"chunk {at}: {error or type(error).__name__}"
            raise UserError(f"{self.name} is damaged", found=found[:300], hint="give an undamaged copy") from error

    def _put(self, chunk: NDArray[Any], place: Sequence[int], first: int, rows: NDArray[Any]) -> None:
        """Copy the part of a chunk that lies in some rows."""
        into, out = [], []
        for axis, (index, side) in enumerate(zip(place, self.chunks, strict=True)):
            low, size = (index * side - first, len(rows)) if axis == 0 else (index * side, self.shape[axis])
            start, stop = max(low, 0), min(low + side, size)
            into.append(slice(start, stop))
            out.append(slice(start - low, stop - low))
        rows[tuple(into)] = chunk[tuple(out)]

    def _scalar(self) -> NDArray[Any]:
        raise NotImplementedError("an array in chunks has axes")

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """What `_chunk` reads from, open while some rows are read."""
        yield None

    @abstractmethod
    def _chunk(self, reading: Any, at: int) -> NDArray[Any]:
        """The numbers of the chunk that is stored as the `at`-th, in the shape of chunks."""
