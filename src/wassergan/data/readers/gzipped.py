"""What is in a gzip file."""

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from wassergan.errors import UserError
from wassergan.storage.files import reading

LONGEST_PADDING = 2**16  # zeros behind the end, as tapes leave; Python steps over them one by one


@contextmanager
def unpacked(path: Path) -> Iterator[BufferedReader]:
    """Open a gzip file to read what is in it.

    Raises:
        UserError: no regular file, or it ends in more zeros than any writer leaves.
        gzip.BadGzipFile, zlib.error, EOFError: while it is read: damage.
    """
    with reading(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LONGEST_PADDING:
            file.seek(-LONGEST_PADDING, io.SEEK_END)
            if not any(file.read(LONGEST_PADDING)):
                raise UserError(f"{path} is a damaged gzip file", found="zeros at its end", hint="compress it again")
            file.seek(0)
        with gzip.open(file) as found:
            yield cast(BufferedReader, found)
