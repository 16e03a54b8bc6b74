"""Operator norms of convolutions on zero-padded grids of any size: a parametrisation that bounds them, and the bounds.

A strided convolution is one of stride 1 on the s x s phases of its input (an isometry), and zero padding embeds a grid
into the infinite one (another). All bounds here are for the infinite grid, so they hold for every size and padding.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv3d, pad
from torch.nn.utils import parametrize

from wassergan.errors import UserError

_GRID = 32  # frequencies per axis and degree; 32 overstate a norm by at most 0.5 %
_DEEP_GRID = 16  # the same where there are three axes; by at most 3 %
_ITERATIONS = 100
_TINY = 1e-30
_EPS, _LEAST = 2.0**-52, 5e-324
_LARGEST_SPECTRUM = 2**28  # complex numbers; beyond that only the Gram bound is used


def phases(kernel: Tensor, stride: Sequence[int]) -> Tensor:
    """The kernel of stride 1 on the phases of the input: (out, in, h, w) to (out, in·s·s, ⌈h/s⌉, ⌈w/s⌉), or deeper."""
    axes = len(stride)
    room = [-size % step for size, step in zip(kernel.shape[2:], stride, strict=True)]
    split = pad(kernel, [each for more in reversed(room) for each in (0, more)])
    for axis in reversed(range(axes)):
        split = split.unflatten(2 + axis, (-1, stride[axis]))  # (out, in, h/s, s, w/s, s)
    taps, steps = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    kernel_of_phases: Tensor = split.permute(0, 1, *steps, *taps).flatten(1, 1 + axes)
    return kernel_of_phases


def gram_sums(kernel: Tensor) -> Tensor:
    """S_ij = Σ over shifts of |(KᵀK)_ij|, for a kernel (out, in, h, w) of stride 1, or with depth: (in, in)."""
    columns = kernel.transpose(0, 1)  # each input's column of the operator
    reach = tuple(size - 1 for size in kernel.shape[2:])
    overlap = (conv2d if len(reach) == 2 else conv3d)(columns, columns, padding=reach)
    return overlap.abs().sum(tuple(range(2, overlap.dim())))


def convolution_bound(kernel: Tensor, *, stride: Sequence[int] = (1, 1)) -> float:
    """An upper bound of a convolution's operator norm in float64, the smaller of `gram_bound` and `fourier_bound`.

    Args:
        kernel: (out, in, h, w) or (out, in, d, h, w), with dilation and groups written out.
        stride: of each axis.
    """
    kernel = kernel.detach().cpu().double()
    largest = kernel.abs().max().item() if kernel.numel() else 0.0
    if largest == 0:
        return 0.0
    # A power of two keeps every digit, and the squares in range.
    scale = 2.0 ** min(max(math.frexp(largest)[1], -1000), 1000)
    split = phases(kernel / scale, stride)
    taps = math.prod(split.shape[2:])
    rounding = 1 + 64 * _EPS * taps * (split.shape[0] + split.shape[1])
    bound = gram_bound(split)
    if _grid(split) ** len(stride) * taps * split.shape[0] * split.shape[1] <= _LARGEST_SPECTRUM:
        bound = min(bound, fourier_bound(split))
    # An entry that underflows after scaling is at most the smallest number.
    return bound * rounding * scale + _LEAST


def gram_bound(kernel: Tensor) -> float:
    """√ρ(S) from above: ‖K‖² ≤ ρ(S) ≤ max_i (S w)_i / w_i for every positive w (Collatz and Wielandt)."""
    sums = gram_sums(kernel)
    weight = torch.ones_like(sums[0])
    best = math.inf
    for _ in range(_ITERATIONS):
        after = sums @ weight
        best = min(best, (after / weight).max().item())
        # A floor keeps w positive if a feature is unused; every positive w gives a bound.
        weight = (after / after.max().clamp_min(_TINY)).clamp_min(1e-9)
    return math.sqrt(best) * (1 + 1e-12)


def fourier_bound(kernel: Tensor) -> float:
    """Max over a grid of frequencies of σ(K̂(ω)), over √(Π cos(π m / N)).

    ‖K̂(ω) v‖² is a trigonometric polynomial of degree m = taps - 1 in each axis, and such a polynomial is at most its
    largest value on N > 2m points over cos(π m / N) (Ehlich and Zeller 1964), for every v: one axis after the other.
    """
    degrees = [taps - 1 for taps in kernel.shape[2:]]
    counts = [_grid(kernel) * degree if degree else 1 for degree in degrees]
    axes = tuple(range(2, kernel.dim()))
    spectrum = torch.fft.fftn(kernel, s=counts, dim=axes).flatten(2).permute(2, 0, 1)  # (frequencies, out, in)
    spectrum = spectrum if spectrum.shape[1] <= spectrum.shape[2] else spectrum.mT
    # A real kernel has conjugate values at opposite frequencies: half of the grid's first axis is enough.
    half = spectrum.unflatten(0, counts)[: counts[0] // 2 + 1].flatten(0, len(axes) - 1)
    squares = max(torch.linalg.eigvalsh(part @ part.mH)[:, -1].max().item() for part in half.split(64))
    slack = math.prod(
        math.cos(math.pi * degree / count) for degree, count in zip(degrees, counts, strict=True) if degree
    )
    return math.sqrt(max(squares, 0.0) / slack) * (1 + 1e-12)


def _grid(kernel: Tensor) -> int:
    return _GRID if kernel.dim() == 4 else _DEEP_GRID


class AlmostOrthogonal(nn.Module):
    """Parametrisation of a convolution's kernel with operator norm at most 1: K D^(-1/2), D_j = Σ_i S_ij.

    D - KᵀK is diagonally dominant, so ‖K D^(-1/2)‖ ≤ 1 on every grid, zero padding and stride included; the phases of
    a strided kernel are scaled one by one. Source: Prach, Lampert 2022, arXiv 2208.03160, theorem 1.

    Args:
        stride: of the convolution.
    """

    def __init__(self, stride: Sequence[int] = (1, 1)) -> None:
        super().__init__()
        self.stride = tuple(stride)

    def forward(self, kernel: Tensor) -> Tensor:
        """(out, in, h, w), or with depth, to the same shape; in at least float32 whatever autocast asks for."""
        with torch.autocast(kernel.device.type, enabled=False):
            size = kernel.detach().abs().amax().clamp_min(_TINY)  # squares stay in range; cancels in the result
            scaled = kernel / size
            sums = gram_sums(phases(scaled, self.stride)).sum(0)
            factor = torch.where(sums > 0, sums, 1.0).rsqrt()
            grid, sizes = factor.view(kernel.shape[1], *self.stride), kernel.shape[2:]
            repeats = (-(-size // step) for size, step in zip(sizes, self.stride, strict=True))
            return scaled * grid.repeat(1, *repeats)[(slice(None), *map(slice, sizes))]

    def right_inverse(self, kernel: Tensor) -> Tensor:
        """Assigning a kernel stores it unchanged."""
        return kernel


def layer_bound(layer: Any, weight: Tensor) -> float:
    """A bound of a convolution layer's norm, or a transposed one's, on inputs of any size.

    Zero padding embeds the grid; other padding repeats entries. Reflected and replicated entries are at most `repeats`
    to one, so padding has norm √repeats, and the convolution of the padded grid has the norm of zero padding. Circular
    padding makes it a convolution on a torus, whose frequencies are some of those of the infinite grid. With no more
    outputs than inputs its norm is at most that of stride 1, since a stride drops rows.

    Args:
        layer: a convolution of one to three axes.
        weight: its kernel.
    """
    stride, dilation = _by_axis(layer.stride, weight), _by_axis(layer.dilation, weight)
    # With stride 1 a dilated convolution is the plain one on interleaved grids, of the same norm.
    apart = tuple(1 if step == 1 else spread for step, spread in zip(stride, dilation, strict=True))
    flat = convolution_bound(written_out(layer, weight, apart), stride=stride)
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) or layer.padding_mode == "zeros":
        return flat
    pads = list(layer._reversed_padding_repeated_twice)[::-1]  # after and before, axis by axis
    ends = list(zip(pads[1::2], pads[::2], strict=True))
    flat *= math.sqrt(math.prod(_repeats(layer.padding_mode, *sides) for sides in ends)) * (1 + _EPS)
    if layer.padding_mode != "circular":
        return flat
    turns = 1
    for (before, after), taps, spread in zip(ends, weight.shape[2:], dilation[-len(ends) :], strict=True):
        excess = max(0, max(before, 0) + max(after, 0) - (taps - 1) * spread)
        turns *= 1 + -(-excess // max(before, after, 1))
    plain = tuple(1 for _ in stride)
    return min(flat, convolution_bound(written_out(layer, weight, plain), stride=plain) * math.sqrt(turns) * (1 + _EPS))


def _repeats(mode: str, before: int, after: int) -> int:
    """How often padding may repeat one entry, on an axis of any length that torch accepts."""
    if mode == "replicate":
        return 1 + max(before, 0) + max(after, 0)  # a negative number crops
    return 1 + (before > 0) + (after > 0)


def _by_axis(values: Any, weight: Tensor) -> tuple[int, ...]:
    """A layer's setting for each axis; a layer of one axis has one row, in steps of 1."""
    own = tuple(values) if isinstance(values, tuple | list) else (values,) * (weight.dim() - 2)
    return own if len(own) > 1 else (1, *own)


def written_out(layer: Any, weight: Tensor | None = None, dilation: Sequence[int] | None = None) -> Tensor:
    """The kernel of an equal convolution without groups and dilation, (out, in, h, w) or deeper; h is 1 for one axis.

    A transposed convolution is the adjoint of the one that is written out here, cropped.

    Args:
        layer: a convolution of one to three axes, or a transposed one.
        weight: its kernel if it differs from the layer's own.
        dilation: of each axis if it differs from the layer's own.
    """
    given = (layer.weight if weight is None else weight).detach()
    kernel = given[:, :, None] if given.dim() == 3 else given
    blocks = kernel.chunk(layer.groups)
    inside = kernel.shape[1]
    dense = kernel.new_zeros(len(kernel), inside * layer.groups, *kernel.shape[2:])
    for group, block in enumerate(blocks):
        dense[group * len(block) : (group + 1) * len(block), group * inside : (group + 1) * inside] = block
    apart = dilation or _by_axis(layer.dilation, given)
    sizes = [(size - 1) * step + 1 for size, step in zip(kernel.shape[2:], apart, strict=True)]
    spread = dense.new_zeros(*dense.shape[:2], *sizes)
    spread[(slice(None), slice(None), *(slice(None, None, step) for step in apart))] = dense
    return spread


def bound_convolution(layer: nn.Conv2d | nn.Conv3d) -> None:
    """Parametrise a convolution's kernel as `AlmostOrthogonal`, in place.

    Raises:
        UserError: groups, dilation, or padding other than by zeros.
    """
    if layer.groups != 1 or max(layer.dilation) > 1 or layer.padding_mode != "zeros":
        raise UserError(
            "Only plain convolutions with zero padding can be bounded",
            found=f"groups={layer.groups}, dilation={layer.dilation}, padding_mode='{layer.padding_mode}'",
        )
    parametrize.register_parametrization(layer, "weight", AlmostOrthogonal(layer.stride), unsafe=layer.weight.is_meta)
