"""Lipschitz constants of pooling on grids of any size: windows that overlap count a point more than once."""

import math
from typing import Any

import torch
from torch.nn.functional import avg_pool1d

from wassergan.errors import UserError
from wassergan.lipschitz.convolution import convolution_bound

_WIDEST = 32  # windows up to which divisors at the border are checked one by one


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """A setting of a layer, one number for each axis."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * axes


def overlap(size: int, stride: int, dilation: int) -> int:
    """Most windows of one axis that can contain a point: tap j meets it if j·dilation matches modulo stride."""
    return -(-size // (stride // math.gcd(stride, dilation)))


def maximum_bound(layer: Any, axes: int) -> float:
    """√(windows that share a point): |max_w x - max_w y| is at most the largest |x_i - y_i| in the window."""
    if layer.return_indices:
        raise UserError("Pooling that returns indices has no bound")
    settings = [per_axis(each, axes) for each in (layer.kernel_size, layer.stride, layer.dilation)]
    return math.sqrt(math.prod(overlap(*axis) for axis in zip(*settings, strict=True)))


def mean_bound(layer: Any, axes: int) -> float:
    """The product of the axes' norms; a mean over a box is a mean along each axis in turn."""
    sizes, strides, paddings = (per_axis(each, axes) for each in (layer.kernel_size, layer.stride, layer.padding))
    override = getattr(layer, "divisor_override", None)
    if override == 0:
        raise UserError("a divisor of 0 has no bound")
    if override is not None:
        sums = math.prod(size * _full_windows(size, stride) for size, stride in zip(sizes, strides, strict=True))
        return float(sums / abs(override))
    whole = not layer.ceil_mode and (layer.count_include_pad or not any(paddings))
    bound = 1.0
    for size, stride, padding in zip(sizes, strides, paddings, strict=True):
        border = _full_windows(size, stride)
        if not whole:
            border = _border_windows(size, stride, padding, layer.ceil_mode, layer.count_include_pad)
        bound *= border
    return bound


def _full_windows(size: int, stride: int) -> float:
    """The norm of means over windows that all divide by their size: a convolution."""
    kernel = torch.full((1, 1, 1, size), 1.0 / size, dtype=torch.float64, device="cpu")
    return min(convolution_bound(kernel, stride=(1, stride)), 1.0 + 1e-12)


def _border_windows(size: int, stride: int, padding: int, ceil_mode: bool, include: bool) -> float:
    """√(largest column sum), every row summing to at most 1 (Schur), over all lengths of the axis.

    Once the axis is longer than two windows, the borders do not affect each other, and the pattern repeats with the
    stride: longer axes add no new case.
    """
    if size > _WIDEST or stride > _WIDEST:
        return math.sqrt(overlap(size, stride, 1))
    largest = 0.0
    for length in range(1, 3 * (size + stride)):
        if length + 2 * padding < size and not ceil_mode:
            continue
        points = torch.eye(length, dtype=torch.float64, device="cpu")[:, None]
        try:
            means = avg_pool1d(points, size, stride, padding, ceil_mode, include)
        except RuntimeError:  # too short for one window
            continue
        largest = max(largest, means.sum(2).max().item())
    return math.sqrt(largest) * (1 + 1e-12)
