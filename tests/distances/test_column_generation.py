"""Bounds that meet over few arcs: from clouds of every kind, against a solver over the full matrix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from wassergan.distances import column_generation
from wassergan.distances.boxes import Cells
from wassergan.distances.column_generation import Pace, refine
from wassergan.distances.netting import _CELL, _cells, netted
from wassergan.distances.problem import check_pair, pose

KINDS = ("normal", "cauchy", "lattice", "near copies", "line", "scales")


def cloud(kind, rng, n, dim):
    normal = rng.normal(size=(n, dim))
    if kind == "cauchy":
        return normal / rng.normal(size=(n, 1))
    if kind == "lattice":
        return rng.integers(0, 5, size=(n, dim)).astype(float)
    if kind == "near copies":
        return np.round(normal) + 1e-9 * rng.normal(size=(n, dim))
    if kind == "line":
        return normal[:, :1] * np.arange(1, dim + 1)
    if kind == "scales":
        return normal * 10.0 ** rng.integers(-5, 6, size=(n, 1))
    return normal


def posed(x, y, a=None, b=None):
    return pose(*check_pair(x, y, a, b, True))


def cost_of_best_plan(problem):
    """By POT's solver over the full matrix."""
    import ot

    cost = cdist(problem.x.cells.points.numpy(), problem.y.cells.points.numpy())
    return float(ot.lp.emd2(problem.x.mass.numpy(), problem.y.mass.numpy(), cost, numItermax=10**7))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(2, 5),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    sizes=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    is_weighted=st.booleans(),
)
def test_bounds_hold_and_never_get_worse(seed, dim, kinds, sizes, is_weighted):
    rng = np.random.default_rng(seed)
    x, y = (cloud(kind, rng, size, dim) for kind, size in zip(kinds, sizes, strict=True))
    a, b = (rng.dirichlet(np.full(size, 0.3)) if is_weighted else None for size in sizes)
    problem = posed(x, y, a, b)
    truth = cost_of_best_plan(problem)
    slack = 1e-9 * truth + 1e-12 * problem.diameter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_generation, "_DENSE_PAIRS", 16)  # several levels, of a handful of points
        last = None
        for bounds in refine(problem, rng=torch.Generator().manual_seed(0), pace=Pace(np.inf)):
            assert bounds.lower - slack <= truth <= bounds.upper + slack
            if last is not None:
                assert bounds.lower >= last.lower and bounds.upper <= last.upper
            last = bounds
    assert last is not None and last.upper - last.lower <= 1e-5 * truth + slack


@pytest.mark.parametrize("kind", ["same", "shifted", "wider"])
@pytest.mark.parametrize("dim", [2, 3])
def test_the_bounds_meet_in_few_dimensions(kind, dim):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1500, dim)), rng.normal(size=(1300, dim))
    y = {"same": y, "shifted": y + 1, "wider": 1.5 * y}[kind]
    *_, bounds = refine(posed(x, y), rng=torch.Generator().manual_seed(0), pace=Pace(np.inf))
    assert bounds.width < 1e-9


def test_netted_cells_hold_what_one_side_has_more():
    """Four far corners, each one cell: what they hold more or less is what is left to move."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [100, 0], [0, 100], [100, 100]])
    counts = [10, 4, 7, 7], [4, 10, 7, 7]
    x, y = (np.repeat(corners, count, axis=0) + rng.random((28, 2)) for count in counts)
    problem = posed(x, y)
    small = netted(problem)
    assert small is not None
    more, less = (side.cells.points * problem.scale + problem.centre for side in (small.x, small.y))
    assert np.allclose(more, corners[:1] + 0.5, atol=0.5) and np.allclose(less, corners[1:2] + 0.5, atol=0.5)
    assert small.x.mass.tolist() == pytest.approx([1.0]) and small.y.mass.tolist() == pytest.approx([1.0])


def test_cells_that_hold_equal_mass_leave_nothing_to_move():
    rng = np.random.default_rng(0)
    places = np.repeat(np.arange(32), 7)[:, None] * [100, 0]
    assert netted(posed(places + rng.random((224, 2)), places + rng.random((224, 2)))) is None


def test_netted_costs_differ_by_no_more_than_the_points_move():
    """W1 is a metric: points that move to the centres of their cells change it by at most their mean move."""
    rng = np.random.default_rng(1)
    problem = posed(rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) * 1.5)
    small = netted(problem)
    assert small is not None
    points = torch.cat([problem.x.cells.points, problem.y.cells.points]).numpy()
    cell = _cells(points)
    centres = np.stack([points[cell == each].mean(0) for each in range(cell.max() + 1)])
    moves = np.linalg.norm(points - centres[cell], axis=1)
    excess = np.subtract(*(np.bincount(part, minlength=len(centres)) for part in np.split(cell, 2)))
    cost = np.abs(excess).sum() / 2 / 60 * cost_of_best_plan(small)  # what is moved, times what a unit of it costs
    truth = cost_of_best_plan(problem)
    assert abs(cost - truth) <= moves[:60].mean() + moves[60:].mean()
    assert cost > 0.5 * truth


def test_a_start_from_common_cells_sees_what_a_subset_does_not(monkeypatch):
    """Two samples of one law: their W1 is their noise, which the cells keep and a subset replaces by its own."""
    rng = np.random.default_rng(0)
    problem = posed(rng.normal(size=(3000, 2)), rng.normal(size=(3000, 2)))

    def second():
        steps = refine(problem, rng=torch.Generator().manual_seed(0), pace=Pace(np.inf))
        return [next(steps) for _ in range(2)][1].lower

    by_cells = second()
    monkeypatch.setattr(column_generation, "NETTED_DIM", 0)
    assert by_cells > 1.3 * second()


def test_cells_keep_few_points_together():
    points = np.random.default_rng(0).normal(size=(1000, 2))
    cell = _cells(points)
    counts = np.bincount(cell)
    assert counts.max() <= _CELL and counts.min() >= 1 and counts.sum() == 1000
    alone = Cells(torch.from_numpy(points[cell == 0]))
    assert (alone.high - alone.low).max() < 2
