"""Generators of tables and series that follow the likelihood of real ones, alone and beside a critic."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source, open_source
from wassergan.data.tables.hidden import CompletionContext, vectors_of
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.modality.tables import CALM_EPOCHS, EPOCHS_OF_CATEGORIES, EPOCHS_OF_NUMBERS
from wassergan.networks import TabularGenerator
from wassergan.session.build import build_trainer
from wassergan.training import Likelihood, Trainer
from wassergan.utils.rng import ambient_randomness


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Rows whose number and last level follow from the first level."""
    rng = np.random.default_rng(0)
    lines = ["kind,value,same"]
    for _ in range(400):
        kind = rng.integers(3)
        lines.append(f"{'abc'[kind]},{rng.normal(5 * kind, 0.5):.3f},{'xyz'[kind]}")
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return open_source(str(path), seed=0)


@pytest.fixture
def settings(source: Source) -> ResolvedSettings:
    asked = TrainSettings(
        steps=10, batch_size=40, generator_widths=(16, 16), critic_widths=(16, 16), sequence_width=16, likelihood=1.0
    )
    return resolve_for(asked, source)


def train(trainer: Trainer, steps: int) -> Trainer:
    trainer.train(steps=steps, tick_due=lambda step: False)
    return trainer


def weights(trainer: Trainer) -> list[Tensor]:
    networks = (trainer.generator, trainer.critic, trainer.averaged_generator)
    return [each.clone() for network in networks for each in network.state_dict().values()]


@pytest.mark.parametrize("alone", [0, 3, 5, 20])
def test_a_resumed_training_is_the_one_that_was_not_stopped_bit_for_bit(
    settings: ResolvedSettings, source: Source, alone: int
) -> None:
    settings = replace(settings, likelihood_steps=alone)
    whole = train(build_trainer(settings, source), 8)
    half, rest = train(build_trainer(settings, source), 4), build_trainer(settings, source)
    rest.load_state_dict(half.state_dict())
    train(rest, 8)
    assert all(torch.equal(one, other) for one, other in zip(weights(whole), weights(rest), strict=True))


def test_the_critic_rests_while_the_likelihood_is_followed_alone(settings: ResolvedSettings, source: Source) -> None:
    trainer = build_trainer(replace(settings, likelihood_steps=3), source)
    before = [each.clone() for each in trainer.critic.parameters()]
    train(trainer, 3)
    assert all(torch.equal(one, other) for one, other in zip(before, trainer.critic.parameters(), strict=True))
    assert "real_mean" not in trainer.read_statistics()
    train(trainer, 4)
    assert any(not torch.equal(one, other) for one, other in zip(before, trainer.critic.parameters(), strict=True))
    record = trainer.read_statistics()
    assert np.isfinite([record["critic_gap"], record["negative_log_likelihood"], record["generator_loss"]]).all()


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_a_step_follows_the_critic_and_so_much_of_the_likelihood(
    settings: ResolvedSettings, source: Source, weight: float
) -> None:
    trainer = build_trainer(replace(settings, likelihood=weight), source)
    train(trainer, 5)  # the outer layers are 0 at first
    runner, turn, rng = trainer._runner, trainer._inputs.draw(), torch.Generator().manual_seed(0)
    runner._critic_step = lambda *given, **how: None  # type: ignore[method-assign]  # it stays as it is
    generator, critic, samples = trainer.generator, trainer.critic, turn.batches[-1].samples
    assert isinstance(generator, TabularGenerator)
    loss = -critic(generator(turn.latents[-1])).mean()
    with ambient_randomness(1):  # of what is left out at random
        loss = loss - weight * generator.log_likelihood(turn.latents[-1], samples).mean()
    expected = torch.autograd.grad(loss, list(generator.parameters()))
    runner._generator_optimizer.step = lambda: None  # type: ignore[method-assign]
    with ambient_randomness(1):
        runner._steps(turn, (False,), 0.0, rng)
    for each, wanted in zip(generator.parameters(), expected, strict=True):
        assert each.grad is not None
        torch.testing.assert_close(each.grad, wanted, atol=2e-5, rtol=1e-3)


def test_the_likelihood_alone_learns_which_level_goes_with_which(settings: ResolvedSettings, source: Source) -> None:
    trainer = build_trainer(replace(settings, likelihood_steps=400, generator_lr=5e-3), source)
    rows = source.values(torch.arange(200)).float()
    before = train(trainer, 1).sample(1)
    assert before.shape == (1, *source.shape)
    train(trainer, 400)
    drawn = source.codec.decode_numpy(trainer.sample(600))
    real = rows.numpy()
    assert (drawn[:, 0] == drawn[:, 2]).mean() > 0.95
    for kind in range(3):
        wanted, made = (np.quantile(each[each[:, 0] == kind, 1], [0.25, 0.5, 0.75]) for each in (real, drawn))
        assert abs(made[1] - wanted[1]) < 0.3
        assert 0.6 < (made[2] - made[0]) / (wanted[2] - wanted[0]) < 1.7


def test_only_tables_and_series_have_a_likelihood() -> None:
    source = open_source(np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32))
    settings = resolve_for(TrainSettings(steps=1, likelihood=1.0), source)
    with pytest.raises(UserError, match=r"Only generators of tables, and those of series by convolutions, have a"):
        build_trainer(settings, source)
    series = open_source(np.random.default_rng(0).normal(size=(300, 8, 2)), layout="NTC")
    settings = resolve_for(TrainSettings(steps=1, likelihood=1.0, network="recurrent"), series)
    with pytest.raises(UserError, match=r"Only generators of tables, and those of series by convolutions, have a"):
        build_trainer(settings, series)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Likelihood(-1.0), "The weight of the likelihood must be at least 0"),
        (lambda: Likelihood(float("nan")), "The weight of the likelihood must be at least 0"),
        (lambda: Likelihood(0.0, 5), "Steps cannot follow a likelihood that has no weight"),
    ],
)
def test_a_likelihood_has_a_weight(make: Callable[[], Likelihood], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_a_table_without_hidden_numbers_has_no_densities(settings: ResolvedSettings, source: Source) -> None:
    with pytest.raises(UserError, match="needs hidden numbers"):
        build_trainer(replace(settings, sequence_width=0), source)


def test_runs_that_complete_rows_learn_what_goes_with_the_cells_that_are_given(
    tmp_path: Path, settings: ResolvedSettings, source: Source
) -> None:
    """`value` and `same` follow from `kind`, which stands before them, and it from each of them."""
    completing = open_source(str(tmp_path / "rows.csv"), seed=0, completion=True)
    trainer = build_trainer(replace(settings, completion=True, likelihood_steps=500, generator_lr=5e-3), completing)
    train(trainer, 500)
    record = trainer.read_statistics()  # of rows of which as much is given as in training
    told = record["negative_log_likelihood_heldout"] - record["negative_log_likelihood"]
    with torch.no_grad():
        whole = completing.heldout_batch(torch.arange(completing.heldout_count))
        assert whole.context is not None and isinstance(trainer.averaged_generator, TabularGenerator)
        numbers = torch.randn(len(whole.samples), trainer.latent_dim)
        nothing = -trainer.averaged_generator.log_likelihood(torch.cat([whole.context, numbers], 1), whole.samples)
    further = float(nothing.mean()) - record["negative_log_likelihood_heldout"]
    assert abs(told) < 1 < further, (told, further)
    rows = completing.values(torch.arange(90)).numpy()
    context, own = completing.context, trainer.averaged_generator.eval()
    assert isinstance(context, CompletionContext) and isinstance(own, TabularGenerator)
    latent = torch.randn(90, trainer.latent_dim, generator=torch.Generator().manual_seed(0))
    for given in range(3):
        conditions = vectors_of(context.codec, rows, np.tile(np.arange(3) == given, (90, 1)))
        with torch.no_grad():
            made = completing.codec.decode_numpy(own(torch.cat([conditions, latent], 1)))
        np.testing.assert_allclose(made[:, given], rows[:, given], atol=1e-3)
        assert min((made[:, each] == rows[:, each]).mean() for each in (0, 2)) > 0.8  # a third by chance
        kinds = [np.unique(rows[rows[:, 0] == kind, 2]) for kind in range(3)]
        assert [len(each) for each in kinds] == [1, 1, 1]
        middle = np.array([rows[rows[:, 0] == kind, 1].mean() for kind in range(3)])
        assert np.abs(made[:, 1] - middle[rows[:, 0].astype(int)]).mean() < 1.0  # 5 apart, deviation .5


def table(count: int, *, numbers: int = 2) -> Source:
    """Numbers and two levels, for a recipe; to read 130 columns of text would take most of the time."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{index}": rng.normal(size=count) for index in range(numbers)})
    return open_source(frame.assign(kind=rng.choice(["a", "b"], count)), seed=0)


def test_tables_of_some_size_follow_their_likelihood_at_first_for_some_passes_over_the_data() -> None:
    large = table(2400)
    settings = resolve_for(TrainSettings(), large)
    assert (settings.likelihood, settings.sequence_width) == (1.0, 128)
    assert settings.likelihood_steps == EPOCHS_OF_NUMBERS * large.train_count // 250
    assert (settings.schedule, settings.schedule_steps) == ("inverse_sqrt", 1000)
    settings = resolve_for(TrainSettings(batch_size=20), large)
    assert settings.schedule_steps == CALM_EPOCHS * large.train_count // 20 > 1000
    settings = resolve_for(TrainSettings(batch_size=100), large)
    assert settings.likelihood_steps == EPOCHS_OF_NUMBERS * large.train_count // 100
    categories = resolve_for(TrainSettings(), table(2400, numbers=0))
    assert categories.likelihood_steps == EPOCHS_OF_CATEGORIES * large.train_count // 250
    assert categories.schedule_steps == 3000
    for asked in (TrainSettings(likelihood=0.0), TrainSettings(sequence_width=0), TrainSettings(preset="wgan-gp")):
        settings = resolve_for(asked, large)
        assert (settings.likelihood, settings.likelihood_steps, settings.sequence_width) == (0.0, 0, 0)
        build_trainer(settings, large)

    small = table(300)
    settings = resolve_for(TrainSettings(), small)
    assert (settings.likelihood, settings.likelihood_steps) == (0.0, 0)
    settings = resolve_for(TrainSettings(likelihood=0.5), small)
    assert (settings.likelihood, settings.sequence_width) == (0.5, 128)

    wide = resolve_for(TrainSettings(), table(2400, numbers=130))
    assert (wide.likelihood, wide.sequence_width) == (0.0, 0)


def test_draws_leave_nothing_out_and_the_likelihood_only_in_training(
    settings: ResolvedSettings, source: Source
) -> None:
    trainer = train(build_trainer(replace(settings, likelihood_steps=30), source), 30)
    rows = source.train_batch(torch.arange(50)).samples
    generator = trainer.averaged_generator
    assert isinstance(generator, TabularGenerator)
    latent = torch.randn(50, trainer.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(generator.log_likelihood(latent, rows), generator.log_likelihood(latent, rows))
        generator.train()
        assert torch.equal(generator(latent), generator(latent))
        assert not torch.equal(generator.log_likelihood(latent, rows), generator.log_likelihood(latent, rows))


def test_a_tick_tells_the_likelihood_of_held_out_rows_by_the_averaged_generator(
    settings: ResolvedSettings, source: Source
) -> None:
    trainer = train(build_trainer(replace(settings, likelihood_steps=30, average_half_life=2000.0), source), 30)
    live, kept = trainer.generator, trainer.averaged_generator
    assert isinstance(kept, TabularGenerator) and isinstance(live, TabularGenerator)
    for generator in (live, kept):  # whatever the latent vector, whose numbers a tick draws for itself
        with torch.no_grad():
            last = [each for each in generator.body.modules() if isinstance(each, torch.nn.Linear)][-1]
            last.weight.zero_()
    rows = source.heldout(torch.arange(source.heldout_count))
    latent = torch.randn(len(rows), trainer.latent_dim, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        live.eval()
        wanted, other = (-each.log_likelihood(latent, rows).double().mean().item() for each in (kept, live))
        live.train()
    before = weights(trainer)
    record = trainer.read_statistics()
    assert record["negative_log_likelihood_heldout"] == pytest.approx(wanted, rel=1e-5)
    assert abs(other - wanted) > 1e-3 and record["negative_log_likelihood"] != wanted
    assert trainer.read_statistics()["negative_log_likelihood_heldout"] == record["negative_log_likelihood_heldout"]
    assert all(torch.equal(one, each) for one, each in zip(before, weights(trainer), strict=True)) and live.training


def test_a_generator_without_a_likelihood_tells_none(settings: ResolvedSettings, source: Source) -> None:
    trainer = train(build_trainer(replace(settings, likelihood=0.0, likelihood_steps=0), source), 1)
    assert not any("likelihood" in name for name in trainer.read_statistics())
