"""The one door to the terminal: what others wrote, such as names, cannot steer it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from wassergan.errors import printable


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
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
