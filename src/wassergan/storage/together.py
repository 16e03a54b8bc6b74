"""Files that belong together take their places together: what a kill cuts short, the next call brings to its end.

While they are written they keep their temporary names. Then a journal says which go where, and which former ones go;
they are moved, and the journal is removed. Before the journal is there all files are the old ones, afterwards all are
the new ones as soon as the moves are made: by this process, or by the next one that asks for the folder. Source: redo
logging, Gray and Reuter 1992, Transaction Processing, chapter 9.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex

from wassergan.errors import UserError, WorkError
from wassergan.storage.files import (
    alone_in,
    discard,
    flush_folders,
    holding,
    is_temporary,
    keep_at_exit,
    kind_of,
    move,
    read_text,
    remove,
    require_target,
    write_text,
)

_JOURNAL = re.compile(r"\.wassergan-\d+-[0-9a-f]{16}\.moves")
_DEEPEST = 2  # parts of a name in a journal: a file of the folder, or of a folder in it
Ours = Callable[[str], bool]


@dataclass(frozen=True)
class _Moves:
    """Names below a folder: what goes where, and what is to go."""

    moved: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]


class Together:
    """What is to take its place at once; `together` makes it.

    Args:
        folder: that all of them lie in, or in folders of it.

    Attributes:
        held: each target with its temporary file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.held: dict[Path, Path] = {}
        self._former: set[Path] = set()
        self._journal = folder / f".wassergan-{os.getpid()}-{token_hex(8)}.moves"

    def remove(self, path: Path) -> None:
        """Note a file of an earlier call that goes when the new ones come, unless it is one of them."""
        if kind_of(path) == "a file":
            self._former.add(path)

    def commit(self) -> None:
        """Put all into place.

        Raises:
            UserError: something that is no regular file came into the place of one of them.
            WorkError: the file system refuses; says whether the old files are still valid.
        """
        for path in self.held:
            require_target(path)
        moves = self._moves()
        if len(moves.moved) + len(moves.removed) > 1:
            flush_folders(path.parent for path in self.held)
            keep_at_exit(self.held.values())
            write_text(self._journal, json.dumps({"moved": moves.moved, "removed": moves.removed}))
        with alone_in(self._folder):
            _make(self._folder, moves, self._journal)

    def settle(self) -> None:
        """After an error or a signal: the new files if their journal is there, the old ones otherwise."""
        if kind_of(self._journal) == "a file":
            _make(self._folder, self._moves(), self._journal)
            return
        for temporary in self.held.values():
            with suppress(OSError):
                discard(temporary)

    def _moves(self) -> _Moves:
        moved = tuple((self._name(temporary), self._name(path)) for path, temporary in self.held.items())
        return _Moves(moved, tuple(self._name(path) for path in sorted(self._former - set(self.held))))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


@contextmanager
def together(folder: Path, *, ours: Ours) -> Iterator[Together]:
    """Inside, what is written through `replacing` below a folder waits; at the end all of it takes its place.

    Args:
        folder: that the files lie in, or in folders of it.
        ours: whether a name below the folder, as `evaluation/pair-1.png`, is one that this verb writes.

    Raises:
        WorkError: the file system refuses.
    """
    finish(folder, ours)
    group = Together(folder)
    try:
        with holding(group.held):
            yield group
        group.commit()
    except BaseException:
        group.settle()
        raise


def finish(folder: Path, ours: Ours) -> None:
    """Make the moves that killed processes left to be made.

    A journal may come from a stranger, with a folder that was unpacked: nothing is moved or removed but what this verb
    would replace anyway.

    Args:
        folder: with journals.
        ours: whether a name below the folder is one that this verb writes.

    Raises:
        WorkError: the file system refuses; names the files.
    """
    if kind_of(folder, follow=True) != "a folder":
        return
    journals = sorted(path for path in folder.iterdir() if _JOURNAL.fullmatch(path.name))
    if not journals:
        return
    with alone_in(folder):
        for journal in journals:
            moves = _read(journal, ours)
            if moves is not None:
                _make(folder, moves, journal)


def _read(journal: Path, ours: Ours) -> _Moves | None:
    """What is to be moved; None where anything is not as `Together` writes it, or not ours."""
    try:
        found = json.loads(read_text(journal, follow=False))
        moves = _Moves(
            tuple((str(source), str(to)) for source, to in found["moved"]), tuple(map(str, found["removed"]))
        )
    except (OSError, UserError, ValueError, KeyError, TypeError, RecursionError):
        return None
    names = [PurePosixPath(name) for pair in moves.moved for name in pair] + [*map(PurePosixPath, moves.removed)]
    plain = all(not name.is_absolute() and ".." not in name.parts and len(name.parts) <= _DEEPEST for name in names)
    folders = {journal.parent / name.parent for name in names}
    beside = all(PurePosixPath(one).parent == PurePosixPath(other).parent for one, other in moves.moved)
    temporary = all(is_temporary(Path(source)) for source, _ in moves.moved)
    written = all(map(ours, [*(to for _, to in moves.moved), *moves.removed]))
    here = all(folder == journal.parent or kind_of(folder) == "a folder" for folder in folders)
    return moves if plain and beside and temporary and written and here else None


def _make(folder: Path, moves: _Moves, journal: Path) -> None:
    try:
        for source, to in moves.moved:
            move(folder / source, folder / to)
        for name in moves.removed:
            remove(folder / name)
        flush_folders(folder / PurePosixPath(name).parent for name in (*(to for _, to in moves.moved), *moves.removed))
        remove(journal)
    except OSError as error:
        names = ", ".join(sorted([to for _, to in moves.moved] + list(moves.removed)))
        raise WorkError(
            f"Some of the new files in {folder} are not in their places yet: {names}",
            found=error.strerror or str(error),
            hint="check the permissions; the next call that reads or writes them puts the rest into place",
        ) from error
