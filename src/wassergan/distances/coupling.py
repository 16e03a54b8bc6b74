"""Ways to a Wasserstein distance of any order and metric: by a matrix, by sorting, by refinement, along lines."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.cells import distances
from wassergan.distances.column_generation import Pace, refine
from wassergan.distances.exact import Plan, unfolded
from wassergan.distances.line_plan import line_plan
from wassergan.distances.metrics import Metric
from wassergan.distances.one_dimensional import equal_coupling, line_bound, monotone_coupling, wasserstein_line
from wassergan.distances.partial import partial_transport
from wassergan.distances.problem import pose
from wassergan.distances.sliced import middle_of, random_directions
from wassergan.errors import UserError

_EPS = float(np.finfo(np.float64).eps)
_TOLERANCE = 1e-9  # of exact solves, of the largest cost
_DIRECTIONS = 16
_BLOCK = 2**20  # pieces of a plan whose points are held at once


@dataclass(frozen=True)
class Bounded:
    """A distance, its bounds and their proofs; see `Distance`."""

    value: float
    lower: float
    upper: float
    plan: Plan
    potentials: tuple[Tensor, Tensor] | None
    sliced: float | None = None


def from_matrix(apart: Tensor, a: Tensor, b: Tensor, p: float, share: float, error: float) -> Bounded:
    """W_p of distances (n, m), each of which is within `error` of the true one.

    By Minkowski's inequality, W_p moves by at most as much as the distances do.
    """
    largest = float(apart.max())
    if not math.isfinite(largest):
        raise UserError("The distances overflow", hint="rescale the points")
    unit = 2.0 ** np.frexp(largest)[1] if largest > 0 else 1.0
    found = partial_transport((apart / unit) ** p, a, b, share, _TOLERANCE)
    plan = found.plan
    costs = apart[plan.rows, plan.cols]
    value, lower, upper = (unit * max(0.0, each) ** (1 / p) for each in (found.value.item(), found.lower, found.upper))
    slack = error + 8 * (p + 1) * _EPS * upper
    factor = _power(unit, p)
    potentials = found.potentials[0] * factor, found.potentials[1] * factor
    plan = Plan(plan.rows, plan.cols, plan.mass, plan.shape, costs)
    return Bounded(value, lower - slack, upper + slack, plan, potentials)


def from_sorting(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, p: float) -> Bounded:
    """W_p of numbers (n,) and (m,), with the potentials of the monotone plan."""
    value = wasserstein_line(x, y, p=p, x_weights=a, y_weights=b).item()
    low, high = min(x.min().item(), y.min().item()), max(x.max().item(), y.max().item())
    reach = high - low
    unit = 2.0 ** np.frexp(reach)[1] if reach > 0 else 1.0
    rows, cols, mass, f, g = line_plan(x / unit, y / unit, a, b, p)
    plan = Plan(rows, cols, mass, (len(x), len(y)), (x[rows] - y[cols]).abs())
    slack = 2 * _EPS * reach + 16 * (p + math.log2(len(x) + len(y))) * _EPS * value
    factor = _power(unit, p)
    return Bounded(value, value - slack, value + slack, plan, (f * factor, g * factor))


def from_interval(
    metric: Metric,
    x: Tensor,
    y: Tensor,
    a: Tensor,
    b: Tensor,
    p: float,
    tolerance: float,
    deadline: float,
    rng: torch.Generator,
) -> Bounded:
    """Bounds on W_p by Euclidean W1 of embedded points: its plan from above, Jensen's inequality from below.

    The metric is at least a convex increasing function of the Euclidean distance, and W_p ≥ W_1.
    """
    problem = pose(metric.embed(x), metric.embed(y), a, b)
    best_lower, best_upper = 0.0, math.inf
    best_plan: Plan | None = None
    pace = Pace(deadline)
    for bounds in refine(problem, rng=rng, pace=pace):
        lower, _ = problem.outside(bounds.lower, bounds.upper)
        best_lower = max(best_lower, metric.from_chord(lower * (1 - 8 * _EPS)))
        plan = unfolded(problem, bounds.plan, a, b)
        costs = _along(metric, x, y, plan)
        upper = _mean_power(costs, plan.mass, p) + metric.error(x, y)
        if upper < best_upper:
            best_upper, best_plan = upper, Plan(plan.rows, plan.cols, plan.mass, plan.shape, costs)
        if best_upper - best_lower <= tolerance * best_upper or bounds.width <= tolerance / 8 or pace.left() <= 0:
            break
    if metric.name == "cityblock":
        lines = zip(x.unbind(1), y.unbind(1), strict=True)
        best_lower = max(best_lower, sum(line_bound(u, v, a, b) for u, v in lines) * (1 - 8 * _EPS))
    assert best_plan is not None
    error = metric.error(x, y)
    # Masses that differ from the weights by rounding may have to go all the way.
    far = float(best_plan.costs.max()) if best_plan.costs is not None else 0.0
    slack = far * (4 * _EPS * (len(x) + len(y))) ** (1 / p)
    return Bounded(best_upper, best_lower - error, best_upper + slack, best_plan, None)


def from_lines(x: Tensor, y: Tensor, a: Tensor, b: Tensor, rng: torch.Generator) -> Bounded:
    """Bounds on Euclidean W1: its largest value along directions, and the coupling that sorts along the best one."""
    dim, centre = x.shape[1], middle_of(x, y)
    x, y = x - centre, y - centre
    random = random_directions(dim, _DIRECTIONS, rng=rng)
    drift = torch.nn.functional.normalize((a @ x - b @ y)[None], dim=1)
    directions = torch.cat([drift, torch.eye(dim, dtype=torch.float64)[:_DIRECTIONS], random])
    equal = bool((a == a[0]).all() and (b == b[0]).all())
    length = float(a @ x.norm(dim=1) + b @ y.norm(dim=1))
    lower, upper = 0.0, math.inf
    best: Plan | None = None
    values: list[float] = []
    for direction in directions:
        u, v = x @ direction, y @ direction
        rounding = (dim + 4) * _EPS * length
        values.append(line_bound(u, v, a, b))
        lower = max(lower, values[-1] - rounding)
        i, j = u.argsort(), v.argsort()
        rows, cols, mass = equal_coupling(len(i), len(j), device=u.device) if equal else monotone_coupling(a[i], b[j])
        used = mass > 0
        plan = Plan(i[rows][used], j[cols][used], mass[used], (len(x), len(y)))
        costs = torch.cat(
            [distances(x[r], y[c]) for r, c in zip(plan.rows.split(_BLOCK), plan.cols.split(_BLOCK), strict=True)]
        )
        cost = math.fsum((costs * plan.mass).tolist()) if len(costs) < _BLOCK else float(costs @ plan.mass)
        if cost < upper:
            upper, best = cost, Plan(plan.rows, plan.cols, plan.mass, plan.shape, costs)
    assert best is not None
    reach = float(torch.cat([x, y]).abs().amax(0).norm()) * 2
    sliced = sum(values[-_DIRECTIONS:]) / _DIRECTIONS
    return Bounded(upper, lower, upper + 4 * _EPS * (len(x) + len(y) + 64) * reach, best, None, sliced)


def _along(metric: Metric, x: Tensor, y: Tensor, plan: Plan) -> Tensor:
    """The distances of the pieces of a plan."""
    parts = zip(plan.rows.split(_BLOCK), plan.cols.split(_BLOCK), strict=True)
    return torch.cat([metric.between(x[rows], y[cols]) for rows, cols in parts])


def _mean_power(costs: Tensor, mass: Tensor, p: float) -> float:
    top = float(costs.max())
    if top == 0:
        return 0.0
    mean = float(((costs / top) ** p * mass).sum())
    return float(top * mean ** (1 / p) * (1 + 64 * (p + 1) * _EPS))


def _power(unit: float, p: float) -> float:
    """unit^p, or a `UserError` where float64 cannot hold it."""
    with np.errstate(over="ignore"):
        power = float(np.float64(unit) ** p)
    if not math.isfinite(power):
        raise UserError("Distances to the power p overflow", found=f"distances up to {unit:g}, p {p:g}", hint="rescale")
    return power
