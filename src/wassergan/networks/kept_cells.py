"""Cells that are given to a generator and stay as they are in its rows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Given = tuple[Tensor, Tensor]  # which cells of rows are given, and these


class KeptCells(nn.Module):
    """Puts cells that are given in a generator's input where they belong in its rows.

    Args:
        entries: for each number of a row, where it stands in the input and what tells whether it is given; (-1, -1)
            where it does not stand there.
        given: numbers in an input that say what is given; they come first.
    """

    sources: Tensor
    bits: Tensor
    there: Tensor

    def __init__(self, entries: Sequence[tuple[int, int]], *, given: int) -> None:
        super().__init__()
        self.given = given
        self.register_buffer("sources", torch.tensor([max(each, 0) for each, _ in entries]), persistent=False)
        self.register_buffer("bits", torch.tensor([max(each, 0) for _, each in entries]), persistent=False)
        self.register_buffer("there", torch.tensor([each >= 0 for each, _ in entries]), persistent=False)

    def cells(self, inputs: Tensor) -> Given:
        """Of inputs (n, latent_dim): which cells are given, and these, both (n, width)."""
        is_given = self.there & (inputs.index_select(1, self.bits) > 0.5)
        return is_given, inputs.index_select(1, self.sources)

    def forward(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Rows (n, width) with the given cells of inputs (n, latent_dim)."""
        is_given, cells = self.cells(inputs)
        return torch.where(is_given, cells.to(rows), rows)

    def hidden(self, inputs: Tensor) -> Tensor:
        """(n, width), 1 where a cell is not given, else 0."""
        return 1 - (self.there & (inputs.index_select(1, self.bits) > 0.5)).to(inputs)
