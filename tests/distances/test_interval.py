import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from wassergan.distances import exact_transport, exact_w1, w1_interval
from wassergan.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from clouds import FAMILIES, pair


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dim", [2, 16])
@pytest.mark.parametrize("budget", [1e-6, 60])
def test_the_exact_value_lies_inside(family, dim, budget):
    x, y = pair(family, 700, 500, dim, np.random.default_rng(0))
    interval = w1_interval(x, y, rng=rng(), budget_seconds=budget)
    # The full matrix and its own certificate: nothing shared with column generation.
    exact = exact_transport(cdist(x, y))
    assert interval.lower <= exact.upper
    assert interval.upper >= exact.lower
    assert interval.lower <= interval.estimate <= interval.upper
    if budget == 60:
        assert interval.width <= 0.01
        assert interval.stopped == "tolerance"


@pytest.mark.parametrize("family", FAMILIES)
def test_less_work_gives_wider_bounds_that_hold_and_no_more_is_done_than_allowed(family, monkeypatch):
    from wassergan.distances import column_generation
    from wassergan.distances.interval import interval_by_work

    done, transform = [], column_generation.c_transform  # type: ignore[attr-defined]

    def counted(x, y, g, *, keep):
        done.append(len(x.points) * len(y.points) * (6 + column_generation._PAIR_WORK))
        return transform(x, y, g, keep=keep)

    monkeypatch.setattr(column_generation, "c_transform", counted)
    x, y = (torch.from_numpy(points) for points in pair(family, 900, 700, 6, np.random.default_rng(3)))
    exact, widths = exact_transport(cdist(x, y)), []
    whole = interval_by_work(x, y, rng=rng(), tolerance=0.0, work=1e12)
    assert whole[1] - whole[0] <= 1e-9 * whole[1]
    for work in (0, *(np.cumsum(done)[:6] - 1).tolist()):  # each lacks one for the next transform
        done.clear()
        lower, upper = interval_by_work(x, y, rng=rng(), tolerance=0.0, work=work)
        assert lower <= exact.upper and upper >= exact.lower
        assert sum(done) <= work
        widths.append(upper - lower)
        assert interval_by_work(x, y, rng=rng(), tolerance=0.0, work=work) == (lower, upper)
    assert min(widths) >= whole[1] - whole[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_bound_on_the_way_holds(family, monkeypatch):
    monkeypatch.setattr("wassergan.distances.column_generation._DENSE_PAIRS", 5_000)
    from wassergan.distances.column_generation import Pace, refine
    from wassergan.distances.problem import pose

    r = np.random.default_rng(1)
    x, y = (torch.from_numpy(p) for p in pair(family, 900, 700, 3, r))
    a, b = torch.from_numpy(r.dirichlet(np.ones(900))), torch.from_numpy(r.dirichlet(np.ones(700)))
    problem = pose(x, y, a, b)
    exact = exact_transport(cdist(x, y), x_weights=a, y_weights=b)
    steps = list(refine(problem, rng=rng(), pace=Pace(np.inf)))
    for bounds in steps:
        assert bounds.lower * problem.scale <= exact.upper
        assert bounds.upper * problem.scale >= exact.lower
        reach = (bounds.f[:, None] + bounds.g).numpy() - cdist(problem.x.cells.points, problem.y.cells.points)
        assert reach.max() <= 1e-12
    assert [s.lower for s in steps] == sorted(s.lower for s in steps)
    assert [s.upper for s in steps] == sorted((s.upper for s in steps), reverse=True)
    assert steps[-1].width < 1e-9


@pytest.mark.parametrize("dim", [2, 3])
def test_potentials_of_a_part_bound_the_whole(dim):
    from itertools import islice

    from wassergan.distances.column_generation import Pace, refine
    from wassergan.distances.problem import pose

    r = np.random.default_rng(2)
    x, y = (torch.from_numpy(r.normal(size=(2500, dim)) * np.arange(1, dim + 1)[::step].copy()) for step in (1, -1))
    problem = pose(x, y, *(torch.full((2500,), 1 / 2500, dtype=torch.float64) for _ in range(2)))
    first, coarse = islice(refine(problem, rng=rng(), pace=Pace(np.inf)), 2)
    exact = exact_transport(cdist(x, y)).value.item() / problem.scale
    # Equal means: single directions see little of it, an eighth of the points nearly all.
    assert first.lower < 0.75 * exact
    assert 0.8 * exact < coarse.lower <= exact
    assert coarse.upper == first.upper


def test_weights_count():
    x, y = np.zeros((1, 2)), np.array([[3.0, 4.0], [0.0, 0.0]])
    interval = w1_interval(x, y, rng=rng(), y_weights=np.array([0.2, 0.8]), tolerance=1e-9)
    assert interval.lower == pytest.approx(1, abs=1e-9)
    assert interval.upper == pytest.approx(1, abs=1e-9)


def test_a_tolerance_of_zero_ends_at_the_optimum():
    x, y = pair("shifted", 300, 300, 2, np.random.default_rng(0))
    interval = w1_interval(x, y, rng=rng(), tolerance=0)
    assert interval.stopped == "optimum"
    assert interval.width < 1e-12
    assert interval.estimate == pytest.approx(exact_w1(x, y).value.item(), abs=1e-12)


def test_a_spent_budget_still_gives_an_interval():
    x, y = pair("uniform", 5000, 5000, 8, np.random.default_rng(0))
    start = time.perf_counter()
    interval = w1_interval(x, y, rng=rng(), budget_seconds=1e-6, tolerance=1e-6)
    assert interval.stopped == "budget"
    assert 0 < interval.lower < interval.upper
    assert interval.seconds <= time.perf_counter() - start


def test_what_the_numbers_mean_is_said():
    x, y = pair("shifted", 100, 80, 2, np.random.default_rng(0))
    samples, laws = (w1_interval(x, y, rng=rng(), population=p) for p in (False, True))
    assert (samples.n, samples.m, samples.dim) == (100, 80, 2)
    assert "two samples" in samples.question
    assert samples.confidence is None
    assert "certain" in samples.lower_means
    assert "distributions" in laws.question
    assert laws.confidence == 0.95
    assert "every sample size" in laws.rests_on and "samples as they are" in samples.rests_on
    assert "confidence 0.95" in laws.lower_means
    assert "no confidence bound" in laws.upper_means
    assert laws.lower < samples.lower


def test_the_lower_bound_on_the_laws_holds_as_often_as_it_says():
    # Translated uniform distributions on a square: W1 = ‖t‖ = 0.5, known without sampling.
    held = []
    for seed in range(60):
        r = np.random.default_rng(seed)
        x, y = r.random((120, 2)), r.random((120, 2)) + np.array([0.3, 0.4])
        held.append(w1_interval(x, y, rng=rng(seed), population=True, confidence=0.9).lower)
    assert np.mean(np.array(held) <= 0.5) >= 0.9
    assert np.mean(held) > 0.35  # and it says something


def test_one_law_against_itself_is_not_told_apart():
    # The plug-in is far from 0 in 10 dimensions; the bound on the distributions must not be.
    r = np.random.default_rng(0)
    x, y = r.normal(size=(2, 300, 10))
    laws = w1_interval(x, y, rng=rng(), population=True)
    assert laws.estimate > 2
    assert laws.lower < 0.2


def test_a_known_diameter_gives_a_bound_at_any_size():
    r = np.random.default_rng(0)
    x, y = r.random((4000, 1)), r.random((4000, 1)) + 1
    interval = w1_interval(x, y, rng=rng(), population=True, diameter=2.0)
    assert 0.8 < interval.lower < 1
    assert "at any sample size" in interval.lower_means
    # McDiarmid: 2 √(log 20 (1/4000 + 1/4000) / 2) = 0.0547 above the distance of the samples.
    assert 1 < interval.upper < 1.08
    assert "at most this with confidence 0.95" in interval.upper_means and "diameter" in interval.rests_on
    few = w1_interval(x[:4], y[:4], rng=rng(), population=True, diameter=2.0)
    assert few.upper == 2.0  # nothing lies further apart than the diameter


def test_a_diameter_that_the_points_refute_is_refused():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(UserError, match="Two points lie further apart than the diameter: 1.41421 over 1.4"):
        w1_interval(x, x, rng=rng(), population=True, diameter=1.4)
    w1_interval(x, x, rng=rng(), population=True, diameter=2**0.5)


@pytest.mark.parametrize(("n", "m"), [(40, 4000), (4000, 40), (8, 8)])
def test_rare_flags_do_not_break_the_bound_on_the_laws(n, m):
    # One distribution: any bound above 0 is wrong. Welch's t was in 63 % of draws at 99.9 % and these sizes.
    above = 0
    for seed in range(30):
        r = np.random.default_rng(seed)
        x, y = ((r.random((count, 1)) < 0.01).astype(float) for count in (n, m))
        found = w1_interval(x, y, rng=rng(seed), population=True, confidence=0.999, budget_seconds=0.1, tolerance=0.5)
        above += found.lower > 0
    assert above <= 1


def test_each_critic_of_an_interval_has_its_share_of_the_risk(monkeypatch):
    asked = []

    def recorded(*scores, confidence, **more):
        asked.append(confidence)
        return 0.0

    monkeypatch.setattr("wassergan.distances.interval.critic_lower_bound", recorded)
    x, y = pair("shifted", 40, 40, 2, np.random.default_rng(0))
    w1_interval(x, y, rng=rng(), population=True, confidence=0.9, budget_seconds=1)
    assert asked == pytest.approx([0.95, 0.95])
    asked.clear()
    w1_interval(x, y, rng=rng(), population=True, confidence=0.9, budget_seconds=1, families="atoms")
    assert asked == pytest.approx([1 - 0.1 / 3] * 3)


def test_the_asymptotic_method_says_so():
    r = np.random.default_rng(0)
    x, y = r.normal(1, 1, (400, 1)), r.normal(0, 1, (400, 1))
    sure, asymptotic = (
        w1_interval(x, y, rng=rng(), population=True, method=method, budget_seconds=1)
        for method in ("finite-sample", "asymptotic")
    )
    assert 0 < sure.lower < asymptotic.lower < 1
    assert "as the sample size grows" in asymptotic.lower_means and "asymptotic" in asymptotic.rests_on


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": -1.0}, "tolerance must be finite and not negative: -1.0"),
        ({"tolerance": np.nan}, "tolerance must be finite and not negative: nan"),
        ({"budget_seconds": 0.0}, "budget must be positive: 0.0 seconds"),
        ({"population": True, "x_weights": np.full(9, 1 / 9)}, "needs independent draws: weights"),
        ({"population": True}, "needs at least four points a side: 9 and 3"),
        ({"diameter": 1.0}, "diameter serves only bounds on the distributions"),
        ({"population": True, "diameter": 0.0}, "diameter must be positive and finite: 0.0"),
        ({"confidence": 5.0}, "confidence must lie between 0 and 1: 5.0"),
        ({"method": "asymptotic"}, "Methods serve only bounds on the distributions"),
        ({"method": "none"}, "Unknown method of bounds: 'none'"),
        ({"families": "atom"}, "Unknown family of critics: 'atom'"),
        ({"budget_seconds": np.nan}, "budget must be positive: nan seconds"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        w1_interval(np.zeros((9, 2)), np.ones((3, 2)), rng=rng(), **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dim", [2, 16, 64])
def test_two_thousand_points_are_within_one_percent(family, dim):
    x, y = pair(family, 2000, 2000, dim, np.random.default_rng(dim))
    interval = w1_interval(x, y, rng=rng())
    exact = exact_transport(cdist(x, y))
    assert interval.lower <= exact.upper
    assert interval.upper >= exact.lower
    assert interval.width <= 0.01
