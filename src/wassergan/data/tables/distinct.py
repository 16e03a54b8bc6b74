"""Different values of a column, found by sorting: a table of millions of them takes several times their size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The different ones of values (n,), none of them NaN, ascending."""
    ordered = np.sort(values)
    return ordered[_are_first(ordered)]


def counted(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The different ones of values (n,), of which some are not NaN, ascending without NaN; how often each occurs."""
    ordered = values[~np.isnan(values)]
    ordered.sort()
    starts, count = np.flatnonzero(_are_first(ordered)), len(ordered)
    found = ordered[starts]
    del ordered
    counts = np.empty_like(starts)
    counts[-1] = count - starts[-1]
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    return found, counts


def _are_first(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    are_first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=are_first[1:])
    return are_first
