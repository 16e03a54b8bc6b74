"""Columns and rows of a table that is larger than memory, in files without a name: each value as small as it is exact.

One file holds column after column, for what is found out before training; another row after row, from which training
reads rows in any order. Both are read, and never mapped: pages of a mapping count as memory of the process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import AnyColumn
from wassergan.data.tables.formats import Values
from wassergan.data.tables.witnesses import Witnesses, witnesses_of
from wassergan.storage.scratch import ScratchFile

CHUNK = 2**18  # values of a column that are converted at a time
BLOCK = 2**16  # rows that columns become at a time
TYPES = tuple(np.dtype(name) for name in ("i1", "i2", "i4", "f4", "f8"))


def narrowest(values: Values) -> np.dtype[Any]:
    """The smallest type that gives back every bit of values (n,)."""
    fitting = (each for each in TYPES[:-1] if all(_comes_back(part, each) for part in _parts(values)))
    return next(fitting, TYPES[-1])


def narrowed(values: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values (n,) in one of `TYPES`; in whole numbers the smallest one means missing."""
    if dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(dtype)
    least, largest = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.where(np.isnan(values), least, values.clip(least, largest)).astype(dtype)


def widened(values: NDArray[Any]) -> Values:
    """The inverse."""
    wide = values.astype(np.float64)
    if values.dtype.kind == "i":
        wide[values == np.iinfo(values.dtype).min] = np.nan
    return wide


def _comes_back(values: Values, dtype: np.dtype[Any]) -> bool:
    return np.array_equal(widened(narrowed(values, dtype)).view(np.int64), values.view(np.int64))


def _parts(values: Values) -> Iterator[Values]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


class ColumnsOnDisk(Sequence[Column]):
    """Columns whose values are read whenever one is asked for.

    Args:
        name: of the table, for messages.
        count: of rows.

    Attributes:
        heads: the columns without their values.
        witnesses: of columns of text, by name.
    """

    def __init__(self, name: str, count: int) -> None:
        self.heads: list[Column] = []
        self.witnesses: dict[str, Witnesses] = {}
        self._name, self._count = name, count
        self._file = ScratchFile(name)
        self._places: list[tuple[int, np.dtype[Any]]] = []

    def take(self, raw: AnyColumn, column: Column) -> Column:
        """Write a column; what is left of it in memory.

        Raises:
            WorkError: the disk is full.
        """
        values = np.ascontiguousarray(column.values)
        dtype = narrowest(values)
        self._places.append((self._file.size, dtype))
        for part in _parts(values):
            self._file.append(narrowed(part, dtype))
        self.witnesses[column.name] = witnesses_of(raw, values)
        self.heads.append(replace(column, values=np.empty(0)))
        return self.heads[-1]

    def __len__(self) -> int:
        return len(self.heads)

    @overload
    def __getitem__(self, index: int) -> Column: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Column]: ...
    def __getitem__(self, index: int | slice) -> Column | Sequence[Column]:
        """A column with its values; of a slice each."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return replace(self.heads[index], values=self.values(index))

    def values(self, index: int) -> Values:
        """Of a column, (n,) float64."""
        (start, dtype), values = self._places[index], np.empty(self._count)
        for first, part in zip(range(0, self._count, CHUNK), _parts(values), strict=True):
            part[:] = widened(self._narrow(start, dtype, first, len(part)))
        return values

    def _narrow(self, start: int, dtype: np.dtype[Any], first: int, count: int) -> NDArray[Any]:
        found = np.empty(count, dtype)
        self._file.into(found, start + first * dtype.itemsize)
        return found

    def rows(self) -> "RowsOnDisk":
        """The same, row after row, in a file of their own.

        Raises:
            WorkError: the disk is full.
        """
        record = np.dtype([(str(number), dtype) for number, (_, dtype) in enumerate(self._places)])
        file = ScratchFile(self._name)
        for first in range(0, self._count, BLOCK):
            block = np.empty(min(BLOCK, self._count - first), record)
            for number, (start, dtype) in enumerate(self._places):
                block[str(number)] = self._narrow(start, dtype, first, len(block))
            file.append(block.view(np.uint8))
        return RowsOnDisk(file, record, self._count, tuple(range(len(self))), self)


class RowsOnDisk:
    """Rows of a table, (n, columns) float64, with as much of NumPy's interface as tables need.

    Args:
        file: they lie in, one after the other.
        record: type of a row in the file.
        count: of rows.
        chosen: fields of the record that are columns.
        columns: the same in columns, as long as they are read one by one.
    """

    def __init__(
        self,
        file: ScratchFile,
        record: np.dtype[Any],
        count: int,
        chosen: tuple[int, ...],
        columns: ColumnsOnDisk | None,
    ) -> None:
        self._file, self._record, self._chosen, self._columns = file, record, chosen, columns
        self.shape = (count, len(chosen))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """`[numbers]`, `[first:end]`: rows; `[:, index]`: a column; `[:, indices]`: rows of fewer columns, on disk."""
        if isinstance(key, tuple):
            index = key[1]
            if isinstance(index, list):
                chosen = tuple(self._chosen[each] for each in index)
                return RowsOnDisk(self._file, self._record, len(self), chosen, None)
            return self._column(self._chosen[index])
        if isinstance(key, slice):
            first, end, _ = key.indices(len(self))
            return self._wide(self._read(np.arange(first, end)))
        return self._wide(self._read(key))

    def settle(self) -> None:
        """Give back the disk that the columns take: from now on rows are read."""
        self._columns = None

    def _column(self, index: int) -> Values:
        if self._columns is not None:
            return self._columns.values(index)
        parts = (np.arange(first, min(first + BLOCK, len(self))) for first in range(0, len(self), BLOCK))
        return np.concatenate([widened(self._read(numbers)[str(index)]) for numbers in parts])

    def _read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Records of rows (k,), those that follow each other at once."""
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"rows {numbers.min()} to {numbers.max()} of {len(self)}")
        size = self._record.itemsize
        found = np.empty(len(numbers) * size, np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers) != 1) + 1, [len(numbers)]])
        whole = memoryview(found.data)
        places, firsts = (starts * size).tolist(), (numbers[starts[:-1]] * size).tolist() if len(numbers) else []
        for place, end, first in zip(places, places[1:], firsts, strict=False):
            self._file.into(whole[place:end], first)
        return found.view(self._record)

    def _wide(self, records: NDArray[Any]) -> Values:
        rows = np.empty((len(records), len(self._chosen)))
        for place, field in enumerate(self._chosen):
            rows[:, place] = widened(records[str(field)])
        return rows
