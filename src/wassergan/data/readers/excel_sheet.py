"""What the file of an Excel sheet says beside the values of its cells: what is not calculated, hidden or merged."""

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from wassergan.storage.files import reading

CHUNK = 2**20
LONGEST_SIGN = 16
# Most sheets have none of these, and need not be read a second time.
_SIGNS = re.compile(rb"<(?:\w+:)?f[ />]|hidden=[\"'](?:1|true)|<(?:\w+:)?mergeCell ")
SHOWN = 3


@dataclass
class Marks:
    """What stands in a sheet beside its values.

    Args:
        uncalculated: the first formula whose value is not in the file; empty if there is none.
        more: how many others there are.
        hidden_rows: numbers of rows that are not shown.
        hidden_columns: how many columns are not shown.
        merged: ranges of cells that are shown as one.
    """

    uncalculated: str = ""
    more: int = 0
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: int = 0
    merged: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """In sentences."""
        found = []
        if self.hidden_rows:
            rows = len(self.hidden_rows)
            found.append(f"{rows} hidden row{'s' * (rows > 1)} {'are' if rows > 1 else 'is'} read like the others.")
        if self.hidden_columns:
            found.append(f"{self.hidden_columns} hidden column{'s' * (self.hidden_columns > 1)} read like the others.")
        if self.merged:
            shown = ", ".join(self.merged[:SHOWN]) + (", ..." if len(self.merged) > SHOWN else "")
            found.append(
                f"Merged cells ({shown}) have their value in the first one alone, the others count as empty: unmerge "
                "them and fill them in if that is not meant."
            )
        return found


def marks_of(path: Path, part: str) -> Marks:
    """What a sheet says beside its values.

    Args:
        path: of the workbook.
        part: of the archive that holds the sheet.
    """
    with reading(path) as book, zipfile.ZipFile(book) as archive:
        name = part.lstrip("/")
        with archive.open(name) as file:
            if not _has_signs(file):
                return Marks()
        with archive.open(name) as file:
            return _marks(file)


def _has_signs(file: IO[bytes]) -> bool:
    kept = b""
    while chunk := file.read(CHUNK):
        if _SIGNS.search(kept + chunk):
            return True
        kept = chunk[-LONGEST_SIGN:]
    return False


def _marks(file: IO[bytes]) -> Marks:
    marks = Marks()
    for _, element in ElementTree.iterparse(file):
        match element.tag.rpartition("}")[2]:
            case "c":
                if _is_uncalculated(element):
                    marks.more += bool(marks.uncalculated)
                    marks.uncalculated = marks.uncalculated or element.get("r", "?")
            case "row":
                if _is_true(element.get("hidden")):
                    marks.hidden_rows.append(int(element.get("r", "0")))
                element.clear()
            case "col":
                if _is_true(element.get("hidden")) and int(element.get("max", "1")) < 2**14:  # else those beyond
                    marks.hidden_columns += int(element.get("max", "1")) - int(element.get("min", "1")) + 1
            case "mergeCell":
                marks.merged.append(element.get("ref", "?"))
    return marks


def _is_true(text: str | None) -> bool:
    return text in ("1", "true")


def _is_uncalculated(cell: ElementTree.Element) -> bool:
    """Whether a cell has a formula and no value; that of an empty text says that it is one."""
    children = {child.tag.rpartition("}")[2]: child for child in cell}
    value = children.get("v")
    return "f" in children and (value is None or not value.text) and cell.get("t") != "str"
