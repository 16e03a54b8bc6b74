"""Two-sample tests against brute force, other distances of the library, and whole numbers."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wassergan.distances import energy_distance, exact_w1, wasserstein_line
from wassergan.errors import UserError
from wassergan.monitor import STATISTICS, two_sample_test
from wassergan.monitor.permutation import MeanOfLines, exact_p_value, random_labels
from wassergan.monitor.two_sample import principal_axes, projected, unit_vectors
from wassergan.monitor.witness import line_potential, witness_bound

RNG = np.random.default_rng(24)


def line_w1(x: list[int], y: list[int]) -> Fraction:
    """W1 of whole numbers as a fraction: the area between the distribution functions."""
    points = sorted({*x, *y})
    total = Fraction(0)
    for low, high in zip(points, points[1:], strict=False):
        shares = [Fraction(sum(v <= low for v in side), len(side)) for side in (x, y)]
        total += abs(shares[0] - shares[1]) * (high - low)
    return total


def enumerated(x: list[int], y: list[int]) -> float:
    """The share of all assignments of the pooled numbers whose W1 is at least that of the samples."""
    pooled = x + y
    own, at_least, count = line_w1(x, y), 0, 0
    for chosen in combinations(range(len(pooled)), len(x)):
        others = [pooled[k] for k in range(len(pooled)) if k not in chosen]
        at_least += line_w1([pooled[k] for k in chosen], others) >= own
        count += 1
    return at_least / count


small = st.lists(st.integers(-3, 3), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(x=small, y=small, statistic=st.sampled_from(["w1", "sliced", "max-sliced"]), seed=st.integers(0, 2**32))
def test_the_p_value_is_that_of_all_assignments_up_to_chance(
    x: list[int], y: list[int], statistic: str, seed: int
) -> None:
    """With ties, which small whole numbers have plenty of: 2000 draws differ from the whole by 6 deviations at most."""
    p, exact = two_sample_test(x, y, statistic=statistic, permutations=2000, seed=seed).p_value, enumerated(x, y)
    assert abs(p - exact) <= 6 * (exact * (1 - exact) / 2000) ** 0.5 + 1 / 2001


@settings(max_examples=40, deadline=None)
@given(
    x=small, y=small, shift=st.sampled_from([0.0, 0.1, 1e9, -1e-3]), scale=st.sampled_from([1.0, 1 / 3, 1e300, 1e-300])
)
def test_values_on_the_line_are_w1(x: list[int], y: list[int], shift: float, scale: float) -> None:
    shift = shift if scale in (1.0, 1 / 3) else 0.0
    found = two_sample_test([(v + shift) * scale for v in x], [(v + shift) * scale for v in y], permutations=3)
    # A sum with an offset is rounded before the test sees it.
    assert found.value == pytest.approx(float(line_w1(x, y)) * scale, rel=1e-12, abs=4e-16 * abs(shift * scale) * 4)


CLOUDS = [(7, 7, 3), (5, 9, 2), (1, 4, 2), (12, 2, 5)]


@pytest.mark.parametrize(("n", "m", "dim"), CLOUDS)
def test_values_are_those_of_the_distances(n: int, m: int, dim: int) -> None:
    x, y = RNG.normal(size=(n, dim)), RNG.normal(size=(m, dim)) + 0.5
    assert two_sample_test(x, y, permutations=2).value == pytest.approx(exact_w1(x, y).value.item(), rel=1e-9)
    energy = two_sample_test(x, y, statistic="energy", permutations=2).value
    assert energy == pytest.approx(energy_distance(x, y).item() ** 2, rel=1e-9)
    largest = two_sample_test(x, y, statistic="max-sliced", permutations=2, projections=8).value
    assert max(wasserstein_line(x[:, k], y[:, k]).item() for k in range(dim)) <= largest + 1e-12
    assert largest <= exact_w1(x, y).upper * (1 + 1e-9)
    assert two_sample_test(x, y, statistic="sliced", permutations=2).value <= largest * 1.5


def test_every_direction_costs_one_sort_and_says_w1_along_it() -> None:
    rows, directions = RNG.normal(size=(11, 3)), unit_vectors(RNG.normal(size=(4, 3)))
    lines = MeanOfLines(projected(rows, directions))
    (labels,) = random_labels(4, 7, 6, np.random.default_rng(0))
    expected = [[wasserstein_line(rows[each] @ u, rows[~each] @ u).item() for u in directions] for each in labels]
    assert lines.along(labels) == pytest.approx(np.array(expected), rel=1e-12)


@pytest.mark.parametrize("rows", [12, 40])
def test_principal_axes_are_the_right_singular_vectors(rows: int) -> None:
    """Of fewer rows than columns and of more; the sign of an axis means nothing."""
    data = RNG.normal(size=(rows, 20)) * np.linspace(3, 1, 20)
    _, lengths, expected = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    found = principal_axes(data)
    assert len(found) == (lengths > 1e-9).sum() == min(rows - 1, 20)
    np.testing.assert_allclose(np.abs((found * expected[: len(found)]).sum(axis=1)), 1, rtol=1e-9)


def test_assignments_are_uniform() -> None:
    """All 10 assignments of 2 among 5, 4000 draws: a chi-square test at one in a million."""
    drawn = np.concatenate(list(random_labels(2, 3, 4000, np.random.default_rng(5))))
    assert (drawn.sum(axis=1) == 2).all() and len(drawn) == 4000
    counts = np.unique(drawn @ 2 ** np.arange(5), return_counts=True)[1]
    assert len(counts) == 10 and stats.chisquare(counts).pvalue > 1e-6


def laws() -> list[Callable[[np.random.Generator, int], Any]]:
    return [
        lambda rng, n: rng.normal(size=n),
        lambda rng, n: rng.standard_cauchy(size=n),
        lambda rng, n: (rng.random(n) < 0.03).astype(float),
        lambda rng, n: np.stack([rng.normal(size=n), rng.random(n) < 0.2, rng.poisson(1.0, n)], axis=1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statistic", "case"),
    [("w1", 0), ("w1", 1), ("w1", 2), *((each, case) for each in STATISTICS[1:] for case in (2, 3))],
)
def test_false_alarms_come_at_most_as_often_as_stated(statistic: str, case: int) -> None:
    """200 pairs of samples of one distribution: a binomial test at one in a million, at two levels."""
    rng, draw = np.random.default_rng(case), laws()[case]
    found = [
        two_sample_test(
            draw(rng, 6), draw(rng, 9), statistic=statistic, permutations=19, projections=4, seed=seed
        ).p_value
        for seed in range(200)
    ]
    for level in (0.05, 0.25):
        alarms = int((np.array(found) <= level).sum())
        assert stats.binomtest(alarms, 200, level, alternative="greater").pvalue > 1e-6


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_shift_is_found_and_measured(statistic: str) -> None:
    x, y = RNG.normal(size=(60, 2)), RNG.normal(size=(40, 2)) + [2.0, 0.0]
    found = two_sample_test(x, y, statistic=statistic, permutations=199)
    assert found.p_value == 1 / 200 and found.floor < found.floor_high < found.value
    assert found.effect == pytest.approx(found.value - found.floor)
    if found.lower is not None:
        assert 0 < found.lower < {"sliced": 2 * 2 / np.pi}.get(statistic, 2.0)
    scaled = two_sample_test(1024 * x, 1024 * y, statistic=statistic, permutations=199)
    assert scaled.value == pytest.approx(1024 * found.value) and scaled.p_value == found.p_value
    assert scaled.effect_in_deviations == pytest.approx(found.effect_in_deviations)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_rows_never_alarm(statistic: str) -> None:
    """Where nothing differs every assignment ties: rounding must not order them."""
    for row in ([0.1, 0.3, 7.7], [1e8 + 0.1, -3e-9, 0.0], [0.0, 0.0, 0.0]):
        found = two_sample_test([row] * 5, [row] * 8, statistic=statistic, permutations=19)
        assert (found.p_value, found.effect, found.lower or 0.0) == (1.0, 0.0, 0.0)
        assert found.value == 0.0
    one = two_sample_test([[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]], statistic=statistic, permutations=9)
    assert one.p_value == 1.0


@settings(max_examples=20, deadline=None)
@given(data=st.data(), statistic=st.sampled_from(STATISTICS))
def test_p_values_do_not_depend_on_the_order_of_columns_kinds_or_containers(
    data: st.DataObject, statistic: str
) -> None:
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    x, y = RNG.integers(0, 3, (n, 2)).astype(np.float32), RNG.integers(0, 4, (m, 2)).astype(np.float32)
    found = two_sample_test(x, y, statistic=statistic, permutations=29, projections=3)
    frames = pd.DataFrame(x, columns=["a", "b"]), pd.DataFrame(y, columns=["a", "b"])[["b", "a"]]
    for a, b in ((torch.tensor(x), torch.tensor(y)), (x.tolist(), y.astype(int)), frames):
        assert two_sample_test(a, b, statistic=statistic, permutations=29, projections=3) == found


def test_a_mean_shift_of_whole_numbers_ties_exactly() -> None:
    """Thirds are not float64: 0.1 + 0.2 and 0.3 are one value for a test of ties."""
    assert exact_p_value(0.3, np.array([0.1 + 0.2, 0.2, 0.3 - 1e-15]), 1e-12) == 3 / 4
    x, y = [0.1, 0.7, 0.4], [0.3, 0.6, 0.2]
    whole = two_sample_test([1, 7, 4], [3, 6, 2], permutations=999).p_value
    assert two_sample_test(x, y, permutations=999).p_value == whole


def test_the_potential_of_a_line_attains_w1_and_is_lipschitz() -> None:
    for n, m in ((1, 1), (4, 9), (6, 6)):
        x, y = RNG.normal(size=n).round(1), RNG.normal(size=m).round(1)
        knots, heights = line_potential(x, y)
        apart = np.interp(x, knots, heights).mean() - np.interp(y, knots, heights).mean()
        assert apart == pytest.approx(wasserstein_line(x, y).item(), abs=1e-12)
        assert (np.abs(np.diff(heights)) <= np.diff(knots) * (1 + 1e-12)).all()


@pytest.mark.slow
@pytest.mark.parametrize("largest", [False, True])
def test_lower_bounds_hold_as_often_as_stated(largest: bool) -> None:
    """A flag of 3 and of 8 %, beside noise of one distribution: W1 along the flag is 0.05; 400 runs at confidence
    0.8."""
    rng, directions = np.random.default_rng(3), np.eye(2)
    truth = 0.05 if largest else 0.025
    above = 0
    for _ in range(400):
        x, y = (np.stack([rng.random(40) < share, rng.normal(size=40)], axis=1).astype(float) for share in (0.03, 0.08))
        above += witness_bound(x, y, directions, largest=largest, confidence=0.8, rng=rng) > truth + 1e-9
    assert stats.binomtest(above, 400, 0.2, alternative="greater").pvalue > 1e-6


REFUSED = [
    ({"statistic": "w2"}, "Unknown statistic: 'w2'"),
    ({"statistic": 3}, "Unknown statistic"),
    ({"permutations": 0}, "permutations must be a whole number of at least 1"),
    ({"projections": 0}, "projections must be"),
    ({"confidence": 1.0}, "confidence must lie between"),
    ({"seed": -1}, "seed must be"),
    ({"x_weights": [0.5, 0.5]}, "takes no weights"),
    ({"y_weights": [0.5, 0.5]}, "takes no weights"),
    ({"x": [1.0, np.nan]}, r"x must be finite: nan at \[1, 0\]"),
    ({"y": [[1.0], [np.inf]]}, r"y must be finite: inf at \[1, 0\]"),
    ({"x": []}, "at least one point"),
    ({"x": np.zeros((3, 2))}, "same dimension"),
    ({"x": [1e308, -1e308]}, "overflow"),
    ({"x": np.zeros((2, 2, 2))}, "must have shape"),
    ({"x": ["a", "b"]}, "must hold numbers"),
    ({"x": RNG.normal(size=(2000, 2)), "y": RNG.normal(size=(2000, 2))}, 'choose statistic="sliced"'),
    ({"x": np.zeros(10**6), "statistic": "energy"}, 'choose statistic="sliced"'),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=[words[:24] for _, words in REFUSED])
def test_what_cannot_be_tested_is_refused(changes: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"x": [0.0, 1.0], "y": [2.0, 3.0], **changes}
    with pytest.raises(UserError, match="(?i)" + words.replace("(", r"\(")):
        two_sample_test(**arguments)
