"""What the shell offers for a value: words that a flag's metavar lists, files, folders. Used as it completes."""

import copy
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from wassergan.storage.run_folder import MARK_NAME
from wassergan.storage.streams import nowhere

VARIABLE = "_WASSERGAN_COMPLETE"  # set by the shell's function
DATA = ("data", "target", "a", "b", "reference", "new")  # arguments that name data, of which some are built in
RUNS = ("run", "runs", "folder")  # arguments that name a run, or a folder of them
BUILT_IN = ("digits",)
PATHS = {"FILE": "file", "PNG": "file", "DATA": "file", "FOLDER": "dir", "RUN": "dir"}  # parts of metavars


class Offered(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A value of which some words are known, or a path, which the shell itself completes and quotes.

    Args:
        words: that are known.
        paths: `file` or `dir` where a path may stand there.
        files_first: a word gives way to files of the current folder that begin likewise.
    """

    name = "offered"

    def __init__(self, words: Sequence[str], *, paths: str = "", files_first: bool = False) -> None:
        self._words, self._paths, self._files_first = words, paths, files_first

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The words that begin so, or else paths."""
        found = [CompletionItem(word) for word in self._words if word.startswith(incomplete)]
        if not self._paths or (found and not (self._files_first and _begins_a_name(incomplete))):
            return found
        if self._paths == "dir" and incomplete.endswith("/") and Path(incomplete, MARK_NAME).is_file():
            return []  # what is in it is no run
        return [CompletionItem(incomplete, type=self._paths)]


def _begins_a_name(incomplete: str) -> bool:
    """Whether something in the current folder is named so, at first."""
    with suppress(OSError), os.scandir() as entries:
        return any(each.name.startswith(incomplete) for each in entries)
    return False


def know_the_shells() -> None:
    """Let click speak to the shells as this module does."""
    for each in (_Bash, _Zsh, _Fish):
        add_completion_class(each)


def answer_the_shell(command: click.Command) -> int:
    """Print what it may offer for the words in its variables; nothing on any fault, as it reads what is printed."""
    with nowhere() as unheard, redirect_stderr(unheard), suppress(Exception, SystemExit, KeyboardInterrupt):
        command.main(args=[], prog_name="wassergan")
    return 0


class _Bash(BashComplete):
    """Takes `--flag=value` as three words."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        return (args[:-1] if args[-1:] == ["="] else args), incomplete


class _WholeWords(ShellComplete):
    """For shells that take `--flag=value` as one word, which is to be offered as a whole."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        found = super().get_completions(args, incomplete)
        flag, equals, _ = incomplete.partition("=")
        if not (flag.startswith("--") and equals):
            return found
        return [CompletionItem(f"{flag}={each.value}") for each in found if each.type == "plain"]


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    """Names with commas are taken whole; fish's own function for folders stumbles over colons and dollar signs."""

    source_template = FishComplete.source_template.replace('split ","', 'split -m 1 ","').replace(
        "__fish_complete_directories $metadata[2]",
        "__fish_complete_path $metadata[2] | string match -r '^[^\\t]*/(?:\\t.*)?$'",
    )


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
    if isinstance(param, click.Argument):
        if param.name in DATA:
            found.type = Offered(BUILT_IN, paths="file", files_first=True)
        elif param.name in RUNS:
            found.type = Offered((), paths="dir")
    elif isinstance(param, click.Option) and not param.is_flag:
        kinds = {PATHS[part] for part in (param.metavar or "").split("|") if part in PATHS}
        kinds |= {"file"} if param.name == "data" else set()
        words = listed(param.metavar)
        if words or kinds:
            found.type = Offered(words, paths="file" if "file" in kinds else "".join(kinds))
    return found


def listed(metavar: str | None) -> tuple[str, ...]:
    """The values that a metavar names; `N`, `NAME` and the like stand for others.

    >>> listed("latest|best|STEP"), listed("auto|N|NHW|cuda:N|..."), listed("N|HxW"), listed(None)
    (('latest', 'best'), ('auto', 'N', 'NHW'), (), ())
    """
    words = (metavar or "").split("|")
    word = r"[a-z0-9][a-z0-9_-]*|[A-Z]+" if words[0] == "auto" else r"[a-z0-9][a-z0-9_-]*"
    return tuple(each for each in words if re.fullmatch(word, each)) if len(words) > 1 else ()
