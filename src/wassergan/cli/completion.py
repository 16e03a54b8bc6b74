"""What the shell offers for a value: the words that a flag's metavar lists, or files. Read only while it completes."""

import copy
import re
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

VARIABLE = "_WASSERGAN_COMPLETE"  # set by the shell's function
DATA = ("data", "target", "a", "b", "reference", "new")  # arguments that name data, of which some are built in
BUILT_IN = ("digits",)
FILES = ("FILE", "FOLDER", "RUN", "FOLDER|PNG", "TEXT")


class Offered(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A value of which some are known; files where none of these fits."""

    name = "offered"

    def __init__(self, words: Sequence[str], *, files: bool) -> None:
        self._words, self._files = words, files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin so, or else files."""
        found = [CompletionItem(word) for word in self._words if incomplete and word.startswith(incomplete)]
        if self._files:
            return found or [CompletionItem(incomplete, type="file")]
        return found or [CompletionItem(word) for word in self._words if not incomplete]


def with_offers(command: click.Command) -> click.Command:
    """A copy of a command, and of those in it, whose options and arguments offer values to the shell.

    What a value is made into is lost with its type, so a copy is for completion alone.
    """
    found = copy.copy(command)
    found.params = [_offering(param) for param in command.params]
    if isinstance(found, click.Group):
        found.commands = {name: with_offers(each) for name, each in found.commands.items()}
    return found


def _offering(param: click.Parameter) -> click.Parameter:
    found = copy.copy(param)
    words = listed(param.metavar) if isinstance(param, click.Option) and not param.is_flag else ()
    if isinstance(param, click.Argument) and param.name in DATA:
        found.type = Offered(BUILT_IN, files=True)
    elif words:
        found.type = Offered(words, files=False)
    elif isinstance(param, click.Option) and param.metavar in FILES:
        found.type = Offered((), files=True)
    return found


def listed(metavar: str | None) -> tuple[str, ...]:
    """The values that a metavar names; `N`, `NAME` and the like stand for others.

    >>> listed("latest|best|STEP"), listed("auto|N|NHW|cuda:N|..."), listed("N|HxW"), listed(None)
    (('latest', 'best'), ('auto', 'N', 'NHW'), (), ())
    """
    words = (metavar or "").split("|")
    word = r"[a-z0-9][a-z0-9_-]*|[A-Z]+" if words[0] == "auto" else r"[a-z0-9][a-z0-9_-]*"
    return tuple(each for each in words if re.fullmatch(word, each)) if len(words) > 1 else ()
