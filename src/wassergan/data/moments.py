"""Mean, deviation, range and repeated extremes of the numbers that vary, for each feature, each channel or all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wassergan.data.codec import as_tensor, channels_first
from wassergan.data.parts import is_missing
from wassergan.data.survey import Blocks, Rows

Numbers = NDArray[np.float64]


class Reduce(Protocol):
    """A reduction of NumPy over some axes."""

    def __call__(self, values: Any, /, *, axis: tuple[int, ...], keepdims: bool) -> Any:
        """As `np.sum` and its like."""


@dataclass(frozen=True)
class Extreme:
    """The smallest or the largest value of a group.

    Attributes:
        value: itself.
        count: how often it occurs.
        following: the nearest other value.
        other: the far end of the rest.
    """

    value: float
    count: int
    following: float
    other: float


@dataclass(frozen=True)
class Moments:
    """Of the values that are there and vary, in float64; shapes broadcast against a sample, channels first.

    Attributes:
        counts: how many values.
        mean: 0 where there is none.
        deviation: 0 where all are equal.
        smallest: of them.
        largest: of them.
        lowest: for each group, how the smallest stands to the rest.
        highest: for each group, how the largest does.
    """

    counts: NDArray[np.int64]
    mean: Numbers
    deviation: Numbers
    smallest: Numbers
    largest: Numbers
    lowest: tuple[Extreme | None, ...]
    highest: tuple[Extreme | None, ...]


class _Positions:
    """Blocks of rows as float64, with what is missing, and where positions do not vary, masked."""

    def __init__(
        self, blocks: Blocks, layout: str, codes: Sequence[int | float], base: int, active: NDArray[np.bool_]
    ) -> None:
        self._blocks, self._layout, self._codes, self._base = blocks, layout, codes, base
        self.active = active

    def __iter__(self) -> Any:
        for block in self._blocks():
            rows = channels_first(block, self._layout)
            gone = is_missing(as_tensor(rows), self._codes).numpy() if self._codes or rows.dtype.kind == "f" else None
            use = np.broadcast_to(self.active, rows.shape)
            if gone is not None and gone.any():
                use = use & ~gone
            yield centred(rows, self._base), use if not use.all() else True


def centred(rows: Rows, base: int) -> Numbers:
    """Rows less a whole number, in float64: whole numbers beyond 2^53 lose nothing."""
    return (rows.astype(np.int64) - base if base else rows).astype(np.float64)  # unsigned numbers would wrap around


def moments(
    blocks: Blocks,
    layout: str,
    *,
    axes: tuple[int, ...],
    codes: Sequence[int | float],
    active: NDArray[np.bool_],
    base: int = 0,
) -> Moments:
    """Two passes over all rows, for accuracy.

    Args:
        blocks: rows (k, ...) in the user's layout.
        layout: the user's axes.
        axes: of a sample, channels first, over which values are taken together.
        codes: values besides NaN that mean missing.
        active: positions that vary.
        base: subtracted from whole numbers first; all results are less it.
    """
    positions = _Positions(blocks, layout, codes, base, active)
    shape = active.shape
    counts, total = np.zeros(shape, np.int64), np.zeros(shape)
    smallest, largest = np.full(shape, np.inf), np.full(shape, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for values, use in positions:
            counts += len(values) if use is True else use.sum(0)
            total += values.sum(0, where=use)
            smallest = np.minimum(smallest, values.min(0, where=use, initial=np.inf))
            largest = np.maximum(largest, values.max(0, where=use, initial=-np.inf))

        def grouped(reduce: Reduce, each: Any) -> Any:
            return reduce(each, axis=axes, keepdims=True)

        count = grouped(np.sum, counts)
        mean = grouped(np.sum, total) / np.maximum(count, 1)
        low, high = grouped(np.min, smallest), grouped(np.max, largest)
        some = count > 0
        low, high = np.where(some, low, 0.0), np.where(some, high, 0.0)
        reach = np.where(some & (high > low), np.maximum(high - mean, mean - low), 1.0)
        square, at, following = _second(positions, mean, reach, low, high)
        deviation = reach * np.sqrt(grouped(np.sum, square) / np.maximum(count, 1))
    deviation = np.where(high > low, deviation, 0.0)
    times = [grouped(np.sum, each).ravel() for each in at]
    next_ = [grouped(reduce, each).ravel() for reduce, each in zip((np.min, np.max), following, strict=True)]
    ends = (low.ravel(), high.ravel())
    lowest, highest = (
        tuple(
            Extreme(float(own), int(many), float(near), float(far)) if np.isfinite(near) else None
            for own, many, near, far in zip(ends[side], times[side], next_[side], ends[1 - side], strict=True)
        )
        for side in (0, 1)
    )
    return Moments(count, mean, deviation, low, high, lowest, highest)


def _second(
    positions: _Positions, mean: Numbers, reach: Numbers, low: Numbers, high: Numbers
) -> tuple[Numbers, list[NDArray[np.int64]], list[Numbers]]:
    """Per position: squares about the mean over `reach`, and at both ends: how many, and the nearest other value."""
    shape = positions.active.shape
    square = np.zeros(shape)
    at = [np.zeros(shape, np.int64), np.zeros(shape, np.int64)]
    following = [np.full(shape, np.inf), np.full(shape, -np.inf)]
    for values, use in positions:
        lowest, highest = values == low, values == high
        for times, there in zip(at, (lowest, highest), strict=True):
            times += (there & use).sum(0)
        following[0] = np.minimum(following[0], values.min(0, where=~lowest & use, initial=np.inf))
        following[1] = np.maximum(following[1], values.max(0, where=~highest & use, initial=-np.inf))
        values -= mean
        values /= reach
        np.square(values, out=values)
        square += values.sum(0, where=use)
    return square, at, following
