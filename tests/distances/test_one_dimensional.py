import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import wasserstein_distance

from wassergan.distances import wasserstein_line
from wassergan.distances.one_dimensional import equal_coupling
from wassergan.errors import UserError

numbers = st.floats(-10, 10).map(lambda v: round(v, 3))  # ties happen, and no subnormal numbers


def samples(most=9):
    return st.integers(1, most).flatmap(lambda n: arrays(np.float64, n, elements=numbers))


@st.composite
def weighted(draw):
    points = draw(samples())
    raw = draw(arrays(np.float64, len(points), elements=st.one_of(st.just(0.0), st.floats(0.01, 1))))
    raw[draw(st.integers(0, len(points) - 1))] = 1
    return points, raw / raw.sum()


@given(samples(), samples())
def test_samples_agree_with_scipy(x, y):
    assert wasserstein_line(x, y).item() == pytest.approx(wasserstein_distance(x, y), abs=1e-9)


@given(weighted(), weighted())
def test_weighted_samples_agree_with_scipy(left, right):
    (x, a), (y, b) = left, right
    ours = wasserstein_line(x, y, x_weights=a, y_weights=b)
    assert ours.item() == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-9)


@given(samples(6), st.floats(1, 6), st.data())
def test_equal_sizes_are_sorting(x, p, data):
    y = data.draw(arrays(np.float64, len(x), elements=numbers))
    expected = np.mean(np.abs(np.sort(x) - np.sort(y)) ** p) ** (1 / p)
    assert wasserstein_line(x, y, p=p).item() == pytest.approx(expected, abs=1e-9)


@given(samples(), samples(), st.floats(1, 4))
def test_repeating_every_point_changes_nothing(x, y, p):
    twice = wasserstein_line(np.repeat(x, 2), np.repeat(y, 3), p=p)
    assert twice.item() == pytest.approx(wasserstein_line(x, y, p=p).item(), abs=1e-9)


@given(st.integers(1, 40), st.integers(1, 40))
def test_equal_coupling_has_its_marginals(n, m):
    i, j, mass = equal_coupling(n, m, device=torch.device("cpu"))
    i, j = torch.arange(n)[i], torch.arange(m)[j]
    assert len(mass) == n + m - np.gcd(n, m)
    assert torch.zeros(n).double().index_add(0, i, mass).numpy() == pytest.approx(1 / n, abs=1e-15)
    assert torch.zeros(m).double().index_add(0, j, mass).numpy() == pytest.approx(1 / m, abs=1e-15)
    assert (i.diff() >= 0).all()
    assert (j.diff() >= 0).all()


def test_batches_are_what_single_samples_are():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 3, k, generator=generator).double() for k in (5, 7))
    a = torch.rand(2, 3, 5, generator=generator).double()
    batch = wasserstein_line(x, y, p=2, x_weights=a, normalize=True, axis=-1)
    for i in range(2):
        for j in range(3):
            one = wasserstein_line(x[i, j], y[i, j], p=2, x_weights=a[i, j], normalize=True)
            assert batch[i, j].item() == pytest.approx(one.item(), abs=1e-12)


@pytest.mark.parametrize("p", [1, 1.5, 2, 7])
def test_gradients_against_finite_differences(p):
    generator = torch.Generator().manual_seed(1)
    x, y, a, b = (torch.rand(k, generator=generator).double().requires_grad_() for k in (4, 6, 4, 6))

    def distance(x, y, a, b):
        return wasserstein_line(x, y, p=p, x_weights=a, y_weights=b, normalize=True)

    assert torch.autograd.gradcheck(distance, (x, y, a, b))


@pytest.mark.parametrize("p", [1, 2])
def test_the_gradient_is_zero_where_points_coincide(p):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    wasserstein_line(x, x.detach(), p=p).backward()
    assert x.grad.tolist() == [0, 0]


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e150, 1e300])
def test_high_powers_of_extreme_numbers(scale):
    value = wasserstein_line(np.array([0.0, 0.0]), scale * np.array([1.0, 3.0]), p=4).item()
    assert value == pytest.approx(scale * 41**0.25, rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0, -1, np.inf, np.nan])
def test_orders_below_one_are_refused(p):
    with pytest.raises(UserError, match="order p must be finite and at least one"):
        wasserstein_line(np.zeros(1), np.zeros(1), p=p)


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="x must hold at least one point"):
        wasserstein_line(np.zeros(0), np.zeros(1))
    with pytest.raises(UserError, match=r"y must be finite: nan at \[1\]"):
        wasserstein_line(np.zeros(1), np.array([0, np.nan]))
    with pytest.raises(UserError, match="same leading axes and device"):
        wasserstein_line(np.zeros((2, 3)), np.zeros((3, 3)), axis=-1)
    with pytest.raises(UserError, match="The distance overflows"):
        wasserstein_line(np.array([1.7e308]), np.array([-1.7e308]))
