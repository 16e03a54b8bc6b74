"""Upper bounds on W1 of distributions: as often right as stated, on distributions whose distance is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from wassergan.distances import exact_w1, w1_interval
from wassergan.distances.support import Moment, get_support, largest_mean
from wassergan.errors import UserError


def upper(x: np.ndarray, y: np.ndarray, confidence: float, seed: int, **assumption: object) -> float:
    left, right = (torch.from_numpy(each) for each in (x, y))
    given_ones = {"diameter": None, "bounds": None, "moment": None, **assumption}
    support = get_support(left, right, **given_ones)  # type: ignore[arg-type]
    assert support is not None
    rng = torch.Generator().manual_seed(seed)
    return min(support.cap(), exact_w1(x, y).upper + support.margin(left, right, confidence=confidence, rng=rng))


@given(mean=st.floats(0, 1), count=st.integers(1, 10**6), risk=st.floats(1e-9, 0.9))
def test_the_largest_mean_is_where_the_entropy_is_spent(mean: float, count: int, risk: float) -> None:
    found = largest_mean(mean, count, -math.log(risk))
    assert mean - 1e-12 <= found <= 1
    if 0 < mean < found < 1:
        other = 1 - found
        entropy = mean * math.log(mean / found) + (1 - mean) * math.log((1 - mean) / other) if mean < 1 else math.inf
        assert count * entropy >= -math.log(risk) * (1 - 1e-6) - 1e-9 * count
    if mean == 0:
        assert (1 - found) ** count == pytest.approx(risk, rel=1e-6)


def flag(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """A rare value far away: W1 of two of these is 50 times the difference of the shares."""
    return np.where(rng.random((n, 1)) < share, 50.0, rng.uniform(-0.5, 0.5, (n, 1)))


def cube(rng: np.random.Generator, n: int, shift: float) -> np.ndarray:
    return rng.random((n, 2)) + [shift, 0.0]


CASES = [
    (flag, 0.0, 0.03, 50 * 0.03, {"diameter": 50.5}),
    (flag, 0.01, 0.0, 50 * 0.01, {"bounds": (-0.5, 50.0)}),
    (cube, 0.0, 0.3, 0.3, {"bounds": ([0.0, 0.0], [1.3, 1.0])}),
    (cube, 0.0, 0.3, 0.3, {"moment": (2.0, 1.3)}),
]


@pytest.mark.parametrize("confidence", [0.7, 0.98])
@pytest.mark.parametrize(("draw", "one", "other", "truth", "assumption"), CASES)
def test_upper_bounds_hold_as_often_as_stated(draw, one, other, truth, assumption, confidence) -> None:  # type: ignore[no-untyped-def]
    """Of 70 and 90 points of a flag at most one is far away in a quarter of the samples: only what is paid for points
    beyond the ball keeps the bound above W1 then."""
    rng, failed, runs = np.random.default_rng(5), 0, 60
    for seed in range(runs):
        failed += upper(draw(rng, 70, one), draw(rng, 90, other), confidence, seed, **assumption) < truth
    assert binomtest(failed, runs, 1 - confidence, alternative="greater").pvalue > 1e-4


def test_distributions_that_fill_little_of_their_bounds_get_tight_bounds() -> None:
    """McDiarmid alone pays 1000 √(log 20 / 4000) = 27 for the declared range, whatever the points do."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 1)) + 1
    found = upper(x, y, 0.95, 0, bounds=(-500.0, 500.0))
    assert 1 < found < 12
    wide = upper(x, y, 0.95, 0, bounds=(-6.0, 7.0))
    assert 1 < wide <= exact_w1(x, y).upper + 13 * (math.log(25) / 4000) ** 0.5 * (1 + 1e-9)
    # The second moment of a normal number is 1, of one with mean 1 it is 2. By hand: r = 1 / √A with κ = 1/4, M = 2.
    chance = (math.log(20) / 4000) ** 0.5
    assert upper(x, y, 0.95, 0, moment=(2, 2.0)) == pytest.approx(
        exact_w1(x, y).upper + 2 * 2**0.5 * chance**0.5, rel=1e-9
    )


def test_both_sides_come_from_one_call_in_any_arrangement() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.random((300, 2)), rng.random((200, 2)) + [0.5, 0.0]
    box = ([0.0, 0.0], [1.5, 1.0])
    found = w1_interval(x, y, rng=0, population=True, bounds=box)
    assert 0 < found.lower < 0.5 < found.upper < 0.5 + 0.5 and found.confidence == 0.95
    assert "bounds of each coordinate" in found.upper_means and "bounds of each coordinate" in found.rests_on
    turned = w1_interval(x[::-1].copy(), y[::-1].copy(), rng=0, population=True, bounds=box)
    assert turned.upper == pytest.approx(found.upper, rel=1e-2)
    moment = w1_interval(x, y, rng=0, population=True, moment=Moment(3.0, 4.0, (0.5, 0.5)))
    assert "moment of order 3" in moment.upper_means and moment.upper > found.lower
    plain = w1_interval(x, y, rng=0, population=True)
    assert "none exists without an assumption" in plain.upper_means


@pytest.mark.parametrize(
    ("assumption", "words"),
    [
        ({"diameter": 2.0, "bounds": (0, 1)}, "One assumption is enough"),
        ({"bounds": (0.0, 0.5)}, r"outside of the bounds: 1 in row 1, column 0 of x"),
        ({"bounds": (1.0, 0.0)}, "must not lie above"),
        ({"bounds": 3}, "must be a pair"),
        ({"bounds": ([0.0, 0.0], 1.0)}, "one number or one a coordinate"),
        ({"bounds": (0.0, np.inf)}, "high must be finite"),
        ({"moment": (1.0, 2.0)}, "order of a moment must be above 1"),
        ({"moment": (2.0, 0.0)}, "bound of a moment must be positive"),
        ({"moment": (2.0, 1.0, (0.0, 0.0))}, "one number or one a coordinate"),
        ({"moment": 2}, "pair of order and bound"),
        ({"population": False, "moment": (2.0, 1.0)}, "moment serves only bounds on the distributions"),
        ({"population": False, "bounds": (0.0, 1.0)}, "bound serves only bounds on the distributions"),
    ],
)
def test_assumptions_that_cannot_hold_are_refused(assumption: dict[str, object], words: str) -> None:
    x = np.array([[0.0], [1.0], [0.2], [0.4]])
    with pytest.raises(UserError, match=words):
        w1_interval(x, x, rng=0, **{"population": True, **assumption})  # type: ignore[arg-type]
