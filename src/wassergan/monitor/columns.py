"""Drift of single columns: how far each moved, where to, in its own unit, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.common_columns import CommonColumn
from wassergan.distances.one_dimensional import wasserstein_line
from wassergan.errors import UserError
from wassergan.monitor.correction import corrected
from wassergan.monitor.permutation import Floats, exact_p_value, generator
from wassergan.monitor.witness import witness_bound

MOST_TESTED = 5_000  # rows of the smaller sample that take part in a test; the distance itself uses all
MOST_PERMUTATIONS = 10_000
_BLOCK = 2**19


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column of a batch is from that of the reference.

    Attributes:
        name: of the column.
        kind: `number`, `date` or `category`.
        unit: of `w1`: empty for plain numbers, `days` or `seconds` of dates, `share` of rows for categories.
        w1: exact W1 of all values that are there; of categories, the total variation, missing being a level. None if
            one side has no values.
        floor: mean of `w1` for samples of these sizes drawn from the pooled values, in the same unit.
        lower: finite-sample lower confidence bound on W1 of the distributions, at the monitor's confidence for this
            column alone; None for categories.
        p_value: of the values, exact; None if one side has none.
        adjusted: the same, corrected for the number of tests of this batch.
        shift: mean of the batch minus that of the reference, in the column's unit; None for categories.
        direction: `up`, `down`, `wider`, `narrower`, `reshaped`; of categories, the level that changed most.
        missing_reference: share of the reference's values that are missing.
        missing_batch: of the batch's.
        missing_p_value: of the difference of these shares, exact; None if nothing is missing, and for categories.
        missing_adjusted: the same, corrected.
        moved: an adjusted p-value is at most alpha.
    """

    name: str
    kind: str
    unit: str
    missing_reference: float
    missing_batch: float
    w1: float | None = None
    floor: float | None = None
    lower: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    shift: float | None = None
    direction: str = ""
    missing_p_value: float | None = None
    missing_adjusted: float | None = None
    moved: bool = False

    def words(self) -> str:
        """One sentence."""
        unit = f" {self.unit}" if self.unit else ""
        parts = []
        if self.w1 is not None and self.adjusted is not None:
            floor = f", {self.floor:.3g} by chance" if self.floor is not None else ""
            parts.append(f"{self.direction}, W1 {self.w1:.4g}{unit}{floor}, p {self.adjusted:.2g} corrected")
        elif self.kind != "category":
            parts.append("no values on one side")
        if self.missing_adjusted is not None:
            parts.append(
                f"missing {self.missing_reference:.3g} -> {self.missing_batch:.3g}, p {self.missing_adjusted:.2g}"
            )
        return f"{self.name}: {'; '.join(parts)}"


def column_drifts(
    columns: Sequence[CommonColumn],
    *,
    alpha: float,
    confidence: float,
    permutations: int,
    correction: str,
    seed: tuple[int, ...],
) -> tuple[ColumnDrift, ...]:
    """The drift of each column from x, the reference, to y, the batch; those that moved first, the surest first.

    Args:
        columns: of both.
        alpha: a column moved if its corrected p-value is at most this.
        confidence: of each lower bound.
        permutations: at least; more where the correction needs them.
        correction: see `corrected`.
        seed: of permutations and splits.
    """
    tests = sum(1 + (each.kind != "category") for each in columns)
    count = min(MOST_PERMUTATIONS, max(permutations, math.ceil(2 * tests / alpha)))
    draws = _Subsets(count, seed)
    found = [_drift(each, draws, confidence, (*seed, place)) for place, each in enumerate(columns)]
    p_values = [p for each in found for p in (each.p_value, each.missing_p_value) if p is not None]
    adjusted = iter(corrected(p_values, correction))
    marked = []
    for each in found:
        own, gone = (None if p is None else next(adjusted) for p in (each.p_value, each.missing_p_value))
        moved = min(p for p in (own, gone, 1.0) if p is not None) <= alpha
        marked.append(replace(each, adjusted=own, missing_adjusted=gone, moved=moved))
    return tuple(sorted(marked, key=lambda each: (not each.moved, min(each.p_value or 1, each.missing_p_value or 1))))


class _Subsets:
    """Random sorted subsets, the same for all columns of the same numbers of values."""

    def __init__(self, count: int, seed: tuple[int, ...]) -> None:
        self.count, self._seed = count, seed
        self._drawn: dict[tuple[int, int], NDArray[np.int32]] = {}

    def of(self, total: int, size: int) -> NDArray[np.int32]:
        """`count` uniform subsets of so many of range(total), each in ascending order, (count, size)."""
        if (total, size) not in self._drawn:
            rng = generator(*self._seed, total, size)
            self._drawn = {
                (total, size): np.sort(
                    np.stack(
                        [
                            rng.choice(total, size, replace=False, shuffle=False).astype(np.int32)
                            for _ in range(self.count)
                        ]
                    ),
                    axis=1,
                )
            }
        return self._drawn[total, size]

    def shares(self, totals: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """How many of each level are among `size` rows drawn from all, (count, levels)."""
        rng = generator(*self._seed, size, len(totals))
        return rng.multivariate_hypergeometric(totals, size, size=self.count, method="marginals")


def _drift(column: CommonColumn, draws: _Subsets, confidence: float, seed: tuple[int, ...]) -> ColumnDrift:
    gone = [float(np.isnan(values).mean()) for values in (column.x, column.y)]
    if column.kind == "category":
        return _level_drift(column, draws, gone)
    x, y = (values[~np.isnan(values)] for values in (column.x, column.y))
    missing = None
    if max(gone) > 0:
        counts = np.array([[len(values) - len(there), len(there)]
                           for values, there in ((column.x, x), (column.y, y))])  # fmt: skip
        missing = _shares_p_value(counts, draws)[0]
    found = ColumnDrift(column.name, column.kind, column.unit, gone[0], gone[1], missing_p_value=missing)
    if min(len(x), len(y)) == 0:
        return found
    with np.errstate(over="ignore"):
        if not np.isfinite(max(x.max(), y.max()) - min(x.min(), y.min())):
            raise UserError(f"The numbers of column {column.name} are too large", hint="rescale them")
    w1, shift = wasserstein_line(x, y).item(), _mean(y) - _mean(x)
    p_value, floor = line_p_value(x, y, draws, generator(*seed, 3))
    line = np.ones((1, 1))
    lower = witness_bound(x[:, None], y[:, None], line, largest=False, confidence=confidence, rng=generator(*seed, 4))
    direction = _direction(x, y, shift, w1)
    return replace(found, w1=w1, floor=floor, lower=min(lower, w1), p_value=p_value, shift=shift, direction=direction)


def _mean(values: Floats) -> float:
    middle = float(values[0])
    return middle + float((values - middle).mean())


def _direction(x: Floats, y: Floats, shift: float, w1: float) -> str:
    """W1 is at least the distance of the means: a shift is what accounts for half of it."""
    if w1 == 0:
        return "unchanged"
    if abs(shift) >= 0.5 * w1:
        return "up" if shift > 0 else "down"
    apart = [float(np.abs(each - np.median(each)).mean()) for each in (x, y)]
    if max(apart) > 1.05 * min(apart):
        return "wider" if apart[1] > apart[0] else "narrower"
    return "reshaped"


def line_p_value(x: Floats, y: Floats, draws: _Subsets, rng: np.random.Generator) -> tuple[float, float]:
    """The exact p-value of W1 on the line, and the mean of W1 over the assignments."""
    if min(len(x), len(y)) > MOST_TESTED:
        x, y = (values[rng.choice(len(values), MOST_TESTED, replace=False)] for values in (x, y))
    if len(x) < len(y):
        x, y = y, x
    pooled = np.concatenate([x, y])
    order = np.argsort(pooled, kind="stable")
    gaps = np.diff(pooled[order])
    scale = float(gaps.max())
    if scale == 0:
        return 1.0, 0.0
    own = np.flatnonzero(order >= len(x))[None]
    tree = _Gaps(gaps / scale)
    (value,) = tree.w1(own)
    subsets = draws.of(len(pooled), len(y))
    step = max(1, _BLOCK // len(y))
    others = np.concatenate([tree.w1(subsets[at : at + step]) for at in range(0, len(subsets), step)])
    return exact_p_value(float(value), others, tree.rounding), float(others.mean()) * scale


class _Gaps:
    """The gaps of sorted pooled values, summed so that W1 of any subset against the rest takes a step per element.

    Between two elements of the subset the share F is constant and G grows evenly with the rank: |F - G| changes its
    sign at most once there, and both parts are differences of running sums.
    """

    def __init__(self, gaps: Floats) -> None:
        ranks = np.arange(1, len(gaps) + 1)
        self.total = len(gaps) + 1
        self._plain = np.concatenate([[0.0], np.cumsum(gaps)])
        self._ranked = np.concatenate([[0.0], np.cumsum(ranks * gaps)])
        self.rounding = 16 * float(np.finfo(np.float64).eps) * self.total**0.5 * float(self._plain[-1])

    def w1(self, subsets: NDArray[Any]) -> Floats:
        """W1 between each subset and the rest, (b,), for sorted ranks (b, k)."""
        size, last = subsets.shape[1], self.total - 1
        count = np.arange(size + 1)
        ends = np.concatenate([subsets, np.full((len(subsets), 1), last)], axis=1)
        np.minimum(ends, last, out=ends)
        starts = np.concatenate([np.zeros((len(subsets), 1), np.int64), ends[:, :-1]], axis=1)
        turn = np.clip(count * self.total // size, starts, ends)

        def area(at: NDArray[Any]) -> Floats:
            return np.asarray(count * self.total * self._plain[at] - size * self._ranked[at])

        found = (2 * area(turn) - area(starts) - area(ends)).sum(axis=1) / (size * (self.total - size))
        return np.asarray(np.maximum(found, 0.0))


def _shares_p_value(counts: NDArray[np.int64], draws: _Subsets) -> tuple[float, float, float]:
    """The exact p-value of the total variation between two rows of counts of levels; that distance; its mean by chance.

    Compared in whole numbers: |a_l N - c_l k| is an integer.
    """
    size, totals = int(counts[1].sum()), counts.sum(axis=0)
    rest = int(counts[0].sum())
    whole = size + rest
    apart = int(np.abs(counts[1] * whole - totals * size).sum())
    others = np.abs(draws.shares(totals, size) * whole - totals * size).sum(axis=1)
    unit = 2 * size * rest
    return exact_p_value(apart, others.astype(np.float64)), apart / unit, float(others.mean()) / unit


def _level_drift(column: CommonColumn, draws: _Subsets, gone: list[float]) -> ColumnDrift:
    names = [*column.levels, "(missing)"]
    counts = np.stack(
        [
            np.bincount(np.where(np.isnan(values), len(column.levels), values).astype(np.int64), minlength=len(names))
            for values in (column.x, column.y)
        ]
    )
    used = np.flatnonzero(counts.sum(axis=0))
    counts = counts[:, used]
    p_value, variation, floor = _shares_p_value(counts, draws)
    sizes = counts.sum(axis=1)
    shares = counts / sizes[:, None]
    most = int(np.abs(counts[1] * sizes[0] - counts[0] * sizes[1]).argmax())  # whole numbers: ties are exact
    direction = f"{names[used[most]]} {shares[0, most]:.3g} -> {shares[1, most]:.3g}" if variation > 0 else "unchanged"
    return ColumnDrift(
        column.name,
        "category",
        "share",
        gone[0],
        gone[1],
        w1=variation,
        floor=floor,
        p_value=p_value,
        direction=direction,
    )
