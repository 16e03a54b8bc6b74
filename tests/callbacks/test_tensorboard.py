from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wassergan.callbacks import Callback, TensorBoardCallback
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage.run_log import read_log

pytest.importorskip("tensorboard")


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    np.save(tmp_path / "pictures.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    return TrainSettings(
        str(tmp_path / "pictures.npy"),
        latent_dim=3,
        generator_widths=(8,),
        critic_widths=(8,),
        batch_size=8,
        critic_steps=2,
        tick_steps=4,
    )


def events(folder: Path) -> Any:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    reader.Reload()
    return reader


def steps(reader: Any, tag: str = "distance/patch_sliced_w1") -> list[int]:
    return [event.step for event in reader.Scalars(tag)]


@pytest.mark.usefixtures("quick_figures")
def test_every_logged_number_is_a_scalar_at_its_step(tmp_path: Path, settings: TrainSettings) -> None:
    train_run(replace(settings, steps=9, w1_every=8), tmp_path / "run")
    reader = events(tmp_path / "run")
    written = {
        (tag.split("/")[1], event.step): event.value
        for tag in reader.Tags()["scalars"]
        for event in reader.Scalars(tag)
    }
    logged = {
        (name, record["step"]): np.float32(value)
        for record in read_log(tmp_path / "run" / "log.jsonl")
        for name, value in record.items()
        if name != "step"
    }
    # The settings carry the score as a column, without a step.
    assert written == logged
    headings = {tag.split("/")[1]: tag.split("/")[0] for tag in reader.Tags()["scalars"]}
    expected = {
        "critic_gap": "critic",
        "gradient_norm_mean": "critic",
        "penalty": "critic",
        "critic_lr": "critic",
        "patch_sliced_w1_floor": "distance",
        "patch_sliced_w1_8": "distance",
        "w1_upper": "distance",
        "generator_loss": "generator",
        "seconds": "time",
        "elapsed_seconds": "time",
        "samples_per_second": "time",
    }
    assert {name: headings[name] for name in expected} == expected


def test_the_sample_grid_of_every_tick_is_an_image(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=6), folder)
    images = events(folder).Images("samples")
    assert [image.step for image in images] == [0, 4, 6]
    for image in images:
        picture = Image.open(BytesIO(image.encoded_image_string))
        grid = np.asarray(Image.open(folder / "samples" / f"step-{image.step:09d}.png").convert("RGB"), dtype=float)
        assert picture.format == "JPEG" and (image.width, image.height) == picture.size
        assert np.abs(np.asarray(picture, dtype=float) - grid).mean() < 12  # not the bits: these lie beside
    train_run(replace(settings, steps=6, previews=False), tmp_path / "other")
    assert events(tmp_path / "other").Tags()["images"] == []


@pytest.mark.usefixtures("quick_figures")
def test_the_resolved_settings_are_text_and_hyperparameters(tmp_path: Path, settings: TrainSettings) -> None:
    train_run(replace(settings, steps=3), tmp_path / "run")
    reader = events(tmp_path / "run")
    (text,) = reader.Tensors("settings/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    assert '| constraint | "lp" |' in table and "| generator_widths | [8] |" in table and "w1_every" not in table
    from tensorboard.plugins.hparams import plugin_data_pb2

    content = plugin_data_pb2.HParamsPluginData.FromString(
        reader.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    )
    hparams = content.session_start_info.hparams
    assert hparams["constraint"].string_value == "lp" and hparams["generator_widths"].string_value == "[8]"
    assert hparams["latent_dim"].number_value == 3 and hparams["previews"].string_value == "true"
    assert len([path for path in (tmp_path / "run" / "tensorboard").rglob("*") if path.is_dir()]) == 0


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize("checkpoint", ["latest", "4", "0"])
def test_a_resumed_run_shows_every_step_once(tmp_path: Path, settings: TrainSettings, checkpoint: str) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=9, keep=9), folder)
    resume_run(folder, {"steps": 13}, checkpoint=checkpoint)
    expected = [record["step"] for record in read_log(folder / "log.jsonl")]
    reader = events(folder)
    assert steps(reader) == [image.step for image in reader.Images("samples")] == expected
    values = {record["step"]: np.float32(record["patch_sliced_w1"]) for record in read_log(folder / "log.jsonl")}
    assert {event.step: event.value for event in reader.Scalars("distance/patch_sliced_w1")} == values


@pytest.mark.usefixtures("quick_figures")
def test_each_tick_is_on_disk_when_the_next_step_begins(tmp_path: Path, settings: TrainSettings) -> None:
    found: list[list[int]] = []

    class Reader(Callback):
        def on_step_end(self, trainer: Any) -> None:
            found.append(steps(events(tmp_path / "run")))

    train_run(replace(settings, steps=5), tmp_path / "run", callback=Reader())
    assert found == [[0]] * 4 + [[0, 4]]


@pytest.mark.usefixtures("quick_figures")
def test_what_is_off_is_off(tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    train_run(replace(settings, steps=3, tensorboard=False), tmp_path / "off")
    assert not (tmp_path / "off" / "tensorboard").exists()
    resume_run(tmp_path / "off", {"steps": 4, "tensorboard": True})
    assert steps(events(tmp_path / "off")) == [4]
    monkeypatch.setattr("wassergan.runs.recorder.tensorboard_installed", lambda: False)
    train_run(replace(settings, steps=3), tmp_path / "absent")
    assert not (tmp_path / "absent" / "tensorboard").exists()


@pytest.mark.usefixtures("quick_figures")
def test_asked_for_and_not_installed_is_told_before_anything_is_written(
    tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wassergan.callbacks.tensorboard.find_spec", lambda name: None)
    message = r"TensorBoard is not installed. Pip install 'wassergan\[tensorboard\]', or train with tensorboard=False"
    with pytest.raises(UserError, match=message):
        train_run(replace(settings, steps=3, tensorboard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_closing_what_never_started_is_nothing() -> None:
    TensorBoardCallback().on_close()
