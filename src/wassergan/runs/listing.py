"""The runs below a folder, in a line each: how far they came, what they scored, how much room they take."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wassergan.errors import UserError
from wassergan.storage.files import kind_of, read_text
from wassergan.storage.lock import is_in_use
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import read_log
from wassergan.storage.sizes import folder_bytes, subfolders
from wassergan.storage.tick_distance import LABELS, distance_name

DEEPEST = 4  # folders between the one that is named and a run
MOST_FOLDERS = 20_000
TRAINING, FINISHED, STOPPED, STARTED, DAMAGED = "training", "finished", "stopped", "started", "damaged"


@dataclass(frozen=True)
class ListedRun:
    """A run as far as its small files tell; checkpoints are not opened.

    Attributes:
        run: path of its folder.
        state: `training`: a process writes it; `finished`: it reached its steps or its time; `stopped`: before that;
            `started`: without a tick yet; `damaged`: its settings or log cannot be read.
        data: the data that it learns.
        preset: its preset.
        steps: at its last tick.
        seconds: of training.
        metric: the name of its distance from held-out samples.
        distance: at its last tick.
        floor: of that distance.
        verdict: the level of its last evaluation.
        size_bytes: of all its files; names of one file count once.
        changed: time of its last tick, seconds since 1970.
    """

    run: str
    state: str
    size_bytes: int
    data: str | None = None
    preset: str | None = None
    steps: int | None = None
    seconds: float | None = None
    metric: str | None = None
    distance: float | None = None
    floor: float | None = None
    verdict: str | None = None
    changed: float | None = None


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs in a folder and below it, the latest last. No link is followed.

    Args:
        folder: of runs, or of one run.

    Raises:
        UserError: there is no such folder, or it holds too many.
    """
    if kind_of(folder, follow=True) != "a folder":
        raise UserError(f"There is no folder {folder}", hint="name the folder that your runs are in")
    found = [_listed(RunFolder(path)) for path in _run_folders(folder)]
    return sorted(found, key=lambda each: (each.changed or 0.0, each.run))


def _run_folders(folder: Path) -> Iterator[Path]:
    waiting, seen = [(folder, 0)], 0
    while waiting:
        path, depth = waiting.pop()
        seen += 1
        if seen > MOST_FOLDERS:
            raise UserError(
                f"{folder} holds more than {MOST_FOLDERS:,} folders", hint="name the folder that your runs are in"
            )
        if RunFolder(path).holds_run():
            yield path
        elif depth < DEEPEST:
            waiting += [(each, depth + 1) for each in subfolders(path)]


def _listed(folder: RunFolder) -> ListedRun:
    size, name = folder_bytes(folder.path), str(folder.path)
    try:
        folder.require_here()
        settings = _object(folder.settings)
        log = read_log(folder.log) if folder.log.exists() else []
        verdict = _verdict(folder.metrics)
        last = log[-1] if log else {}
        facts: dict[str, Any] = {
            "data": _text(settings.get("data")),
            "preset": _text(settings.get("preset")),
            "verdict": verdict,
        }
        if last:
            metric = distance_name(last)
            facts |= {
                "steps": int(last["step"]),
                "seconds": _number(last.get("seconds")),
                "metric": LABELS[metric],
                "distance": _number(last.get(metric)),
                "floor": _number(last.get(f"{metric}_floor")),
                "changed": folder.log.stat().st_mtime,
            }
        return ListedRun(name, _state(folder, settings, last), size, **facts)
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return ListedRun(name, TRAINING if is_in_use(folder.path) else DAMAGED, size)


def _state(folder: RunFolder, settings: dict[str, Any], last: dict[str, Any]) -> str:
    if is_in_use(folder.path):
        return TRAINING
    if not last:
        return STARTED
    steps, budget = settings.get("steps"), settings.get("budget")
    # A budget is of all time; `seconds` leave out ticks.
    passed = last.get("elapsed_seconds", last.get("seconds", 0))
    reached = (steps and last["step"] >= steps) or (budget and passed >= 0.98 * budget)
    return FINISHED if reached else STOPPED


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(read_text(path, follow=False))
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _verdict(path: Path) -> str | None:
    if kind_of(path) != "a file":
        return None
    return _text(_object(path)["verdict"].get("level"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def age_in_words(changed: float | None) -> str:
    """How long ago that was, such as `3 h ago`."""
    if changed is None:
        return "-"
    seconds = max(0.0, time.time() - changed)
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "now"
