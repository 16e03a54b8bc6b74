"""How much of a distance single columns explain: batches with the margins of the reference."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.common_columns import CommonColumn
from wassergan.monitor.permutation import Floats


def with_margins_of_x(
    columns: Sequence[CommonColumn], rows: NDArray[np.int64], rng: np.random.Generator
) -> list[CommonColumn]:
    """Columns whose y, at these rows, has the distribution of x in each column, and the order within its own.

    Numbers are mapped by rank. Of levels, and of missing values, as few random rows change as need be.
    """
    return [replace(each, y=_aligned(each, each.y[rows], rng)) for each in columns]


def _aligned(column: CommonColumn, y: Floats, rng: np.random.Generator) -> Floats:
    x = column.x
    if column.kind == "category":
        return _levels(np.where(np.isnan(x), -1, x), np.where(np.isnan(y), -1, y), rng)
    there = np.sort(x[~np.isnan(x)])
    gone = _levels(np.isnan(x).astype(float), np.isnan(y).astype(float), rng)
    aligned = np.full(len(y), np.nan)
    own = np.isnan(gone) | (gone == 1)
    keep = ~own
    if len(there) and keep.any():
        values = np.where(np.isnan(y), rng.choice(there, len(y)), y)[keep]
        # Equal values get ranks in random order: ties of a column of few values are spread over the levels of x.
        order = np.lexsort((rng.random(len(values)), values))
        ranks = np.empty(len(values))
        ranks[order] = (np.arange(len(values)) + 0.5) / len(values)
        aligned[keep] = there[np.minimum((ranks * len(there)).astype(np.int64), len(there) - 1)]
    return aligned


def _levels(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Levels y with as few changed as give the shares of x, to whole rows; -1 is missing, NaN in the result."""
    names = np.unique(np.concatenate([x, y]))
    wanted = np.array([(x == name).mean() for name in names]) * len(y)
    counts = np.floor(wanted).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: len(y) - counts.sum()]] += 1
    found = y.copy()
    spare: list[NDArray[np.int64]] = []
    lacking: list[Floats] = []
    for name, count in zip(names, counts, strict=True):
        own = np.flatnonzero(y == name)
        if len(own) > count:
            spare.append(rng.permutation(own)[count:])
        lacking.append(np.full(max(0, count - len(own)), name))
    places = np.concatenate(spare) if spare else np.zeros(0, np.int64)
    found[rng.permutation(places)] = np.concatenate(lacking)
    return np.where(found == -1, np.nan, found)
