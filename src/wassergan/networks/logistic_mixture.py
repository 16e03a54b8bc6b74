"""Mixtures of logistic distributions on the line: density, distribution function, and draws that can be followed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST = 1e-7  # float32 knows no number between this much less than 1 and 1


def log_density(values: Tensor, logits: Tensor, places: Tensor, scales: Tensor) -> Tensor:
    """Log Σ w p(x), with p(x) = σ(z) σ(-z) / s and z = (x - m) / s, of values (...,) under mixtures (..., K).

    Args:
        values: (...,).
        logits: (..., K), whose softmax are the weights w.
        places: (..., K), the medians m.
        scales: (..., K), s > 0; a component's deviation is π s / √3.
    """
    # Components first: a processor takes numbers that lie side by side together, and there are few components.
    first = (each.movedim(-1, 0) for each in torch.broadcast_tensors(logits, places, scales))
    density: Callable[..., Tensor] = _LogDensity.apply
    return density(values, *first)


class _LogDensity(torch.autograd.Function):
    """`log_density` with components first, and its gradient in closed form, by the chance r of each given the value.

    By logits r - w, by places r tanh(z / 2) / s, by scales r (z tanh(z / 2) - 1) / s.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, logits: Tensor, places: Tensor, scales: Tensor) -> Tensor:
        away = (values - places) / scales
        size = away.abs()
        weights = torch.log_softmax(logits, 0)
        each = weights - size - 2 * torch.log1p(torch.exp(-size)) - scales.log()
        total = torch.logsumexp(each, 0)
        ctx.save_for_backward((each - total).exp(), weights, away, scales)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        chances, weights, away, scales = ctx.saved_tensors
        chances = gradient * chances
        bend = torch.tanh(away / 2)
        by_places = chances * bend / scales
        return -by_places.sum(0), chances - gradient * weights.exp(), by_places, chances * (away * bend - 1) / scales


def chance_below(values: Tensor, logits: Tensor, places: Tensor, scales: Tensor) -> Tensor:
    """The distribution function Σ w σ(z) at values (...,); arguments as of `log_density`."""
    return (torch.softmax(logits, -1) * torch.sigmoid((values[..., None] - places) / scales)).sum(-1)


def drawn(even: Tensor, logits: Tensor, places: Tensor, scales: Tensor) -> Tensor:
    """Draws (...,) of mixtures (..., K), differentiable by all of what describes them.

    The gradient is that of the quantile at the same chance, -∂F/∂θ / p (Figurnov, Mohamed, Mnih 2018, arXiv 1805.08498,
    equation 5), although the draw is of a component that is chosen first.

    Args:
        even: (..., 2) independent even numbers in (0, 1): one chooses the component, one its quantile.
        logits: as of `log_density`.
        places: likewise.
        scales: likewise.
    """
    below = torch.softmax(logits.detach(), -1).cumsum(-1)[..., :-1]
    chosen = (even[..., :1] > below).sum(-1, keepdim=True)
    place, scale = places.gather(-1, chosen)[..., 0], scales.gather(-1, chosen)[..., 0]
    values = place + scale * torch.logit(even[..., 1])
    if not values.requires_grad:
        return values
    values = values.detach()
    chance = chance_below(values, logits, places, scales)
    density = log_density(values, logits, places, scales).detach().exp().clamp_min(SMALLEST)
    return values - (chance - chance.detach()) / density
