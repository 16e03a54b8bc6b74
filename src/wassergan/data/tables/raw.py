"""What a reader of tables hands on: columns as they stand in the file, before anything is decided about them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    whole: bool = False
    unit: int = 1


@dataclass(frozen=True)
class RawTable:
    """Columns of one length, and how to write a file like the one they came from.

    Args:
        name: what to call the table.
        columns: in the order of the file.
        rows: how many.
        dialect: of a CSV file: delimiter and encoding.
        arrow_schema: of an Arrow table, serialised, base64; else empty.
        first_line: the line of a CSV file in which row 0 stands; 0 for files without lines.
    """

    name: str
    columns: tuple[TextColumn | TypedColumn, ...]
    rows: int
    dialect: dict[str, str] = field(default_factory=dict)
    arrow_schema: str = ""
    first_line: int = 0

    def place(self, row: int) -> str:
        """How a reader finds a row."""
        return f"line {row + self.first_line}" if self.first_line else f"row {row}"
