"""Fields from one grid to another by two matrices: exact, differentiable twice, and known to every exporter."""

import torch
from torch import Tensor, nn

Grid = tuple[int, int]


def along(before: int, after: int) -> Tensor:
    """The matrix (after, before) that resizes one axis: means over cells to fewer, linear between centres to more.

    >>> along(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    places, cells = torch.arange(before), torch.arange(after)[:, None]
    if after < before:
        first, end = cells * before // after, -((cells + 1) * -before // after)
        return ((places >= first) & (places < end)) / (end - first)
    centres = (cells + 0.5) * (before / after) - 0.5
    return (1 - (centres.clamp(0, before - 1) - places).abs()).clamp(min=0)


class Resize(nn.Module):
    """Bilinear to more rows or columns, as of block means; means over cells to fewer.

    Args:
        before: the grid of the input.
        after: that of the output.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, before: Grid, after: Grid) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.register_buffer("rows", along(before[0], after[0]), persistent=False)
        self.register_buffer("columns", along(before[1], after[1]).T.contiguous(), persistent=False)

    def forward(self, fields: Tensor) -> Tensor:
        """(n, C, *before) to (n, C, *after)."""
        if self.before == self.after:
            return fields
        resized: Tensor = self.rows @ fields @ self.columns
        return resized

    def exactly(self, fields: Tensor) -> Tensor:
        """The same in full precision, also where products are reduced."""
        with torch.autocast(fields.device.type, enabled=False):
            resized: Tensor = self(fields.float() if fields.dtype in (torch.bfloat16, torch.float16) else fields)
        return resized
