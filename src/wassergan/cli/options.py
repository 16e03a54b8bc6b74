"""Click options from a settings class, grouped as the class groups them."""

import re
from collections.abc import Callable, Collection
from dataclasses import Field, fields
from typing import Any, TypeVar

import click

from wassergan.errors import UserError, flag

F = TypeVar("F", bound=Callable[..., Any])


class ParsedText(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A value read by a settings field's own parser, so that flags and Python agree."""

    def __init__(self, parse: Callable[[str], Any], metavar: str) -> None:
        self._parse, self.name = parse, metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; name the flag if that fails."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UserError as error:
            raise UserError(
                f"{param.opts[0] if param else 'value'}: {error.what}", found=error.found, hint=error.hint
            ) from error
        except (ValueError, OverflowError) as error:  # Python's own refusals, such as of numbers of 5000 digits
            raise UserError(f"{param.opts[0] if param else 'value'} cannot be read", found=str(error)) from error


class GroupedCommand(click.Command):
    """A command whose `--help` shows its options under the headings of the settings class."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let all values that follow a flag of several belong to it."""
        several = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        return super().parse_args(ctx, _repeated(args, several))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per group, then the rest."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "group", "Other"), []).append(record)
        last = groups.pop("Other", [])  # what most verbs have; first comes what a verb is for
        for group, records in (*groups.items(), ("Other", last)):
            if not records:
                continue
            with formatter.section(group):
                formatter.write_dl(records)


class GroupedOption(click.Option):
    """An option that knows its heading."""

    def __init__(self, *args: Any, group: str = "Other", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


def _repeated(args: list[str], several: Collection[str]) -> list[str]:
    """`--flag a b` as `--flag a --flag b`, up to the next flag."""
    repeated: list[str] = []
    flag = ""
    for index, arg in enumerate(args):
        if arg in several:
            flag = arg
            if index + 1 == len(args) or args[index + 1].startswith("-"):
                repeated.append(arg)  # without a value: for click to complain about
        elif arg.startswith("-"):
            flag = ""
            repeated.append(arg)
        else:
            repeated += [flag, arg] if flag else [arg]
    return repeated


def options_of(settings_class: type[Any]) -> Callable[[F], F]:
    """Add one option per field that is a setting. Only flags that were given reach the function (others are None)."""

    def decorate(function: F) -> F:
        for each in reversed(fields(settings_class)):
            if "text" in each.metadata:
                function = _option(each)(function)
        return function

    return decorate


def _option(each: "Field[Any]") -> Callable[[F], F]:
    meta = each.metadata
    flag = f"--{each.name.replace('_', '-')}"
    shown = "" if each.default in (None, True, False) else f" [{each.default}]"
    if meta["flag"]:
        names = flag if each.default is False else f"{flag}/--no-{flag[2:]}"
        return click.option(
            names, cls=GroupedOption, group=meta["group"], default=None, is_flag=True, help=_with_flags(meta["text"])
        )
    metavar = meta["values"] or {"parse_budget": "TIME", "positive_int": "N", "whole_number": "N"}.get(
        meta["parse"].__name__, "X" if meta["parse"] is not str else "TEXT"
    )
    return click.option(
        flag,
        multiple=meta["several"],
        callback=_none_of_none if meta["several"] else None,
        cls=GroupedOption,
        group=meta["group"],
        default=None,
        type=ParsedText(meta["parse"], metavar),
        metavar=metavar,
        help=_with_flags(meta["text"]) + shown,
    )


def _with_flags(text: str) -> str:
    """A help text in which the names of other settings are flags."""
    return re.sub(r"\{([a-z_]+)\}", lambda found: flag(found[1]), text)


def _none_of_none(context: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> Any:
    return values or None


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that stood on the command line."""
    return {name: value for name, value in values.items() if value is not None}
