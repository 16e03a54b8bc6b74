"""The one door to the terminal: what others wrote, such as names, cannot steer it."""

import sys
from typing import Any

import click

from wassergan.errors import printable
from wassergan.storage.files import nowhere


def echo(message: Any = "", *, err: bool = False, nl: bool = True) -> None:
    """Print on standard output, or on standard error, with control characters escaped."""
    click.echo(printable(str(message)), err=err, nl=nl)


def say(sentence: str) -> None:
    """A line on standard error."""
    echo(sentence, err=True)


def open_closed_streams() -> None:
    """Give a process that was started without standard output or error one that leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, nowhere())
