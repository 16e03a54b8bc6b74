"""Column by column: the distance of the values of two samples, and impossible values."""

from collections.abc import Sequence

import numpy as np

from wassergan.evaluation.tables.columns import Rows, TableColumn


def invalid_share(columns: Sequence[TableColumn], rows: Rows) -> float:
    """The share of the rows (n, columns) with at least one impossible value."""
    return float(np.any([column.invalid(rows[:, i]) for i, column in enumerate(columns)], axis=0).mean())


def marginal_distance(column: TableColumn, first: Rows, second: Rows) -> float:
    """The distance of two samples of one column, (n,) and (m,): from 0, equal, to 1, nothing in common.

    Categories: the total variation ½ Σ |p - q| over the levels, missing ones being a level of their own. Numbers and
    dates: the Kolmogorov distance, the largest gap between the distribution functions of the values that are present.
    """
    if column.levels:
        count = len(column.levels) + 2
        shares = [np.bincount(column.level_codes(each), minlength=count) / len(each) for each in (first, second)]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)
    there = [np.sort(each[~np.isnan(each)]) for each in (first, second)]
    if not min(map(len, there)):
        return float(len(there[0]) != len(there[1]))
    values = np.concatenate(there)
    below = [np.searchsorted(each, values, side="right") / len(each) for each in there]
    return float(np.abs(below[0] - below[1]).max())


def missing_gap(first: Rows, second: Rows) -> float:
    """The largest difference over the columns between the shares of missing values."""
    return float(np.abs(np.isnan(first).mean(0) - np.isnan(second).mean(0)).max())
