"""Intervals that contain W1, at any size, within a time budget."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wassergan.distances.arguments import (
    ASYMPTOTIC,
    FINITE_SAMPLE,
    Randomness,
    as_generator,
    check_budget,
    check_confidence,
    check_diameter,
    check_flag,
    check_function,
    check_method,
    check_tolerance,
)
from wassergan.distances.boxes import Cells
from wassergan.distances.cells import c_transform
from wassergan.distances.checks import Array
from wassergan.distances.column_generation import Bounds, Pace, refine
from wassergan.distances.critic_estimator import W1Estimator, scores_of
from wassergan.distances.critic_families import get_families
from wassergan.distances.orders import keyed, shuffled
from wassergan.distances.population import check_diameter_holds, critic_lower_bound
from wassergan.distances.problem import Problem, check_pair, coincide, pose
from wassergan.distances.statements import words_of_distributions, words_of_samples
from wassergan.distances.support import Moment, get_support, refuse_assumptions
from wassergan.errors import UserError


@dataclass(frozen=True)
class Interval:
    """Bounds on a Wasserstein-1 distance, and the meaning of each.

    Attributes:
        lower: see `lower_means`.
        upper: see `upper_means`.
        estimate: the single number to quote; see `estimate_means`.
        question: the distance in question: that of the samples, or that of the distributions behind them.
        lower_means: what `lower` guarantees, in words.
        upper_means: what `upper` guarantees, in words.
        estimate_means: what `estimate` is, in words.
        rests_on: the assumptions of the guarantees, in words.
        confidence: probability that `lower` holds; None if it is certain.
        n: points in x.
        m: points in y.
        dim: their dimension.
        seconds: time taken.
        stopped: "tolerance", "budget", or "optimum" when no better bound exists in float64.
    """

    lower: float
    upper: float
    estimate: float
    question: str
    lower_means: str
    upper_means: str
    estimate_means: str
    rests_on: str
    confidence: float | None
    n: int
    m: int
    dim: int
    seconds: float
    stopped: str

    @property
    def width(self) -> float:
        """(upper - lower) / upper; zero when upper is zero."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0


def w1_interval(
    x: Array,
    y: Array,
    *,
    rng: Randomness,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
    tolerance: float = 0.01,
    budget_seconds: float = 60.0,
    population: bool = False,
    confidence: float = 0.95,
    diameter: float | None = None,
    bounds: tuple[Array | float, Array | float] | None = None,
    moment: Moment | tuple[Any, ...] | None = None,
    families: Sequence[str] | str = (),
    method: str = FINITE_SAMPLE,
    interrupted: Callable[[], bool] = lambda: False,
) -> Interval:
    """Guaranteed bounds on W1, refined until they are close or time is up; the cost matrix is never formed.

    The upper bound is the cost of a coupling, the lower bound the value of feasible potentials. Both include rounding,
    so W1 of the two samples lies between them whenever the refinement stops.

    Args:
        x: points, shape (n, d).
        y: points, shape (m, d).
        rng: picks projections, subsamples, and the split of a `population` bound.
        x_weights: shape (n,), summing to one; equal when None. Not with `population`.
        y_weights: shape (m,).
        normalize: divide the weights by their sums.
        tolerance: stop at (upper - lower) / upper ≤ tolerance, ≥ 0.
        budget_seconds: start no step that is not expected to end within this time.
        population: bound W1 of the distributions behind the samples: fit potentials on one half of the data, score them
            on the other, and return a lower confidence bound. The upper bound is a confidence bound too if a diameter,
            bounds or a moment is given; without an assumption there is none, and it is that of the samples.
        confidence: of each bound on the distributions, see `critic_lower_bound`.
        diameter: of the set that supports both distributions, if known.
        bounds: the smallest and largest value that the coordinates can take, (low, high): numbers, or one a coordinate.
        moment: (order, bound) or (order, bound, centre): E ‖X - centre‖^order ≤ bound for both, order > 1.
        families: with `population`, families of certified critics that compete for the lower bound (see
            `W1Estimator`), in a quarter of the time; they help where the potentials of samples are uninformative.
        method: of the lower bound on the distributions: "finite-sample", which holds at every size, or "asymptotic",
            see `critic_lower_bound`.
        interrupted: called before every step of the refinement; if it returns True, the bounds so far are returned.

    Raises:
        UserError: the input is not a pair of weighted samples, or an argument is out of range.
    """
    start = time.perf_counter()
    tolerance, rng = check_tolerance(tolerance), as_generator(rng)
    budget_seconds, confidence, method = (
        check_budget(budget_seconds),
        check_confidence(confidence),
        check_method(method),
    )
    diameter = check_diameter(diameter, FINITE_SAMPLE)
    families = [family.name for family in get_families(families)]
    normalize, population = check_flag(normalize, name="normalize"), check_flag(population, name="population")
    check_function(interrupted, name="interrupted")
    left, right, a, b = check_pair(x, y, x_weights, y_weights, normalize)
    if population and (x_weights is not None or y_weights is not None):
        raise UserError("A bound on the distributions needs independent draws", found="weights")
    if population and min(len(left), len(right)) < 4:
        raise UserError(
            "A bound on the distributions needs at least four points a side", found=f"{len(left)} and {len(right)}"
        )
    if not population:
        refuse_assumptions(diameter=diameter, bounds=bounds, moment=moment)
    if not population and families:
        raise UserError("Critics serve only bounds on the distributions", hint="pass population=True")
    if not population and method != FINITE_SAMPLE:
        raise UserError("Methods serve only bounds on the distributions", hint="pass population=True")
    left, right = left.detach().cpu(), right.detach().cpu()
    pace = Pace(start + budget_seconds, interrupted)
    lower, support, margin = 0.0, get_support(left, right, diameter, bounds, moment), 0.0
    if population:
        if support is not None:
            diameter = None if support.moment else support.diameter
            margin = support.margin(left, right, confidence=confidence, rng=rng)
        if diameter is not None:
            check_diameter_holds(left, right, diameter)
        lower = _held_out(left, right, rng, tolerance, budget_seconds / 2, confidence, diameter, families, method)
    problem = pose(left, right, a, b)
    same = coincide(left, right, x_weights, y_weights)
    sample_lower, upper, stopped = (0.0, 0.0, "optimum") if same else _sides(problem, rng, tolerance, pace)
    middle = 0.5 * (sample_lower + upper)
    if support is not None:
        upper = min(support.cap(), upper + margin)
    words = words_of_distributions(confidence, support, method) if population else words_of_samples()
    return Interval(
        lower if population else sample_lower,
        upper,
        middle,
        *words,
        confidence if population else None,
        len(left),
        len(right),
        problem.dim,
        time.perf_counter() - start,
        stopped,
    )


def interval_by_work(
    x: Tensor,
    y: Tensor,
    *,
    rng: torch.Generator,
    tolerance: float,
    work: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> tuple[float, float]:
    """Lower and upper bound on W1 of two samples, as certain as those of `w1_interval`, without a time limit.

    The same samples get the same bounds whatever the load of the machine, so that results can be compared.

    Args:
        x: points (n, d), of equal weight.
        y: points (m, d).
        rng: picks projections and subsamples.
        tolerance: stop at (upper - lower) / upper ≤ tolerance.
        work: approximate number of multiplications after which no step starts; see `Pace`.
        interrupted: called before every step of the refinement; if it returns True, the bounds so far are returned.

    Raises:
        UserError: the input is not a pair of samples.
    """
    left, right, a, b = check_pair(x, y, None, None, False)
    if coincide(left, right, None, None):
        return 0.0, 0.0
    problem = pose(left.detach().cpu(), right.detach().cpu(), a, b)
    return _sides(problem, rng, tolerance, Pace(math.inf, interrupted, work=work))[:2]


def _sides(problem: Problem, rng: torch.Generator, tolerance: float, pace: Pace) -> tuple[float, float, str]:
    """Both bounds in the caller's units, and the reason why the refinement stopped."""
    bounds, stopped = _refined(problem, rng, tolerance, pace)
    lower, upper = problem.outside(bounds.lower, bounds.upper)
    if not math.isfinite(upper):
        raise UserError("The distance overflows", hint="rescale the points")
    return lower, upper, stopped


def _refined(problem: Problem, rng: torch.Generator, tolerance: float, pace: Pace) -> tuple[Bounds, str]:
    for bounds in refine(problem, rng=rng, pace=pace):
        if bounds.width <= tolerance:
            return bounds, "tolerance"
        if pace.left() <= 0:
            return bounds, "budget"
    return bounds, "budget" if pace.refused else "optimum"


def _held_out(
    x: Tensor,
    y: Tensor,
    rng: torch.Generator,
    tolerance: float,
    seconds: float,
    confidence: float,
    diameter: float | None,
    families: Sequence[str],
    method: str,
) -> float:
    """The best bound of some critics fitted on one half and scored on the other; each gets its share of the risk."""
    start = time.perf_counter()
    order = keyed(rng, x, y)
    (x_fit, x_test), (y_fit, y_test) = (
        shuffled(points, order).split([len(points) // 2, len(points) - len(points) // 2]) for points in (x, y)
    )
    weights = [torch.full((len(points),), 1 / len(points), dtype=torch.float64) for points in (x_fit, y_fit)]
    problem = pose(x_fit, y_fit, *weights)
    bounds, _ = _refined(problem, rng, tolerance, Pace(start + seconds / (2 if families else 1)))
    scale = problem.scale
    candidates = []
    if families:
        estimator = W1Estimator(families=families, budget_seconds=seconds / 2)
        critic, certificate = estimator.critic(x_fit, y_fit, rng=rng)
        candidates.append([scores_of(critic, points) / (certificate.constant * scale) for points in (x_test, y_test)])
    x_test, y_test = problem.inside(x_test), problem.inside(y_test)
    # f(z) = min_j ‖z - y_j‖ - g_j is 1-Lipschitz on the whole space for any offsets.
    potential = [c_transform(Cells(points), problem.y.cells, bounds.g, keep=1).values for points in (x_test, y_test)]
    drift = x_fit.mean(0) - y_fit.mean(0)
    direction = torch.nn.functional.normalize(drift, dim=0)
    candidates += [potential, [x_test @ direction, y_test @ direction]]
    each = 1 - (1 - confidence) / len(candidates)
    if each >= 1:  # no float64 is nearer to 1
        return 0.0
    spread = None if diameter is None or method == ASYMPTOTIC else diameter / scale
    found = [
        critic_lower_bound(*scores, confidence=each, diameter=spread, method=method, rng=rng) for scores in candidates
    ]
    return math.nextafter(scale * max(found), 0.0)
