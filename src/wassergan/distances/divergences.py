"""Divergences of discrete distributions: total variation, Kullback-Leibler, Jensen-Shannon."""

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.arguments import check_flag, check_number, shown
from wassergan.distances.checks import Array, as_distribution, as_tensor, check_finite
from wassergan.errors import UserError

AnyArray = TypeVar("AnyArray", Tensor, npt.NDArray[np.floating])


def total_variation(p: AnyArray, q: AnyArray, *, normalize: bool = False) -> AnyArray:
    """Total variation of two distributions on one support, in [0, 1].

    TV(p, q) = ½ Σ_i |p_i - q_i|

    Args:
        p: probabilities along the last axis, shape (..., k), each summing to one; NumPy or torch.
        q: probabilities on the same points in the same order, of a shape that broadcasts with p's.
            Pass distributions on different points through `on_common_support` first.
        normalize: accept any positive mass (counts of a histogram) and divide by its sum.

    Returns:
        Shape (...), of the kind, dtype and device of p; differentiable.

    Raises:
        UserError: a weight is negative or not finite, or a sum is zero or (without `normalize`) not one.
    """
    a, b = _distributions(p, q, normalize)
    return _like(0.5 * (a - b).abs().sum(-1), p)


def kl_divergence(p: AnyArray, q: AnyArray, *, base: float = math.e, normalize: bool = False) -> AnyArray:
    """Kullback-Leibler divergence of p from q, in [0, ∞]; infinite where p has mass and q has none.

    KL(p ‖ q) = Σ_i p_i log(p_i / q_i), with 0 log 0 = 0

    Args:
        p: probabilities along the last axis, shape (..., k); see `total_variation`.
        q: probabilities on the same points.
        base: of the logarithm: e gives nats, 2 gives bits.
        normalize: divide by the sums.

    Returns:
        Shape (...), of the kind, dtype and device of p; differentiable where p and q are positive. Points without mass
        in p get no gradient.

    Raises:
        UserError: see `total_variation`; or a base that is not above one.
    """
    a, b = _distributions(p, q, normalize)
    return _like(_kl(a, b) / _log_of(base), p)


def js_divergence(p: AnyArray, q: AnyArray, *, base: float = math.e, normalize: bool = False) -> AnyArray:
    """Jensen-Shannon divergence, in [0, log 2]; log 2 exactly when the supports are disjoint.

    JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q)  (Lin 1991)

    Arguments, result and errors are those of `kl_divergence`.
    """
    a, b = _distributions(p, q, normalize)
    mixture = 0.5 * (a + b)
    return _like((0.5 * (_kl(a, mixture) + _kl(b, mixture))).clamp(max=math.log(2)) / _log_of(base), p)


def on_common_support(x: Array, p: AnyArray, y: Array, q: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Two weighted supports as two weight vectors on the union of their points.

    Args:
        x: the points that carry p, shape (n,) or (n, d). Points with equal numbers are the same point.
        p: their weights, shape (n,).
        y: the points that carry q, shape (m,) or (m, d).
        q: their weights, shape (m,).

    Returns:
        Weights of both distributions on the k distinct points in lexical order, each of shape (k,), of the kind of p
        and q; differentiable in them. Weights of repeated points are added.

    Raises:
        UserError: shapes do not fit, or a coordinate is not finite.

    >>> a, b = on_common_support(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([1.0]), np.array([1.0]))
    >>> a.tolist(), b.tolist()
    ([0.5, 0.5], [0.0, 1.0])
    """
    points = _rows(x, "x"), _rows(y, "y")
    if points[0].shape[1] != points[1].shape[1]:
        raise UserError(
            "x and y must have the same dimension",
            found=f"{points[0].shape[1]} and {points[1].shape[1]} columns",
        )
    union, position = torch.unique(torch.cat([r.double() for r in points]), dim=0, return_inverse=True)
    merged = []
    for name, weights, index in [("p", p, position[: len(points[0])]), ("q", q, position[len(points[0]) :])]:
        mass = as_tensor(weights, name=name)
        if mass.shape != index.shape:
            raise UserError(
                f"{name} must hold one weight per point",
                found=f"shape {tuple(mass.shape)} for {len(index)} points",
            )
        zero = mass.new_zeros(len(union))
        merged.append(_like(zero.index_add(0, index.to(mass.device), mass), weights))
    return merged[0], merged[1]


def _distributions(p: Array, q: Array, normalize: bool) -> tuple[Tensor, Tensor]:
    normalize = check_flag(normalize, name="normalize")
    a, b = as_tensor(p, name="p"), as_tensor(q, name="q")
    if a.device != b.device:
        raise UserError("p and q must be on the same device", found=f"{a.device} and {b.device}")
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1] or a.shape[-1] == 0:
        raise UserError(
            "p and q must hold one probability per point of one support",
            found=f"shapes {tuple(a.shape)} and {tuple(b.shape)}",
            hint="use on_common_support for distributions on different points",
        )
    return as_distribution(a, name="p", normalize=normalize), as_distribution(b, name="q", normalize=normalize)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    # Masked before the logarithm: a NaN gradient would survive a mask applied after it.
    safe_p, safe_q = torch.where(both, p, 1.0), torch.where(both, q, 1.0)
    value = torch.where(both, p * (safe_p.log() - safe_q.log()), 0.0).sum(-1).clamp(min=0)
    return torch.where(((p > 0) & (q == 0)).any(-1), math.inf, value)


def _log_of(base: float) -> float:
    value = check_number(base, name="The base of the logarithm")
    if not (math.isfinite(value) and value > 1):
        raise UserError("The base of the logarithm must be finite and above one", found=shown(base))
    return math.log(value)


def _rows(x: Array, name: str) -> Tensor:
    points = as_tensor(x, name=name)
    if points.ndim not in (1, 2):
        raise UserError(f"{name} must have shape (points,) or (points, dimensions)", found=f"{tuple(points.shape)}")
    check_finite(points, name=name)
    return points[:, None] if points.ndim == 1 else points


def _like(value: Tensor, model: AnyArray) -> AnyArray:
    """`value` in the kind and dtype of `model`; other values become arrays, and integers stay in float64."""
    if isinstance(model, Tensor):
        return value.to(model.dtype) if model.is_floating_point() else value
    if isinstance(model, list | tuple) and model and all(isinstance(each, Tensor) for each in model):
        return value.to(model[0].dtype) if model[0].is_floating_point() else value
    dtype = getattr(model, "dtype", None)
    kept = dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else np.float64
    return value.detach().cpu().numpy().astype(kept)
