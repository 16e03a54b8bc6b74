"""The one door to the terminal: what others wrote, such as names, cannot steer it."""

import io
import sys
from typing import Any

import click

from wassergan.errors import one_line, printable
from wassergan.storage.streams import hold_standard_descriptors, nowhere


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print on standard output, or on standard error, with control characters escaped.

    What standard error does not take, as on a full disk or where nobody reads it, is not worth the work.
    """
    try:
        click.echo(printable(str(message)), err=err, nl=nl)
    except OSError:
        if not err:
            raise
        sys.stderr = nowhere()  # what waits in the other would fail again, at the end of the process


def say(sentence: str) -> None:
    """A line on standard error."""
    echo(one_line(sentence), err=True)


def say_warning(message: Warning | str, *ignored: object, **also: object) -> None:
    """What a library warns of, in a line: it may repeat names, and would print them as they are."""
    say(f"Warning: {message}")


def open_closed_streams() -> None:
    """Give a process that was started without standard output or error one that leads nowhere.

    The streams that there are escape what their encoding does not have.
    """
    hold_standard_descriptors()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, nowhere())
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")
