"""Lines of a text file, compressed or not, that never take more memory than a line and a record may have."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from pathlib import Path

from wassergan.data.readers.gzipped import unpacked
from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError, parameter
from wassergan.storage.files import reading
from wassergan.storage.memory import largest_bytes

LONGEST_LINE = 2**22  # letters
LONGEST_RECORD = 2**24  # letters of a record that goes over many lines
LARGEST_FIELD = 2**20
FALLBACK = "cp1252"  # what Windows wrote before it wrote UTF-8
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")


class Lines:
    """The lines of an open file, one after the other.

    Args:
        text: the file.
        path: what to call it.
        packed: the file is compressed: its lines may be more than the machine can hold.
        strict: letters that control devices are refused.
    """

    def __init__(self, text: io.TextIOWrapper, path: Path, *, packed: bool, strict: bool) -> None:
        self._text, self._path, self._strict = text, path, strict
        self._left = largest_bytes() if packed else None
        self._record, self.number = 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._record += len(line)
        if "\0" in line or (self._strict and _NO_TEXT.search(line)):
            raise UserError(
                f"{self._path} is no text",
                found=f"a zero byte or the like in line {self.number}",
                hint="give a CSV file",
            )
        if len(line) > LONGEST_LINE or self._record > LONGEST_RECORD:
            raise UserError(
                f"{self._path} has a line that is too long",
                found=f"more than {LONGEST_LINE if len(line) > LONGEST_LINE else LONGEST_RECORD} letters from line "
                f"{self.number} on",
                hint="give a CSV file with one row per line, and close its quotes",
            )
        if self._left is not None:
            self._left -= len(line)
            if self._left < 0:
                require_room(largest_bytes() - self._left, self._path)
        return line

    def next_record(self) -> None:
        """A record is complete."""
        self._record = 0


def start_of(path: Path, count: int) -> bytes:
    """The first bytes of a file, unpacked."""
    with damage_told(path), _opened(path) as file:
        return file.read(count)


@contextmanager
def open_lines(path: Path, encoding: str) -> Iterator[Lines]:
    """The lines of a file.

    Raises:
        UserError: while they are read: damage, another encoding, or more than a line may hold.
    """
    before = csv.field_size_limit(LARGEST_FIELD)
    packed = path.suffix.lower() == ".gz"
    try:
        with (
            damage_told(path),
            _opened(path) as file,
            io.TextIOWrapper(file, encoding=encoding, newline="") as text,
        ):
            yield Lines(text, path, packed=packed, strict=encoding == FALLBACK)
    finally:
        csv.field_size_limit(before)


def _opened(path: Path) -> AbstractContextManager[BufferedReader]:
    return unpacked(path) if path.suffix.lower() == ".gz" else reading(path)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Damage of a file as an error that says what it is."""
    try:
        yield
    except UnicodeError as error:
        wrong = ""
        if isinstance(error, UnicodeDecodeError):
            wrong = f"byte 0x{error.object[error.start]:02x}, which is not {error.encoding}"
        raise EncodingError(
            f"{path} is not in the expected encoding",
            found=wrong or str(error),
            hint=f'save it as UTF-8, or name its encoding in a {parameter("schema")} file: {{"encoding": "latin-1"}}',
        ) from error
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as CSV", found=str(error), hint="correct its quotes") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path} is a damaged gzip file", found=str(error), hint="compress it again") from error


class EncodingError(UserError):
    """A file is in another encoding."""
