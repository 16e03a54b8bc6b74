"""Barycentres of distributions on the line: means of quantile functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.arguments import check_flag, check_number, shown
from wassergan.distances.arrays import Array
from wassergan.distances.checks import as_points, as_tensor, as_weights
from wassergan.distances.masses import cumulative
from wassergan.errors import UserError

_SLIVER = 8 * float(np.finfo(np.float64).eps)  # levels closer than this differ by the rounding of sums


@dataclass(frozen=True)
class Barycentre:
    """The distribution on the line that is nearest to several others.

    Attributes:
        points: its values in ascending order, float64, shape (k,).
        masses: their probabilities, shape (k,).
        distances: W_p from each of the given distributions, shape (s,).
        objective: Σ w_i W_p^p, which no other distribution undercuts: its integrand is least at every level.
    """

    points: Tensor
    masses: Tensor
    distances: Tensor
    objective: float


def barycentre_line(
    samples: Sequence[Array],
    *,
    weights: Array | None = None,
    p: float = 2.0,
    sample_weights: Sequence[Array | None] | None = None,
    normalize: bool = False,
) -> Barycentre:
    """The Wasserstein barycentre of distributions on the line, exact.

    It minimises Σ w_i W_p(P_i, ·)^p = Σ w_i ∫ |F_i⁻¹(t) - q(t)|^p dt: q is the weighted mean of the quantile functions
    for p = 2 (Agueh and Carlier 2011), and their lower weighted median for p = 1.

    Args:
        samples: numbers, each of shape (n_i,) or (n_i, 1).
        weights: of the samples, shape (s,), summing to one; equal when None.
        p: 1 or 2.
        sample_weights: for each sample its points' weights, or None for equal ones.
        normalize: divide all weights by their sums.

    Raises:
        UserError: no sample, an empty one, points with several coordinates, bad weights, or another p.
    """
    order = check_number(p, name="The order p")
    if order not in (1.0, 2.0):
        raise UserError("Barycentres are computed for p = 1 and p = 2", found=shown(p))
    normalize = check_flag(normalize, name="normalize")
    lines = [_line(each, f"sample {place}") for place, each in enumerate(samples)]
    if not lines:
        raise UserError("A barycentre needs at least one sample", found="none")
    given = [None] * len(lines) if sample_weights is None else list(sample_weights)
    if len(given) != len(lines):
        raise UserError("sample_weights must hold one entry a sample", found=f"{len(given)} for {len(lines)}")
    w = as_weights(weights, len(lines), like=lines[0], name="weights", normalize=normalize).cpu()
    masses = [
        as_weights(own, len(line), like=line, name=f"weights of sample {place}", normalize=normalize)
        for place, (own, line) in enumerate(zip(given, lines, strict=True))
    ]
    quantiles, mass = _quantiles(lines, masses)
    middle = w @ quantiles if order == 2 else _median(quantiles, w)
    if not torch.isfinite(middle).all():
        raise UserError("The barycentre overflows", hint="rescale the numbers")
    middle = middle.cummax(0).values  # a mean may lose the order of two levels to rounding
    gaps = (quantiles - middle).abs()
    powers = (gaps**order) @ mass
    points, where = torch.unique_consecutive(middle, return_inverse=True)
    merged = torch.zeros(len(points), dtype=torch.float64).index_add_(0, where, mass)
    return Barycentre(points, merged, powers ** (1 / order), math.fsum((w * powers).tolist()))


def _line(sample: Array, name: str) -> Tensor:
    values = as_tensor(sample, name=name)
    values = as_points(values[:, None] if values.ndim == 1 else values, name=name)
    if values.shape[1] != 1:
        raise UserError(f"{name.capitalize()} must hold numbers on the line", found=f"{values.shape[1]} columns")
    return values[:, 0].detach().cpu().double()


def _quantiles(lines: list[Tensor], masses: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The quantile function of each, (s, k), on the pieces where all are constant, and the masses of these (k,)."""
    ends, values = [], []
    for line, mass in zip(lines, masses, strict=True):
        ordered, order = line.sort()
        used = mass[order] > 0
        ends.append(cumulative(mass[order][used]))
        values.append(ordered[used])
    levels = torch.cat([each[:-1] for each in ends] + [torch.ones(1, dtype=torch.float64)]).sort().values
    levels = levels[torch.cat([levels.diff() > _SLIVER, torch.ones(1, dtype=torch.bool)])]
    mass = levels.diff(prepend=levels.new_zeros(1))
    inner = levels - mass / 2  # well inside each piece
    found = [
        own[torch.searchsorted(own_ends.contiguous(), inner).clamp(max=len(own) - 1)]
        for own, own_ends in zip(values, ends, strict=True)
    ]
    return torch.stack(found), mass


def _median(quantiles: Tensor, w: Tensor) -> Tensor:
    """The smallest value at which half of the weight is reached, (k,)."""
    ordered, order = quantiles.sort(dim=0)
    reached = w[order].cumsum(0) >= 0.5 - _SLIVER
    first = reached.long().argmax(0)
    return ordered.gather(0, first[None])[0]
