"""Bounds on samples against whole numbers, and what the Python functions take."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.distances import (
    energy_distance,
    exact_transport,
    exact_w1,
    max_sliced_w1,
    random_directions,
    sliced_w1,
    sliced_w1_estimate,
    w1_interval,
    wasserstein_line,
)
from wassergan.errors import UserError, WorkError

sys.path.insert(0, str(Path(__file__).parent))
from rational import line_trial, plane_trial

TRIALS = int(os.environ.get("WASSERGAN_TRIALS", "25"))


@pytest.mark.parametrize("trial", [line_trial, plane_trial])
def test_no_certificate_is_violated_by_whole_numbers(trial) -> None:
    assert not [(seed, found) for seed in range(TRIALS) if (found := trial(seed))]


def test_weights_that_add_up_badly_are_covered() -> None:
    # Added one by one, 300 000 times 1/300 000 is 1 + 4.6e-12.
    found = exact_w1(np.zeros((300_000, 1)), np.ones((1, 1)))
    assert found.lower <= 1 <= found.upper
    assert found.upper - found.lower < 1e-13
    # As do two weights that take turns, in the plane.
    weights = np.tile([1.0, 3.0, 0.7], 100_000)
    both = exact_w1(np.zeros((300_000, 2)), np.array([[3.0, 4.0]]), x_weights=weights, normalize=True)
    assert both.lower <= 5 <= both.upper
    assert both.upper - both.lower < 1e-13


def test_points_without_weight_take_no_part() -> None:
    x, y = np.array([[0.0], [1e200]]), np.array([[0.5], [-1e300]])
    weights = {"x_weights": np.array([1.0, 0.0]), "y_weights": np.array([1.0, 0.0])}
    found = exact_w1(x, y, **weights)  # type: ignore[arg-type]
    assert found.lower <= 0.5 <= found.upper <= 0.5 + 1e-12
    assert torch.isfinite(torch.cat(found.potentials)).all()
    assert w1_interval(x, y, rng=0, **weights).lower == pytest.approx(0.5, abs=1e-12)  # type: ignore[arg-type]
    assert wasserstein_line(x[:, 0], y[:, 0], **weights).item() == 0.5  # type: ignore[arg-type]
    # A cost that nobody pays does not set the scale either.
    costs = np.array([[1.0, 2.0], [1e200, 1e300]])
    plain = exact_transport(costs, x_weights=np.array([1.0, 0.0]), y_weights=np.array([0.5, 0.5]))
    assert plain.lower <= 1.5 <= plain.upper <= 1.5 + 1e-11


def test_levels_that_meet_in_whole_numbers_move_nothing() -> None:
    # 0.1 + 0.2 against 0.3: a sliver of 5e-17 would cost 1e3 · (5e-17)^(1/8) = 9 at p = 8.
    x, y = np.array([0.0, 0.0, 1e3]), np.array([0.0, 1e3])
    a, b = np.array([1, 2, 7]) * 0.125, np.array([3, 7]) * 0.125
    for p in (1, 2, 8):
        assert wasserstein_line(x, y, p=p, x_weights=a, y_weights=b, normalize=True).item() == 0
        turned = wasserstein_line(
            y, y[::-1].copy(), p=p, x_weights=np.array([0.3, 0.7]), y_weights=np.array([0.7, 0.3])
        )
        assert turned.item() == 0


@pytest.mark.parametrize("offset", [5e5, 5e6, 1e8])
def test_offsets_cost_no_digits(offset: float) -> None:
    rng = np.random.default_rng(0)
    x, y = np.round(100 * rng.normal(size=(2, 60, 2)))  # whole numbers: the offset is added without rounding
    here, there = exact_w1(x, y), exact_w1(x + offset, y + offset)
    assert there.upper - there.lower <= 2 * (here.upper - here.lower) + 1e-12
    assert there.lower <= here.upper
    assert here.lower <= there.upper
    x, y = np.round(100 * rng.normal(size=(2, 700, 2)))  # too many for the full matrix
    interval = w1_interval(x + offset, y + offset, rng=0, tolerance=1e-11, budget_seconds=300)
    assert interval.width <= 1e-11


def test_slices_of_single_precision_with_a_large_constant_column() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 2)).astype(np.float32)
    far = [np.column_stack([side, np.full(500, 1e8, np.float32)]) for side in (x, y)]
    near = [np.column_stack([side, np.zeros(500, np.float32)]) for side in (x, y)]
    assert sliced_w1(*far, rng=0).item() == pytest.approx(sliced_w1(*near, rng=0).item(), rel=1e-9)


def test_a_shuffled_sample_is_at_energy_distance_0() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    order = rng.permutation(200)
    weights = rng.random(200)
    assert energy_distance(x, x[order]).item() == 0
    assert energy_distance(x, np.repeat(x, 3, axis=0)).item() == 0
    both = {"x_weights": weights, "y_weights": weights[order], "normalize": True}
    assert energy_distance(x, x[order], **both).item() == 0  # type: ignore[arg-type]
    moved = x[order].copy()
    moved[0] += 1e-9  # D² = 2 · 1e-9 · √3 / 200² for one point of 200 that moves by 1e-9 in three coordinates
    assert energy_distance(x, moved).item() == pytest.approx((2 * 3**0.5 * 1e-9) ** 0.5 / 200, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_sample_in_two_orders_is_at_distance_0_for_certain(data) -> None:
    coordinate = st.sampled_from([0.1, -0.0, 0.0, 3.0, 1e-310, 1e16, -1e300]) | st.floats(-1e6, 1e6)
    dim, times = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    x = np.array(data.draw(st.lists(st.lists(coordinate, min_size=dim, max_size=dim), min_size=1, max_size=8)))
    order = data.draw(st.permutations(range(len(x))))
    y = np.repeat(x[order], times, axis=0)
    given: dict[str, object] = {}
    if times == 1 and data.draw(st.booleans()):
        weights = np.array(data.draw(st.lists(st.floats(1e-3, 1), min_size=len(x), max_size=len(x))))
        given = {"x_weights": weights, "y_weights": weights[order], "normalize": True}
    plan = exact_w1(x, y, **given)  # type: ignore[arg-type]
    assert (plan.lower, plan.value.item(), plan.upper) == (0, 0, 0)
    assert plan.plan.mass.sum().item() == pytest.approx(1)
    # What is denormal beside the largest coordinate may share a point.
    assert np.abs(x[plan.plan.rows] - y[plan.plan.cols]).max() <= 1e-300 * max(1.0, np.abs(x).max())
    bounds = w1_interval(x, y, rng=0, **given)  # type: ignore[arg-type]
    assert (bounds.lower, bounds.upper) == (0, 0)


def test_samples_that_differ_in_the_last_digit_are_not_taken_for_one() -> None:
    x = np.array([[0.0], [1.0]])
    assert exact_w1(x, np.array([[0.0], [np.nextafter(1, 2)]])).upper >= 2.0**-53
    assert exact_w1(x, np.array([[0.0], [0.0], [1.0], [1.0], [1.0]])).lower > 0.09
    # Weights a unit apart in the last place may be equal once they are divided by their sums.
    a = np.array([0.3, 0.7])
    moved = exact_w1(x, x, x_weights=a, y_weights=np.array([np.nextafter(0.3, 1), 0.7]), normalize=True)
    assert moved.upper >= 0.7 * (np.nextafter(0.3, 1) - 0.3) * 0.99
    assert exact_w1(x, x, x_weights=a).lower > 0.19


def test_potentials_that_a_far_point_ruins_are_not_passed_off_as_optimal() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 2))
    x[0] = y[0] = 1e16
    with pytest.raises(WorkError, match="cannot be trusted"):
        exact_w1(x, y)


def test_whole_numbers_beyond_float64_are_moved_together_or_refused() -> None:
    x, y = np.array([[2**53 + 1], [2**53 + 3]]), np.array([[2**53], [2**53]])
    found = exact_w1(x, y)
    assert found.lower <= 2 <= found.upper
    assert wasserstein_line(x[:, 0], y[:, 0]).item() == 2
    with pytest.raises(UserError, match="a whole number that float64 cannot hold: 9007199254740993"):
        exact_w1(x, y.astype(float))


POINTS = np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 0.0]])
OTHERS = np.array([[1.0, 1.0], [0.0, 2.0]])
DISTANCES = {
    "exact": lambda x, y: exact_w1(x, y).value,
    "interval": lambda x, y: w1_interval(x, y, rng=0).upper,
    "energy": energy_distance,
    "sliced": lambda x, y: sliced_w1(x, y, rng=0),
    "max_sliced": lambda x, y: max_sliced_w1(x, y, rng=0)[0],
}


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_arrays_of_every_layout_are_taken(distance) -> None:
    expected = float(distance(POINTS, OTHERS))
    wide = np.zeros((6, 4))
    wide[::2, ::2] = POINTS
    for points in (
        POINTS.tolist(),
        tuple(map(tuple, POINTS)),
        [torch.tensor(row) for row in POINTS],
        pd.DataFrame(POINTS),
        POINTS.astype(">f8"),
        np.asfortranarray(POINTS),
        wide[::2, ::2],
        POINTS[::-1][::-1],
        POINTS[::-1].copy()[::-1],
        np.ma.masked_array(POINTS, mask=False),
        POINTS.astype(">f8")[::-1].copy()[::-1],
        POINTS.astype(np.int16),
        POINTS.astype(np.uint32),
        POINTS.astype(object),
        torch.tensor(POINTS, dtype=torch.int32),
    ):
        assert float(distance(points, OTHERS)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_a_reversed_axis_of_length_1_is_taken(distance) -> None:
    # NumPy calls such an array contiguous, so that asking for a contiguous copy gives it back as it is.
    for point in (POINTS[:1][::-1], POINTS[:1, :][::-1, ::-1][:, ::-1]):
        assert point.strides[0] < 0
        assert float(distance(point, OTHERS)) == pytest.approx(float(distance(POINTS[:1], OTHERS)), rel=1e-12)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ma.masked_array(POINTS, mask=[[1, 0], [0, 0], [0, 0]]), "x holds masked values: 1 of 6"),  # type: ignore[arg-type]
        (POINTS.astype(np.longdouble), "x has more digits than float64: dtype (float128|float96|longdouble)"),
        (torch.tensor(POINTS).to_sparse(), "x must be a dense tensor"),
        (pd.DataFrame({"a": [1.0, 2.0], "city": ["Bonn", "Aachen"]}), "x must hold numbers: column 'city'"),
        (
            pd.DataFrame({"a": [1.0, 2.0], "city": ["Bonn", "Aachen"]}, dtype=object),
            "x must hold numbers: column 'city'",
        ),
        (pd.DataFrame({"a": [1, None], "b": [1, 2]}, dtype="Int64"), "x must hold numbers: a missing value"),
        ([[1.0, 2.0], [3.0]], "x is no array of numbers"),
        ([["a", "b"]], "x must hold numbers"),
        ({"a": 1}, "x must be a NumPy array, a torch tensor, a list or a data frame: dict|an iterable"),
        (torch.zeros(2, 2, device="meta"), "x holds no values"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_array_of_numbers_is_refused(distance, bad, message: str) -> None:
    with pytest.raises(UserError):
        distance(bad, OTHERS)
    if distance is not DISTANCES["sliced"]:
        with pytest.raises(UserError, match=message):
            distance(bad, OTHERS)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_columns_of_data_frames_are_matched_by_name(distance) -> None:
    x, y = pd.DataFrame(POINTS, columns=["a", "b"]), pd.DataFrame(OTHERS, columns=["a", "b"])
    assert float(distance(x, y[["b", "a"]])) == pytest.approx(float(distance(x, y)), rel=1e-12)
    with pytest.raises(UserError, match="x and y must have the same columns: 'b', 'c'"):
        distance(x, y.rename(columns={"b": "c"}))


@pytest.mark.parametrize("rng", [3, np.int64(3), np.random.default_rng(3), torch.Generator().manual_seed(3)])
def test_seeds_and_generators_of_numpy_are_taken(rng) -> None:
    assert random_directions(3, 4, rng=rng).shape == (4, 3)
    assert sliced_w1(POINTS, OTHERS, rng=rng) > 0
    assert max_sliced_w1(POINTS, OTHERS, rng=rng)[0] > 0
    assert w1_interval(POINTS, OTHERS, rng=rng).upper > 0


def test_a_seed_is_a_seed_and_a_generator_moves_on() -> None:
    assert torch.equal(random_directions(3, 4, rng=7), random_directions(3, 4, rng=7))
    moving = np.random.default_rng(7)
    assert not torch.equal(random_directions(3, 4, rng=moving), random_directions(3, 4, rng=moving))


@pytest.mark.parametrize("rng", [None, -1, 1.5, True, "0", 2**63])
def test_other_sources_of_randomness_are_refused(rng) -> None:
    with pytest.raises(UserError, match="rng must be a torch generator, a NumPy generator or a seed"):
        sliced_w1(POINTS, OTHERS, rng=rng)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sliced_w1_estimate(POINTS, OTHERS, rng=0, projections=2.5), "projections must be a whole number"),  # type: ignore[arg-type]
        (lambda: max_sliced_w1(POINTS, OTHERS, rng=0, steps=2.5), "steps must be a whole number"),  # type: ignore[arg-type]
        (
            lambda: exact_w1(POINTS, OTHERS, max_iterations=-1),
            "max_iterations must be a whole number of at least 1: -1",
        ),
        (lambda: exact_w1(POINTS, OTHERS, tolerance=np.nan), "tolerance must be finite and not negative: nan"),
        (lambda: exact_transport(POINTS, tolerance="x"), "tolerance must be a number: 'x'"),  # type: ignore[arg-type]
        (lambda: wasserstein_line(POINTS, POINTS), r"x must hold numbers on the line, shape \(n,\): shape \(3, 2\)"),
        (lambda: wasserstein_line(POINTS, POINTS, axis=2), "axis must be one of the sample's: 2 of 2"),
        (lambda: wasserstein_line(POINTS[0], POINTS[0], p="2"), "order p must be a number: '2'"),  # type: ignore[arg-type]
        (lambda: wasserstein_line(POINTS[0], POINTS[0], p=10**400), "order p must be a number: a whole number of 1329"),
    ],
)
def test_numbers_out_of_range_are_user_errors(call, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_a_column_is_a_sample_on_the_line_and_an_axis_names_a_batch() -> None:
    assert wasserstein_line(POINTS[:, :1], OTHERS[:, :1]).item() == wasserstein_line(POINTS[:, 0], OTHERS[:, 0]).item()
    batch = wasserstein_line(POINTS, OTHERS, axis=0)
    assert batch.tolist() == [wasserstein_line(POINTS[:, k], OTHERS[:, k]).item() for k in (0, 1)]
