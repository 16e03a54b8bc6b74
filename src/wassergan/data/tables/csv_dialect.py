"""How a CSV file is written, told from its first lines: delimiter, quotes, blanks, line ends, comments."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from wassergan.data.tables.missing_texts import MISSING_TEXTS

DELIMITERS = ("\t", ";", "|", ",")
LOOKED_AT_ROWS = 50
_SEPARATOR = re.compile(r'"?sep=(.)"?[^\S\r\n]*(\r\n|\n|\r|$)', re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """The way in which a CSV file is written.

    Args:
        delimiter: between fields.
        separator: the line before the header that names the delimiter; else empty.
        comments: lines before the header that start with `#`.
        spaced: a blank follows every delimiter.
        terminator: of lines.
        quoted_header: all names of the header are in quotes.
        quoted: columns by place, all of whose values are in quotes, or all but missing ones.
        bare_missing: those of them whose missing values have no quotes.
    """

    delimiter: str
    separator: str = ""
    comments: int = 0
    spaced: bool = False
    terminator: str = "\n"
    quoted_header: bool = False
    quoted: tuple[int, ...] = ()
    bare_missing: tuple[int, ...] = ()

    @property
    def skipped(self) -> int:
        """Lines before the header."""
        return self.comments + bool(self.separator)

    def state(self, names: Sequence[str], header: Sequence[str]) -> dict[str, str]:
        """What is not usual, as text, for a checkpoint.

        Args:
            names: of the columns.
            header: as it stands in the file.
        """
        told = {"delimiter": self.delimiter}
        told |= {"separator": self.separator} if self.separator else {}
        told |= {"spaced": "1"} if self.spaced else {}
        told |= {"terminator": self.terminator} if self.terminator != "\n" else {}
        told |= {"quoted_header": "1"} if self.quoted_header else {}
        other = {name: text for name, text in zip(names, header, strict=True) if name != text}
        for key, value in (
            ("header", other),
            ("quoted", [names[at] for at in self.quoted if at < len(names)]),
            ("bare_missing", [names[at] for at in self.bare_missing if at < len(names)]),
        ):
            told |= {key: json.dumps(value)} if value else {}
        return told


def dialect_of(start: str, delimiter: str | None) -> Dialect:
    """The dialect of a file that starts with some text; the delimiter is found unless given."""
    separator = _SEPARATOR.match(start)
    text = start[separator.end() :] if separator else start
    lines = (text[: text.rfind("\n") + 1] or text).splitlines(keepends=True)
    comments = _comments(lines, delimiter)
    whole = "".join(lines[comments:])
    found = delimiter or (separator[1] if separator else _delimiter_of(whole))
    spaced = len(found) == 1 and _is_spaced(whole, found)
    ends = re.findall(r"\r\n|\n|\r", re.sub(r'"(?:[^"]|"")*"', "", whole))
    told = Dialect(
        found,
        separator=separator[0].rstrip("\r\n") if separator and separator[1] == found else "",
        comments=comments,
        spaced=spaced,
        terminator="\r\n" if ends and all(end == "\r\n" for end in ends) else "\n",
    )
    return _with_quotes(told, whole) if '"' in whole and len(found) == 1 else told


def _comments(lines: Sequence[str], delimiter: str | None) -> int:
    """How many lines before the header are comments: none if the last of them is itself the header."""
    count = sum(1 for _ in takewhile(lambda line: line.startswith("#"), lines))
    if count == 0 or count == len(lines):
        return 0
    rest = "".join(lines[count:])
    found = delimiter or _delimiter_of(rest)
    if len(found) != 1:
        return count
    rows = _rows(rest, found)
    last = _rows(lines[count - 1], found)
    is_header = rows and last and len(last[0]) == len(rows[0]) and any(NUMBER.fullmatch(f.strip()) for f in rows[0])
    return count - 1 if is_header else count


def _delimiter_of(whole: str) -> str:
    """What cuts all first lines into the same number of fields, the rarest sign first; else most of them."""
    found = [(delimiter, _counts(_rows(whole, delimiter))) for delimiter in DELIMITERS]
    # Commas stand in numbers and in text, so any other sign that fits everywhere is the delimiter.
    for delimiter, counts in found:
        if counts and counts[0] > 1 and len(set(counts)) == 1:
            return delimiter
    best, most = ",", 1
    for delimiter, counts in reversed(found):
        # Most lines have as many fields as the header; a ragged one is for the reader to complain about.
        if counts and counts[0] > most and sum(count == counts[0] for count in counts) > len(counts) / 2:
            best, most = delimiter, counts[0]
    return best


def _counts(rows: Sequence[Sequence[str]]) -> list[int]:
    """Fields of each row; empty ones behind those of the header do not count."""
    width = len(rows[0]) if rows else 0
    return [len(row) if any(row[width:]) else min(len(row), width) for row in rows]


def _rows(whole: str, delimiter: str) -> list[list[str]]:
    try:
        reader = csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter)
        return [row for row in islice(reader, LOOKED_AT_ROWS) if row]
    except (csv.Error, ValueError):
        return []


def _is_spaced(whole: str, delimiter: str) -> bool:
    """Whether one blank follows every delimiter."""
    fields = [field for row in _rows(whole, delimiter) for field in row[1:]]
    return bool(fields) and all(field.startswith(" ") and not field.startswith("  ") for field in fields)


def _with_quotes(told: Dialect, whole: str) -> Dialect:
    """The same, with the columns that are in quotes although they need none."""
    rows = _raw_rows(whole, told.delimiter)
    if not rows:
        return told
    header, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    quoted, bare = [], []
    for at in range(len(header)):
        fields = [row[at].strip() for row in body]
        inside = [field for field in fields if field.startswith('"')]
        outside = {field for field in fields if not field.startswith('"')}
        if any(not _needs_quotes(field[1:-1], told.delimiter) for field in inside) and outside <= set(MISSING_TEXTS):
            quoted.append(at)
            bare += [at] if outside else []
    is_quoted = all(field.strip().startswith('"') for field in header)
    return Dialect(**{**vars(told), "quoted_header": is_quoted, "quoted": tuple(quoted), "bare_missing": tuple(bare)})


def _needs_quotes(text: str, delimiter: str) -> bool:
    return any(sign in text for sign in (delimiter, '"', "\n", "\r"))


def _raw_rows(whole: str, delimiter: str) -> list[list[str]]:
    """Fields with their quotes."""
    cut = re.escape(delimiter)
    field = re.compile(rf'([^\S\r\n]*"(?:[^"]|"")*"|[^{cut}\r\n]*)({cut}|\r\n|\n|\r|$)')
    rows: list[list[str]] = [[]]
    at = 0
    while at < len(whole) and len(rows) <= LOOKED_AT_ROWS:
        match = field.match(whole, at)
        if match is None:
            return []
        rows[-1].append(match[1])
        if match[2] != delimiter:
            rows.append([])
        at = match.end()
    return [row for row in rows if row not in ([], [""])]
