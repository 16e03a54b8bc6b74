"""Numbers of generated samples distributed, one by one, as those of the data."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from wassergan import open_sampler
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source, open_source
from wassergan.errors import UserError
from wassergan.modality import modality_of
from wassergan.modality.recipes import resolve_for
from wassergan.networks import Bounded, Matched, Partial, matched
from wassergan.runs.train import train_run
from wassergan.sampling.matching import match_margins
from wassergan.session.build import build_trainer
from wassergan.storage.run_folder import RunFolder
from wassergan.training import DistributedContext, Trainer, sample_chunks
from wassergan.training.analytic.generator import ConvGeneratorPasses

ONE = torch.tensor(1.0)


def small_pictures(count: int = 400, *, seed: int = 0) -> np.ndarray[Any, Any]:
    """Pictures of 6 x 6 with seven levels, many of them black, and the last row always."""
    levels = np.random.default_rng(seed).normal(0, 3, (count, 6, 6)) + np.arange(6)
    levels[:, 5] = 0
    return levels.round().clip(0, 6).astype("u1")


def settings_of(source: Source, **settings: Any) -> ResolvedSettings:
    asked: dict[str, Any] = {
        "steps": 3, "batch_size": 32, "generator_widths": (16,), "critic_widths": (16,), "threads": 1,
        "precision": "float32", "latent_dim": 8,
    }  # fmt: skip
    return resolve_for(TrainSettings(**(asked | settings)), source)


def trained(source: Source, processes: DistributedContext | None = None, **settings: Any) -> Trainer:
    trainer = build_trainer(settings_of(source, **settings), source, processes or DistributedContext())
    trainer.train(steps=3, tick_due=lambda step: step == 3)
    return trainer


def test_without_a_match_it_is_the_bounded_map() -> None:
    plain = Bounded(-ONE, 2 * ONE, overshoot=1.3)
    own = matched(Bounded(-ONE, 2 * ONE, overshoot=1.3), (1, 3, 5))
    values = 4 * torch.randn(50, 1, 3, 5, generator=torch.Generator().manual_seed(0))
    assert isinstance(own, Matched)
    for training in (True, False):
        plain.train(training)
        own.train(training)
        torch.testing.assert_close(own(values), plain(values), atol=1e-5, rtol=0)
    lower = torch.tensor([-1.0, 0.0, 2.0])  # a range for each number
    plain, own = Bounded(lower, lower + 3).eval(), matched(Bounded(lower, lower + 3), (3,)).eval()
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(own(rows), plain(rows), atol=1e-5, rtol=0)


def test_each_number_has_the_quantiles_of_the_data() -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.stack([torch.randn(5000, generator=rng) / 2, torch.rand(5000, generator=rng)], 1).clamp(-1, 1)
    raw = torch.stack([torch.rand(8000, generator=rng) - 0.9, torch.randn(8000, generator=rng)], 1)
    head = matched(Bounded(-ONE, ONE), (2,)).eval()
    assert isinstance(head, Matched)
    head.aim(real)
    head.match(head.reached(raw[:4000]))
    found = head(raw[4000:])
    for number in (0, 1):
        levels = torch.linspace(0.05, 0.95, 19)
        wanted, own = (torch.quantile(each[:, number], levels) for each in (real, found))
        assert (wanted - own).abs().max() < 0.04
        assert (torch.quantile(raw[4000:, number], levels) - wanted).abs().max() > 0.3
        order = raw[4000:, number].argsort()
        assert (found[order, number].diff() >= 0).all()  # what was larger is not smaller


@pytest.mark.parametrize("black", [0.2, 0.7])
def test_ends_become_as_frequent_as_in_the_data_more_and_less(black: float) -> None:
    rng = torch.Generator().manual_seed(0)
    real = (torch.rand(4000, 1, generator=rng) > black).float() * 2 - 1
    head = matched(Bounded(-ONE, ONE, overshoot=1.3), (1,)).eval()
    assert isinstance(head, Matched)
    raw = torch.randn(4000, 1, generator=rng) - 0.8
    ends = float((Bounded(-ONE, ONE, overshoot=1.3)(raw) == -1).float().mean())
    assert 0.3 < ends < 0.6
    head.aim(real)
    head.match(head.reached(raw))
    assert float((head(raw) < 0).float().mean()) == pytest.approx(black, abs=0.02)


def test_rare_values_and_the_ends_of_long_tails_are_drawn_as_often_as_they_are_there() -> None:
    rng = np.random.default_rng(0)
    rare, heavy = (rng.random((8000, 1)) < 1 / 500) * 2.0 - 1, rng.standard_t(3, (8000, 1)) / 40
    head = matched(Bounded(-ONE, ONE), (2,)).eval()
    assert isinstance(head, Matched)
    head.aim(torch.from_numpy(np.concatenate([rare, heavy], 1)).float())
    raw = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0)) / 4
    head.match(head.reached(raw[:8000]))
    found = head(raw[8000:]).double().numpy()
    assert 1 / 1000 < (found[:, 0] > -1).mean() < 1 / 250
    assert found[:, 1].std() == pytest.approx(heavy.std(), rel=0.03)
    for end in ("min", "max"):
        assert getattr(found[:, 1], end)() == pytest.approx(getattr(heavy, end)(), rel=0.05)
    for level in (found[:, 1].min(), found[:, 1].max()):
        assert (found[:, 1] == level).mean() < 0.001  # nothing heaps up there
    for share in (0.001, 0.002, 0.998, 0.999):
        wanted = np.quantile(heavy, share)
        assert np.quantile(found[:, 1], share) == pytest.approx(wanted, rel=0.25)


def test_checkpoints_without_tails_draw_as_they_did() -> None:
    rng = torch.Generator().manual_seed(0)
    real, raw = torch.randn(4000, 3, generator=rng) / 3, torch.randn(8000, 3, generator=rng) / 2
    head = matched(Bounded(-2 * ONE, 2 * ONE), (3,)).eval()
    assert isinstance(head, Matched)
    head.aim(real)
    held = {name: each for name, each in head.state_dict().items() if name != "tails"}
    head.load_state_dict(held)
    head.match(head.reached(raw))
    found = head(raw)
    order = real.sort(0).values
    lowest, highest = order[int(4000 * 0.5 / 129)], order[int(4000 * 128.5 / 129)]
    assert torch.equal(found.min(0).values, lowest) and torch.equal(found.max(0).values, highest)


@pytest.mark.parametrize(("drawn", "kept"), [(0.99, 1.0), (0.76, 1.0), (0.3, 1.0)])
def test_ends_that_many_draws_reach_alike_do_not_change_places(drawn: float, kept: float) -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.where(torch.rand(4000, 1, generator=rng) < 0.5, 1.0, -0.8)
    head = matched(Bounded(-ONE, ONE), (1,)).eval()
    assert isinstance(head, Matched)
    head.aim(real)
    raw = torch.where(torch.rand(4000, 1, generator=rng) < drawn, 50.0, -0.5)  # tanh is 1 there, exactly
    head.match(head.reached(raw))
    found = head(raw)
    assert (found[raw > 0] - kept).abs().max() < 1e-6
    assert found.min() >= real.min() and found.max() <= real.max()
    head.aim(torch.where(torch.rand(4000, 1, generator=rng) < 0.99, 1.0, -1.0))
    head.match(torch.ones(100, 1))  # all alike
    torch.testing.assert_close(head(torch.full((5, 1), 50.0)), torch.ones(5, 1))


def drawn_by(trainer: Trainer, source: Source, count: int = 3000) -> np.ndarray[Any, Any]:
    """Samples of the averaged generator, set right as a run is when it is opened."""
    generator = copy.deepcopy(trainer.averaged_generator)
    if source.conditions is None:
        modality_of(source.kind).calibrate(generator, source.codec, latent_dim=8)
    else:
        match_margins(generator, latent_dim=8, conditions=source.conditions)
    chunks = sample_chunks(generator, count, latent_dim=8, seed=5, conditions=source.conditions)
    return source.codec.decode_numpy(torch.cat(list(chunks)))


def worst_share(drawn: np.ndarray[Any, Any], source: Source) -> float:
    """How far the share of a level at a place is from that of the training samples, at most."""
    train = source.codec.decode_numpy(source.train_sample(400))
    return float(np.abs([(drawn == level).mean(0) - (train == level).mean(0) for level in range(7)]).max())


def test_an_opened_generator_has_the_levels_of_the_data_at_each_place() -> None:
    source = open_source(small_pictures(), layout="NHW", seed=0)
    trainer, resolved = trained(source), settings_of(source)
    assert resolved.match_margins and resolved.overshoot == 1.3  # the recipe of small pictures
    drawn = drawn_by(trainer, source)
    assert drawn.shape == (3000, 6, 6) and not drawn[:, 5].any()
    assert worst_share(drawn, source) < 0.05
    assert worst_share(drawn_by(trained(source, match_margins=False), source), source) > 0.2
    assert drawn_by(trainer, source, 100).tobytes() == drawn[:100].tobytes()


def test_training_goes_on_bit_for_bit_and_weights_count() -> None:
    source = open_source(small_pictures(), layout="NHW", seed=0)
    whole = trained(source)
    half = build_trainer(settings_of(source), source)
    half.train(steps=1)
    later = build_trainer(settings_of(source), source)
    later.load_state_dict(half.state_dict())
    later.train(steps=3)
    for name, value in whole.averaged_generator.state_dict().items():
        assert torch.equal(value, later.averaged_generator.state_dict()[name]), name


def test_two_processes_aim_alike(spawn: Callable[..., list[Any]]) -> None:
    data = small_pictures()

    def train(processes: DistributedContext) -> dict[str, Any]:
        trainer = trained(open_source(data, layout="NHW", seed=0), processes)
        return {name: each.numpy().copy() for name, each in trainer.averaged_generator.state_dict().items()}

    first, second = spawn(train)
    for name, value in train(DistributedContext()).items():
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], value, rtol=0, atol=2e-3, err_msg=name)


def test_conditions_have_one_map_over_all_of_them() -> None:
    labels = np.arange(400) % 2
    data = np.where(labels[:, None, None] == 1, 6 - small_pictures(), small_pictures()).astype("u1")
    source = open_source(data, layout="NHW", labels=labels, condition=("label",), seed=0)
    assert not settings_of(source).match_margins  # the recipe leaves them out
    trainer = trained(source, match_margins=True)
    assert worst_share(drawn_by(trainer, source), source) < 0.05


def test_steps_of_convolutions_are_the_same_with_and_without() -> None:
    data = np.random.default_rng(0).integers(0, 256, (100, 14, 12), "u1")
    source = open_source(data, layout="NHW", seed=0)
    small: dict[str, Any] = {"maps": 2, "generator_maps": 2, "generator_widths": None, "critic_widths": None}
    assert settings_of(source, **small).match_margins
    with_map, without = (trained(source, **small, match_margins=each) for each in (True, False))
    for (name, one), (_, two) in zip(
        with_map.generator.named_parameters(), without.generator.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name
    passes = [ConvGeneratorPasses.of(each.generator) for each in (with_map, without)]
    assert all(each is not None for each in passes)


def test_the_recipe_leaves_out_what_it_cannot_match() -> None:
    large = np.random.default_rng(0).integers(0, 256, (100, 33, 32, 3), "u1")
    assert not settings_of(
        open_source(large, layout="NHWC", seed=0), maps=2, generator_widths=None, critic_widths=None
    ).match_margins
    gaps = np.random.default_rng(0).normal(size=(100, 6, 6))
    gaps[::2, 0, 0] = np.nan
    trained(open_source(gaps, layout="NHW", seed=0))  # fields do not ask for it


def test_flipped_pictures_belong_to_the_data_where_they_are_learnt() -> None:
    source = open_source(small_pictures(), layout="NHW", seed=0)
    drawn = drawn_by(trained(source, mirror=True), source)
    train = source.codec.decode_numpy(source.train_sample(400))
    both = np.concatenate([train, train[:, :, ::-1]])
    assert np.abs([(drawn == level).mean(0) - (both == level).mean(0) for level in range(7)]).max() < 0.05
    assert worst_share(drawn, source) > 0.1


def test_what_was_matched_is_kept_and_believed_if_it_is_of_this_generator(tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", small_pictures())
    run = tmp_path / "run"
    settings = TrainSettings(
        data=str(tmp_path / "small.npy"), layout="NHW", steps=3, batch_size=32, generator_widths=(16,),
        critic_widths=(16,), latent_dim=8, previews=False, tensorboard=False,
    )  # fmt: skip
    train_run(settings, run)

    def draws() -> bytes:
        return open_sampler(run, device="cpu").draw(300, seed=3).tobytes()

    first = draws()
    (file,) = RunFolder(run).calibration.iterdir()
    written = file.stat().st_mtime_ns
    assert draws() == first and file.stat().st_mtime_ns == written
    head = matched(Bounded(-ONE, ONE), (1, 6, 6))
    assert isinstance(head, Matched)
    head.match(torch.randn(500, 1, 6, 6))
    sound = head.calibration_state()["knots"]
    for wrong in (sound[:-1], sound.double(), sound.flip(0), torch.full_like(sound, torch.nan), sound[:, :, :5]):
        with pytest.raises(ValueError, match="another generator"):
            head.load_calibration({"knots": wrong})
    RunFolder(run).calibration.joinpath(file.name).unlink()
    assert draws() == first


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(UserError, match="at most 3072 numbers"):
        matched(Bounded(-ONE, ONE), (3, 32, 33))
    with pytest.raises(UserError, match="arrays of numbers"):
        matched(nn.Tanh(), (4,))
    gaps = Partial(Bounded(-ONE, ONE), torch.ones(3, 2, dtype=torch.bool), torch.ones(2, 2), torch.tensor([0, -1]))
    assert gaps.masks == 1
    with pytest.raises(UserError, match="nothing is missing"):
        matched(gaps, (3, 2))
    fine = np.random.default_rng(0).normal(size=(60, 8, 8)).astype("float32")
    coarse = fine.reshape(60, 4, 2, 4, 2).mean((2, 4))
    given = open_source(fine, condition_array=coarse, layout="NHW", seed=0)
    with pytest.raises(UserError, match="drawn given others"):
        build_trainer(settings_of(given, network="conv", generator_widths=None, critic_widths=None,
                                  match_margins=True, maps=2), given)  # fmt: skip
    assert matched(Bounded(-ONE, ONE), (1, 32, 32))
