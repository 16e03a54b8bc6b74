"""The standard streams of the process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Standard output as a byte stream; it stays open afterwards."""
    with open(os.dup(sys.stdout.fileno()), "wb") as file:  # noqa: PTH123  # of a descriptor
        yield file


def hold_standard_descriptors() -> None:
    """Open closed standard descriptors: otherwise a file of ours could take their place and get printed text."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def nowhere() -> TextIO:
    """A stream that discards what is written to it."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # as long as the process
