"""What the file of an Excel sheet says beside the values of its cells: what is not calculated, hidden or merged."""

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from wassergan.errors import UserError
from wassergan.storage.files import reading
from wassergan.storage.memory import largest_bytes

CHUNK = 2**20
LONGEST_SIGN = 64
# Most sheets have none of these, and need not be read a second time.
_SIGNS = re.compile(rb"<(?:\w+:)?f[\s/>]|hidden\s*=\s*[\"'](?:1|true)|<(?:\w+:)?mergeCell\s")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_SIZE = re.compile(rb"<(?:\w+:)?dimension[\s/>]")
UNSURE = b"<!"  # comments and the like may hold what looks like a row
PROGRAMS = (b"<!DOCTYPE", b"<\0!\0D\0O\0C\0")  # the second in UTF-16
LONGEST_PROGRAM = 12
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']*)")
PLAIN_ENCODINGS = (b"utf-8", b"utf-16", b"us-ascii", b"iso-8859-1")
TIMES_OF_XML = 40  # how many times its bytes an element takes that is parsed, at most
BYTES_PER_ROW = 120  # what is left of one that was read
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


@dataclass(frozen=True)
class Survey:
    """What the file of a sheet is made of, before anything is parsed.

    Args:
        rows: how many begin.
        held_bytes: what the parser holds at a time, at most: a row, all outside of rows, what is left of rows; all of a
            sheet that does not tell its size at the start, which is looked for to its end.
        has_marks: whether there may be something beside the values.
    """

    rows: int
    held_bytes: int
    has_marks: bool


def survey_of(path: Path, part: str) -> Survey:
    """What a sheet is made of, as far as that is no more than is allowed.

    Args:
        path: of the workbook.
        part: of the archive that holds the sheet.
    """
    rows, longest, total, begun, first = 0, 0, 0, 0, -1
    unsure, has_size, has_marks = False, False, False

    def held() -> int:
        whole = unsure or first < 0 or not has_size
        return TIMES_OF_XML * (total if whole else first + longest + total - begun) + BYTES_PER_ROW * rows

    with reading(path) as book, zipfile.ZipFile(book) as archive, archive.open(part) as file:
        kept = b""
        while (chunk := file.read(CHUNK)) and held() <= largest_bytes():
            text = kept + chunk
            # What begins within the last bytes may go on in the next chunk, where it is found.
            end = len(text) - LONGEST_SIGN
            offset = total - len(kept)
            has_marks = has_marks or bool(_SIGNS.search(text))
            unsure = unsure or UNSURE in text
            has_size = has_size or (first < 0 and bool(_SIZE.search(text)))
            for found in _ROW.finditer(text):
                if found.start() >= end:
                    break
                index = offset + found.start()
                rows += 1
                if first < 0:
                    first = index
                else:
                    longest = max(longest, index - begun)
                begun = index
            total += len(chunk)
            kept = text[max(end, 0) :]
        rows += len(_ROW.findall(kept))
    return Survey(rows, held(), has_marks)


def require_plain(path: Path) -> None:
    """Refuse a workbook whose parts define their own entities, which may unfold into anything.

    Raises:
        UserError: names the part.
    """
    with reading(path) as book, zipfile.ZipFile(book) as archive:
        for each in archive.infolist():
            if each.filename.startswith("xl/media/"):
                continue
            with archive.open(each) as file:
                start = file.read(CHUNK)
                named = _ENCODING.search(start[:200]) if start.startswith(b"<?xml") else None
                strange = named is not None and named[1].lower() not in PLAIN_ENCODINGS
                kept = b""
                while start and not strange:
                    strange = any(each in kept + start for each in PROGRAMS)
                    kept, start = start[-LONGEST_PROGRAM:], file.read(CHUNK)
            if strange:
                raise UserError(
                    f"{path} is no plain workbook",
                    found=f"{each.filename[:80]} has a document type or an encoding of its own",
                    hint="open and save it in a spreadsheet program",
                )


def marks_of(path: Path, part: str) -> Marks:
    """What a sheet says beside its values.

    Args:
        path: of the workbook.
        part: of the archive that holds the sheet.
    """
    with reading(path) as book, zipfile.ZipFile(book) as archive, archive.open(part) as file:
        return _marks(file)


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
