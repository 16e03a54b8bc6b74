"""The `wassergan` command: a table of verbs, loaded when called, and one place that turns errors into exit codes."""

import builtins
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import click

from wassergan.cli.completion import VARIABLE, answer_the_shell, know_the_shells, with_offers
from wassergan.cli.echo import echo, open_closed_streams, say_warning
from wassergan.cli.interrupts import terminating_like_ctrl_c
from wassergan.errors import (
    ElsewhereError,
    UserError,
    WorkError,
    is_of_memory,
    shortened,
    unknown_name,
    written_as_flags,
)
from wassergan.utils.version import __version__

OK, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

# Verb → (module that holds a click command of the same name, with _ behind that of a builtin; a line for `--help`).
# The line stands here so that `wassergan --help` imports none of the verbs.
VERBS: dict[str, tuple[str, str]] = {
    "train": ("wassergan.cli.train", "Train a generator on pictures, arrays or tables."),
    "resume": ("wassergan.cli.resume", "Resume a run."),
    "sample": ("wassergan.cli.sample", "Draw samples from a run."),
    "complete": ("wassergan.cli.complete", "Fill the missing cells of a table."),
    "evaluate": ("wassergan.cli.evaluate", "Evaluate a run's samples against held-out ones."),
    "compare": ("wassergan.cli.compare", "Compare runs side by side."),
    "visualize": ("wassergan.cli.visualize", "Plot what a run has learnt."),
    "export": ("wassergan.cli.export", "Write a run's generator for other programs."),
    "report": ("wassergan.cli.report", "Write the HTML report of a run."),
    "distance": ("wassergan.cli.distance", "Measure how far apart two data sets are."),
    "fid": ("wassergan.cli.fid", "Compare two data sets by every metric, with floors."),
    "watch": ("wassergan.cli.watch", "Test whether new data differ from a reference."),
    "runs": ("wassergan.cli.runs", "List the runs below a folder, with their states and scores."),
    "open": ("wassergan.cli.open", "Open the page of a run."),
    "prune": ("wassergan.cli.prune", "Remove a run's older checkpoints."),
    "benchmark": ("wassergan.cli.benchmark", "Test critics on distributions with a known distance."),
    "demo": ("wassergan.cli.demo", "Show a textbook example."),
    "info": ("wassergan.cli.info", "Describe a run or a data source."),
    "env": ("wassergan.cli.env", "Describe this installation."),
}


RENAMED = {"look": "visualize"}  # verbs under their former names, which still answer, with a word
SHARED = ("train", "resume", "sample", "evaluate")  # verbs that several processes do together


class LazyGroup(click.Group):
    """A group that imports a verb only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        if cmd_name not in VERBS:
            if ctx.resilient_parsing:  # the shell completes: what it offers is nothing, and no complaint
                return None
            raise unknown_name("verb", cmd_name, VERBS)
        module = importlib.import_module(VERBS[cmd_name][0])
        command = getattr(module, f"{cmd_name}_" if hasattr(builtins, cmd_name) else cmd_name)
        assert isinstance(command, click.Command)
        if VARIABLE in os.environ:
            command = with_offers(command)
        if cmd_name not in SHARED and _beside_the_first():
            raise click.exceptions.Exit(OK)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is called, under its former name too; `help VERB` is `VERB --help`."""
        if args[:1] == ["help"] and not ctx.resilient_parsing:
            if not args[1:]:
                echo(ctx.get_help())
                raise click.exceptions.Exit(OK)
            args = [*args[1:], "--help"]
        if args and args[0] in RENAMED:
            if not ctx.resilient_parsing:
                echo(f"`wassergan {args[0]}` is now called `wassergan {RENAMED[args[0]]}`.", err=True)
            args = [RENAMED[args[0]], *args[1:]]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


def _beside_the_first() -> bool:
    """Whether torchrun started this process beside another that does the same work."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") not in ("", "0")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wassergan")
def cli() -> None:
    """Wasserstein GANs for pictures, arrays and tables, and Wasserstein distances with guarantees.

    \b
    Examples:
      wassergan train digits --budget 20s --out runs/digits
      wassergan sample runs/digits --count 64 --out digits.png

    Exit codes: 0 done, 1 the work failed, 2 the input was wrong, 3 an alarm of `watch`,
    130 interrupted with everything saved.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: the arguments after the program's name; `sys.argv[1:]` when None.
    """
    if VARIABLE in os.environ:
        know_the_shells()
        if os.environ[VARIABLE].endswith("_complete"):
            return answer_the_shell(cli)
    open_closed_streams()
    if argv is None:
        warnings.showwarning = say_warning
    try:
        _require_texts(sys.argv[1:] if argv is None else argv)
        _require_current_folder()
        with written_as_flags(), terminating_like_ctrl_c():
            code = cli.main(args=None if argv is None else list(argv), prog_name="wassergan", standalone_mode=False)
    except click.ClickException as error:
        return _complain_of_usage(error)
    except UserError as error:
        return _complain(str(error), WRONG_INPUT)
    except ElsewhereError:
        return FAILED
    except WorkError as error:
        return _complain(str(error), FAILED)
    except OSError as error:  # the file system's own refusals, such as a path that leads through a file
        where = f": {error.filename}" if error.filename else ""
        return _complain(shortened(f"{error.strerror or error}{where}."), FAILED)
    except (KeyboardInterrupt, click.Abort):  # before RuntimeError, of which Abort is one
        return _complain("Interrupted.", INTERRUPTED)
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        return _complain("There is not enough memory for that. Ask for less at once, or use a larger machine.", FAILED)
    return code if isinstance(code, int) else OK


def _require_texts(argv: Sequence[str]) -> None:
    for index, text in enumerate(argv, 1):
        if "\0" in text:
            raise UserError(f"Argument {index} holds a null character", found=shortened(repr(text), 80))


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:  # without it, libraries end the process in words of their own
        raise UserError("The folder that this was called in is gone", hint="change into one that is there") from error


def _complain_of_usage(error: click.ClickException) -> int:
    """A call without a verb is answered with all of them; any other wrong one with a sentence and where to look."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is None:
        return _complain(shortened(message), WRONG_INPUT)
    if message == context.get_help():
        echo(message, err=True)
        return WRONG_INPUT
    ended = shortened(message) if message.endswith((".", "?")) else f"{shortened(message)}."
    return _complain(f"{ended} See: {context.command_path} --help", WRONG_INPUT)


def _complain(message: str, code: int) -> int:
    echo(f"wassergan: {message}", err=True)
    return code
