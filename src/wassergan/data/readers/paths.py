"""Which files a folder or a pattern stands for, and an index of them that stays small for millions."""

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from glob import glob
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.marks import FileMark, facts_of
from wassergan.data.readers.tree import PassedOver, files_under
from wassergan.errors import UserError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
MOST_FILES = 10**5
_BRACES = re.compile(r"\{([^{}]*)\}")


class PathIndex(Sequence[Path]):
    """Paths under a folder; kept as their names' bytes, end to end, and where each one ends.

    Args:
        folder: that all paths are under.
        names: relative paths in the file system's encoding, end to end.
        ends: (n,) where each name ends.
        chosen: (k,) which of the n names are in the index; all unless given.
    """

    def __init__(
        self, folder: Path, names: bytes, ends: NDArray[np.int64], chosen: NDArray[np.int64] | None = None
    ) -> None:
        self._folder, self._names, self._ends = folder, names, ends
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._ends if self._chosen is None else self._chosen)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "PathIndex": ...
    def __getitem__(self, index: int | slice) -> "Path | PathIndex":
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._folder / self.relative(int(index if self._chosen is None else self._chosen[index]))

    @property
    def places(self) -> NDArray[np.int64]:
        """(n,) of which of all names each is."""
        return np.arange(len(self._ends)) if self._chosen is None else self._chosen

    @property
    def root(self) -> Path:
        """The folder that all paths are under."""
        return self._folder

    def relative(self, index: int) -> str:
        """The path of one of all names below the folder."""
        start = int(self._ends[index - 1]) if index else 0
        return os.fsdecode(self._names[start : int(self._ends[index])])

    @property
    def total(self) -> int:
        """How many names there are, those left out too."""
        return len(self._ends)

    def only(self, places: NDArray[np.int64]) -> "PathIndex":
        """An index of the paths at some places (k,), as if no others had been found."""
        names = [os.fsencode(self.relative(int(self.places[index]))) for index in places]
        return PathIndex(self._folder, b"".join(names), np.cumsum([len(name) for name in names], dtype=np.int64))

    def subset(self, places: NDArray[np.int64]) -> "PathIndex":
        """The paths at some places (k,)."""
        chosen = places if self._chosen is None else self._chosen[places]
        return PathIndex(self._folder, self._names, self._ends, chosen.astype(np.int64))


class MarkedFiles:
    """The files of an index as they are now, each told from what may come in its place; 40 bytes for each.

    Args:
        paths: of the files.
        facts: (files of all, 5) of each, as `facts_of` has them; found out now unless given.
    """

    def __init__(self, paths: PathIndex, facts: NDArray[np.uint64] | None = None) -> None:
        self._paths = paths
        self._facts = np.zeros((paths.total, 5), np.uint64) if facts is None else facts
        if facts is None:
            folder = os.fspath(paths.root)
            for index in paths.places.tolist():  # by names: a Path takes as long to make as its file to look at
                self._facts[index] = facts_of(os.path.join(folder, paths.relative(index)))  # noqa: PTH118

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> FileMark:
        facts = self._facts[self._paths.places[index]]
        return FileMark(self._paths[index], tuple(facts[:4].tolist()), facts[4:])

    def __iter__(self) -> Iterator[FileMark]:
        return (self[index] for index in range(len(self)))

    @property
    def places(self) -> NDArray[np.int64]:
        """(n,) of which of all names each is."""
        return self._paths.places

    @property
    def marks(self) -> "MarkedFiles":
        """Of all files that the pictures lie in: themselves."""
        return self

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes in each."""
        sizes: NDArray[np.int64] = self._facts[self.places, 2].astype(np.int64)
        return sizes

    def subset(self, places: NDArray[np.int64]) -> "MarkedFiles":
        """The files at some places (k,)."""
        return MarkedFiles(self._paths.subset(places), self._facts)


def index_files(folder: Path, suffixes: frozenset[str], passed: PassedOver | None = None) -> PathIndex:
    """All files under a folder with one of the suffixes (in lower case), in the order of their sorted paths.

    Raises:
        UserError: a folder cannot be read.
    """
    names, ends = bytearray(), array("q")
    for name in files_under(folder, suffixes, passed):
        names += os.fsencode(name)
        ends.append(len(names))
    return PathIndex(folder, bytes(names), np.frombuffer(ends, np.int64) if ends else np.empty(0, np.int64))


def holds_any(folder: Path, suffixes: frozenset[str]) -> bool:
    """Whether there is a file with one of the suffixes under a folder."""
    return next(files_under(folder, suffixes), None) is not None


def is_shard(path: Path) -> bool:
    """Whether the name is that of a tar or a zip file."""
    return path.suffix.lower() in (".tar", ".zip")


def matching_files(pattern: str) -> list[Path]:
    """The files that a pattern names: `{000..099}` counts, `{a,b}` lists, `*`, `?` and `[]` match what is there.

    Raises:
        UserError: it stands for more than 100000 files.
    """
    names = list(islice(_expanded(pattern), MOST_FILES + 1))
    if len(names) > MOST_FILES:
        raise UserError(f"{pattern} stands for too many files", found=f"more than {MOST_FILES}")
    return [Path(each) for name in names for each in (sorted(glob(name)) if _is_glob(name) else [name])]  # noqa: PTH207


def is_pattern(name: str) -> bool:
    """Whether a name holds braces or what `glob` understands."""
    return bool(_BRACES.search(name)) or _is_glob(name)


def _is_glob(name: str) -> bool:
    return any(each in name for each in "*?[")


def _expanded(pattern: str) -> Iterator[str]:
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    first, rest = pattern[: found.start()], pattern[found.end() :]
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    if numbers:
        width = len(numbers[1])
        words: Iterator[str] = (f"{i:0{width}}" for i in range(int(numbers[1]), int(numbers[2]) + 1))
    else:
        words = iter(found[1].split(","))
    for word in words:
        yield from _expanded(first + word + rest)
