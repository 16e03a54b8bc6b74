"""4×4 convolutions of stride 2, and their adjoints, as matrix products or by oneDNN.

Samples lie with their channels last, (n, H, W, in), so that the 4×4 patches of a row are runs of memory. What comes out
is (n, values), channels last too.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from wassergan.training.analytic.winograd import Winograd

KERNEL, STRIDE, PADDING = (4, 4), (2, 2), (1, 1)
FEW_CHANNELS = 8
CHUNK = 16  # samples whose patches are laid out at once in float32; 4 to 96 were tried, 64 maps at 32x32
CHUNK_NUMBERS = 2**20  # in the windows that are laid out at once
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
    """The products as they are defined, by oneDNN where it is fast.

    Args:
        kernel: (out, 16 · in), by row, column and channel of the patch.
        grid: height and width of the input.
    """

    def __init__(self, kernel: Tensor, grid: tuple[int, int]) -> None:
        self._kernel, self._grid = kernel, grid
        self._onto_few = kernel.shape[1] // 16 < FEW_CHANNELS

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

    def transposed(self, deltas: Tensor) -> Tensor:
        """By oneDNN, but by one product and sums onto a few channels, where its kernels work on eight at a time."""
        grid = self._grid
        if self._onto_few:
            return _transposed_by_sums(deltas, self._kernel, grid)
        pictures = deltas.view(len(deltas), grid[0] // 2, grid[1] // 2, -1).permute(0, 3, 1, 2)
        found = nn.functional.conv_transpose2d(
            pictures, self._weight(), None, STRIDE, PADDING, output_padding=(grid[0] % 2, grid[1] % 2)
        )
        return found.permute(0, 2, 3, 1).reshape(len(deltas), -1)

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """Over patches of a few samples at a time, which stay in the cache."""
        total = self._kernel.new_zeros(self._kernel.shape)
        for some, delta in zip(given[: len(deltas)].split(CHUNK), deltas.split(CHUNK), strict=True):
            total.addmm_(delta.view(-1, len(total)).T, _patches(some))
        return total

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

    def transposed(self, deltas: Tensor) -> Tensor:
        """Two products, which would be narrow onto a few channels."""
        if self._onto_few:
            return super().transposed(deltas)
        return _transposed_by_windows(deltas, self._kernel, self._grid)

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """One product, whose sums are rounded once."""
        rows = deltas.view(-1, len(self._kernel))
        return (rows.T @ given[: len(rows)]).to(torch.promote_types(given.dtype, torch.float32))


def convolution_of(kernel: Tensor, grid: tuple[int, int]) -> Convolution:
    """What takes the least time, by the kernel's channels and the grid.

    In bfloat16 the sums of Winograd's transforms would be rounded before the products.
    """
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


def _transposed_by_sums(deltas: Tensor, kernel: Tensor, grid: tuple[int, int]) -> Tensor:
    """Deltas (n, values) to the gradient by the inputs, (n, values of the input), a few samples at a time.

    Every delta makes a patch, which is 2×2 blocks of 2×2 pixels; blocks are summed, shifted against each other by one.
    """
    (height, width), (rows, columns) = grid, (grid[0] // 2, grid[1] // 2)
    out, into = len(kernel), kernel.shape[1] // 16
    made = deltas.new_empty(len(deltas), height, width, into)
    dtype = torch.promote_types(deltas.dtype, torch.float32)
    sums = deltas.new_empty(CHUNK, rows + 1, 2, columns + 1, 2 * into, dtype=dtype)
    for chunk, pixels in zip(deltas.split(CHUNK), made.split(CHUNK), strict=True):
        patches = (chunk.view(-1, out) @ kernel).to(sums.dtype).view(len(chunk), rows, columns, 4, 4 * into)
        blocks = sums[: len(chunk)].zero_()
        for down in (0, 1):
            for right in (0, 1):
                part = patches[..., 2 * down : 2 * down + 2, 2 * into * right : 2 * into * (right + 1)]
                blocks[:, down : down + rows, :, right : right + columns] += part.transpose(2, 3)
        whole = blocks.view(len(chunk), 2 * rows + 2, 2 * columns + 2, into)
        pixels.copy_(whole[:, 1 : height + 1, 1 : width + 1])
    return made.view(len(made), -1)


def _transposed_by_windows(deltas: Tensor, kernel: Tensor, grid: tuple[int, int]) -> Tensor:
    """The same in two products, a few samples at a time.

    Seen as blocks of 2×2 pixels that begin in the padding, along each side block i is met by the last two taps of delta
    i - 1 and the first two of delta i: windows of 2×2 deltas times the kernel, for each row of pixels in the blocks.
    """
    (height, width), (rows, columns) = grid, (grid[0] // 2, grid[1] // 2)
    out, into = len(kernel), kernel.shape[1] // 16
    taps = kernel.view(out, 2, 2, 2, 2 * into).flip(1, 3).permute(2, 1, 3, 0, 4).reshape(2, 4 * out, 2 * into)
    some = max(1, min(len(deltas), CHUNK_NUMBERS // ((rows + 1) * (columns + 1) * 4 * out)))
    padded = deltas.new_zeros(some, rows + 2, columns + 2, out)
    sample, row, column, _ = padded.stride()
    made = deltas.new_empty(len(deltas), height, width, into)
    for chunk, pixels in zip(deltas.split(some), made.split(some), strict=True):
        padded[: len(chunk), 1:-1, 1:-1] = chunk.view(-1, rows, columns, out)
        shape = (len(chunk), rows + 1, columns + 1, 2, 2 * out)
        windows = padded.as_strided(shape, (sample, row, column, row, 1)).reshape(-1, 4 * out)
        for first in (0, 1):  # of the pixels' rows: those of the blocks' second row, of their first
            lines = (windows @ taps[1 - first]).view(len(chunk), rows + 1, -1, into)
            filled = pixels[:, first::2]
            filled.copy_(lines[:, first : first + filled.shape[1], 1 : width + 1])
    return made.view(len(made), -1)
