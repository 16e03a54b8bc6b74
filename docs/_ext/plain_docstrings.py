"""Docstrings are plain text with code between backticks: what reStructuredText would take for markup is escaped."""

import re
from typing import Any

from sphinx.application import Sphinx

from wassergan.errors import shortened

LONGEST = 300  # characters of a value that is shown
_CODE = re.compile(r"``([^`]+)``|`([^`]+)`")
_MARKUP = re.compile(r"([*|\\]|_(?=\W|$))")
_DOCTEST = re.compile(r"\s*(>>>|\.\.\. )")


def escaped(line: str) -> str:
    r"""A line of a docstring as reStructuredText that shows the same characters.

    >>> escaped("|x| of `a*b`s, generator_ and *args")
    '\\|x\\| of \\ ``a*b``\\ s, generator\\_ and \\*args'
    """
    parts, end = [], 0
    for found in _CODE.finditer(line):
        parts.append(_MARKUP.sub(r"\\\1", line[end : found.start()]))
        before = "" if found.start() == 0 or line[: found.start()].isspace() else r"\ "
        parts.append(f"{before}``{found[1] or found[2]}``" + (r"\ " if line[found.end() :] else ""))
        end = found.end()
    return "".join(parts) + _MARKUP.sub(r"\\\1", line[end:])


def plain(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape all lines but those of doctests, with the output that follows these; constants show their value."""
    if what == "data" and getattr(obj, "__doc__", None) == type(obj).__doc__:
        lines[:] = [f"Value: ``{shortened(repr(obj), LONGEST).replace('`', '')}``"]
        return
    in_doctest = False
    for index, line in enumerate(lines):
        in_doctest = bool(_DOCTEST.match(line)) or (in_doctest and bool(line.strip()))
        if not in_doctest:
            lines[index] = escaped(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Before napoleon, which makes markup of its own."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    return {"parallel_read_safe": True}
