"""`sample --refine`: what it needs, keeps and says, for every class of data."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.cli.tables import evaluation_table
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.session import refinement
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.storage.run_folder import RunFolder

CLI = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that learns little from few samples: what it learns is tested elsewhere."""
    monkeypatch.setattr("wassergan.sampling.ratio.MOST_STEPS", 40)
    monkeypatch.setattr(refinement, "CALIBRATED", 512)
    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=512))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    numbers = np.random.default_rng(0)
    np.save(folder / "points.npy", numbers.normal(size=(600, 2)).astype(np.float32))
    np.save(folder / "pictures.npy", numbers.integers(0, 256, (300, 8, 8), dtype=np.uint8))
    towns = numbers.choice(["A", "B", "C"], 600, p=[0.6, 0.3, 0.1])
    heights = numbers.normal(5, 2, 600).round(1)
    rows = "\n".join(f"{town},{height},{age}" for town, height, age in zip(towns, heights, range(600), strict=True))
    (folder / "towns.csv").write_text("town,height,age\n" + rows + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(sources: Path) -> dict[str, Path]:
    from wassergan.config.settings import TrainSettings
    from wassergan.runs.train import train_run

    small: dict[str, Any] = {
        "generator_widths": (16,),
        "critic_widths": (16,),
        "batch_size": 32,
        "critic_steps": 1,
        "steps": 30,
        "previews": False,
        "latent_dim": 4,
        "tensorboard": False,
        "keep": 3,
    }
    made = {}
    for name, file, more in (
        ("vectors", "points.npy", {}),
        ("pictures", "pictures.npy", {"network": "conv", "maps": 4, "layout": "NHW", "pack": 2}),
        ("tables", "towns.csv", {}),
        ("conditions", "towns.csv", {"condition": ("town",)}),
    ):
        made[name] = sources / f"{name}-run"
        train_run(TrainSettings(data=str(sources / file), **{**small, **more}), made[name])
    return made


@pytest.mark.parametrize("name", ["vectors", "pictures", "tables", "conditions"])
def test_samples_of_every_class_are_refined_with_the_data_once_and_without_them_later(
    name: str, runs: dict[str, Path], sources: Path, tmp_path: Path, cli: CLI, refused: Callable[..., str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[name], run)
    suffix = "csv" if name in ("tables", "conditions") else "npy"
    outs = [tmp_path / f"{number}.{suffix}" for number in range(4)]
    data = sources / {"vectors": "points.npy", "pictures": "pictures.npy"}.get(name, "towns.csv")
    hidden = data.with_suffix(".hidden")
    data.rename(hidden)
    try:
        complaint = refused("sample", run, "--count", 300, "--out", outs[0], "--refine", 3)
        assert "the training data are needed" in complaint and str(data) in complaint and "--data" in complaint
        assert not outs[0].exists()
        moved = tmp_path / data.name
        shutil.copy(hidden, moved)
        said = cli("sample", run, "--count", 300, "--out", outs[0], "--refine", 3, "--data", moved)
        assert said.code == 0 and "Training the classifier" in said.err and "training samples" in said.err
        moved.unlink()
        said = cli("sample", run, "--count", 1100, "--out", outs[1], "--refine", 3)
        assert said.code == 0 and "Training" not in said.err  # from the run folder
    finally:
        hidden.rename(data)
    assert cli("sample", run, "--count", 300, "--out", outs[2], "--refine", 3, "--seed", 1).code == 0
    assert cli("sample", run, "--count", 300, "--out", outs[3]).code == 0
    texts = [_rows(out) for out in outs]
    assert texts[0] == texts[1][:300] and len(texts[1]) == 1100  # a smaller count gives the first
    assert texts[0] != texts[2] and texts[0] != texts[3]
    if name == "conditions":
        assert [row.split(",")[0] for row in texts[0]] == [row.split(",")[0] for row in texts[3]]
        given = tmp_path / "given.csv"
        assert cli("sample", run, "--count", 50, "--out", given, "--refine", 3, "--given", "town=C").code == 0
        assert {row.split(",")[0] for row in _rows(given)} == {"C"}


def _rows(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return path.read_text().splitlines()[1:]
    return [each.tobytes().hex() for each in np.load(path)]


def test_what_is_kept_is_of_one_checkpoint_and_damage_is_made_good(
    runs: dict[str, Path], tmp_path: Path, cli: CLI
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["vectors"], run)
    out = tmp_path / "s.npy"
    draw = ("sample", run, "--count", 100, "--refine", 4, "--out", out)
    assert "Training" in cli(*draw).err
    (file,) = RunFolder(run).refinement.iterdir()
    first = out.read_bytes()
    content = load_checkpoint(file)
    for broken in (b"", file.read_bytes()[:-200], None, {"of": "another", "refinement": content["refinement"]}):
        if isinstance(broken, dict):
            save_checkpoint(file, broken)
        elif broken is None:
            file.unlink()
        else:
            file.write_bytes(broken)
        assert "Training" in cli(*draw).err
        assert out.read_bytes() == first
    assert "Training" not in cli(*draw).err
    assert "Training" in cli(*draw, "--checkpoint", "0").err  # other weights
    assert len(list(RunFolder(run).refinement.iterdir())) == 2
    content = load_checkpoint(RunFolder(run).latest)
    for weights in (content["trainer"]["average"], content["trainer"]["critic"]):
        next(iter(weights.values())).add_(0.01)
        save_checkpoint(RunFolder(run).latest, content)
        assert "Training" in cli(*draw).err  # other weights of the same step
        assert "Training" not in cli(*draw).err


@pytest.mark.parametrize("name", ["tables", "vectors"])
def test_a_file_whose_seal_is_right_and_whose_numbers_are_not_is_refused(
    name: str, runs: dict[str, Path], tmp_path: Path, cli: CLI, refused: Callable[..., str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[name], run)
    out = tmp_path / ("s.csv" if name == "tables" else "s.npy")
    draw = ("sample", run, "--count", 10, "--refine", 4, "--out", out)
    assert cli(*draw).code == 0
    (file,) = RunFolder(run).refinement.iterdir()
    content = load_checkpoint(file)
    whole = content["refinement"]
    changes: tuple[dict[str, Any], ...] = (
        {"line": [float("nan"), 0.0]},
        {"classifier": {}},
        {"margins": None},
        {"margins": {**whole["margins"], "edges": [torch.zeros(3)] if name == "tables" else torch.zeros(3, 9)}},
        {"calibration": {**whole["calibration"], "shares": []}},
    )
    for changed in changes:
        save_checkpoint(file, {"of": content["of"], "refinement": {**whole, **changed}})
        assert "What refines the draws" in refused(*draw)


def test_evaluate_judges_refined_draws_and_notes_it(runs: dict[str, Path], tmp_path: Path, cli: CLI) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["vectors"], run)
    said = [cli("evaluate", run, "--count", 60, *flags, "--json") for flags in ((), ("--refine", "4"))]
    plain, refined = (json.loads(each.out) for each in said)
    assert plain["protocol"]["refine"] is None and refined["protocol"]["refine"] == 4
    assert plain["metrics"] != refined["metrics"]
    assert "one of 4 draws kept" in (run / "report.html").read_text()
    assert "(one of 4 draws kept)" in evaluation_table(refined) and "kept" not in evaluation_table(plain)


def test_a_run_that_cannot_be_written_to_refines_all_the_same(
    runs: dict[str, Path], tmp_path: Path, cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wassergan.errors import WorkError

    run = tmp_path / "run"
    shutil.copytree(runs["vectors"], run)

    def refuse(folder: Path) -> None:
        raise WorkError("no")

    monkeypatch.setattr(refinement, "make_folder", refuse)
    assert cli("sample", run, "--count", 10, "--refine", 2, "--out", tmp_path / "s.npy").code == 0
    assert not RunFolder(run).refinement.exists()


def test_refine_takes_whole_numbers_from_1(runs: dict[str, Path], refused: Callable[..., str], cli: CLI) -> None:
    for wrong in ("0", "-2", "1.5", "x"):
        assert "--refine" in refused("sample", runs["vectors"], "--refine", wrong)
