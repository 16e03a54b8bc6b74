"""What the pages of a Parquet file say of themselves: the file's summary of them need not be true."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError
from wassergan.storage.memory import largest_bytes

# How many times its size a page may unpack to, by codec; the others know no bound.
MOST_UNPACKED = {0: 1, 1: 24, 5: 256, 7: 256, 2: 1040}  # none, Snappy, LZ4 (framed and raw), gzip
TEXT, FOOTER = 6, 8  # the physical type of texts; the bytes behind the summary: its length, and a mark
SHARED_BEGINNINGS = 7  # DELTA_BYTE_ARRAY, the encoding of texts by what they have in common with the one before
WITH_DICTIONARY = {0, 2, 8}  # encodings that Arrow can read into a dictionary: plain ones, and those of one
DATA, DICTIONARY, DATA_2 = 0, 2, 3
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
MOST_FIELDS, DEEPEST = 10_000, 8
T = TypeVar("T")


class Page(NamedTuple):
    """A page of a column: its kind, its bytes unpacked and packed, its values, and their encoding."""

    kind: int
    unpacked: int
    packed: int
    values: int
    encoding: int


class Chunk(NamedTuple):
    """A column of a row group, as the summary has it: type and codec by number, sizes in bytes."""

    kind: int
    codec: int
    values: int
    packed: int
    data: int
    dictionary: int


class Pages(NamedTuple):
    """The pages of a column within a row group.

    Args:
        held: bytes that reading takes at a time: the dictionary, and the largest page.
        longest: bytes that a text may have which is not written out: it stands in a dictionary, or is told by what it
            has in common with the one before; 0 where there is none.
        in_dictionary: they can be read without being written out.
    """

    held: int
    longest: int
    in_dictionary: bool


def chunks_of(file: IO[bytes], metadata: Any, path: Path) -> list[list[Chunk]]:
    """The columns of each row group, read from the summary itself.

    Asking Arrow for a column of a damaged summary may end the process: its own errors are not caught there.

    Raises:
        UserError: the summary is damaged, or describes other columns than Arrow made of it.
    """
    try:
        file.seek(-FOOTER, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-FOOTER - length, os.SEEK_END)
        found = _list_in(io.BytesIO(file.read(length)), 4, _columns)  # the row groups
    except (EOFError, IndexError, RecursionError, ValueError, OverflowError, OSError) as error:
        raise _damaged(path, "its summary cannot be read") from error
    if [len(each) for each in found] != [metadata.num_columns] * metadata.num_row_groups:
        raise _damaged(path, "a row group lacks columns")
    return found


def _list_in(file: IO[bytes], number: int, read: Callable[[IO[bytes]], T]) -> list[T]:
    """The structs of the list that is a field of a struct, each read by a function."""
    found: list[T] = []
    for field, form in _fields(file):
        if (field, form) == (number, LIST):
            found = [read(file) for _ in _elements(file)]
        else:
            _skip(file, form)
    return found


def _columns(summary: IO[bytes]) -> list[Chunk]:
    return _list_in(summary, 1, _chunk)


def _chunk(summary: IO[bytes]) -> Chunk:
    chunk = None
    for field, form in _fields(summary):
        if (field, form) == (3, STRUCT):
            found = {1: -1, 4: -1, 5: 0, 7: 0, 9: 0, 11: 0}  # numbers of the fields, in the order of `Chunk`
            for inner, inner_form in _fields(summary):
                if inner in found and inner_form in (4, 5, 6):
                    found[inner] = _signed(summary)
                else:
                    _skip(summary, inner_form)
            chunk = Chunk(*found.values())
        else:
            _skip(summary, form)
    if chunk is None:
        raise EOFError
    return chunk


def survey_pages(file: IO[bytes], chunks: list[list[Chunk]], path: Path) -> list[list[Pages]]:
    """The pages of all columns, row group by row group.

    Columns of numbers that cannot unpack to more than is allowed are not looked at, and stand there with their bound.

    Raises:
        UserError: a page is damaged, or those of a row group would fill too much memory.
    """
    size, found = os.fstat(file.fileno()).st_size, []
    for group in chunks:
        bounds = [_bound(chunk, size) for chunk in group]
        is_modest = None not in bounds and sum(filter(None, bounds)) <= largest_bytes()
        columns = []
        for chunk, bound in zip(group, bounds, strict=True):
            if is_modest and bound is not None and chunk.kind != TEXT:
                columns.append(Pages(bound, 0, in_dictionary=False))
            else:
                columns.append(_survey(file, chunk, size, path))
        require_room(sum(each.held for each in columns), path)
        found.append(columns)
    return found


def _bound(chunk: Chunk, size: int) -> int | None:
    times = MOST_UNPACKED.get(chunk.codec)
    return None if times is None else times * min(max(chunk.packed, 0), size)


def _survey(file: IO[bytes], chunk: Chunk, size: int, path: Path) -> Pages:
    dictionary = largest = 0
    encodings: set[int] = set()
    for page in _pages(file, chunk, size, path):
        if page.kind == DICTIONARY:
            dictionary = max(dictionary, page.unpacked)
        else:
            largest = max(largest, page.unpacked)
            encodings.add(page.encoding)
    longest = max(dictionary, largest if SHARED_BEGINNINGS in encodings else 0)
    return Pages(dictionary + largest, longest, in_dictionary=encodings <= WITH_DICTIONARY)


def _pages(file: IO[bytes], chunk: Chunk, size: int, path: Path) -> Iterator[Page]:
    """Until as many values were met as the column says, or its bytes end."""
    index = chunk.dictionary if 0 < chunk.dictionary < chunk.data else chunk.data
    end, left = min(index + chunk.packed, size), chunk.values
    while left > 0 and 0 <= index < end:
        file.seek(index)
        try:
            page = _header(file)
        except (EOFError, IndexError, RecursionError) as error:
            raise _damaged(path, f"a page at byte {index} has no head") from error
        if page.unpacked < 0 or page.packed < 0:
            raise _damaged(path, f"a page at byte {index} has {min(page.unpacked, page.packed)} bytes")
        yield page
        left -= max(page.values, 0) if page.kind in (DATA, DATA_2) else 0
        index = file.tell() + page.packed


def _damaged(path: Path, found: str) -> UserError:
    return UserError(f"{path} cannot be read as a Parquet file", found=found, hint="write it again")


def _header(file: IO[bytes]) -> Page:
    """A page's head, in Thrift's compact protocol; what is not needed is stepped over."""
    kind = unpacked = packed = -1
    values = encoding = 0
    for field, form in _fields(file):
        if field in (1, 2, 3) and form in (4, 5, 6):
            number = _signed(file)
            kind, unpacked, packed = (
                number if field == 1 else kind,
                number if field == 2 else unpacked,
                number if field == 3 else packed,
            )
        elif field in (5, 7, 8) and form == STRUCT:
            index = 4 if field == 8 else 2  # of the encoding
            for inner, inner_form in _fields(file):
                if inner in (1, index) and inner_form in (4, 5, 6):
                    number = _signed(file)
                    values, encoding = (number, encoding) if inner == 1 else (values, number)
                else:
                    _skip(file, inner_form)
        else:
            _skip(file, form)
    return Page(kind, unpacked, packed, values, encoding)


def _fields(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """The numbers and forms of a struct's fields; whoever iterates reads or skips each."""
    number = 0
    for _ in range(MOST_FIELDS):
        head = _byte(file)
        if head == STOP:
            return
        number = number + (head >> 4) if head >> 4 else _signed(file)
        yield number, head & 15
    raise EOFError


def _skip(file: IO[bytes], form: int, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise EOFError
    match form:
        case 1 | 2:  # the form is the value
            pass
        case 3:
            _byte(file)
        case 4 | 5 | 6:
            _unsigned(file)
        case 7:
            file.seek(8, os.SEEK_CUR)
        case 8:
            file.seek(_unsigned(file), os.SEEK_CUR)
        case 9 | 10:
            for inner in _elements(file):
                _skip(file, inner, depth + 1)
        case 12:
            for _, inner in _fields(file):
                _skip(file, inner, depth + 1)
        case _:  # maps, of which there are none in a page's head, and what is none of them
            raise EOFError


def _elements(file: IO[bytes]) -> Iterator[int]:
    """The form of each element of a list; each has a byte at least, so the end of the file bounds their number."""
    head = _byte(file)
    count, form = head >> 4, head & 15
    count = _unsigned(file) if count == 15 else count
    while count > 0:
        yield BYTE if form in (TRUE, FALSE) else form
        count -= 1


def _byte(file: IO[bytes]) -> int:
    found = file.read(1)
    if not found:
        raise EOFError
    return found[0]


def _unsigned(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = _byte(file)
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1)
    raise EOFError


def _signed(file: IO[bytes]) -> int:
    value = _unsigned(file)
    return (value >> 1) ^ -(value & 1)
