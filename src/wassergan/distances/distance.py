"""One door to Wasserstein distances of samples: it picks the way, says why, and proves what it returns."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from wassergan.distances.arguments import (
    Randomness,
    as_generator,
    check_budget,
    check_flag,
    check_number,
    check_positive,
    check_tolerance,
    shown,
)
from wassergan.distances.arrays import Array, labels_of, paired
from wassergan.distances.checks import as_tensor, as_weights, check_finite
from wassergan.distances.coupling import Bounded, from_interval, from_lines, from_matrix, from_sorting
from wassergan.distances.exact import Plan, exact_w1
from wassergan.distances.metrics import Metric, get_metric
from wassergan.distances.problem import check_pair
from wassergan.errors import UserError, unknown_name

METHODS = ("auto", "exact", "interval", "sliced")
EXACT_PAIRS = 25_000_000  # of points, for Euclidean W1, which needs no matrix
MATRIX_PAIRS = 4_200_000  # of points, where the matrix of costs is solved
LARGEST_MATRIX = 25_000_000
INTERVAL_POINTS = 4_000_000  # of both sides


@dataclass(frozen=True)
class Distance:
    """A distance of two samples with bounds that hold for certain, rounding included.

    Attributes:
        value: the distance if it is exact, else the middle of the bounds.
        lower: the distance is at least this.
        upper: it is at most this, the cost of `plan`.
        method: "exact", "interval" or "sliced".
        reason: why this method, in words.
        metric: of the points, or "matrix".
        p: order of the distance.
        share: of the mass that is moved; W_p^p is the least Σ π d^p over plans of this mass.
        plan: the coupling behind `upper`; its costs are distances.
        potentials: f (n,) and g (m,) with f_i + g_j ≤ d_ij^p and Σ a f + Σ b g = W_p^p, of exact distances. For a share
            below 1 they prove the bound with λ = max f: f - λ ≤ 0, g ≤ 0, and Σ a (f - λ) + Σ b g + share λ = W_p^p.
        sliced: mean of W1 along random directions, of the method "sliced".
        n: points in x.
        m: points in y.
        seconds: time taken.
    """

    value: float
    lower: float
    upper: float
    method: str
    reason: str
    metric: str
    p: float
    share: float
    plan: Plan
    potentials: tuple[Tensor, Tensor] | None
    sliced: float | None
    n: int
    m: int
    seconds: float

    def __float__(self) -> float:
        """`value`."""
        return self.value

    @property
    def width(self) -> float:
        """(upper - lower) / upper; zero when upper is zero."""
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0

    def words(self) -> str:
        """One sentence."""
        name = f"W{self.p:g}"
        part = "" if self.share == 1 else f" of {100 * self.share:g} % of the mass"
        return f"{name}{part} = {self.value:.6g} in [{self.lower:.9g}, {self.upper:.9g}], {self.method}: {self.reason}"


def w1(
    x: Array | None,
    y: Array | None,
    *,
    p: float = 1.0,
    metric: str | Array = "euclidean",
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
    share: float = 1.0,
    period: float = 2 * math.pi,
    method: str = "auto",
    tolerance: float = 0.01,
    budget_seconds: float = 60.0,
    rng: Randomness = 0,
) -> Distance:
    """The Wasserstein distance of two samples: exact where that is affordable, else bounds, with the reason.

    Args:
        x: points (n, d), or numbers (n,); with a matrix they are not read and may be None.
        y: points (m, d) or (m,).
        p: order, finite and ≥ 1: W_p = (min Σ π_ij d_ij^p)^(1/p).
        metric: "euclidean" ("l2"), "cityblock" ("l1"), "cosine" (1 - cos), "haversine" (rows of latitude and longitude
            in degrees; kilometres), "circle" (one number a row, see `period`), or a matrix of distances (n, m).
        x_weights: shape (n,), summing to one; equal when None.
        y_weights: shape (m,).
        normalize: divide the weights by their sums.
        share: of the mass to be moved, in (0, 1]: the cheapest part; the rest stays on both sides.
        period: of the circle.
        method: "auto", "exact", "interval" or "sliced".
        tolerance: of intervals: stop at (upper - lower) / upper ≤ tolerance.
        budget_seconds: of intervals.
        rng: of intervals and directions.

    Raises:
        UserError: the input is no pair of weighted samples, an argument is out of range, or the method cannot do this.
        WorkError: a solver stopped early, or its answer could not be certified.
    """
    start = time.perf_counter()
    p, share = _check_order(p), _check_share(share)
    period, tolerance = check_positive(period, name="The period"), check_tolerance(tolerance)
    seconds, generator = check_budget(budget_seconds), as_generator(rng)
    if not isinstance(method, str) or method not in METHODS:
        raise unknown_name("method", method if isinstance(method, str) else shown(method), METHODS)
    normalize = check_flag(normalize, name="normalize")
    if not isinstance(metric, str):
        found, n, m = _of_matrix(metric, x, y, (x_weights, y_weights), normalize, p, share, method)
        words, name = "a matrix of distances is solved as it is", "matrix"
        return _distance(found, "exact", words, name, p, share, n, m, start)
    own = get_metric(metric, period)
    left, right, a, b = check_pair(*_clouds(x, y), x_weights, y_weights, normalize)
    left, right, a, b = (each.detach().cpu() for each in (left, right, a, b))
    weighted = x_weights is not None or y_weights is not None
    chosen, reason = _choice(method, own.name, p, share, left, right)
    points = own.prepare(left, "x"), own.prepare(right, "y")
    if chosen == "exact":
        found = _exact(own, points, (a, b), weighted, p, share)
    elif chosen == "interval":
        found = from_interval(own, *points, a, b, p, tolerance, start + seconds, generator)
    else:
        found = from_lines(*points, a, b, generator)
    return _distance(found, chosen, reason, own.name, p, share, len(left), len(right), start)


def w1_batch(xs: Sequence[Array] | Array, ys: Sequence[Array] | Array, **arguments: Any) -> tuple[Distance, ...]:
    """`w1` of each pair of samples, in their order.

    Args:
        xs: samples, or one array (k, n, d).
        ys: as many samples.
        arguments: of `w1`, the same for all; `x_weights` and `y_weights` hold one entry a pair.

    Raises:
        UserError: unequal numbers of samples or weights, or as `w1`, with the number of the pair.
    """
    pairs = list(zip(_parts(xs, "xs"), _parts(ys, "ys"), strict=False))
    counts = {"xs": len(xs), "ys": len(ys)}
    weights = {}
    for name in ("x_weights", "y_weights"):
        given = arguments.pop(name, None)
        weights[name] = [None] * len(pairs) if given is None else list(given)
        counts[name] = len(weights[name]) if given is not None else len(xs)
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise UserError("A batch needs as many samples on both sides", found=found)
    found_all = []
    for place, (x, y) in enumerate(pairs):
        own: dict[str, Any] = {name: each[place] for name, each in weights.items()}
        try:
            found_all.append(w1(x, y, **own, **arguments))
        except UserError as error:
            raise UserError(f"Pair {place}: {error.what}", found=error.found, hint=error.hint) from error
    return tuple(found_all)


def _parts(samples: Any, name: str) -> list[Any]:
    try:
        return list(samples)
    except TypeError:
        raise UserError(f"{name} must be a sequence of samples", found=shown(samples)) from None


def _check_order(p: Any) -> float:
    order = check_number(p, name="The order p")
    if not (math.isfinite(order) and order >= 1):
        raise UserError("The order p must be finite and at least one", found=shown(p))
    return order


def _check_share(share: Any) -> float:
    value = check_number(share, name="The share")
    if not 0 < value <= 1:
        raise UserError("The share must lie above 0 and be at most 1", found=shown(share))
    return value


def _clouds(x: Any, y: Any) -> tuple[Any, Any]:
    """Both samples, numbers as columns."""
    x, y = paired(x, y)
    clouds = []
    for each, name in ((x, "x"), (y, "y")):
        if labels_of(each) is not None:
            clouds.append(each)
            continue
        values = as_tensor(each, name=name)
        if values.ndim == 3:
            found = f"shape {tuple(values.shape)}"
            raise UserError(f"{name} holds several samples", found=found, hint="use w1_batch")
        clouds.append(values[:, None] if values.ndim == 1 else values)
    return clouds[0], clouds[1]


def _choice(method: str, metric: str, p: float, share: float, x: Tensor, y: Tensor) -> tuple[str, str]:
    """The method and the reason for it."""
    n, m, dim = len(x), len(y), x.shape[1]
    size = f"{n} x {m} points"
    euclidean = metric == "euclidean" or (metric == "cityblock" and dim == 1)
    sorts, plain = euclidean and dim == 1 and share == 1, euclidean and p == 1 and share == 1
    if method == "sliced" and not (metric == "euclidean" and p == 1 and share == 1):
        raise UserError(
            "Directions bound Euclidean W1 alone",
            found=f"{metric}, p {p:g}, share {share:g}",
            hint='choose method="interval"',
        )
    if method == "interval" and share != 1:
        raise UserError("Partial transport is solved exactly or not at all", found=f"share {share:g}")
    limit = LARGEST_MATRIX if method == "exact" else MATRIX_PAIRS
    if (share != 1 and n * m > limit) or (method == "exact" and not sorts and not plain and n * m > limit):
        raise UserError("The matrix of costs is too large", found=size, hint="give fewer points, or share 1")
    if method != "auto":
        return method, "as asked"
    if sorts:
        return "exact", "on the line, sorting is exact at every size"
    if share != 1:
        return "exact", f"partial transport of {size} is solved over the matrix of costs"
    if n * m <= (EXACT_PAIRS if plain else MATRIX_PAIRS):
        return "exact", f"{size} can be solved exactly in reasonable time"
    if n + m <= INTERVAL_POINTS or not (metric == "euclidean" and p == 1):
        return "interval", f"{size} are too many for an exact solve; bounds are refined within the budget"
    return "sliced", f"{size} are too many for bounds by refinement; W1 along directions and one coupling bound it"


def _exact(
    metric: Metric,
    points: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    weighted: bool,
    p: float,
    share: float,
) -> Bounded:
    (x, y), (a, b) = points, weights
    euclidean = metric.name == "euclidean" or (metric.name == "cityblock" and x.shape[1] == 1)
    if euclidean and p == 1 and share == 1:
        given: dict[str, Any] = {"x_weights": a, "y_weights": b} if weighted else {}
        found = exact_w1(x, y, **given)
        return Bounded(found.value.item(), found.lower, found.upper, found.plan, found.potentials)
    if euclidean and x.shape[1] == 1 and share == 1:
        return from_sorting(x[:, 0], y[:, 0], a if weighted else None, b if weighted else None, p)
    return from_matrix(metric.matrix(x, y), a, b, p, share, metric.error(x, y))


def _of_matrix(
    matrix: Any,
    x: Any,
    y: Any,
    weights: tuple[Array | None, Array | None],
    normalize: bool,
    p: float,
    share: float,
    method: str,
) -> tuple[Bounded, int, int]:
    costs = as_tensor(matrix, name="metric")
    if costs.ndim != 2 or 0 in costs.shape:
        raise UserError("A matrix of distances must have shape (n, m)", found=f"shape {tuple(costs.shape)}")
    check_finite(costs, name="metric")
    costs = costs.detach().cpu().double()
    if (costs < 0).any():
        raise UserError("Distances must not be negative", found=f"{costs.min().item():g}", hint="use exact_transport")
    if method not in ("auto", "exact"):
        raise UserError("A matrix of distances is solved exactly", found=f"method {method!r}")
    for side, count, name in ((x, costs.shape[0], "x"), (y, costs.shape[1], "y")):
        if side is not None and len(side) != count:
            raise UserError(f"The matrix has another number of points than {name}", found=f"{count} and {len(side)}")
    a, b = (
        as_weights(each, count, like=costs, name=name, normalize=normalize).detach()
        for each, count, name in zip(weights, costs.shape, ("x_weights", "y_weights"), strict=True)
    )
    return from_matrix(costs, a, b, p, share, 0.0), costs.shape[0], costs.shape[1]


def _distance(
    found: Bounded, method: str, reason: str, metric: str, p: float, share: float, n: int, m: int, start: float
) -> Distance:
    seconds = time.perf_counter() - start
    lower = max(0.0, found.lower)
    if not np.isfinite([found.value, lower, found.upper]).all():
        raise UserError("The distance overflows", hint="rescale the points")
    value = found.value if method == "exact" else (lower + found.upper) / 2
    proof = found.plan, found.potentials, found.sliced
    return Distance(
        value, min(lower, value), max(found.upper, value), method, reason, metric, p, share, *proof, n, m, seconds
    )
