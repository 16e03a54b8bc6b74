"""Exact solves over a short list of pairs: against solvers over the full matrix."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from wassergan.distances import exact, exact_w1, shortlist
from wassergan.distances.problem import _unique, check_pair, pose
from wassergan.distances.screen import screened
from wassergan.distances.shortlist import shortlisted

sys.path.insert(0, str(Path(__file__).parent))
from clouds import pair

KINDS = ("shifted", "mixture", "uniform", "heavy", "weights", "rare", "unequal", "line", "lattice", "outlier")


def posed(x, y, a=None, b=None):
    return pose(*check_pair(x, y, a, b, True), leaf=64)


def problem_of(kind, dim, rng, n=400):
    x, y = pair(kind if kind in KINDS[:4] else "shifted", n, n, dim, rng)
    a = b = None
    if kind == "weights":
        a, b = rng.random(n), rng.random(n)
    if kind == "rare":
        a, b = (np.where(rng.random(n) < 0.02, 1.0, 1e-7) for _ in range(2))
    if kind == "unequal":
        y = np.concatenate([y, y + 1.5])
    if kind == "line":
        x, y = x[:, :1] * np.arange(1.0, dim + 1), y[:, :1] * np.arange(1.0, dim + 1)
    if kind == "lattice":
        x, y = np.round(4 * x), np.round(4 * y)
    if kind == "outlier":
        x[0] = 100
    return posed(x, y, a, b)


def matrix(problem):
    return cdist(problem.x.cells.points.numpy(), problem.y.cells.points.numpy())


def cost_of_best_plan(problem):
    """By SciPy if it is an assignment, else by POT, over the full matrix."""
    cost, a, b = matrix(problem), problem.x.mass.numpy(), problem.y.mass.numpy()
    if len(a) == len(b) and np.ptp(np.concatenate([a, b])) < 1e-12:
        return cost[linear_sum_assignment(cost)].mean()
    import ot

    return float(ot.lp.emd2(a, b, cost, numItermax=10**7))


def near(lower, upper):
    return upper - lower <= 1e-9 * upper


def check(problem, bounds):
    """The plan has the masses, the potentials are allowed by every pair, and both give the bounds."""
    cost, scale = matrix(problem), problem.diameter
    plan = np.zeros(cost.shape)
    np.add.at(plan, (bounds.plan.rows, bounds.plan.cols), bounds.plan.mass)
    assert plan.sum(1) == pytest.approx(problem.x.mass.numpy(), abs=1e-12)
    assert plan.sum(0) == pytest.approx(problem.y.mass.numpy(), abs=1e-12)
    f, g = bounds.f.numpy(), bounds.g.numpy()
    assert (f[:, None] + g - cost).max() <= 1e-14 * scale
    assert bounds.upper == pytest.approx((plan * cost).sum(), abs=1e-11 * scale)
    assert bounds.lower == pytest.approx(problem.x.mass.numpy() @ f + problem.y.mass.numpy() @ g, abs=1e-11 * scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [2, 3])
def test_bounds_meet_at_the_cost_of_the_best_plan(kind, dim, monkeypatch):
    monkeypatch.setattr(shortlist, "_MOST", 10**4)  # on a line, most pairs are as good as each other
    problem = problem_of(kind, dim, np.random.default_rng(KINDS.index(kind)))
    bounds = shortlisted(problem, near, 10**9)
    assert bounds is not None
    check(problem, bounds)
    truth = cost_of_best_plan(problem)
    assert bounds.lower - 1e-12 <= truth <= bounds.upper + 1e-12
    assert bounds.upper - bounds.dual <= 1e-9 * bounds.upper


def test_what_a_list_lacks_joins_it(monkeypatch):
    monkeypatch.setattr(shortlist, "_RANK", 1)
    monkeypatch.setattr(shortlist, "_SHARE", 200)  # a margin is the smaller of two pairs: hardly a list at all
    monkeypatch.setattr(shortlist, "_FIRST", 1)
    monkeypatch.setattr(shortlist, "_ROUNDS", 200)
    joined, join = [], shortlist._Rounds._join

    def spied(rounds, rows, cols):
        before = len(rounds._pairs.keys)
        result = join(rounds, rows, cols)
        joined.append(len(rounds._pairs.keys) - before)
        assert result == (joined[-1] > 0)
        assert (np.diff(rounds._pairs.keys) > 0).all()
        return result

    monkeypatch.setattr(shortlist._Rounds, "_join", spied)
    problem = problem_of("mixture", 2, np.random.default_rng(3))
    monkeypatch.setattr(shortlist, "screened", few)
    bounds = shortlisted(problem, near, 10**9)
    assert bounds is not None and sum(joined) > 100
    check(problem, bounds)
    assert bounds.upper == pytest.approx(cost_of_best_plan(problem), rel=1e-9)


def few(*args, margins=None):
    """Nine pairs in ten are missing from the first list; proofs see them all."""
    pairs = screened(*args, margins=margins)
    assert pairs is not None
    step = 1 if margins is None else 10
    return pairs[0][::step], pairs[1][::step]


def test_potentials_are_allowed_by_pairs_that_the_list_lacks(monkeypatch):
    monkeypatch.setattr(shortlist, "screened", few)
    monkeypatch.setattr(shortlist, "_SETTLED", np.inf)  # all pairs are looked at after the first solve
    problem = problem_of("shifted", 2, np.random.default_rng(4))
    bounds = shortlisted(problem, lambda lower, upper: True, 10**9)
    assert bounds is not None and bounds.upper - bounds.lower > 1e-4 * bounds.upper
    check(problem, bounds)
    assert bounds.lower < cost_of_best_plan(problem) < bounds.upper


def test_what_single_precision_cannot_tell_apart_is_left_to_others(monkeypatch):
    """Half of the points are copies within 10⁻⁹ of each other, so that nearly every pair would be listed."""
    monkeypatch.setattr(shortlist, "_MOST", 20)
    monkeypatch.setattr(exact, "_DENSE_PAIRS_LOW_DIM", 0)
    rng = np.random.default_rng(5)
    x, y = (np.concatenate([rng.normal(size=(150, 2)), 1e-9 * rng.normal(size=(150, 2))]) for _ in range(2))
    problem = posed(x, y)
    assert shortlisted(problem, near, 10**9) is None
    result = exact_w1(x, y)
    truth = cdist(x, y)[linear_sum_assignment(cdist(x, y))].mean()
    assert result.value.item() == pytest.approx(truth, rel=1e-9)


def test_cells_that_hold_equal_mass_start_no_list():
    places = np.repeat(np.arange(32), 7)[:, None] * [100, 0]
    rng = np.random.default_rng(0)
    problem = posed(places + rng.random((224, 2)), places + rng.random((224, 2)))
    assert shortlisted(problem, near, 10**9) is None


def test_rounds_that_do_not_end_are_left_to_others(monkeypatch):
    monkeypatch.setattr(shortlist, "_ROUNDS", 1)
    assert shortlisted(problem_of("mixture", 2, np.random.default_rng(1)), near, 10**9) is None


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_distinct_points_are_those_of_whole_rows(dim):
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.integers(-2, 3, size=(80, dim)) * 0.5)
    points[::3] *= -1  # zeros of both signs are one
    distinct, where = _unique(points)
    expected, index = np.unique(points.numpy() + 0.0, axis=0, return_inverse=True)
    assert np.array_equal(distinct.numpy(), expected) and np.array_equal(where.numpy(), index.ravel())


def test_one_point_is_distinct():
    distinct, where = _unique(torch.ones(1, 2, dtype=torch.float64))
    assert distinct.tolist() == [[1.0, 1.0]] and where.tolist() == [0]
