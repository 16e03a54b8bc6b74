"""Fields of two channels with land and gaps, from training to every other verb."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan import open_sampler
from wassergan.cli.main import main
from wassergan.data import Codec
from wassergan.estimator.wasserstein_gan import WassersteinGAN
from wassergan.runs.export import export_run, open_export
from wassergan.runs.export.description import codec_of, describe
from wassergan.session.run_content import load_run
from wassergan.storage.checkpoint import save_checkpoint
from wassergan.storage.run_folder import RunFolder

LAND = np.zeros((5, 6), bool)
LAND[:2, :3] = True


@pytest.fixture
def run(tmp_path: Path, tiny: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)
    values = np.stack([280 + 10 * rng.normal(size=(130, 5, 6)), 0.008 + 0.002 * rng.normal(size=(130, 5, 6))], 1)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 0][:, LAND], values[:, 1][:, LAND] = np.nan, 0.1
    np.save(tmp_path / "data.npy", values.astype("f4"))
    flags = ("--out", str(tmp_path / "run"), "--steps", "3", "--channels", "t,q", "--layout", "NCHW", *tiny)
    assert main(["train", str(tmp_path / "data.npy"), *flags]) in (0, None)
    return tmp_path / "run"


def held_to(samples: Any) -> None:
    assert samples.dtype == np.float32 and samples.shape[1:] == (2, 5, 6)
    assert np.isnan(samples[:, 0][:, LAND]).all() and (samples[:, 1][:, LAND] == np.float32(0.1)).all()
    rest = np.isnan(samples[:, 0][:, ~LAND])
    assert rest.mean() == pytest.approx(0.2, abs=0.04)


def test_a_run_samples_resumes_looks_and_judges(run: Path, cli: Callable[..., Any]) -> None:
    held_to(open_sampler(run).draw(500))
    cli("sample", run, "--count", "20", "--out", run / "s.npy")
    assert (np.load(run / "s.npy")[:, 1][:, LAND] == np.float32(0.1)).all()
    assert cli("resume", run, "--steps", "5").code == 0
    assert cli("visualize", run, "--count", "10").code == 0
    assert (run / "visualization" / "fields.png").exists()
    assert cli("evaluate", run, "--count", "20").code == 0
    channels = json.loads((run / "metrics.json").read_text())["channels"]
    assert [row["name"] for row in channels] == ["t", "q"]
    assert channels[0]["missing_real"] == pytest.approx(0.2, abs=0.1)
    assert '<table id="channels">' in (run / "report.html").read_text()


def test_exports_decode_as_the_run(run: Path, tmp_path: Path) -> None:
    sampler = open_sampler(run)
    export_run(run, tmp_path / "g.safetensors")
    np.testing.assert_array_equal(open_export(tmp_path / "g.safetensors").draw(50), sampler.draw(50))
    description = json.loads(json.dumps(describe(load_run(RunFolder(run)), sampler)))
    noise = torch.randn(20, 4, 5, 6)
    np.testing.assert_array_equal(codec_of(description).decode_numpy(noise), sampler.codec.decode_numpy(noise))
    assert np.shape(description["decoder"]["scale"]) == (2, 1, 1) and description["decoder"]["channels"] == ["t", "q"]


# One scale for all channels: runs of older releases go on with it.
def test_a_run_with_the_former_scale_goes_on_with_it(tmp_path: Path, tiny: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "data.npy", rng.normal(size=(60, 2, 5, 6)) * np.array([1, 9])[:, None, None])
    flags = ("--steps", "3", "--layout", "NCHW", "--scale", "array", *tiny)
    main(["train", str(tmp_path / "data.npy"), "--out", str(tmp_path / "run"), *flags])
    place = RunFolder(tmp_path / "run")
    content = load_run(place).content()
    content["settings"]["scale"] = "auto"  # what the flag was, when auto meant this
    for name in ("parts", "base", "channels"):
        content["codec"].pop(name)
    save_checkpoint(place.latest, content)
    main(["resume", str(tmp_path / "run"), "--steps", "5"])
    codec = open_sampler(tmp_path / "run").codec
    assert isinstance(codec, Codec) and codec.offset.shape == () and load_run(place).step == 5


@pytest.mark.parametrize("shape", [(4,), (5, 6), (2, 5, 6)])
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_values_that_may_be_missing_everywhere_are_missing_as_often_as_in_the_data(
    shape: tuple[int, ...], share: float
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, *shape)).astype("f4")
    values[rng.random(values.shape) < share] = np.nan
    layout = {"settings": {"layout": "NCHW"}} if len(shape) == 3 else {}
    gan = WassersteinGAN(steps=2, batch_size=8, **layout).fit(values)  # type: ignore[arg-type]
    rates, real = (np.isnan(each).mean(0) for each in (gan.sample(3000, seed=0), values))
    np.testing.assert_allclose(rates, real, atol=0.04)


def test_the_estimator_takes_and_gives_masked_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.ma.masked_array(rng.integers(0, 256, (60, 5, 6)).astype(">u2"), rng.random((60, 5, 6)) < 0.2)
    values.mask[:, LAND], values.fill_value = True, 9
    gan = WassersteinGAN(steps=2, batch_size=8).fit(values)
    drawn = gan.sample(300, seed=0)
    assert isinstance(drawn, np.ma.MaskedArray) and drawn.dtype == np.dtype(">u2") and drawn.fill_value == 9
    assert drawn.mask[:, LAND].all() and drawn.mask[:, ~LAND].mean() == pytest.approx(0.2, abs=0.03)
    assert drawn.max() <= 255 and gan.score(values) < 0
