"""Rows that are read in contiguous blocks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import source as limits
from wassergan.data.codec import Codec, as_tensor, channels_first
from wassergan.data.readers.marks import Marks
from wassergan.errors import UserError


def buffer_bytes() -> int:
    """Size of the buffer in which rows are mixed; a second one is filled meanwhile."""
    return limits.RESIDENT_LIMIT_BYTES // 2


def block_bytes() -> int:
    """Size of a block where the format leaves the choice: large beside a disk's seek, small beside the buffer."""
    return limits.RESIDENT_LIMIT_BYTES // 512


class BlockReader(ABC):
    """Rows in the user's units, block by block.

    Args:
        name: what to call the data in messages.
        bounds: (blocks + 1,) int64, ascending: row numbers at which blocks begin, and the number of rows.
        row_shape: of one row in the user's layout.
        dtype: of the numbers.
        columns: names of a table's columns.
    """

    def __init__(
        self,
        name: str,
        bounds: Tensor,
        row_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        columns: tuple[str, ...] = (),
    ) -> None:
        self.name, self.bounds, self.row_shape, self.dtype, self.columns = name, bounds, row_shape, dtype, columns
        self.row_bytes = int(np.prod(row_shape, dtype=np.int64)) * dtype.itemsize
        self._last: tuple[int, NDArray[Any]] | None = None
        self._codec: Codec | None = None

    @property
    def marks(self) -> Marks:
        """The files that rows are read from, as they were when they were opened."""
        return ()

    def expect_missing(self, codec: Codec) -> None:
        """From now on refuse rows in which a value is missing where a codec knows of none."""
        self._codec = codec

    def __len__(self) -> int:
        return int(self.bounds[-1])

    @property
    def sizes(self) -> Tensor:
        """Rows of each block, (blocks,) int64."""
        return self.bounds.diff()

    def load(self, blocks: Sequence[int]) -> NDArray[Any]:
        """All rows of some blocks, one after the other, (rows, *row_shape).

        Raises:
            UserError: a value is missing, NaN, infinite or too large; or the file changed or cannot be read.
        """
        ends = np.cumsum([int(self.bounds[block + 1] - self.bounds[block]) for block in blocks])
        rows = np.empty((int(ends[-1]), *self.row_shape), self.dtype)
        for block, end in zip(blocks, ends.tolist(), strict=True):
            first = int(self.bounds[block])
            part = rows[end - int(self.bounds[block + 1]) + first : end]
            self._read_into(block, part)
            self._refuse_bad(part, range(first, first + len(part)))
        return rows

    def raw(self, block: int) -> NDArray[Any]:
        """All rows of a block, whatever they hold."""
        rows = np.empty((int(self.sizes[block]), *self.row_shape), self.dtype)
        self._read_into(block, rows)
        return rows

    def pick(self, block: int, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a block at places (k,), counted from its first row; (k, *row_shape)."""
        return self.load([block])[places]

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), wherever they are: slow, for looks at a few of them or at runs in order."""
        wanted = indices.numpy()
        rows = np.empty((len(wanted), *self.row_shape), self.dtype)
        of_block = torch.searchsorted(self.bounds, indices, right=True).numpy() - 1
        for block in np.unique(of_block).tolist():
            if self._last is None or self._last[0] != block:
                self._last = (block, self.load([block]))
            here = of_block == block
            rows[here] = self._last[1][wanted[here] - int(self.bounds[block])]
        return as_tensor(rows)

    @abstractmethod
    def _read_into(self, block: int, rows: NDArray[Any]) -> None:
        """Fill `rows` (size of the block, *row_shape) with the rows of a block."""

    def _refuse_bad(self, rows: NDArray[Any], numbers: Sequence[int] | NDArray[np.int64]) -> None:
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            self._refuse_where(np.isinf(rows), numbers, "infinite values")
            if self._codec is not None:
                here = channels_first(np.isnan(rows), self._codec.layout)
                self._refuse_where(
                    here & ~self._gaps(here.shape[1:]), numbers, "missing values where the rows looked at had none"
                )
        largest = np.iinfo(np.int64).max  # torch computes with signed numbers, and would wrap around
        if rows.dtype.kind == "u" and rows.dtype.itemsize == 8 and (rows > largest).any():
            raise UserError(
                f"{self.name} holds whole numbers that are too large", found=f"over {largest}", hint="rescale them"
            )

    def _gaps(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Positions of a sample, channels first, whose values may be missing."""
        parts = self._codec.parts if self._codec else None
        return np.zeros(shape, np.bool_) if parts is None else np.asarray((parts.gappy | parts.absent).numpy())

    def _refuse_where(self, bad: NDArray[np.bool_], numbers: Sequence[int] | NDArray[np.int64], what: str) -> None:
        if bad.any():
            index = np.argwhere(bad)[0].tolist()
            raise UserError(
                f"{self.name} holds {what}",
                found=f"the first {self._place(int(numbers[index[0]]), index[1:])}",
                hint="remove those rows or fill the values",
            )

    def _place(self, row: int, rest: list[int]) -> str:
        if self.columns:
            return f"in row {row}, column {self.columns[rest[0]]}"
        return f"at index {(row, *rest)}"
