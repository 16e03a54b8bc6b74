"""Errors that say what was wrong, what was found, and how to correct it, in text that is safe to show."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from traceback import format_exception

# C0 (but for tab and the end of a line), C1, characters that change the direction of text, end lines or have no width,
# and the stand-ins for bytes that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

FULL_TRACEBACK = "WASSERGAN_TRACEBACK"  # environment variable: notebooks show whole tracebacks
LONGEST_ADVICE = 3000  # lists of names are part of it

# Of the process and not of a thread: pictures and blocks are read in threads of their own.
_front = {"flags": False}


@contextmanager
def written_as_flags() -> Iterator[None]:
    """While the command line runs: what `parameter` names is written as a flag."""
    before, _front["flags"] = _front["flags"], True
    try:
        yield
    finally:
        _front["flags"] = before


def parameter(name: str, value: object = None, *, text: str | None = None) -> str:
    """A parameter as the reader gives it: a keyword in Python, a flag while the command line runs.

    Args:
        name: of the parameter in Python.
        value: which to give; a switch is True or False; None names the parameter alone.
        text: the value as the command line takes it, where that is another text than `str` makes of it.

    >>> parameter("network", "mlp"), parameter("labels")
    ('network="mlp"', '`labels`')
    >>> with written_as_flags():
    ...     parameter("batch_size", 64), parameter("tensorboard", False)
    ('--batch-size 64', '--no-tensorboard')
    """
    keyword = f"`{name}`" if value is None else f"{name}={_literal(value)}"
    return worded(command_line=flag(name, value if text is None else text), python=keyword)


def worded(*, command_line: str, python: str) -> str:
    """The one of two wordings that its reader can follow: while the command line runs, or in Python.

    >>> worded(command_line="compare --by-column", python="call column_distances")
    'call column_distances'
    """
    return command_line if _front["flags"] else python


def flag(name: str, value: object = None) -> str:
    """A parameter as the command line takes it, whoever reads it: for lines to be copied to a terminal.

    >>> flag("seeds", 3), flag("by_column", True)
    ('--seeds 3', '--by-column')
    """
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    return f"--{dashed}" if value is None else f"--{dashed} {value}"


def typed(path: object) -> str:
    """A path as it is typed in a terminal, in a line to be copied there.

    >>> typed("runs/digits"), typed("runs/a run")
    ('runs/digits', "'runs/a run'")
    """
    return shlex.quote(str(path))


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    return f'"{value}"' if isinstance(value, str) and '"' not in value else repr(value)


def printable(text: str) -> str:
    r"""Untrusted text, such as names of columns and files, for a terminal, a page or a log: control characters escaped.

    >>> printable("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    return _UNSAFE.sub(
        lambda found: (
            found[0].encode("ascii", "backslashreplace").decode("ascii")
            if ord(found[0]) > 0x7F
            else f"\\x{ord(found[0]):02x}"
        ),
        text,
    )


def one_line(text: str) -> str:
    r"""The same in one line: a name with an end of line in it cannot pass for a line of its own.

    >>> one_line("a\nwassergan: b")
    'a\\nwassergan: b'
    """
    return printable(text).replace("\n", "\\n")


def encodable(text: str) -> str:
    r"""Text in which the stand-ins for bytes that are not UTF-8 are escaped, so that it can be written to a file.

    >>> encodable("caf\udce9 é")
    'caf\\udce9 é'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shortened(text: str, limit: int = 600) -> str:
    """Text of any length for a message: long text keeps its start and its end.

    >>> shortened("9" * 5000, 20)
    '9999999999...99999 (5000 characters)'
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}...{text[-(limit // 4) :]} ({len(text)} characters)"


class WasserganError(Exception):
    """Base of the errors that this library raises on purpose.

    Args:
        what: what was wrong, as a sentence without its full stop.
        found: what was found instead, or empty.
        hint: how the reader can correct it, or empty.
    """

    def __init__(self, what: str, *, found: str = "", hint: str = "") -> None:
        parts = [shortened(what)]
        if found:
            parts.append(f": {shortened(found)}")
        message = _ended("".join(parts))
        if hint:
            message += f" {_ended(shortened(hint[0].upper() + hint[1:], LONGEST_ADVICE))}"
        super().__init__(one_line(message))
        self.what, self.found, self.hint = what, found, hint

    def _render_traceback_(self) -> list[str]:
        """What notebooks show of the error: one sentence. IPython asks for this method.

        The lines of code that led there are shown as usual if the environment variable WASSERGAN_TRACEBACK is set.
        """
        if os.environ.get(FULL_TRACEBACK):
            return format_exception(self)
        return [f"{type(self).__name__}: {self}"]


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


class UserError(WasserganError, ValueError):
    """The input was wrong; the command line answers with exit code 2."""


class WorkError(WasserganError, RuntimeError):
    """The input was valid but the work failed; the command line answers with exit code 1."""


def is_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch could not get the memory that they asked for."""
    words = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)


class ElsewhereError(WorkError):
    """Another process of the run failed and reports the reason itself; the command line adds nothing."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a registry, with the list of names and the nearest match.

    >>> print(unknown_name("preset", "wgna", ["default", "wgan"]))
    Unknown preset: 'wgna'. Did you mean 'wgan'? Known: default, wgan.
    """
    names = list(known)
    name = name if len(name) <= 80 else f"{name[:77]}..."
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"Unknown {kind}", found=f"'{name}'", hint=f"{hint}Known: {', '.join(names)}")
