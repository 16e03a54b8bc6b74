"""4×4 convolutions of stride 2 over few channels, as products with banded matrices.

A patch of few channels is short runs of memory, and to lay it out takes many times as long as to multiply by it. So
whole strips of pixels are laid out, and a matrix that holds the kernel once for each of some neighbouring outputs makes
all of those at once. It is mostly zeros; a processor multiplies by some zeros faster than it gathers what is between.
"""

import torch
from torch import Tensor

LONG_RUN = 30  # numbers of a strip that lie side by side; with matrix units
SHORT_RUN = 10


class Banded:
    """One kernel on one grid, as two banded matrices.

    Args:
        kernel: (out, 16 · in), by row, column and channel of the patch.
        grid: height and width of the input.
    """

    def __init__(self, kernel: Tensor, grid: tuple[int, int]) -> None:
        self._kernel, self._grid = kernel, grid
        self._out, self._into = len(kernel), kernel.shape[1] // 16
        self._rows, self._columns = grid[0] // 2, grid[1] // 2
        self._across, self._strips = _strips(self._columns, self._into, kernel.dtype)

    def given(self, values: Tensor) -> Tensor:
        """Strips of four rows, (n · rows · strips, 4 · columns of a strip · in)."""
        (height, width), across, into = self._grid, self._across, self._into
        padded = values.new_zeros(len(values), height + 2, max(2 * self._strips * across, width) + 2, into)
        padded[:, 1 : height + 1, 1 : width + 1] = values
        sample, row, column, _ = padded.stride()
        shape = (len(values), self._rows, self._strips, 4, (2 * across + 2) * into)
        return padded.as_strided(shape, (sample, 2 * row, 2 * across * column, row, 1)).reshape(-1, shape[3] * shape[4])

    def convolve(self, given: Tensor, bias: Tensor | None) -> Tensor:
        """(n, values)."""
        matrix = self._matrix()
        made = given @ matrix if bias is None else torch.addmm(bias.repeat(self._across), given, matrix)
        whole = made.view(-1, self._rows, self._strips * self._across, self._out)
        return whole[:, :, : self._columns].reshape(len(whole), -1)

    def deltas(self, delta: Tensor) -> Tensor:
        """As they are."""
        return delta

    def pixels(self, deltas: Tensor) -> Tensor:
        """The gradient by the inputs, (n, H, W, in): strips of two rows of deltas times another such matrix.

        Seen as blocks of 2×2 pixels that begin in the padding, along each side block i is met by the last two taps of
        delta i - 1 and the first two of delta i.
        """
        (height, width), (rows, columns), out = self._grid, (self._rows, self._columns), self._out
        # One block more than deltas on each side: the last one's second half is the padding's, or an odd side's last.
        across, strips = _strips(columns + 1, self._into, deltas.dtype)
        padded = deltas.new_zeros(len(deltas), rows + 2, strips * across + 1, out)
        padded[:, 1:-1, 1 : columns + 1] = deltas.view(-1, rows, columns, out)
        sample, row, column, _ = padded.stride()
        shape = (len(deltas), rows + 1, strips, 2, (across + 1) * out)
        laid = padded.as_strided(shape, (sample, row, across * column, row, 1)).reshape(-1, shape[3] * shape[4])
        made = (laid @ self._transposed_matrix(across)).view(*shape[:3], 2, 2 * across * self._into)
        whole = made.transpose(2, 3).reshape(len(deltas), 2 * rows + 2, -1, self._into)
        return whole[:, 1 : height + 1, 1 : width + 1]

    def by_kernel(self, given: Tensor, deltas: Tensor) -> Tensor:
        """The gradient by the whole matrix, and of that the sum over the places where the kernel stands."""
        count, across, out, into = len(deltas), self._across, self._out, self._into
        values = deltas.view(count, self._rows, self._columns, out)
        if self._columns < self._strips * across:
            padded = deltas.new_zeros(count, self._rows, self._strips * across, out)
            padded[:, :, : self._columns] = values
            values = padded
        rows = values.view(-1, across * out)
        found = (rows.T @ given[: len(rows)]).to(torch.promote_types(given.dtype, torch.float32))
        line = (2 * across + 2) * into
        places = found.as_strided((across, out, 4, 4 * into), (out * 4 * line + 2 * into, 4 * line, line, 1))
        return places.sum(0).view(out, -1)

    def _matrix(self) -> Tensor:
        """(4 · columns of a strip · in, outputs · out)."""
        across, out, into = self._across, self._out, self._into
        line = across * out
        matrix = self._kernel.new_zeros(4, (2 * across + 2) * into, line)
        places = matrix.as_strided((across, 4, 4 * into, out), (2 * into * line + out, matrix.stride(0), line, 1))
        places.copy_(self._kernel.view(out, 4, 4 * into).permute(1, 2, 0))
        return matrix.view(-1, line)

    def _transposed_matrix(self, across: int) -> Tensor:
        """(2 · deltas of a strip · out, 2 · pixels · in): the last taps of the upper row of deltas come first."""
        out, into = self._out, self._into
        matrix = self._kernel.new_zeros(2, across + 1, out, 2, 2 * across * into)
        taps = self._kernel.view(out, 2, 2, 2, 2 * into).permute(1, 3, 0, 2, 4)
        for before in (0, 1):  # delta i - 1, and delta i, of block i
            for above in (0, 1):
                places = matrix.as_strided(
                    (across, out, 2, 2 * into),
                    (matrix.stride(1) + 2 * into, matrix.stride(2), matrix.stride(3), 1),
                    above * matrix.stride(0) + before * matrix.stride(1),
                )
                places.copy_(taps[1 - above, 1 - before])
        return matrix.view(2 * (across + 1) * out, -1)


def _strips(columns: int, into: int, dtype: torch.dtype) -> tuple[int, int]:
    """Outputs of a strip side by side, and how many strips."""
    run = LONG_RUN if dtype == torch.bfloat16 else SHORT_RUN
    strips = max(1, round(columns / max(1, -(-(run - 2 * into) // (2 * into)))))
    across = -(-columns // strips)
    return across, -(-columns // across)
