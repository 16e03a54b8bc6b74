"""Volumes from a file to a page, in the units, the phases and the format that came."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from wassergan import WassersteinGAN
from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import open_source
from wassergan.data.readers.tiff import read_tiff, write_tiff
from wassergan.data.stored import codec_from_state
from wassergan.data.volumes import VolumeCodec
from wassergan.data.volumes.crops import CropReader
from wassergan.errors import UserError
from wassergan.modality import modality_of
from wassergan.modality.recipes import resolve_for
from wassergan.modality.writing import write_samples
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.export import export_run, open_export
from wassergan.runs.recorder import write_run_report
from wassergan.runs.train import resume_run, train_run
from wassergan.runs.visualize import visualize_run
from wassergan.session.restore import open_sampler

SIDES = (8, 9, 6)
SMALL: dict[str, Any] = {
    "maps": 2,
    "generator_maps": 2,
    "batch_size": 8,
    "tensorboard": False,
    "previews": False,
    "precision": "float32",
}


def blobs(count: int = 80, seed: int = 0) -> NDArray[np.float64]:
    """Smoothed noise (n, 8, 9, 6)."""
    noise = np.random.default_rng(seed).normal(size=(count, *SIDES))
    smooth: NDArray[np.float64] = ndimage.gaussian_filter(noise, (0, 1, 1, 1))
    return smooth / smooth.std()


def phases(values: NDArray[np.float64], *levels: Any, dtype: str = "u1") -> NDArray[Any]:
    cuts = np.quantile(values, np.arange(1, len(levels)) / len(levels))
    return np.array(levels, dtype)[np.digitize(values, cuts)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three steps on crops of a TIFF with two phases, and on volumes with three."""
    folder = tmp_path_factory.mktemp("volumes")
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 26, 28)), 2)
    write_tiff(phases(noise, 0, 255), folder / "rock.tif")
    np.savez(folder / "three.npz", data=phases(blobs(), -2, 7, 300, dtype=">i2"))
    train_run(TrainSettings(data=str(folder / "rock.tif"), crop=(8, 9, 6), steps=3, **SMALL), folder / "rock")
    train_run(TrainSettings(data=str(folder / "three.npz"), layout="NDHW", steps=3, **SMALL), folder / "three")
    return folder


def test_phases_come_back_in_their_type_and_in_every_format(folder: Path, tmp_path: Path) -> None:
    for run, levels, dtype in (("rock", {0, 255}, "u1"), ("three", {-2, 7, 300}, ">i2")):
        sampler = open_sampler(folder / run)
        for name in ("made.npy", "made.npz"):
            write_samples(sampler, tmp_path / name, count=40, seed=4)
        made = np.load(tmp_path / "made.npy")
        assert made.shape == (40, *SIDES) and made.dtype == np.dtype(dtype) and set(np.unique(made)) <= levels
        np.testing.assert_array_equal(np.load(tmp_path / "made.npz")["data"], made)
        np.testing.assert_array_equal(sampler.draw(5, seed=4), made[:5])
    sampler = open_sampler(folder / "rock")
    made = sampler.draw(3, seed=1)
    write_samples(sampler, tmp_path / "one.tif", count=1, seed=1)
    np.testing.assert_array_equal(read_tiff(tmp_path / "one.tif"), made[0])
    write_samples(sampler, tmp_path / "many", count=3, seed=1)
    for index in range(3):
        np.testing.assert_array_equal(read_tiff(tmp_path / "many" / f"{index}.tif"), made[index])
    write_samples(sampler, tmp_path / "made.png", count=3, seed=0)
    for name, count, message in (
        ("a.tif", 2, "A TIFF file holds one volume: 2 to be written to"),
        ("a.csv", 2, r"Volumes are written as \.npy"),
    ):
        with pytest.raises(UserError, match=message):
            write_samples(sampler, tmp_path / name, count=count, seed=0)
    with pytest.raises(UserError, match="Such volumes are not written as TIFF: int16"):
        write_samples(open_sampler(folder / "three"), tmp_path / "b.tif", count=1, seed=0)


def test_phases_are_as_frequent_as_in_the_training_samples(folder: Path) -> None:
    for run in ("rock", "three"):
        sampler = open_sampler(folder / run)
        codec = sampler.codec
        assert isinstance(codec, VolumeCodec)
        made = sampler.draw(1024, seed=9)
        assert np.allclose([(made == phase).mean() for phase in codec.phases], codec.shares[0], atol=0.02), run
    source = open_source(folder / "rock.tif", crop=(8, 9, 6))
    assert isinstance(source.codec, VolumeCodec) and isinstance(source.reader, CropReader)
    seen = np.zeros(source.reader.volumes.shape[2:], bool)
    for _, z, y, x in source.reader.starts[source.split.train.numpy()]:
        seen[z : z + 8, y : y + 9, x : x + 6] = True
    rock = read_tiff(folder / "rock.tif")
    held = np.zeros_like(seen)
    for _, z, y, x in source.reader.starts[source.split.heldout.numpy()]:
        held[z : z + 8, y : y + 9, x : x + 6] = True
    assert source.codec.shares[0][1] == pytest.approx((rock[~held] == 255).mean()) and not (seen & held).any()


@pytest.mark.parametrize("layout", ["NDHW", "NDHWC", "NCDHW"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float32", "float64", "bool", ">u2"])
@pytest.mark.parametrize("count", [2, 4, 100])
def test_every_type_and_layout_comes_back(layout: str, dtype: str, count: int) -> None:
    values = blobs(20)
    levels = np.linspace(3, 103, count) if dtype != "bool" else (0, 1)
    values = phases(values, *np.round(levels), dtype=dtype)
    if layout != "NDHW":
        second = values[::-1].copy()
        values = np.stack([values, second], 4 if layout == "NDHWC" else 1).astype(dtype)
    source = open_source(values, layout=layout)
    few = dtype == "bool" or count <= 8
    planes = 4 if count == 4 and dtype != "bool" else 1
    channels = 1 if layout == "NDHW" else 2
    assert source.kind == "volume" and source.shape == (channels * (planes if few else 1), *SIDES)
    assert isinstance(source.codec, VolumeCodec) and bool(source.codec.phases) == few
    codec = codec_from_state(source.codec.state())
    back = codec.decode_numpy(source.train(torch.arange(source.train_count)))
    assert back.dtype == np.dtype(dtype)
    exact = 0 if few or np.dtype(dtype).kind in "iub" else 0.1 if dtype == "float16" else 1e-4
    np.testing.assert_allclose(back.astype(float), values[source.split.train.numpy()].astype(float), atol=exact)
    if not few:  # eight-bit volumes too: no grey levels of pictures
        assert 0.8 < source.train(torch.arange(source.train_count)).std() < 1.2


def test_generated_values_belong_to_the_nearest_phase() -> None:
    two, three = (open_source(phases(blobs(), *levels), layout="NDHW").codec for levels in ((3, 9), (0, 1, 7)))
    values = torch.tensor([-5.0, -0.01, 0.01, 2.0]).view(1, 1, 1, 1, 4)
    assert two.decode_numpy(values).ravel().tolist() == [3, 3, 9, 9]
    planes = torch.tensor([[0.2, -1, 0.9], [0.3, 0, -0.9], [0.1, 0.5, 0.8]]).view(1, 3, 1, 1, 3)
    assert three.decode_numpy(planes).ravel().tolist() == [1, 7, 0]
    with pytest.raises(UserError, match="A value is none of the phases: 5, where the phases are 3, 9"):
        two.encode(torch.full((1, *SIDES), 5))


def test_constant_voxels_and_codes_of_phases_stay() -> None:
    values = phases(blobs(), 0, 1)
    values[:, 0] = 9  # outside, in every sample
    values[:20, 1, 2, 3] = 5
    said: list[str] = []
    source = open_source(values, layout="NDHW", missing=(5,), log=said.append)
    assert "5 in array is learnt as a phase of its own." in said
    assert any(each.startswith("The values of array are phases: 0, 1, 5, 9.") for each in said)
    made = source.codec.decode_numpy(torch.randn(50, 4, *SIDES, generator=torch.Generator().manual_seed(0)))
    assert (made[:, 0] == 9).all() and 0.15 < (made[:, 1:] == 5).mean() < 0.35
    np.testing.assert_array_equal(source.codec.missing(made), made == 5)  # type: ignore[attr-defined]
    masked = np.ma.masked_array(phases(blobs(), 0, 1), np.random.default_rng(0).random((80, *SIDES)) < 0.1)
    back = WassersteinGAN(steps=1, batch_size=8, settings={"layout": "NDHW", "maps": 2}).fit(masked).sample(5)
    assert isinstance(back, np.ma.MaskedArray) and set(np.unique(back.compressed())) <= {0, 1}


@pytest.mark.parametrize("count", [2, 3])
def test_phases_beside_constant_voxels_are_as_frequent_as_in_the_training_samples(count: int) -> None:
    values = phases(blobs(), *range(count))
    values[:, 0] = 0  # outside, in every sample
    values[:, 1, 0] = count - 1
    gan = WassersteinGAN(steps=2, batch_size=8, settings={"layout": "NDHW", "maps": 2}).fit(values)
    made = gan.sample(2000, seed=3)
    assert (made[:, 0] == 0).all() and (made[:, 1, 0] == count - 1).all()
    codec = open_source(values, layout="NDHW", seed=0).codec
    assert isinstance(codec, VolumeCodec)
    found = [(made == phase).mean() for phase in range(count)]
    assert found == pytest.approx(codec.shares[0], abs=0.012)


def test_missing_grey_values_are_missing_again() -> None:
    values = blobs().astype("f4")
    values[:, 2, 3, 1] = np.nan
    values[::2, 4] = -999
    source = open_source(values, layout="NDHW", missing=(-999,))
    assert source.shape == (2, *SIDES)
    back = source.codec.decode_numpy(source.train(torch.arange(source.train_count)))
    told = values[source.split.train.numpy()]
    np.testing.assert_array_equal(back == -999, (told == -999) | np.isnan(told))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((30, 8, 8, 3), "field"),
        ((30, 3, 8, 8), "field"),
        ((30, 8, 8, 8), None),
        ((30, 2, 8, 8, 8), "volume"),
        ((30, 8, 8, 8, 2), "volume"),
        ((30, 2, 8, 8, 2), None),
        ((2, 2, 2, 2, 2, 2), None),
    ],
)
def test_what_axes_are_read_as(shape: tuple[int, ...], kind: str | None) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype("f4")
    if kind:
        assert open_source(values).kind == kind
        return
    with pytest.raises(UserError, match="The axes of array are not clear: shape"):
        open_source(values)
    if len(shape) == 4:
        assert open_source(values, layout="NDHW").shape == (1, 8, 8, 8)


def test_a_run_is_judged_inside_and_the_page_shows_it(folder: Path, tmp_path: Path) -> None:
    run = folder / "rock"
    found = evaluate_run(EvaluateSettings(run=str(run), count=30))
    rows = {row["name"]: row for row in found["metrics"]}
    inside = {"share_w1", "share_error", "two_point_error", "chord_length_w1"}
    assert rows.keys() >= {*inside, "patch_sliced_w1", "patch_sliced_w1_9", "sliced_w1", "c2st_auc"}
    assert all(rows[name]["floor"] is not None and rows[name]["value"] > 0 for name in inside)
    assert "far" in found["verdict"]["flags"] and "Far from the data inside" in found["verdict"]["sentence"]
    write_run_report(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Two-point curve along each axis" in text and "One volume from all around" in text
    names = ["slices.png", "turntable.png", "two_point.png", "chords.png"]
    assert [path.name for path in visualize_run(run, tmp_path / "seen", count=20)] == names
    assert found["channels"] and found["channels"][0]["name"] == "channel 0"


def test_exports_decode_phases(folder: Path, tmp_path: Path) -> None:
    own = open_sampler(folder / "three").draw(6, seed=2)
    export_run(folder / "three", tmp_path / "three.safetensors")
    exported = open_export(tmp_path / "three.safetensors")
    assert exported.kind == "volume"
    np.testing.assert_array_equal(exported.draw(6, seed=2), own)
    source = open_source(folder / "three.npz", layout="NDHW")
    told = " ".join(modality_of("volume").usage(source.codec, latent_dim=4, shape=source.shape))
    assert "of each 3 channels in turn, take the one of decoder.phases" in told and "values =" not in told


def test_a_resumed_run_is_the_run_that_was_not_stopped(folder: Path, tmp_path: Path) -> None:
    settings = TrainSettings(data=str(folder / "rock.tif"), crop=(8, 9, 6), steps=2, **SMALL)
    train_run(settings, tmp_path / "half")
    resume_run(tmp_path / "half", {"steps": 3})
    whole, half = (open_sampler(name).draw(5) for name in (folder / "rock", tmp_path / "half"))
    np.testing.assert_array_equal(whole, half)
    begun = replace(settings, init_from=str(folder / "rock"), steps=1, seed=1)
    train_run(begun, tmp_path / "on")
    with pytest.raises(UserError, match=r"Nothing of .*rock fits the networks of this run: generator: project.weight"):
        train_run(replace(begun, crop=(8, 8, 8)), tmp_path / "not")


@pytest.mark.parametrize("preset", ["wgan", "wgan-gp", "sn-wgan", "default"])
def test_every_preset_takes_volumes(preset: str) -> None:
    source = open_source(blobs(30), layout="NDHW")
    settings = resolve_for(TrainSettings(preset=preset, steps=2), source)
    assert settings.network == ("mlp" if preset == "wgan" else "conv")


def test_the_estimator_draws_volumes() -> None:
    rows = phases(blobs(60), 0, 1)
    small = {"maps": 2, "generator_maps": 2}
    gan = WassersteinGAN(steps=2, batch_size=8, precision="float32", settings={"layout": "NDHW", **small}).fit(rows)
    made = gan.sample(7, seed=1)
    assert made.shape == (7, *SIDES) and made.dtype == np.uint8 and set(np.unique(made)) <= {0, 1}
    five = WassersteinGAN(steps=1, batch_size=8, settings=small).fit(rows[:, None]).sample(2)
    assert five.shape == (2, 1, *SIDES)
    with pytest.raises(UserError, match=r"The axes of array are not clear.*layout"):
        WassersteinGAN(steps=1).fit(rows)
    cut = WassersteinGAN(steps=1, batch_size=8, settings={"crop": 4, **small}).fit(np.concatenate(list(rows[:4])))
    assert cut.sample(2).shape == (2, 4, 4, 4)


def test_labels_are_conditions_of_volumes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", phases(blobs(), 0, 1))
    np.save(tmp_path / "kind.npy", np.arange(80) % 2)
    own: dict[str, Any] = {"data": str(tmp_path / "a.npy"), "labels": str(tmp_path / "kind.npy"), "layout": "NDHW"}
    train_run(TrainSettings(**own, steps=2, **SMALL), tmp_path / "run")
    write_samples(open_sampler(tmp_path / "run"), tmp_path / "made", count=3, seed=0)
    assert len(list((tmp_path / "made").glob("*.tif"))) == 3
    assert len((tmp_path / "made.conditions.csv").read_text().splitlines()) == 4


def test_phases_that_no_data_have_are_refused() -> None:
    source = open_source(phases(blobs(), 0, 1, 7), layout="NDHW")
    codec, modality = source.codec, modality_of("volume")
    assert isinstance(codec, VolumeCodec) and not modality.fault(codec, source.shape)
    assert modality.fault(replace(codec, shares=((0.5, 0.5),)), source.shape)
    for told in ((0,), (1, 0, 7), (0, 1, 300), (0.5, 1, 2), tuple(range(9)), (0, "a", 2)):
        assert modality.fault(replace(codec, phases=told), source.shape)  # type: ignore[arg-type]
    values = phases(blobs(), 0, 1)
    values[:, 0] = 9
    source = open_source(values, layout="NDHW")
    assert isinstance(source.codec, VolumeCodec) and source.codec.parts is not None
    for more in ({"fixed": torch.ones(1, 2, 2, 2, dtype=torch.bool)}, {"values": source.codec.parts.values[:5]}):
        parts = replace(source.codec.parts, **more)  # type: ignore[arg-type]
        assert "constants of shape" in modality.fault(replace(source.codec, parts=parts), source.shape)
    assert "planes for 3 phases" in modality.fault(codec, (4, *SIDES))
