import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from wassergan.storage.run_log import read_log

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def wrong(refused: Callable[..., str], tmp_path: Path, tiny: tuple[str, ...]) -> Callable[..., str]:
    """Train on wrong input, which must leave no run folder behind."""

    def call(data: object, *flags: object) -> str:
        message = refused("train", data, "--out", tmp_path / "run", "--steps", "2", *tiny, *flags)
        assert not (tmp_path / "run").exists()
        return message

    return call


def saved(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def good(count: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 2))


def test_a_run_says_what_it_does_and_what_to_type_next(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path
) -> None:
    folder = tmp_path / "run"
    said = cli("train", points_file, "--out", folder, "--steps", "3", *tiny)
    assert said.code == 0
    assert "points.npy: 108 training, 12 held-out samples of shape 2." in said.err
    assert "constraint lp, 2 critic steps of 8 samples" in said.err and f"Run folder: {folder}" in said.err
    ticks = [line for line in said.err.splitlines() if line.startswith("step ")]
    assert len(ticks) == 2 and all(
        "sliced W1" in line and "held-out" in line and "gradient norm" in line for line in ticks
    )
    assert "Done: 3 steps, sliced W1" in said.out and f"wassergan sample {folder}" in said.out


def test_json_on_standard_output_is_the_summary(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path
) -> None:
    said = cli("train", points_file, "--out", tmp_path / "run", "--steps", "3", "--json", *tiny)
    summary = json.loads(said.out)
    assert summary["steps"] == 3 and summary["sliced_w1"] == read_log(tmp_path / "run" / "log.jsonl")[-1]["sliced_w1"]


def test_every_kind_of_flag_reaches_the_settings(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path
) -> None:
    flags = ("--preset", "wgan", "--clip", "0.02", "--no-previews", "--seed", "4", "--heldout", "0.25", "--keep", "1")
    assert cli("train", points_file, "--out", tmp_path / "run", "--steps", "2", *tiny, *flags).code == 0
    stored = json.loads((tmp_path / "run" / "settings.json").read_text())
    expected = {"preset": "wgan", "clip": 0.02, "previews": False, "seed": 4, "heldout": 0.25, "keep": 1, "steps": 2}
    assert {name: stored[name] for name in expected} == expected
    assert stored["critic_widths"] == [8] and stored["optimizer"] == "rmsprop"


def test_a_budget_ends_a_run(cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path) -> None:
    said = cli("train", points_file, "--out", tmp_path / "run", "--budget", "1s", "--json", *tiny)
    assert said.code == 0 and json.loads(said.out)["steps"] > 0


def test_runs_without_a_name_are_numbered(
    cli: Callable[..., Any],
    tmp_path: Path,
    tiny: tuple[str, ...],
    points_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli("train", points_file, "--steps", "1", *tiny).code == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["points-default-1", "points-default-2"]


# Bad input: path missing; unknown kind; empty folder; an unreadable image.
def test_a_missing_path(wrong: Callable[..., str], tmp_path: Path) -> None:
    assert (
        wrong(tmp_path / "gone.npy")
        == f"There is no {tmp_path / 'gone.npy'}. Give 'digits', a folder, .zip or .tar shards of "
        "pictures, a folder of .npy samples, or a .npy, .npz, NetCDF, Zarr, HDF5, MATLAB, IDX, CSV, Excel, Parquet, "
        "Arrow or Feather file."
    )


def test_an_unknown_kind_of_file(wrong: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("")
    assert "is not known: suffix '.xyz'" in wrong(tmp_path / "a.xyz")


def test_an_empty_folder(wrong: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "No pictures (PNG, JPEG, WebP, BMP, TIFF or GIF)" in wrong(tmp_path / "empty")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with 40 good pictures and one that cannot be read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(40):
        Image.new("L", (6, 5), 6 * index).save(folder / f"{index:02}.png")
    (folder / "07b.png").write_text("no picture")
    return folder


def test_an_unreadable_picture_is_named(wrong: Callable[..., str], pictures: Path) -> None:
    message = wrong(pictures)
    assert message.startswith(f"The picture {pictures / '07b.png'} cannot be read") and "--skip-unreadable" in message


def test_an_unreadable_picture_is_counted_and_left_out_if_asked(
    cli: Callable[..., Any], pictures: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    said = cli("train", pictures, "--skip-unreadable", "--out", tmp_path / "run", "--steps", "1", *tiny)
    assert said.code == 0 and "Skipped 1 unreadable" in said.err and "07b.png" in said.err
    assert "36 training, 4 held-out samples of shape 1x5x6" in said.err


# Bad input: NaN or inf; object or string arrays; fewer samples than two batches need; constant features.
def test_infinite_values(wrong: Callable[..., str], tmp_path: Path) -> None:
    values = good()
    values[11, 1], values[30, 0] = np.inf, -np.inf
    assert "holds infinite values: the first at index (11, 1). Remove those rows, or write NaN" in wrong(
        saved(tmp_path / "a.npy", values)
    )


@pytest.mark.parametrize("values", [np.array([["a"]] * 60), np.zeros(60, dtype=complex)])
def test_arrays_of_text_and_the_like(wrong: Callable[..., str], tmp_path: Path, values: np.ndarray) -> None:
    assert "does not hold real numbers: type" in wrong(saved(tmp_path / "a.npy", values))


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["npy", "npz", "raw"])
def test_pickled_objects_are_refused_and_never_run(wrong: Callable[..., str], tmp_path: Path, kind: str) -> None:
    path, objects = tmp_path / f"a.{'npy' if kind == 'raw' else kind}", np.array([Hostile(tmp_path / "ran")] * 60)
    if kind == "raw":
        path.write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    else:
        (np.save if kind == "npy" else np.savez)(path, objects)
    assert "holds Python objects, which are never loaded" in wrong(path)
    assert not (tmp_path / "ran").exists()


def test_too_few_samples(wrong: Callable[..., str], tmp_path: Path) -> None:
    assert "Too few samples to train on: 14 training samples for batches of 8. Give at least 16" in wrong(
        saved(tmp_path / "a.npy", good(16))
    )
    assert "Too few samples to hold some out" in wrong(saved(tmp_path / "b.npy", good(3)))


def test_constant_features(wrong: Callable[..., str], tmp_path: Path) -> None:
    values = good()
    values[:] = values[0]
    assert "All samples of a.npy are equal. Give data that vary." in wrong(saved(tmp_path / "a.npy", values))


# Bad input: unknown names, with the nearest match.
@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--preset", "wgan_gp", "Unknown preset: 'wgan_gp'. Did you mean 'wgan-gp'?"),
        ("--constraint", "gpp", "Unknown constraint: 'gpp'. Did you mean 'gp'?"),
        ("--objective", "hing", "Unknown objective: 'hing'. Did you mean 'hinge'?"),
        ("--network", "resnt", "Unknown network: 'resnt'. Did you mean 'resnet'?"),
        ("--optimizer", "adm", "Unknown optimizer: 'adm'. Did you mean 'adam'?"),
        ("--schedule", "constnt", "Unknown schedule: 'constnt'. Did you mean 'constant'?"),
        ("--activation", "silo", "Unknown activation: 'silo'. Did you mean 'silu'?"),
        ("--precision", "bf61", "Unknown precision: 'bf61'. Did you mean 'bf16'?"),
        ("--layout", "NDD", "Unknown layout: 'NDD'. Did you mean 'ND'?"),
        ("--scale", "featur", "Unknown scale: 'featur'. Did you mean 'feature'?"),
        ("--device", "tpu", "Unknown device: 'tpu'. Use auto, cpu, cuda, cuda:N or mps."),
        ("--budget", "fast", "--budget: A budget is a positive duration: 'fast'. Write it like 20s, 10m or 2h."),
        ("--size", "4by5", "--size: A size is a whole number or HEIGHTxWIDTH: '4by5'."),
        ("--critic-widths", "a", "--critic-widths: Widths are whole numbers: 'a'."),
        ("--steps", "0", "--steps: Expected a whole number above 0: '0'."),
        ("--seed", "-1", "--seed: Expected a whole number from 0"),
        ("--clip", "-1", "--clip: Expected a number above 0: '-1'."),
        ("--beta1", "1", "--beta1: Expected a number from 0 up to, not including, 1: '1'."),
        ("--average-half-life", "x", "--average-half-life: Expected a number from 0: 'x'."),
        ("--heldout", "0", "The held-out share must lie between 0 and 1"),
    ],
)
def test_unknown_names_and_numbers_out_of_range(
    wrong: Callable[..., str], points_file: Path, flag: str, value: str, message: str
) -> None:
    assert wrong(points_file, flag, value).startswith(message)


def test_seeds_beyond_64_bits_are_refused(wrong: Callable[..., str], points_file: Path) -> None:
    assert wrong(points_file, "--seed", str(2**64)).startswith("--seed: Expected a whole number from 0")


def test_recipes_that_cannot_work_are_refused_with_the_reason(
    wrong: Callable[..., str], points_file: Path, tmp_path: Path
) -> None:
    assert "needs a Lipschitz critic" in wrong(points_file, "--constraint", "none")
    assert "needs pictures or fields of at least 4x4" in wrong(points_file, "--network", "conv")
    pictures = saved(tmp_path / "p.npy", np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8))
    flags = (
        "--network",
        "conv",
        "--maps",
        "4",
        "--constraint",
        "gp",
        "--critic-norm",
        "batch",
        "--generator-norm",
        "batch",
    )
    assert "BatchNorm2d (layer " in wrong(pictures, *flags)


# Bad input: an output folder that holds a run is never overwritten.
def test_a_folder_with_a_run_is_kept_and_the_way_to_resume_is_told(
    refused: Callable[..., str], finished_run: Path, points_file: Path
) -> None:
    before = {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}
    message = refused("train", points_file, "--out", finished_run, "--steps", "2")
    assert f"holds a run already. Resume it (wassergan resume {finished_run})" in message
    assert before == {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}


def test_diverging_training_is_failed_work(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path
) -> None:
    flags = ("--critic-lr", "1e30", "--generator-lr", "1e30", "--tick-steps", "2")
    said = cli("train", points_file, "--out", tmp_path / "run", "--steps", "9", *tiny, *flags)
    assert said.code == 1
    assert "wassergan: Training diverged before step" in said.err and "last checkpoint" in said.err
    assert torch.load(tmp_path / "run" / "checkpoints" / "latest.pt", weights_only=True)["trainer"]["step"] == 0
