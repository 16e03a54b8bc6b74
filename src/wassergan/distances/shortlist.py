"""Exact solves of some thousand points in few dimensions, over a short list of pairs that is proved to be enough.

Column generation as in `refine`, but the partners of every point are looked for once: beside potentials from common
cells, a hundred pairs per point hold nearly every arc that any later round asks for. Rounds solve and price within
the list; only when they are done, potentials are checked against all pairs, and what the list lacks joins it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.column_generation import Bounds, lower_bound, upper_bound
from wassergan.distances.netting import netted
from wassergan.distances.one_dimensional import monotone_coupling
from wassergan.distances.problem import Problem
from wassergan.distances.screen import between, reaches, screened
from wassergan.distances.simplex import Flow, Index, Vector, solve_dense, solve_sparse

_SHARE, _RANK = 16, 6  # a margin is the 6th smallest of every 16th pair: about a hundred pairs per point
_FIRST = 24  # arcs per point of the first solve
_CELL_PAIRS = 1_000_000  # pairs of cells whose transport is solved at once
_MOST = 300  # pairs per point beyond which the list is not short
_ROUNDS = 24  # solves after which another method is likelier to end
_SETTLED = 1e-7  # of the upper bound: gap within the list at which all pairs are looked at
_EPS = float(np.finfo(np.float64).eps)
_Marks = npt.NDArray[np.bool_]
Closes = Callable[[float, float], bool]  # whether a lower and an upper bound are near enough to each other


class _List:
    """Pairs sorted by row, at least one of every row and of every column.

    Attributes:
        rows: (k,).
        cols: (k,).
        left: what the first potentials leave of each distance, (k,).
        keys: row · m + column, ascending, (k,).
    """

    def __init__(self, rows: Index, cols: Index, left: Vector, shape: tuple[int, int]) -> None:
        self.rows, self.cols, self.left, self.shape = rows, cols, left, shape
        self.keys = rows * shape[1] + cols
        narrow = np.uint16 if shape[1] < 2**16 else np.int64  # sorted by counting
        self._by_col = np.argsort(cols.astype(narrow), kind="stable")
        self._rows_by_col, self._left_by_col = rows[self._by_col], left[self._by_col]
        self._counts = np.bincount(rows, minlength=shape[0]), np.bincount(cols, minlength=shape[1])
        self._starts = tuple(np.cumsum(counts) - counts for counts in self._counts)

    def lowest_f(self, g: Vector) -> Vector:
        """min_j left - g_j, (n,)."""
        lowest: Vector = np.minimum.reduceat(self.left - g[self.cols], self._starts[0])
        return lowest

    def lowest_g(self, f: Vector) -> Vector:
        """min_i left - f_i, (m,)."""
        lowest: Vector = np.minimum.reduceat(self._left_by_col - f[self._rows_by_col], self._starts[1])
        return lowest

    def smallest(self, left: Vector, count: int) -> _Marks:
        """Marks of the `count` pairs with least left of every row, and of every column."""
        marks = np.zeros(len(left), dtype=bool)
        scaled = left * (0.5 / max(float(left.max()), _EPS))
        marks[_first(self.rows + scaled, self._starts[0], self._counts[0], count)] = True
        order = self._by_col[
            _first(self.cols[self._by_col] + scaled[self._by_col], self._starts[1], self._counts[1], count)
        ]
        marks[order] = True
        return marks

    def places(self, keys: Index) -> Index:
        """Where some of the pairs are."""
        found: Index = np.searchsorted(self.keys, keys)
        return found

    def joined(self, rows: Index, cols: Index, left: Vector) -> tuple["_List", Index]:
        """A list with some more pairs, sorted and not among these, and the places of the old ones in it."""
        at = self.places(rows * self.shape[1] + cols)
        longer = _List(
            np.insert(self.rows, at, rows), np.insert(self.cols, at, cols), np.insert(self.left, at, left), self.shape
        )
        return longer, longer.places(self.keys)


def _first(keys: Vector, starts: Index, counts: Index, count: int) -> Index:
    """The places of the `count` smallest of every group; keys of a later group are larger."""
    order = np.argsort(keys)
    rank = np.arange(len(keys)) - np.repeat(starts, counts)
    smallest: Index = order[rank < count]
    return smallest


def shortlisted(problem: Problem, closes: Closes, iterations: int) -> Bounds | None:
    """Bounds that meet, or None where the list would be long or the rounds do not end.

    Args:
        problem: from `pose`, in at most `NETTED_DIM` dimensions.
        closes: whether a lower and an upper bound are near enough to each other.
        iterations: limit of each run of the network simplex.
    """
    start = _potentials(problem, iterations)
    if start is None:
        return None
    found = _listed(problem, *start)
    return None if found is None else _Rounds(problem, start, *found).run(closes, iterations)


def _potentials(problem: Problem, iterations: int) -> tuple[Tensor, Tensor] | None:
    """Potentials (n,) and (m,) from the transport between common cells; None without them.

    With G(z) = min_k ‖z - c_k‖ - φ_k over the cells c_k with more of x, -G on x and G on y are feasible.
    """
    part = netted(problem)
    if part is None or len(part.x) * len(part.y) > _CELL_PAIRS:
        return None
    x, y = part.x.cells.points, part.y.cells.points
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    flow = solve_dense(cost.numpy(), part.x.mass.numpy(), part.y.mass.numpy(), iterations=iterations)
    heights = [reaches(side.cells.points, x, torch.from_numpy(flow.f)) for side in (problem.x, problem.y)]
    return -heights[0], heights[1]


def _listed(problem: Problem, f: Tensor, g: Tensor) -> tuple[_List, _Marks] | None:
    """The list beside some potentials, and marks of arcs that admit a plan; None if it would be long."""
    x, y = problem.x.cells.points, problem.y.cells.points
    most = _MOST * (len(x) + len(y)) // 2
    margins = reaches(x, y, g, share=_SHARE, rank=_RANK) - f, reaches(y, x, f, share=_SHARE, rank=_RANK) - g
    pairs = screened(x, y, f, g, most, margins=margins)
    if pairs is None:
        return None
    rows, cols = pairs
    i, j, mass = monotone_coupling(problem.x.mass, problem.y.mass)
    plan = (i * len(y) + j)[mass > 0].numpy()  # ascending: the coupling goes through both sides in order
    at = np.searchsorted(rows * len(y) + cols, plan)
    listed = (rows * len(y) + cols)[np.minimum(at, len(rows) - 1)] == plan
    sources, targets = np.divmod(plan[~listed], len(y))
    rows, cols = np.insert(rows, at[~listed], sources), np.insert(cols, at[~listed], targets)
    left = between(x, y, rows, cols) - f.numpy()[rows] - g.numpy()[cols]
    found = _List(rows, cols, left, (len(x), len(y)))
    active = np.zeros(len(rows), dtype=bool)
    active[found.places(plan)] = True
    return found, active


class _Rounds:
    """Plans over the active pairs of a list, and potentials beside those at the start."""

    def __init__(self, problem: Problem, start: tuple[Tensor, Tensor], pairs: _List, active: _Marks) -> None:
        self._problem, self._pairs = problem, pairs
        self._start = start[0].numpy(), start[1].numpy()
        self._a, self._b = problem.x.mass.numpy(), problem.y.mass.numpy()
        self._f = pairs.lowest_f(np.zeros(len(self._b)))
        self._g = pairs.lowest_g(self._f)
        self._active = active | pairs.smallest(self._left(np.arange(len(pairs.keys))), _FIRST)

    def run(self, closes: Closes, iterations: int) -> Bounds | None:
        """Solve and price until the bounds meet; None if that does not come about."""
        for _ in range(_ROUNDS):
            known = self._active.sum()
            flow, gap = self._solve(iterations)
            upper = upper_bound(self._problem, flow)
            if gap > _SETTLED * upper and self._active.sum() > known:
                continue
            found = self._proved(flow, upper)
            if found is None or closes(found[0].dual, upper):
                return found and found[0]
            if not self._join(*found[1:]) and self._active.sum() == known:
                return None
        return None

    def _potentials(self) -> tuple[Tensor, Tensor]:
        f, g = (torch.from_numpy(start + more) for start, more in zip(self._start, (self._f, self._g), strict=True))
        return f, g

    def _left(self, places: Index) -> Vector:
        """What the potentials leave of the distances of some pairs."""
        pairs = self._pairs
        left = pairs.left[places] - self._f[pairs.rows[places]] - self._g[pairs.cols[places]]
        result: Vector = np.maximum(left, 0.0, out=left)
        return result

    def _solve(self, iterations: int) -> tuple[Flow, float]:
        """The best plan over the active pairs, and its cost beyond the best potentials of the list.

        Pairs that its own potentials do not allow become active.
        """
        pairs, places = self._pairs, np.flatnonzero(self._active)
        left = self._left(places)
        scale = 2.0 ** np.frexp(left.max())[1]
        flow = solve_sparse(
            pairs.rows[places], pairs.cols[places], left / scale, self._a, self._b, iterations=iterations
        )
        f, g = self._f + scale * flow.f, self._g + scale * flow.g
        self._active |= pairs.left - f[pairs.rows] - g[pairs.cols] < 0
        self._f = pairs.lowest_f(g)
        self._g = pairs.lowest_g(self._f)
        used = pairs.places(flow.rows * pairs.shape[1] + flow.cols)
        return flow, float(self._left(used) @ flow.mass)

    def _proved(self, flow: Flow, upper: float) -> tuple[Bounds, Index, Index] | None:
        """Bounds of a plan and of potentials that all pairs allow, and the pairs that lowered a potential."""
        x, y = self._problem.x.cells.points, self._problem.y.cells.points
        f, g = self._potentials()
        # A pair that is not found is longer than this, which therefore is as good as its value.
        hoped = f + 8 * _EPS * (f.abs().max() + g.abs().max())
        pairs = screened(x, y, hoped, g, _MOST * (len(x) + len(y)) // 2)
        if pairs is None:
            return None
        rows, cols = pairs
        values = between(x, y, rows, cols) - g.numpy()[cols]
        binding = values < f.numpy()[rows]
        feasible = hoped.numpy().copy()
        np.minimum.at(feasible, rows, values)
        lower = lower_bound(self._problem, torch.from_numpy(feasible), g)
        self._f = feasible - self._start[0]
        return Bounds(lower, upper, flow, torch.from_numpy(feasible), g, lower), rows[binding], cols[binding]

    def _join(self, rows: Index, cols: Index) -> bool:
        """Make some pairs active; whether there was one that the list lacked."""
        pairs = self._pairs
        keys = rows * pairs.shape[1] + cols
        keys = keys[pairs.keys[np.minimum(pairs.places(keys), len(pairs.keys) - 1)] != keys]
        if not len(keys):
            return False
        rows, cols = np.divmod(keys, pairs.shape[1])
        apart = between(self._problem.x.cells.points, self._problem.y.cells.points, rows, cols)
        self._pairs, places = pairs.joined(rows, cols, apart - self._start[0][rows] - self._start[1][cols])
        active = np.ones(len(self._pairs.keys), dtype=bool)
        active[places] = self._active
        self._active = active
        return True
