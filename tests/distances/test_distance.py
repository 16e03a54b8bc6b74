"""`w1`, the one door: against linear programs and assignments of other libraries, with proofs checked pair by pair."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

import wassergan
from wassergan.distances import METRICS, barycentre_line, w1, w1_batch, wasserstein_line
from wassergan.errors import UserError

RNG = np.random.default_rng(24)


def apart(metric: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances by other formulas and another library."""
    if metric == "haversine":
        (lat, lon), (other_lat, other_lon) = np.radians(x.T)[:, :, None], np.radians(y.T)[:, None]
        half = np.sin((lat - other_lat) / 2) ** 2
        half = half + np.cos(lat) * np.cos(other_lat) * np.sin((lon - other_lon) / 2) ** 2
        return 2 * 6371.0088 * np.arcsin(np.sqrt(half))
    if metric == "circle":
        return np.min([np.abs(x - y.T + turn * 24.0) for turn in range(-3, 4)], axis=0)
    return cdist(x, y, metric)


def cloud(metric: str, rng: np.random.Generator, n: int) -> np.ndarray:
    if metric == "haversine":
        return np.stack([rng.uniform(-90, 90, n), rng.uniform(-180, 180, n)], axis=1)
    return rng.uniform(0, 24, (n, 1)) if metric == "circle" else rng.normal(size=(n, 3)).round(1) + 0.05


def program(cost: np.ndarray, a: np.ndarray, b: np.ndarray, share: float = 1.0) -> float:
    n, m = cost.shape
    rows, cols = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    found = linprog(
        cost.ravel(), A_ub=np.vstack([rows, cols]), b_ub=[*a, *b], A_eq=np.ones((1, n * m)), b_eq=[share - 1e-12]
    )
    assert found.status == 0
    return float(found.fun)


def proves(found: Any, cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Potentials that no pair violates, whose value is that of the plan; a plan with the weights as its sums."""
    f, g = (each.numpy() for each in found.potentials)
    size = max(cost.max(), 1e-300)
    assert (f[:, None] + g[None] - cost).max() <= 1e-12 * size
    level = f.max() if found.share < 1 else 0.0
    assert g.max() <= 1e-12 * size or found.share == 1
    value = a @ (f - level) + b @ g + found.share * level
    assert value == pytest.approx(found.value**found.p, abs=1e-8 * size)
    dense = found.plan.to_dense().numpy()
    assert (dense >= 0).all() and dense.sum() == pytest.approx(found.share)
    assert (dense.sum(1) <= a + 1e-12).all() and (dense.sum(0) <= b + 1e-12).all()
    assert (dense * cost).sum() == pytest.approx(found.value**found.p, abs=1e-9 * size)
    assert found.lower <= found.value <= found.upper and found.method == "exact"


@settings(max_examples=25, deadline=None)
@given(
    metric=st.sampled_from(METRICS),
    p=st.sampled_from([1.0, 2.0, 3.5]),
    seed=st.integers(0, 2**32),
    n=st.integers(1, 6),
    m=st.integers(1, 6),
    weighted=st.booleans(),
    share=st.sampled_from([1.0, 0.9, 0.3]),
)
@example(metric="circle", p=2.0, seed=1, n=5, m=6, weighted=True, share=1.0)
@example(metric="haversine", p=2.0, seed=1, n=5, m=6, weighted=True, share=0.9)
def test_every_metric_order_weight_and_share_is_that_of_a_linear_program(
    metric: str, p: float, seed: int, n: int, m: int, weighted: bool, share: float
) -> None:
    rng = np.random.default_rng(seed)
    x, y = cloud(metric, rng, n), cloud(metric, rng, m)
    a, b = (rng.dirichlet(np.ones(k)) if weighted else np.full(k, 1 / k) for k in (n, m))
    weights: dict[str, Any] = {"x_weights": a, "y_weights": b} if weighted else {}
    found = w1(x, y, p=p, metric=metric, share=share, period=24.0, **weights)
    cost = apart(metric, x, y) ** p
    size = max(cost.max(), 1e-300)
    assert found.value**p / size == pytest.approx(program(cost / size, a, b, share), rel=1e-6, abs=1e-7)
    proves(found, cost, a, b)
    own = w1(x, y, p=p, metric=apart(metric, x, y), share=share, **weights)
    assert own.value**p == pytest.approx(found.value**p, abs=1e-8 * size) and own.metric == "matrix"


@settings(max_examples=25, deadline=None)
@given(p=st.sampled_from([1.5, 2.0, 4.0]), data=st.data(), weighted=st.booleans())
def test_orders_on_the_line_carry_proofs(p: float, data: st.DataObject, weighted: bool) -> None:
    numbers = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, -7.0, 50.0]), min_size=1, max_size=7)
    x, y = (np.array(data.draw(numbers)) for _ in range(2))
    a, b = ((np.arange(len(each)) + 1.0) / np.sum(np.arange(len(each)) + 1.0) for each in (x, y))
    if not weighted:
        a, b = (np.full(len(each), 1 / len(each)) for each in (x, y))
    found = w1(x, y, p=p, **({"x_weights": a, "y_weights": b} if weighted else {}))
    proves(found, np.abs(x[:, None] - y[None]) ** p, a, b)
    assert found.upper - found.lower <= 1e-12 * max(1.0, found.value)


@pytest.mark.parametrize("metric", METRICS)
def test_cheap_bounds_contain_the_exact_distance(metric: str) -> None:
    x, y = cloud(metric, RNG, 60), cloud(metric, RNG, 60)
    for p in (1.0, 2.0):
        cost = apart(metric, x, y) ** p
        truth = cost[linear_sum_assignment(cost)].mean() ** (1 / p)
        for method in ("exact", "interval", "sliced"):
            if method == "sliced" and (metric != "euclidean" or p != 1):
                with pytest.raises(UserError, match="Directions bound Euclidean W1 alone"):
                    w1(x, y, metric=metric, p=p, method=method)
                continue
            found = w1(x, y, metric=metric, p=p, period=24.0, method=method, tolerance=0.0)
            assert found.lower * (1 - 1e-9) <= truth <= found.upper * (1 + 1e-9) and found.reason == "as asked"
            assert found.plan.to_dense().sum(0).numpy() == pytest.approx(np.full(60, 1 / 60))
            if (metric, p, method) == ("euclidean", 1.0, "interval"):
                assert found.width < 1e-6


def test_weighted_directions_bound_w1() -> None:
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(25, 3)) + 1
    weights: dict[str, Any] = {"x_weights": RNG.dirichlet(np.ones(40)), "y_weights": RNG.dirichlet(np.ones(25))}
    exact, sliced = w1(x, y, **weights), w1(x, y, **weights, method="sliced")
    assert 0 < sliced.sliced < sliced.lower <= exact.value <= sliced.upper < 3 * exact.value
    for each in (x, torch.tensor(x), pd.DataFrame(x)):
        assert w1(each, each).value == 0


def test_the_door_says_what_it_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = RNG.normal(size=(30, 2)), RNG.normal(size=(20, 2))
    assert wassergan.w1 is w1 and float(w1(x, y)) == w1(x, y).value
    assert "solved exactly" in w1(x, y).words() and "sorting" in w1(x[:, 0], y[:, 0]).reason
    from wassergan.distances import distance

    monkeypatch.setattr(distance, "EXACT_PAIRS", 100)
    monkeypatch.setattr(distance, "MATRIX_PAIRS", 100)
    found = w1(x, y)
    assert found.method == "interval" and "refined within the budget" in found.reason and found.width <= 0.01
    assert w1(x, y, p=2).method == w1(x, y, metric="l1").method == "interval"
    assert w1(x[:, 0], y[:, 0], p=3).method == "exact"
    monkeypatch.setattr(distance, "INTERVAL_POINTS", 10)
    assert w1(x, y).method == "sliced" and w1(x, y, p=2).method == "interval"
    monkeypatch.setattr(distance, "LARGEST_MATRIX", 100)
    for call in ({"share": 0.5}, {"p": 2.0, "method": "exact"}):
        with pytest.raises(UserError, match="matrix of costs is too large"):
            w1(x, y, **call)


def test_batches_are_pair_by_pair() -> None:
    xs, ys = RNG.normal(size=(3, 5, 2)), [RNG.normal(size=(k, 2)) for k in (2, 4, 7)]
    weights = [None, np.array([0.1, 0.2, 0.3, 0.4]), None]
    found = w1_batch(xs, ys, y_weights=weights, p=2.0)
    assert [each.value for each in found] == [
        w1(x, y, y_weights=own, p=2.0).value for x, y, own in zip(xs, ys, weights, strict=True)
    ]
    with pytest.raises(UserError, match="as many samples on both sides"):
        w1_batch(xs, ys[:2])
    with pytest.raises(UserError, match="Pair 1: x and y must have the same dimension"):
        w1_batch(xs, [ys[0], RNG.normal(size=(3, 4)), ys[2]])


def test_plans_become_frames() -> None:
    found = w1([0.0, 1.0, 5.0, 5.0], [0.0, 2.0, 5.0, 9.0])
    frame = found.plan.to_frame()
    assert list(frame.columns) == ["row", "col", "mass", "cost", "share"]
    assert frame["cost"].tolist()[:2] == [4.0, 1.0] and frame["share"].tolist()[:2] == [0.8, 0.2]
    assert (frame["mass"] * frame["cost"]).sum() == found.value == 1.25
    assert (found.plan.moved_mass(), found.plan.moved_mass(1.0), found.plan.moved_mass(9)) == (0.5, 0.25, 0.0)


def test_a_share_leaves_the_far_mass_where_it_is() -> None:
    x, y = [0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 1000.0]
    assert w1(x, y, share=0.75).value == pytest.approx(0.0, abs=1e-9)
    assert w1(x, y, share=1.0).value == pytest.approx(997 / 4)
    # Half of the last unit: 1/8 of the mass goes from 3 to 1000, or a neighbour's way, at 997.
    assert w1(x, y, share=0.875).value == pytest.approx(997 / 8)


@given(data=st.data(), share=st.sampled_from([0.25, 0.5, 0.9]))
def test_a_share_of_points_that_coincide_is_that_share(data: st.DataObject, share: float) -> None:
    """Where points lie on each other, more mass could move at no cost; the plan still moves the share alone."""
    points = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=5)
    x, y = (np.array(data.draw(points), float) for _ in range(2))
    found = w1(x, y, share=share)
    cost = cdist(x, y)
    a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    assert found.value == pytest.approx(program(cost, a, b, share), abs=1e-7)
    proves(found, cost, a, b)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), p=st.sampled_from([1.0, 2.0]))
def test_no_distribution_beats_the_barycentre(data: st.DataObject, p: float) -> None:
    numbers = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=5)
    samples = data.draw(st.lists(numbers, min_size=1, max_size=4))
    w = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(samples), max_size=len(samples))), float)
    w /= w.sum()
    found = barycentre_line(samples, weights=w, p=p)

    def cost(points: Any, masses: Any = None) -> float:
        each = [wasserstein_line(s, points, p=p, y_weights=masses, normalize=True).item() ** p for s in samples]
        return float(w @ np.array(each))

    assert found.masses.sum().item() == pytest.approx(1) and (found.points.diff() > 0).all()
    assert found.objective == pytest.approx(cost(found.points, found.masses), abs=1e-9)
    for other in (*samples, data.draw(numbers), [float(np.mean(each)) for each in samples]):
        assert found.objective <= cost(other) + 1e-9


def test_barycentres_by_hand() -> None:
    found = barycentre_line([[0.0, 2.0], [4.0, 10.0]])
    assert (found.points.tolist(), found.masses.tolist(), found.objective) == ([2.0, 6.0], [0.5, 0.5], 10.0)
    assert found.distances.tolist() == pytest.approx([10**0.5] * 2)
    weighted = barycentre_line([[0.0], [4.0, 8.0]], weights=[0.25, 0.75], sample_weights=[None, [0.2, 0.8]])
    assert weighted.points.tolist() == [3.0, 6.0] and weighted.masses.tolist() == pytest.approx([0.2, 0.8])
    assert barycentre_line([[0.0], [1.0], [9.0]], p=1).points.tolist() == [1.0]


REFUSED = [
    ({"p": 0.5}, "order p must be finite and at least one"),
    ({"p": np.inf}, "order p must be finite"),
    ({"metric": "l3"}, "Unknown metric: 'l3'"),
    ({"metric": 3}, "metric must be a NumPy array"),
    ({"metric": np.ones((3, 3))}, "another number of points than x"),
    ({"metric": -np.ones((2, 2))}, "must not be negative"),
    ({"metric": np.ones((2, 2)), "method": "interval"}, "matrix of distances is solved exactly"),
    ({"metric": "haversine"}, "latitude and longitude in degrees"),
    ({"metric": "circle", "x": np.ones((2, 2)), "y": np.ones((2, 2))}, "A circle has one coordinate"),
    ({"metric": "circle", "period": 0}, "period must be positive"),
    ({"metric": "cosine"}, "cosine of a zero row of x is undefined: row 0"),
    ({"metric": "haversine", "x": [[91.0, 0.0]], "y": [[0.0, 0.0]]}, "latitude lies within ±90 degrees: 91 in row 0"),
    ({"share": 0.0}, "share must lie above 0"),
    ({"share": 0.5, "method": "interval"}, "Partial transport is solved exactly"),
    ({"method": "guess"}, "Unknown method: 'guess'"),
    ({"x": np.ones((2, 3, 1))}, "Use w1_batch"),
    ({"x": [1e308], "y": [-1e308], "p": 2.0}, "overflow"),
    ({"x": [1e200], "y": [-1e200], "p": 2.0}, "overflow"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=[words[:24] for _, words in REFUSED])
def test_what_has_no_distance_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        w1(**{"x": [0.0, 1.0], "y": [2.0, 3.0], **changes})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: barycentre_line([]), "at least one sample"),
        (lambda: barycentre_line([[1.0]], p=3), "p = 1 and p = 2"),
        (lambda: barycentre_line([[1.0]], sample_weights=[]), "one entry a sample"),
        (lambda: barycentre_line([[[1.0, 2.0]]]), "numbers on the line"),
        (lambda: barycentre_line([[1.0], []]), "sample 1"),
        (lambda: barycentre_line([[1.0]], weights=[0.5]), "sum to one"),
    ],
)
def test_what_has_no_barycentre_is_refused(call: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        call()
