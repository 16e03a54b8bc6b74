"""What the pages of a Parquet file say of themselves: the file's summary of them need not be true."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from wassergan.data.readers.limits import largest_bytes, require_room
from wassergan.errors import UserError

# How many times its size a page may unpack to, by codec; the others know no bound.
MOST_UNPACKED = {"UNCOMPRESSED": 1, "SNAPPY": 24, "LZ4": 256, "GZIP": 1040}
SHARED_BEGINNINGS = 7  # DELTA_BYTE_ARRAY, the encoding of texts by what they have in common with the one before
WITH_DICTIONARY = {0, 2, 8}  # encodings that Arrow can read into a dictionary: plain ones, and those of one
DATA, DICTIONARY, DATA_2 = 0, 2, 3
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
MOST_FIELDS, DEEPEST = 10_000, 8


class Page(NamedTuple):
    """A page of a column: its kind, its bytes unpacked and packed, its values, and their encoding."""

    kind: int
    unpacked: int
    packed: int
    values: int
    encoding: int


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


def survey_pages(file: IO[bytes], metadata: Any, path: Path) -> list[list[Pages]]:
    """The pages of all columns, row group by row group.

    Columns of numbers that cannot unpack to more than is allowed are not looked at, and stand there with their bound.

    Raises:
        UserError: a page is damaged, or those of a row group would fill too much memory.
    """
    size, found = os.fstat(file.fileno()).st_size, []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(at) for at in range(metadata.num_columns)]
        bounds = [_bound(chunk, size) for chunk in chunks]
        is_modest = None not in bounds and sum(filter(None, bounds)) <= largest_bytes()
        columns = []
        for chunk, bound in zip(chunks, bounds, strict=True):
            if is_modest and bound is not None and chunk.physical_type != "BYTE_ARRAY":
                columns.append(Pages(bound, 0, in_dictionary=False))
            else:
                columns.append(_survey(file, chunk, size, path))
        require_room(sum(each.held for each in columns), path)
        found.append(columns)
    return found


def _bound(chunk: Any, size: int) -> int | None:
    times = MOST_UNPACKED.get(chunk.compression)
    return None if times is None else times * min(max(chunk.total_compressed_size, 0), size)


def _survey(file: IO[bytes], chunk: Any, size: int, path: Path) -> Pages:
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


def _pages(file: IO[bytes], chunk: Any, size: int, path: Path) -> Iterator[Page]:
    """Until as many values were met as the column says, or its bytes end."""
    index = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < index:
        index = chunk.dictionary_page_offset
    end, left = min(index + chunk.total_compressed_size, size), chunk.num_values
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
            head = _byte(file)
            for _ in range(min(head >> 4 if head >> 4 < 15 else _unsigned(file), MOST_FIELDS)):
                _skip(file, BYTE if head & 15 in (TRUE, FALSE) else head & 15, depth + 1)
        case 12:
            for _, inner in _fields(file):
                _skip(file, inner, depth + 1)
        case _:  # maps, of which there are none in a page's head, and what is none of them
            raise EOFError


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
