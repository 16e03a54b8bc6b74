"""A transport problem between weighted clouds, brought to the form in which it is solved."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.cells import Cells, paired_order
from wassergan.distances.checks import Array, as_points, as_weights, same_dimension
from wassergan.errors import UserError


@dataclass(frozen=True)
class Side:
    """One cloud of a problem: distinct points of positive weight.

    Attributes:
        cells: the points, shape (n, d), float64 on the CPU.
        mass: their weights, shape (n,), positive, with sum one.
        place: for each of the caller's points its row here, shape (n',); -1 where the weight was zero.
    """

    cells: Cells
    mass: Tensor
    place: Tensor

    def __len__(self) -> int:
        return len(self.mass)


@dataclass(frozen=True)
class Problem:
    """W1 between two sides; every length here times `scale`, a power of two, is a length of the caller."""

    x: Side
    y: Side
    scale: float

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.x.cells.points.shape[1]

    @property
    def diameter(self) -> float:
        """An upper bound of every distance between the two sides."""
        low = torch.minimum(self.x.cells.low.amin(0), self.y.cells.low.amin(0))
        high = torch.maximum(self.x.cells.high.amax(0), self.y.cells.high.amax(0))
        return float((high - low).norm()) * (1 + 1e-9)


def check_pair(
    x: Array, y: Array, x_weights: Array | None, y_weights: Array | None, normalize: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The caller's two clouds and weights as float64 tensors, graph kept, or a `UserError`."""
    left, right = as_points(x, name="x"), as_points(y, name="y")
    same_dimension(left, right)
    a = as_weights(x_weights, len(left), like=left, name="x_weights", normalize=normalize)
    b = as_weights(y_weights, len(right), like=right, name="y_weights", normalize=normalize)
    return left.double(), right.double(), a, b


def pose(x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, rng: torch.Generator | None = None) -> Problem:
    """The problem of checked clouds (n, d), (m, d) and weights (n,), (m,), all float64.

    Equal points become one and points without weight are left out: ties make a network simplex slow.

    Args:
        x: points.
        y: points.
        a: weights of x.
        b: weights of y.
        rng: draws an order of the points, as a full matrix wants it: where neighbours in space are neighbours in
            order, a network simplex takes up to five times as long. None puts mass next to near mass.
    """
    x, y, a, b = (t.detach().cpu() for t in (x, y, a, b))
    extent = (torch.maximum(x.amax(0), y.amax(0)) - torch.minimum(x.amin(0), y.amin(0))).max().item()
    extent = max(extent, x.abs().max().item(), y.abs().max().item())
    if not np.isfinite(extent * x.shape[1] ** 0.5):
        raise UserError("The distances overflow", found=f"coordinates up to {extent:g}", mend="rescale the points")
    # A power of two scales without rounding, so an ill-scaled problem is the same problem.
    scale = 2.0 ** np.clip(np.frexp(extent)[1], -1000, 1000) if extent > 0 else 1.0
    x, a, x_place = _distinct(x / scale, a)
    y, b, y_place = _distinct(y / scale, b)
    if rng is None:
        i, j = paired_order(x, y, a, b)
    else:
        i, j = (torch.randperm(len(points), generator=rng, device=rng.device).cpu() for points in (x, y))
    return Problem(_side(x, a, x_place, i), _side(y, b, y_place, j), float(scale))


def _distinct(points: Tensor, mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    distinct, place = torch.unique(points, dim=0, return_inverse=True)
    total = mass.new_zeros(len(distinct)).index_add_(0, place, mass)
    kept = total > 0
    row = torch.where(kept, torch.cumsum(kept, 0) - 1, -1)
    return distinct[kept], total[kept], row[place]


def _side(points: Tensor, mass: Tensor, place: Tensor, order: Tensor) -> Side:
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    # A point without weight keeps -1: the appended entry is what index -1 reads.
    return Side(Cells(points[order]), mass[order], torch.cat([rank, rank.new_tensor([-1])])[place])
