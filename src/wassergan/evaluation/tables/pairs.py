"""Association of pairs of columns: one number per pair, for columns of any kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wassergan.data.weights import effective_count
from wassergan.evaluation.tables.columns import Codes, Rows, TableColumn, Weights

MOST_COLUMNS = 40  # 780 pairs
BINS = 8  # of numbers
MOST_LEVELS = 20  # of categories; rarer ones count as one
SHOWN_OFTEN = 2  # pairs with the same column that are chosen
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Few classes for each column, fitted to real rows.

    Attributes:
        sizes: classes of each column; the last is for missing and unknown values.
    """

    columns: tuple[TableColumn, ...]
    edges: tuple[Rows, ...]
    frequent: tuple[Codes, ...]

    @classmethod
    def fit(cls, columns: Sequence[TableColumn], rows: Rows) -> "Bins":
        """Eight quantiles of numbers; the nineteen most frequent levels, and one class for all others."""
        edges, frequent = [], []
        for index, column in enumerate(columns):
            values = rows[:, index]
            there = values[~np.isnan(values)]
            quantiles = np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]) if len(there) else np.empty(0)
            edges.append(np.unique(quantiles))
            counts = np.bincount(column.level_codes(values), minlength=len(column.levels) + 2)[: len(column.levels)]
            frequent.append(np.argsort(-counts, kind="stable")[: MOST_LEVELS - 1])
        return cls(tuple(columns), tuple(edges), tuple(frequent))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Classes of each column."""
        pairs = zip(self.columns, self.frequent, self.edges, strict=True)
        return tuple(len(levels) + 2 if column.levels else len(edges) + 2 for column, levels, edges in pairs)

    def codes(self, rows: Rows) -> Codes:
        """Classes (n, columns) of rows."""
        found = np.empty(rows.shape, np.int64)
        for index, column in enumerate(self.columns):
            values = rows[:, index]
            if column.levels:
                classes = np.full(len(column.levels) + 2, len(self.frequent[index]))
                classes[self.frequent[index]] = np.arange(len(self.frequent[index]))
                classes[-2:] = len(self.frequent[index]) + 1
                found[:, index] = classes[column.level_codes(values)]
            else:
                found[:, index] = np.searchsorted(self.edges[index], values, side="left")
                found[np.isnan(values), index] = len(self.edges[index]) + 1
        return found


def associations(bins: Bins, rows: Rows, weights: Weights | None = None) -> Matrix:
    """Cramér's V of every pair of columns, corrected for bias: 0 for independent ones, 1 if each determines the other.

    V² = φ² / (min(r, c) - 1) from the table of counts, with φ² minus its mean under independence and sizes r, c
    corrected likewise. Source: Bergsma 2013, A bias-correction for Cramér's V and Tschuprow's T, section 3.

    Args:
        bins: of the columns.
        rows: (n, columns), n ≥ 2.
        weights: with which the rows count; None for one each. The correction is for as many rows of equal weight as
            tell as much.

    Returns:
        (columns, columns), symmetric, 0 on the diagonal.
    """
    codes, sizes = bins.codes(rows), bins.sizes
    found = np.zeros((len(sizes), len(sizes)))
    if weights is not None:
        weights = weights * (effective_count(weights) / weights.sum())
    for i in range(len(sizes)):
        for j in range(i):
            pair = codes[:, i] * sizes[j] + codes[:, j]
            counts = np.bincount(pair, weights, minlength=sizes[i] * sizes[j]).reshape(sizes[i], sizes[j])
            found[i, j] = found[j, i] = cramers_v(counts)
    return found


def cramers_v(counts: Codes | Matrix) -> float:
    """Cramér's V, corrected for bias, of a table of counts (r, c); 0 if a side has only one class."""
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    total, (rows, columns) = counts.sum(), counts.shape
    if min(rows, columns) < 2 or total < 2:
        return 0.0
    expected = np.outer(counts.sum(1), counts.sum(0)) / total
    square = ((counts - expected) ** 2 / expected).sum() / total
    spare = square - (rows - 1) * (columns - 1) / (total - 1)
    smaller = min(size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)) - 1
    return float(np.sqrt(min(1.0, max(0.0, spare) / smaller))) if smaller > 0 else 0.0


def association_gap(first: Matrix, second: Matrix) -> float:
    """The mean over all pairs of the difference of two matrices of associations; 0 for a single column."""
    upper = np.triu_indices(len(first), 1)
    return float(np.abs(first - second)[upper].mean()) if len(upper[0]) else 0.0


def telling_pairs(real: Matrix, fake: Matrix, *, count: int) -> list[tuple[int, int]]:
    """Up to `count` pairs to show: alternately the strongest in the real rows and those with the largest error.

    No column is in more than two of them, as long as others are left, and none that is associated with no other.

    Args:
        real: associations of real rows.
        fake: of generated ones.
        count: how many.
    """
    rows, columns = np.triu_indices(len(real), 1)
    varied: NDArray[np.bool_] = np.any(real + fake, axis=1)  # not so where a column is empty or constant
    if varied.any():
        both = varied[rows] & varied[columns]
        rows, columns = rows[both], columns[both]
    orders = [np.argsort(-key[rows, columns], kind="stable").tolist() for key in (real, np.abs(real - fake))]
    for often in (SHOWN_OFTEN, len(real)):
        chosen: list[int] = []
        seen = np.zeros(len(real), np.int64)
        for pair in (each for both in zip(*orders, strict=True) for each in both):
            i, j = rows[pair], columns[pair]
            if pair not in chosen and len(chosen) < count and max(seen[i], seen[j]) < often:
                chosen.append(pair)
                seen[[i, j]] += 1
        if len(chosen) >= min(count, len(rows)):
            break
    return [(int(rows[pair]), int(columns[pair])) for pair in chosen]
