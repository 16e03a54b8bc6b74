"""Lower confidence bounds on W1 of the distributions behind samples, from a Lipschitz critic's held-out scores."""

import math
from typing import Any

import torch
from torch import Tensor

from wassergan.distances.arguments import (
    ASYMPTOTIC,
    FINITE_SAMPLE,
    Randomness,
    as_generator,
    check_confidence,
    check_diameter,
    check_method,
    check_positive,
)
from wassergan.distances.checks import Array, as_tensor, check_finite
from wassergan.distances.mean_bounds import betting_lower_bounds
from wassergan.distances.orders import keyed, shuffled
from wassergan.errors import UserError

RESTS_ON = {
    FINITE_SAMPLE: (
        "critics that are proved Lipschitz, and independent draws; valid for all distributions at every sample size "
        "(bets on scores cut off at levels that were chosen on other samples)"
    ),
    ASYMPTOTIC: (
        "critics that are proved Lipschitz, independent draws, finite variances, and samples so large that their means "
        "are normal (Welch's t, asymptotic): it fails more often than stated for rare events, skewed distributions and "
        "unequal or small samples"
    ),
}


def critic_lower_bound(
    real_scores: Array,
    fake_scores: Array,
    *,
    lipschitz: float = 1.0,
    confidence: float = 0.95,
    diameter: float | None = None,
    method: str = FINITE_SAMPLE,
    tuning: tuple[Array, Array] | None = None,
    rng: Randomness | None = None,
) -> float:
    """Lower confidence bound on W1(P, Q) from a critic's scores on samples that it was not fitted on.

    W1(P, Q) ≥ (E_P f - E_Q f) / K for every K-Lipschitz f (Kantorovich and Rubinstein 1958), so also for f clipped at
    two levels, which bounds the scores. The bound lies above W1 with probability at most 1 - confidence.

    Args:
        real_scores: f at independent draws of P, shape (n,), n ≥ 1.
        fake_scores: f at independent draws of Q, shape (m,), m ≥ 1.
        lipschitz: K, a proved Lipschitz constant of f, positive.
        confidence: probability that the bound holds, in (0, 1).
        diameter: an upper bound of the distance between any two points that P or Q can produce. It is optional; it
            tightens bounds for distributions whose distance is large relative to their diameter.
        method: "finite-sample" holds for all P and Q at every n and m (see `betting_lower_bounds`); "asymptotic" is
            Welch's one-sided t interval of the unclipped scores, valid as n and m grow if these have finite variance.
        tuning: real and fake scores at other samples, from which the first levels and bets are chosen. If None, the
            first few scores are used.
        rng: shuffles the scores; a generator or a seed. If None, the order depends only on the values of the scores, so
            equal samples give equal bounds in any arrangement; a change of units changes the order.

    Returns:
        The bound, at least 0.

    Raises:
        UserError: too few scores, a score that is not finite, or an argument out of range.
    """
    method, confidence = check_method(method), check_confidence(confidence)
    lipschitz = check_positive(lipschitz, name="The Lipschitz constant")
    diameter = check_diameter(diameter, method)
    least = 1 if method == FINITE_SAMPLE else 2
    real, fake = _scores(real_scores, "real_scores", least), _scores(fake_scores, "fake_scores", least)
    if method == ASYMPTOTIC:
        margin = _welch(real, fake, confidence)
        return max(0.0, ((real.mean() - fake.mean()).item() - margin) / lipschitz)
    spread = math.inf if diameter is None else lipschitz * diameter
    others = [_scores(*each, 1) for each in _tuning(tuning)] if tuning is not None else []
    _check_spread(torch.cat([real, fake, *others]), spread)
    tuned = [scores.numpy()[None] for scores in others]
    order = keyed(None if rng is None else as_generator(rng), real, fake)
    sides = [shuffled(scores, order).numpy()[None] for scores in (real, fake)]
    (bound,) = betting_lower_bounds(
        *sides,
        confidence=confidence,
        real_tuning=tuned[0] if tuned else None,
        fake_tuning=tuned[1] if tuned else None,
        spread=spread * (1 + 1e-9),
    )
    # Rounded towards 0: a bound may lose the last digit, never gain one.
    return max(0.0, math.nextafter(float(bound) / lipschitz, 0.0))


def upper_margin(n: int, m: int, *, diameter: float, confidence: float) -> float:
    """How far W1 of two samples may fall below W1 of their distributions, except with probability 1 - confidence.

    E W1(P_n, Q_m) ≥ W1(P, Q) by convexity, and replacing one of n points moves W1(P_n, Q_m) by at most diameter / n:
    the margin is D √(log(1/risk) (1/n + 1/m) / 2) (McDiarmid 1989), at every n, m and dimension.
    """
    return diameter * math.sqrt(-math.log1p(-confidence) * (1 / n + 1 / m) / 2)


def check_diameter_holds(x: Tensor, y: Tensor, diameter: float) -> None:
    """Raise if two points, found by two sweeps to the farthest point, are further apart than the diameter."""
    points = torch.cat([x.double(), y.double()])
    first = points[torch.linalg.vector_norm(points - points[0], dim=1).argmax()]
    widest = torch.linalg.vector_norm(points - first, dim=1).max().item()
    if widest > diameter * (1 + 1e-9):
        raise UserError("Two points lie further apart than the diameter", found=f"{widest:.6g} over {diameter:.6g}")


def _welch(real: Tensor, fake: Tensor, confidence: float) -> float:
    parts = [(s.var().item() / len(s), len(s) - 1) for s in (real, fake)]
    variance = sum(v for v, _ in parts)
    if variance == 0:
        # All scores are equal: Student's t says nothing about a zero spread, so there is no bound.
        return math.inf
    # Weights instead of squares: squares overflow and underflow.
    freedom = 1 / sum((v / variance) ** 2 / k for v, k in parts)
    from scipy import special  # a quarter of a second to import; `stats` takes one

    return float(special.stdtrit(freedom, confidence)) * math.sqrt(variance)


def _check_spread(scores: Tensor, spread: float) -> None:
    low, high = (value.item() for value in scores.aminmax())
    if high - low > spread * (1 + 1e-9):
        raise UserError(
            "The scores spread further than the diameter and the Lipschitz constant allow",
            found=f"{high - low:.6g} over {spread:.6g}",
        )


def _tuning(tuning: Any) -> list[tuple[Array, str]]:
    if not isinstance(tuning, tuple | list) or len(tuning) != 2:
        found = f"{len(tuning)} parts" if isinstance(tuning, tuple | list) else type(tuning).__name__
        raise UserError("tuning must be a pair of real and fake scores", found=found)
    return [(scores, f"{side} tuning scores") for scores, side in zip(tuning, ("real", "fake"), strict=True)]


def _scores(scores: Array, name: str, least: int) -> Tensor:
    values = as_tensor(scores, name=name).detach().cpu().double()
    if values.ndim == 0 or values[:1].numel() > 1:
        raise UserError(f"{name} must have shape (n,), one score a sample", found=f"shape {tuple(values.shape)}")
    values = values.flatten()
    if len(values) < least:
        raise UserError(f"{name} must hold at least {('one score', 'two scores')[least - 1]}", found=f"{len(values)}")
    check_finite(values, name=name)
    return values
