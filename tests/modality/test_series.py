"""Series from a file to a page, in the units and the type that came."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wassergan import WassersteinGAN
from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.evaluation.series import scores
from wassergan.modality import modality_of
from wassergan.modality.recipes import resolve_for
from wassergan.modality.writing import write_samples
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.export import export_run, open_export
from wassergan.runs.recorder import write_run_report
from wassergan.runs.train import resume_run, train_run
from wassergan.runs.visualize import visualize_run
from wassergan.session.restore import open_sampler

STEPS, SMALL = 12, {"maps": 4, "batch_size": 16, "tensorboard": False, "previews": False, "precision": "float32"}


def waves(count: int = 120, seed: int = 0) -> NDArray[np.float64]:
    """Three channels: degrees around 300, counts, and a constant."""
    numbers = np.random.default_rng(seed)
    phase, steps = numbers.uniform(0, 6, (count, 1)), np.arange(STEPS)
    return np.stack(
        [300 + 5 * np.sin(0.7 * steps + phase), numbers.poisson(3, (count, STEPS)), np.full((count, STEPS), 7)], 2
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on series with gaps, trained for three steps, and its data."""
    folder = tmp_path_factory.mktemp("series")
    values = waves().astype(">f4")
    values[np.random.default_rng(1).random(values.shape[:2]) < 0.1, 0] = -999
    np.savez(folder / "data.npz", data=values, names=np.array(["warm", "count", "fixed"]))
    settings = TrainSettings(data=str(folder / "data.npz"), layout="NTC", missing=(-999,), steps=3, **SMALL)  # type: ignore[arg-type]
    train_run(settings, folder / "run")
    return folder


def drawn(path: Path, folder: Path, count: int = 9) -> NDArray[Any]:
    write_samples(open_sampler(folder / "run"), path, count=count, seed=4)
    found = np.load(path)
    values: NDArray[Any] = found["data"] if path.suffix == ".npz" else found
    return values


def test_series_come_back_as_they_came(folder: Path, tmp_path: Path) -> None:
    made = drawn(tmp_path / "made.npy", folder, 200)
    assert made.shape == (200, STEPS, 3) and made.dtype == np.dtype(">f4")
    np.testing.assert_array_equal(drawn(tmp_path / "made.npz", folder, 200), made)
    np.testing.assert_allclose(drawn(tmp_path / "few.npy", folder, 5), made[:5], rtol=1e-6)
    assert (made[:, :, 2] == 7).all()
    gone = made[:, :, 0] == -999
    assert 0.01 < gone.mean() < 0.3 and not (made[:, :, 1] == -999).any()
    assert (made[:, :, 0][~gone] > 290).all() and (made[:, :, 0][~gone] < 310).all()
    write_samples(open_sampler(folder / "run"), tmp_path / "made.png", count=3, seed=0)
    assert (tmp_path / "made.png").read_bytes()[:4] == b"\x89PNG"
    for name, message in (("made.csv", "Series of arrays are no table"), ("made", r"Series are written as \.npy, ")):
        with pytest.raises(UserError, match=message):
            write_samples(open_sampler(folder / "run"), tmp_path / name, count=3, seed=0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64", "bool", ">i4"])
def test_every_type_comes_back(dtype: str) -> None:
    values: NDArray[Any] = waves()[:, :, :2].round()
    values = (values % 2 > 0) if dtype == "bool" else (values % 200).astype(dtype)
    source = open_source(values, layout="NTC")
    assert source.kind == "series" and source.shape == (2, STEPS) and source.codec.layout == "NTC"
    back = source.codec.decode_numpy(source.train(torch.arange(source.train_count)))
    assert back.dtype == np.dtype(dtype)
    exact = 0 if np.dtype(dtype).kind in "iub" else 1e-3 if dtype == "float16" else 1e-5
    told = values[source.split.train.numpy()]
    np.testing.assert_allclose(back.astype(float), told.astype(float), rtol=exact, atol=exact)
    fitted = source.train(torch.arange(source.train_count))
    assert 0.5 < fitted[:, 1].std() < 1.5  # each channel has a scale of its own, eight-bit ones too


def test_three_axes_are_fields_unless_they_are_said_to_be_series() -> None:
    source = open_source(waves().astype("f4"))
    assert source.kind == "field"
    assert modality_of("field").facts(source) == {
        "read as": 'fields of 12 x 3; layout="NTC": series of 12 steps, 3 channels'
    }
    assert modality_of("series").facts(open_source(waves(), layout="NTC"))["steps"] == STEPS
    with pytest.raises(UserError, match="Layout NTC does not fit array: shape"):
        open_source(waves()[0], layout="NTC")


def test_a_run_is_judged_in_time_and_the_page_shows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "LEAST_SERIES", 10)
    monkeypatch.setattr(scores, "STEPS", 3)
    run = folder / "run"
    found = evaluate_run(EvaluateSettings(run=str(run), count=40))
    rows = {row["name"]: row for row in found["metrics"]}
    assert rows.keys() >= {"autocorrelation_w1", "cross_correlation_w1", "spectrum_w1", "increments_w1", "sliced_w1"}
    assert all(rows[name]["floor"] > 0 for name in ("autocorrelation_w1", "spectrum_w1", "increments_w1"))
    assert "Far from the data in time" in found["verdict"]["sentence"] and "far" in found["verdict"]["flags"]
    assert [row["name"] for row in found["channels"]] == ["warm", "count"]
    write_run_report(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Autocorrelation of single series" in text and "Amplitudes of single series" in text


def test_what_a_run_has_learnt_is_drawn_and_exported(folder: Path, tmp_path: Path) -> None:
    names = ["series.png", "autocorrelation.png", "spectrum.png"]
    assert [path.name for path in visualize_run(folder / "run", tmp_path / "seen", count=20)] == names
    own = open_sampler(folder / "run").draw(6, seed=2)
    for form in ("safetensors", "onnx", "pt2"):
        export_run(folder / "run", tmp_path / f"g.{form}")
    exported = open_export(tmp_path / "g.safetensors")
    assert exported.kind == "series"
    np.testing.assert_array_equal(exported.draw(6, seed=2), own)


@pytest.mark.parametrize("network", ["conv", "recurrent"])
def test_a_resumed_run_is_the_run_that_was_not_stopped(network: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", waves()[:, :, :2])
    settings = TrainSettings(data=str(tmp_path / "a.npy"), layout="NTC", network=network, steps=4, **SMALL)  # type: ignore[arg-type]
    train_run(settings, tmp_path / "whole")
    train_run(replace(settings, steps=2), tmp_path / "half")
    resume_run(tmp_path / "half", {"steps": 4})
    whole, half = (open_sampler(tmp_path / name).draw(5) for name in ("whole", "half"))
    np.testing.assert_array_equal(whole, half)


@pytest.mark.parametrize("preset", ["wgan", "wgan-gp", "sn-wgan", "default"])
def test_every_preset_takes_series(preset: str, tmp_path: Path) -> None:
    source = open_source(waves(40)[:, :, :2], layout="NTC")
    settings = resolve_for(TrainSettings(preset=preset, steps=2), source)
    assert settings.network == ("mlp" if preset == "wgan" else "conv")


def test_the_estimator_draws_series() -> None:
    rows = waves().astype("f4")
    small = {name: value for name, value in SMALL.items() if name in ("maps", "precision")}
    gan = WassersteinGAN(
        steps=2, batch_size=16, precision="float32", settings={"layout": "NTC", "maps": small["maps"]}
    ).fit(rows)
    made = gan.sample(7, seed=1)
    assert made.shape == (7, STEPS, 3) and made.dtype == np.float32 and (made[:, :, 2] == 7).all()
    np.testing.assert_allclose(gan.sample(3, seed=1), made[:3], rtol=1e-5)


def test_labels_are_conditions_of_series(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", waves()[:, :, :2])
    np.save(tmp_path / "kind.npy", np.arange(120) % 3)
    settings = TrainSettings(
        data=str(tmp_path / "a.npy"),
        labels=str(tmp_path / "kind.npy"),
        layout="NTC",
        steps=2,
        **SMALL,  # type: ignore[arg-type]
    )
    train_run(settings, tmp_path / "run")
    sampler = open_sampler(tmp_path / "run")
    write_samples(sampler, tmp_path / "made.npz", count=6, seed=0)
    assert np.load(tmp_path / "made.npz")["data"].shape == (6, STEPS, 2)
    assert len((tmp_path / "made.conditions.csv").read_text().splitlines()) == 7
