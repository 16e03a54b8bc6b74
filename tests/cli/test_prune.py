import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wassergan import open_sampler
from wassergan.runs.prune import prune_run
from wassergan.storage.lock import held


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A run with the numbered checkpoints 1 to 4 and 5, of which 5 is `latest`, and 2 is `best`."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    checkpoints = folder / "checkpoints"
    content = (checkpoints / "latest.pt").read_bytes()
    for path in checkpoints.glob("*.pt"):
        path.unlink()
    for step in range(1, 6):
        (checkpoints / f"step-{step:09d}.pt").write_bytes(content)
    os.link(checkpoints / "step-000000005.pt", checkpoints / "latest.pt")
    os.link(checkpoints / "step-000000002.pt", checkpoints / "best.pt")
    return folder


def files(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


def used(run: Path) -> int:
    return sum({path.stat().st_ino: path.stat().st_size for path in (run / "checkpoints").iterdir()}.values())


def test_older_checkpoints_go_and_the_room_is_told(cli: Callable[..., Any], run: Path) -> None:
    before, there = used(run), files(run)
    told = json.loads(cli("prune", run, "--keep", 2, "--dry-run", "--json").out)
    assert files(run) == there and told["dry_run"]
    done = json.loads(cli("prune", run, "--keep", 2, "--json").out)
    assert done | {"dry_run": True} == told
    assert (done["removed"], done["kept"]) == ([1, 2, 3], [4, 5])
    assert files(run) == {"step-000000004.pt", "step-000000005.pt", "latest.pt", "best.pt"}
    # The file of step 2 is `best` too, and stays on the disk.
    assert done["freed_bytes"] == before - used(run) == 2 * (run / "checkpoints/latest.pt").stat().st_size
    assert open_sampler(run).draw(3).shape[0] == 3
    assert cli("resume", run, "--steps", 6).code == 0
    assert "Nothing to remove" in cli("prune", run, "--keep", 9).out


def test_words(cli: Callable[..., Any], run: Path) -> None:
    assert (
        "Would remove the checkpoints of steps 1, 2, 3, 4, and free" in cli("prune", run, "--keep", 1, "--dry-run").out
    )
    assert "Removed the checkpoints of steps 1, 2, 3, 4;" in cli("prune", run, "--keep", 1).out
    assert cli("prune", run, "--keep", 1).out == f"Nothing to remove: {run} has 1 numbered checkpoint.\n"


def test_what_cannot_be_pruned(refused: Callable[..., str], run: Path, tmp_path: Path) -> None:
    there = files(run)
    assert "There is no run" in refused("prune", tmp_path / "gone", "--keep", 1)
    assert "Missing option" in refused("prune", run)
    for keep in ("0", "-1", "x"):
        assert "--keep" in refused("prune", run, "--keep", keep)
    with held(run):
        assert "being written by another process" in refused("prune", run, "--keep", 1)
    assert files(run) == there and not (run / ".lock").exists()


def test_links_lead_nowhere(run: Path, refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("here")
    victim = run / "checkpoints/step-000000001.pt"
    victim.unlink()
    victim.symlink_to(tmp_path / "precious")
    assert "no part of the run" in refused("prune", run, "--keep", 1)
    victim.unlink()
    victim.mkdir()
    assert prune_run(run, keep=1).removed == (2, 3, 4)
    assert (tmp_path / "precious").exists() and victim.is_dir()
