"""The input checks of every distance: clouds of points and weights, checked and converted to tensors."""

import math

import torch
from torch import Tensor

from wassergan.distances.arrays import Array as Array
from wassergan.distances.arrays import as_tensor as as_tensor
from wassergan.errors import UserError


def _sum_tolerance(dtype: torch.dtype) -> float:
    """The largest rounding error of a sum of weights; half precisions hold two digits."""
    return max(1e-6, 4 * torch.finfo(dtype).eps)


def check_finite(values: Tensor, *, name: str) -> None:
    """Raise, with the index of the first offender, unless every value is finite."""
    # Extremes propagate NaN, and finding them is ten times as fast as testing every value.
    if values.numel() and not torch.isfinite(torch.stack(values.detach().aminmax())).all():
        where = tuple(int(i) for i in (~torch.isfinite(values)).nonzero()[0])
        raise UserError(f"{name} must be finite", found=f"{values[where].item()} at {list(where)}")


def as_points(array: Array, *, name: str) -> Tensor:
    """A cloud of points, shape (n, d) with n ≥ 1 and d ≥ 1, every value finite."""
    points = as_tensor(array, name=name)
    if points.ndim != 2:
        raise UserError(f"{name} must have shape (points, dimensions)", found=f"shape {tuple(points.shape)}")
    if points.shape[0] == 0:
        raise UserError(f"{name} must hold at least one point", found="an empty sample")
    if points.shape[1] == 0:
        raise UserError(f"{name} must have at least one dimension", found=f"shape {tuple(points.shape)}")
    check_finite(points, name=name)
    return points


def same_dimension(x: Tensor, y: Tensor) -> None:
    """Raise unless both clouds have the same dimension and device."""
    if x.shape[-1] != y.shape[-1]:
        raise UserError("x and y must have the same dimension", found=f"{x.shape[-1]} and {y.shape[-1]} columns")
    if x.device != y.device:
        raise UserError("x and y must be on the same device", found=f"{x.device} and {y.device}")


def as_weights(array: Array | None, count: int, *, like: Tensor, name: str, normalize: bool) -> Tensor:
    """Weights of `count` points in float64 on the device of `like`, shape (count,), summing to one.

    Args:
        array: the weights, or None for equal ones.
        count: the number of points.
        like: the cloud, for its device.
        name: the name of the weights in error messages.
        normalize: divide by the sum; without it a sum that is not one is refused.
    """
    if array is None:
        return torch.full((count,), 1.0 / count, dtype=torch.float64, device=like.device)
    weights = as_tensor(array, name=name).to(like.device)
    if weights.shape != (count,):
        raise UserError(f"{name} must have shape ({count},)", found=f"shape {tuple(weights.shape)}")
    return as_distribution(weights, name=name, normalize=normalize)


def as_distribution(weights: Tensor, *, name: str, normalize: bool) -> Tensor:
    """Probabilities along the last axis in float64: finite, not negative, not all zero, with sum one.

    A sum within rounding of one is divided out, so that two distributions have exactly the same mass.
    """
    tolerance = _sum_tolerance(weights.dtype)
    check_finite(weights, name=name)
    weights = weights.double()
    if (weights < 0).any():
        where = tuple(int(i) for i in (weights < 0).nonzero()[0])
        raise UserError(f"{name} must not be negative", found=f"{weights[where].item()} at {list(where)}")
    if not (weights > 0).any(-1).all():
        raise UserError(f"{name} must not all be zero", hint="give at least one point a positive weight")
    total = exact_totals(weights, name=name)
    if not normalize and (total - 1).abs().max() > tolerance:
        worst = total.flatten()[(total - 1).abs().argmax()].item()
        raise UserError(f"{name} must sum to one", found=f"a sum of {worst:.9g}", hint="pass normalize=True")
    if weights.requires_grad:
        total = total + weights.sum(-1, keepdim=True) - weights.detach().sum(-1, keepdim=True)
    return weights / total


def exact_totals(weights: Tensor, *, name: str) -> Tensor:
    """Sums along the last axis, rounded once and so independent of the order, shape (..., 1); without a graph."""
    rows = weights.detach().cpu().reshape(-1, weights.shape[-1])
    try:
        sums = [math.fsum(row.tolist()) for row in rows]
    except OverflowError:
        raise UserError(f"{name} must have a finite sum", found="an overflow", hint="divide by the largest") from None
    return torch.tensor(sums, dtype=torch.float64).reshape(*weights.shape[:-1], 1).to(weights.device)
