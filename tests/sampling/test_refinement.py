"""Refined draws of a generator whose density is known, and what a classifier learns of it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.data import Batch
from wassergan.data.readers.arrays import array_source
from wassergan.sampling.acceptance import Calibration
from wassergan.sampling.ratio import trained_ratio
from wassergan.sampling.refinement import UNIT, RatioEstimate, Refinement
from wassergan.sampling.sampler import Sampler
from wassergan.utils.shard import BatchShard

SHIFT = 1.5  # of the data, from the generator's N(0, 1)


class Latents(nn.Module):
    """A generator whose samples are their latent numbers; counts how many it made."""

    def __init__(self, context_dim: int = 0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.skipped, self.made = context_dim, 0

    def forward(self, latent: Tensor) -> Tensor:
        self.made += len(latent)
        return latent[:, self.skipped :] * self.scale


class Conditional(Latents):
    """What it was drawn under, as the second number."""

    def forward(self, latent: Tensor) -> Tensor:
        return torch.stack([super().forward(latent)[:, 0], latent[:, 1]], dim=1)


class LogRatio(nn.Module):
    """log N(x; SHIFT, 1) - log N(x; 0, 1) of the first number."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(SHIFT))

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        return self.slope * samples[:, 0] - SHIFT**2 / 2


class TwoConditions:
    """Conditions that take turns."""

    width = 2

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        return torch.eye(2)[(torch.arange(start, start + count)) % 2]

    def rows(self, start: int, count: int, *, seed: int) -> None:
        return None


def sampler(draws: float, *, conditions: Any = None) -> Sampler:
    values = np.random.default_rng(0).normal(size=(500, 2))
    codec = array_source(values).codec
    rng = torch.Generator().manual_seed(9)
    samples = torch.randn(20_000, 2, generator=rng)
    groups = torch.arange(20_000) % 2 if conditions else torch.zeros(20_000, dtype=torch.int64)
    patterns = torch.eye(2) if conditions else torch.zeros(0, 0)
    estimate = RatioEstimate(LogRatio(), 1.0, 0.0, 0.85)
    calibration = Calibration(estimate.of(samples, None), groups, patterns, torch.zeros(20_000, 0, dtype=torch.int64))
    generator = Latents(2 if conditions else 0)
    return Sampler(generator, 2, codec, "vector", conditions, Refinement(estimate, calibration, None, draws))


def drawn(source: Sampler, count: int, *, seed: int = 0, shard: BatchShard = BatchShard()) -> Tensor:  # noqa: B008
    return torch.cat(list(source.vectors(count, seed=seed, shard=shard)))


def kept_mean(draws: int) -> float:
    """The mean of the first number among what optimal rejection keeps, by integration on a grid."""
    grid = np.linspace(-8, 10, 200_001)
    density = np.exp(-(grid**2) / 2)
    density /= density.sum()
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        mean = (density * np.exp(np.minimum(SHIFT * grid - SHIFT**2 / 2 + middle, 0))).sum()
        low, high = (middle, high) if mean < 1 / draws else (low, middle)
    weights = density * np.exp(np.minimum(SHIFT * grid - SHIFT**2 / 2 + high, 0))
    return float((weights * grid).sum() / weights.sum())


@pytest.mark.parametrize("draws", [1, 2, 4, 8])
def test_what_is_kept_has_the_density_of_the_theorem_at_the_price_of_k_draws(draws: int) -> None:
    source = sampler(draws)
    samples = drawn(source, 40 * UNIT)
    assert float(samples[:, 0].mean()) == pytest.approx(kept_mean(draws), abs=4 / math.sqrt(len(samples)))
    assert float(samples[:, 1].mean()) == pytest.approx(0, abs=4 / math.sqrt(len(samples)))
    made = source.generator.made / len(samples)
    assert isinstance(made, float) and draws <= made * 1.03 and made < 1.6 * draws + 0.1


def test_a_sample_depends_on_its_number_and_the_seed_alone() -> None:
    source = sampler(4)
    whole = drawn(source, 2600)
    for count in (1, 255, 256, 1025):
        assert torch.equal(drawn(source, count), whole[:count])
    shards = [drawn(source, 2600, shard=BatchShard(index, 2)) for index in range(2)]
    assert torch.equal(torch.cat([shards[0][:1024], shards[1], shards[0][1024:]]), whole)
    assert not torch.equal(drawn(source, 10, seed=1), whole[:10])
    assert len(whole.unique(dim=0)) == len(whole)
    assert list(source.vectors(0, seed=0)) == []
    user = np.concatenate(list(source.chunks(300, seed=0)))
    np.testing.assert_array_equal(user, source.codec.decode_numpy(whole[:300]))


def test_conditions_stay_those_that_they_are_without_and_each_pays_alike() -> None:
    seen: list[Tensor] = []

    class Noting(LogRatio):
        def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
            assert context is not None
            seen.append(context)
            assert torch.equal(samples[:, 1], context[:, 1])  # judged under what it was drawn under
            return super().forward(samples)

    source = replace(sampler(4, conditions=TwoConditions()), generator=Conditional(2))
    assert source.refinement is not None
    noting = replace(source.refinement, estimate=RatioEstimate(Noting(), 1.0, 0.0, 0.85))
    samples = drawn(replace(source, refinement=noting), 20 * UNIT)
    assert abs(float(samples[::2, 0].mean() - samples[1::2, 0].mean())) < 6 / math.sqrt(len(samples))
    assert torch.equal(samples[:, 1], TwoConditions().vectors(0, len(samples), seed=0)[:, 1])
    share = float(torch.cat(seen)[:, 0].mean())
    assert 0.47 < share < 0.53


def test_a_sample_that_nothing_satisfies_ends_with_the_likeliest_of_its_draws() -> None:
    source = sampler(4)
    assert source.refinement is not None
    hopeless = replace(source.refinement.estimate, intercept=-60.0)
    samples = drawn(replace(source, refinement=replace(source.refinement, estimate=hopeless)), 4 * UNIT)
    # By chance, in proportion to their acceptance: about as the density of the data has it.
    assert float(samples[:, 0].mean()) == pytest.approx(SHIFT, abs=0.25)


def test_a_classifier_learns_the_ratio_and_knows_when_there_is_none(rng: torch.Generator) -> None:
    def batch(shift: float) -> Batch:
        return Batch(torch.randn(3000, 2, generator=rng) + torch.tensor([shift, 0.0]), None)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 1))
    told = trained_ratio(network, batch(SHIFT), batch(0.0), seed=0)
    points = torch.tensor([[-0.5, 0.0], [0.75, 1.0], [2.0, -1.0]])
    wanted = SHIFT * points[:, 0] - SHIFT**2 / 2
    torch.testing.assert_close(told.of(points, None).float(), wanted, rtol=0, atol=0.35)
    # N(SHIFT, 1) against N(0, 1): Φ(SHIFT / √2).
    assert told.auc == pytest.approx(0.5 * (1 + math.erf(SHIFT / 2)), abs=0.03)
    same = trained_ratio(network, batch(0.0), batch(0.0), seed=0)
    assert (same.slope, same.intercept) == (0, 0) and 0.4 < same.auc < 0.6
