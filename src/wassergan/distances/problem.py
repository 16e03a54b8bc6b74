"""A transport problem between weighted clouds, brought to the form in which it is solved."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.arrays import Array, paired
from wassergan.distances.boxes import LOW_DIM, Cells
from wassergan.distances.cells import LEAF, paired_order
from wassergan.distances.checks import as_points, as_tensor, as_weights, same_dimension
from wassergan.distances.masses import grouped
from wassergan.errors import UserError

_SMALL = 1e-290  # above this, products with a power of two are exact
_OFF_CENTRE = 1.5  # an offset of this many extents makes the difference to the middle exact (Sterbenz)


@dataclass(frozen=True)
class Side:
    """One cloud of a problem: distinct points of positive weight.

    Attributes:
        cells: the points, shape (n, d), float64 on the CPU.
        mass: their weights, shape (n,), positive, with sum one.
        place: for each of the caller's points its row here, shape (n',); -1 if the weight was zero.
    """

    cells: Cells
    mass: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.mass)


@dataclass(frozen=True)
class Problem:
    """W1 between two sides; every length here times `scale`, a power of two, is a length of the caller.

    Attributes:
        x: the first side.
        y: the second side.
        scale: the caller's unit of length in units of this problem, a power of two.
        centre: subtracted from every point before scaling, without rounding, shape (d,).
    """

    x: Side
    y: Side
    scale: float
    centre: Tensor

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

    @property
    def typical(self) -> float:
        """The median distance from the median point, over the points that differ from it; 0 if none does."""
        points = torch.cat([self.x.cells.points, self.y.cells.points])
        apart = (points - points.median(0).values).norm(dim=1)
        apart = apart[apart > 0]
        return apart.median().item() if len(apart) else 0.0

    def inside(self, points: Tensor) -> Tensor:
        """Points of the caller, (k, d) in float64 on the CPU, in the units of this problem."""
        return (points - self.centre) / self.scale

    def outside(self, lower: float, upper: float) -> tuple[float, float]:
        """Bounds in the caller's units. This rounds only where numbers near 0 lose digits, and then outwards."""
        lower, upper = lower * self.scale, upper * self.scale
        if lower < _SMALL:
            lower = max(0.0, float(np.nextafter(lower, 0.0)))
        return lower, float(np.nextafter(upper, np.inf)) if 0 < upper < _SMALL else upper


def check_pair(
    x: Array, y: Array, x_weights: Array | None, y_weights: Array | None, normalize: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The caller's two clouds and weights as float64 tensors with their graph, or a `UserError`."""
    x, y = paired(x, y)
    left, right = as_points(x, name="x"), as_points(y, name="y")
    same_dimension(left, right)
    a = as_weights(x_weights, len(left), like=left, name="x_weights", normalize=normalize)
    b = as_weights(y_weights, len(right), like=right, name="y_weights", normalize=normalize)
    return left.double(), right.double(), a, b


def coincide(x: Tensor, y: Tensor, x_weights: Array | None, y_weights: Array | None) -> bool:
    """Whether two checked samples are certainly equal: the same points, with the same counts or weights.

    Counts are compared as integers, k of n and l of m, and weights unchanged: nothing is rounded.
    """
    if (x_weights is None) != (y_weights is None) or (x_weights is not None and len(x) != len(y)):
        return False
    x, y = (t.detach().cpu() for t in (x, y))
    if any(not torch.equal(a, b) for a, b in zip(x.aminmax(dim=0), y.aminmax(dim=0), strict=True)):
        return False  # the usual case, and cheap
    if x_weights is not None and y_weights is not None:
        raw = (as_tensor(each, name="weights").detach().cpu().double() for each in (x_weights, y_weights))
        x, y = (torch.cat([points, weights[:, None]], 1) for points, weights in zip((x, y), raw, strict=True))
    (x_rows, x_counts), (y_rows, y_counts) = (torch.unique(each, dim=0, return_counts=True) for each in (x, y))
    return torch.equal(x_rows, y_rows) and torch.equal(x_counts * len(y), y_counts * len(x))


def pose(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, rng: torch.Generator | None = None, leaf: int = LEAF
) -> Problem:
    """The problem of checked clouds (n, d), (m, d) and weights (n,), (m,), all float64.

    Equal points are merged: ties make a network simplex slow. Points without weight are left out first. A column far
    from 0 is centred, which is exact there, so that an offset costs no digits.

    Args:
        x: points.
        y: points.
        a: weights of x.
        b: weights of y.
        rng: draws a random order of the points, for a full matrix: if neighbours in space are neighbours in order, a
            network simplex takes up to five times as long. None puts near mass next to each other.
        leaf: points that are not cut any further for that; more take less time.
    """
    x, y, a, b = (t.detach().cpu() for t in (x, y, a, b))
    used = torch.cat([x[a > 0], y[b > 0]])
    low, high = used.amin(0), used.amax(0)
    middle, wide = low / 2 + high / 2, high - low
    centre = torch.where(middle.abs() >= _OFF_CENTRE * wide, middle, 0.0)
    extent = torch.stack([wide, (low - centre).abs(), (high - centre).abs()]).max().item()
    if not np.isfinite(extent * x.shape[1] ** 0.5):
        found = f"coordinates up to {used.abs().max().item():g}"
        raise UserError("The distances overflow", found=found, hint="rescale the points")
    # A power of two scales without rounding, so the problem stays the same.
    scale = 2.0 ** np.clip(np.frexp(extent)[1], -1000, 1000) if extent > 0 else 1.0
    x, a, x_place = _distinct(x, a, centre, scale)
    y, b, y_place = _distinct(y, b, centre, scale)
    if rng is None:
        i, j = paired_order(x, y, a, b, leaf=leaf)
    else:
        i, j = (torch.randperm(len(points), generator=rng, device=rng.device).cpu() for points in (x, y))
    return Problem(_side(x, a, x_place, i), _side(y, b, y_place, j), float(scale), centre)


def _distinct(points: Tensor, mass: Tensor, centre: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    used = mass > 0
    distinct, where = _unique((points[used] - centre) / scale)
    index = torch.full((len(points),), -1)
    index[used] = where
    return distinct, grouped(where, mass[used], len(distinct)), index


def _unique(points: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct points in lexicographic order, and which of them each point is."""
    if points.shape[1] > LOW_DIM:
        distinct, where = torch.unique(points, dim=0, return_inverse=True)
        return distinct, where
    # Column by column: ten times as fast in few dimensions as comparisons of whole rows.
    order = torch.from_numpy(np.lexsort(points.numpy().T[::-1]))
    ordered = points[order]
    starts = torch.cat([torch.ones(1, dtype=torch.bool), (ordered[1:] != ordered[:-1]).any(1)])
    where = torch.empty_like(order)
    where[order] = starts.cumsum(0) - 1
    return ordered[starts], where


def _side(points: Tensor, mass: Tensor, index: Tensor, order: Tensor) -> Side:
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    # A point without weight keeps -1: the appended entry is what index -1 reads.
    return Side(Cells(points[order]), mass[order], torch.cat([rank, rank.new_tensor([-1])])[index])
