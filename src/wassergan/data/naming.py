"""Names of pictures, and the labels beside them: folders, and tables that name files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.paths import PathIndex
from wassergan.data.readers.tree import PassedOver, files_under
from wassergan.errors import UserError, encodable, parameter

FOLDER = "folder"
# Hugging Face's `imagefolder` writes metadata, StyleGAN's `dataset_tool` dataset.json.
TABLES_BESIDE = frozenset(
    f"{stem}{suffix}" for stem in ("metadata", "labels") for suffix in (".csv", ".jsonl", ".parquet")
) | {"dataset.json"}
_SUFFIXES = frozenset({".csv", ".jsonl", ".parquet", ".json"})


class TableBeside(NamedTuple):
    """A table of labels beside the files.

    Args:
        path: of the table.
        places: indices of the files that it describes, among all files found.
        names: their paths, as the table may give them.
    """

    path: Path
    places: list[int]
    names: list[str]


class Names(Protocol):
    """The names of the rows of a source, if they are files, and what is known about each file."""

    @property
    def passed(self) -> PassedOver:
        """What was found and not used."""

    def found(self) -> list[str]:
        """The paths of all files that were found, those that could not be read too."""

    def kept(self) -> NDArray[np.int64] | None:
        """(n,) the indices of the rows among these; None if another file may replace one that cannot be read."""

    def columns(self, wanted: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Of those names that are known: a value for each file that was found."""

    def tables(self) -> Sequence[TableBeside]:
        """Tables of labels that lie beside the files."""


@dataclass(frozen=True)
class FileNames:
    """What the pictures of a folder are called.

    Args:
        pictures: all that were found.
        rows: (n,) indices of the rows of the source; None if another picture may replace one.
        passed: what was found and is not a picture.
    """

    pictures: PathIndex
    rows: NDArray[np.int64] | None
    passed: PassedOver

    def found(self) -> list[str]:
        """Paths below the folder, of all that were found."""
        return [self.pictures.relative(index) for index in range(self.pictures.total)]

    def kept(self) -> NDArray[np.int64] | None:
        """Indices of the rows of the source; None if another picture may replace one."""
        return self.rows

    def columns(self, wanted: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """The name of the folder that contains each, if requested."""
        if FOLDER not in wanted:
            return {}
        top = self.pictures.root.resolve().name
        return {FOLDER: [encodable(PurePosixPath(each).parent.name or top) for each in self.found()]}

    def tables(self) -> list[TableBeside]:
        """Tables of labels in the folder, each for the pictures below it, but for those of deeper ones.

        Raises:
            UserError: several in one folder.
        """
        root, found = self.pictures.root, self.found()
        owners: dict[str, Path] = {}
        for name in tables_under(root):
            above = _above(name)
            if above in owners:
                raise UserError(
                    f"Several tables of labels lie in {root / above}",
                    found=f"{owners[above].name} and {PurePosixPath(name).name}",
                    hint=f"say which with {parameter('labels')}",
                )
            owners[above] = root / name
        if not owners:
            return []
        places: dict[str, list[int]] = {above: [] for above in owners}
        strays = []
        for index, name in enumerate(found):
            owner = next((each for each in _aboves(name) if each in owners), None)
            if owner is None:
                strays.append(name)
            else:
                places[owner].append(index)
        if strays:
            raise UserError(
                f"{len(strays)} of {len(found)} pictures lie beside no table of labels",
                found=f"{strays[0]}, while there is {', '.join(str(each) for each in list(owners.values())[:3])}",
                hint=f"give one for all with {parameter('labels')}",
            )
        return [
            TableBeside(path, places[above], [found[index].removeprefix(f"{above}/") for index in places[above]])
            for above, path in owners.items()
        ]


def tables_under(folder: Path) -> list[str]:
    """Paths below a folder of the tables that label its pictures."""
    return [name for name in files_under(folder, _SUFFIXES) if PurePosixPath(name).name.lower() in TABLES_BESIDE]


def _above(name: str) -> str:
    return "" if "/" not in name else name.rsplit("/", 1)[0]


def _aboves(name: str) -> list[str]:
    """The folders that contain a path, innermost first."""
    found, above = [], name
    while above:
        above = _above(above)
        found.append(above)
    return found
