"""Generation under conditions, from the command line: what is given comes back, and goes with the rest."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.config.settings import TrainSettings
from wassergan.runs.train import resume_run, train_run
from wassergan.session.restore import open_sampler

CLI = Callable[..., Any]
TEXT = "town,height,age\n" + "".join(f"{'AB'[i % 2]},{(i % 2) * 10 + i % 7}.5,{20 + i % 40}\n" for i in range(400))
SMALL: dict[str, Any] = {"generator_widths": (16, 16), "critic_widths": (16,), "batch_size": 32, "previews": False}
WIDER = {**SMALL, "generator_widths": (64, 64), "critic_widths": (64, 64)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditional")
    (folder / "towns.csv").write_text(TEXT)
    settings = TrainSettings(data=str(folder / "towns.csv"), condition=("town", "age"), steps=5, **SMALL)
    train_run(settings, folder / "run")
    (folder / "towns.csv").unlink()
    return folder / "run"


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_line_takes_several_conditions(tmp_path: Path, cli: CLI) -> None:
    (tmp_path / "towns.csv").write_text(TEXT)
    flags = ("--steps", 2, "--batch-size", 32, "--generator-widths", 8, "--critic-widths", 8, "--no-previews")
    said = cli("train", tmp_path / "towns.csv", "--condition", "town", "age", *flags, "--out", tmp_path / "run")
    assert said.code == 0
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["condition"] == ["town", "age"]


def test_what_is_given_comes_back_exactly(run: Path, tmp_path: Path, cli: CLI) -> None:
    out = tmp_path / "a.csv"
    assert cli("sample", run, "--count", 300, "--out", out, "--given", "town=B", "age=33").code == 0
    rows = rows_in(out)
    assert len(rows) == 300 and {(row["town"], row["age"]) for row in rows} == {("B", "33")}
    assert list(rows[0]) == ["town", "height", "age"]


def test_rows_of_conditions_are_followed_one_by_one(run: Path, tmp_path: Path, cli: CLI) -> None:
    (tmp_path / "wanted.csv").write_text("age\n" + "".join(f"{20 + i}\n" for i in range(40)))
    out = tmp_path / "a.csv"
    assert cli("sample", run, "--given-rows", tmp_path / "wanted.csv", "--given", "town=A", "--out", out).code == 0
    rows = rows_in(out)
    assert [int(row["age"]) for row in rows] == list(range(20, 60))
    assert {row["town"] for row in rows} == {"A"}


def test_a_smaller_count_gives_the_first_rows_and_another_process_the_same(run: Path) -> None:
    sampler = open_sampler(run)
    rows = sampler.draw(1500, seed=3)
    assert np.array_equal(sampler.draw(1100, seed=3), rows[:1100])
    assert np.array_equal(open_sampler(run).draw(1500, seed=3), rows)
    assert not np.array_equal(sampler.draw(1500, seed=4), rows)
    fixed = sampler.under({"town": "B"}).draw(1500, seed=3)
    assert (fixed[:, 0] == 1).all() and len(np.unique(fixed[:, 2])) > 10


def test_a_resumed_run_goes_on_bit_for_bit(run: Path, tmp_path: Path) -> None:
    (tmp_path / "towns.csv").write_text(TEXT)
    settings = TrainSettings(data=str(tmp_path / "towns.csv"), condition=("town", "age"), steps=3, **SMALL)
    train_run(settings, tmp_path / "half")
    resume_run(tmp_path / "half", {"steps": 5})
    ours, theirs = (open_sampler(folder).generator.state_dict() for folder in (tmp_path / "half", run))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_other_conditions_are_other_data(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(200, 2)))
    np.save(tmp_path / "labels.npy", np.arange(200) % 2)
    settings = TrainSettings(data=str(tmp_path / "x.npy"), labels=str(tmp_path / "labels.npy"), steps=2, **SMALL)
    train_run(settings, tmp_path / "run")
    np.save(tmp_path / "labels.npy", (np.arange(200) // 3) % 2)
    assert "is not the data that the run was trained on" in refused("resume", tmp_path / "run", "--steps", 4)


def test_digits_are_drawn_by_label_and_their_labels_written_beside_them(tmp_path: Path, cli: CLI) -> None:
    flags = ("--steps", 2, "--generator-widths", 8, "--critic-widths", 8, "--no-previews", "--out", tmp_path / "run")
    assert cli("train", "digits", "--condition", "label", *flags).code == 0
    out = tmp_path / "digits.npy"
    assert cli("sample", tmp_path / "run", "--count", 30, "--out", out).code == 0
    assert np.load(out).shape == (30, 8, 8)
    labels = [row["label"] for row in rows_in(tmp_path / "digits.conditions.csv")]
    assert len(labels) == 30 and set(labels) <= set("0123456789") and len(set(labels)) > 3
    assert cli("sample", tmp_path / "run", "--count", 30, "--out", out, "--given", "label=7").code == 0
    assert {row["label"] for row in rows_in(tmp_path / "digits.conditions.csv")} == {"7"}


@pytest.mark.usefixtures("quick_judges")
def test_a_run_with_labels_is_judged_and_looked_at(tmp_path: Path, cli: CLI, refused: Callable[..., str]) -> None:
    flags = ("--steps", 2, "--generator-widths", 8, "--critic-widths", 8, "--no-previews", "--out", tmp_path / "run")
    assert cli("train", "digits", "--condition", "label", *flags).code == 0
    judged = json.loads(cli("evaluate", tmp_path / "run", "--count", 200, "--json").out)
    assert judged["protocol"]["generated"] == 200
    assert cli("visualize", tmp_path / "run", "--out", tmp_path / "visualize").code == 0
    assert (tmp_path / "visualize" / "interpolation.png").exists()
    told = refused("export", tmp_path / "run", "--format", "safetensors")
    assert "knows no generators with conditions yet" in told


def test_wrong_conditions_are_refused(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    out = ("--out", tmp_path / "a.csv")
    assert "--given takes NAME=VALUE" in refused("sample", run, *out, "--given", "town")
    assert "Did you mean 'town'?" in refused("sample", run, *out, "--given", "towm=A")
    (tmp_path / "wanted.csv").write_text("town\nA\n")
    twice = refused("sample", run, *out, "--given-rows", tmp_path / "wanted.csv", "--given", "town=A")
    assert "Condition town is given twice" in twice
    assert "requires an argument" in refused("sample", run, *out, "--given")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(200, 2)))
    train_run(TrainSettings(data=str(tmp_path / "x.npy"), steps=1, **SMALL), tmp_path / "plain")
    told = refused("sample", tmp_path / "plain", "--out", tmp_path / "a.npy", "--given", "label=1")
    assert "The run was trained without conditions" in told and "--condition label" in told


@pytest.mark.slow
def test_the_rest_goes_with_what_is_given(tmp_path: Path) -> None:
    """Heights are 0.5 to 6.5 in town A and 10.5 to 16.5 in town B."""
    (tmp_path / "towns.csv").write_text(TEXT)
    settings = TrainSettings(data=str(tmp_path / "towns.csv"), condition=("town",), steps=800, **WIDER)
    train_run(settings, tmp_path / "run")
    sampler = open_sampler(tmp_path / "run")
    for town, low in (("A", 0.5), ("B", 10.5)):
        heights = sampler.under({"town": town}).draw(1000)[:, 1]
        assert ((heights >= low) & (heights <= low + 6)).mean() > 0.97
        assert {*np.arange(7) + low} <= {*heights}
