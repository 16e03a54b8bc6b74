import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.config.settings import BIT_CHANGING, CHANGEABLE, TrainSettings
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def run_folder(cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path) -> Path:
    folder = tmp_path / "run"
    assert cli("train", points_file, "--out", folder, "--steps", "4", "--tick-steps", "2", *tiny).code == 0
    return folder


def test_a_run_goes_on_to_more_steps(cli: Callable[..., Any], run_folder: Path) -> None:
    said = cli("resume", run_folder, "--steps", "6", "--json")
    assert said.code == 0 and json.loads(said.out)["steps"] == 6
    assert json.loads((run_folder / "settings.json").read_text())["steps"] == 6


def test_a_budget_replaces_the_steps(cli: Callable[..., Any], run_folder: Path) -> None:
    seconds = json.loads(cli("info", run_folder, "--json").out)["elapsed_seconds"]
    said = cli("resume", run_folder, "--budget", f"{seconds + 1:.1f}s", "--json")
    assert said.code == 0 and json.loads(said.out)["steps"] > 4


def test_a_run_at_its_end_says_what_to_type(refused: Callable[..., str], run_folder: Path) -> None:
    assert f"wassergan resume {run_folder} --steps 8" in refused("resume", run_folder)


def test_other_settings_print_the_difference(refused: Callable[..., str], run_folder: Path) -> None:
    message = refused("resume", run_folder, "--constraint", "gp", "--steps", "9")
    assert (
        "A run can only be resumed with its own settings: constraint: the run has lp, asked for gp (what its networks,"
        in message
    )


def test_data_that_are_gone_or_changed(refused: Callable[..., str], run_folder: Path, tmp_path: Path) -> None:
    assert "There is no" in refused("resume", run_folder, "--steps", "9", "--data", tmp_path / "gone.npy")
    np.save(tmp_path / "other.npy", np.random.default_rng(5).normal(size=(120, 2)).astype("f4"))
    message = refused("resume", run_folder, "--steps", "9", "--data", tmp_path / "other.npy")
    assert "is not the data that the run was trained on" in message


def test_no_run_and_no_such_checkpoint(refused: Callable[..., str], run_folder: Path, tmp_path: Path) -> None:
    assert "There is no run in" in refused("resume", tmp_path / "gone")
    assert "There is no checkpoint '77'" in refused("resume", run_folder, "--checkpoint", "77")


def test_a_damaged_checkpoint_never_starts_from_zero(
    cli: Callable[..., Any], refused: Callable[..., str], run_folder: Path
) -> None:
    latest = run_folder / "checkpoints" / "latest.pt"
    content = latest.read_bytes()
    latest.unlink()
    latest.write_bytes(content[:-100])
    log = (run_folder / "log.jsonl").read_text()
    message = refused("resume", run_folder, "--steps", "9")
    assert "is damaged" in message and "--checkpoint best" in message
    assert (run_folder / "log.jsonl").read_text() == log
    said = cli("resume", run_folder, "--checkpoint", "2", "--steps", "5", "--json")
    assert said.code == 0 and json.loads(said.out)["steps"] == 5


DIFFER = "From here on the numbers are not those of a run that was never stopped: "


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--threads", "1", "--threads None is now 1"),
        ("--precision", "bf16", "--precision float32 is now bf16"),
        ("--batch-size", "4", "--batch-size 8 is now 4"),
        ("--critic-lr", "0.01", "--critic-lr 0.001 is now 0.01"),
        ("--generator-lr", "0.02", "--generator-lr 0.001 is now 0.02"),
        ("--device", "cpu", "--device auto is now cpu"),
    ],
)
def test_the_machine_and_the_pace_may_change_and_one_line_says_so(
    cli: Callable[..., Any], run_folder: Path, flag: str, value: str, said: str
) -> None:
    done = cli("resume", run_folder, "--steps", "6", flag, value)
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith(DIFFER)]
    assert line == f"{DIFFER}{said}."
    stored = json.loads((run_folder / "settings.json").read_text())[flag[2:].replace("-", "_")]
    assert str(stored) == value
    again = cli("resume", run_folder, "--steps", "8")
    assert again.code == 0 and DIFFER not in again.err


def test_rates_and_batches_that_change_are_those_that_train(cli: Callable[..., Any], run_folder: Path) -> None:
    assert cli("resume", run_folder, "--steps", "6", "--critic-lr", "0.25", "--batch-size", "4").code == 0
    state = load_checkpoint(run_folder / "checkpoints" / "latest.pt")["trainer"]
    assert state["critic_optimizer"]["param_groups"][0]["lr"] == 0.25
    assert state["batches"]["served"] == 2 * (4 * 8 + 2 * 4)  # two critic steps each


def test_what_changes_nothing_is_said_by_nobody_and_goes_on_bit_for_bit(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], points_file: Path, run_folder: Path
) -> None:
    whole = tmp_path / "whole"
    assert cli("train", points_file, "--out", whole, "--steps", "6", "--tick-steps", "2", *tiny).code == 0
    done = cli("resume", run_folder, "--steps", "6", "--keep", "1", "--no-previews", "--batch-size", "8")
    assert done.code == 0 and DIFFER not in done.err
    ours, theirs = (load_checkpoint(each / "checkpoints" / "latest.pt")["trainer"] for each in (run_folder, whole))
    assert all(torch.equal(ours["generator"][name], theirs["generator"][name]) for name in ours["generator"])


def test_every_setting_may_change_or_is_refused_with_a_reason(refused: Callable[..., str], run_folder: Path) -> None:
    assert set(BIT_CHANGING) < set(CHANGEABLE) <= {each.name for each in fields(TrainSettings)}
    for flag, value, reason in (
        ("--objective", "hinge", "what its networks, losses and optimisers are"),
        ("--seed", "5", "the randomness it began with"),
        ("--heldout", "0.3", "what the run learns from"),
    ):
        message = refused("resume", run_folder, "--steps", "9", flag, value)
        assert f"asked for {value} ({reason})" in message and "--batch-size" in message


def changed(run: Path, **settings: object) -> dict[str, object]:
    latest = run / "checkpoints" / "latest.pt"
    content = load_checkpoint(latest)
    content["settings"] |= settings
    latest.unlink()
    save_checkpoint(latest, content)
    return content


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_run_of_a_gpu_goes_on_and_is_drawn_from_without_one(
    cli: Callable[..., Any], refused: Callable[..., str], run_folder: Path, tmp_path: Path
) -> None:
    content = changed(run_folder, device="cuda:1")
    content["trainer"]["latent_rng"] = content["trainer"]["penalty_rng"] = torch.zeros(16, dtype=torch.uint8)  # CUDA's
    (run_folder / "checkpoints" / "latest.pt").unlink()
    save_checkpoint(run_folder / "checkpoints" / "latest.pt", content)
    for verb in ("sample", "visualize", "export"):
        out = {"sample": "s.npy", "visualize": "visualize", "export": "g.safetensors"}[verb]
        assert cli(verb, run_folder, "--out", tmp_path / out).code == 0
    assert "There is no device cuda:1" in refused("resume", run_folder, "--steps", "6", "--device", "cuda:1")
    done = cli("resume", run_folder, "--steps", "6")
    assert done.code == 0, done.err
    assert "The run was trained on cuda:1, which is not here; it goes on as --device auto has it." in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith(DIFFER)]
    assert "it was on another kind of device, whose random numbers cannot go on here" in line


def test_files_are_found_from_another_folder_and_may_move(
    cli: Callable[..., Any],
    refused: Callable[..., str],
    tmp_path: Path,
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(home / "points.npy", rng.normal(size=(80, 3)).astype("f4"))
    np.save(home / "labels.npy", rng.integers(0, 2, 80))
    monkeypatch.chdir(home)
    files = ("--labels", "labels.npy", "--condition", "label")
    assert cli("train", "points.npy", "--out", "run", "--steps", 2, *tiny, *files[:2]).code == 0
    monkeypatch.chdir(elsewhere)
    settings = json.loads((home / "run" / "settings.json").read_text())
    assert settings["data"] == str(home / "points.npy") and settings["labels"] == str(home / "labels.npy")
    assert cli("resume", home / "run", "--steps", 3).code == 0
    for name in ("points.npy", "labels.npy"):
        (home / name).rename(elsewhere / f"moved-{name}")
    assert "There is no" in refused("resume", home / "run", "--steps", 4)
    moved = ("--data", "moved-points.npy", "--labels", "moved-labels.npy")
    done = cli("resume", home / "run", "--steps", 4, *moved)
    assert done.code == 0 and DIFFER not in done.err
    monkeypatch.chdir(tmp_path)
    assert cli("resume", os.path.relpath(home / "run"), "--steps", 5).code == 0


def test_a_pattern_is_kept_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "odd [name]"
    folder.mkdir()
    monkeypatch.chdir(folder)
    found = TrainSettings(data="part-*.parquet").located().data
    (folder / "part-1.parquet").touch()
    from wassergan.data.readers.paths import matching_files

    assert matching_files(found) == [folder / "part-1.parquet"]
    assert TrainSettings(data="digits").located().data == "digits"
    assert TrainSettings(data="part-1.parquet").located().data == str(folder / "part-1.parquet")
