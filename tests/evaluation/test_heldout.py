from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from wassergan.data import Source
from wassergan.data.readers.arrays import array_source
from wassergan.evaluation import HeldoutDistance, heldout


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(latent), 1)


def test_in_one_dimension_it_is_scipy_s_distance() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    held = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    train = source.train(torch.arange(source.train_count)).flatten().double().numpy()
    distance = HeldoutDistance(source, latent_dim=2)
    record = distance(Constant(0.7))
    assert record["sliced_w1"] == pytest.approx(np.abs(held - 0.7).mean(), rel=1e-5)
    assert record["sliced_w1_floor"] == pytest.approx(wasserstein_distance(train, held), rel=1e-5)


def test_the_interval_holds_scipy_s_distance_of_equally_many_samples() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    held = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    train = source.train(source.split.sample_positions(2000)[: len(held)]).flatten().double().numpy()
    record = HeldoutDistance(source, latent_dim=2).interval(Constant(0.7))
    exact = np.abs(held - 0.7).mean()
    assert record["w1_lower"] <= exact + 1e-6
    assert record["w1_upper"] >= exact - 1e-6
    assert record["w1_upper"] - record["w1_lower"] <= 0.0101 * exact
    assert record["w1_floor"] == pytest.approx(wasserstein_distance(train, held), rel=0.0101)


def test_measuring_twice_gives_the_same_and_draws_nothing_from_the_global_state(
    make_source: Callable[..., Source],
) -> None:
    source, generator = make_source((4,), count=100), nn.Linear(3, 4)
    outside = torch.get_rng_state()
    distance = HeldoutDistance(source, latent_dim=3)
    assert distance(generator) == distance(generator)
    assert distance.interval(generator) == distance.interval(generator)
    assert torch.equal(outside, torch.get_rng_state())
    assert generator.training


def test_no_clock_decides_the_bounds(make_source: Callable[..., Source], request: pytest.FixtureRequest) -> None:
    source, generator = make_source((4,), count=100), nn.Linear(3, 4)
    expected = HeldoutDistance(source, latent_dim=3).interval(generator)
    request.getfixturevalue("late_clock")
    assert HeldoutDistance(source, latent_dim=3).interval(generator) == expected


def test_as_many_training_rows_as_generated_ones_make_the_floor() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    held = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    train = source.train(source.split.sample_positions(7)).flatten().double().numpy()
    assert len(train) == 7
    expected = wasserstein_distance(train, held)
    assert HeldoutDistance(source, latent_dim=2, samples=7).floor == pytest.approx(expected, rel=1e-5)


def test_sorted_rows_and_shuffled_ones_have_the_same_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heldout, "LARGEST_SAMPLE", 300)
    rows = np.random.default_rng(0).standard_normal((30_000, 1)).astype(np.float32)
    floors = []
    for order in (np.arange(len(rows)), rows[:, 0].argsort(), rows[:, 0].argsort()[::-1]):
        distance = HeldoutDistance(array_source(rows[order]), latent_dim=2, samples=2000)
        floors.append((distance.floor, distance.interval(Constant(0.0))["w1_floor"]))
    # W1 of 2000, and of 300, against 300 draws of N(0, 1) is 0.05 to 0.1; the first tenth of the file is 1.7 off.
    assert np.max(floors) < 0.2


def test_a_floor_that_was_interrupted_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks after an interruption gets the bound that an undisturbed one gets."""

    def bounds(*samples: torch.Tensor, interrupted: Callable[[], bool], **options: object) -> tuple[float, float]:
        return (0.0, 9.0) if interrupted() else (1.0, 2.0)

    monkeypatch.setattr(heldout, "interval_by_work", bounds)
    distance = HeldoutDistance(array_source(np.random.default_rng(0).normal(size=(60, 2))), latent_dim=2)
    found = [
        distance.interval(Constant(0.0), interrupted=lambda at=at: at)["w1_floor"]  # type: ignore[misc]
        for at in (True, False, True)
    ]
    assert found == [9.0, 2.0, 2.0]
