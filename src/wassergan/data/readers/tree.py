"""The files under a folder that are data; what is hidden, left by a system or drawn by a run is passed over."""

import json
import os
from collections.abc import Container, Iterator, Sequence
from itertools import islice
from pathlib import Path

from wassergan.errors import UserError
from wassergan.storage.files import read_text

LEFT_BY_SYSTEMS = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "#recycle", "$recycle.bin"),
        *("system volume information", "lost+found", "__pycache__"),
    }
)
RUN_SETTINGS, RUN_CHECKPOINTS, RUN_LOCK = "settings.json", "checkpoints", ".lock"
_OF_A_RUN = frozenset({"data", "preset", "objective", "constraint", "network", "seed", "steps", "budget"})
_LARGEST_SETTINGS_BYTES = 2**20
_MOST_COUNTED = 10**6  # files of a folder that is passed over
_NAMED = 3

HIDDEN = ("hidden file", "hidden files")
SYSTEM = ("file of the operating system", "files of the operating system")
DRAWN = ("picture that wassergan drew", "pictures that wassergan drew")
RUN = ("run folder of wassergan", "run folders of wassergan")
BROKEN = ("link that leads nowhere", "links that lead nowhere")
AGAIN = ("link to a folder that is read anyway", "links to folders that are read anyway")
FOLDER = ("folder", "folders")
SPECIAL = ("entry that is no file", "entries that are no files")


class PassedOver:
    """What was found and not used: how many of each kind, and the first names.

    Args:
        used: names of files that are read for another purpose.
    """

    def __init__(self, used: Container[str] = ()) -> None:
        self._used = used
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}

    def add(self, kind: tuple[str, str], name: str, count: int = 1) -> None:
        """Note some entries under one name; `kind` is the word for one and for several."""
        total, names = self._found.get(kind, (0, []))
        self._found[kind] = (total + count, names if len(names) == _NAMED else [*names, name])

    def add_file(self, name: str) -> None:
        """Note a file of a kind that is not read, by its suffix."""
        if name not in self._used:
            self.add(_of_suffix(os.path.splitext(name)[1]), name)  # noqa: PTH122

    def forget(self, suffix: str) -> None:
        """Files of a suffix are read after all."""
        self._found.pop(_of_suffix(suffix), None)

    def sentence(self, where: str) -> str:
        """What was passed over, and where; nothing if there was nothing."""
        parts = []
        for (one, several), (count, names) in self._found.items():
            shown = ", ".join(names) + (", ..." if count > len(names) else "")
            parts.append(f"{count} {one if count == 1 else several} ({shown})")
        return f"Passed over in {where}: {', '.join(parts)}." if parts else ""


def _of_suffix(suffix: str) -> tuple[str, str]:
    kind = f"of {suffix.lower()}" if suffix else "without a suffix"
    return kind, kind


def is_hidden(name: str) -> bool:
    """Whether an entry of this name is hidden."""
    return name.startswith(".")


def is_left_by_system(name: str) -> bool:
    """Whether operating systems and interpreters leave entries of this name."""
    return name.lower() in LEFT_BY_SYSTEMS


def is_run_folder(folder: Path) -> bool:
    """Whether a run of this library lies in a folder, told by its settings and checkpoints."""
    settings = folder / RUN_SETTINGS
    try:
        if not (folder / RUN_CHECKPOINTS).is_dir():
            return False
        told = json.loads(read_text(settings, at_most=_LARGEST_SETTINGS_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.keys() >= _OF_A_RUN


def entries_besides(there: Sequence[Path], used: Container[Path]) -> PassedOver:
    """Entries of a folder that are not among those used."""
    passed = PassedOver()
    for path in there:
        if path in used:
            continue
        if is_left_by_system(path.name):
            passed.add(SYSTEM, path.name)
        elif is_hidden(path.name):
            passed.add(HIDDEN, path.name)
        elif path.is_dir():
            passed.add(RUN if is_run_folder(path) else FOLDER, path.name)
        elif path.is_file():
            passed.add_file(path.name)
        else:
            passed.add(SPECIAL if path.exists() else BROKEN, path.name)
    return passed


def run_around(folder: Path) -> Path | None:
    """The run folder that a folder is, or lies in."""
    there = folder.resolve()
    return next((each for each in (there, *there.parents) if is_run_folder(each)), None)


def files_under(folder: Path, suffixes: Container[str], passed: PassedOver | None = None) -> Iterator[str]:
    """Relative paths of all files with one of the suffixes (lower case), sorted, folders in their place among files.

    Links to folders are followed unless they lead to a folder that is read anyway, so that no file comes twice and
    no circle is walked.

    Args:
        folder: where to look.
        suffixes: what is wanted.
        passed: told what is not.

    Raises:
        UserError: a folder cannot be read.
    """
    return _Walk(folder, suffixes, passed or PassedOver()).files()


class _Walk:
    def __init__(self, root: Path, suffixes: Container[str], passed: PassedOver) -> None:
        self._root, self._suffixes, self._passed = os.fspath(root), suffixes, passed
        self._real_root = os.path.realpath(root)
        self._entered: set[tuple[int, int]] = set()

    def files(self) -> Iterator[str]:
        pending = [self._entries("")]  # not by recursion: folders may be nested deeper than calls
        while pending:
            for name, is_folder in pending[-1]:
                if is_folder:
                    pending.append(self._entries(f"{name}/"))
                    break
                yield name
            else:
                pending.pop()

    def _entries(self, prefix: str) -> Iterator[tuple[str, bool]]:
        """Wanted files and folders of a folder, as relative paths; empty where it was entered before."""
        path = os.path.join(self._root, prefix)  # noqa: PTH118
        wanted: list[tuple[str, bool]] = []
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in self._entered:
                self._passed.add(AGAIN, prefix.rstrip("/"))
                return iter(())
            self._entered.add((status.st_dev, status.st_ino))
            with os.scandir(path) as found:
                for entry in sorted(found, key=lambda each: each.name):
                    kind = self._kind(entry, prefix + entry.name)
                    if kind is not None:
                        wanted.append((prefix + entry.name, kind))
        except OSError as error:
            raise UserError(
                f"The folder {path} cannot be read", found=error.strerror or str(error), hint="allow it, or move it"
            ) from error
        return iter(wanted)

    def _kind(self, entry: os.DirEntry[str], name: str) -> bool | None:
        """Whether an entry is a folder to enter (True) or a file to use (False); None where it is passed over."""
        if entry.name == RUN_LOCK:
            return None  # of the run that is about to begin
        is_folder = entry.is_dir()
        if is_hidden(entry.name) or is_left_by_system(entry.name):
            kind = HIDDEN if is_hidden(entry.name) else SYSTEM
            inside = is_folder and not entry.is_symlink()
            self._passed.add(kind, name, _files_in(entry.path) if inside else 1)
            return None
        if not is_folder:
            return self._file(entry, name)
        if entry.is_symlink() and self._is_read_anyway(entry.path):
            self._passed.add(AGAIN, name)
        elif is_run_folder(Path(entry.path)):
            self._passed.add(RUN, name)
        else:
            return True
        return None

    def _file(self, entry: os.DirEntry[str], name: str) -> bool | None:
        if not entry.is_file():
            self._passed.add(SPECIAL if os.path.exists(entry.path) else BROKEN, name)  # noqa: PTH110
        elif os.path.splitext(entry.name)[1].lower() in self._suffixes:  # noqa: PTH122
            return False
        else:
            self._passed.add_file(name)
        return None

    def _is_read_anyway(self, link: str) -> bool:
        """Whether a link leads to a folder above, or to one below the root that is not passed over."""
        there = os.path.realpath(link)
        if self._real_root == there or self._real_root.startswith(there.rstrip("/") + "/"):
            return True
        if not there.startswith(self._real_root.rstrip("/") + "/"):
            return False
        parts = Path(there).relative_to(self._real_root).parts
        return not any(is_hidden(each) or is_left_by_system(each) for each in parts)


def _files_in(folder: str) -> int:
    """How many files lie under a folder that is passed over."""
    every = (name for _, _, names in os.walk(folder) for name in names)
    return sum(1 for _ in islice(every, _MOST_COUNTED))
