"""From samples to the laws behind them: lower confidence bounds from a Lipschitz critic's held-out scores."""

import math

import torch
from torch import Tensor

from wassergan.distances.checks import Array, as_tensor, check_finite
from wassergan.errors import UserError


def critic_lower_bound(
    real_scores: Array,
    fake_scores: Array,
    *,
    lipschitz: float = 1.0,
    confidence: float = 0.95,
    diameter: float | None = None,
) -> float:
    """Lower confidence bound on W1(P, Q) from a critic's scores on samples that it was not fitted on.

    W1(P, Q) ≥ (E_P f - E_Q f) / K for every K-Lipschitz f (Kantorovich and Rubinstein 1958). The means are
    replaced by those of the samples, less a margin that the sampling error exceeds with probability at most
    1 - confidence.

    Args:
        real_scores: f at independent draws of P, shape (n,), n ≥ 2.
        fake_scores: f at independent draws of Q, shape (m,), m ≥ 2.
        lipschitz: K, a proved Lipschitz constant of f, positive.
        confidence: probability that the bound holds, in (0, 1).
        diameter: an upper bound of the distance between any two points that P or Q can give. With it the
            margin is empirical Bernstein (Maurer and Pontil 2009, arXiv 0907.3740), true at every n.
            Without it Welch's one-sided t interval, true as n and m grow if the scores have finite variance.

    Returns:
        The bound, at least 0.

    Raises:
        UserError: too few scores, a score that is not finite, or an argument out of range.
    """
    real, fake = _scores(real_scores, "real_scores"), _scores(fake_scores, "fake_scores")
    if not (math.isfinite(lipschitz) and lipschitz > 0):
        raise UserError("The Lipschitz constant must be positive and finite", found=f"{lipschitz}")
    if not 0 < confidence < 1:
        raise UserError("The confidence must lie between 0 and 1", found=f"{confidence}")
    if diameter is None:
        margin = _welch(real, fake, confidence)
    elif math.isfinite(diameter) and diameter > 0:
        margin = sum(_bernstein(s, lipschitz * diameter, (1 - confidence) / 2) for s in (real, fake))
    else:
        raise UserError("The diameter must be positive and finite", found=f"{diameter}")
    gap = (real.mean() - fake.mean()).item()
    return max(0.0, (gap - margin) / lipschitz)


def _welch(real: Tensor, fake: Tensor, confidence: float) -> float:
    parts = [(s.var().item() / len(s), len(s) - 1) for s in (real, fake)]
    variance = sum(v for v, _ in parts)
    if variance == 0:
        return 0.0
    freedom = variance**2 / sum(v**2 / k for v, k in parts)
    from scipy import special  # a quarter of a second to import; `stats` takes one

    return float(special.stdtrit(freedom, confidence)) * math.sqrt(variance)


def _bernstein(scores: Tensor, spread: float, risk: float) -> float:
    """How far the mean of scores within a range of length `spread` strays, save with probability `risk`."""
    n, log = len(scores), math.log(2 / risk)
    if (scores.max() - scores.min()).item() > spread * (1 + 1e-9):
        raise UserError(
            "The scores spread further than the diameter and the Lipschitz constant allow",
            found=f"{(scores.max() - scores.min()).item():.6g} over {spread:.6g}",
        )
    return math.sqrt(2 * scores.var().item() * log / n) + 7 * spread * log / (3 * (n - 1))


def _scores(scores: Array, name: str) -> Tensor:
    values = as_tensor(scores, name=name).detach().double().flatten()
    if len(values) < 2:
        raise UserError(f"{name} must hold at least two scores", found=f"{len(values)}")
    check_finite(values, name=name)
    return values


def halves(count: int, *, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random split of `count` indices into two halves, the first no larger than the second."""
    order = torch.randperm(count, generator=rng, device=rng.device)
    return order[: count // 2], order[count // 2 :]
