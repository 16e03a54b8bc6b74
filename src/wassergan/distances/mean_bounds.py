"""Lower confidence bounds on E_P f - E_Q f that hold for every pair of distributions at every sample size.

The bounds use bets, not moments. `docs/concepts.md` derives them line by line, after Waudby-Smith and Ramdas 2024,
arXiv 2010.09686: their bets on one bounded mean become bets on the difference of two.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Constants that decide how tight the bound is; no value of theirs can make it wrong.
FIRST_SHARE = 0.02  # of the scores only tune the first bets if no tuning scores are given
GROWTH = 1.5  # levels, centres and bets are renewed when the past has grown by this factor
LEVEL_RISK = 4.0  # log(1 / risk) for which levels are chosen, at any confidence
LEVEL_REACH, LARGEST_BET = 0.75, 0.9  # largest capital loss at a level, for choosing levels and bets
BOLDNESS = 1.1  # relative to the bet that is best at the end: the bound is the best over all blocks
PRIOR_COUNT = 2.0  # variances are enlarged by 1 + this / count
REACH_DEVIATIONS = 2.0  # levels lie outside this many deviations of either side
LARGEST_PAST = 2**14


@dataclass(frozen=True)
class Bets:
    """Fixed before the next scores are seen: levels, centres, and the stake of all scores, each (runs, 1)."""

    low: Floats
    high: Floats
    real_centre: Floats
    fake_centre: Floats
    stake: Floats


def betting_lower_bounds(
    real: Floats,
    fake: Floats,
    *,
    confidence: float,
    real_tuning: Floats | None = None,
    fake_tuning: Floats | None = None,
    spread: float = math.inf,
) -> Floats:
    """Lower confidence bounds on the supremum over levels of E_P clip(f) - E_Q clip(f), one of each row of scores.

    The scores are cut into min(n, m) blocks. Before each block, levels a < b, centres p, q and bets λ, ν with
    λ n_k = ν m_k = c_k are fixed by the tuning scores and by the previous blocks. If E_P f_k - E_Q f_k ≤ w for the
    clipped f_k, then

        M_k = Π_{j ≤ k} Π (1 + λ (x - p)) Π (1 - ν (y - q)) exp(-c_j (w - p + q))

    is a nonnegative supermartingale that starts at 1, so the probability that it ever reaches 1 / risk is at most
    `risk` (Ville 1939).

    Args:
        real: scores at independent draws of P in an order that does not depend on their values, (runs, n), finite.
        fake: of Q, (runs, m).
        confidence: 1 - risk, in (0, 1).
        real_tuning: scores at other draws of P, (runs, any); the bounds hold for any values.
        fake_tuning: of Q; both or neither.
        spread: no two scores of a row can lie further apart; infinite if nothing is known.

    Returns:
        (runs,), none below 0.
    """
    runs, known = len(real), [0, 0]
    if real_tuning is None or fake_tuning is None:
        known = list(_first_part(real.shape[1], fake.shape[1]))
        sides = [real, fake]
    else:
        known = [real_tuning.shape[1], fake_tuning.shape[1]]
        sides = [np.concatenate(parts, axis=1) for parts in ((real_tuning, real), (fake_tuning, fake))]
    n, m = (side.shape[1] - count for side, count in zip(sides, known, strict=True))
    blocks = min(n, m)
    if blocks == 0 or 0 in known:
        return np.zeros(runs)
    scale = _power_of_two(*sides)
    x_ends, y_ends = (start + _ends(count, blocks) for start, count in zip(known, (n, m), strict=True))
    log_risk = -math.log1p(-confidence)
    with np.errstate(over="ignore"):  # of the spread alone: NumPy 1 warns of the unused lanes of a vector of scores
        x, y = (side / scale for side in sides)
        widest = spread / scale
    parts: list[tuple[Floats, Floats, Floats]] = []
    k, bets = 0, None
    while k < blocks:
        i, j = int(x_ends[k]), int(y_ends[k])
        after = min(blocks, k + math.ceil((GROWTH - 1) * blocks * min(i / n, j / m)))
        past = x[:, max(0, i - LARGEST_PAST) : i], y[:, max(0, j - LARGEST_PAST) : j]
        bets = _tuned(*past, n, m, log_risk, widest, bets)
        parts.append(_growth(bets, x, y, x_ends[k : after + 1], y_ends[k : after + 1], n, m))
        k = after
    growth, stake, size = (np.cumsum(np.concatenate(part, axis=1), axis=1) for part in zip(*parts, strict=True))
    # The error of every sum and every term is at most this; a logarithm near 1 has the rounding error of its argument.
    rounding = (64 + n + m) * float(np.finfo(np.float64).eps) * (size + log_risk + n + m)
    bounds = np.full_like(growth, -np.inf)
    np.divide(growth - log_risk - rounding, stake, out=bounds, where=stake > 0)
    lower: Floats = np.nextafter(bounds.max(1) * scale[:, 0], -np.inf)
    return np.maximum(lower, 0.0)


def _first_part(n: int, m: int) -> tuple[int, int]:
    """The number of scores of each side that tune the first bets: two or more if there are enough."""
    blocks = min(n, m)
    first = min(max(2, math.ceil(FIRST_SHARE * blocks)), max(1, blocks // 2))
    return math.ceil(first * n / blocks), math.ceil(first * m / blocks)


def _ends(count: int, blocks: int) -> Ints:
    """The block boundaries, (blocks + 1,): sizes differ by at most one."""
    return np.arange(blocks + 1) * count // blocks


def _growth(
    bets: Bets, x: Floats, y: Floats, x_ends: Ints, y_ends: Ints, n: int, m: int
) -> tuple[Floats, Floats, Floats]:
    """For each block: the logarithm of its factor of M at w = 0, its c, and the sum of the terms."""
    x_sizes, y_sizes = np.diff(x_ends), np.diff(y_ends)
    stakes = bets.stake * np.minimum(x_sizes / n, y_sizes / m)
    total = stakes * (bets.real_centre - bets.fake_centre)
    size = np.abs(total)
    for scores, ends, sizes, centre, sign in (
        (x, x_ends, x_sizes, bets.real_centre, 1.0),
        (y, y_ends, y_sizes, bets.fake_centre, -1.0),
    ):
        clipped = np.clip(scores[:, ends[0] : ends[-1]], bets.low, bets.high)
        terms = np.log1p(sign * np.repeat(stakes / sizes, sizes, axis=1) * (clipped - centre))
        starts = ends[:-1] - ends[0]
        total = total + np.add.reduceat(terms, starts, axis=1)
        size = size + np.add.reduceat(np.abs(terms), starts, axis=1)
    return total, stakes, size


def _tuned(x: Floats, y: Floats, n: int, m: int, log_risk: float, spread: Floats, before: Bets | None) -> Bets:
    """The levels, centres and stake that would have been best for the past scores.

    With s² = σ²/n + τ²/m the bound lies below the difference of the means by about log(1/risk)/c + c s²/2, least at
    c = √(2 log(1/risk)) / s. At levels n/c below the mean of P and m/c above that of Q, a score costs the whole stake.
    Levels further out would reduce the stakes, nearer ones the difference.
    """
    largest = np.maximum(x.max(1, keepdims=True), y.max(1, keepdims=True))
    smallest = np.minimum(x.min(1, keepdims=True), y.min(1, keepdims=True))
    low, high = (smallest, largest) if before is None else (before.low, before.high)
    for _ in range(3 if before is None else 1):
        x_mean, x_variance = _moments(x, low, high)
        y_mean, y_variance = _moments(y, low, high)
        error = np.sqrt(x_variance / n + y_variance / m)
        reach = LEVEL_REACH * error / (BOLDNESS * math.sqrt(2 * LEVEL_RISK))
        low = np.minimum(x_mean - reach * n, y_mean - REACH_DEVIATIONS * np.sqrt(y_variance))
        high = np.maximum(y_mean + reach * m, x_mean + REACH_DEVIATIONS * np.sqrt(x_variance))
        low, high = np.maximum(low, largest - spread), np.minimum(high, smallest + spread)
        high = np.maximum(low, high)  # rounding, or tuning scores further apart than the spread, may make them cross
    # The mean of equal numbers may differ from them by rounding, and centres lie between the levels.
    x_mean, y_mean = (np.clip(np.clip(side, low, high).mean(1, keepdims=True), low, high) for side in (x, y))
    stake = _quotient(BOLDNESS * math.sqrt(2 * log_risk), error)
    stake = np.minimum(stake, _quotient(LARGEST_BET * n, x_mean - low))
    stake = np.minimum(stake, _quotient(LARGEST_BET * m, high - y_mean))
    return Bets(low, high, x_mean, y_mean, np.where(np.isfinite(stake), stake, 0.0))


def _quotient(above: float, below: Floats) -> Floats:
    """Infinite where the denominator is 0."""
    return np.divide(above, below, out=np.full_like(below, np.inf), where=below > 0)


def _moments(scores: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Mean and enlarged variance of clipped scores, (runs, 1)."""
    clipped = np.clip(scores, low, high)
    mean = clipped.mean(1, keepdims=True)
    count = scores.shape[1]
    variance = np.square(clipped - mean).sum(1, keepdims=True) / max(1, count - 1)
    return mean, variance * (1 + PRIOR_COUNT / count)


def _power_of_two(*sides: Floats) -> Any:
    """A scale per row, (runs, 1), that changes no digit and leaves no score above 2: squares stay finite."""
    largest = np.max([np.abs(side).max(1, keepdims=True) for side in sides], axis=0)
    return np.ldexp(1.0, np.where(largest > 0, np.frexp(largest)[1] - 1, 0))
