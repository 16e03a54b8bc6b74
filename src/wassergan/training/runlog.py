"""The log of a run: one JSON object per tick, one per line."""

import errno
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
        """Write one tick, whole or not at all.

        Raises:
            WorkError: the file system refuses.
        """
        line = (json.dumps(record) + "\n").encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                whole = file.tell()
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except BaseException:
                    file.truncate(whole)
                    raise
        except OSError as error:
            raise WorkError(
                f"Could not write {self.path}",
                found=error.strerror or str(error),
                mend="free some space or check the permissions; the last checkpoint and the log up to it are valid",
            ) from error

    def cut_after(self, step: int) -> tuple[int, int]:
        """Drop ticks later than a step and torn lines, before a run goes on from it.

        Returns:
            How many ticks went, and how many torn lines.
        """
        if not self.path.exists():
            return 0, 0
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        whole = [record for record in map(_parsed, lines) if record is not None]
        kept = [record for record in whole if record["step"] <= step]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        return len(whole) - len(kept), len(lines) - len(whole)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The ticks of a log, oldest first; torn lines are left out. An absent log has none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [record for record in map(_parsed, lines) if record is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None
