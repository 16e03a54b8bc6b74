"""Are two samples from one distribution? A test with an exact p-value, a distance, and a bound on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wassergan.distances.arguments import check_confidence, check_count, shown
from wassergan.distances.arrays import Array, paired
from wassergan.distances.checks import as_points, as_tensor, same_dimension
from wassergan.distances.interval import w1_interval
from wassergan.errors import UserError, unknown_name
from wassergan.monitor.pairwise import Energy, ExactTransport
from wassergan.monitor.permutation import (
    Floats,
    LargestOfLines,
    MeanOfLines,
    Statistic,
    generator,
    permutation_test,
)
from wassergan.monitor.witness import LEAST_ROWS, witness_bound

STATISTICS = ("w1", "sliced", "max-sliced", "energy")
MOST_AXES = 64  # columns, and principal axes, that max-sliced looks along
EXACT_WORK = 1e9  # pairs times assignments: some minutes
_ENERGY_WORK = 2e13


@dataclass(frozen=True)
class TwoSampleResult:
    """A two-sample test.

    Attributes:
        statistic: its name.
        value: the distance of the samples, in the unit of the data.
        p_value: exact at every sample size: at most `a` with probability at most `a` if both have one distribution.
        permutations: B; the p-value is at least 1 / (1 + B).
        floor: mean distance of two samples of these sizes that are drawn from the pooled rows, in the same unit.
        floor_high: the distance that 95 % of these stay below.
        effect: value - floor, at least 0: the part of the distance that the sizes do not explain, in the same unit.
        effect_in_deviations: `effect` over the root mean square distance of the pooled rows from their mean.
        lower: finite-sample lower confidence bound on this distance between the distributions; None for the energy
            distance, for which there is none.
        confidence: probability that `lower` holds.
        lower_means: what `lower` bounds, in words.
        n: rows of x.
        m: rows of y.
        dim: their dimension.
    """

    statistic: str
    value: float
    p_value: float
    permutations: int
    floor: float
    floor_high: float
    effect: float
    effect_in_deviations: float
    lower: float | None
    confidence: float
    lower_means: str
    n: int
    m: int
    dim: int


def two_sample_test(
    x: Array,
    y: Array,
    *,
    statistic: str = "w1",
    permutations: int = 999,
    projections: int = 64,
    confidence: float = 0.95,
    seed: int = 0,
    x_weights: None = None,
    y_weights: None = None,
) -> TwoSampleResult:
    """Test whether two samples have one distribution, by a distance and random permutations of the pooled rows.

    p = (1 + #{T_b ≥ T}) / (1 + B), exact in finite samples; equal distances count. See `permutation_test`.

    Args:
        x: independent rows, shape (n, d), or numbers, shape (n,).
        y: the same, shape (m, d) or (m,); n and m may differ.
        statistic: "w1", exact (a sort for d = 1, else a transport problem for each permutation); "sliced", the mean
            over random directions; "max-sliced", the largest over columns, principal axes and random directions;
            "energy", the square of `energy_distance`, which has the unit of the data.
        permutations: B, at least 1; the smallest p-value is 1 / (1 + B).
        projections: random directions of the sliced distances.
        confidence: of `lower`.
        seed: of permutations, directions and splits.
        x_weights: none are taken: a permutation test needs rows of equal weight.
        y_weights: the same.

    Raises:
        UserError: a sample is empty, holds missing or infinite values or has other columns, an argument is out of
            range, or the problem is too large for the statistic.
    """
    if not isinstance(statistic, str) or statistic not in STATISTICS:
        raise unknown_name("statistic", statistic if isinstance(statistic, str) else shown(statistic), STATISTICS)
    if x_weights is not None or y_weights is not None:
        raise UserError(
            "A permutation test takes no weights", found="weights", hint="draw rows with these weights, and give them"
        )
    permutations = check_count(permutations, name="permutations", least=1)
    projections = check_count(projections, name="projections", least=1)
    confidence, seed = check_confidence(confidence), check_count(seed, name="seed", least=0)
    rows, n, unit = _pooled(x, y)
    _check_work(statistic, n, rows, permutations)
    directions = _directions(statistic, rows, projections, seed)
    distance = _statistic(statistic, rows, directions)
    found = permutation_test(distance, n, len(rows) - n, permutations=permutations, rng=generator(seed, 0))
    floor = float(found.others.mean())
    effect = max(0.0, found.value - floor) if found.value - floor > distance.rounding(found.value) else 0.0
    spread = float(np.sqrt(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean()))
    lower = _lower(statistic, rows[:n], rows[n:], directions, confidence, seed)
    return TwoSampleResult(
        statistic,
        found.value * unit,
        found.p_value,
        permutations,
        floor * unit,
        float(np.quantile(found.others, 0.95)) * unit,
        effect * unit,
        effect / spread if spread > 0 else 0.0,
        None if lower is None else min(lower * unit, found.value * unit),
        confidence,
        _lower_means(statistic, min(n, len(rows) - n), confidence),
        n,
        len(rows) - n,
        rows.shape[1],
    )


def _pooled(x: Any, y: Any) -> tuple[Floats, int, float]:
    """Both samples below each other (n + m, d), centred and over a power of two; n; and that power."""
    x, y = paired(x, y)
    left, right = (
        as_points(values[:, None] if values.ndim == 1 else values, name=name)
        for values, name in ((as_tensor(x, name="x"), "x"), (as_tensor(y, name="y"), "y"))
    )
    same_dimension(left, right)
    rows = np.concatenate([each.detach().cpu().double().numpy() for each in (left, right)])
    low, high = rows.min(axis=0), rows.max(axis=0)
    with np.errstate(over="ignore"):
        reach = float((high / 2 - low / 2).max())
        rows = rows - (low / 2 + high / 2)
    if not (np.isfinite(rows).all() and reach * rows.shape[1] ** 0.5 < 2.0**1020):
        raise UserError("The distances overflow", found=f"numbers up to {np.abs([low, high]).max():g}", hint="rescale")
    unit = 2.0 ** np.clip(np.frexp(reach)[1], -1000, 1000) if reach > 0 else 1.0
    return rows / unit, len(left), float(unit)


def _check_work(statistic: str, n: int, rows: Floats, permutations: int) -> None:
    pairs = n * (len(rows) - n)
    if statistic == "w1" and rows.shape[1] > 1 and pairs * (permutations + 1) > EXACT_WORK:
        raise UserError(
            "Exact W1 of these samples takes too long for every permutation",
            found=f"{n} x {len(rows) - n} rows and {permutations} permutations",
            hint='choose statistic="sliced", fewer permutations, or fewer rows',
        )
    if statistic == "energy" and len(rows) ** 2 * (permutations + rows.shape[1]) > _ENERGY_WORK:
        raise UserError(
            "The energy distance needs the distances between all rows",
            found=f"{len(rows)} rows",
            hint='choose statistic="sliced", or fewer rows',
        )


def _directions(statistic: str, rows: Floats, projections: int, seed: int) -> Floats:
    """Unit vectors (k, d), which do not depend on what row is in which sample."""
    dim = rows.shape[1]
    if dim == 1:
        return np.ones((1, 1))
    random = unit_vectors(generator(seed, 1).standard_normal((projections, dim)))
    if statistic != "max-sliced":
        return random
    return np.concatenate([np.eye(dim)[:MOST_AXES], principal_axes(rows), random])


def unit_vectors(vectors: Floats) -> Floats:
    """Vectors (k, d) over their lengths."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def principal_axes(rows: Floats) -> Floats:
    """The leading principal axes of rows (N, d), none along which they are constant, shape (k, d)."""
    # Sorted first: the rounding of sums would depend on the order of the rows, and so on the samples.
    centred = rows[np.lexsort(rows.T)]
    centred = centred - centred.mean(axis=0)
    if len(centred) < centred.shape[1]:  # the same axes from the smaller of the two products
        values, mixtures = np.linalg.eigh(centred @ centred.T)
        used = values > 1e-12 * max(float(values.max()), 0.0)
        vectors = unit_vectors(mixtures.T[used] @ centred)
        return np.ascontiguousarray(vectors[::-1][:MOST_AXES])
    values, vectors = np.linalg.eigh(centred.T @ centred)
    used = values > 1e-12 * max(float(values.max()), 0.0)
    return np.ascontiguousarray(vectors.T[used][::-1][:MOST_AXES])


def _statistic(statistic: str, rows: Floats, directions: Floats) -> Statistic:
    if statistic == "energy":
        return Energy(rows)
    if statistic == "w1" and rows.shape[1] > 1:
        return ExactTransport(rows)
    kind = LargestOfLines if statistic == "max-sliced" else MeanOfLines
    return kind(projected(rows, directions))


def projected(rows: Floats, directions: Floats) -> Floats:
    """Rows (N, d) along directions, (k, N); equal rows get equal values, bit for bit."""
    distinct, index = np.unique(rows, axis=0, return_inverse=True)
    return np.ascontiguousarray((directions @ distinct.T)[:, index.ravel()])


def _lower(statistic: str, x: Floats, y: Floats, directions: Floats, confidence: float, seed: int) -> float | None:
    if statistic == "energy":
        return None
    if statistic == "w1" and x.shape[1] > 1:
        if min(len(x), len(y)) < LEAST_ROWS:
            return 0.0
        return w1_interval(
            x, y, rng=seed, population=True, confidence=confidence, tolerance=0.02, budget_seconds=float("inf")
        ).lower
    largest = statistic == "max-sliced"
    return witness_bound(x, y, directions, largest=largest, confidence=confidence, rng=generator(seed, 2))


def _lower_means(statistic: str, rows: int, confidence: float) -> str:
    if statistic == "energy":
        return "none: no finite-sample bound on the energy distance is computed"
    if rows < LEAST_ROWS:
        return f"nothing: a bound needs {LEAST_ROWS} rows of each sample"
    of = {
        "w1": "W1 of the distributions",
        "sliced": "the mean over these directions of W1 of the distributions along each, so W1 itself,",
        "max-sliced": "the largest over directions of W1 of the distributions along one, so W1 itself,",
    }[statistic]
    return f"{of} is at least this with confidence {confidence:g}, at any sample size, for independent rows"
