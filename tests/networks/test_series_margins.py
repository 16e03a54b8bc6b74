"""Channels of series that are drawn from densities, distributed as those of the data over all steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan import open_sampler
from wassergan.config.settings import TrainSettings
from wassergan.data import Source, open_source
from wassergan.errors import UserError
from wassergan.modality import modality_of
from wassergan.modality.recipes import resolve_for
from wassergan.networks import SeriesDensityGenerator
from wassergan.networks.margins import KNOTS, TAILS, _quantiles
from wassergan.runs.train import train_run
from wassergan.session.build import build_trainer
from wassergan.storage.run_folder import RunFolder
from wassergan.training import DistributedContext, Trainer, sample_chunks


def skewed(count: int = 600, *, gaps: bool = False, seed: int = 0) -> np.ndarray[Any, Any]:
    """Series of 6 steps of an exponential and of a whole-numbered channel, of which some are missing."""
    rng = np.random.default_rng(seed)
    found = np.stack([rng.exponential(size=(count, 6)).cumsum(1), rng.poisson(1.5, (count, 6))], 2)
    if gaps:
        found[rng.random((count, 6)) < 0.3, 1] = np.nan
    return found


def trained(source: Source, steps: int = 2, **how: Any) -> Trainer:
    asked = TrainSettings(steps=steps, batch_size=32, maps=4, threads=1, precision="float32", **how)
    trainer = build_trainer(resolve_for(asked, source), source, DistributedContext())
    trainer.train(steps=steps, tick_due=lambda step: step == steps)
    return trainer


def in_model_space(trainer: Trainer, source: Source, *, matched: bool, count: int = 2000) -> np.ndarray[Any, Any]:
    generator = trainer.averaged_generator
    own = next(each for each in generator.modules() if isinstance(each, SeriesDensityGenerator))
    if matched:
        modality_of(source.kind).calibrate(generator, source.codec, latent_dim=trainer.latent_dim)
    else:
        own.unmatch()
    return torch.cat(list(sample_chunks(generator, count, latent_dim=trainer.latent_dim, seed=5))).numpy()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 3),
    st.floats(0, 1),
    st.integers(0, 5),
    st.sampled_from(["normal", "ties", "rare"]),
)
def test_quantiles_are_values_that_there_are(count: int, numbers: int, missing: float, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    rows = {
        "normal": rng.normal(size=(count, numbers)),
        "ties": rng.integers(0, 3, (count, numbers)).astype(float),
        "rare": (rng.random((count, numbers)) < 0.01).astype(float),
    }[kind]
    rows[rng.random(rows.shape) < missing] = np.nan
    found = _quantiles(torch.from_numpy(rows)).numpy()
    assert found.shape == (KNOTS + 2 * len(TAILS), numbers)
    for column, own in zip(rows.T, found.T, strict=True):
        there = np.sort(column[~np.isnan(column)])
        if not len(there):
            assert (own == 0).all()
            continue
        assert (np.diff(own) >= 0).all() and own[0] == there[0] and own[-1] == there[-1]
        assert np.isin(own, there).all()
        middle = own[len(TAILS) + KNOTS // 2]
        assert (there < middle).mean() <= 0.5 <= (there <= middle).mean()


@pytest.mark.parametrize("gaps", [False, True])
def test_channels_have_the_distribution_of_the_data_over_all_steps(gaps: bool) -> None:
    source = open_source(skewed(gaps=gaps), layout="NTC", seed=0)
    trainer = trained(source)
    before, after = (in_model_space(trainer, source, matched=matched) for matched in (False, True))
    real = source.train_sample(600).numpy()
    levels = np.linspace(0.005, 0.995, 199)
    for channel in (0, 1):
        there = after[:, 2] > 0 if gaps and channel else np.ones_like(after[:, 0], bool)
        shown = real[:, 2] > 0 if gaps and channel else np.ones_like(real[:, 0], bool)
        wanted, own, raw = (
            np.quantile(each[:, channel][which], levels)
            for each, which in ((real, shown), (after, there), (before, there))
        )
        assert np.abs(own - wanted).mean() < 0.04 < 0.15 < np.abs(raw - wanted).mean()
        order = before[:, channel][there].argsort()
        assert (np.diff(after[:, channel][there][order]) >= -1e-6).all()  # one map for all steps, and monotone
    if gaps:
        assert (after[:, 2] == before[:, 2]).all()
        assert (after[:, 1][after[:, 2] < 0] == 0).all()


def matched_generator() -> tuple[Source, SeriesDensityGenerator, torch.Tensor]:
    """The data, a generator whose margins are matched to them, and 50 latent vectors."""
    source = open_source(skewed(), layout="NTC", seed=0)
    trainer = trained(source)
    in_model_space(trainer, source, matched=True)
    own = next(each for each in trainer.averaged_generator.modules() if isinstance(each, SeriesDensityGenerator))
    return source, own, torch.randn(50, trainer.latent_dim, generator=torch.Generator().manual_seed(1))


def test_what_follows_a_past_goes_through_no_map() -> None:
    source, own, latent = matched_generator()
    past = source.train_sample(50)[:, :, :3]
    mapped = own(latent, past)
    own.unmatch()
    assert torch.equal(mapped, own(latent, past)) and torch.equal(mapped[:, :, :3], past)


def test_learning_goes_through_no_map() -> None:
    source, own, latent = matched_generator()
    own.train()
    mapped, real = own(latent), source.train_sample(50)
    told = own.eval().log_likelihood(latent, real)
    own.unmatch()
    assert torch.equal(own.train()(latent), mapped) and torch.equal(own.eval().log_likelihood(latent, real), told)


def test_the_recipe_asks_for_it_where_it_was_measured() -> None:
    def chosen(source: Source, **how: Any) -> bool:
        return resolve_for(TrainSettings(steps=2, **how), source).match_margins

    usual = open_source(skewed(), layout="NTC", seed=0)
    assert chosen(usual) and chosen(open_source(skewed(gaps=True), layout="NTC", seed=0))
    assert not chosen(usual, likelihood=0.0) and not chosen(usual, match_margins=False)
    assert not chosen(open_source(np.zeros((600, 300, 2)) + np.arange(600)[:, None, None], layout="NTC", seed=0))
    assert not chosen(open_source(skewed(100), layout="NTC", seed=0))  # a critic alone
    labels = np.arange(600) % 2
    assert not chosen(open_source(skewed(), labels=labels, layout="NTC", seed=0))


def test_levels_of_a_long_table_are_not_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{one},{step},{'ab'[rng.integers(2)]},{rng.normal():.2f}" for one in range(600) for step in range(4)]
    (tmp_path / "long.csv").write_text("\n".join(["who,when,kind,value", *lines]) + "\n")
    source = open_source(tmp_path / "long.csv", series="who", time="when", seed=0)
    assert not resolve_for(TrainSettings(steps=2), source).match_margins
    with pytest.raises(UserError, match="not for series of a long table"):
        trained(source, match_margins=True)


class Second(DistributedContext):
    """The second of two processes; the first one's answers are there already."""

    def __init__(self, answers: list[Any]) -> None:
        super().__init__(rank=1, count=2)
        self.answers = answers

    def on_rank_zero(self, work: Any) -> Any:
        return self.answers.pop(0)


class First(DistributedContext):
    """The first one, which keeps what it told."""

    def __init__(self) -> None:
        super().__init__(rank=0, count=2)
        self.told: list[Any] = []

    def on_rank_zero(self, work: Any) -> Any:
        self.told.append(work())
        return self.told[-1]


def test_one_process_calibrates_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "series.npy", skewed())
    how: dict[str, Any] = {"layout": "NTC", "steps": 2, "maps": 4, "previews": False, "tensorboard": False}
    train_run(TrainSettings(data=str(tmp_path / "series.npy"), **how), tmp_path / "run")
    alone = open_sampler(tmp_path / "run", device="cpu").draw(60, seed=1)
    folder = RunFolder(tmp_path / "run")
    (kept,) = folder.calibration.iterdir()
    kept.unlink()
    first = First()
    one = open_sampler(tmp_path / "run", device="cpu", processes=first)
    kept.unlink()  # the second one may not even see the folder

    def never(*args: Any, **further: Any) -> None:
        raise AssertionError("calibrated once more")

    monkeypatch.setattr("wassergan.modality.numbers.match_margins", never)
    other = open_sampler(tmp_path / "run", device="cpu", processes=Second(first.told))
    assert one.draw(60, seed=1).tobytes() == other.draw(60, seed=1).tobytes() == alone.tobytes()
    assert not list(folder.calibration.iterdir())
