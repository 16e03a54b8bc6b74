"""Column by column: the distance of the values of two samples, and impossible values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wassergan.evaluation.tables.columns import Codes, Rows, TableColumn, Weights


def invalid_share(columns: Sequence[TableColumn], rows: Rows, weights: Weights | None = None) -> float:
    """The share of the rows (n, columns) with at least one impossible value."""
    wrong = np.any([column.invalid(rows[:, i]) for i, column in enumerate(columns)], axis=0)
    return float(np.average(wrong, weights=weights))


def marginal_distance(
    column: TableColumn,
    first: Rows,
    second: Rows,
    weights: tuple[Weights | None, Weights | None] = (None, None),
) -> float:
    """The distance of two samples of one column, (n,) and (m,): from 0, equal, to 1, nothing in common.

    Categories: the total variation ½ Σ |p - q| over the levels, missing ones being a level of their own. Numbers and
    dates: the Kolmogorov distance, the largest gap between the distribution functions of the values that are present.

    Args:
        column: says what the values are.
        first: one sample.
        second: the other.
        weights: with which the values of each count; None for one each.
    """
    if column.levels:
        codes = [column.level_codes(each) for each in (first, second)]
        shares = [_shares(each, counted, len(column.levels) + 2) for each, counted in zip(codes, weights, strict=True)]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)
    present = [_counts(each, counted) for each, counted in zip((first, second), weights, strict=True)]
    there = [each[here] for each, here in zip((first, second), present, strict=True)]
    if not min(map(len, there)):
        return float(len(there[0]) != len(there[1]))
    counts = [each if each is None else each[here] for each, here in zip(weights, present, strict=True)]
    values = np.concatenate(there)
    below = [_below(each, counted, values) for each, counted in zip(there, counts, strict=True)]
    return float(np.abs(below[0] - below[1]).max())


def _shares(codes: Codes, weights: Weights | None, count: int) -> Rows:
    counts = np.bincount(codes, weights, minlength=count)
    return np.asarray(counts / counts.sum(), np.float64)


def _counts(values: Rows, weights: Weights | None) -> NDArray[np.bool_]:
    """Which values are there and have a weight."""
    there = ~np.isnan(values)
    return there if weights is None else there & (weights > 0)


def _below(sample: Rows, weights: Weights | None, values: Rows) -> Rows:
    """The distribution function of a sample at some values."""
    order = np.argsort(sample, kind="stable")
    places = np.searchsorted(sample[order], values, side="right")
    if weights is None:
        return places / len(sample)
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    return np.asarray(total[places] / total[-1], np.float64)


def missing_gap(first: Rows, second: Rows, weights: tuple[Weights | None, Weights | None] = (None, None)) -> float:
    """The largest difference over the columns between the shares of missing values."""
    pairs = zip((first, second), weights, strict=True)
    shares = [np.average(np.isnan(each), axis=0, weights=counted) for each, counted in pairs]
    return float(np.abs(shares[0] - shares[1]).max())
