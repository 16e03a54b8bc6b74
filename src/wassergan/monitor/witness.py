"""Finite-sample lower bounds on distances of distributions, by witnesses along lines."""

import numpy as np
from numpy.typing import NDArray

from wassergan.distances.population import critic_lower_bound
from wassergan.monitor.permutation import Floats, Lines

LEAST_ROWS = 4  # of each sample: two to fit, two to score
_LIPSCHITZ = 1 + 1e-9  # a unit vector has a length within rounding of one


def line_potential(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Knots and heights of a function f of slope ±1 with mean f(x) - mean f(y) = W1(x, y) on the line.

    f' = sign(G - F) for the distribution functions F of x and G of y; beyond the knots f is constant.
    """
    knots = np.concatenate([x, y])
    order = np.argsort(knots, kind="stable")
    total = len(knots)
    ahead = np.cumsum(np.where(order < len(x), total, 0) - len(x))[:-1]
    knots = knots[order]
    return knots, np.concatenate([[0.0], np.cumsum(-np.sign(ahead) * np.diff(knots))])


def witness_bound(
    x: Floats, y: Floats, directions: Floats, *, largest: bool, confidence: float, rng: np.random.Generator
) -> float:
    """A lower confidence bound on the mean, or the largest, of W1(u·P, u·Q) over the directions u, in their order.

    One half of each sample fits a potential along each direction, the other scores it: the mean of the potentials, or
    the potential of the direction that is best on the first half. See `critic_lower_bound`.

    Args:
        x: rows (n, d) drawn independently from P.
        y: rows (m, d) drawn independently from Q.
        directions: unit vectors (k, d), chosen without looking at the order of the rows.
        largest: bound the largest instead of the mean.
        confidence: probability that the bound holds.
        rng: splits the rows.
    """
    if min(len(x), len(y)) < LEAST_ROWS:
        return 0.0
    (x_fit, x_test), (y_fit, y_test) = (_halves(rows @ directions.T, rng) for rows in (x, y))
    chosen = range(len(directions))
    if largest:
        lines = Lines(np.concatenate([x_fit, y_fit]).T)
        along = lines.along((np.arange(len(x_fit) + len(y_fit)) < len(x_fit))[None])[0]
        chosen = range(int(along.argmax()), int(along.argmax()) + 1)
    scores = [np.zeros(len(x_test)), np.zeros(len(y_test))]
    for line in chosen:
        knots, heights = line_potential(x_fit[:, line], y_fit[:, line])
        for score, rows in zip(scores, (x_test, y_test), strict=True):
            score += np.interp(rows[:, line], knots, heights)
    scores = [each / len(chosen) for each in scores]
    seed = int(rng.integers(2**62))
    return critic_lower_bound(scores[0], scores[1], lipschitz=_LIPSCHITZ, confidence=confidence, rng=seed)


def _halves(rows: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    order: NDArray[np.int64] = rng.permutation(len(rows))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]
