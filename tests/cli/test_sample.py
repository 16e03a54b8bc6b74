import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def test_samples_of_pictures_in_every_format_without_the_data(
    cli: Callable[..., Any], picture_run: Path, tmp_path: Path
) -> None:
    for name in ("s.npy", "s.png", "many"):
        said = cli("sample", picture_run, "--count", "12", "--seed", "3", "--out", tmp_path / name)
        assert said.code == 0 and said.out == f"Wrote 12 samples to {tmp_path / name}\n"
    samples = np.load(tmp_path / "s.npy")
    assert samples.shape == (12, 7, 5, 3) and samples.dtype == np.uint8
    for index, path in enumerate(sorted((tmp_path / "many").iterdir())):
        assert (np.asarray(Image.open(path)) == samples[index]).all()
    with Image.open(tmp_path / "s.png") as grid:
        factor = 8  # 7x5 pixels enlarged to at least 56
        corner = np.asarray(grid)[2 : 2 + 7 * factor, 2 : 2 + 5 * factor]
        enlarged = Image.fromarray(samples[0]).resize((5 * factor, 7 * factor), Image.Resampling.BICUBIC)
        assert (corner == np.asarray(enlarged)).all()


def test_floats_come_in_the_user_s_units(
    cli: Callable[..., Any], finished_run: Path, tmp_path: Path, points_file: Path
) -> None:
    assert cli("sample", finished_run, "--count", "500", "--out", tmp_path / "s.npy").code == 0
    samples, real = np.load(tmp_path / "s.npy"), np.load(points_file)
    assert samples.shape == (500, 2) and samples.dtype == np.float32
    slack = 0.11 * np.ptp(real, axis=0)
    assert (samples > real.min(0) - slack).all() and (samples < real.max(0) + slack).all()


def test_seeds_and_counts(cli: Callable[..., Any], finished_run: Path, tmp_path: Path) -> None:
    draws = {}
    for name, count, seed in (("a", 5, 1), ("b", 9, 1), ("c", 5, 2)):
        said = cli(
            "sample", finished_run, "--count", count, "--seed", seed, "--out", tmp_path / f"{name}.npy", "--json"
        )
        assert json.loads(said.out)["count"] == count and json.loads(said.out)["seed"] == seed
        draws[name] = np.load(tmp_path / f"{name}.npy")
    np.testing.assert_allclose(draws["a"], draws["b"][:5], rtol=1e-5)
    assert not np.allclose(draws["a"], draws["c"])


def test_without_a_name_the_grid_lies_in_the_run_folder(cli: Callable[..., Any], picture_run: Path) -> None:
    assert cli("sample", picture_run).code == 0
    (picture_run / "samples.png").unlink()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "s.gif"], "Samples are written as .npy, .nc, .h5 or .mat, .png or a folder: 's.gif'"),
        (["--out", "folder"], "Vectors are no pictures"),
        (["--out", "s.png", "--count", "10001"], "Too many samples for one picture: 10001"),
        (["--count", "0"], "--count: Expected a whole number above 0: '0'."),
        (["--checkpoint", "77"], "There is no checkpoint '77'"),
        (["--checkpoint", "bset"], "There is no checkpoint 'bset'"),
        (["--device", "tpu"], "Unknown device: 'tpu'"),
    ],
)
def test_wrong_requests(
    refused: Callable[..., str],
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("sample", finished_run, *flags).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("sample", tmp_path).startswith(f"There is no run in {tmp_path}")


def test_a_file_in_the_place_of_a_folder_is_kept(
    refused: Callable[..., str], picture_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "name").write_text("keep")
    assert "is a file" in refused("sample", picture_run, "--out", tmp_path / "name")
    assert (tmp_path / "name").read_text() == "keep"
