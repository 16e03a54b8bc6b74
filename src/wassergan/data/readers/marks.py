"""Files that data are read from for as long as a run lasts, and whether they are still the same."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from wassergan.errors import WorkError

LOOKED_AT = 16  # files at a time: a look costs about two microseconds


class DataChangedError(WorkError):
    """The data became others, or went away, while they were in use."""


@dataclass(frozen=True)
class FileMark:
    """A file as it was when it was opened.

    Args:
        path: of the file.
        facts: what tells it from another, or from itself after a write.
    """

    path: Path
    facts: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> "FileMark":
        """The mark of a file as it is now."""
        return cls(path, _facts(path.stat()))

    def require(self, descriptor: int | None = None) -> None:
        """Require the file to be as it was; what a descriptor leads to, or else the path.

        Raises:
            DataChangedError: it was written to, replaced or removed.
        """
        try:
            found = _facts(self.path.stat() if descriptor is None else os.fstat(descriptor))
        except OSError as error:
            raise self.changed(error.strerror or str(error)) from error
        if found != self.facts:
            same = found[:2] == self.facts[:2]
            raise self.changed("it was written to" if same else "another file is in its place")

    def changed(self, found: str) -> DataChangedError:
        """The error for a file that is no longer what it was."""
        return DataChangedError(
            f"{self.path} changed while it was in use",
            found=found,
            mend="put the former file back and resume the run, or start a new one",
        )


class Watch:
    """Looks at some of many files at each call, in turn.

    Args:
        marks: of the files.
    """

    def __init__(self, marks: Iterable[FileMark] = ()) -> None:
        self._marks = tuple(marks)
        self._turn: Iterator[FileMark] = cycle(self._marks)

    def require_same(self) -> None:
        """Look at the next few files.

        Raises:
            DataChangedError: one of them is no longer the same.
        """
        for mark in islice(self._turn, min(LOOKED_AT, len(self._marks))):
            mark.require()


def _facts(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
