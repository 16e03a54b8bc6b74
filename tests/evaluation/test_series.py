"""Judges of series: known values, and series that are wrong in known ways rank as they should."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from wassergan.evaluation.memorisation import memorisation
from wassergan.evaluation.series import SeriesPopulations, dynamics_rows, with_dynamics
from wassergan.evaluation.series.dynamics import (
    amplitudes,
    autocorrelations,
    cross_correlations,
    increments,
    mean_w1,
    spread,
)
from wassergan.evaluation.series.scores import Scaling, discriminative_score, predictive_score, score_rows
from wassergan.evaluation.verdict import FAILED, FAR, GOOD, Verdict

Series = NDArray[np.float64]
STEPS, COUNT = 24, 500
NAMES = ("autocorrelation_w1", "cross_correlation_w1", "spectrum_w1", "increments_w1")


def decaying(count: int, seed: int) -> Series:
    """Two channels that jump up together and decay: a series that runs backwards is another one."""
    numbers = np.random.default_rng(seed)
    jumps = numbers.exponential(2, (count, STEPS + 20)) * (numbers.random((count, STEPS + 20)) < 0.2)
    level = np.zeros_like(jumps)
    for step in range(1, jumps.shape[1]):
        level[:, step] = 0.8 * level[:, step - 1] + jumps[:, step]
    level = level[:, 20:]
    return np.stack([level, 50 + 10 * level + 4 * numbers.normal(size=level.shape)], 1)


def shuffled(series: Series) -> Series:
    orders = np.random.default_rng(1).permuted(np.tile(np.arange(STEPS), (len(series), 1)), axis=1)
    return np.take_along_axis(series, orders[:, None], axis=2)


def blurred(series: Series) -> Series:
    return (series + np.roll(series, 1, 2) + np.roll(series, -1, 2)) / 3


def noise(series: Series) -> Series:
    numbers = np.random.default_rng(2)
    return np.stack([numbers.permutation(series[:, each].ravel()).reshape(-1, STEPS) for each in range(2)], 1)


def collapsed(series: Series) -> Series:
    return np.repeat(series[:1], len(series), 0) + 1e-3 * np.random.default_rng(3).normal(size=series.shape)


def backwards(series: Series) -> Series:
    return series[:, :, ::-1].copy()


def rows_of(generated: Series) -> dict[str, float]:
    """Each metric as a multiple of its floor."""
    rows = dynamics_rows(SeriesPopulations(generated, decaying(COUNT, 10), decaying(300, 11)))
    assert [row.name for row in rows] == list(NAMES)
    return {row.name: row.value / row.floor for row in rows if row.floor}


@pytest.mark.parametrize(
    ("wrong", "far"),
    [
        (lambda series: series, ()),
        (shuffled, ("autocorrelation_w1", "spectrum_w1", "increments_w1")),
        (blurred, ("cross_correlation_w1", "spectrum_w1", "increments_w1")),
        (noise, NAMES),
        (collapsed, NAMES[:3]),
        (backwards, ("increments_w1",)),
    ],
)
def test_what_is_wrong_in_time_is_far_and_nothing_else(wrong: Callable[[Series], Series], far: tuple[str, ...]) -> None:
    found = rows_of(wrong(decaying(COUNT, 12)))
    assert {name for name, ratio in found.items() if ratio > FAR} >= set(far), found
    if wrong not in (blurred, noise, collapsed):
        assert all(found[name] < 2.5 for name in NAMES if name not in far), found


def test_time_alone_turns_a_verdict_and_copies_are_for_another_judge() -> None:
    good = Verdict("Close.", (), GOOD)
    populations = [
        SeriesPopulations(each, decaying(COUNT, 10), decaying(300, 11))
        for each in (shuffled(decaying(COUNT, 12)), decaying(COUNT, 10))
    ]
    turned, copied = (with_dynamics(good, dynamics_rows(each)) for each in populations)
    assert turned.level == FAILED and turned.flags == ("far",)
    assert "Far from the data in time: autocorrelation (" in turned.sentence and "spectrum (" in turned.sentence
    assert copied == good
    flat = [
        torch.from_numpy(each.reshape(len(each), -1))
        for each in (populations[1].generated, populations[1].training, populations[1].heldout, decaying(COUNT, 12))
    ]
    assert memorisation(*flat[:3]).flagged and not memorisation(flat[3], *flat[1:3]).flagged


def test_w1_is_that_of_another_library_without_missing_values() -> None:
    numbers = np.random.default_rng(0)
    left, right = numbers.normal(size=(37, 3)), numbers.normal(0.3, 2, size=(52, 3))
    left[:5, 0], right[:, 2] = np.nan, np.nan
    told = [wasserstein_distance(left[5:, 0], right[:, 0]), wasserstein_distance(left[:, 1], right[:, 1])]
    assert mean_w1(left, right) == pytest.approx(np.mean(told), rel=1e-12)
    assert mean_w1(left[:30], left[:30] + 2) == pytest.approx(2)
    assert np.isnan(mean_w1(left[:, 2:] * np.nan, right[:, 2:]))


def test_statistics_of_series_are_as_defined() -> None:
    numbers = np.random.default_rng(0)
    series = numbers.normal(3, 2, (4, 2, 10))
    unit = spread(series)
    np.testing.assert_allclose(unit, [series[:, each].std() for each in range(2)])
    own = autocorrelations(series)
    assert own.shape == (4, 2, 5)
    one = series[1, 1] - series[1, 1].mean()
    assert own[1, 1, 2] == pytest.approx((one[3:] * one[:-3]).sum() / (one**2).sum())
    assert cross_correlations(series, unit)[2, 0] == pytest.approx(np.corrcoef(series[2])[0, 1])
    np.testing.assert_allclose(increments(series, unit)[9 + 3], (series[1, :, 4] - series[1, :, 3]) / unit)
    wave = np.sin(2 * np.pi * 3 * np.arange(16) / 16)[None, None]
    found = amplitudes(wave, spread(wave))[0, 0]
    np.testing.assert_allclose(found, np.where(np.arange(1, 9) == 3, np.sqrt(8), 0), atol=1e-12)
    white = amplitudes(numbers.normal(size=(4000, 1, 12)), np.ones(1))[:, 0, :-1]
    np.testing.assert_allclose((white**2).mean(0), 1, atol=0.08)


def test_series_that_do_not_vary_and_short_ones_have_no_dynamics() -> None:
    flat = np.full((60, 1, 8), 7.1)
    assert np.isnan(autocorrelations(flat)).all()
    assert [row.name for row in dynamics_rows(SeriesPopulations(flat, flat, flat))] == ["spectrum_w1", "increments_w1"]
    points = np.random.default_rng(0).normal(size=(60, 2, 1))
    assert dynamics_rows(SeriesPopulations(points, points, points)) == []
    assert score_rows(points, points, points) == []


@pytest.mark.slow
def test_networks_tell_series_apart_that_are_wrong_in_time() -> None:
    real, seen = decaying(400, 11), decaying(400, 10)

    scaled = Scaling(real)
    true, good, mixed, reversed_, still = map(scaled, (real, seen, shuffled(seen), backwards(seen), noise(seen)))
    how: dict[str, Any] = {"seed": 0, "steps": 100, "lr": 1e-2}
    assert discriminative_score(true, good, **how).value < 0.1
    for wrong, least in ((mixed, 0.2), (reversed_, 0.12), (still, 0.2)):
        assert discriminative_score(true, wrong, **how).value > least
    floor = predictive_score(true, good, **how).value
    for wrong in (mixed, still):
        assert predictive_score(true, wrong, **how).value > 1.15 * floor


def test_rows_of_scores_are_those_of_each_measure_beside_their_floors() -> None:
    sides = [decaying(60, seed) for seed in (1, 2, 3)]
    rows = score_rows(*sides, seed=5, steps=2)
    assert [row.name for row in rows] == ["discriminative_score", "predictive_score"]
    generated, seen, real = map(Scaling(sides[2]), sides)
    for row, measure in zip(rows, (discriminative_score, predictive_score), strict=True):
        value, floor = (measure(real, each, seed=5, steps=2, lr=1e-2) for each in (generated, seen))
        assert (row.value, row.error) == (value.value, value.error)
        assert (row.floor, row.floor_error) == (floor.value, floor.error)


def test_a_score_is_the_same_for_a_seed_and_leaves_the_random_state() -> None:
    sides = [torch.rand(60, 6, 2, generator=torch.Generator().manual_seed(each)) for each in (0, 1)]
    before = torch.get_rng_state()
    with torch.inference_mode(False), torch.no_grad():
        first, again = (discriminative_score(*sides, seed=3, steps=3) for _ in range(2))
    assert first == again and 0 <= first.value <= 0.5 and torch.equal(before, torch.get_rng_state())
