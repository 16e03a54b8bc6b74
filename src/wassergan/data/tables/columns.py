"""What a reader of tables hands on: columns as they stand in the file, before anything is decided about them."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.errors import UserError

MOST_CLASSES = 256  # different whole numbers that are taken for names of classes


@dataclass(frozen=True)
class TextColumn:
    """A column of text: each different text once, and which of them stands in each row.

    Args:
        name: of the column.
        levels: the different texts, in the order in which they first occur.
        codes: (n,) int32 into the levels; -1 where the file itself knows that there is nothing.
        values: what the levels are in the file, where they are no text (dictionaries of numbers); else empty.
        declared: the file itself says that these are the levels, in this order.
    """

    name: str
    levels: list[str]
    codes: NDArray[np.int32]
    values: tuple[Any, ...] = ()
    declared: bool = False


@dataclass(frozen=True)
class TypedColumn:
    """A column whose file says what it holds.

    Args:
        name: of the column.
        kind: `number`, `boolean` or `date`.
        values: (n,) float64; NaN where there is nothing. Dates count units from 1970.
        whole: numbers of a whole-number type.
        unit: microseconds per unit of a date.
        exact: (n,) whole numbers of which float64 does not hold every digit, 0 where there is nothing; else None.
        places: digits behind the point that the type writes, where it says so; else None.
        nan: missing values are NaN, where the type also has another word for what is missing.
        zone: of a date, whose clocks show it; empty where it is what some clock shows.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    whole: bool = False
    unit: int = 1
    exact: NDArray[Any] | None = None
    places: int | None = None
    nan: bool = False
    zone: str = ""


@dataclass(frozen=True)
class OddColumn:
    """A column of a type that no column of a table can have; it can be left out.

    Args:
        name: of the column.
        type: as its file calls it, or what was found in it.
        hint: what to do with it.
        what: is wrong with it.
    """

    name: str
    type: str
    hint: str = "turn it into numbers, text or dates"
    what: str = "is of a type that a table cannot have"


AnyColumn = TextColumn | TypedColumn | OddColumn


class ColumnsToRead(Sequence[AnyColumn]):
    """Columns that are read from files anew whenever they are asked for: together they are larger than memory.

    Args:
        names: of the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def texts(self, most: int) -> Iterator[list[str]]:
        """Of each column of text whose levels its file does not declare, the first different texts."""

    @abstractmethod
    def rows(self, numbers: NDArray[np.int64]) -> Any:
        """Rows (k,), numbers ascending, as an Arrow table."""


@dataclass(frozen=True)
class RawTable:
    """Columns of one length, and how to write a file like the one they came from.

    Args:
        name: what to call the table.
        columns: in the order of the file; `ColumnsToRead` of one that is larger than memory.
        rows: how many.
        dialect: of a CSV file: delimiter, encoding, and what else is not usual.
        arrow_schema: of an Arrow table, serialised, base64; else empty.
        first_line: the line of a CSV file in which row 0 stands; 0 for files without lines.
        arrow: the Arrow table itself, as it came; None for others.
        notes: what reading did not keep, a sentence each.
        lines: (n,) in which rows of a CSV file stand, where not in one line each; else None.
    """

    name: str
    columns: Sequence[AnyColumn]
    rows: int
    dialect: dict[str, str] = field(default_factory=dict)
    arrow_schema: str = ""
    first_line: int = 0
    arrow: Any = field(default=None, repr=False, compare=False)
    notes: tuple[str, ...] = ()
    lines: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        columns = self.columns
        return columns.names if isinstance(columns, ColumnsToRead) else tuple(each.name for each in columns)

    def texts(self, most: int) -> Iterator[list[str]]:
        """Of each column of text whose levels its file does not declare, the first different texts."""
        if isinstance(self.columns, ColumnsToRead):
            yield from self.columns.texts(most)
            return
        for column in self.columns:
            if isinstance(column, TextColumn) and not column.declared:
                yield column.levels[:most]

    def row_name(self, row: int) -> str:
        """How a reader finds a row."""
        if self.lines is not None:
            return f"line {self.lines[row]}"
        return f"line {row + self.first_line}" if self.first_line else f"row {row}"


def raw_array(arrays: Mapping[str, NDArray[Any]], name: str) -> RawTable:
    """Arrays (n,) as columns: numbers, text or booleans; a few different whole numbers are classes.

    Raises:
        UserError: another type, or different lengths.
    """
    columns = tuple(_column_of(column, array, name) for column, array in arrays.items())
    lengths = {column: len(array) for column, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"The labels of {name} differ in length", found=f"{lengths}")
    return RawTable(name, columns, next(iter(lengths.values()), 0))


def raw_texts(texts: Mapping[str, Sequence[str]], name: str) -> RawTable:
    """Lists of text as columns."""
    return raw_array({column: np.array(list(each), dtype=str) for column, each in texts.items()}, name)


def raw_cells(texts: Mapping[str, Sequence[str | None]], name: str, *, first_line: int) -> RawTable:
    """Cells in text as columns; None where there is nothing."""
    columns = []
    for column, cells in texts.items():
        levels: dict[str, int] = {}
        codes = np.fromiter(
            (-1 if cell is None else levels.setdefault(cell, len(levels)) for cell in cells), np.int32, len(cells)
        )
        columns.append(TextColumn(column, list(levels), codes))
    return RawTable(name, tuple(columns), max(map(len, texts.values()), default=0), first_line=first_line)


def _column_of(column: str, array: NDArray[Any], name: str) -> TextColumn | TypedColumn:
    if array.dtype == object and all(isinstance(each, str) for each in array.tolist()):
        array = array.astype(str)
    match array.dtype.kind:
        case "U":
            levels, codes = np.unique(array, return_inverse=True)
            return TextColumn(column, levels.tolist(), codes.astype(np.int32))
        case "b":
            return TypedColumn(column, "boolean", array.astype(np.float64))
        case "i" | "u":
            levels, codes = np.unique(array, return_inverse=True)
            if len(levels) <= MOST_CLASSES:
                own = tuple(levels.tolist())
                return TextColumn(column, [str(each) for each in own], codes.astype(np.int32), own, declared=True)
            return TypedColumn(column, "number", array.astype(np.float64), whole=True)
        case "f":
            return TypedColumn(column, "number", array.astype(np.float64))
    raise UserError(f"Labels {column} of {name} are no numbers, text or booleans", found=f"type {array.dtype}")
