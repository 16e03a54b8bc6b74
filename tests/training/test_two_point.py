"""Statistics of two places that a generator is led to."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.config.settings import TrainSettings
from wassergan.constraints import get_constraint
from wassergan.data import Source, open_source
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.networks import build_networks
from wassergan.objectives import get_objective
from wassergan.session.build import build_trainer
from wassergan.training import DistributedContext, Trainer, TwoPoint
from wassergan.training.analytic.conv import ConvCriticGradients
from wassergan.training.analytic.generator import ConvGeneratorPasses
from wassergan.training.steps import fakes_to_follow, generator_step

SMALL: dict[str, Any] = {"batch_size": 8, "maps": 2, "generator_maps": 2, "precision": "float32", "threads": 1}


def enumerated(samples: np.ndarray[Any, Any], centre: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every pair of places, one by one."""
    rows = []
    for sample in samples:
        found = []
        for axis in range(1, sample.ndim):
            side = sample.shape[axis]
            if side == 1:
                continue
            for channel, lag in product(range(len(sample)), range(side // 2 + 1)):
                values = np.moveaxis(sample[channel] - centre[channel], axis - 1, 0)
                pairs = [values[place] * values[place + lag] for place in range(side - lag)]
                found.append(np.mean(pairs))
        rows.append(found + [np.mean(sample[channel] - centre[channel]) for channel in range(len(sample))])
    return np.array(rows)


@pytest.mark.parametrize("shape", [(2, 7), (1, 5, 4), (3, 1, 6), (2, 4, 3, 5)])
def test_statistics_are_means_over_all_pairs_of_places(shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(0).normal(size=(3, *shape))
    statistics = TwoPoint(shape, 1.0)
    statistics.centre.copy_(torch.arange(1.0, shape[0] + 1))
    wanted = enumerated(samples, np.arange(1.0, shape[0] + 1))
    found = statistics.of(torch.from_numpy(samples))
    assert statistics.real.shape == found.shape[1:]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_what_is_added_to_the_loss_has_the_gradient_of_the_distance() -> None:
    rng = np.random.default_rng(1)
    real, made = rng.normal(0.3, 1, (900, 1, 4, 6)), rng.normal(0, 0.5, (900, 1, 4, 6))
    statistics = TwoPoint((1, 4, 6), 7.0)
    followed = torch.from_numpy(made).requires_grad_(True)
    pull, distance = statistics.follow(torch.from_numpy(real), followed)
    pull.backward()

    centre = real.mean((0, 2, 3))  # of the first batch
    each = enumerated(real, centre)
    spread = float(((real - centre) ** 2).mean())
    least = np.array([0.05 * spread] * 7 + [0.05 * spread**0.5])  # three and four lags, and the mean

    def apart(values: np.ndarray[Any, Any]) -> float:
        return float(((enumerated(values, centre).mean(0) - each.mean(0)) ** 2 / (each.var(0) + least**2)).mean())

    assert float(distance) == pytest.approx(apart(made), rel=1e-4)
    assert followed.grad is not None
    for place in [(0, 0, 0, 0), (5, 0, 3, 2), (899, 0, 1, 5)]:
        step = 0.5
        ahead, behind = made.copy(), made.copy()
        ahead[place] += step
        behind[place] -= step
        slope = 7.0 * (apart(ahead) - apart(behind)) / (2 * step)
        assert float(followed.grad[place]) == pytest.approx(slope, rel=1e-2)


def test_real_statistics_are_of_all_batches_and_generated_ones_of_the_latest() -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(600, 1, 4, 4, generator=rng)
    made = torch.cat([torch.randn(300, 1, 4, 4, generator=rng) + 5, torch.randn(4000, 1, 4, 4, generator=rng)])
    statistics = TwoPoint((1, 4, 4), 1.0)
    for start in range(0, 4300, 100):
        statistics.follow(real[start % 600 :][:100], made[start : start + 100])
    seen = torch.cat([real] * 7 + [real[:100]])
    np.testing.assert_allclose(statistics.real, statistics.of(seen).mean(0), atol=1e-5)
    np.testing.assert_allclose(statistics.real_square, statistics.of(seen).square().mean(0), atol=1e-4)
    assert (statistics.made - statistics.of(made[300:]).mean(0)).abs().max() < 0.15  # what was 5 off is forgotten
    assert statistics.of(made[:300]).mean(0).abs().max() > 20


def test_what_does_not_vary_leads_nowhere() -> None:
    statistics = TwoPoint((1, 4, 4), 1.0)
    made = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    pull, distance = statistics.follow(torch.ones(8, 1, 4, 4), made)
    pull.backward()
    assert float(distance) == 0
    assert made.grad is not None
    assert not made.grad.any()


@pytest.mark.parametrize("kind", ["halves", "exact shares", "one value"])
def test_what_hardly_varies_has_a_bounded_pull(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 1, 4, 6, 5, generator=rng)
    if kind == "exact shares":  # 40 of 120 in every sample
        real = (noise.flatten(1).argsort(1).argsort(1) < 40).float().view_as(noise) * 2 - 1
    else:
        real = torch.sign(noise) if kind == "halves" else 0.1 + 1e-5 * noise
    made = (0.9 * real).requires_grad_(True)
    pull, distance = TwoPoint((1, 4, 6, 5), 1.0).follow(real, made)
    pull.backward()
    assert float(distance) < 10  # (1 - .81) / .05 squared is 14, for one lag of each axis
    assert made.grad is not None
    assert float(made.grad.abs().max()) < 0.01


class Stretched(nn.Module):
    """White noise times a number, which it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.1))

    def forward(self, latent: Tensor) -> Tensor:
        return self.factor * latent.unflatten(1, (1, 4, 4))


def test_a_generator_finds_the_variance_of_the_data_without_a_critic() -> None:
    rng = torch.Generator().manual_seed(0)
    generator, statistics = Stretched(), TwoPoint((1, 4, 4), 1.0)
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.005)
    for _ in range(600):
        made = generator(torch.randn(64, 16, generator=rng))
        pull, _ = statistics.follow(0.7 * torch.randn(64, 1, 4, 4, generator=rng), made)
        optimizer.zero_grad()
        pull.backward()
        optimizer.step()
    assert float(generator.factor.detach()) == pytest.approx(0.7, abs=0.03)


def test_closed_forms_pass_on_what_the_statistics_add() -> None:
    def gradients(closed: bool) -> dict[str, Tensor]:
        generator, critic = build_networks(
            *("conv", (1, 12, 12)),
            head=nn.Tanh(),
            latent_dim=8,
            generator_widths=(),
            critic_widths=(),
            maps=4,
            activation="leaky_relu",
            generator_norm="batch",
            critic_activation="leaky_relu",
            critic_norm="none",
            seed=0,
        )
        generator.train()
        rng = torch.Generator().manual_seed(0)
        passes = ConvGeneratorPasses.of(generator) if closed else None
        of_critic = ConvCriticGradients.of(critic, get_constraint("lp"), conditional=False) if closed else None
        assert closed == (passes is not None) == (of_critic is not None)
        latent, real = torch.randn(16, 8, generator=rng), torch.randn(16, 1, 12, 12, generator=rng)
        made = fakes_to_follow(generator, latent, precision=torch.float32, passes=passes)
        pull, _ = TwoPoint((1, 12, 12), 3.0).follow(real, made)
        kept = torch.optim.SGD(generator.parameters(), lr=0.0)
        generator_step(
            *(generator, critic, kept),
            made=made,
            objective=get_objective("wasserstein"),
            precision=torch.float32,
            closed_form=of_critic,
            passes=passes,
            score=pull,
        )
        return {name: each.grad.clone() for name, each in generator.named_parameters() if each.grad is not None}

    plain, closed = gradients(False), gradients(True)
    assert plain.keys() == closed.keys()
    for name, wanted in plain.items():
        torch.testing.assert_close(closed[name], wanted, rtol=1e-3, atol=1e-5, msg=name)


def rock(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return (rng.random((14, 13, 12)) < 0.3).astype("u1")


def trainer_of(data: Any, processes: DistributedContext | None = None, **settings: Any) -> Trainer:
    source = data if isinstance(data, Source) else open_source(data, crop=(8, 7, 5))
    asked = TrainSettings(steps=4, **({**SMALL, "two_point": 5.0} | settings))
    return build_trainer(resolve_for(asked, source), source, processes or DistributedContext())


def weights(trainer: Trainer) -> dict[str, np.ndarray[Any, Any]]:
    return {name: value.numpy().copy() for name, value in trainer.generator.state_dict().items()}


def test_two_processes_at_half_the_batch_are_one_at_the_whole(spawn: Callable[..., list[Any]]) -> None:
    data = rock(np.random.default_rng(0))

    def train(processes: DistributedContext) -> dict[str, Any]:
        trainer = trainer_of(data, processes)
        trainer.train(steps=3, tick_due=lambda step: False)
        kept = {name: value.numpy().copy() for name, value in trainer.state_dict()["two_point"].items()}
        return weights(trainer) | kept

    alone = train(DistributedContext())
    first, second = spawn(train)
    for name, value in alone.items():
        # Adam moves a weight without a gradient to speak of by its rate, whichever way rounding points.
        assert np.isclose(first[name], value, rtol=0, atol=2e-4).mean() > 0.99, name
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_training_goes_on_bit_for_bit() -> None:
    data = rock(np.random.default_rng(0))
    whole, half = trainer_of(data), trainer_of(data)
    whole.train(steps=4)
    half.train(steps=2)
    state, later = half.state_dict(), trainer_of(data)
    later.load_state_dict(state)
    later.train(steps=4)
    for name, value in weights(whole).items():
        np.testing.assert_array_equal(weights(later)[name], value, err_msg=name)
    without = trainer_of(data, two_point=0.0)
    assert "two_point" not in without.state_dict()
    without.train(steps=4)
    assert any((weights(without)[name] != value).any() for name, value in weights(whole).items())


def test_ticks_tell_the_distance() -> None:
    records = []
    trainer = trainer_of(rock(np.random.default_rng(0)))
    trainer.train(steps=4, on_tick=lambda own: records.append(own.read_statistics()))
    assert records[-1]["two_point_distance"] > 0


def test_what_it_cannot_lead_is_refused() -> None:
    waves = np.sin(np.arange(24)[:, None] / 3 + np.arange(200)).T[..., None].astype("float32")
    with pytest.raises(UserError, match="follows a likelihood"):
        trainer_of(open_source(waves, layout="NTC", seed=0), maps=8, likelihood=1.0)
    with pytest.raises(UserError, match="Two-point statistics are of samples on a grid"):
        trainer_of(open_source(np.random.default_rng(0).normal(size=(40, 3))), batch_size=8)
    with pytest.raises(UserError, match="must be at least 0"):
        TwoPoint((1, 4, 4), -1.0)
