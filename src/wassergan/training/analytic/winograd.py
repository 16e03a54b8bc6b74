"""4×4 convolutions of stride 2 with nine multiplications where the definition takes sixteen.

Seen as 2×2 blocks of pixels, such a convolution has stride 1 and two taps along each side, y_t = d_t g_0 + d_{t+1} g_1.
Winograd's F(2, 2) makes two of its outputs of three products,

    m_0 = (d_0 - d_1) g_0,   m_1 = d_1 (g_0 + g_1),   m_2 = (d_2 - d_1) g_1,   y_0 = m_0 + m_1,   y_1 = m_1 + m_2,

or y = Aᵀ [(B d) ⊙ (G g)]; along both sides nine products for a tile of four outputs, each of matrices over channels. As
y is linear in d and in g, its adjoints run through the same transforms: by the kernel Gᵀ [(B d) ⊙ (A δ)], and by the
input Bᵀ [(G g) ⊙ (A δ)]. All factors are 0 and ±1: nothing is divided, and errors stay those of a few more additions.

Source: Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, arXiv 1509.09308, for stride 1.
"""

import torch
from torch import Tensor

PRODUCTS, OUTPUTS, TAPS = 3, 2, 2  # along one side
CHUNK_NUMBERS = 2**20  # in what is summed at once; 2**17 to 2**20 were tried, 64 maps at 32x32


class Winograd:
    """One kernel on one grid, as nine matrices.

    Args:
        kernel: (out, 16 · in), by row, column and channel of the patch.
        grid: height and width of the input.
    """

    def __init__(self, kernel: Tensor, grid: tuple[int, int]) -> None:
        self._out, self._into = len(kernel), kernel.shape[1] // 16
        self._grid, self._made = grid, (grid[0] // 2, grid[1] // 2)
        self._tiles = (-(-self._made[0] // OUTPUTS), -(-self._made[1] // OUTPUTS))
        self._blocks = (2 * self._tiles[0] + 1, 2 * self._tiles[1] + 1)
        taps = kernel.view(self._out, TAPS, 2, TAPS, 2 * self._into)
        tapped = [
            columns.reshape(self._out, -1)
            for rows in _spread(taps[:, 0], taps[:, 1])
            for columns in _spread(rows[:, :, 0], rows[:, :, 1])
        ]
        self._matrices = torch.stack(tapped)  # (9, out, 4 · in)

    @staticmethod
    def share_of_products(grid: tuple[int, int]) -> float:
        """Multiplications by those of the definition: 9/16, and more where tiles hang over an odd side."""
        tiled, made = 1, 1
        for side in grid:
            tiled *= PRODUCTS * -(-(side // 2) // OUTPUTS)
            made *= TAPS * (side // 2)
        return tiled / made

    def given(self, values: Tensor) -> Tensor:
        """B d: (n, H, W, in) to (9, n · tiles, 4 · in)."""
        count, into = len(values), self._into
        rows, columns = self._blocks
        some = self._at_once(count)
        padded = values.new_zeros(some, 2 * rows, 2 * columns, into)
        between = values.new_empty(2, some, self._tiles[0], 2, columns, 2 * into)
        made = values.new_empty(PRODUCTS, PRODUCTS, count, *self._tiles, 2, 2 * into)
        for start in range(0, count, some):
            chunk = values[start : start + some]
            padded[: len(chunk), 1 : 1 + self._grid[0], 1 : 1 + self._grid[1]] = chunk
            blocks = padded[: len(chunk)].view(-1, rows, 2, columns, 2 * into)
            even, odd = blocks[:, 0::2], blocks[:, 1::2]
            by_row = (
                torch.sub(even[:, :-1], odd, out=between[0, : len(chunk)]),
                odd,
                torch.sub(even[:, 1:], odd, out=between[1, : len(chunk)]),
            )
            for row, found in zip(by_row, made[:, :, start : start + some], strict=True):
                even, odd = (row.transpose(2, 3)[:, :, first::2] for first in (0, 1))
                torch.sub(even[:, :, :-1], odd, out=found[0])
                found[1] = odd
                torch.sub(even[:, :, 1:], odd, out=found[2])
        return made.view(PRODUCTS**2, -1, 4 * into)

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """Aᵀ [given ⊙ (G g)] + bias, (n, values)."""
        products = torch.bmm(given, self._matrices.transpose(1, 2))
        products = products.view(PRODUCTS, PRODUCTS, -1, *self._tiles, self._out)
        made = products.new_empty(products.shape[2], self._tiles[0], 2, self._tiles[1], 2, self._out)
        for down, row in enumerate(_summed(*products)):
            for right, found in enumerate((made[:, :, down, :, 0], made[:, :, down, :, 1])):
                torch.add(row[right], row[right + 1], out=found)
        if bias is not None:
            made += bias
        whole = made.view(len(made), 2 * self._tiles[0], -1, self._out)
        return whole[:, : self._made[0], : self._made[1]].reshape(len(made), -1)

    def deltas(self, delta: Tensor) -> Tensor:
        """A δ: (n, values) to (9, n · tiles, out)."""
        count, (down, right) = len(delta), self._tiles
        values = delta.view(count, *self._made, self._out)
        if self._made != (2 * down, 2 * right):
            padded = delta.new_zeros(count, 2 * down, 2 * right, self._out)
            padded[:, : self._made[0], : self._made[1]] = values
            values = padded
        values = values.view(count, down, 2, right, 2, self._out)
        made = delta.new_empty(PRODUCTS, PRODUCTS, count, down, right, self._out)
        for row, found in zip(_spread(values[:, :, 0], values[:, :, 1]), made, strict=True):
            found[0], found[2] = row[:, :, :, 0], row[:, :, :, 1]
            torch.add(found[0], found[2], out=found[1])
        return made.view(PRODUCTS**2, -1, self._out)

    def pixels(self, deltas: Tensor) -> Tensor:
        """Bᵀ [(G g) ⊙ deltas], (n, H, W, in)."""
        tiles, (rows, columns) = self._tiles[0] * self._tiles[1], self._blocks
        count = deltas.shape[1] // tiles
        some = self._at_once(count)
        between = deltas.new_empty(PRODUCTS, some, self._tiles[0], 2, columns, 2 * self._into)
        padded = deltas.new_empty(some, rows, 2, columns, 2 * self._into)
        made = deltas.new_empty(count, *self._grid, self._into)
        for start in range(0, count, some):
            chunk = torch.bmm(deltas[:, start * tiles : (start + some) * tiles], self._matrices)
            chunk = chunk.view(PRODUCTS, PRODUCTS, -1, *self._tiles, 2, 2 * self._into)
            by_row, blocks = between[:, : chunk.shape[2]], padded[: chunk.shape[2]]
            for row, found in zip(chunk, by_row, strict=True):
                _untile(row, found.transpose(2, 3), 2)
            _untile(by_row, blocks, 1)
            pixels = blocks.view(-1, 2 * rows, 2 * columns, self._into)
            made[start : start + some] = pixels[:, 1 : 1 + self._grid[0], 1 : 1 + self._grid[1]]
        return made

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """Gᵀ [given ⊙ deltas], (out, 16 · in): of the first samples if there are fewer deltas."""
        products = torch.bmm(deltas.transpose(1, 2), given[:, : deltas.shape[1]])
        rows = _summed(*products.view(PRODUCTS, PRODUCTS, self._out, 2, 2 * self._into))
        made = products.new_empty(self._out, TAPS, 2, TAPS, 2 * self._into)
        for down, row in enumerate(rows):
            for right in range(TAPS):
                torch.add(row[right], row[right + 1], out=made[:, down, :, right])
        return made.view(self._out, -1)

    def _at_once(self, count: int) -> int:
        return max(1, min(count, CHUNK_NUMBERS // (4 * self._blocks[0] * self._blocks[1] * self._into)))


def _spread(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """G of two taps, and A of two outputs."""
    return first, first + second, second


def _summed(first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, Tensor]:
    """Gᵀ and Aᵀ of three products."""
    return first + second, second + third


def _untile(products: Tensor, blocks: Tensor, axis: int) -> None:
    """Bᵀ along an axis, of three times so many tiles, into blocks."""
    even, odd = (blocks[(slice(None),) * axis + (slice(first, None, 2),)] for first in (0, 1))
    count = odd.shape[axis]
    torch.sub(products[1], products[0], out=odd)
    odd -= products[2]
    even.narrow(axis, count, 1).zero_()
    even.narrow(axis, 0, count).copy_(products[0])
    even.narrow(axis, 1, count).add_(products[2])
