import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.modality.recipes import resolve_for
from wassergan.runs.train import resume_run, train_run
from wassergan.session import build
from wassergan.session.restore import open_sampler
from wassergan.storage.run_folder import RunFolder

SIDES = st.one_of(st.sampled_from([8, 12, 17, 20, 33, 50]), st.integers(8, 64))


def pictures(count: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def resolved(shape: tuple[int, ...], **asked: Any) -> Any:
    return resolve_for(TrainSettings(**asked), open_source(pictures(40, *shape)))


@pytest.mark.parametrize(
    ("shape", "network"),
    [((8, 8), "mlp"), ((11, 30), "mlp"), ((12, 12), "conv"), ((28, 28), "conv"), ((33, 50, 3), "conv")],
)
def test_pictures_of_12_pixels_and_more_are_convolved(shape: tuple[int, ...], network: str) -> None:
    found = resolved(shape)
    assert found.network == network
    assert found.precision == ("auto" if network == "conv" else "float32")


def test_small_pictures_take_one_critic_step_and_other_samples_of_their_size_five() -> None:
    found = resolved((8, 8))
    assert (found.critic_steps, found.share_fakes, found.generator_lr, found.critic_lr) == (1, True, 2e-3, 3e-3)
    assert (found.schedule, found.schedule_steps, found.penalty_every) == ("inverse_sqrt", 2000, 2)
    assert found.overshoot == 1.3 and resolved((28, 28)).overshoot == 1
    assert resolved((8, 8), generator_widths=(8,)).critic_steps == 1
    assert resolved((8, 8), critic_steps=5).critic_steps == 5
    steady = resolved((8, 8), schedule="constant")
    assert (steady.schedule, steady.schedule_steps) == ("constant", 10_000)
    for shape, asked in (((64,), {}), ((11, 30), {}), ((8, 8), {"network": "conv"}), ((8, 8), {"preset": "wgan-gp"})):
        other = resolved(shape, **asked)
        assert (other.critic_steps, other.share_fakes, other.schedule) == (5, False, "constant")


def test_what_the_user_says_wins_over_the_recipe_for_pictures() -> None:
    found = resolved((28, 28), critic_steps=3, maps=8, precision="float32", critic_lr=1e-3)
    assert (found.network, found.critic_steps, found.maps, found.precision) == ("conv", 3, 8, "float32")
    assert found.critic_lr == 1e-3
    # High rates and a single critic step were measured for convolutions alone.
    for asked in ({"network": "mlp"}, {"generator_widths": (8,)}, {"critic_widths": (8,)}):
        other = resolved((28, 28), **asked)
        assert (other.network, other.critic_steps, other.critic_lr) == ("mlp", 5, 2e-3)
    assert resolved((28, 28), network="conv", critic_widths=(8,)).critic_steps == 1
    assert resolved((28, 28), preset="wgan-gp").critic_steps == 5


def test_the_generator_is_wider_than_a_penalised_critic_without_normalisation() -> None:
    found = resolved((28, 28))
    assert (found.maps, found.generator_maps, found.critic_norm, found.generator_norm) == (16, 32, "none", "batch")
    asked = resolved((28, 28), maps=8)
    assert (asked.maps, asked.generator_maps) == (8, 16)
    assert resolved((28, 28), maps=8, generator_maps=5).generator_maps == 5
    assert resolved((28, 28), critic_norm="layer").critic_norm == "layer"
    # A clipped critic needs its normalisation: its weights alone make scores that hardly differ.
    assert resolved((28, 28), constraint="clip").critic_norm == "layer"
    assert resolved((28, 28)).equalized_lr
    assert not resolved((28, 28), equalized_lr=False).equalized_lr
    for other in ({"constraint": "clip"}, {"constraint": "sn"}, {"preset": "wgan-gp"}, {"network": "mlp"}):
        assert not resolved((28, 28), **other).equalized_lr
    # The presets of papers have one number of maps.
    assert resolved((28, 28), preset="wgan-gp").generator_maps == resolved((28, 28), preset="wgan-gp").maps == 64


def test_rates_of_convolutions_fall_unless_another_schedule_is_asked_for() -> None:
    found = resolved((28, 28))
    assert (found.schedule, found.schedule_steps) == ("inverse_sqrt", 1000)
    assert resolved((28, 28), schedule="inverse_sqrt", schedule_steps=50).schedule_steps == 50
    assert resolved((28, 28), schedule_steps=50).schedule == "inverse_sqrt"
    assert resolved((28, 28), schedule="constant").schedule == "constant"
    # Linear rates would be 0 from step 1000 on: they have the steps that they have for other samples.
    others = resolved((8, 8), schedule="linear").schedule_steps
    assert resolved((28, 28), schedule="linear").schedule_steps == others > 1000


@pytest.mark.parametrize(("count", "pack", "batch"), [(400, 1, 64), (400, 3, 63), (40, 1, 18), (40, 5, 15), (14, 1, 6)])
def test_a_batch_takes_at_most_half_of_few_pictures(count: int, pack: int, batch: int) -> None:
    source = open_source(pictures(count, 12, 12))
    found = resolve_for(TrainSettings(pack=pack), source).batch_size
    assert found == batch and 2 * found <= source.train_count


def test_the_log_says_why_pictures_are_convolved_and_only_then() -> None:
    told: list[str] = []
    cases: list[tuple[tuple[int, int], dict[str, Any]]]
    cases = [((8, 8), {"network": "residual"}), ((28, 28), {"network": "mlp"}), ((28, 28), {"preset": "wgan"})]
    for shape, asked in cases:
        resolve_for(TrainSettings(**asked), open_source(pictures(200, *shape)), log=told.append)
    assert told == []
    resolve_for(TrainSettings(), open_source(pictures(200, 28, 28)), log=told.append)
    assert len(told) == 1 and told[0].startswith("Recipe for pictures: small convolutions")


@pytest.mark.parametrize("units", [True, False])
def test_convolutions_of_any_size_take_bfloat16_where_there_are_matrix_units(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(build, "has_bf16_units", lambda device: units)
    source = open_source(pictures(40, 12, 12))
    cases: list[tuple[dict[str, Any], str]]
    cases = [({}, "bf16" if units else "float32"), ({"precision": "float32"}, "float32")]
    for asked, found in cases:
        trainer = build.build_trainer(resolve_for(TrainSettings(batch_size=4, **asked), source), source)
        assert build.weight_count(trainer.generator, trainer.critic) < build.SMALL_WEIGHTS
        assert trainer.precision == found


@pytest.mark.slow
@pytest.mark.usefixtures("quick_figures")
@settings(max_examples=4)
@given(height=SIDES, width=SIDES, channels=st.integers(1, 5), count=st.sampled_from([20, 45, 130]))
def test_every_shape_trains_draws_and_resumes_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, channels: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("shapes")
    shape = (height, width) if channels == 1 else (height, width, channels)
    np.save(folder / "data.npy", pictures(count, *shape))
    asked: dict[str, Any] = {"data": str(folder / "data.npy"), "previews": False, "batch_size": 8, "threads": 1}
    asked["layout"] = "NHW" if channels == 1 else "NHWC"
    train_run(TrainSettings(steps=2, **asked), folder / "whole")
    train_run(TrainSettings(steps=1, **asked), folder / "halves")
    resume_run(folder / "halves", {"steps": 2})
    whole, halves = (open_sampler(folder / name).draw(9, seed=1) for name in ("whole", "halves"))
    assert whole.shape == (9, *shape) and whole.dtype == np.uint8
    assert (whole == halves).all()
    assert math.isfinite(float(whole.mean())) and RunFolder(folder / "whole").holds_run()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_figures")
def test_twenty_pictures_train_with_the_recipe_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", pictures(20, 20, 20))
    summary = train_run(TrainSettings(data=str(tmp_path / "data.npy"), steps=2, previews=False), tmp_path / "run")
    assert summary["steps"] == 2


def test_fields_from_12_places_on_have_the_recipe_of_pictures_and_are_not_augmented() -> None:
    values = np.random.default_rng(0).normal(size=(40, 14, 12)).astype("f4")
    told: list[str] = []
    found = resolve_for(TrainSettings(), open_source(values, layout="NHW"), log=told.append)
    of_pictures = resolved((14, 12))
    names = ("network", "constraint", "critic_steps", "critic_norm", "generator_lr", "critic_lr", "maps", "schedule")
    assert [getattr(found, name) for name in names] == [getattr(of_pictures, name) for name in names]
    assert found.network == "conv" and found.precision == "auto" and found.augment == "none"
    assert (found.upsampling, of_pictures.upsampling) == ("nearest", "transposed")
    assert len(told) == 1 and told[0].startswith("Recipe for fields, that of pictures")
    for channels, upsampling in ((1, "transposed"), (3, "nearest"), (4, "nearest")):
        values = np.random.default_rng(0).integers(0, 256, (40, 16, 16, channels)).astype("u1")
        assert resolve_for(TrainSettings(), open_source(values)).upsampling == upsampling
    for size, asked in (((11, 14), {}), ((14, 12), {"network": "mlp"}), ((14, 12), {"generator_widths": (8,)})):
        values = np.random.default_rng(0).normal(size=(40, *size)).astype("f4")
        assert resolve_for(TrainSettings(**asked), open_source(values, layout="NHW")).network == "mlp"
    labelled = open_source(values[:, :, :], layout="NHW", labels=[row % 3 for row in range(40)])
    assert resolve_for(TrainSettings(), labelled).critic_condition == "projection"
