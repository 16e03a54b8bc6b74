"""Several draws for each condition beside its truth, and how near they are: the fair CRPS."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wassergan.errors import UserError

Values = NDArray[np.float64]
LEAST_DRAWS = 2


@dataclass(frozen=True)
class Ensembles:
    """Draws under some conditions, and what was true under each.

    Args:
        draws: (n, K, C, ...), K at least 2; NaN where a value is missing.
        truth: (n, C, ...).
    """

    draws: Values
    truth: Values

    def __post_init__(self) -> None:
        own = (self.draws.shape[0], *self.draws.shape[2:])
        if self.draws.ndim < 3 or own != self.truth.shape or self.draws.shape[1] < LEAST_DRAWS or not len(self.truth):
            raise UserError(
                "Draws and truths do not belong together",
                found=f"{self.draws.shape} and {self.truth.shape}",
                hint=f"give (n, K, C, ...) draws, K at least {LEAST_DRAWS}, and (n, C, ...) truths",
            )

    @property
    def count(self) -> int:
        """Draws for each condition."""
        return int(self.draws.shape[1])

    def in_units_of(self, unit: Values) -> "Ensembles":
        """The same with each channel divided by a number, (C,)."""
        shape = (-1, *[1] * (self.truth.ndim - 2))
        return Ensembles(self.draws / unit.reshape(shape), self.truth / unit.reshape(shape))

    def flat(self) -> tuple[Values, Values]:
        """Draws (n, K, P) and truths (n, P) with the numbers of a case in a row; all NaN where one is missing."""
        draws, truth = self.draws.reshape(*self.draws.shape[:2], -1), self.truth.reshape(len(self.truth), -1)
        gone = np.isnan(draws).any(1) | np.isnan(truth)
        if gone.all():
            raise UserError(
                "No value is there in all draws and the truth of a case",
                hint="evaluate on samples with fewer missing values",
            )
        if not gone.any():
            return draws, truth
        return np.where(gone[:, None], np.nan, draws), np.where(gone, np.nan, truth)

    def with_draw_as_truth(self, member: int) -> "Ensembles":
        """The others judged against one of the draws: what a perfectly calibrated ensemble would get."""
        return Ensembles(np.delete(self.draws, member, 1), self.draws[:, member])


def fair_crps(ensembles: Ensembles) -> Values:
    """The continuous ranked probability score of each case, in the mean over its numbers, (n,).

    E|x - y| - E|x - x'| / 2 with both means unbiased for the distribution that the draws come from, the second over
    pairs of different draws, so that it does not depend on their number. Cases
    that miss all values are left out. Source: Ferro 2014, doi 10.1002/qj.2270.

    Args:
        ensembles: K draws for each case.
    """
    draws, truth = ensembles.flat()
    count = ensembles.count
    errors = np.abs(draws - truth[:, None]).mean(1)
    weights = 2 * np.arange(count) - count + 1  # of sorted draws in the sum of |x_i - x_j| over i < j
    pairs = np.einsum("nkp,k->np", np.sort(draws, axis=1), weights)
    return mean_of_cases(errors - pairs / (count * (count - 1)))


def mean_of_cases(values: Values) -> Values:
    """The mean over the numbers of each case (n, P) that are there, of those cases that have some."""
    there = ~np.isnan(values)
    some = there.any(1)
    found: Values = np.where(there, values, 0.0).sum(1)[some] / there.sum(1)[some]
    return found


def standard_error(values: Values) -> float:
    """Of a mean over independent cases."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def shuffled(ensembles: Ensembles, *, seed: int) -> Ensembles:
    """Every truth beside the draws for another condition; none keeps its own where there are two or more."""
    count = len(ensembles.truth)
    order = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, np.int64)
    other[order] = np.roll(order, 1)
    return replace(ensembles, draws=ensembles.draws[other])


def spread_over_error(ensembles: Ensembles) -> float:
    """The draws' deviation over the error of their mean, as it would be 1 for the distribution of the truth.

    √((K + 1) / K · mean variance) / root mean square error. Source: Fortin et al. 2014, doi 10.1175/JHM-D-14-0008.1.
    """
    draws, truth = ensembles.flat()
    count = ensembles.count
    variance = np.nanmean(draws.var(1, ddof=1))
    error = np.nanmean(np.square(draws.mean(1) - truth))
    return float(np.sqrt((count + 1) / count * variance / error)) if error > 0 else math.inf
