import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import energy_distance as scipy_energy

from wassergan.distances import energy_distance, exact_w1

numbers = st.floats(-5, 5).map(lambda v: round(v, 2))


def clouds(dim):
    return st.integers(1, 7).flatmap(lambda n: arrays(np.float64, (n, dim), elements=numbers))


@given(clouds(1), clouds(1))
def test_agrees_with_scipy_on_the_line(x, y):
    # The root turns rounding of 1e-15 into 3e-8 near zero: compare the squares.
    assert energy_distance(x, y).item() ** 2 == pytest.approx(scipy_energy(x[:, 0], y[:, 0]) ** 2, abs=1e-9)


@given(clouds(2), clouds(2))
def test_is_bounded_by_w1(x, y):
    assert energy_distance(x, y).item() ** 2 <= 2 * exact_w1(x, y).value.item() + 1e-9


def test_weights_are_repetitions():
    x, y = np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[1.0, 1.0]])
    weighted = energy_distance(x, y, x_weights=np.array([0.75, 0.25]))
    assert weighted.item() == pytest.approx(energy_distance(x[[0, 0, 0, 1]], y).item(), abs=1e-12)


def test_two_points_by_hand():
    assert energy_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).item() == pytest.approx(10**0.5)


def test_blocks_change_nothing(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    whole = energy_distance(x, y).item()
    monkeypatch.setattr("wassergan.distances.energy._BLOCK", 130)
    assert energy_distance(x, y).item() == pytest.approx(whole, abs=1e-12)


def test_gradients_against_finite_differences():
    generator = torch.Generator().manual_seed(0)
    x, y, a = (
        torch.rand(*s, generator=generator, dtype=torch.float64, requires_grad=True) for s in ((4, 2), (5, 2), (4,))
    )
    assert torch.autograd.gradcheck(lambda x, y, a: energy_distance(x, y, x_weights=a, normalize=True), (x, y, a))


def test_the_gradient_is_zero_at_distance_zero():
    x = torch.zeros(1, 2, requires_grad=True)
    energy_distance(x, torch.zeros(1, 2)).backward()
    assert x.grad.tolist() == [[0, 0]]
