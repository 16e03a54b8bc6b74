"""The log of a run: one JSON object per tick, one per line."""

import errno
import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wassergan.errors import WorkError
from wassergan.storage.files import appending, filling, reading, replacing

LONGEST_LINE_BYTES, MOST_VALUES = 2**16, 256
BLOCK_BYTES = LONGEST_LINE_BYTES  # that are read at once: of their lines, only the first and the last may be longer
MOST_TICKS, LATEST_LINES = 10_000, 64
# Lines that surely are ticks, as `json.dumps` writes them; whether another one is a tick only parsing tells.
_NUMBER = rb"(?:-?(?:0|[1-9]\d{0,17})(?:\.\d{1,40})?(?:[eE][-+]?\d{1,5})?|NaN|-?Infinity)"
_TICK = rb'\{"step": ?(?:0|[1-9]\d{0,17})(?:, ?"(?!step")[ !#-\[\]-~]*": ?%b){0,%d}+\}\n' % (_NUMBER, MOST_VALUES - 1)
_TICKS, _STEP = re.compile(rb"(?:%b)++" % _TICK), re.compile(rb'^\{"step": ?(\d+)', re.MULTILINE)


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
            for lines in _lines(self.path):
                steps = _steps(lines)
                kept = [
                    line + b"\n"
                    for line, at in zip(lines, steps, strict=True)
                    if line is not None and at is not None and at <= step
                ]
                torn += steps.count(None)
                later += len(lines) - steps.count(None) - len(kept)
                file.write(b"".join(kept))
        return later, torn


def read_log(path: Path) -> list[dict[str, Any]]:
    """The ticks of a log, oldest first; torn lines are skipped. An absent log has no ticks.

    Of more than `MOST_TICKS` lines, evenly spaced ones and the last tick are kept, and only those are parsed: neither
    memory nor, by much, time grows with the file.
    """
    if not path.exists():
        return []
    kept: list[tuple[int, dict[str, Any]]] = []  # with the number of the line
    every, number, first, latest = 1, 0, 0, deque[bytes](maxlen=LATEST_LINES)
    for lines in _lines(path):
        latest.extend(line for line in lines[-LATEST_LINES:] if line is not None)
        while number < first + len(lines):
            if (record := _parsed(lines[number - first])) is not None:
                kept.append((number, record))
            if number >= MOST_TICKS * every:
                every *= 2
                kept = [each for each in kept if each[0] % every == 0]
            number += every - number % every
        first += len(lines)
    ticks = [record for _, record in kept]
    last = next((record for line in reversed(latest) if (record := _parsed(line)) is not None), None)
    return ticks if last is None or (ticks and ticks[-1] == last) else [*ticks, last]


def _steps(lines: list[bytes | None]) -> list[int | None]:
    """The step of each line, or None for one that is no tick. What `RunLog` writes is told without being parsed."""
    whole = [line for line in lines if line is not None]
    text = b"\n".join([*whole, b""])
    if len(whole) == len(lines) and _TICKS.fullmatch(text):
        return list(map(int, _STEP.findall(text)))
    return [_step(line) for line in lines]


def _step(line: bytes | None) -> int | None:
    if line is None or not (b'"step"' in line or b"\\" in line):  # which may stand for a letter of it
        return None
    if _TICKS.fullmatch(line + b"\n"):
        return int(_STEP.findall(line)[0])
    record = _parsed(line)
    return None if record is None else int(record["step"])


def _lines(path: Path) -> Iterator[list[bytes | None]]:
    """The lines, many at once; None for one that is too long, which is never held in memory."""
    begun, too_long = b"", False  # the line at the end of a block
    with reading(path, follow=False) as file:
        while block := file.read(BLOCK_BYTES):
            *split, rest = block.split(b"\n")
            if split:
                whole = begun + split[0]
                yield [None if too_long or len(whole) >= LONGEST_LINE_BYTES else whole, *split[1:]]
                begun, too_long = b"", False
            begun += rest
            if len(begun) >= LONGEST_LINE_BYTES:
                begun, too_long = b"", True
    if begun or too_long:
        yield [None if too_long else begun]


def _parsed(line: bytes | None) -> dict[str, Any] | None:
    if line is None:
        return None
    try:
        record = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return record if _is_tick(record) else None


def _is_tick(record: Any) -> bool:
    whole = isinstance(record, dict) and len(record) <= MOST_VALUES and type(record.get("step")) is int
    return whole and record["step"] >= 0 and all(map(_is_number, record.values()))


def _is_number(value: object) -> bool:
    """Whether arithmetic with a value of a log works: whole numbers of any size are no floats."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)
