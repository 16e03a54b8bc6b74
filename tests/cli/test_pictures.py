"""Folders of pictures through the command line: what goes in comes back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wassergan.plots import write_png16

NOISE = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for number in range(40):
        Image.new("L", (8, 8), 6 * number).save(tmp_path / "data" / f"img{number}.png")
    return tmp_path / "data"


@pytest.fixture
def run(cli: Callable[..., Any], tiny: tuple[str, ...], quick_figures: None) -> Callable[..., Any]:
    def call(*argv: object) -> Any:
        said = cli(*argv, *(tiny if argv[0] == "train" else ()))
        assert said.code == 0, said
        return said

    return call


def test_training_in_the_folder_of_the_pictures_again_and_again(
    folder: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for count in range(2):
        said = run("train", ".", "--steps", 3)
        assert "36 training, 4 held-out samples" in said.err
        assert ("run folder of wassergan (runs/data-default-1)" in said.err) == (count == 1)
    assert "36 training, 4 held-out" in run("resume", "runs/data-default-1", "--steps", 5).err
    notes = json.loads(run("info", "runs/data-default-1", "--json").out)["notes"]
    assert notes == ["Passed over in data: 2 run folders of wassergan (runs/data-default-1, runs/data-default-2)."]


def test_labels_by_name_reach_the_samples(folder: Path, run: Callable[..., Any]) -> None:
    rows = [f"img{number}.png,{'dark' if number < 20 else 'bright'}" for number in range(40)]
    (folder / "order.csv").write_text("\n".join(["filename,label", *rows]))
    out = folder.parent / "run"
    labelled = ("--labels", folder / "order.csv", "--condition", "label")
    said = run("train", folder, "--out", out, "--steps", 3, *labelled)
    assert "joined by name: its column filename names the files" in said.err and "Passed over" not in said.err
    run("sample", out, "--out", folder.parent / "s.npy", "--count", 6, "--given", "label=dark")
    assert (folder.parent / "s.conditions.csv").read_text().split() == ["label", *["dark"] * 6]


def test_sixteen_bits_come_back_as_pictures_and_arrays(folder: Path, run: Callable[..., Any]) -> None:
    levels = np.random.default_rng(1).integers(0, 4096, (40, 8, 8, 3), dtype=np.uint16)
    for kind, pictures in (("grey", levels[..., 0]), ("rgb", levels)):
        (folder.parent / kind).mkdir()
        for number, each in enumerate(pictures):
            write_png16(each, folder.parent / kind / f"{number}.png")
        out = folder.parent / f"run-{kind}"
        assert "Pictures have 16 bits" in run("train", folder.parent / kind, "--out", out, "--steps", 3).err
        run("sample", out, "--out", folder.parent / f"{kind}.npy", "--count", 12)
        drawn = np.load(folder.parent / f"{kind}.npy")
        assert drawn.dtype == np.uint16 and drawn.max() <= 4095 and len(np.unique(drawn)) > 100
        run("sample", out, "--out", folder.parent / f"drawn-{kind}", "--count", 12)
        said = json.loads(run("info", folder.parent / f"drawn-{kind}", "--json").out)
        assert said["dtype"] == "uint16"
        distance = run("distance", folder.parent / f"{kind}.npy", folder.parent / f"drawn-{kind}", "--json")
        assert json.loads(distance.out)["estimate"] == pytest.approx(0, abs=1e-6)
        run("resume", out, "--steps", 5)


def test_pictures_of_another_size_and_other_colours_are_brought_to_the_runs_own(
    folder: Path, run: Callable[..., Any], refused: Callable[..., str]
) -> None:
    (folder.parent / "other").mkdir()
    for number in range(40):
        Image.fromarray(NOISE[number].repeat(2, 0).repeat(2, 1)).save(folder.parent / "other" / f"{number}.jpg")
    out = folder.parent / "run"
    run("train", folder, "--out", out, "--steps", 3)
    found = json.loads(run("evaluate", out, "--against", folder.parent / "other", "--json").out)
    assert found["protocol"]["heldout"] == 40
    said = run("distance", folder, folder.parent / "other", "--json")
    assert "are brought to the size and colours of" in said.err and json.loads(said.out)["dim"] == 64
    np.save(folder.parent / "a.npy", NOISE)
    said = run("distance", folder, folder.parent / "a.npy", "--json")
    assert json.loads(said.out)["dim"] == 192
    np.save(folder.parent / "deep.npy", NOISE[..., 0].astype(np.uint16))
    assert "cannot be held against" in refused("evaluate", out, "--against", folder.parent / "deep.npy")


def test_one_picture_as_an_array_is_asked_about(folder: Path, refused: Callable[..., str], run: Any) -> None:
    np.save(folder.parent / "one.npy", np.zeros((52, 40, 3), np.uint8) + np.arange(3, dtype=np.uint8))
    assert "may be one picture, or many samples: shape (52, 40, 3)" in refused("train", folder.parent / "one.npy")
    np.save(folder.parent / "rows.npy", np.random.default_rng(0).normal(size=(52, 40, 3)))
    said = run("train", folder.parent / "rows.npy", "--layout", "NHW", "--steps", 1, "--out", folder.parent / "run")
    assert "samples of shape 1x40x3" in said.err


@pytest.mark.parametrize("backend", ["nonsense", "module://gone.there", "TkAgg"])
def test_a_backend_of_notebooks_is_no_concern(tmp_path: Path, backend: str) -> None:
    code = (
        "from wassergan.plots import save_figure; from matplotlib.figure import Figure; from pathlib import Path; "
        "figure = Figure(); figure.subplots().plot([1, 2]); save_figure(figure, Path('a.png')); "
        "import os; assert os.environ['MPLBACKEND']"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": backend, "DISPLAY": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0 and (tmp_path / "a.png").exists(), found.stderr
