"""The log of a run: one JSON object per tick, one per line."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wassergan.errors import WorkError
from wassergan.storage.files import appending, filling, reading, replacing

LONGEST_LINE_BYTES, MOST_VALUES = 2**16, 256
MOST_TICKS = 10_000


class RunLog:
    """Appends ticks to `log.jsonl`, each flushed to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Write one tick atomically.

        Raises:
            WorkError: the file system refuses.
        """
        line = (json.dumps(record) + "\n").encode()
        try:
            with appending(self.path) as file:
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
                hint="free some space or check the permissions; the last checkpoint and the log up to it are valid",
            ) from error

    def cut_after(self, step: int) -> tuple[int, int]:
        """Drop torn lines and ticks later than a step, before a run resumes from that step.

        Returns:
            The number of dropped ticks and of torn lines.
        """
        if not self.path.exists():
            return 0, 0
        later = torn = 0
        with replacing(self.path) as temporary, filling(temporary) as file:
            for record in _records(self.path):
                if record is None:
                    torn += 1
                elif record["step"] > step:
                    later += 1
                else:
                    file.write((json.dumps(record) + "\n").encode())
        return later, torn


def read_log(path: Path) -> list[dict[str, Any]]:
    """The ticks of a log, oldest first; torn lines are skipped. An absent log has no ticks.

    If there are more than `MOST_TICKS`, they are thinned evenly and the last is kept, so memory does not grow with the
    file.
    """
    if not path.exists():
        return []
    kept: list[dict[str, Any]] = []
    every, last = 1, None
    for number, record in enumerate(each for each in _records(path) if each is not None):
        last = record
        if number % every == 0:
            kept.append(record)
        if len(kept) > MOST_TICKS:
            kept, every = kept[::2], 2 * every
    return kept if last is None or kept[-1] is last else [*kept, last]


def _records(path: Path) -> Iterator[dict[str, Any] | None]:
    """One tick per line, or None for a line that is not a tick; a line that is too long is never held in memory."""
    with reading(path, follow=False) as file:
        while line := file.readline(LONGEST_LINE_BYTES):
            too_long = len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n")
            yield None if too_long else _parsed(line)
            while too_long and (rest := file.readline(LONGEST_LINE_BYTES)):
                too_long = not rest.endswith(b"\n")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and len(record) <= MOST_VALUES and type(record.get("step")) is int
    is_tick = whole and 0 <= record["step"] < 2**63 and all(type(each) in (int, float) for each in record.values())
    return record if is_tick else None
