"""Rank histograms: where the truth stands among its draws, with a band that knows of dependence within a case."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.evaluation.given.ensembles import Ensembles

REPLICATES = 1000
LEVEL = 0.95
MOST_PLACES = 4096  # of a case whose ranks are counted


@dataclass(frozen=True)
class RankHistogram:
    """Shares of the ranks 0..K of the truth among K draws, and the range of each if the truth were one of the draws.

    Attributes:
        shares: (K + 1,), 1 in sum.
        low: (K + 1,) lower end of the band of 95 % at each rank.
        high: upper end.
        centre: mean rank over K; 0.5 for a calibrated ensemble.
        centre_band: of 99 %.
        spread: variance of the ranks over that of the uniform distribution; 1 for a calibrated ensemble.
        spread_band: of 99 %.
    """

    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    centre: float
    centre_band: tuple[float, float]
    spread: float
    spread_band: tuple[float, float]

    @property
    def within(self) -> float:
        """Share of the ranks whose number is in the band."""
        return float(((self.shares >= self.low) & (self.shares <= self.high)).mean())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            **{name: getattr(self, name).tolist() for name in ("shares", "low", "high")},
            "within": self.within,
            "centre": self.centre,
            "centre_band": list(self.centre_band),
            "spread": self.spread,
            "spread_band": list(self.spread_band),
        }


def rank_histogram(ensembles: Ensembles, *, seed: int) -> RankHistogram:
    """The rank histogram of some ensembles.

    If the truth is one more draw, any of the K + 1 may stand in its place. So the band comes from histograms in which
    one of them, chosen for each case, does: it holds whatever the dependence between the numbers of a case, for
    independent cases. Equal values are ranked at random.

    Args:
        ensembles: K draws for each case.
        seed: of ties, of the numbers that are looked at in large cases, and of the band.
    """
    rng = np.random.default_rng(seed)
    counts = _counts(ensembles, rng)
    cases, members, _ = counts.shape
    chosen = rng.integers(0, members, (REPLICATES, cases))
    own = _shares(counts[:, 0].sum(0))
    others = np.stack([_shares(counts[np.arange(cases), each].sum(0)) for each in chosen])
    ends = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    low, high = np.percentile(others, ends, axis=0)
    (centre, spread), drawn = _moments(own), np.array([_moments(each) for each in others])
    bands = np.percentile(drawn, (0.5, 99.5), axis=0)
    return RankHistogram(
        own,
        low,
        high,
        centre,
        (float(bands[0, 0]), float(bands[1, 0])),
        spread,
        (float(bands[0, 1]), float(bands[1, 1])),
    )


def _counts(ensembles: Ensembles, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, K + 1, K + 1): how often each member of a case, the truth first, has each rank among all of them."""
    draws, truth = ensembles.flat()
    places = rng.permutation(truth.shape[1])[:MOST_PLACES]
    members = ensembles.count + 1
    found = np.zeros((len(truth), members, members), np.int64)
    for case in range(len(truth)):
        values = np.concatenate([truth[case : case + 1, places], draws[case][:, places]])
        values = values[:, ~np.isnan(values[0])]
        order = np.lexsort((rng.random(values.shape), values), axis=0)
        for rank in range(members):
            found[case, :, rank] = np.bincount(order[rank], minlength=members)
    return found


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = counts / counts.sum()
    return found


def _moments(shares: NDArray[np.float64]) -> tuple[float, float]:
    """Mean rank over K; variance about the middle over that of the uniform distribution."""
    last = len(shares) - 1
    ranks = np.arange(last + 1)
    centre = float(shares @ ranks) / last
    variance = float(shares @ np.square(ranks - centre * last))
    return centre, variance / ((last + 1) ** 2 - 1) * 12
