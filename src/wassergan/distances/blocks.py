"""Plans and potentials of problems that are too large for one solve, improved in blocks of a few hundred points.

Each block is solved exactly while the rest stays as it is, and the next blocks are cut elsewhere (Benamou 1994;
Bonafini and Schmitzer 2021): a plan never gets dearer, and potentials never worse. Nothing here is a proof: whoever
uses the results computes the cost of the plan, and makes the potentials feasible.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.problem import Problem
from wassergan.distances.simplex import Flow, Index, Vector, solve_dense
from wassergan.errors import WorkError

BLOCK = 256  # points of a side in a block, about
_NEAREST = 8  # points of the other side that may bind a potential, where no transform has found them
_CUTS = 0.35, 0.65  # where a block is cut: somewhere else in every sweep


class Blocks:
    """A plan and potentials of a problem.

    Attributes:
        plan: its plan; only rows, columns and masses are kept.
        g: potentials of y.
    """

    def __init__(
        self, problem: Problem, plan: Flow, potentials: tuple[Tensor, Tensor], arcs: tuple[Tensor, Tensor], seed: int
    ) -> None:
        """Start.

        Args:
            problem: what is transported.
            plan: a coupling.
            potentials: f (n,) and g (m,), feasible.
            arcs: rows and columns, sorted by row, among which the partners of every point that bind its potential are.
            seed: of the cuts.
        """
        self._x, self._y = problem.x.cells.points.numpy(), problem.y.cells.points.numpy()
        self._a, self._b = problem.x.mass.numpy(), problem.y.mass.numpy()
        self.plan = plan
        self._f, self._g = (each.numpy().copy() for each in potentials)
        rows, cols = (each.numpy() for each in arcs)
        by_col = np.argsort(cols, kind="stable")
        self._of_x = _Partners(cols, rows, len(self._x), self._apart(rows, cols))
        self._of_y = _Partners(rows[by_col], cols[by_col], len(self._y), self._of_x.apart[by_col])
        self._rng = np.random.default_rng(seed)

    @property
    def g(self) -> Tensor:
        """Potentials of y."""
        return torch.from_numpy(self._g)

    def improve_plan(self, stops: Callable[[], bool] = lambda: False) -> None:
        """One sweep: the points of each block exchange what they send; once `stops`, the rest stays as it is."""
        order = np.argsort(self.plan.rows, kind="stable")
        rows, cols, mass = self.plan.rows[order], self.plan.cols[order], self.plan.mass[order]
        starts = np.searchsorted(rows, np.arange(len(self._x) + 1))
        new_rows, new_cols, new_mass = [], [], []
        for block in self._cut(self._x, BLOCK):
            pieces = _ranges(starts, block)
            part = rows[pieces], cols[pieces], mass[pieces]
            sources, targets, moved = part if stops() else self._exchanged(*part)
            new_rows.append(sources)
            new_cols.append(targets)
            new_mass.append(moved)
        joined = np.concatenate(new_rows), np.concatenate(new_cols), np.concatenate(new_mass)
        self.plan = Flow(*joined, np.zeros(0), np.zeros(0))

    def improve_potentials(self, stops: Callable[[], bool] = lambda: False) -> None:
        """One sweep: the potentials in each block become the best ones beside those outside of it, until it `stops`."""
        n = len(self._x)
        blocks = self._cut(np.concatenate([self._x, self._y]), 2 * BLOCK)
        owner = np.empty(n + len(self._y), np.int64)
        for number, block in enumerate(blocks):
            owner[block] = number
        owners = owner[:n], owner[n:]
        for number, block in enumerate(blocks):
            i, j = block[block < n], block[block >= n] - n
            if stops():
                return
            if len(i) and len(j):
                self._raise(i, j, number, owners)

    def _apart(self, rows: Index, cols: Index) -> Vector:
        squares = np.zeros(len(rows))
        for here, there in zip(self._x.T, self._y.T, strict=True):
            squares += np.square(here[rows] - there[cols])
        return np.sqrt(squares)

    def _matrix(self, rows: Index, cols: Index) -> Vector:
        squares = np.zeros((len(rows), len(cols)))
        for here, there in zip(self._x.T, self._y.T, strict=True):
            squares += np.square(here[rows][:, None] - there[cols])
        return np.sqrt(squares)

    def _cut(self, points: Vector, size: int) -> list[Index]:
        """Blocks of at most so many points, cut across the longest extent along turned axes."""
        turn, _ = np.linalg.qr(self._rng.standard_normal((points.shape[1], points.shape[1])))
        points, found, waiting = points @ turn, [], [np.arange(len(points))]
        while waiting:
            block = waiting.pop()
            if len(block) <= size:
                found.append(block)
                continue
            axis = int(np.argmax(np.ptp(points[block], axis=0)))
            middle = min(max(1, int(self._rng.uniform(*_CUTS) * len(block))), len(block) - 1)
            order = np.argpartition(points[block, axis], middle)
            waiting += [block[order[:middle]], block[order[middle:]]]
        return found

    def _exchanged(self, rows: Index, cols: Index, mass: Vector) -> tuple[Index, Index, Vector]:
        """The cheapest plan with the marginals of these pieces."""
        own, i = np.unique(rows, return_inverse=True)
        other, j = np.unique(cols, return_inverse=True)
        costs = self._matrix(own, other)
        size, total = float(costs.max()), float(mass.sum())
        if size == 0 or min(len(own), len(other)) < 2:
            return rows, cols, mass
        a, b = np.bincount(i, mass), np.bincount(j, mass)
        try:
            flow = solve_dense(costs / size, a / a.sum(), b / b.sum())
        except WorkError:  # the plan stays as it was
            return rows, cols, mass
        return own[flow.rows], other[flow.cols], flow.mass * total

    def _raise(self, i: Index, j: Index, number: int, owners: tuple[Index, Index]) -> None:
        """Σ a f + Σ b g over a block, as large as the potentials outside let it be.

        A point more on each side stands for the outside: what goes there costs what is left to the nearest bound.
        """
        f_room = self._of_x.room(i, self._f, self._g, owners[1] != number)
        g_room = self._of_y.room(j, self._g, self._f, owners[0] != number)
        left = np.maximum(self._matrix(i, j) - self._f[i][:, None] - self._g[j], 0.0)
        size = float(left.max())
        if size == 0:
            return
        costs = np.zeros((len(i) + 1, len(j) + 1))
        costs[:-1, :-1] = left
        costs[:-1, -1], costs[-1, :-1] = np.minimum(f_room, size), np.minimum(g_room, size)
        a = np.append(self._a[i], self._b[j].sum())
        b = np.append(self._b[j], self._a[i].sum())
        try:
            flow = solve_dense(costs / size, a / a.sum(), b / b.sum())
        except WorkError:  # the potentials stay as they were
            return
        outside = flow.g[-1]
        self._f[i] += np.minimum(size * (flow.f[:-1] + outside), costs[:-1, -1])
        self._g[j] += np.minimum(size * (flow.g[:-1] - outside), costs[-1, :-1])


class _Partners:
    """The partners of each point of a side, one after the other."""

    def __init__(self, partners: Index, points: Index, count: int, apart: Vector) -> None:
        self.partners, self.apart = partners, apart
        self._starts = np.searchsorted(points, np.arange(count + 1))

    def room(self, points: Index, own: Vector, other: Vector, is_outside: npt.NDArray[np.bool_]) -> Vector:
        """How far each potential may rise before that of a partner outside stops it, at least 0."""
        pieces = _ranges(self._starts, points)
        place = np.repeat(np.arange(len(points)), self._starts[points + 1] - self._starts[points])
        partners = self.partners[pieces]
        left = self.apart[pieces] - own[points][place] - other[partners]
        outside = is_outside[partners]
        found = np.full(len(points), np.inf)
        np.minimum.at(found, place[outside], left[outside])
        return np.asarray(np.maximum(found, 0.0))


def _ranges(starts: Index, points: Index) -> Index:
    """The places from starts[p] to starts[p + 1] of each point, one after the other."""
    counts = starts[points + 1] - starts[points]
    first = np.repeat(starts[points] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return np.asarray(first + np.arange(counts.sum()))


def nearest_arcs(problem: Problem) -> tuple[Tensor, Tensor]:
    """Rows and columns, sorted by row, of each point and its nearest ones on the other side."""
    from scipy.spatial import cKDTree  # a tenth of a second to import

    x, y = problem.x.cells.points.numpy(), problem.y.cells.points.numpy()
    ends = []
    for own, other in ((x, y), (y, x)):
        nearest = cKDTree(other).query(own, k=range(1, min(_NEAREST, len(other)) + 1))[1]
        ends.append((np.repeat(np.arange(len(own)), nearest.shape[1]), nearest.ravel()))
    keys = np.unique(np.concatenate([ends[0][0] * len(y) + ends[0][1], ends[1][1] * len(y) + ends[1][0]]))
    return torch.from_numpy(keys // len(y)), torch.from_numpy(keys % len(y))
