"""Transport on the line, where sorting solves it exactly."""

import math
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.arguments import check_count, check_flag, check_number, shown
from wassergan.distances.arrays import Array, paired
from wassergan.distances.checks import as_distribution, as_tensor, check_finite
from wassergan.distances.masses import cumulative
from wassergan.errors import UserError

_EPS = float(np.finfo(np.float64).eps)


def wasserstein_line(
    x: Array,
    y: Array,
    *,
    p: float = 1.0,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
    axis: int | None = None,
) -> Tensor:
    """p-Wasserstein distance of weighted samples on the line, exact in O((n + m) log(n + m)).

    W_p(P, Q) = (∫₀¹ |F⁻¹(t) - G⁻¹(t)|^p dt)^(1/p) for distribution functions F, G (Vallender 1974). Levels of weights
    are compared as fractions of integers: their rounding moves no mass to another point.

    Args:
        x: numbers, shape (n,) or a column (n, 1); with `axis`, a batch of samples.
        y: shape (m,) or (m, 1); with `axis`, a batch with the same other axes.
        p: order, finite and ≥ 1.
        x_weights: shape (n,) or that of x, summing to one; equal weights when None. Zeros are ignored.
        y_weights: shape (m,) or that of y.
        normalize: divide the weights by their sums.
        axis: the axis of a batch that indexes the points of a sample; None for one sample.

    Returns:
        float64, shape () or that of the batch; differentiable in points and weights, 0 where points coincide.

    Raises:
        UserError: an empty sample, a value that is not finite, bad weights, p < 1, an overflow, or points with more
            than one coordinate.
    """
    order, p = p, check_number(p, name="The order p")
    if not (math.isfinite(p) and p >= 1):
        raise UserError("The order p must be finite and at least one", found=shown(order))
    normalize = check_flag(normalize, name="normalize")
    x, y = paired(x, y) if axis is None else (x, y)
    xs, x_order = _points(x, "x", axis).sort(dim=-1)
    ys, y_order = _points(y, "y", axis).sort(dim=-1)
    if xs.shape[:-1] != ys.shape[:-1] or xs.device != ys.device:
        raise UserError(
            "x and y must have the same leading axes and device",
            found=f"{tuple(xs.shape)} on {xs.device} and {tuple(ys.shape)} on {ys.device}",
        )
    if x_weights is None and y_weights is None:
        i, j, mass = equal_coupling(xs.shape[-1], ys.shape[-1], device=xs.device)
        gaps = xs[..., i] - ys[..., j]
    else:
        a, b = (
            _weights(weights, points, name, normalize, axis).gather(-1, order)
            for weights, points, name, order in (
                (x_weights, xs, "x_weights", x_order),
                (y_weights, ys, "y_weights", y_order),
            )
        )
        raw = [
            _raw(weights, points, name, axis).gather(-1, order)
            for weights, points, name, order in (
                (x_weights, xs, "x_weights", x_order),
                (y_weights, ys, "y_weights", y_order),
            )
        ]
        i, j, mass = _exact_coupling(a, b, *raw)
        gaps = xs.gather(-1, i) - ys.gather(-1, j)
    return _mean_power(gaps.abs(), mass, p)


def line_bound(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> float:
    """A lower bound of W1 of weighted points on the line, rounding included: ∫ |F - G| minus 8 ε of its range.

    Args:
        x: points, shape (n,).
        y: points, shape (m,).
        a: masses of x, each within 3 ε of its exact value.
        b: masses of y.
    """
    points, order = torch.cat([x, y]).sort()
    levels = cumulative(torch.cat([a, -b])[order])[:-1].abs()
    value = (levels * points.diff()).sum().item()
    return max(0.0, value * (1 - 64 * _EPS) - 8 * _EPS * (points[-1] - points[0]).item())


def equal_coupling(n: int, m: int, *, device: torch.device) -> tuple[Tensor | slice, Tensor | slice, Tensor]:
    """The monotone coupling of n and m equal weights: the pairs of sorted points and their masses.

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
    """The monotone coupling of weights a (..., n) and b (..., m) of sorted points.

    Returns:
        Indices (..., n + m) of the first and of the second point of each pair, and the masses, some of them
        zero; their sums over each point are a and b up to one rounding of a running sum.
    """
    a_ends, b_ends = cumulative(a), cumulative(b)
    ends = torch.cat([a_ends, b_ends], dim=-1).sort(dim=-1).values
    # Rounding may leave one total a little below the other: the last point gets the difference.
    i = torch.searchsorted(a_ends.contiguous(), ends).clamp(max=a.shape[-1] - 1)
    j = torch.searchsorted(b_ends.contiguous(), ends).clamp(max=b.shape[-1] - 1)
    return i, j, ends.diff(dim=-1, prepend=torch.zeros_like(ends[..., :1]))


def _exact_coupling(a: Tensor, b: Tensor, a_raw: Tensor, b_raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The monotone coupling of the caller's weights, (..., n) and (..., m), each divided by its sum.

    Returns:
        Indices (..., k) of the first and of the second point of each pair, and the masses, each rounded once, 0 where
        a row of a batch has fewer pairs than others. Differentiable in a and b, the weights as probabilities.
    """
    shape = a.shape[:-1]
    rows = [
        _merged(*(each.detach().cpu().numpy() for each in pair))
        for pair in zip(a_raw.reshape(-1, a.shape[-1]), b_raw.reshape(-1, b.shape[-1]), strict=True)
    ]
    longest = max(len(mass) for *_, mass in rows)
    padded = [
        torch.from_numpy(np.stack([np.pad(row[k], (0, longest - len(row[k]))) for row in rows])).to(a.device)
        for k in range(4)
    ]
    i, j, source, mass = (each.reshape(*shape, longest) for each in padded)
    if a.requires_grad or b.requires_grad:
        ends = torch.cat([a.cumsum(-1), b.cumsum(-1)], dim=-1).gather(-1, source)
        moving = ends.diff(dim=-1, prepend=torch.zeros_like(ends[..., :1]))
        moving = torch.where(mass > 0, moving, 0.0)
        mass = mass + moving - moving.detach()
    return i, j, mass


def _merged(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """One row of `_exact_coupling`: indices into a and b, the level that ends each piece, and its mass."""
    a_levels, b_levels = _levels(a), _levels(b)
    whole_a, whole_b = a_levels[-1], b_levels[-1]
    i = j = before = 0
    found: list[tuple[int, int, int, float]] = []
    total = whole_a * whole_b
    while i < len(a) and j < len(b):
        left, right = a_levels[i] * whole_b, b_levels[j] * whole_a
        end = min(left, right)
        if end > before:
            found.append((i, j, i if left <= right else len(a) + j, (end - before) / total))
        before = end
        i, j = i + (left <= right), j + (right <= left)
    columns = list(zip(*found, strict=True))
    return (*(np.array(column, dtype=np.int64) for column in columns[:3]), np.array(columns[3]))


def _levels(weights: npt.NDArray[Any]) -> list[int]:
    """Running sums of floats as integer multiples of one unit."""
    digits, powers = np.frexp(weights)
    mantissas = (digits * 2.0**53).astype(np.int64).tolist()
    shifts = powers - powers[weights > 0].min()
    return list(accumulate(m << s if m else 0 for m, s in zip(mantissas, np.maximum(shifts, 0).tolist(), strict=True)))


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
        raise UserError("The distance overflows", hint="rescale the points")
    return value


def _points(x: Array, name: str, axis: int | None) -> Tensor:
    points = _along(as_tensor(x, name=name), axis)
    if points.ndim == 0 or points.shape[-1] == 0:
        raise UserError(f"{name} must hold at least one point", found=f"shape {tuple(points.shape)}")
    if axis is None and points.ndim > 1:
        raise UserError(
            f"{name} must hold numbers on the line, shape (n,)",
            found=f"shape {tuple(points.shape)}",
            hint="use exact_w1 for points with several coordinates, or say which axis of a batch counts the points, "
            "as in axis=-1",
        )
    check_finite(points, name=name)
    return points.double()


def _along(values: Tensor, axis: int | None) -> Tensor:
    """The points of a sample along the last axis; a column becomes a row."""
    if axis is None:
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    axis = check_count(axis, name="axis", least=-values.ndim)
    if axis >= values.ndim:
        raise UserError("axis must be one of the sample's", found=f"{axis} of {values.ndim}")
    return values.movedim(axis, -1)


def _weights(weights: Array | None, points: Tensor, name: str, normalize: bool, axis: int | None) -> Tensor:
    if weights is None:
        return torch.full_like(points, 1.0 / points.shape[-1])
    return as_distribution(_given(weights, points, name, axis), name=name, normalize=normalize).expand_as(points)


def _raw(weights: Array | None, points: Tensor, name: str, axis: int | None) -> Tensor:
    """The caller's weights, in float64 and without a graph."""
    if weights is None:
        return torch.ones_like(points)
    return _given(weights, points, name, axis).detach().double().expand_as(points)


def _given(weights: Array, points: Tensor, name: str, axis: int | None) -> Tensor:
    shares = as_tensor(weights, name=name).to(points.device)
    shares = shares if shares.ndim == 1 else _along(shares, axis)
    if shares.shape not in (points.shape, points.shape[-1:]):
        raise UserError(
            f"{name} must have one weight per point", found=f"{tuple(shares.shape)} for {tuple(points.shape)}"
        )
    return shares
