"""The state of a monitor on disk: one file, replaced atomically, in a folder that one process at a time writes to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from wassergan.errors import UserError
from wassergan.monitor.batch_report import BatchReport
from wassergan.storage.files import load_tensors, replacing, save_tensors

STATE_NAME, FORMAT = "state.pt", 1


class Stateful(Protocol):
    """A monitor."""

    def state_dict(self) -> dict[str, Any]:
        """Its state."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""


def summary_of(report: BatchReport) -> dict[str, Any]:
    """What the timeline keeps of a batch, in plain types."""
    evidence = report.evidence
    names = ("number", "name", "season", "rows", "p_value", "alarm", "w1", "floor", "lower")
    return {name: getattr(report, name) for name in names} | {
        "e_value": evidence.e_value,
        "alarm_at": evidence.alarm_at,
        "moved": [each.name for each in report.moved][:10],
    }


class MonitorState:
    """A monitor's state and the summaries of its batches, in a folder whose lock the caller holds."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.path = folder / STATE_NAME
        self.history: list[dict[str, Any]] = []

    def load(self, monitor: Stateful) -> bool:
        """Go on from what was saved, if anything was.

        Raises:
            UserError: the file is damaged, or of another reference or settings.
        """
        if not self.path.exists():
            return False
        try:
            content = load_tensors(self.path)
            if content["format"] != FORMAT:
                raise UserError(f"{self.path} has another format", found=str(content["format"]))
            history = json.loads(content["history"])
            monitor.load_state_dict(_arrays(content["monitor"]))
        except UserError:
            raise
        except Exception as error:  # a damaged file may raise anything
            raise UserError(
                f"{self.path} is no state of a monitor", found=type(error).__name__, hint="remove it to start anew"
            ) from error
        self.history = history
        return True

    def save(self, monitor: Stateful, report: BatchReport) -> None:
        """Replace the file by the state after a batch; on any failure the former one stays.

        Raises:
            WorkError: the file system refuses.
        """
        history = [*self.history, summary_of(report)]
        content = {"format": FORMAT, "monitor": _tensors(monitor.state_dict()), "history": json.dumps(history)}
        with replacing(self.path) as temporary:
            save_tensors(temporary, content)
        self.history = history


def _tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {name: _tensors(each) for name, each in value.items()}
    return [_tensors(each) for each in value] if isinstance(value, list) else value


def _arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {name: _arrays(each) for name, each in value.items()}
    return [_arrays(each) for each in value] if isinstance(value, list) else value
