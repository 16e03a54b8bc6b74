"""Rows of text under each other, as wide as the terminal is."""

import shutil
import sys
from collections.abc import Sequence

from wassergan.errors import one_line


def in_columns(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Rows of equally many cells as lines.

    Args:
        rows: of cells, at least one.
        numbers: all but the first and the last cell are set to the right.

    >>> in_columns([("run", "steps", "size"), ("a", "1200", "3 MB")], numbers=True)
    ['run  steps  size', 'a     1200  3 MB']
    """
    rows = [list(map(one_line, row)) for row in rows]
    widths = _widths(rows)
    inner = range(1, len(widths) - 1) if numbers else range(0)
    return [
        "  ".join(
            cell.rjust(width) if at in inner else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def fitting(rows: Sequence[Sequence[str]], *, room: int | None, least: int) -> list[list[str]]:
    """The rows with as many of their cells, from the left, as have room in a line, but at least so many.

    Args:
        rows: of equally many cells, at least one.
        room: characters in a line; None for any number.
        least: cells that stay.

    >>> fitting([("name", "kind", "and a long remark")], room=20, least=1)
    [['name', 'kind']]
    """
    widths = _widths([list(map(one_line, row)) for row in rows])
    shown = len(widths)
    while room is not None and shown > least and sum(widths[:shown]) + 2 * (shown - 1) > room:
        shown -= 1
    return [list(row[:shown]) for row in rows]


def terminal_width() -> int | None:
    """Characters in a line of the terminal that standard output goes to; None where it goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*rows, strict=True)]
