"""Points sorted into cells: a first coupling, and c-transforms that never form the cost matrix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.boxes import DIRECT_DIM, LOW_DIM, Cells, box_distance
from wassergan.distances.direct import direct_transform

_GROUP = 16  # columns per group that shares one minimum in the coarse pass
_CACHED = 2**20  # distances that fit into the processor's cache
_GATHER = 2**18  # numbers gathered at once when candidates are recomputed
LEAF = 8  # points at which the recursive split ends
_PROBES = 256  # columns examined first, to find the cells that are too far
_SINGLE_ABOVE = 2**21  # distances per cell of rows from which the coarse pass runs in float32
_Vector = npt.NDArray[np.float64]
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Transform:
    """The c-transform f_i = min_j ‖x_i - y_j‖ - g_j.

    Attributes:
        values: shape (n,), not above f, except for the relative rounding error of one float64 distance.
        nearest: shape (n, k), the columns j of the k smallest ‖x_i - y_j‖ - g_j, to single precision.
    """

    values: Tensor
    nearest: Tensor


def paired_order(x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, leaf: int = LEAF) -> tuple[Tensor, Tensor]:
    """Orders of two weighted clouds in which near mass is adjacent, so that their monotone coupling is good.

    Both clouds are cut together, again and again, along the coordinate that varies most, at half their mass, until at
    most `leaf` points of either are left.
    """
    return _paired_order(x.numpy(), y.numpy(), a.numpy(), b.numpy(), leaf)


def _paired_order(x: _Vector, y: _Vector, a: _Vector, b: _Vector, leaf: int) -> tuple[Tensor, Tensor]:
    stack = [(np.arange(len(x)), np.arange(len(y)))]
    x_parts, y_parts = [], []
    while stack:
        i, j = stack.pop()
        axis = int(np.argmax(_variance(x[i]) + _variance(y[j])))
        i, j = i[np.argsort(x[i, axis], kind="stable")], j[np.argsort(y[j, axis], kind="stable")]
        if min(len(i), len(j)) < 2 or max(len(i), len(j)) <= leaf:
            x_parts.append(i)
            y_parts.append(j)
            continue
        i_cut, j_cut = _half(a[i]), _half(b[j])
        stack += [(i[i_cut:], j[j_cut:]), (i[:i_cut], j[:j_cut])]
    return torch.from_numpy(np.concatenate(x_parts)), torch.from_numpy(np.concatenate(y_parts))


def c_transform(x: Cells, y: Cells, g: Tensor, *, keep: int) -> Transform:
    """The c-transform of g at every point of x, with its `keep` best partners.

    In up to three dimensions, every column that may matter is looked at directly. Beyond, a coarse pass through matrix
    products finds, per row, the groups of columns with the smallest minima, and among their members the best columns,
    which are then computed by direct differences. Everything left out is bounded from below by its coarse value minus
    the rounding error, so no value is above the true one. Cells whose box is too far to matter are skipped. Large
    problems run the coarse pass in float32, and repeat it in float64 for the rows whose value is uncertain because of
    its error.
    """
    keep = min(keep, len(y.points))
    if x.points.shape[1] <= DIRECT_DIM:
        return Transform(*direct_transform(x, y, g, keep))
    tops = torch.stack([part.max() for part in torch.split(g, y.size)])
    values, nearest = [], []
    for rows, low, high in zip(torch.split(x.points, x.size), x.low, x.high, strict=True):
        columns = torch.arange(len(y.points))
        if len(tops) > 4 + 2 * keep // y.size:
            columns = y.members(_within_reach(rows, y, g, tops, low, high, keep))
        dtype = torch.float32 if len(rows) * len(columns) > _SINGLE_ABOVE else torch.float64
        found = _scan(rows, y, g, columns, keep, dtype)
        doubtful = found.doubt > 0
        if dtype == torch.float32 and doubtful.any():
            again = _scan(rows[doubtful], y, g, columns, keep, torch.float64)
            found.values[doubtful], found.partners[doubtful] = again.values, again.partners
        values.append(found.values)
        nearest.append(found.partners)
    return Transform(torch.cat(values), torch.cat(nearest))


def _within_reach(rows: Tensor, y: Cells, g: Tensor, tops: Tensor, low: Tensor, high: Tensor, keep: int) -> Tensor:
    """The cells that may hold one of the `keep` best columns of some row of a cell with the given box."""
    # Any k columns bound the k-th smallest value of each row from above: use those of the nearest cells.
    nearby = ((y.low + y.high - low - high) / 2).norm(dim=1) - tops
    probe = y.members(nearby.topk(2 + keep // y.size, largest=False).indices)
    probe = probe[:: max(1, len(probe) // max(_PROBES, 4 * keep))]
    apart = _distances_to(rows, y.points, probe.expand(len(rows), -1)) - g[probe]
    reach = apart.topk(keep, dim=1, largest=False).values[:, -1]
    reach += 8 * _EPS * (g.abs().max() + reach.abs())  # offsets may dwarf the distances
    near = (box_distance(low, high, y.low, y.high) - tops <= reach.max()).nonzero().flatten()
    if rows.shape[1] > LOW_DIM:
        return near
    floor = box_distance(rows[:, None], rows[:, None], y.low[near], y.high[near]) - tops[near]
    return near[(floor <= reach[:, None]).any(0)]


def distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x_i - y_i‖ row by row through direct differences; the gradient is 0 where the points coincide."""
    squares = (x - y).square().sum(-1)
    apart = squares > 0
    return torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)


@dataclass(frozen=True)
class _Scan:
    """The result of examining some columns.

    Attributes:
        values: certified minima.
        doubt: the amount subtracted for the error of the coarse pass.
        partners: the best columns.
    """

    values: Tensor
    doubt: Tensor
    partners: Tensor


def _scan(rows: Tensor, y: Cells, g: Tensor, columns: Tensor, keep: int, dtype: torch.dtype) -> _Scan:
    # The last group is padded with copies of one column, whose offset -inf excludes them.
    short = -len(columns) % _GROUP
    columns = torch.cat([columns, columns[-1:].expand(short)])
    offsets = torch.cat([g[columns[: len(columns) - short]], g.new_full((short,), -torch.inf)])
    coarse = _Coarse(rows, y, columns, offsets, dtype)
    minima, members = coarse.group_minima()
    lowest, groups = minima.topk(min(keep + 1, minima.shape[1]), dim=1, largest=False)
    candidates = members[groups[:, :keep]].flatten(1)  # (rows, groups · members)
    rough, index = coarse.values(candidates).topk(min(keep + 1, candidates.shape[1]), dim=1, largest=False)
    candidates = candidates.gather(1, index[:, :keep])
    exact = _distances_to(rows, y.points, columns[candidates]) - offsets[candidates]
    best, index = exact.sort(dim=1)
    values = best[:, 0]
    for left_out in (lowest, rough):
        if left_out.shape[1] > keep:
            values = torch.minimum(values, left_out[:, keep].double() - coarse.error)
    return _Scan(values, best[:, 0] - values, columns[candidates.gather(1, index)])


def _distances_to(rows: Tensor, points: Tensor, index: Tensor) -> Tensor:
    """‖row_i - point_index[i, k]‖ by direct differences, shape of `index`."""
    squares = torch.zeros(index.shape, dtype=torch.float64)
    if rows.shape[1] <= LOW_DIM:
        # Coordinate by coordinate: a reduction over a short last axis is slow.
        for here, there in zip(rows.T, points.T, strict=True):
            squares.add_((there[index] - here[:, None]).square_())
        return squares.sqrt_()
    step = max(1, _GATHER // (index.shape[1] * rows.shape[1]))
    for start in range(0, len(rows), step):
        part = index[start : start + step]
        there = points.index_select(0, part.flatten()).view(*part.shape, -1)
        squares[start : start + step] = there.sub_(rows[start : start + step, None]).square_().sum(-1)
    return squares.sqrt_()


class _Coarse:
    """‖row - column‖ - offset from matrix products: no value minus `error` is above the true one.

    The points are centred on the rows, so that the cancelling squares are no larger than the distances. The squares are
    reduced by more than all rounding errors, so that they are lower bounds.
    """

    def __init__(self, rows: Tensor, y: Cells, columns: Tensor, offsets: Tensor, dtype: torch.dtype) -> None:
        eps = torch.finfo(dtype).eps
        shrink = 1 - 4 * eps * (rows.shape[1] + 8)
        centre = rows.mean(0)
        left = (rows - centre).to(dtype)
        left_squares = left.square().sum(1, keepdim=True)
        self._left = torch.cat([-2 * left, shrink * left_squares, torch.ones_like(left_squares)], dim=1)
        self._right = torch.empty(len(columns), rows.shape[1] + 2, dtype=dtype)
        self._offsets = offsets.to(dtype)
        self._chunk = max(_GROUP, _CACHED // len(rows) // _GROUP * _GROUP)
        for part, index in zip(self._right.split(self._chunk), columns.split(self._chunk), strict=True):
            part[:, :-2] = y.points.index_select(0, index).sub_(centre)
            part[:, -2] = 1
            part[:, -1] = shrink * part[:, :-2].square().sum(1)
        farthest = self._right[:, -1].max().item() / shrink
        largest = offsets[torch.isfinite(offsets)].abs().max().item()
        reach = left_squares.max().sqrt().item() + farthest**0.5 + largest
        shift = rows.abs().amax(0).norm().item() + y.radius
        self.error = 4 * eps * reach + 8 * _EPS * shift

    def group_minima(self) -> tuple[Tensor, Tensor]:
        """The minima over groups of columns, shape (rows, groups), and the groups, shape (groups, members)."""
        minima, members = [], []
        for start in range(0, len(self._right), self._chunk):
            right = self._right[start : start + self._chunk]
            block = (self._left @ right.T).clamp_min_(0).sqrt_().sub_(self._offsets[start : start + self._chunk])
            minima.append(block.view(len(self._left), _GROUP, -1).amin(1))
            members.append(torch.arange(start, start + len(right)).view(_GROUP, -1).T)
        return torch.cat(minima, dim=1), torch.cat(members)

    def values(self, candidates: Tensor) -> Tensor:
        """The values of some columns for each row, shape of `candidates`."""
        squares = torch.empty(candidates.shape, dtype=self._right.dtype)
        step = max(1, _GATHER // (candidates.shape[1] * self._right.shape[1]))
        for start in range(0, len(candidates), step):
            part = candidates[start : start + step]
            right = self._right.index_select(0, part.flatten()).view(*part.shape, -1)
            torch.bmm(right, self._left[start : start + step, :, None], out=squares[start : start + step, :, None])
        return squares.clamp_min_(0).sqrt_().sub_(self._offsets[candidates])


def _half(mass: _Vector) -> int:
    """How many of the sorted points make up half the mass, at least one and not all."""
    ends = mass.cumsum()
    return min(max(1, int(ends.searchsorted(ends[-1] / 2 * (1 + 4 * _EPS), side="right"))), len(mass) - 1)


def _variance(points: _Vector) -> _Vector:
    """Of each coordinate, shape (d,): for a few points in a fifth of the time of NumPy's, which is mostly overhead."""
    apart = points - np.add.reduce(points) / len(points)
    result: _Vector = np.add.reduce(apart * apart) / len(points)
    return result
