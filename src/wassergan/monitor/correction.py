"""P-values of several tests, corrected for their number."""

from collections.abc import Sequence

import numpy as np

from wassergan.errors import unknown_name

CORRECTIONS = ("holm", "benjamini-hochberg")


def corrected(p_values: Sequence[float], method: str = "holm") -> list[float]:
    """Adjusted p-values, in the order of the given ones.

    "holm" (1979): with probability 1 - a, no test whose null hypothesis holds has an adjusted p-value of at most a,
    whatever their dependence. "benjamini-hochberg" (1995): of the tests with adjusted p-values of at most a, a share of
    at most a is expected to be wrong, for independent or positively dependent tests.

    Raises:
        UserError: an unknown method.
    """
    if method not in CORRECTIONS:
        raise unknown_name("correction", str(method), CORRECTIONS)
    values = np.asarray(p_values, np.float64)
    count = len(values)
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, count + 1)
    adjusted = np.empty(count)
    if method == "holm":
        adjusted[order] = np.maximum.accumulate((count - ranks + 1) * values[order])
    else:
        adjusted[order] = np.minimum.accumulate((count / ranks * values[order])[::-1])[::-1]
    return [min(1.0, float(each)) for each in adjusted]
