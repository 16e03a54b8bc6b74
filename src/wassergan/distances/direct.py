"""c-transforms in few dimensions, by direct differences to the columns in the boxes that are near enough."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.boxes import Cells, box_distance

_GROUP = 16  # columns that share one minimum while the smallest are looked for
_PROBES = 128  # columns examined first, to find the boxes that are too far
_PROBED_CELLS = 4  # the cells that they come from
_TOGETHER = 2**19  # numbers of one array of a step over many cells
_EPS = float(np.finfo(np.float64).eps)


def direct_transform(x: Cells, y: Cells, g: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """min_j ‖x_i - y_j‖ - g_j, (n,), and the columns of the `keep` smallest in ascending order, (n, keep).

    Every value is that of one column, to the rounding of one distance. What is left out lies in a box whose nearest
    corner, less the largest g in it, is farther than the `keep`-th best of some columns that were looked at.
    """
    coordinates = y.points.T.contiguous()
    buffers = Buffers(x.size * (len(y.points) + _GROUP))
    values, nearest = [], []
    for rows, columns in _in_reach(x, y, coordinates, g, keep):
        heights = buffers.distances(rows, coordinates[:, columns]).sub_(g[columns])
        best, index = _smallest(heights, keep)
        values.append(best[:, 0])
        nearest.append(columns[index])
    return torch.cat(values), torch.cat(nearest)


class Buffers:
    """Memory for the distances of one cell, used again for the next: fresh memory costs more than the arithmetic."""

    def __init__(self, size: int) -> None:
        self._squares, self._differences = torch.empty(2, size, dtype=torch.float64)

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖row_i - column_j‖ by direct differences, (n, k) for rows (n, d) and columns (d, k)."""
        shape = len(rows), columns.shape[1]
        squares, differences = (t[: shape[0] * shape[1]].view(shape) for t in (self._squares, self._differences))
        torch.sub(rows[:, :1], columns[0], out=squares).square_()
        for coordinate in range(1, len(columns)):
            torch.sub(rows[:, coordinate : coordinate + 1], columns[coordinate], out=differences)
            squares.addcmul_(differences, differences)
        result: Tensor = squares.sqrt_()
        return result


def _smallest(heights: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` smallest of each row and where they are, by groups: none is outside of the `keep` lowest groups."""
    groups = heights.shape[1] // _GROUP
    if groups <= keep:
        best, index = heights.topk(keep, dim=1, largest=False)
        return best, index
    whole = groups * _GROUP
    lowest = heights[:, :whole].unflatten(1, (_GROUP, groups)).amin(1)
    chosen = lowest.topk(keep, dim=1, largest=False, sorted=False).indices
    candidates = (chosen[:, :, None] + torch.arange(0, whole, groups)).flatten(1)
    rest = torch.arange(whole, heights.shape[1]).expand(len(heights), -1)
    candidates = torch.cat([candidates, rest], dim=1)
    best, index = heights.gather(1, candidates).topk(keep, dim=1, largest=False)
    return best, candidates.gather(1, index)


def _in_reach(x: Cells, y: Cells, coordinates: Tensor, g: Tensor, keep: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The points of each cell of x, and the columns in the boxes that may hold one of their `keep` best partners."""
    tops = torch.stack([part.max() for part in torch.split(g, y.size)])
    probed = min(len(tops), _PROBED_CELLS + keep // y.size)
    together = max(1, _TOGETHER // max(len(tops), x.size * max(_PROBES, 4 * keep)))
    most, dim = g.abs().max(), len(coordinates)
    for start in range(0, len(x.low), together):
        low, high = x.low[start : start + together], x.high[start : start + together]
        rows = x.points[start * x.size : (start + len(low)) * x.size]
        padded = torch.cat([rows, rows[-1:].expand(len(low) * x.size - len(rows), -1)]).view(len(low), x.size, dim)
        # Any k columns bound the k-th smallest value of each row from above: use some of the nearest cells.
        middles = ((y.low + y.high) - (low + high)[:, None]).norm(dim=2) / 2 - tops
        index = middles.topk(probed, dim=1, largest=False).indices
        index = (index[:, :, None] * y.size + torch.arange(y.size)).flatten(1)
        index = index[:, :: max(1, index.shape[1] // max(_PROBES, 4 * keep))].clamp(max=len(y.points) - 1)
        reach = _kth(padded, coordinates, g, index, keep)
        reach += 8 * _EPS * (most + reach.abs())  # offsets may dwarf the distances
        near = box_distance(low[:, None], high[:, None], y.low, y.high) - tops <= reach.amax(1, keepdim=True)
        here, there = near.nonzero().T
        kept = []
        for some, others in zip(here.split(_TOGETHER // x.size), there.split(_TOGETHER // x.size), strict=True):
            points = padded[some]
            floor = box_distance(points, points, y.low[others][:, None], y.high[others][:, None])
            kept.append((floor - tops[others][:, None] <= reach[some]).any(1))
        used = torch.cat(kept)
        counts = torch.bincount(here[used], minlength=len(low)).tolist()
        for block, cells in zip(rows.split(x.size), there[used].split(counts), strict=True):
            yield block, y.members(cells)


def _kth(rows: Tensor, coordinates: Tensor, g: Tensor, index: Tensor, keep: int) -> Tensor:
    """The `keep`-th smallest of ‖row - column‖ - g over some columns, (c, r) for rows (c, r, d) and index (c, k).

    A column that is there twice would count twice: the last cell may be padded, so its copies are left out.
    """
    squares = torch.zeros(())
    for coordinate, values in enumerate(coordinates):
        squares = squares + (rows[..., coordinate, None] - values[index][:, None]).square_()
    heights = squares.sqrt_().sub_(g[index][:, None])
    copies = torch.zeros_like(index, dtype=torch.bool)
    copies[:, 1:] = index[:, 1:] == index[:, :-1]
    heights = heights.masked_fill_(copies[:, None], torch.inf)
    return heights.topk(keep, dim=2, largest=False, sorted=False).values.amax(2)
