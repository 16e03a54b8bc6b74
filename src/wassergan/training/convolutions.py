"""4×4 convolutions of stride 2, and their adjoints, as matrix products or by oneDNN.

Samples lie with their channels last, (n, H, W, in), so that the 4×4 patches of a row are runs of memory; patches are
laid out for a few samples at a time, which stay in the cache. What comes out is (n, values), channels last too.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from wassergan.training.winograd import Winograd

KERNEL, STRIDE, PADDING = (4, 4), (2, 2), (1, 1)
FEW_CHANNELS = 8
CHUNK = 16  # samples whose patches are laid out at once; 4 to 96 were tried, 64 maps at 32x32
MANY_CHANNELS = 64  # from here on nine products and their sums take less time than sixteen
FEW_PRODUCTS = 0.6  # of those of the definition


class Convolution(Protocol):
    """A kernel on a grid: its three products, and the forms of inputs and deltas that two of them share."""

    def given(self, values: Tensor) -> Tensor:
        """Inputs (n, H, W, in), as `convolve` and `by_kernel` take them."""

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """(n, values)."""

    def deltas(self, delta: Tensor) -> Tensor:
        """Deltas (n, values), as `transposed` and `by_kernel` take them."""

    def transposed(self, deltas: Tensor) -> Tensor:
        """The gradient by the inputs, (n, values of the input)."""

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """The gradient by the kernel, (out, 16 · in) in at least float32: of the first inputs, as many as deltas."""


class Direct:
    """The products as they are defined.

    Args:
        kernel: (out, 16 · in), by row, column and channel of the patch.
        grid: height and width of the input.
    """

    def __init__(self, kernel: Tensor, grid: tuple[int, int]) -> None:
        self._kernel, self._grid = kernel, grid

    def given(self, values: Tensor) -> Tensor:
        """As they are."""
        return values

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """By oneDNN except in bfloat16.

        With channels last, oneDNN's float32 kernels come as near to the peak as matrix products; in bfloat16 they reach
        less than half of what products do where there are matrix units.
        """
        if given.dtype == torch.bfloat16:
            return _convolve_patches(given, self._kernel, bias)
        found = nn.functional.conv2d(given.permute(0, 3, 1, 2), self._weight(), bias, STRIDE, PADDING)
        return found.permute(0, 2, 3, 1).reshape(len(given), -1)

    def deltas(self, delta: Tensor) -> Tensor:
        """As they are."""
        return delta

    def transposed(self, deltas: Tensor) -> Tensor:
        """By oneDNN in the same cases, but not onto a few channels, where its kernels work on eight at a time."""
        grid = self._grid
        if deltas.dtype == torch.bfloat16 or self._kernel.shape[1] // 16 < FEW_CHANNELS:
            return _transpose_patches(deltas, self._kernel, grid)
        pictures = deltas.view(len(deltas), grid[0] // 2, grid[1] // 2, -1).permute(0, 3, 1, 2)
        found = nn.functional.conv_transpose2d(
            pictures, self._weight(), None, STRIDE, PADDING, output_padding=(grid[0] % 2, grid[1] % 2)
        )
        return found.permute(0, 2, 3, 1).reshape(len(deltas), -1)

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """Over patches."""
        given = given[: len(deltas)]
        pixels = (given.shape[1] // 2) * (given.shape[2] // 2)
        values = deltas.view(len(given) * pixels, -1)
        total = None
        for first, patches in _patches(given):
            product = (values[first * pixels : first * pixels + len(patches)].T @ patches).to(
                torch.promote_types(deltas.dtype, torch.float32)
            )
            total = product if total is None else total.add_(product)
        assert total is not None
        return total

    def _weight(self) -> Tensor:
        return self._kernel.view(len(self._kernel), *KERNEL, -1).permute(0, 3, 1, 2)


def convolution_of(kernel: Tensor, grid: tuple[int, int]) -> Convolution:
    """What takes the least time, by the kernel's channels and the grid.

    In bfloat16 the sums of Winograd's transforms would be rounded before the products.
    """
    many = min(len(kernel), kernel.shape[1] // 16) >= MANY_CHANNELS
    if many and kernel.dtype != torch.bfloat16 and Winograd.share_of_products(grid) < FEW_PRODUCTS:
        return Winograd(kernel, grid)
    return Direct(kernel, grid)


def _convolve_patches(given: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    count, height, width, _ = given.shape
    pixels = (height // 2) * (width // 2)
    made = given.new_empty(count * pixels, len(kernel))
    for first, patches in _patches(given):
        rows = made[first * pixels : first * pixels + len(patches)]
        if bias is None:
            torch.mm(patches, kernel.T, out=rows)
        else:
            torch.addmm(bias, patches, kernel.T, out=rows)
    return made.view(count, -1)


def _transpose_patches(delta: Tensor, kernel: Tensor, grid: tuple[int, int]) -> Tensor:
    count, (height, width) = len(delta), grid
    rows, columns, into = height // 2, width // 2, kernel.shape[1] // 16
    deltas = delta.view(count, rows * columns, -1)
    made = delta.new_empty(count, height, width, into)
    # Every patch is 2×2 blocks of 2×2 pixels: sums of blocks that are shifted against each other by one.
    sums = delta.new_empty(CHUNK, rows + 1, 2, columns + 1, 2 * into)
    padded = delta.new_zeros(CHUNK, max(height, 2 * rows) + 2, max(width, 2 * columns) + 2, into)
    for first in range(0, count, CHUNK):
        some = deltas[first : first + CHUNK]
        patches = (some.flatten(0, 1) @ kernel).view(len(some), rows, columns, 4, 4 * into)
        blocks = sums[: len(some)].zero_()
        for down in (0, 1):
            for right in (0, 1):
                part = patches[..., 2 * down : 2 * down + 2, 2 * into * right : 2 * into * (right + 1)]
                blocks[:, down : down + rows, :, right : right + columns] += part.transpose(2, 3)
        whole = blocks.view(len(some), 2 * rows + 2, 2 * columns + 2, into)
        if (height, width) == (2 * rows, 2 * columns):
            made[first : first + CHUNK] = whole[:, 1:-1, 1:-1]
        else:
            padded[: len(some), : 2 * rows + 2, : 2 * columns + 2] = whole
            made[first : first + CHUNK] = padded[: len(some), 1 : height + 1, 1 : width + 1]
    return made.view(count, -1)


def _patches(given: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(n, H, W, in) as 4×4 patches, (some · pixels, 16 · in), a few samples at a time: with the first's number."""
    count, height, width, into = given.shape
    padded = given.new_zeros(min(CHUNK, count), height + 2, width + 2, into)
    sample, row, column, _ = padded.stride()
    shape, strides = (height // 2, width // 2, 4, 4 * into), (2 * row, 2 * column, row, 1)
    patches = given.new_empty(len(padded), *shape)
    for first in range(0, count, CHUNK):
        some = given[first : first + CHUNK]
        padded[: len(some), 1:-1, 1:-1] = some
        laid_out = patches[: len(some)].copy_(padded.as_strided((len(some), *shape), (sample, *strides)))
        yield first, laid_out.view(-1, 16 * into)
