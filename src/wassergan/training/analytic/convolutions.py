"""4×4 convolutions of stride 2, and their adjoints, as matrix products or by oneDNN.

Samples lie with their channels last, (n, H, W, in), so that the 4×4 patches of a row are runs of memory. What comes out
is (n, values), channels last too.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from wassergan.training.analytic.banded import Banded
from wassergan.training.analytic.winograd import Winograd

KERNEL, STRIDE, PADDING = (4, 4), (2, 2), (1, 1)
FEW_CHANNELS = 8
SMALL_SIDE = 4  # of what a convolution makes: up to it oneDNN's transposed convolutions are the faster ones in float32
CHUNK_NUMBERS = 2**21  # in the windows or patches that are laid out at once
MANY_CHANNELS = 64  # from here on nine products and their sums take less time than sixteen
FEW_PRODUCTS = 0.6  # of those of the definition


class Convolution(Protocol):
    """A kernel on a grid: its three products, and the forms of inputs and deltas that two of them share."""

    def given(self, values: Tensor) -> Tensor:
        """Inputs (n, H, W, in), as `convolve` and `by_kernel` take them."""

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """(n, values)."""

    def deltas(self, delta: Tensor) -> Tensor:
        """Deltas (n, values), as `pixels` and `by_kernel` take them."""

    def pixels(self, deltas: Tensor) -> Tensor:
        """The gradient by the inputs, (n, H, W, in); not always contiguous."""

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """The gradient by the kernel, (out, 16 · in) in at least float32: of the first inputs, as many as deltas."""


class Direct:
    """The products as they are defined, by oneDNN where it is fast.

    Args:
        kernel: (out, 16 · in), by row, column and channel of the patch.
        grid: height and width of the input.
    """

    def __init__(self, kernel: Tensor, grid: tuple[int, int]) -> None:
        self._kernel, self._grid = kernel, grid
        self._is_small = min(grid) // 2 <= SMALL_SIDE
        self._banded = Banded(kernel, grid) if kernel.shape[1] // 16 < FEW_CHANNELS else None

    def given(self, values: Tensor) -> Tensor:
        """As they are."""
        return values

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """By oneDNN, which comes as near to the peak as matrix products with channels last."""
        found = nn.functional.conv2d(given.permute(0, 3, 1, 2), self._weight(), bias, STRIDE, PADDING)
        return found.permute(0, 2, 3, 1).reshape(len(given), -1)

    def deltas(self, delta: Tensor) -> Tensor:
        """As they are."""
        return delta

    def pixels(self, deltas: Tensor) -> Tensor:
        """In one product, but by oneDNN where many of its windows would hang over the edge."""
        if self._banded is not None:
            return self._banded.pixels(deltas)
        if not self._is_small:
            return _pixels_by_windows(deltas, self._kernel, self._grid)
        padding = (self._grid[0] % 2, self._grid[1] % 2)
        found = nn.functional.conv_transpose2d(
            self._maps(deltas), self._weight(), None, STRIDE, PADDING, output_padding=padding
        )
        return found.permute(0, 2, 3, 1)

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """By oneDNN, or over patches of a few samples at a time, which stay in the cache."""
        inputs = given[: len(deltas)]
        if not self._is_small:
            _, found, _ = torch.ops.aten.convolution_backward(
                self._maps(deltas),
                inputs.permute(0, 3, 1, 2),
                self._weight(),
                None,
                STRIDE,
                PADDING,
                (1, 1),
                False,
                (0, 0),
                1,
                [False, True, False],
            )
            return found.permute(0, 2, 3, 1).reshape(self._kernel.shape)  # type: ignore[no-any-return]
        some = max(1, CHUNK_NUMBERS // (self._kernel.shape[1] * max(1, deltas[0].numel() // len(self._kernel))))
        total = self._kernel.new_zeros(self._kernel.shape)
        for chunk, delta in zip(inputs.split(some), deltas.split(some), strict=True):
            total.addmm_(delta.view(-1, len(total)).T, _patches(chunk))
        return total

    def _maps(self, deltas: Tensor) -> Tensor:
        """(n, out, rows, columns)."""
        return deltas.view(len(deltas), self._grid[0] // 2, self._grid[1] // 2, -1).permute(0, 3, 1, 2)

    def _weight(self) -> Tensor:
        return self._kernel.view(len(self._kernel), *KERNEL, -1).permute(0, 3, 1, 2)


class Patches(Direct):
    """Matrix products alone, over patches that are laid out once.

    For bfloat16: where there are matrix units, oneDNN's convolutions reach less than half of what its products do, and
    every sum outside of a product is rounded. The patches take four times the memory of the inputs.
    """

    def given(self, values: Tensor) -> Tensor:
        """Their patches, (n · pixels, 16 · in)."""
        return _patches(values)

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """One product."""
        made = given @ self._kernel.T if bias is None else torch.addmm(bias, given, self._kernel.T)
        return made.view(-1, (self._grid[0] // 2) * (self._grid[1] // 2) * len(self._kernel))

    def pixels(self, deltas: Tensor) -> Tensor:
        """One product, which would be narrow onto a few channels."""
        return _pixels_by_windows(deltas, self._kernel, self._grid)

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """One product, whose sums are rounded once."""
        rows = deltas.view(-1, len(self._kernel))
        return (rows.T @ given[: len(rows)]).to(torch.promote_types(given.dtype, torch.float32))


def convolution_of(kernel: Tensor, grid: tuple[int, int]) -> Convolution:
    """What takes the least time, by the kernel's channels and the grid.

    In bfloat16 the sums of Winograd's transforms would be rounded before the products.
    """
    channels = kernel.shape[1] // 16
    if channels == 1 or (channels < FEW_CHANNELS and kernel.dtype == torch.bfloat16):
        return Banded(kernel, grid)
    if kernel.dtype == torch.bfloat16:
        return Patches(kernel, grid)
    many = min(len(kernel), kernel.shape[1] // 16) >= MANY_CHANNELS
    if many and Winograd.share_of_products(grid) < FEW_PRODUCTS:
        return Winograd(kernel, grid)
    return Direct(kernel, grid)


def _patches(values: Tensor) -> Tensor:
    """(n, H, W, in) as 4×4 patches, (n · pixels, 16 · in)."""
    count, height, width, into = values.shape
    padded = values.new_zeros(count, height + 2, width + 2, into)
    padded[:, 1:-1, 1:-1] = values
    sample, row, column, _ = padded.stride()
    shape, strides = (count, height // 2, width // 2, 4, 4 * into), (sample, 2 * row, 2 * column, row, 1)
    return padded.as_strided(shape, strides).reshape(-1, 16 * into)


def _pixels_by_windows(deltas: Tensor, kernel: Tensor, grid: tuple[int, int]) -> Tensor:
    """Deltas (n, values) to the gradient by the inputs, (n, H, W, in), in one product.

    Seen as blocks of 2×2 pixels that begin in the padding, along each side block i is met by the last two taps of delta
    i - 1 and the first two of delta i: windows of 2×2 deltas times the kernel.
    """
    (height, width), (rows, columns) = grid, (grid[0] // 2, grid[1] // 2)
    out, into = len(kernel), kernel.shape[1] // 16
    halves = kernel.view(out, 2, 2, 2, 2, into).unbind(1)  # the last taps first; `flip` goes number by number
    turned = torch.stack([halves[1][:, :, 1], halves[1][:, :, 0], halves[0][:, :, 1], halves[0][:, :, 0]])
    taps = turned.view(4 * out, 4 * into)
    some = max(1, min(len(deltas), CHUNK_NUMBERS // ((rows + 1) * (columns + 1) * 4 * out)))
    made = deltas.new_empty(len(deltas), rows + 1, 2, columns + 1, 2 * into)
    for chunk, blocks in zip(deltas.split(some), made.split(some), strict=True):
        products = _windowed(chunk.view(-1, rows, columns, out), taps)
        blocks.copy_(products.view(len(chunk), rows + 1, columns + 1, 2, 2 * into).transpose(2, 3))
    return made.view(len(made), 2 * rows + 2, 2 * columns + 2, into)[:, 1 : height + 1, 1 : width + 1]


def _windowed(deltas: Tensor, taps: Tensor) -> Tensor:
    """All windows of 2×2 of (n, h, w, out) in a margin of zeros, times taps: (n · (h + 1) · (w + 1), numbers).

    Large grids go to oneDNN, which lays out neither windows nor a margin; of small ones it makes less than the product.
    """
    count, height, width, out = deltas.shape
    if min(height, width) > SMALL_SIDE:
        kernel = taps.view(2, 2, out, -1).permute(3, 2, 0, 1)
        found = nn.functional.conv2d(deltas.permute(0, 3, 1, 2), kernel, padding=1)
        return found.permute(0, 2, 3, 1).reshape(-1, taps.shape[1])
    padded = deltas.new_zeros(count, height + 2, width + 2, out)
    padded[:, 1:-1, 1:-1] = deltas
    sample, row, column, _ = padded.stride()
    shape, strides = (count, height + 1, width + 1, 2, 2 * out), (sample, row, column, row, 1)
    return padded.as_strided(shape, strides).reshape(-1, 4 * out) @ taps
