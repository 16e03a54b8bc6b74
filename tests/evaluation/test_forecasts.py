"""Forecasts of series whose future is known: good ones, and others that are bad in one way each."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.series.forecasts import forecast_rows

KNOWN, AHEAD, DRAWS, CASES, KEPT = 6, 4, 16, 200, 0.9
SCALES = np.array([1.0, 50.0])
Values = NDArray[np.float64]


def paths(count: int, *, start: Values | None = None, steps: int, seed: int) -> Values:
    """Stationary autoregressive series (count, 2, steps) of deviation 1 and 50, from a start (count, 2) on."""
    rng = np.random.default_rng(seed)
    last, found = (rng.normal(size=(count, 2)) if start is None else start / SCALES), []
    for step in range(steps):
        fresh = step or start is not None
        last = KEPT * last + math.sqrt(1 - KEPT**2) * rng.normal(size=(count, 2)) if fresh else last
        found.append(last)
    stacked: Values = np.stack(found, 2) * SCALES[:, None]
    return stacked


def judged(kind: str) -> dict[str, MetricRow]:
    real, training = paths(CASES, steps=KNOWN + AHEAD, seed=0), paths(500, steps=KNOWN + AHEAD, seed=1)
    past, truth = real[:, :, :KNOWN], real[:, :, KNOWN:]
    start = np.roll(past[:, :, -1], 1, 0) if kind == "of another past" else past[:, :, -1]
    repeated = np.repeat(start, DRAWS, 0)
    draws = paths(CASES * DRAWS, start=repeated, steps=AHEAD, seed=2).reshape(CASES, DRAWS, 2, AHEAD)
    if kind == "whatever the past":
        draws = training[np.random.default_rng(3).integers(0, 500, (CASES, DRAWS)), :, KNOWN:]
    if kind == "too narrow":
        middle = draws.mean(1, keepdims=True)
        draws = middle + 0.3 * (draws - middle)
    if kind == "with gaps":
        truth = truth.copy()
        truth[::3, 0, 1] = np.nan
    return {row.name: row for row in forecast_rows(draws, truth, past, training, seed=0)}


def test_the_score_of_true_draws_is_that_of_the_distribution() -> None:
    rows = judged("good")
    # The CRPS of a normal distribution with its own draws is its deviation / sqrt(pi); h steps ahead 1 - .81^h is the
    # variance, and without a past it is 1.
    ahead = [math.sqrt(1 - KEPT ** (2 * step)) for step in range(1, AHEAD + 1)]
    wanted = float(np.mean(ahead)) / math.sqrt(math.pi)
    assert rows["forecast_crps"].value == pytest.approx(wanted, rel=0.08)
    assert rows["forecast_crps"].floor == pytest.approx(wanted, rel=0.08)
    assert rows["forecast_crps_over_climatology"].value == pytest.approx(float(np.mean(ahead)), rel=0.08)
    assert rows["forecast_ranks"].value > 0.7


@pytest.mark.parametrize("kind", ["of another past", "whatever the past", "too narrow"])
def test_bad_forecasts_are_seen(kind: str) -> None:
    good, bad = judged("good"), judged(kind)
    if kind == "too narrow":
        assert bad["forecast_ranks"].value < 0.5 < good["forecast_ranks"].value
        assert bad["forecast_crps"].value > 1.5 * (bad["forecast_crps"].floor or 0)
    else:
        assert bad["forecast_crps_over_climatology"].value > 0.95 > good["forecast_crps_over_climatology"].value + 0.2
        assert bad["forecast_crps"].value > 1.25 * good["forecast_crps"].value


def test_the_error_of_the_last_value_that_is_there_is_told() -> None:
    past = np.array([[[1.0, 2.0, 5.0], [7.0, 8.0, np.nan]], [[0.0, 0.0, 1.0], [4.0, np.nan, np.nan]]])
    truth = np.array([[[6.0, 8.0], [8.0, 9.0]], [[1.0, 1.0], [4.0, 6.0]]])
    training = np.stack([np.full((2, 5), -1.0), np.full((2, 5), 1.0)])  # of deviation 1
    told = forecast_rows(np.stack([truth, truth, truth], 1), truth, past, training, seed=0)[0].note
    # |6-5| + |8-5| + |8-8| + |9-8| of the first, 0 + 0 + 0 + 2 of the second: means of 5/4 and 2/4
    assert "the last value kept errs by 0.875" in told


def test_values_that_are_missing_are_left_out() -> None:
    good, gaps = judged("good"), judged("with gaps")
    assert gaps["forecast_crps"].value == pytest.approx(good["forecast_crps"].value, rel=0.05)
