"""Whether a branch has the shape that a residual block needs: a sum of different shapes would broadcast."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from wassergan.lipschitz.pooling import per_axis

_SIDES = (64, 61, 31, 16, 8, 7, 5, 3, 2, 1)
Shape = tuple[int, ...]

_POOLS: dict[type[nn.Module], tuple[int, Any]] = {
    nn.MaxPool1d: (1, functional.max_pool1d),
    nn.MaxPool2d: (2, functional.max_pool2d),
    nn.MaxPool3d: (3, functional.max_pool3d),
    nn.AvgPool1d: (1, functional.avg_pool1d),
    nn.AvgPool2d: (2, functional.avg_pool2d),
    nn.AvgPool3d: (3, functional.avg_pool3d),
    nn.AdaptiveAvgPool1d: (1, None),
    nn.AdaptiveAvgPool2d: (2, None),
    nn.AdaptiveAvgPool3d: (3, None),
}
_CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_CONVOLUTIONS |= {nn.ConvTranspose1d: 1, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3}


def joined_alike(
    branch: Iterable[tuple[type[nn.Module], Any]], shortcut: Iterable[tuple[type[nn.Module], Any]]
) -> bool:
    """Whether some input passes both chains of layers and leaves them with the same shape.

    Args:
        branch: the kind of each layer and the layer, in their order.
        shortcut: the same for the summand.
    """
    first, second = list(branch), list(shortcut)
    for shape in _inputs([*first, *second]):
        try:
            if _through(first, shape) == _through(second, shape):
                return True
        except (ValueError, RuntimeError, TypeError, ZeroDivisionError):
            continue
    return False


def _inputs(layers: list[tuple[type[nn.Module], Any]]) -> Iterator[Shape]:
    """Shapes, without the sample axis, that the first layers with a required shape accept."""
    features = []
    axes: set[int] = set()
    for kind, layer in layers:
        if kind is nn.Linear:
            features.append(layer.in_features)
            axes.add(0)
        elif kind in _CONVOLUTIONS:
            features.append(layer.in_channels)
            axes.add(_CONVOLUTIONS[kind])
        elif kind in _POOLS:
            axes.add(_POOLS[kind][0])
        elif kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            features.append(layer.num_features)
            axes |= {nn.BatchNorm1d: {0, 1}, nn.BatchNorm2d: {2}, nn.BatchNorm3d: {3}}[kind]
    for count in dict.fromkeys(features or [12]):
        for spatial in sorted(axes | {0, 1, 2}):
            for side in _SIDES if spatial else (1,):
                yield (count, *(side,) * spatial)
                if spatial and count not in _SIDES:
                    yield (*(side,) * spatial, count)  # a linear layer acts on the last axis


def _through(layers: list[tuple[type[nn.Module], Any]], shape: Shape) -> Shape:
    for kind, layer in layers:
        shape = _after(kind, layer, shape)
    return shape


def _after(kind: type[nn.Module], layer: Any, shape: Shape) -> Shape:
    """The output shape of a layer for one sample.

    Raises:
        ValueError: the layer does not accept it.
    """
    if kind is nn.Linear:
        _need(shape[-1] == layer.in_features)
        return (*shape[:-1], layer.out_features)
    if kind in _CONVOLUTIONS:
        return _convolved(layer, shape, _CONVOLUTIONS[kind])
    if kind in _POOLS:
        return _pooled(layer, shape, *_POOLS[kind])
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        _need(shape[0] == layer.num_features)
        return shape
    if kind in (nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ZeroPad1d, nn.ZeroPad2d):
        reshaped: torch.Tensor = kind.forward(layer, torch.empty(1, *shape, device="meta"))
        return tuple(reshaped.shape[1:])
    return shape


def _convolved(layer: Any, shape: Shape, axes: int) -> Shape:
    _need(len(shape) == axes + 1 and shape[0] == layer.in_channels)
    sizes = []
    for axis, side in enumerate(shape[1:]):
        kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
        reach = dilation * (kernel - 1)
        if layer.transposed:
            sizes.append((side - 1) * stride - 2 * layer.padding[axis] + reach + layer.output_padding[axis] + 1)
            continue
        pads = layer._reversed_padding_repeated_twice[2 * (axes - 1 - axis) :][:2]
        sizes.append((side + sum(pads) - reach - 1) // stride + 1)
    _need(min(sizes) > 0)
    return (layer.out_channels, *sizes)


def _pooled(layer: Any, shape: Shape, axes: int, pool: Any) -> Shape:
    _need(len(shape) == axes + 1)
    if pool is None:
        return (shape[0], *(1,) * axes)
    settings = [per_axis(each, axes) for each in (layer.kernel_size, layer.stride, layer.padding)]
    more = [per_axis(layer.dilation, axes)] if hasattr(layer, "dilation") else []
    if math.prod(shape) == 0:
        raise ValueError
    pooled: torch.Tensor = pool(torch.empty(1, *shape, device="meta"), *settings, *more, ceil_mode=layer.ceil_mode)
    return tuple(pooled.shape[1:])


def _need(fits: bool) -> None:
    if not fits:
        raise ValueError
