"""Converging bounds on W1: transport over few arcs, extended by the arcs that the potentials select.

A plan over any arcs bounds W1 from above; potentials made feasible by a c-transform bound it from below. The
arcs of smallest reduced cost under the current potentials are added and the transport is solved again (column
generation), until both bounds meet. The cost matrix is never formed.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from wassergan.distances.blocks import Blocks, nearest_arcs
from wassergan.distances.boxes import Cells
from wassergan.distances.cells import Transform, c_transform, distances
from wassergan.distances.masses import grouped
from wassergan.distances.netting import NETTED_DIM, netted
from wassergan.distances.one_dimensional import line_bound, monotone_coupling
from wassergan.distances.problem import Problem, Side
from wassergan.distances.simplex import DEFAULT_ITERATIONS, Flow, solve_dense, solve_sparse

_EPS = float(np.finfo(np.float64).eps)
_KEEP = 8  # partners per point that each c-transform proposes
_KEEP_NETTED = 16  # the same where potentials are good from the start: one round less, for larger solves
_DENSE_PAIRS = 400_000  # pairs up to which the full matrix is solved at once
_COARSER = 8  # reduction factor of the sample that gives the first potentials
_COARSE_WIDTH = 2e-3  # relative width at which the coarse problem is good enough
_MEANS_EXPLAIN = 0.05  # largest uncovered fraction of the cost at which linear potentials are a good start
_DIRECTIONS = 16  # random directions of the first lower bound
_ARC_SECONDS = 5e-5  # to find and sort the partners of a point, at most
_SETTLED = 2e-3  # of the upper bound: a sweep of blocks that gains less is followed by a proof
_PAIR_WORK = 64  # cost of a pair of points in addition to its dimensions, in a transform and in a solve


@dataclass(frozen=True)
class Bounds:
    """The current knowledge about W1, in the problem's units.

    Attributes:
        lower: no coupling costs less, rounding included.
        upper: the cost of `plan`, rounding included.
        plan: a coupling of the two sides, from row to row.
        f: potentials of x, with g: f_i + g_j ≤ ‖x_i - y_j‖ up to the rounding of one distance.
        g: potentials of y.
        dual: the bound from f and g; `lower` is at least that, since a projection may have given more.
    """

    lower: float
    upper: float
    plan: Flow
    f: Tensor
    g: Tensor
    dual: float

    @property
    def width(self) -> float:
        """(upper - lower) / upper; zero when both are zero."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


class Pace:
    """Decides whether the next step fits before the deadline and within the work budget.

    With a work budget and no deadline, the same samples always get the same bounds, whatever the load of the machine.

    Attributes:
        deadline: in the time of `time.perf_counter`; the clock is not read if it is infinite.
        interrupted: called before every step; True ends the refinement like the deadline.
        work: approximate budget of multiplications: pairs of points times their dimension.
        used: the part of the budget that was used.
        refused: whether a step was skipped.
    """

    def __init__(
        self, deadline: float, interrupted: Callable[[], bool] = lambda: False, *, work: float = math.inf
    ) -> None:
        self.deadline, self.interrupted, self.work = deadline, interrupted, work
        self.used = 0.0
        self.refused = False
        self.per_square = 0.0  # seconds of a solve per squared number of points

    def left(self) -> float:
        """Seconds before the deadline; none once interrupted."""
        return 0.0 if self.interrupted() else self.deadline - time.perf_counter()

    def allows_transform(self, x: Cells, y: Cells, g: Tensor) -> bool:
        """Whether a c-transform of g at all of x fits, judged by the time for two cells of x."""
        if not self._spends(len(x.points) * len(y.points) * (x.points.shape[1] + _PAIR_WORK)):
            return False
        if self.left() == np.inf:
            return True
        middle = len(x.points) // 2
        part = Cells(x.points[middle : middle + 2 * x.size])
        start = time.perf_counter()
        c_transform(part, y, g, keep=_partners(y.points.shape[1]))
        return self._allows((time.perf_counter() - start) * len(x.points) / len(part.points))

    def allows_solve(self, problem: Problem) -> bool:
        """Whether a solve fits, judged by the last one."""
        square = (len(problem.x) + len(problem.y)) ** 2
        return self._spends(square * _PAIR_WORK) and self._allows(self.per_square * square)

    def allows_again(self, seconds: float) -> bool:
        """Whether something smaller fits after a refusal; not within a work budget, which counts steps, not seconds."""
        return self.work == math.inf and self.left() > seconds

    def part(self) -> "Pace":
        """A pace with a third of the remaining budget, for the problem that gives the first potentials."""
        seconds = self.left()
        deadline = math.inf if seconds == math.inf else time.perf_counter() + seconds / 3
        return Pace(deadline, self.interrupted, work=(self.work - self.used) / 3)

    def take_over(self, part: "Pace") -> None:
        """Add the work of a part, and learn from it how long a solve takes."""
        self.used += part.used
        self.per_square = part.per_square

    def solve(
        self, problem: Problem, rows: Tensor, cols: Tensor, potentials: tuple[Tensor, Tensor], iterations: int
    ) -> Flow:
        """`solve_sparse` over arcs of a problem, timed.

        The simplex sees what feasible potentials leave of each distance: where they are good it starts at mass that
        stays, and needs a third of the time. Scaled up to one, what is left keeps its digits.
        """
        start = time.perf_counter()
        f, g = potentials
        cost = distances(problem.x.cells.points[rows], problem.y.cells.points[cols])
        left = (cost - f[rows] - g[cols]).clamp_(min=0)
        scale = 2.0 ** np.frexp(left.max().item())[1]
        masses = problem.x.mass.numpy(), problem.y.mass.numpy()
        flow = solve_sparse(rows.numpy(), cols.numpy(), (left / scale).numpy(), *masses, iterations=iterations)
        flow = replace(flow, f=f.numpy() + scale * flow.f, g=g.numpy() + scale * flow.g)
        self.per_square = (time.perf_counter() - start) / (len(problem.x) + len(problem.y)) ** 2
        return flow

    def _spends(self, work: float) -> bool:
        self.refused = self.refused or self.used + work > self.work
        self.used += 0.0 if self.refused else work
        return not self.refused

    def _allows(self, seconds: float) -> bool:
        self.refused = self.refused or self.left() <= seconds
        return not self.refused


def refine(
    problem: Problem, *, rng: torch.Generator, pace: Pace, iterations: int = DEFAULT_ITERATIONS
) -> Iterator[Bounds]:
    """Bounds that never get worse, refined until no arc is missing or the next step does not fit before the deadline.

    Args:
        problem: from `pose`.
        rng: picks the directions of the first lower bound and the points of the coarse problem.
        pace: holds the deadline. A step starts only if its previous time, scaled up, still fits.
        iterations: limit of the network simplex.
    """
    x, y = problem.x.cells, problem.y.cells
    keep = _partners(problem.dim)
    bounds = _first(problem, rng)
    yield bounds
    rows, cols = torch.from_numpy(bounds.plan.rows), torch.from_numpy(bounds.plan.cols)
    if len(problem.x) * len(problem.y) <= _DENSE_PAIRS:
        flow = _solve_all(problem, iterations)
        bounds = _with_plan(problem, bounds, flow)
        g = torch.from_numpy(flow.g)
    else:
        bounds, g = _coarse(problem, bounds, rng, pace, iterations)
        yield bounds
    while pace.allows_transform(x, y, g):
        to_y = c_transform(x, y, g, keep=keep)
        f = to_y.values
        bounds = _with_potentials(problem, bounds, f, g)
        yield bounds
        known = len(rows)
        rows, cols = _united(len(g), (rows, cols), _arcs(torch.arange(len(f)), to_y))
        # The potential of a point that is a best partner cannot rise; the other potentials may.
        tight = torch.zeros(len(g), dtype=torch.bool)
        tight[to_y.nearest[:, 0]] = True
        loose = (~tight).nonzero().flatten()
        if len(loose):
            lonely = Cells(y.points[loose])
            if not pace.allows_transform(lonely, x, f):
                return
            to_x = c_transform(lonely, x, f, keep=keep)
            g = g.index_copy(0, loose, torch.maximum(to_x.values, g[loose]))
            bounds = _with_potentials(problem, bounds, f, g)
            yield bounds
            rows, cols = _united(len(g), (rows, cols), _arcs(loose, to_x)[::-1])
        if len(rows) == known:
            return
        if not pace.allows_solve(problem):
            yield from _in_blocks(problem, bounds, (f, g), (rows, cols), rng, pace)
            return
        flow = pace.solve(problem, rows, cols, (f, g), iterations)
        bounds = _with_plan(problem, bounds, flow)
        yield bounds
        g = torch.from_numpy(flow.g)
    if problem.dim <= NETTED_DIM and pace.allows_again(0.0):
        yield from _in_blocks(problem, bounds, (bounds.f, bounds.g), None, rng, pace)


def _in_blocks(
    problem: Problem,
    bounds: Bounds,
    potentials: tuple[Tensor, Tensor],
    arcs: tuple[Tensor, Tensor] | None,
    rng: torch.Generator,
    pace: Pace,
) -> Iterator[Bounds]:
    """What the rest of the time brings where the next step for all points does not fit into it.

    Potentials and plan are improved in turn; a last transform makes the potentials feasible, and needs its own time.
    """
    x, y = problem.x.cells, problem.y.cells
    if not pace.allows_again(_ARC_SECONDS * (len(problem.x) + len(problem.y))):
        return
    arcs = arcs or nearest_arcs(problem)
    seed = int(torch.randint(2**62, (1,), generator=rng, device=rng.device))
    blocks = Blocks(problem, bounds.plan, potentials, arcs, seed)
    proof = _proof_seconds(problem, blocks.g)
    while pace.allows_again(0.0):
        start, before = time.perf_counter(), bounds
        reserve = proof if pace.allows_again(proof) else 0.0

        def stops(reserve: float = reserve) -> bool:
            return not pace.allows_again(reserve)

        blocks.improve_potentials(stops)
        blocks.improve_plan(stops)
        bounds = _with_plan(problem, bounds, blocks.plan)
        yield bounds
        proof, sweep = _proof_seconds(problem, blocks.g), time.perf_counter() - start
        settled = bounds.upper > (1 - _SETTLED) * before.upper
        if pace.allows_again(proof) and (settled or not pace.allows_again(proof + sweep)):
            bounds = _with_potentials(problem, bounds, c_transform(x, y, blocks.g, keep=1).values, blocks.g)
            yield bounds


def _proof_seconds(problem: Problem, g: Tensor) -> float:
    """How long a transform of g at all of x will take, by that of two cells in the middle."""
    x = problem.x.cells
    middle = len(x.points) // 2
    part = Cells(x.points[middle : middle + 2 * x.size])
    start = time.perf_counter()
    c_transform(part, problem.y.cells, g, keep=1)
    return 1.2 * (time.perf_counter() - start) * len(x.points) / len(part.points)


def _partners(dim: int) -> int:
    """How many partners a c-transform proposes for each point."""
    return _KEEP_NETTED if dim <= NETTED_DIM else _KEEP


def lower_bound(problem: Problem, f: Tensor, g: Tensor) -> float:
    """Σ a f + Σ b g minus its rounding error; f_i + g_j ≤ ‖x_i - y_j‖ up to the rounding of one distance.

    The masses are within 3 ε of the caller's, each relative to itself; rounding moved f_i and g_j by ε times
    their size before and after they were centred; distances are within (d + 8) ε of themselves, so f and g divided by
    1 + (d + 8) ε are feasible.
    """
    # With g centred, no offset multiplies the errors of the masses.
    shift = (problem.y.mass @ g).item()
    f, g = f + shift, g - shift
    parts = [(mass * potential).numpy() for mass, potential in ((problem.x.mass, f), (problem.y.mass, g))]
    size = sum(float(np.abs(part).sum()) for part in parts) + abs(shift)
    value = math.fsum(parts[0]) + math.fsum(parts[1]) - 8 * _EPS * size
    return max(0.0, value * (1 - (problem.dim + 8) * _EPS))


def plan_cost(problem: Problem, plan: Flow) -> float:
    """Σ mass · distance of a plan, without correction."""
    rows, cols = torch.from_numpy(plan.rows), torch.from_numpy(plan.cols)
    cost = distances(problem.x.cells.points[rows], problem.y.cells.points[cols]).numpy()
    return math.fsum(cost * plan.mass)


def upper_bound(problem: Problem, plan: Flow) -> float:
    """The cost of a plan, plus the largest cost of moving its marginals onto the weights, plus rounding."""
    missing = sum(
        float((grouped(torch.from_numpy(index), torch.from_numpy(plan.mass), len(side)) - side.mass).abs().sum())
        for index, side in ((plan.rows, problem.x), (plan.cols, problem.y))
    )
    cost = plan_cost(problem, plan) * (1 + (problem.dim + 8) * _EPS)
    # Each side's masses are within 3 ε of the caller's, and its marginals within ε of their sums.
    return cost + (missing * (1 + 1e-9) + 8 * _EPS) * problem.diameter


def _first(problem: Problem, rng: torch.Generator) -> Bounds:
    """The monotone coupling along the order of the points, and the best of some one-dimensional distances."""
    i, j, mass = monotone_coupling(problem.x.mass, problem.y.mass)
    used = mass > 0
    plan = Flow(i[used].numpy(), j[used].numpy(), mass[used].numpy(), np.zeros(0), np.zeros(0))
    x, y = problem.x.cells.points, problem.y.cells.points
    random = torch.randn(_DIRECTIONS, problem.dim, generator=rng, dtype=torch.float64, device=rng.device).cpu()
    lower, radius = 0.0, max(x.norm(dim=1).max().item(), y.norm(dim=1).max().item())
    for direction in torch.cat([_drift(problem)[None], normalize(random)]):
        unit = normalize(direction, dim=0)
        # A projection is within (d + 2) ε of the point's length, and the unit's length within (d + 2) ε of 1.
        along = line_bound(x @ unit, y @ unit, problem.x.mass, problem.y.mass)
        lower = max(lower, along * (1 - (problem.dim + 8) * _EPS) - 2 * (problem.dim + 2) * _EPS * radius)
    return Bounds(
        lower,
        upper_bound(problem, plan),
        plan,
        torch.zeros_like(problem.x.mass),
        torch.zeros_like(problem.y.mass),
        0.0,
    )


def _drift(problem: Problem) -> Tensor:
    """The mean of x minus the mean of y, shape (d,); W1 is at least its length."""
    return problem.x.mass @ problem.x.cells.points - problem.y.mass @ problem.y.cells.points


def _solve_all(problem: Problem, iterations: int) -> Flow:
    cost = torch.cdist(problem.x.cells.points, problem.y.cells.points, compute_mode="donot_use_mm_for_euclid_dist")
    return solve_dense(cost.numpy(), problem.x.mass.numpy(), problem.y.mass.numpy(), iterations=iterations)


def _coarse(
    problem: Problem, bounds: Bounds, rng: torch.Generator, pace: Pace, iterations: int
) -> tuple[Bounds, Tensor]:
    """Initial potentials of y, and their bound.

    They are linear along the difference of the means if the means account for most of the cost. Otherwise they come
    from a smaller transport: in few dimensions between the cells that hold more of x than of y and those that hold
    less, else between a subset of each side. With G(z) = min_i ‖z - x_i‖ - f_i over its sources x_i, which is
    1-Lipschitz, -G on x and G on y are feasible.
    """
    x, y = problem.x.cells, problem.y.cells
    drift = _drift(problem)
    if drift.norm() >= (1 - _MEANS_EXPLAIN) * bounds.upper:
        return bounds, -y.points @ normalize(drift, dim=0)
    part = netted(problem) if problem.dim <= NETTED_DIM else None
    part = part or replace(problem, x=_part(problem.x, rng), y=_part(problem.y, rng))
    inner = pace.part()
    for found in refine(part, rng=rng, pace=inner, iterations=iterations):
        if found.width <= _COARSE_WIDTH and found.dual == found.lower:
            break
    pace.take_over(inner)
    if not pace.allows_transform(y, part.x.cells, found.f):
        return bounds, torch.zeros_like(problem.y.mass)
    g = c_transform(y, part.x.cells, found.f, keep=1).values
    if pace.allows_transform(x, part.x.cells, found.f):
        partner = c_transform(x, part.x.cells, found.f, keep=1).nearest[:, 0]
        # The value at a partner is no less than the minimum, as the negative requires. Both distances to the partner
        # may be longer than the one that bounds f + g: their rounding is subtracted here.
        apart = distances(x.points, part.x.cells.points[partner])
        f = found.f[partner] - apart * (1 + 4 * (problem.dim + 8) * _EPS)
        bounds = _with_potentials(problem, bounds, f, g)
    return bounds, g


def _part(side: Side, rng: torch.Generator) -> Side:
    """One point in `_COARSER`, in the same order, so that near mass stays adjacent."""
    count = -(-len(side) // _COARSER)
    chosen = torch.randperm(len(side), generator=rng, device=rng.device).cpu()[:count].sort().values
    mass = side.mass[chosen]
    return Side(Cells(side.cells.points[chosen]), mass / mass.sum(), chosen)


def _arcs(points: Tensor, found: Transform) -> tuple[Tensor, Tensor]:
    """From each point to the partners that a c-transform found for it."""
    return points.repeat_interleave(found.nearest.shape[1]), found.nearest.flatten()


def _united(count: int, *arcs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Arcs from rows to columns 0 to `count`, exclusive, each once."""
    keys = torch.unique(torch.cat([rows * count + cols for rows, cols in arcs]))
    return keys // count, keys % count


def _with_plan(problem: Problem, bounds: Bounds, plan: Flow) -> Bounds:
    upper = upper_bound(problem, plan)
    return replace(bounds, upper=upper, plan=plan) if upper <= bounds.upper else bounds


def _with_potentials(problem: Problem, bounds: Bounds, f: Tensor, g: Tensor) -> Bounds:
    dual = lower_bound(problem, f, g)
    if dual < bounds.dual:
        return bounds
    return replace(bounds, lower=max(dual, bounds.lower), f=f, g=g, dual=dual)
