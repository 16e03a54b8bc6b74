"""Files that data are read from: whether they are still the ones that were opened.

Compared are device, inode, size and time of change of the content. Content that is written in place with its size kept
and its time set back is not noticed here; `session.fingerprint` compares values when a run is resumed.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from wassergan.errors import UserError, WorkError
from wassergan.storage.files import reading

LOOKED_AT = 16  # files at a time: a look costs about two microseconds
LATER = "put the former file back and resume the run, or start a new one"
MEANWHILE = "wait until nothing writes to it, and start again"
_64_BITS = 2**64 - 1


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
        """The mark of a file as it is now.

        Raises:
            DataChangedError: it is gone, though it was found before.
        """
        return cls(path, facts_of(path))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def parent(self) -> Path:
        """The folder that the file lies in."""
        return self.path.parent

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.facts[2]

    def require(self, descriptor: int | None = None, *, mend: str = LATER) -> None:
        """Require the file to be as it was; what a descriptor leads to, or else the path.

        Raises:
            DataChangedError: it was written to, replaced or removed.
        """
        try:
            found = _facts(self.path.stat() if descriptor is None else os.fstat(descriptor))
        except OSError as error:
            raise self.changed(error.strerror or str(error), mend) from error
        if found != self.facts:
            same = found[:2] == self.facts[:2]
            raise self.changed("it was written to" if same else "another file is in its place", mend)

    def changed(self, found: str, mend: str = LATER) -> DataChangedError:
        """The error for a file that is no longer what it was."""
        return DataChangedError(f"{self.path} changed while it was in use", found=found, mend=mend)


@contextmanager
def reading_marked(mark: FileMark) -> Iterator[BufferedReader]:
    """Open a file to read it; that it is still the same is seen before, and again after.

    What goes wrong inside is the change's fault if the file changed.

    Raises:
        DataChangedError: it changed since it was marked, or does so while it is read.
        OSError: it is the same, but cannot be opened.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(reading(mark.path))
        except (OSError, UserError) as error:
            with _caused_by(error):
                mark.require()
            raise
        mark.require(file.fileno())
        try:
            yield file
        except DataChangedError:
            raise
        except Exception as error:
            with _caused_by(error):
                mark.require(None if file.closed else file.fileno())
            raise
        mark.require(None if file.closed else file.fileno())


@contextmanager
def _caused_by(error: Exception) -> Iterator[None]:
    try:
        yield
    except DataChangedError as changed:
        raise changed from error


@contextmanager
def unchanging(paths: Iterable[Path]) -> Iterator[None]:
    """Inside, files are read, in one go or in several; afterwards they must be what they were before.

    Raises:
        DataChangedError: one of them changed meanwhile; that explains any error inside.
    """
    marks = [FileMark.of(path) for path in paths]
    try:
        yield
    except Exception as error:
        with _caused_by(error):
            _require_all(marks)
        raise
    _require_all(marks)


def _require_all(marks: Sequence[FileMark]) -> None:
    for mark in marks:
        mark.require(mend=MEANWHILE)


class Marks(Protocol):
    """Marks of files, by number."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, place: int, /) -> FileMark:
        """One of them."""


class Watch:
    """Looks at some of many files at each call, in turn.

    Args:
        marks: of the files.
    """

    def __init__(self, marks: Marks | Iterator[FileMark] = ()) -> None:
        self.marks: Marks = tuple(marks) if isinstance(marks, Iterator) else marks
        self._turn = 0

    def require_same(self) -> None:
        """Look at the next few files.

        Raises:
            DataChangedError: one of them is no longer the same.
        """
        count = len(self.marks)
        for place in range(self._turn, self._turn + min(LOOKED_AT, count)):
            self.marks[place % count].require()
        self._turn = (self._turn + LOOKED_AT) % max(1, count)


def facts_of(path: str | Path) -> tuple[int, ...]:
    """What tells a file as it is now from another; by a name, since paths take as long to make as files to look at.

    Raises:
        DataChangedError: it is gone, though it was found before.
    """
    try:
        return _facts(os.stat(path))  # noqa: PTH116
    except OSError as error:
        raise FileMark(Path(path), ()).changed(error.strerror or str(error)) from error


def _facts(found: os.stat_result) -> tuple[int, ...]:
    # As NumPy can hold them: some file systems number their files from the top, and times may lie before 1970.
    return tuple(each & _64_BITS for each in (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
