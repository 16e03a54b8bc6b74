"""The state of a monitor on disk: one file, replaced atomically, in a folder that one process at a time writes to."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from wassergan.errors import UserError, shortened
from wassergan.monitor.batch_report import BatchReport
from wassergan.storage.archive import read_archive
from wassergan.storage.arrays import save_tensors
from wassergan.storage.files import LARGEST_TEXT, replacing, require_regular

STATE_NAME, FORMAT = "state.pt", 1
MOST_KEPT = 2000  # summaries, the latest; the page shows fewer
_NUMBERS = ("p_value", "w1", "floor", "lower", "e_value")


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
        if not require_regular(self.path, follow=False).exists():
            return False
        try:
            content = read_archive(self.path)
            if content["format"] != FORMAT:
                raise UserError(f"{self.path} has another format", found=shortened(str(content["format"]), 80))
            history = _history(content["history"])
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
        history = [*self.history, summary_of(report)][-MOST_KEPT:]
        while len(text := json.dumps(history)) > LARGEST_TEXT:  # long names
            history = history[len(history) // 2 + 1 :]
        content = {"format": FORMAT, "monitor": _tensors(monitor.state_dict()), "history": text}
        with replacing(self.path) as temporary:
            save_tensors(temporary, content)
        self.history = history


def _history(text: str) -> list[dict[str, Any]]:
    """The summaries in a text.

    Raises:
        Exception: it is not what `save` wrote.
    """
    if len(text) > LARGEST_TEXT:
        raise ValueError("more than any monitor writes")
    history = json.loads(text)
    if not isinstance(history, list) or not all(map(_is_summary, history)):
        raise ValueError("summaries that no monitor writes")
    return history


def _is_summary(value: Any) -> bool:
    """Whether the page can show it."""
    at = value["alarm_at"]
    return bool(
        all(type(value[name]) is float and math.isfinite(value[name]) for name in _NUMBERS)
        and all(type(value[name]) is int and value[name] > 0 for name in ("number", "rows"))
        and 0 < value["p_value"] <= 1
        and isinstance(value["name"], str)
        and isinstance(value["season"], str | None)
        and isinstance(value["alarm"], bool)
        and (at is None or (type(at) is int and at > 0))
        and isinstance(value["moved"], list)
        and all(isinstance(name, str) for name in value["moved"])
    )


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
