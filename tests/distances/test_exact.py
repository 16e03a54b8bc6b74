import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse, stats
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from wassergan.distances import exact_transport, exact_w1
from wassergan.errors import UserError, WorkError

sys.path.insert(0, str(Path(__file__).parent))
from clouds import FAMILIES, pair

EXACT = 1e-9
numbers = st.floats(-5, 5).map(lambda v: round(v, 2))  # coincidences happen


@st.composite
def clouds(draw, dim=None, most=8):
    shape = draw(st.integers(1, most)), dim or draw(st.integers(1, 3))
    return draw(arrays(np.float64, shape, elements=numbers))


@st.composite
def laws(draw, count):
    raw = draw(arrays(np.float64, count, elements=st.one_of(st.just(0.0), st.floats(0.01, 1))))
    raw[draw(st.integers(0, count - 1))] = 1
    return raw / raw.sum()


def by_columns(monkeypatch, *, listed=False):
    """Make small problems go the way of large ones, or of those that are small enough for a short list."""
    if not listed:
        monkeypatch.setattr("wassergan.distances.exact._LISTED_PAIRS", 0)
    monkeypatch.setattr("wassergan.distances.column_generation._DENSE_PAIRS", 5_000)
    monkeypatch.setattr("wassergan.distances.exact._DENSE_PAIRS", 0)
    monkeypatch.setattr("wassergan.distances.exact._DENSE_PAIRS_LOW_DIM", 0)


def w1(x, y, a=None, b=None):
    return exact_w1(x, y, x_weights=a, y_weights=b).value.item()


def check_certificate(result, cost, a, b):
    """What `Transport` promises, recomputed from the dense matrix."""
    plan, (f, g) = result.plan.to_dense().numpy(), (t.numpy() for t in result.potentials)
    size = 1e-12 * max(1, np.abs(cost).max())
    assert (plan >= 0).all()
    assert plan.sum(1) == pytest.approx(a, abs=1e-12)
    assert plan.sum(0) == pytest.approx(b, abs=1e-12)
    assert (f[:, None] + g - cost).max() <= size
    assert result.lower <= result.value.item() <= result.upper
    assert (plan * cost).sum() == pytest.approx(result.value.item(), abs=size)
    assert a @ f + b @ g == pytest.approx(result.value.item(), abs=EXACT * max(1, np.abs(cost).max()))


# The closed forms and the axioms.


@given(st.integers(1, 4).flatmap(lambda d: arrays(np.float64, (2, 1, d), elements=numbers)))
def test_two_points(points):
    assert w1(*points) == pytest.approx(np.linalg.norm(points[0] - points[1]), abs=EXACT)


@given(clouds(dim=3), arrays(np.float64, 3, elements=numbers))
def test_a_translation_costs_its_length(x, t):
    assert w1(x, x + t) == pytest.approx(np.linalg.norm(t), abs=EXACT)


@given(clouds(dim=1), clouds(dim=1), st.data())
def test_on_the_line_it_is_sorting(x, y, data):
    a, b = data.draw(laws(len(x))), data.draw(laws(len(y)))
    assert w1(x, y, a, b) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0], a, b), abs=EXACT)


@given(clouds(dim=2), clouds(dim=2), st.randoms(use_true_random=False), st.floats(0.01, 50))
def test_order_scale_and_sides_do_not_matter(x, y, random, factor):
    value = w1(x, y)
    assert w1(random.sample(list(x), len(x)) @ np.eye(2), y) == pytest.approx(value, abs=EXACT)
    assert w1(y, x) == pytest.approx(value, abs=EXACT)
    assert w1(-factor * x, -factor * y) == pytest.approx(factor * value, abs=EXACT * factor)


@given(clouds(dim=3), clouds(dim=3), st.integers(0, 2**32 - 1))
def test_isometries_do_not_matter(x, y, seed):
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    assert w1(x @ rotation + 1, y @ rotation + 1) == pytest.approx(w1(x, y), abs=EXACT)


@given(clouds(dim=2), clouds(dim=2), clouds(dim=2))
def test_triangle_inequality(x, y, z):
    assert w1(x, z) <= w1(x, y) + w1(y, z) + EXACT


@given(clouds(), st.data())
def test_a_law_is_at_distance_zero_from_itself(x, data):
    a = data.draw(laws(len(x)))
    order = data.draw(st.permutations(range(len(x))))
    result = exact_w1(x, x[order], x_weights=a, y_weights=a[order])
    assert result.value.item() == pytest.approx(0, abs=1e-13)
    assert 0 <= result.lower <= result.upper <= 1e-13


@given(clouds(dim=2), clouds(dim=2), st.data())
def test_splitting_a_weight_changes_nothing(x, y, data):
    a, b = data.draw(laws(len(x))), data.draw(laws(len(y)))
    split = np.append(a, a[0] * 0.3)
    split[0] *= 0.7
    assert w1(np.vstack([x, x[:1]]), y, split, b) == pytest.approx(w1(x, y, a, b), abs=EXACT)


@given(clouds(dim=2), clouds(dim=2), clouds(dim=2), st.floats(0.05, 0.95))
def test_mixing_is_convex_and_a_common_part_cancels(x, y, z, share):
    # W1(sP + (1-s)R, sQ + (1-s)R) = s W1(P, Q): the dual sees only the difference of the distributions.
    def mixed(points):
        weights = np.r_[np.full(len(points), share / len(points)), np.full(len(z), (1 - share) / len(z))]
        return np.vstack([points, z]), weights

    (left, a), (right, b) = mixed(x), mixed(y)
    assert w1(left, right, a, b) == pytest.approx(share * w1(x, y), abs=EXACT)


# Other solvers.


@given(clouds(dim=2, most=5), clouds(dim=2, most=5), st.data())
@settings(max_examples=50)
def test_agrees_with_a_linear_program(x, y, data):
    a, b = data.draw(laws(len(x))), data.draw(laws(len(y)))
    cost, n, m = cdist(x, y), len(x), len(y)
    marginals = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    expected = linprog(cost.ravel(), A_eq=marginals[:-1], b_eq=np.r_[a, b][:-1], method="highs").fun
    assert w1(x, y, a, b) == pytest.approx(expected, abs=EXACT)


@pytest.mark.skipif(not hasattr(stats, "wasserstein_distance_nd"), reason="SciPy has it from 1.13 on")
@pytest.mark.parametrize("n", [3, 12, 30])
@pytest.mark.parametrize("dim", [2, 3])
def test_agrees_with_scipy(n, dim):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, dim)), rng.normal(size=(n - 1, dim))
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n - 1))
    assert w1(x, y, a, b) == pytest.approx(stats.wasserstein_distance_nd(x, y, a, b), abs=EXACT)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dim", [1, 2, 16])
@pytest.mark.parametrize(("n", "m"), [(60, 90), (700, 700), (900, 400)])
@pytest.mark.parametrize("way", ["matrix", "columns", "list"])
def test_agrees_with_pot_and_carries_its_certificate(family, dim, n, m, way, monkeypatch):
    if way != "matrix":
        by_columns(monkeypatch, listed=way == "list")
    rng = np.random.default_rng(dim)
    x, y = pair(family, n, m, dim, rng)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    a[:3] = 0
    a /= a.sum()
    cost = cdist(x, y)
    result = exact_w1(x, y, x_weights=a, y_weights=b)
    assert result.value.item() == pytest.approx(ot.emd2(a, b, cost, numItermax=10**7), rel=EXACT, abs=1e-12)
    assert result.upper - result.lower <= EXACT * result.upper + 1e-11 * cost.max()
    check_certificate(result, cost, a, b)


@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_any_cost_matrix(n, m, data):
    cost = data.draw(arrays(np.float64, (n, m), elements=numbers))
    a, b = data.draw(laws(n)), data.draw(laws(m))
    result = exact_transport(cost, x_weights=a, y_weights=b)
    marginals = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    expected = linprog(cost.ravel(), A_eq=marginals[:-1], b_eq=np.r_[a, b][:-1], method="highs").fun
    assert result.value.item() == pytest.approx(expected, abs=EXACT)
    check_certificate(result, cost, a, b)


def test_a_large_cost_matrix():
    rng = np.random.default_rng(0)
    cost = rng.random((900, 1100))
    check_certificate(exact_transport(cost), cost, np.full(900, 1 / 900), np.full(1100, 1 / 1100))


# Gradients.


def test_gradients_in_points_against_finite_differences():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(k, 2, generator=generator, dtype=torch.float64, requires_grad=True) for k in (5, 7))
    assert torch.autograd.gradcheck(lambda x, y: exact_w1(x, y).value, (x, y))


def test_gradients_in_weights_against_finite_differences():
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(k, 2, generator=generator, dtype=torch.float64) for k in (5, 7))
    a, b = (torch.rand(k, generator=generator, dtype=torch.float64, requires_grad=True) for k in (5, 7))

    def value(a, b):
        return exact_w1(x, y, x_weights=a, y_weights=b, normalize=True).value

    assert torch.autograd.gradcheck(value, (a, b), eps=1e-7)


def test_gradients_in_costs_are_the_plan():
    generator = torch.Generator().manual_seed(2)
    cost = torch.rand(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    result = exact_transport(cost)
    result.value.backward()
    assert torch.equal(cost.grad, result.plan.to_dense())  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(lambda c: exact_transport(c).value, (cost,))


def test_the_gradient_is_zero_where_points_coincide():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    exact_w1(x, y).value.backward()
    assert x.grad.numpy() == pytest.approx(np.array([[0, 0], [0.3, 0.4]]), abs=1e-15)


def test_float32_points_take_float32_gradients():
    x = torch.zeros(2, 2, requires_grad=True)
    value = exact_w1(x, torch.ones(2, 2)).value
    value.backward()
    assert value.dtype == torch.float64
    assert x.grad.dtype == torch.float32


# The faults of public solvers.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_costs_that_are_not_finite_are_refused_not_zero(bad):
    cost = np.ones((3, 3))
    cost[1, 2] = bad
    with pytest.raises(UserError, match=r"cost must be finite: .* at \[1, 2\]"):
        exact_transport(cost)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (1, 1, 1)])
def test_costs_that_are_no_matrix_are_refused(shape):
    with pytest.raises(UserError, match=r"cost must have shape \(n, m\), both at least one"):
        exact_transport(np.zeros(shape))


@pytest.mark.parametrize("bad", [np.array([1.5, -0.5]), np.array([0.5, 0.6]), np.zeros(2), np.array([np.nan, 1])])
def test_bad_weights_of_a_cost_matrix_are_refused_not_zero(bad):
    with pytest.raises(UserError, match="x_weights must"):
        exact_transport(np.ones((2, 2)), x_weights=bad)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-12, 1e12, 1e30, 1e200])
@pytest.mark.parametrize("n", [20, 500])
def test_ill_scaled_problems_are_solved(scale, n):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 3))
    expected = ot.emd2([], [], cdist(x, y), numItermax=10**7)
    assert w1(x * scale, y * scale) == pytest.approx(expected * scale, rel=EXACT)
    if n == 20:
        assert exact_transport(cdist(x, y) * scale).value.item() == pytest.approx(expected * scale, rel=EXACT)


def test_tiny_and_huge_weights_together():
    x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [1e6]])
    tiny = 1e-13
    value = w1(x, y, np.array([1 - tiny, tiny]), np.array([1 - tiny, tiny]))
    assert value == pytest.approx((1e6 - 1) * tiny, rel=1e-3)


def test_a_far_offset_loses_no_digits():
    x, y = np.array([[1e8, 0.0], [1e8 + 1, 0.0]]), np.array([[1e8, 1.0], [1e8 + 1, 1.0]])
    assert w1(x, y) == 1


@pytest.mark.parametrize(
    ("n", "solve"), [(40, exact_w1), (600, exact_w1), (40, lambda x, y, **kw: exact_transport(cdist(x, y), **kw))]
)
def test_an_iteration_limit_is_an_error_not_a_value(n, solve):
    rng = np.random.default_rng(0)
    with pytest.raises(WorkError, match="solver did not reach an optimum: numItermax reached"):
        solve(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), max_iterations=3)


def test_a_wrong_plan_is_an_error_not_a_value(monkeypatch):
    """A solver that claims an optimum for the product coupling is found out, by either way in."""

    def liar(a, b, cost, **_):
        plan = np.outer(a, b)
        potentials = {"u": np.zeros(len(a)), "v": np.zeros(len(b))}
        return plan if isinstance(cost, np.ndarray) else sparse.coo_matrix(plan), {"result_code": 1, **potentials}

    monkeypatch.setattr("ot.lp.emd", liar)
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    with pytest.raises(WorkError, match="plan is not optimal within the tolerance: bounds"):
        exact_transport(cdist(x, y))
    with pytest.raises(WorkError, match="bounds on W1 did not meet within the tolerance"):
        exact_w1(x, y)


def test_bounds_that_do_not_meet_are_an_error(monkeypatch):
    from wassergan.distances import column_generation as refine

    by_columns(monkeypatch)
    monkeypatch.setattr("wassergan.distances.exact.refine", lambda *a, **kw: [next(refine.refine(*a, **kw))])
    monkeypatch.setattr("wassergan.distances.exact._FALLBACK_PAIRS", 0)
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    with pytest.raises(WorkError, match="bounds on W1 did not meet within the tolerance"):
        exact_w1(x, y)


def test_stalled_column_generation_falls_back_on_the_full_matrix(monkeypatch):
    from wassergan.distances import column_generation as refine

    by_columns(monkeypatch)
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    expected = w1(x, y)
    monkeypatch.setattr("wassergan.distances.exact.refine", lambda *a, **kw: [next(refine.refine(*a, **kw))])
    result = exact_w1(x, y)
    assert result.value.item() == pytest.approx(expected, abs=EXACT)
    check_certificate(result, cdist(x, y), np.full(30, 1 / 30), np.full(30, 1 / 30))


@pytest.mark.parametrize("n", [300, 1500])
@pytest.mark.parametrize("listed", [False, True])
def test_near_duplicates_and_lattices(n, listed, monkeypatch):
    """Ties and tiny clusters: where few arcs per point say little about the rest."""
    by_columns(monkeypatch, listed=listed)
    rng = np.random.default_rng(0)
    for x, y in (
        (rng.integers(0, 6, (n, 2)) + 1e-9 * rng.normal(size=(n, 2)), rng.integers(0, 6, (n, 2)) * 1.0),
        (rng.integers(0, 40, (n, 2)) * 1.0, rng.integers(0, 40, (n, 2)) * 1.0),
    ):
        expected = ot.emd2([], [], cdist(x, y), numItermax=10**7)
        assert w1(x, y) == pytest.approx(expected, abs=EXACT)


def test_what_is_printed_of_a_transport_is_short():
    x = torch.arange(40.0).reshape(20, 2)
    shown = repr(exact_w1(x, x + 1))
    assert len(shown) < 300 and "shape=(20, 20)" in shown and "lower=" in shown and "potentials" not in shown
