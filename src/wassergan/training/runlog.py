"""The log of a run: one JSON object per tick, one per line."""

import json
import os
from pathlib import Path
from typing import Any

from wassergan.errors import WorkError
from wassergan.files import write_text


class RunLog:
    """Appends ticks to `log.jsonl`, each flushed to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Write one tick.

        Raises:
            WorkError: the file system refuses.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WorkError(f"Could not write {self.path}", found=error.strerror or str(error)) from error

    def cut_after(self, step: int) -> int:
        """Drop ticks later than a step and torn lines, before a run goes on from it; returns how many went."""
        if not self.path.exists():
            return 0
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [record for record in map(_parsed, lines) if record is not None and record["step"] <= step]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        return len(lines) - len(kept)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The ticks of a log, oldest first; torn lines are left out. An absent log has none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [record for record in map(_parsed, lines) if record is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None
