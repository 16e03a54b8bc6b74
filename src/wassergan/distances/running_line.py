"""W1 on the line between a sorted reference and numbers that come in pieces, in the memory of the reference."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.errors import UserError

Floats = NDArray[np.float64]
_EPS = float(np.finfo(np.float64).eps)


class RunningLine:
    """W1 between a reference of n numbers and a stream of m.

    Between two neighbours of the reference, F is constant, and the number and the sum of the values that fall there
    give ∫ G exactly. Where G does not cross F, that is ∫ |F - G|. Where it does, at few places, G may take any way
    between its ends: |∫ (F - G)| bounds the part from below, a step from one end to the other from above.
    """

    def __init__(self, reference: Floats) -> None:
        """Sort the reference.

        Args:
            reference: finite numbers, shape (n,), n ≥ 1.
        """
        self._points = np.sort(np.asarray(reference, np.float64))
        self.count = 0
        self._below = np.zeros(len(self._points), np.int64)  # values below each point
        self._beside = np.zeros(
            len(self._points) + 1
        )  # sums of distances to the point before; of the first part, after
        self._low, self._high = float(self._points[0]), float(self._points[-1])

    def add(self, values: Floats) -> None:
        """Take the next finite numbers, shape (k,)."""
        if len(values) == 0:
            return
        values = np.sort(np.asarray(values, np.float64))
        places = np.searchsorted(values, self._points, side="left")
        self._below += places
        starts = np.concatenate([[0], places])
        counts = np.diff(np.concatenate([starts, [len(values)]]))
        anchors = np.concatenate([self._points[:1], self._points])
        with np.errstate(over="ignore"):
            apart = np.abs(values - np.repeat(anchors, counts))
        used = counts > 0
        self._beside[used] += np.add.reduceat(apart, starts[used])
        self.count += len(values)
        self._low, self._high = min(self._low, float(values[0])), max(self._high, float(values[-1]))

    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound on W1 of all numbers so far, rounding included.

        Raises:
            UserError: no numbers yet, or an overflow.
        """
        if self.count == 0:
            raise UserError("There is no distance to no numbers", hint="give values")
        n, m = len(self._points), self.count
        gaps = np.diff(self._points)
        level = np.arange(1, n)  # of n, between two points
        before, after = self._below[:-1], self._below[1:]
        area = (after * gaps - self._beside[1:-1]) / m  # of G
        plain = np.abs(level / n * gaps - area)
        crossing = (level * m > before * n) & (level * m < after * n)
        highest = plain.copy()
        here = np.flatnonzero(crossing & (gaps > 0))
        low, high, own = before[here] / m, after[here] / m, level[here] / n
        mean = np.clip(area[here] / gaps[here], low, high)
        share = (mean - low) / (high - low)
        highest[here] = np.maximum(plain[here], gaps[here] * ((1 - share) * (own - low) + share * (high - own)))
        tails = float(self._beside[0] + self._beside[-1]) / m
        lower, upper = float(plain.sum()) + tails, float(highest.sum()) + tails
        slack = 64 * _EPS * (upper + self._high - self._low)
        if not np.isfinite([upper, slack]).all():
            raise UserError("The distance overflows", hint="rescale the numbers")
        return max(0.0, lower - slack), upper + slack

    @property
    def mean_shift(self) -> float:
        """Mean of the numbers so far minus that of the reference."""
        anchors = np.concatenate([self._points[:1], self._points])
        starts = np.concatenate([[0], self._below])
        counts = np.diff(np.concatenate([starts, [self.count]]))
        middle = float(np.median(self._points))
        signs = np.ones(len(anchors))
        signs[0] = -1.0
        total = float((counts * (anchors - middle) + signs * self._beside).sum()) / self.count
        return total - float((self._points - middle).mean())


def finite_numbers(values: NDArray[Any]) -> Floats:
    """The values that are there, (k,) in float64."""
    numbers = np.asarray(values, np.float64)
    return numbers[~np.isnan(numbers)]
