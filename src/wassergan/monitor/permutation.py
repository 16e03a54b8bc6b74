"""Permutation tests: p-values that are exact at every sample size, for any distribution of the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

_BLOCK = 2**18  # labels drawn and used together: they stay in the processor's cache


class Statistic(Protocol):
    """A distance between the rows that carry a label and the others, over fixed pooled rows."""

    def of(self, labels: Labels) -> Floats:
        """The values (b,) for labels (b, N), each with the same number of true entries."""

    def rounding(self, value: float) -> float:
        """How far below a value another may be computed although it is equal."""


@dataclass(frozen=True)
class Permuted:
    """A statistic and what it is for other assignments of the same rows to the two samples.

    Attributes:
        value: of the samples as they are.
        others: for random assignments, shape (B,).
        p_value: (1 + #{others ≥ value}) / (1 + B).
    """

    value: float
    others: Floats
    p_value: float


def permutation_test(statistic: Statistic, n: int, m: int, *, permutations: int, rng: np.random.Generator) -> Permuted:
    """Compare a statistic with its values for random assignments of the pooled rows to samples of n and m.

    If the n + m rows are exchangeable, P(p ≤ a) ≤ a for every a, whatever their distribution (Phipson and Smyth 2010,
    arXiv 1603.05766). Values that may differ by rounding alone count as equal.

    Args:
        statistic: over the pooled rows, the first n of which are the first sample.
        n: rows of the first sample.
        m: rows of the second.
        permutations: B, at least 1.
        rng: draws the assignments.
    """
    (value,) = statistic.of((np.arange(n + m) < n)[None])
    others = np.concatenate([statistic.of(each) for each in random_labels(n, m, permutations, rng)])
    return Permuted(float(value), others, exact_p_value(float(value), others, statistic.rounding(float(value))))


def exact_p_value(value: float, others: Floats, rounding: float = 0.0) -> float:
    """(1 + #{others ≥ value}) / (1 + B), where a value within `rounding` below counts as equal."""
    return float((1 + np.count_nonzero(others >= value - rounding)) / (1 + len(others)))


def random_labels(n: int, m: int, count: int, rng: np.random.Generator) -> Iterator[Labels]:
    """Blocks (b, n + m) of uniform assignments with n true entries each, `count` in all."""
    first = np.arange(n + m) < n
    at_once = max(1, _BLOCK // (n + m))
    for start in range(0, count, at_once):
        yield rng.permuted(np.broadcast_to(first, (min(at_once, count - start), n + m)), axis=1)


def generator(seed: int, *more: int) -> np.random.Generator:
    """The random stream of a seed and of what tells apart its uses."""
    return np.random.default_rng(np.random.SeedSequence([seed, *more]))


def _signed(labels: Labels, n: int) -> NDArray[Any]:
    """N where labelled and 0 elsewhere, minus n: running sums are n m (F - G), exact in integers."""
    total = labels.shape[1]
    kind = np.int32 if total * n < 2**31 else np.int64
    signed: NDArray[Any] = np.where(labels, np.array(total - n, kind), np.array(-n, kind))
    return signed


class Lines:
    """W1 along lines: the pooled rows are sorted once per line, each assignment costs one running sum.

    ∫ |F - G| dt = Σ_k |F(z_k) - G(z_k)| (z_k+1 - z_k) over the sorted pooled values z (Vallender 1974).
    """

    def __init__(self, projected: Floats) -> None:
        """Sort the pooled rows.

        Args:
            projected: their values on each line, (lines, N).
        """
        self.order = np.argsort(projected, axis=1, kind="stable")
        self.gaps = np.diff(np.take_along_axis(projected, self.order, axis=1), axis=1)
        self._size = float(np.abs(projected).mean(axis=1).max()) if projected.size else 0.0

    def along(self, labels: Labels) -> Floats:
        """W1 on each line, (b, lines)."""
        n = int(labels[0].sum())
        signed = _signed(labels, n)
        total = signed.shape[1]
        found = np.empty((len(labels), len(self.order)))
        running = np.empty((len(labels), total - 1), signed.dtype)
        for line, order in enumerate(self.order):
            np.take(signed, order[:-1], axis=1, out=running, mode="clip")
            np.cumsum(running, axis=1, out=running)
            np.abs(running, out=running)
            found[:, line] = running.astype(np.float64) @ self.gaps[line]
        return np.asarray(found / (n * (total - n)), np.float64)

    def rounding(self, value: float) -> float:
        """Of a sum of nonnegative terms, and of the projected values themselves."""
        eps = float(np.finfo(np.float64).eps)
        return float(4 * eps * ((self.order.shape[1] + 64) * value + 64 * self._size))


class MeanOfLines(Lines):
    """The mean over lines: sliced W1, and W1 itself where there is one line."""

    def of(self, labels: Labels) -> Floats:
        """The mean, (b,)."""
        return np.asarray(self.along(labels).mean(axis=1))


class LargestOfLines(Lines):
    """The largest over lines: max-sliced W1 over a fixed set of directions."""

    def of(self, labels: Labels) -> Floats:
        """The largest, (b,)."""
        return np.asarray(self.along(labels).max(axis=1))


class RankProducts:
    """How far apart the means of the product of two columns' ranks are, for pairs of columns.

    Ranks among the pooled rows (equal values share theirs) are centred and counted in halves, so that sums of products
    are whole numbers and equal assignments get equal values, bit for bit.
    """

    def __init__(self, rows: Floats, pairs: NDArray[np.int64]) -> None:
        """Rank each column.

        Args:
            rows: the pooled rows, (N, d).
            pairs: two columns each, (k, 2).
        """
        ranks = np.stack([_centred_ranks(each) for each in rows.T], axis=1)
        self._products = ranks[:, pairs[:, 0]] * ranks[:, pairs[:, 1]]

    def along(self, labels: Labels) -> Floats:
        """The distance of the means for each pair, (b, k), in units of the squared number of rows."""
        n, total = int(labels[0].sum()), labels.shape[1]
        inside = labels.astype(np.float64) @ self._products
        apart = np.abs(inside * total - self._products.sum(axis=0) * n)
        return np.asarray(apart / (n * (total - n)) / total**2)


def _centred_ranks(values: Floats) -> Floats:
    """Twice the rank less its mean: how many are smaller, minus how many are larger."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((2 * ends - counts - len(values))[places.ravel()], np.float64)
