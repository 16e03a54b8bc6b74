import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wassergan.runs.listing import list_runs
from wassergan.storage.lock import held


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> Path:
    for name in ("a", "deep/er/b"):
        shutil.copytree(finished_run, tmp_path / name)
    return tmp_path


def test_runs_are_listed_with_their_scores(cli: Callable[..., Any], folder: Path) -> None:
    log = json.loads((folder / "a/log.jsonl").read_text().splitlines()[-1])
    found = {each["run"]: each for each in json.loads(cli("runs", folder, "--json").out)}
    assert set(found) == {str(folder / "a"), str(folder / "deep/er/b")}
    run = found[str(folder / "a")]
    assert (run["state"], run["steps"], run["preset"]) == ("finished", 5, "default")
    assert (run["distance"], run["floor"]) == (log["sliced_w1"], log["sliced_w1_floor"])
    out = cli("runs", folder).out
    assert "finished" in out and "2 runs" in out and f"{log['sliced_w1']:.4g}" in out


def test_names_of_one_file_count_once(folder: Path) -> None:
    seen = {}
    for path in (folder / "a").rglob("*"):
        if path.is_file():
            seen[path.stat().st_ino] = path.stat().st_size
    by_name = {Path(each.run).name: each for each in list_runs(folder)}
    assert by_name["a"].size_bytes == sum(seen.values())


def test_states(folder: Path) -> None:
    for name in ("stopped", "started", "damaged", "foreign", "odd", "evaluated"):
        shutil.copytree(folder / "a", folder / name)
    settings = json.loads((folder / "a/settings.json").read_text())
    (folder / "stopped/settings.json").write_text(json.dumps({**settings, "steps": 99}))
    (folder / "started/log.jsonl").unlink()
    (folder / "damaged/settings.json").write_text("[1, 2")
    (folder / "foreign/settings.json").write_text(json.dumps(["no", "settings"]))
    (folder / "odd/log.jsonl").write_text('{"step": 1e999, "sliced_w1": "x"}\n')
    (folder / "evaluated/metrics.json").write_text(json.dumps({"verdict": {"level": "good"}}))
    with held(folder / "a"):
        found = {Path(each.run).name: each for each in list_runs(folder)}
    assert {name: each.state for name, each in found.items()} == {
        "a": "training",
        "b": "finished",
        "stopped": "stopped",
        "started": "started",
        "damaged": "damaged",
        "foreign": "damaged",
        "odd": "started",
        "evaluated": "finished",
    }
    assert found["evaluated"].verdict == "good"
    assert next(each for each in list_runs(folder) if each.run.endswith("/a")).state == "finished"


def test_nothing_outside_the_folder_is_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    shutil.move(folder / "a", away / "a")
    (folder / "link").symlink_to(away / "a")
    shutil.copytree(away / "a", folder / "partly")
    (folder / "partly/log.jsonl").unlink()
    (folder / "partly/log.jsonl").symlink_to(away / "a/log.jsonl")
    shutil.copytree(away / "a", folder / "piped")
    (folder / "piped/settings.json").unlink()
    os.mkfifo(folder / "piped/settings.json")
    found = {Path(each.run).name: each.state for each in list_runs(folder)}
    assert found == {"b": "finished", "partly": "damaged", "piped": "damaged"}


def test_control_characters_in_names_do_not_reach_the_terminal(cli: Callable[..., Any], folder: Path) -> None:
    (folder / "a").rename(folder / "\x1b[2Jz\n")
    out = cli("runs", folder).out
    assert "\x1b" not in out and "\\x1b[2Jz\\n" in out and len(out.splitlines()) == 4


def test_no_runs(cli: Callable[..., Any], refused: Callable[..., str], tmp_path: Path) -> None:
    assert "There are no runs" in cli("runs", tmp_path).out
    assert json.loads(cli("runs", tmp_path, "--json").out) == []
    assert "There is no folder" in refused("runs", tmp_path / "gone")
    (tmp_path / "file").write_text("")
    assert "There is no folder" in refused("runs", tmp_path / "file")


@pytest.mark.parametrize(("elapsed", "state"), [(20.1, "finished"), (12.0, "stopped")])
def test_a_budget_is_used_up_by_ticks_too(folder: Path, elapsed: float, state: str) -> None:
    run = folder / "a"
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"steps": None, "budget": 20.0}))
    lines = (run / "log.jsonl").read_text().splitlines()
    last = json.loads(lines[-1]) | {"seconds": 11.0, "elapsed_seconds": elapsed}
    (run / "log.jsonl").write_text("".join(f"{line}\n" for line in [*lines[:-1], json.dumps(last)]))
    assert {each.state for each in list_runs(run)} == {state}
