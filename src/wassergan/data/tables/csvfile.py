"""CSV files, compressed or not: columns of text, with every line checked."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.limits import require_room
from wassergan.data.tables.columns import RawTable, TextColumn
from wassergan.data.tables.csv_dialect import NUMBER, Dialect, dialect_of
from wassergan.data.tables.csv_lines import FALLBACK, EncodingError, Lines, open_lines, start_of
from wassergan.errors import UserError, parameter

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
LOOKED_AT_BYTES = 2**16
CHUNK_ROWS, CHUNK_CELLS = 2**16, 2**19
# What a table takes until its columns are coded: a text that no other cell has, a cell, a row.
BYTES_PER_TEXT, BYTES_PER_CELL, BYTES_PER_ROW = 150, 24, 24
MOST_COLUMNS = 2**14
NO_DELIMITERS = '\r\n"'  # Python 3.13 refuses them itself, in words of its own
MOST_EMPTY_LINES, MOST_EMPTY_LINES_PER_ROW = 2**20, 8
Reader = Any  # what csv.reader returns has no public name
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def is_csv(path: Path) -> bool:
    """Whether the name is that of a CSV file, compressed or not."""
    return path.name.lower().endswith(SUFFIXES)


def read_csv(path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> RawTable:
    """All columns of a CSV file with a header line, as text.

    Args:
        path: `.csv` or `.tsv`, or either with `.gz`.
        delimiter: found in the first lines unless given.
        encoding: UTF-8 unless a byte-order mark, or the caller, says otherwise; what is no UTF-8 is read as cp1252.

    Raises:
        UserError: the file is damaged, empty, in another encoding, or its lines or header are not sound.
    """
    start = start_of(path, LOOKED_AT_BYTES)
    found = encoding or next((name for mark, name in _BYTE_ORDER_MARKS if start.startswith(mark)), "utf-8")
    try:
        "".encode(found)
    except (LookupError, ValueError) as error:
        raise UserError("Unknown encoding", found=f"{found!r}", hint="give one like utf-8 or latin-1") from error
    try:
        return _read(path, start, delimiter, found)
    except EncodingError as error:
        if encoding is not None or found != "utf-8":
            raise
        try:
            table = _read(path, start, delimiter, FALLBACK)
        except UserError:
            raise error from None
    note = f"{path.name} is not UTF-8: it is read as {FALLBACK}, and written so"
    return replace(
        table,
        notes=(f'{note}. A {parameter("schema")} file can name another: {{"encoding": "latin-1"}}.', *table.notes),
    )


def _read(path: Path, start: bytes, delimiter: str | None, encoding: str) -> RawTable:
    dialect = dialect_of(start.decode(encoding, errors="replace"), delimiter)
    if len(dialect.delimiter) != 1:
        raise UserError("A delimiter is one character", found=f"'{dialect.delimiter}'")
    if dialect.delimiter in NO_DELIMITERS:
        raise UserError("A delimiter is no line end and no quote", found=f"{dialect.delimiter!r}")
    with open_lines(path, encoding) as lines:
        for _ in range(dialect.skipped):
            next(lines)
        reader = csv.reader(
            lines, delimiter=dialect.delimiter, strict=True, skipinitialspace=dialect.spaced or dialect.delimiter == " "
        )
        header = next(reader, [])
        names = [name.strip() for name in header]
        spare = _spare(names)
        _check_header(names[: len(names) - spare], path)
        rows = _Rows(reader, lines, len(names), path, dialect)
        columns = rows.columns(names)
    if rows.count == 0:
        raise UserError(f"{path} holds no rows", found="a header alone", hint="give data")
    kept, spare = columns[: len(names) - spare], spare + rows.spare
    for column in columns[len(kept) :]:
        if column.levels != [""]:
            raise UserError(
                f"{path} has columns without a name", found=f"columns {columns.index(column) + 1}", hint="name them"
            )
    told = {**dialect.state([column.name for column in kept], header[: len(kept)]), "encoding": encoding}
    told |= {"spare": f"{spare}" if not rows.spare else f"-{spare}"} if spare else {}
    lines_of = np.concatenate(rows.numbers)
    first = int(lines_of[0])
    is_even = np.array_equal(lines_of, np.arange(first, first + len(lines_of)))
    return RawTable(
        path.name,
        kept,
        rows.count,
        told,
        first_line=first,
        notes=_notes(path, dialect, spare, rows.comments),
        lines=None if is_even else lines_of,
    )


def _notes(path: Path, dialect: Dialect, spare: int, comments: int) -> tuple[str, ...]:
    notes = []
    if dialect.comments + comments:
        count = dialect.comments + comments
        what = "1 comment line, which is" if count == 1 else f"{count} comment lines, which are"
        notes.append(f"{path.name} has {what} passed over.")
    if spare:
        what = "1 empty field, which is" if spare == 1 else f"{spare} empty fields, which are"
        notes.append(f"{path.name} ends its lines with {what} written back empty.")
    return tuple(notes)


def _spare(names: Sequence[str]) -> int:
    """Columns without a name at the end."""
    count = next((at for at, name in enumerate(reversed(names)) if name), len(names))
    return count if count < len(names) else 0


def _check_header(header: Sequence[str], path: Path) -> None:
    if not header or not any(header):
        raise UserError(f"{path} is empty", hint="give a header line and rows")
    empty = [str(number) for number, name in enumerate(header, 1) if not name]
    # pandas leaves the header of an index empty.
    if empty and empty != ["1"]:
        raise UserError(f"{path} has columns without a name", found=f"columns {', '.join(empty)}", hint="name them")
    if len(header) > MOST_COLUMNS:
        raise UserError(f"{path} has too many columns", found=f"{len(header)}", hint=f"give at most {MOST_COLUMNS}")
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise UserError(
            f"{path} has columns of the same name", found=", ".join(dict.fromkeys(twice)), hint="rename them"
        )
    if all(NUMBER.fullmatch(name) for name in header if name):
        raise UserError(
            f"{path} has no header line",
            found=f"numbers in line 1: {', '.join(header[:5])}",
            hint="name the columns there",
        )


class _Rows:
    """The rows of a file behind its header."""

    def __init__(self, reader: Reader, lines: Lines, width: int, path: Path, dialect: Dialect) -> None:
        self._reader, self._lines, self._width, self._path, self._dialect = reader, lines, width, path, dialect
        self.count, self.comments, self.spare, self._held = 0, 0, 0, 0
        self._empty = 0  # lines, and comments
        self.numbers: list[NDArray[np.int64]] = []
        self._is_first = True

    def columns(self, names: Sequence[str]) -> tuple[TextColumn, ...]:
        """All columns, each different text once."""
        levels: list[dict[str, int]] = [{} for _ in names]
        codes: list[list[NDArray[np.int32]]] = [[] for _ in names]
        while chunk := self._chunk():
            self.count += len(chunk)
            self._held += len(chunk) * (BYTES_PER_ROW + BYTES_PER_CELL * len(names))
            for known, parts, texts in zip(levels, codes, zip(*chunk, strict=True), strict=True):
                before = len(known)
                parts.append(np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32, len(texts)))
                fresh = islice(reversed(known), len(known) - before)
                self._held += sum(BYTES_PER_TEXT + len(text) for text in fresh)
            require_room(self._held, self._path)
        return tuple(
            TextColumn(name, list(known), np.concatenate(parts) if parts else np.empty(0, np.int32))
            for name, known, parts in zip(names, levels, codes, strict=True)
        )

    def _chunk(self) -> list[list[str]]:
        rows: list[list[str]] = []
        numbers: list[int] = []
        most_empty = MOST_EMPTY_LINES + MOST_EMPTY_LINES_PER_ROW * self.count
        while len(rows) < max(1, min(CHUNK_ROWS, CHUNK_CELLS // self._width)):
            line = self._lines.number + 1
            row = next(self._reader, None)
            if row is None:
                break
            self._lines.next_record()
            if (len(row) == self._width and not self.spare) or (row := self._odd(row, line)) is not None:
                rows.append(row)
            else:
                self._empty += 1
                if self._empty > most_empty + MOST_EMPTY_LINES_PER_ROW * len(rows):
                    raise UserError(
                        f"{self._path} has too many lines without data",
                        found=f"{self._empty} empty ones and comments up to line {line}, among "
                        f"{self.count + len(rows)} rows",
                        hint="leave them out",
                    )
                continue
            numbers.append(line)
            self._is_first = False
        self.numbers.append(np.array(numbers, np.int64))
        return rows

    def _odd(self, row: list[str], line: int) -> list[str] | None:
        """A row of another length than the header; None for none."""
        if not row:
            return [""] if self._width == 1 else None  # an empty line
        if self._dialect.comments and row[0].startswith("#"):
            self.comments += 1
            return None
        more = len(row) - self._width
        if more > 0 and not any(row[self._width :]) and (self.spare == more or self._is_first):
            self.spare = more
            return row[: self._width]
        raise UserError(
            f"{self._path} is ragged",
            found=f"{len(row)} fields in line {line}, {self._width + self.spare} in the header"
            if not self.spare
            else f"{len(row)} fields in line {line}, {self._width + self.spare} in the others",
            hint="correct that line",
        )
