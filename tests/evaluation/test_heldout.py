from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from wassergan.data import Source
from wassergan.data.arrays import array_source
from wassergan.evaluation import HeldoutDistance


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(latent), 1)


def test_in_one_dimension_it_is_scipy_s_distance() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    heldout = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    train = source.train(torch.arange(source.train_count)).flatten().double().numpy()
    distance = HeldoutDistance(source, latent_dim=2)
    record = distance(Constant(0.7))
    assert record["sliced_w1"] == pytest.approx(np.abs(heldout - 0.7).mean(), rel=1e-5)
    assert record["sliced_w1_floor"] == pytest.approx(wasserstein_distance(train, heldout), rel=1e-5)


def test_the_interval_holds_scipy_s_distance_of_equally_many_samples() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    heldout = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    train = source.train(torch.arange(len(heldout))).flatten().double().numpy()
    record = HeldoutDistance(source, latent_dim=2).interval(Constant(0.7))
    exact = np.abs(heldout - 0.7).mean()
    assert record["w1_lower"] <= exact + 1e-6
    assert record["w1_upper"] >= exact - 1e-6
    assert record["w1_upper"] - record["w1_lower"] <= 0.0101 * exact
    assert record["w1_floor"] == pytest.approx(wasserstein_distance(train, heldout), rel=0.0101)


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


def test_as_many_training_rows_as_generated_ones_make_the_floor() -> None:
    source = array_source(np.random.default_rng(0).gamma(2.0, size=300))
    heldout = source.heldout(torch.arange(source.heldout_count)).flatten().double().numpy()
    evenly = torch.tensor([0, 44, 89, 134, 179, 224, 269])  # of 270
    train = source.train(evenly).flatten().double().numpy()
    expected = wasserstein_distance(train, heldout)
    assert HeldoutDistance(source, latent_dim=2, samples=7).floor == pytest.approx(expected, rel=1e-5)
