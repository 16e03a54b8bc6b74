"""One setting: a field of a settings class, from which its flag and help come, and the rule that its values obey."""

from collections.abc import Callable
from dataclasses import Field, field
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from wassergan.config.parsing import parse_budget, parse_crop, parse_names, parse_size
from wassergan.errors import UserError


def setting(
    default: Any,
    text: str,
    *,
    parse: Callable[[str], Any] = str,
    group: str,
    values: str = "",
    flag: bool = False,
    several: bool = False,
) -> Any:
    """A field of a settings class.

    Args:
        default: None leaves the choice to the preset, or to the data.
        text: help.
        parse: text from the command line to the value.
        group: heading in the help.
        values: what to show as the flag's value.
        flag: a switch without a value.
        several: a tuple of values, all that follow the flag.
    """
    return field(
        default=default,
        metadata={"text": text, "parse": parse, "group": group, "values": values, "flag": flag, "several": several},
    )


def held_to_rule(each: "Field[Any]", value: Any) -> Any:
    """A value in plain types, if its flag would take it."""
    if value is None and each.default is None:
        return None
    rule = each.metadata
    try:
        if not rule or rule["parse"] is str:
            return _checked_text(value, several=bool(rule and rule["several"]), switch=bool(rule and rule["flag"]))
        if rule["parse"] is parse_names:
            return _checked_text(value, several=True, switch=False)
        if isinstance(value, list | tuple):
            mark = "x" if rule["parse"] in (parse_size, parse_crop) else ","
            return rule["parse"](mark.join(_digits(part) for part in value)) if value else ()
        if rule["parse"] is parse_budget:
            return parse_budget(f"{_digits(value, exponent=False)}s")
        return rule["parse"](_digits(value))
    except UserError as error:
        raise UserError(f"{each.name}: {error.what}", found=error.found, hint=error.hint) from error


def _checked_text(value: Any, *, several: bool, switch: bool) -> Any:
    if switch and isinstance(value, bool):
        return value
    if several and isinstance(value, list | tuple) and value:
        return tuple(_checked_text(each, several=False, switch=False) for each in value)
    if isinstance(value, str | Path) and not several and not switch:
        return str(value)
    raise UserError("Expected text" if not switch else "Expected yes or no", found=_shortly(value))


def _digits(value: Any, *, exponent: bool = True) -> str:
    """A number as it would stand on a command line, whatever type of Python or NumPy it is of."""
    if isinstance(value, bool):
        raise UserError("Expected a number", found=f"{value}")
    if isinstance(value, Integral) and abs(int(value)) < 2**128:
        return str(int(value))
    if isinstance(value, Real) and not isinstance(value, Integral):
        text = repr(float(value))
        return text if exponent else f"{Decimal(text):f}"
    raise UserError("Expected a number", found=_shortly(value))


def _shortly(value: Any) -> str:
    try:
        return f"{value!r}"[:80]
    except ValueError:  # a number of more digits than Python writes
        return "a number of thousands of digits"


def require_settings(value: object, kind: type, *, example: str) -> None:
    """Refuse anything but settings of that kind where a function of Python's takes them.

    Raises:
        UserError: with how they are written.
    """
    if not isinstance(value, kind):
        raise UserError(
            f"Settings must be {kind.__name__}", found=type(value).__name__, hint=f"write them like {example}"
        )
