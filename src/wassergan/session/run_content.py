"""What a run folder says of its run: the content of a checkpoint, and a summary."""

from dataclasses import asdict
from os import PathLike
from typing import Any

from wassergan.session.contents import checked
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.files import as_path
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import read_log


def load_run(folder: RunFolder, which: str = "latest") -> CheckpointState:
    """The state in a checkpoint of a run: `latest`, `best` or a step number.

    Raises:
        UserError: no run, no such checkpoint, or a damaged one.
    """
    folder.require_run()
    return checked(load_checkpoint(Checkpoints(folder.checkpoints).path(which)))


def ticks_until(step: int, folder: RunFolder) -> list[dict[str, Any]]:
    """The log of a run up to a step: a run that goes on logs a tick before `latest` moves to it."""
    return [record for record in read_log(folder.log) if record["step"] <= step]


def run_summary(folder: str | PathLike[str]) -> dict[str, Any]:
    """What a run is and how far it came at `latest`: settings, that tick's values, the best, and notes on the data.

    Raises:
        UserError: there is no run.
    """
    run_folder = RunFolder(as_path(folder))
    state = load_run(run_folder)
    settings = asdict(state.settings)
    log = ticks_until(state.step, run_folder)
    last = log[-1] if log else {}
    return {
        "run": str(folder),
        "data": settings["data"],
        "kind": state.kind,
        "preset": settings["preset"],
        "constraint": settings["constraint"],
        "network": settings["network"],
        "steps": state.step,
        "seconds": state.seconds,
        **{name: value for name, value in last.items() if name not in ("step", "seconds", "rollbacks")},
        f"best_{state.best.metric}": state.best.distance,
        "best_step": state.best.step,
        "rollbacks": list(state.rollbacks),
        "notes": list(state.notes),
        "settings": settings,
    }
