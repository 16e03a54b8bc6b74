"""CSV files, compressed or not: columns of text, with every line checked."""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wassergan.data.limits import largest_bytes, require_room
from wassergan.data.tables.raw import RawTable, TextColumn
from wassergan.errors import UserError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = (",", ";", "\t", "|")
LOOKED_AT_BYTES = 2**16
CHUNK_ROWS = 2**16
LARGEST_FIELD = 2**20
MOST_COLUMNS = 2**14
Reader = Any  # what csv.reader returns has no public name
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def is_csv(path: Path) -> bool:
    """Whether the name is that of a CSV file, compressed or not."""
    return path.name.lower().endswith(SUFFIXES)


def read_csv(path: Path, *, delimiter: str | None = None, encoding: str | None = None) -> RawTable:
    """All columns of a CSV file with a header line, as text.

    Args:
        path: `.csv` or `.tsv`, or either with `.gz`.
        delimiter: found in the first lines unless given.
        encoding: UTF-8 unless a byte-order mark, or the caller, says otherwise.

    Raises:
        UserError: the file is damaged, empty, in another encoding, or its lines or header are not sound.
    """
    start = _start_of(path)
    encoding = encoding or next((name for mark, name in _BYTE_ORDER_MARKS if start.startswith(mark)), "utf-8")
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise UserError("Unknown encoding", found=f"{encoding!r}", mend="give one like utf-8 or latin-1") from error
    delimiter = delimiter or _delimiter_of(start.decode(encoding, errors="replace"))
    if len(delimiter) != 1:
        raise UserError("A delimiter is one character", found=f"'{delimiter}'")
    with _lines(path, encoding) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = [each.strip() for each in next(reader, [])]
        _check_header(header, path)
        first_line = reader.line_num + 1
        columns, rows = _columns(reader, header, path)
    if rows == 0:
        raise UserError(f"{path} holds no rows", found="a header alone", mend="give data")
    return RawTable(path.name, columns, rows, {"delimiter": delimiter, "encoding": encoding}, first_line=first_line)


def _start_of(path: Path) -> bytes:
    with _damage_told(path), _opened(path) as file:
        return file.read(LOOKED_AT_BYTES)


def _opened(path: Path) -> "gzip.GzipFile | io.BufferedReader":
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


@contextmanager
def _lines(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    before = csv.field_size_limit(LARGEST_FIELD)
    try:
        with _damage_told(path), _opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            yield _modest(text, path) if path.suffix.lower() == ".gz" else text
    finally:
        csv.field_size_limit(before)


def _modest(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The lines, as long as they are not too many to be held."""
    read, largest = 0, largest_bytes()
    for line in lines:
        read += len(line)
        if read > largest:
            require_room(read, path)
        yield line


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        wrong = ""
        if isinstance(error, UnicodeDecodeError):
            wrong = f"byte 0x{error.object[error.start]:02x}, which is not {error.encoding}"
        raise UserError(
            f"{path} is not in the expected encoding",
            found=wrong or str(error),
            mend='save it as UTF-8, or name its encoding in a --schema file: {"encoding": "latin-1"}',
        ) from error
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as CSV", found=str(error), mend="mend its quotes") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path} is a damaged gzip file", found=str(error), mend="compress it again") from error


def _delimiter_of(start: str) -> str:
    """The delimiter that cuts the first lines into the most columns, as many in each."""
    whole = start[: start.rfind("\n") + 1] or start
    best, most = ",", 1
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in islice(csv.reader(io.StringIO(whole), delimiter=delimiter), 50) if row]
        except csv.Error:
            continue
        if len(rows) < 1:
            continue
        counts = [len(row) for row in rows]
        # Most lines have as many fields as the header; a ragged one is for the reader to complain about.
        if counts[0] > most and sum(count == counts[0] for count in counts) > len(counts) / 2:
            best, most = delimiter, counts[0]
    return best


def _check_header(header: Sequence[str], path: Path) -> None:
    if not header or not any(header):
        raise UserError(f"{path} is empty", mend="give a header line and rows")
    empty = [str(number) for number, name in enumerate(header, 1) if not name]
    # pandas leaves the header of an index empty.
    if empty and empty != ["1"]:
        raise UserError(f"{path} has columns without a name", found=f"columns {', '.join(empty)}", mend="name them")
    if len(header) > MOST_COLUMNS:
        raise UserError(f"{path} has too many columns", found=f"{len(header)}", mend=f"give at most {MOST_COLUMNS}")
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise UserError(
            f"{path} has columns of the same name", found=", ".join(dict.fromkeys(twice)), mend="rename them"
        )
    if all(_NUMBER.fullmatch(name) for name in header if name):
        raise UserError(
            f"{path} has no header line",
            found=f"numbers in line 1: {', '.join(header[:5])}",
            mend="name the columns there",
        )


def _columns(reader: Reader, header: Sequence[str], path: Path) -> tuple[tuple[TextColumn, ...], int]:
    levels: list[dict[str, int]] = [{} for _ in header]
    codes: list[list[np.ndarray[tuple[int], np.dtype[np.int32]]]] = [[] for _ in header]
    rows = 0
    while chunk := _chunk(reader, len(header), path):
        rows += len(chunk)
        for known, parts, texts in zip(levels, codes, zip(*chunk, strict=True), strict=True):
            parts.append(np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32, len(texts)))
    columns = (
        TextColumn(name, list(known), np.concatenate(parts) if parts else np.empty(0, np.int32))
        for name, known, parts in zip(header, levels, codes, strict=True)
    )
    return tuple(columns), rows


def _chunk(reader: Reader, width: int, path: Path) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in reader:
        if len(row) != width:
            if not row and width > 1:
                continue  # an empty line
            if row:
                raise UserError(
                    f"{path} is ragged",
                    found=f"{len(row)} fields in line {reader.line_num}, {width} in the header",
                    mend="mend that line",
                )
            row = [""]
        rows.append(row)
        if len(rows) == CHUNK_ROWS:
            break
    return rows
