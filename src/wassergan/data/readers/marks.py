"""Files that data are read from: whether they are still the ones that were opened.

Every read compares device, inode, size and time of change of the content (mtime). That time can be set back; the time
of change of the status (ctime) cannot, but `chmod`, hard links and backups change it, too. Where that alone is another,
`Watch` says so, and `Source.require_same` compares values. Not noticed are writes through a mapping of the file
until the system writes them out, and those within one step of the file system's clock.
"""

import os
import stat
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from wassergan.errors import UserError, WorkError
from wassergan.storage.files import reading

LOOKED_AT = 16  # files at a time: a look costs about two microseconds
LATER = "put the former file back and resume the run, or start a new one"
MEANWHILE = "wait until nothing writes to it, and start again"
TOUCHED = "its status changed, which may hide other values"
_64_BITS = 2**64 - 1


class DataChangedError(WorkError):
    """The data became others, or went away, while they were in use."""


class _Looks:
    """Counts the looks, of all threads, that found another status and nothing else; it matters that it grows."""

    touched = 0


_looks = _Looks()


@dataclass(frozen=True)
class FileMark:
    """A file as it was when it was opened.

    Args:
        path: of the file.
        facts: what tells it from another, or from itself after a write.
        status: one number, the time at which its status changed last, as far as its values are known to be the same.
    """

    path: Path
    facts: tuple[int, ...]
    status: MutableSequence[int] = field(default_factory=lambda: [0], compare=False)

    @classmethod
    def of(cls, path: Path) -> "FileMark":
        """The mark of a file as it is now.

        Raises:
            DataChangedError: it is gone, though it was found before.
        """
        *facts, status = facts_of(path)
        return cls(path, tuple(facts), [status])

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

    def require(self, descriptor: int | None = None, *, hint: str = LATER) -> bool:
        """Require the file to be as it was; what a descriptor leads to, or else the path.

        Returns:
            Whether its status is as it was, too.

        Raises:
            DataChangedError: it was written to, replaced or removed.
        """
        try:
            found = self.path.stat() if descriptor is None else os.fstat(descriptor)
        except OSError as error:
            raise self.changed(error.strerror or str(error), hint) from error
        *facts, status = _facts(found)
        if tuple(facts) != self.facts:
            raise self.changed(_told(found, facts[:2] == list(self.facts[:2])), hint)
        if is_same := status == self.status[0]:
            return is_same
        _looks.touched += 1
        return False

    def changed(self, found: str, hint: str = LATER) -> DataChangedError:
        """The error for a file that is no longer what it was."""
        return DataChangedError(f"{self.path} changed while it was in use", found=found, hint=hint)


def _told(found: os.stat_result, is_same_inode: bool) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "a folder is in its place" if stat.S_ISDIR(found.st_mode) else "something else is in its place"
    return "it was written to" if is_same_inode else "another file is in its place"


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

    Their values are not known yet, so even a change of the status alone counts: it may hide a write whose time was set
    back.

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
        if not mark.require(hint=MEANWHILE):
            raise mark.changed(TOUCHED, MEANWHILE)


class Marks(Protocol):
    """Marks of files, by number."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> FileMark:
        """One of them."""


class Watch:
    """Looks at some of many files at each call, in turn.

    Args:
        marks: of the files.
    """

    def __init__(self, marks: Marks | Iterator[FileMark] = ()) -> None:
        self.marks: Marks = tuple(marks) if isinstance(marks, Iterator) else marks
        self._turn = 0
        self._touched = _looks.touched

    def require_same(self) -> bool:
        """Look at the next few files.

        Returns:
            Whether, as far as is known, none of all has another status, which may hide other values.

        Raises:
            DataChangedError: one of them is no longer the same.
        """
        total = len(self.marks)
        for index in range(self._turn, self._turn + min(LOOKED_AT, total)):
            self.marks[index % total].require()
        self._turn = (self._turn + LOOKED_AT) % max(1, total)
        if is_same := self._touched == _looks.touched:
            return is_same
        self._touched = _looks.touched
        return not total

    def require_untouched(self) -> None:
        """Require of all files that not even their status changed since they were marked, right after all was read.

        Raises:
            DataChangedError: that of one did.
        """
        for mark, _ in self.touched():
            raise mark.changed(TOUCHED, MEANWHILE)

    def touched(self) -> list[tuple[FileMark, int]]:
        """The files whose status is another, and its time.

        Raises:
            DataChangedError: one of them is no longer the same.
        """
        found = []
        for index in range(len(self.marks)):
            mark = self.marks[index]
            if not mark.require():
                found.append((mark, facts_of(mark.path)[-1]))
        self._touched = _looks.touched
        return found


def facts_of(path: str | Path) -> tuple[int, ...]:
    """What tells a file as it is now from another, and when its status changed last.

    By a name, since paths take as long to make as files to look at.

    Raises:
        DataChangedError: it is gone, though it was found before.
    """
    try:
        return _facts(os.stat(path))  # noqa: PTH116
    except OSError as error:
        raise FileMark(Path(path), ()).changed(error.strerror or str(error)) from error


def _facts(found: os.stat_result) -> tuple[int, ...]:
    # As NumPy can hold them: some file systems number their files from the top, and times may lie before 1970.
    facts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return tuple(each & _64_BITS for each in facts)
