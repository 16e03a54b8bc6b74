import numpy as np
import pytest
import torch

from wassergan.distances import (
    energy_distance,
    exact_w1,
    js_divergence,
    kl_divergence,
    max_sliced_w1,
    sliced_w1,
    total_variation,
    w1_interval,
    wasserstein_line,
)
from wassergan.errors import UserError

TWO = np.array([[0.0, 0.0], [1.0, 0.0]])


def rng():
    return torch.Generator().manual_seed(0)


BETWEEN_CLOUDS = {
    "exact": exact_w1,
    "interval": lambda x, y, **kw: w1_interval(x, y, rng=rng(), **kw),
    "energy": energy_distance,
}
BETWEEN_POINTS = BETWEEN_CLOUDS | {
    "sliced": lambda x, y: sliced_w1(x, y, rng=rng()),
    "max_sliced": lambda x, y: max_sliced_w1(x, y, rng=rng()),
}


@pytest.mark.parametrize("distance", BETWEEN_POINTS.values(), ids=BETWEEN_POINTS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([[0.0, np.nan]]), r"x must be finite: nan at \[0, 1\]"),
        (np.array([[0.0, 1.0], [-np.inf, 0.0]]), r"x must be finite: -inf at \[1, 0\]"),
        (np.zeros((0, 2)), "x must hold at least one point: an empty sample"),
        (np.zeros((3, 0)), r"x must have at least one dimension: shape \(3, 0\)"),
        (np.zeros(3), r"x must have shape \(points, dimensions\): shape \(3,\)"),
        (np.zeros((2, 3)), "x and y must have the same dimension: 3 and 2 columns"),
        (np.array([["a", "b"]]), "x must hold numbers: dtype <U1"),
        (torch.zeros(2, 2, dtype=torch.complex64), "x must hold real numbers: torch.complex64"),
    ],
)
def test_bad_points_are_refused(distance, bad, message):
    with pytest.raises(UserError, match=message):
        distance(bad, TWO)


BAD_WEIGHTS = [
    (np.array([0.5, np.nan]), r"y_weights must be finite: nan at \[1\]"),
    (np.array([1.5, -0.5]), r"y_weights must not be negative: -0.5 at \[1\]"),
    (np.array([0.0, 0.0]), "y_weights must not all be zero"),
    (np.array([0.5, 0.4]), "y_weights must sum to one: a sum of 0.9. Pass normalize=True"),
    (np.array([1e308, 1e308]), "y_weights must have a finite sum: an overflow"),
]


@pytest.mark.parametrize("distance", BETWEEN_CLOUDS.values(), ids=BETWEEN_CLOUDS)
@pytest.mark.parametrize(
    ("bad", "message"), [*BAD_WEIGHTS, (np.ones(1), r"y_weights must have shape \(2,\): shape \(1,\)")]
)
def test_bad_weights_are_refused(distance, bad, message):
    with pytest.raises(UserError, match=message):
        distance(TWO, TWO, y_weights=bad)


@pytest.mark.parametrize(("bad", "message"), [*BAD_WEIGHTS, (np.ones(1), "y_weights must have one weight per point")])
def test_bad_weights_are_refused_on_the_line(bad, message):
    with pytest.raises(UserError, match=message):
        wasserstein_line(TWO[0], TWO[1], y_weights=bad)


@pytest.mark.parametrize("divergence", [total_variation, kl_divergence, js_divergence])
@pytest.mark.parametrize(("bad", "message"), BAD_WEIGHTS)
def test_bad_laws_are_refused(divergence, bad, message):
    with pytest.raises(UserError, match=message.replace("y_weights", "q")):
        divergence(np.array([0.5, 0.5]), bad)


@pytest.mark.parametrize("distance", BETWEEN_CLOUDS.values(), ids=BETWEEN_CLOUDS)
def test_normalising_is_done_when_asked(distance):
    # Two thirds of the mass stays, a third moves by one: W1 = 1/3; energy² = 2·1/3 - 0 - 2·(1/3)(2/3).
    result = distance(TWO[:1], TWO, y_weights=np.array([4.0, 2.0]), normalize=True)
    value = getattr(result, "value", getattr(result, "estimate", result))
    expected = (2 / 3 - 4 / 9) ** 0.5 if distance is energy_distance else 1 / 3
    assert float(value) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_sum_to_one_in_their_own_precision_pass(dtype):
    weights = torch.full((1000,), 1 / 1000, dtype=dtype).softmax(0)
    total_variation(weights, weights)


@pytest.mark.parametrize("distance", [BETWEEN_POINTS["exact"], BETWEEN_POINTS["interval"], energy_distance])
def test_distances_that_overflow_are_refused(distance):
    huge = np.array([[1.7e308, 1.7e308]])
    with pytest.raises(UserError, match="overflow"):
        distance(huge, -huge)


def test_projections_that_overflow_are_refused():
    huge = torch.full((2, 50), 1.7e308, dtype=torch.float64)
    with pytest.raises(UserError, match="Projections of x overflow"):
        sliced_w1(huge, torch.zeros(2, 50), rng=rng(), projections=2000)


def test_a_read_only_array_is_no_reason_to_complain():
    frozen = TWO.copy()
    frozen.setflags(write=False)
    assert exact_w1(frozen, frozen).value == 0
