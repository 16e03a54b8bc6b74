"""Generators of series that follow the likelihood of real ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source, open_source
from wassergan.modality.recipes import resolve_for
from wassergan.networks import CausalGenerator, SeriesDensityGenerator
from wassergan.runs.export import export_run, open_export
from wassergan.runs.train import train_run
from wassergan.session.build import build_trainer
from wassergan.session.restore import open_sampler
from wassergan.training import Trainer

STEPS = 6


@pytest.fixture
def source() -> Source:
    """Walks whose second channel repeats the first, with gaps in a third."""
    rng = np.random.default_rng(0)
    walk = rng.normal(size=(400, STEPS)).cumsum(1)
    third = np.where(rng.random((400, STEPS)) < 0.3, np.nan, rng.normal(size=(400, STEPS)))
    return open_source(np.stack([walk, walk, third], 2).astype(np.float32), layout="NTC", seed=0)


@pytest.fixture
def settings(source: Source) -> ResolvedSettings:
    return resolve_for(TrainSettings(steps=10, batch_size=32, maps=8, likelihood=1.0), source)


def train(trainer: Trainer, steps: int) -> Trainer:
    trainer.train(steps=steps, tick_due=lambda step: False)
    return trainer


def weights(trainer: Trainer) -> list[Tensor]:
    networks = (trainer.generator, trainer.critic, trainer.averaged_generator)
    return [each.clone() for network in networks for each in network.state_dict().values()]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("alone", [0, 3, 20])
def test_a_resumed_training_is_the_one_that_was_not_stopped_bit_for_bit(
    settings: ResolvedSettings, source: Source, alone: int, precision: str
) -> None:
    settings = replace(settings, likelihood_steps=alone, precision=precision)
    whole = train(build_trainer(settings, source), 6)
    half, rest = train(build_trainer(settings, source), 3), build_trainer(settings, source)
    rest.load_state_dict(half.state_dict())
    train(rest, 6)
    assert all(torch.equal(one, other) for one, other in zip(weights(whole), weights(rest), strict=True))
    assert all(each.isfinite().all() for each in weights(whole))


def test_a_critic_moves_every_weight_of_a_density_that_a_likelihood_moves(
    settings: ResolvedSettings, source: Source
) -> None:
    trainer = train(build_trainer(replace(settings, likelihood_steps=4), source), 4)
    generator, batch = trainer.generator, trainer._inputs.draw()
    trainer.critic.requires_grad_(False)
    trainer.critic(generator(batch.latents[-1])).mean().backward()
    moved = {name for name, each in generator.named_parameters() if each.grad is not None and (each.grad != 0).any()}
    # One mask alone follows no other.
    assert moved == {name for name, _ in generator.named_parameters()} - {"density.masks.by_others"}
    assert all(each.grad is None or each.grad.isfinite().all() for each in generator.parameters())


def test_the_likelihood_learns_walks_their_repeats_and_how_often_values_are_missing(
    settings: ResolvedSettings, source: Source
) -> None:
    trainer = train(build_trainer(replace(settings, likelihood_steps=500, average_ramp=0.02), source), 500)
    drawn = source.codec.decode_numpy(trainer.sample(1000))
    real = source.codec.decode_numpy(source.train(torch.arange(source.train_count)))
    for index in (0, STEPS - 1):  # the deviation of a walk grows with the root of the steps
        assert drawn[:, index, 0].std() == pytest.approx(real[:, index, 0].std(), rel=0.15)
    assert np.abs(drawn[..., 0] - drawn[..., 1]).mean() < 0.05 * np.abs(np.diff(real[..., 0], axis=1)).mean()
    assert np.isnan(drawn[..., 2]).mean() == pytest.approx(0.3, abs=0.04)
    assert not np.isnan(drawn[..., :2]).any()
    changes = np.diff(drawn[..., 0], axis=1)
    assert abs(np.corrcoef(changes[:, :-1].ravel(), changes[:, 1:].ravel())[0, 1]) < 0.06


def test_500_series_are_drawn_from_densities_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    def made(count: int, steps: int = 8, **asked: object) -> tuple[ResolvedSettings, Source]:
        source = open_source(np.random.default_rng(0).normal(size=(count, steps, 2)), layout="NTC")
        return resolve_for(TrainSettings(steps=1, **asked), source), source  # type: ignore[arg-type]

    settings, source = made(600)
    assert settings.likelihood == 1.0 and settings.likelihood_steps == 500 * source.train_count // 64
    assert isinstance(build_trainer(settings, source).generator, SeriesDensityGenerator)
    assert made(600, 300)[0].likelihood_steps > 10**8  # whole series are drawn too slowly for a critic
    for each, source in (made(400), made(600, likelihood=0.0), made(600, network="recurrent"), made(600, 5000)):
        assert (each.likelihood, each.likelihood_steps, each.generator_lr) == (0.0, 0, 5e-4)
        assert not isinstance(build_trainer(each, source).generator, SeriesDensityGenerator)
    few, source = made(100, likelihood=0.5)
    assert few.likelihood == 0.5 and isinstance(build_trainer(few, source).generator, SeriesDensityGenerator)
    plain, source = made(600, likelihood=0.0)
    assert isinstance(build_trainer(plain, source).generator, CausalGenerator)


def test_a_run_of_densities_is_exported(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(120, 4, 2)).cumsum(1).astype(np.float32)
    values[:, 2, 1] = np.nan
    values[::3, 1, 0] = np.nan
    np.save(tmp_path / "walks.npy", values)
    small = {"maps": 4, "batch_size": 16, "tensorboard": False, "previews": False}
    settings = TrainSettings(data=str(tmp_path / "walks.npy"), layout="NTC", steps=3, likelihood=1.0, **small)  # type: ignore[arg-type]
    train_run(settings, tmp_path / "run")
    own = open_sampler(tmp_path / "run").draw(6, seed=2)
    assert np.isnan(own[:, 2, 1]).all() and not np.isnan(own[:, [0, 3]]).any()
    for form in ("safetensors", "pt2"):
        export_run(tmp_path / "run", tmp_path / f"made.{form}")
    np.testing.assert_array_equal(open_export(tmp_path / "made.safetensors").draw(6, seed=2), own)
