"""Exact optimal transport, with a certificate of optimality."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.arguments import check_count, check_flag, check_tolerance
from wassergan.distances.boxes import Cells
from wassergan.distances.cells import LEAF, c_transform, distances
from wassergan.distances.checks import Array, as_tensor, as_weights, check_finite
from wassergan.distances.column_generation import Bounds, Pace, lower_bound, refine, upper_bound
from wassergan.distances.masses import cumulative, grouped
from wassergan.distances.netting import NETTED_DIM
from wassergan.distances.one_dimensional import line_bound, monotone_coupling
from wassergan.distances.problem import Problem, Side, check_pair, coincide, pose
from wassergan.distances.shortlist import shortlisted
from wassergan.distances.simplex import DEFAULT_ITERATIONS, Flow, Vector, solve_dense
from wassergan.errors import UserError, WorkError

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 2**18  # entries of a cost matrix processed together
# Pairs up to which the full matrix is solved at once: faster there than column generation.
_DENSE_PAIRS, _DENSE_PAIRS_LOW_DIM, _LOW_DIM = 400_000, 1_500_000, 8
_FAR = 1e8  # points this many typical distances apart share no useful digits
_SQUARES, _TINY, _LARGEST = 1e150, 1e-300, float(np.finfo(np.float64).max)
_LISTED_PAIRS = 50_000_000  # pairs up to which looking at all of them costs less than leaving some out
_LISTED_LEAF = 64  # their order is of less use then
_FALLBACK_PAIRS = 25_000_000  # pairs up to which a full matrix may be formed if column generation stalls


@dataclass(frozen=True)
class Plan:
    """A coupling as a list: `mass[k]` goes from row `rows[k]` of x to row `cols[k]` of y, for `costs[k]` per mass."""

    rows: Tensor = field(repr=False)
    cols: Tensor = field(repr=False)
    mass: Tensor = field(repr=False)
    shape: tuple[int, int]
    costs: Tensor | None = field(default=None, repr=False)

    def to_dense(self) -> Tensor:
        """The coupling as a matrix, shape (n, m)."""
        dense = self.mass.new_zeros(self.shape)
        return dense.index_put_((self.rows, self.cols), self.mass, accumulate=True)

    def moved_mass(self, beyond: float = 0.0) -> float:
        """The mass of the pieces that cost more than `beyond` per mass.

        Raises:
            UserError: the plan does not hold its costs.
        """
        if self.costs is None:
            raise UserError("The plan does not hold its costs", hint="give costs to Plan")
        return math.fsum(self.mass.detach()[self.costs.detach() > beyond].tolist())

    def to_frame(self) -> Any:
        """The pieces as a pandas DataFrame: `row`, `col`, `mass`, `cost` (per mass) and `share` of the total cost.

        Those that contribute most to the total come first.
        """
        import pandas as pd  # an extra

        columns = {"row": self.rows, "col": self.cols, "mass": self.mass}
        frame = pd.DataFrame({name: each.detach().cpu().numpy() for name, each in columns.items()})
        if self.costs is None:
            return frame
        frame["cost"] = self.costs.detach().cpu().numpy()
        paid = frame["mass"] * frame["cost"]
        frame["share"] = paid / paid.sum() if paid.sum() != 0 else 0.0
        return frame.iloc[np.argsort(-paid.abs().to_numpy(), kind="stable")].reset_index(drop=True)


@dataclass(frozen=True)
class Transport:
    """An optimal transport plan and its proof of optimality.

    Attributes:
        value: the cost of the plan, float64 scalar, differentiable in points (or costs) and weights.
            Its gradient is 0 where paired points coincide; the derivative in a weight is its potential.
        lower: value of the verified potentials minus their rounding error: no plan costs less.
        upper: cost of the verified plan plus its rounding error.
        plan: the coupling, sparse.
        potentials: f (n,) and g (m,) with f_i + g_j ≤ c_ij and Σ a f + Σ b g = `value`, up to the bounds.
    """

    value: Tensor
    lower: float
    upper: float
    plan: Plan
    potentials: tuple[Tensor, Tensor] = field(repr=False)


@dataclass(frozen=True)
class _Certified:
    """A plan and potentials that have been checked against each other, in float64 on the CPU."""

    plan: Flow
    f: Tensor
    g: Tensor
    lower: float
    upper: float


def exact_w1(
    x: Array,
    y: Array,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
    tolerance: float = 1e-9,
    max_iterations: int = DEFAULT_ITERATIONS,
) -> Transport:
    """Wasserstein-1 distance of two weighted samples for the Euclidean metric, exact.

    W1 = min over couplings π of Σ π_ij ‖x_i - y_j‖ = max of Σ a_i f_i + Σ b_j g_j, f_i + g_j ≤ ‖x_i - y_j‖.
    Large problems never form the cost matrix: their memory is O(n + m), see `refine`. On the line, sorting is exact.

    Args:
        x: points, shape (n, d).
        y: points, shape (m, d).
        x_weights: shape (n,), summing to one, zeros allowed; equal when None.
        y_weights: shape (m,).
        normalize: divide the weights by their sums.
        tolerance: largest gap between `upper` and `lower`, as a fraction of `upper`, beyond rounding.
        max_iterations: limit of each run of the network simplex.

    Raises:
        UserError: the input is not a pair of weighted samples, or the distances overflow.
        WorkError: the solver stopped early, or its answer could not be certified within the tolerance.
    """
    tolerance, max_iterations = check_tolerance(tolerance), check_count(max_iterations, name="max_iterations", least=1)
    normalize = check_flag(normalize, name="normalize")
    left, right, a, b = check_pair(x, y, x_weights, y_weights, normalize)
    dense = len(left) * len(right) <= (_DENSE_PAIRS_LOW_DIM if left.shape[1] <= _LOW_DIM else _DENSE_PAIRS)
    rng = torch.Generator().manual_seed(0)  # orders points and picks coarse samples: changes only the time
    listed = not dense and left.shape[1] <= NETTED_DIM and len(left) * len(right) <= _LISTED_PAIRS
    problem = pose(left, right, a, b, rng=rng if dense else None, leaf=_LISTED_LEAF if listed else LEAF)
    best: Bounds | _Certified
    if coincide(left, right, x_weights, y_weights):
        best = _at_rest(problem)
    elif problem.dim == 1:
        best = _sorted(problem)
    elif dense:
        best = _dense(problem, tolerance, max_iterations)
    else:
        best = (listed and _listed(problem, tolerance, max_iterations)) or _closed(
            problem, tolerance, max_iterations, rng
        )
    plan = unfolded(problem, best.plan, a, b)
    costs = distances(left[plan.rows] / problem.scale, right[plan.cols] / problem.scale) * problem.scale
    f, g = (t.to(left.device) * problem.scale for t in _everywhere(problem, best, left, right))
    return _transport(costs, *problem.outside(best.lower, best.upper), plan, (f, g), (a, b))


def exact_transport(
    cost: Array,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
    tolerance: float = 1e-9,
    max_iterations: int = DEFAULT_ITERATIONS,
) -> Transport:
    """Optimal transport for a matrix of costs, exact: min over couplings π of Σ π_ij c_ij.

    Args:
        cost: shape (n, m), finite, of either sign.
        x_weights: shape (n,), summing to one, zeros allowed; equal when None.
        y_weights: shape (m,).
        normalize: divide the weights by their sums.
        tolerance: largest gap between `upper` and `lower`, as a fraction of the largest |cost|.
        max_iterations: limit of the network simplex.

    Raises:
        UserError: the costs are not finite, or the weights are no weights.
        WorkError: the solver stopped early, or its answer could not be certified within the tolerance.
    """
    tolerance, max_iterations = check_tolerance(tolerance), check_count(max_iterations, name="max_iterations", least=1)
    normalize = check_flag(normalize, name="normalize")
    costs = as_tensor(cost, name="cost")
    if costs.ndim != 2 or 0 in costs.shape:
        raise UserError("cost must have shape (n, m), both at least one", found=f"shape {tuple(costs.shape)}")
    check_finite(costs, name="cost")
    n, m = costs.shape
    a = as_weights(x_weights, n, like=costs, name="x_weights", normalize=normalize)
    b = as_weights(y_weights, m, like=costs, name="y_weights", normalize=normalize)
    matrix = costs.detach().cpu().double().contiguous()
    best = _certified(matrix, a.detach().cpu(), b.detach().cpu(), tolerance, max_iterations)
    rows, cols, mass = (torch.from_numpy(t).to(costs.device) for t in (best.plan.rows, best.plan.cols, best.plan.mass))
    potentials = best.f.to(costs.device), best.g.to(costs.device)
    return _transport(
        costs[rows, cols].double(), best.lower, best.upper, Plan(rows, cols, mass, (n, m)), potentials, (a, b)
    )


def _transport(
    costs: Tensor,
    lower: float,
    upper: float,
    plan: Plan,
    potentials: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
) -> Transport:
    value = (costs * plan.mass).sum()
    if not np.isfinite([value.item(), lower, upper]).all():
        raise UserError("The distance overflows", hint="rescale the points or costs")
    lower, upper = min(lower, value.item()), max(upper, value.item())
    for potential, weight in zip(potentials, weights, strict=True):
        if weight.requires_grad:
            # Envelope theorem: the derivative in a weight is its potential. The value is unchanged.
            value = value + (potential * (weight - weight.detach())).sum()
    return Transport(value, lower, upper, replace(plan, costs=costs.detach()), potentials)


def _listed(problem: Problem, tolerance: float, iterations: int) -> Bounds | None:
    """Bounds that meet over a short list of pairs, or None."""
    rounding = _rounding(problem)
    return shortlisted(problem, lambda lower, upper: upper - lower <= tolerance * upper + rounding, iterations)


def _closed(problem: Problem, tolerance: float, iterations: int, rng: torch.Generator) -> Bounds | _Certified:
    """Bounds whose plan and potentials meet: by column generation, or over the full matrix where that stalls."""
    for bounds in refine(problem, rng=rng, pace=Pace(np.inf), iterations=iterations):
        if bounds.upper - bounds.dual <= tolerance * bounds.upper + _rounding(problem):
            return bounds
    if len(problem.x) * len(problem.y) > _FALLBACK_PAIRS:
        raise _apart(problem, bounds)
    return _dense(problem, tolerance, iterations)


def _dense(problem: Problem, tolerance: float, iterations: int) -> _Certified:
    """Bounds that meet, over the full matrix."""
    matrix = torch.cdist(problem.x.cells.points, problem.y.cells.points, compute_mode="donot_use_mm_for_euclid_dist")
    flow, f, g = _optimum(matrix, problem.x.mass, problem.y.mass, iterations)
    best = _Certified(flow, f, g, lower_bound(problem, f, g), upper_bound(problem, flow))
    if best.upper - best.lower > tolerance * best.upper + _rounding(problem):
        raise _apart(problem, best)
    return best


def _at_rest(problem: Problem) -> _Certified:
    """The plan that moves nothing, for two equal samples."""
    rows, cols = (torch.from_numpy(np.lexsort(side.cells.points.numpy().T)) for side in (problem.x, problem.y))
    flow = Flow(rows.numpy(), cols.numpy(), problem.x.mass[rows].numpy(), np.zeros(0), np.zeros(0))
    f, g = (torch.zeros(len(side), dtype=torch.float64) for side in (problem.x, problem.y))
    return _Certified(flow, f, g, 0.0, 0.0)


def _sorted(problem: Problem) -> _Certified:
    """On the line: the monotone coupling, and potentials of slope ±1 where one distribution function is above."""
    x, i = problem.x.cells.points[:, 0].sort()
    y, j = problem.y.cells.points[:, 0].sort()
    a, b = problem.x.mass[i], problem.y.mass[j]
    rows, cols, mass = monotone_coupling(a, b)
    used = mass > 0
    flow = Flow(i[rows[used]].numpy(), j[cols[used]].numpy(), mass[used].numpy(), np.zeros(0), np.zeros(0))
    points, order = torch.cat([x, y]).sort(stable=True)
    above = cumulative(torch.cat([a, -b])[order])
    heights = torch.cat([points.new_zeros(1), (-above[:-1].sign() * points.diff()).cumsum(0)])
    values = torch.empty_like(heights).index_copy_(0, order, heights)
    f = torch.empty_like(x).index_copy_(0, i, values[: len(x)])
    g = torch.empty_like(y).index_copy_(0, j, -values[len(x) :])
    return _Certified(flow, f, g, line_bound(x, y, a, b), upper_bound(problem, flow))


def _rounding(problem: Problem) -> float:
    """The largest gap between the bounds of an optimal plan and optimal potentials.

    A few points far beyond all others use up the digits that the others' potentials need. In that case, rounding does
    not justify a wider gap.
    """
    reach = min(problem.diameter, _FAR * problem.typical) if problem.typical > 0 else problem.diameter
    return 4 * (problem.dim + 64) * _EPS * reach


def _apart(problem: Problem, bounds: Bounds | _Certified) -> WorkError:
    lost = problem.typical > 0 and problem.diameter > _FAR * problem.typical
    far = ", and some points lie so far beyond the others that their potentials cannot be trusted" if lost else ""
    return WorkError(
        "The bounds on W1 did not meet within the tolerance",
        found=f"[{bounds.lower * problem.scale:.12g}, {bounds.upper * problem.scale:.12g}]{far}",
        hint="leave those points out, or loosen the tolerance" if lost else "loosen the tolerance",
    )


def _certified(cost: Tensor, a: Tensor, b: Tensor, tolerance: float, iterations: int) -> _Certified:
    """An optimal plan over a full matrix and its potentials, with the bounds that they give.

    Rows and columns without weight are left out of the solve; their potentials follow from those of the others.
    """
    i, j = a.nonzero().flatten(), b.nonzero().flatten()
    full = len(i) == len(a) and len(j) == len(b)
    active = cost if full else cost[i][:, j]
    flow, f, g = _optimum(active, a[i], b[j], iterations)
    size = _largest(active)
    lower, upper = _interval(active.numpy(), size, a[i].numpy(), b[j].numpy(), flow, f.numpy(), g.numpy())
    if upper - lower > tolerance * size:
        raise WorkError(
            "The transport solver's plan is not optimal within the tolerance",
            found=f"bounds [{lower:.12g}, {upper:.12g}]",
            hint="loosen the tolerance",
        )
    if full:
        return _Certified(flow, f, g, lower, upper)
    all_f = (cost[:, j] - g).amin(1).index_copy(0, i, f)
    all_g = (cost - all_f[:, None]).amin(0).index_copy(0, j, g)
    flow = Flow(i.numpy()[flow.rows], j.numpy()[flow.cols], flow.mass, flow.f, flow.g)
    return _Certified(flow, all_f, all_g, lower, upper)


def _optimum(cost: Tensor, a: Tensor, b: Tensor, iterations: int) -> tuple[Flow, Tensor, Tensor]:
    """An optimal plan of positive masses over a full matrix, with potentials repaired so that they are feasible."""
    size = _largest(cost)
    scale = 2.0 ** np.clip(np.frexp(size)[1], -1000, 1000) if size > 0 else 1.0
    # The solver fails on costs far from one; scaling by a power of two keeps every digit. Near one, no copy is made.
    near = 2.0**-8 <= scale <= 2.0**8
    scaled = cost.numpy() if near else cost.numpy() / scale
    # The solver calls some problems with negative costs infeasible; a constant changes no optimal plan.
    lowest = scaled.min()
    flow = solve_dense(scaled - lowest if lowest < 0 else scaled, a.numpy(), b.numpy(), iterations=iterations)
    f, g = _feasible(scaled, flow.g)
    unit = 1.0 if near else float(scale)
    return flow, torch.from_numpy(f) * unit, torch.from_numpy(g) * unit


def _largest(cost: Tensor) -> float:
    """The largest absolute value."""
    low, high = cost.aminmax()
    return max(-low.item(), high.item())


def _feasible(cost: Vector, g: Vector) -> tuple[Vector, Vector]:
    """Potentials with f_i + g_j ≤ c_ij for every pair: f from g, then g from f."""
    n, m = cost.shape
    f, raised = np.empty(n), np.full(m, np.inf)
    step = max(1, _BLOCK // m)
    for start in range(0, n, step):
        block = cost[start : start + step]
        f[start : start + step] = (block - g).min(1)
        np.minimum(raised, (block - f[start : start + step, None]).min(0), out=raised)
    return f, raised


def _interval(
    cost: Vector, largest: float, a: Vector, b: Vector, plan: Flow, f: Vector, g: Vector
) -> tuple[float, float]:
    """Bounds on the optimum from potentials and from a plan, rounding and missing mass included."""
    # With g centred, masses that differ by rounding are not multiplied by an offset common to f and -g.
    shift = float(np.sum(b * g))
    size = float(np.abs(f + shift).max() + np.abs(g - shift).max()) + largest
    lower = math.fsum(a * (f + shift)) + math.fsum(b * (g - shift)) - 64 * _EPS * size
    mass = torch.from_numpy(plan.mass)
    missing = sum(
        float((grouped(torch.from_numpy(index), mass, len(given)) - torch.from_numpy(given)).abs().sum())
        for index, given in ((plan.rows, a), (plan.cols, b))
    )
    upper = math.fsum(plan.mass * cost[plan.rows, plan.cols]) + (64 * _EPS + 2 * missing) * size
    return lower, upper


def unfolded(problem: Problem, flow: Flow, a: Tensor, b: Tensor) -> Plan:
    """The plan between the caller's points: the mass of a merged point is split among the points it represents."""
    rows, cols = torch.from_numpy(flow.rows), torch.from_numpy(flow.cols)
    rows, cols, mass = _shared_out(problem.x, rows, cols, torch.from_numpy(flow.mass), a.detach().cpu())
    cols, rows, mass = _shared_out(problem.y, cols, rows, mass, b.detach().cpu())
    return Plan(rows.to(a.device), cols.to(a.device), mass.to(a.device), (len(a), len(b)))


def _shared_out(
    side: Side, here: Tensor, there: Tensor, mass: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    members = side.index.argsort(stable=True)
    members = members[side.index[members] >= 0]
    arcs = here.argsort(stable=True)
    if len(members) == len(side):
        return members[here], there, mass
    arc, member, share = monotone_coupling(mass[arcs], weights[members])
    # Running sums of arcs and of weights may differ by rounding at the boundary between two merged points.
    kept = (share > 0) & (here[arcs][arc] == side.index[members][member])
    return members[member[kept]], there[arcs][arc[kept]], share[kept]


def _everywhere(problem: Problem, best: Bounds | _Certified, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Potentials at all of the caller's points: those without weight take the c-transform."""
    f, g = best.f[problem.x.index], best.g[problem.y.index]
    x_points, y_points = problem.inside(x.detach().cpu()), problem.inside(y.detach().cpu())
    for index, own, points, others, potentials in (
        (problem.x.index, f, x_points, problem.y.cells.points, best.g),
        (problem.y.index, g, y_points, x_points, f),
    ):
        absent = index < 0
        if absent.any():
            own[absent] = _lowest(points[absent], others, potentials)
    return f, g


def _lowest(points: Tensor, others: Tensor, potentials: Tensor) -> Tensor:
    """The c-transform at arbitrary points, even so far out that squares overflow."""
    far = torch.cat([points, others]).abs().max() > _SQUARES
    if not far:
        return c_transform(Cells(points), Cells(others), potentials, keep=1).values
    values = []
    for point in points:
        unit = torch.maximum(point.abs().max(), others.abs().amax(1)).clamp_min(_TINY)[:, None]
        apart = (point / unit - others / unit).norm(dim=1) * unit[:, 0]
        values.append((apart.clamp(max=_LARGEST) - potentials).clamp(max=_LARGEST).min())
    return torch.stack(values)
