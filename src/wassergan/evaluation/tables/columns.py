"""What the metrics of tables need to know about a column. Rows are (n, columns), levels as numbers, NaN for missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import TableCodec

Rows = NDArray[np.float64]
Codes = NDArray[np.int64]
Weights = NDArray[np.float64]

ROUNDING = 1e-9  # relative error of a decimal in float64


@dataclass(frozen=True)
class TableColumn:
    """One column.

    Args:
        name: of the column.
        kind: `number`, `category`, `boolean` or `date`.
        levels: what the levels are called, level i being the number i; empty for numbers and dates.
        decimals: largest number of digits behind the point; None for any number.
        low: the smallest permitted value.
        high: the largest.
        missing: whether values may be missing.
        texts: how values (k,) of a date are written; None for others.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    decimals: int | None = None
    low: float = -np.inf
    high: float = np.inf
    missing: bool = True
    texts: Callable[[Rows], Sequence[str]] | None = None

    def invalid(self, values: Rows) -> NDArray[np.bool_]:
        """Which values (n,) are impossible in this column: out of range, not rounded, no such level, or missing."""
        gone = np.isnan(values)
        there = np.where(gone, 0.0 if self.levels else np.clip(0.0, self.low, self.high), values)
        wrong: NDArray[np.bool_] = (there < self.low) | (there > self.high)
        decimals = 0 if self.levels or self.kind == "date" else self.decimals
        if decimals is not None:
            off = np.abs(there - np.round(there, decimals)) > ROUNDING * np.maximum(1, np.abs(there))
            wrong |= off & ~gone
        if self.levels:
            wrong |= (there < 0) | (there >= len(self.levels))
        wrong[gone] = not self.missing
        return wrong

    def level_codes(self, values: Rows) -> Codes:
        """Level numbers (n,); the number of levels for a missing value, one more for an unknown level."""
        count = len(self.levels)
        known = ~np.isnan(values) & (values >= 0) & (values < count) & (values == np.round(values))
        codes = np.where(known, np.where(known, values, 0), count + 1).astype(np.int64)
        codes[np.isnan(values)] = count
        return codes


def columns_of(codec: TableCodec) -> tuple[TableColumn, ...]:
    """The columns of a table's codec; the training rows, or the user's schema, define the permitted values."""
    return tuple(_column(each) for each in codec.columns)


def _column(column: Any) -> TableColumn:
    if column.names:
        return TableColumn(column.name, column.kind, column.names, 0, 0, len(column.names) - 1, column.coding.missing)
    if column.kind in ("category", "boolean"):  # without a level: an empty column
        return TableColumn(column.name, column.kind, (), None, 0, 0, column.coding.missing)
    bounds = column if column.since else column.coding
    decimals, texts = (0, column.form.texts) if column.kind == "date" else (column.form.decimals, None)
    return TableColumn(column.name, column.kind, (), decimals, bounds.low, bounds.high, column.coding.missing, texts)


def known(columns: tuple[TableColumn, ...], rows: Rows) -> Rows:
    """Rows that their codec can encode: unknown levels become missing, or the first level."""
    rows = rows.copy()
    for index, column in enumerate(columns):
        values = rows[:, index]
        if column.levels:
            values[column.level_codes(values) > len(column.levels)] = np.nan
        if not column.missing:
            values[np.isnan(values)] = 0 if column.levels else column.low
    return rows


def independent(rows: Rows, *, seed: int) -> Rows:
    """Every column of the rows shuffled separately: all marginals, and no dependence between columns."""
    numbers = np.random.default_rng(seed)
    return np.stack([numbers.permutation(rows[:, index]) for index in range(rows.shape[1])], axis=1)
