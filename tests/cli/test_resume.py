import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def run_folder(cli: Callable[..., object], tmp_path: Path, tiny: tuple[str, ...], points_file: Path) -> Path:
    folder = tmp_path / "run"
    assert cli("train", points_file, "--out", folder, "--steps", "4", "--tick-steps", "2", *tiny).code == 0
    return folder


def test_a_run_goes_on_to_more_steps(cli: Callable[..., object], run_folder: Path) -> None:
    said = cli("resume", run_folder, "--steps", "6", "--json")
    assert said.code == 0 and json.loads(said.out)["steps"] == 6
    assert json.loads((run_folder / "settings.json").read_text())["steps"] == 6


def test_a_budget_replaces_the_steps(cli: Callable[..., object], run_folder: Path) -> None:
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
    cli: Callable[..., object], refused: Callable[..., str], run_folder: Path
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
