"""Transport on the line, where sorting solves it exactly."""

import math

import torch
from torch import Tensor

from wassergan.distances.checks import Array, as_law, as_tensor, check_finite
from wassergan.errors import UserError


def wasserstein_line(
    x: Array,
    y: Array,
    *,
    p: float = 1.0,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
) -> Tensor:
    """p-Wasserstein distance of weighted samples on the line, exact in O((n + m) log(n + m)).

    W_p(P, Q) = (∫₀¹ |F⁻¹(t) - G⁻¹(t)|^p dt)^(1/p) for distribution functions F, G (Vallender 1974).

    Args:
        x: points, shape (..., n); leading axes are a batch.
        y: points, shape (..., m), with the same leading axes.
        p: order, finite and ≥ 1.
        x_weights: shape (n,) or (..., n), summing to one; equal weights when None.
        y_weights: shape (m,) or (..., m).
        normalize: divide the weights by their sums.

    Returns:
        float64, shape (...); differentiable in points and weights, with gradient 0 where points coincide.

    Raises:
        UserError: an empty sample, a value that is not finite, bad weights, p < 1, or an overflow.
    """
    if not (math.isfinite(p) and p >= 1):
        raise UserError("The order p must be finite and at least one", found=f"{p}")
    xs, x_order = _points(x, "x").sort(dim=-1)
    ys, y_order = _points(y, "y").sort(dim=-1)
    if xs.shape[:-1] != ys.shape[:-1] or xs.device != ys.device:
        raise UserError(
            "x and y must have the same leading axes and device",
            found=f"{tuple(xs.shape)} on {xs.device} and {tuple(ys.shape)} on {ys.device}",
        )
    if x_weights is None and y_weights is None:
        i, j, mass = equal_coupling(xs.shape[-1], ys.shape[-1], device=xs.device)
        gaps = xs[..., i] - ys[..., j]
    else:
        a = _weights(x_weights, xs, "x_weights", normalize).gather(-1, x_order)
        b = _weights(y_weights, ys, "y_weights", normalize).gather(-1, y_order)
        i, j, mass = monotone_coupling(a, b)
        gaps = xs.gather(-1, i) - ys.gather(-1, j)
    return _mean_power(gaps.abs(), mass, p)


def equal_coupling(n: int, m: int, *, device: torch.device) -> tuple[Tensor | slice, Tensor | slice, Tensor]:
    """The monotone coupling of n and m equal weights: which sorted points it joins, by how much mass.

    Returns:
        Indices into the sorted first sample, indices into the sorted second, and masses that sum to one; at
        most n + m - gcd(n, m) pairs. The levels i/n and j/m are compared as the integers i·m and j·n, so no
        rounding merges or splits them.
    """
    if n == m:
        return slice(None), slice(None), torch.full((n,), 1.0 / n, dtype=torch.float64, device=device)
    ends = torch.cat([torch.arange(1, n + 1, device=device) * m, torch.arange(1, m, device=device) * n])
    ends = torch.unique(ends)
    mass = ends.diff(prepend=ends.new_zeros(1)).double() / (n * m)
    return (ends - 1) // m, (ends - 1) // n, mass


def monotone_coupling(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The monotone coupling of weights a (..., n) and b (..., m) of points already in order.

    Returns:
        Indices (..., n + m) of the first and of the second point of each pair, and the masses, some of them
        zero; their sums over each point are a and b. Differentiable in the weights.
    """
    a_ends, b_ends = a.cumsum(-1), b.cumsum(-1)
    ends = torch.cat([a_ends, b_ends], dim=-1).sort(dim=-1).values
    # Rounding may leave one total a little below the other: the last point takes that remainder.
    i = torch.searchsorted(a_ends.detach().contiguous(), ends.detach()).clamp(max=a.shape[-1] - 1)
    j = torch.searchsorted(b_ends.detach().contiguous(), ends.detach()).clamp(max=b.shape[-1] - 1)
    return i, j, ends.diff(dim=-1, prepend=torch.zeros_like(ends[..., :1]))


def _mean_power(gaps: Tensor, mass: Tensor, p: float) -> Tensor:
    """(Σ mass·gap^p)^(1/p), scaled by the largest gap so that no power overflows, with gradient 0 at 0."""
    if p == 1:
        value = (gaps * mass).sum(-1)
    else:
        top = gaps.detach().amax(-1)
        scale = torch.where(top > 0, top, 1.0)
        mean = (mass * (gaps / scale[..., None]) ** p).sum(-1)
        value = torch.where(mean > 0, scale * torch.where(mean > 0, mean, 1.0) ** (1 / p), 0.0)
    if not torch.isfinite(value).all():
        raise UserError("The distance overflows", mend="rescale the points")
    return value


def _points(x: Array, name: str) -> Tensor:
    points = as_tensor(x, name=name)
    if points.ndim == 0 or points.shape[-1] == 0:
        raise UserError(f"{name} must hold at least one point", found=f"shape {tuple(points.shape)}")
    check_finite(points, name=name)
    return points.double()


def _weights(weights: Array | None, points: Tensor, name: str, normalize: bool) -> Tensor:
    if weights is None:
        return torch.full_like(points, 1.0 / points.shape[-1])
    law = as_tensor(weights, name=name).to(points.device)
    if law.shape not in (points.shape, points.shape[-1:]):
        raise UserError(f"{name} must have one weight per point", found=f"{tuple(law.shape)} for {tuple(points.shape)}")
    return as_law(law, name=name, normalize=normalize).expand_as(points)
