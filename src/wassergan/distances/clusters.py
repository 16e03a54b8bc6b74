"""Means of soft clusters of the samples, computed by averages alone."""

import torch
from torch import Tensor

NUMBERS = 2**24  # of the samples used
# The product of samples and clusters: more of one means fewer of the other. A mean of m samples is off by √(d / m)
# spreads, so low dimension needs fewer.
SHARES, SHARES_PER_DIMENSION = 2**24, 2**19
ROUNDS = 25
_BLOCK = 2**19  # shares in a block of points x clusters
_PULL = 0.3  # how far from their mean the first centres start
_SETTLED = 1e-3  # of the spread: the search ends after a round that moves less


def soft_means(points: Tensor, count: int, *, rng: torch.Generator, rounds: int = ROUNDS) -> Tensor:
    """Centres of equally likely round normal clusters of one variance v, by expectation and maximisation.

    Shares r_ij ∝ exp(-‖x_i - c_j‖² / 2v), centres c_j = Σ_i r_ij x_i / Σ_i r_ij, then v by the shares. The centres
    start at random points drawn towards the mean and separate as v shrinks. With hard clusters, more of them get stuck
    between two clusters, or share one.

    Args:
        points: (n, d), n ≥ 1.
        count: k ≥ 1 centres.
        rng: draws the points that are used and the start.
        rounds: the largest number of rounds.

    Returns:
        (k, d).
    """
    order = torch.randperm(len(points), generator=rng, device=rng.device).to(points.device)
    dim = points.shape[1]
    shares = min(SHARES, SHARES_PER_DIMENSION * dim)
    points = points[order[: max(count, min(NUMBERS // dim, shares // count))]]
    middle = points.mean(0)
    points = points - middle
    spread = points.square().mean()
    chosen = torch.randint(len(points), (count,), generator=rng, device=rng.device).to(points.device)
    centres, variance = _PULL * points[chosen], spread / 2
    for _ in range(rounds):
        before = centres
        centres, variance = _round(points, centres, variance.clamp_min(1e-6 * spread))
        if (centres - before).square().mean() <= _SETTLED**2 * spread:
            break
    return centres + middle


def _round(points: Tensor, centres: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    sums, weights = torch.zeros_like(centres), centres.new_zeros(len(centres))
    lengths = centres.square().sum(1)
    for part in points.split(max(1, _BLOCK // len(centres))):
        # ‖x‖² is the same for every cluster and cancels in the shares.
        shares = torch.addmm(lengths, part, centres.T, beta=-0.5, alpha=1.0).div_(variance).softmax(1)
        sums.addmm_(shares.T, part)
        weights += shares.sum(0)
    filled = weights > 0
    means = torch.where(filled[:, None], sums / weights.clamp_min(1e-30)[:, None], centres)
    squares = points.square().sum() - 2 * (sums * means).sum() + (weights * means.square().sum(1)).sum()
    return means, (squares / points.numel()).clamp_min(0)
