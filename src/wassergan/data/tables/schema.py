"""What a user says about a table's columns, in a small JSON file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wassergan.data.tables.date_texts import date_format
from wassergan.data.tables.rules.grammar import parse_rules
from wassergan.errors import UserError, unknown_name
from wassergan.storage.files import read_text

LARGEST_BYTES = 2**22
MOST_RULES = 500
KINDS = ("number", "angle", "category", "boolean", "date", "id", "drop")
ENTRIES = ("columns", "missing", "delimiter", "encoding", "totals", "rules")
DRESS = ("decimal", "thousands", "prefix", "suffix")
COLUMN_ENTRIES = ("kind", "low", "high", "format", "missing", "invalid", "step", *DRESS)


@dataclass(frozen=True)
class ColumnSpec:
    """What a user says about a column.

    Args:
        kind: one of `KINDS`, or None to find it out.
        low: smallest number to be generated.
        high: largest number to be generated.
        format: of a date, as for `strftime`.
        missing: texts that stand for a missing value in this column.
        invalid: `missing` takes what is no number or date for a missing value.
        step: between values; `none` for no step that the values happen to share.
        decimal: the decimal sign.
        thousands: between groups of digits; empty for none.
        prefix: in front of every number.
        suffix: behind every number.
        like: the form of a table that was learnt, which the texts are to be read by.
    """

    kind: str | None = None
    low: float | None = None
    high: float | None = None
    format: str | None = None
    missing: tuple[str, ...] | None = None
    invalid: str | None = None
    step: float | str | None = None
    decimal: str | None = None
    thousands: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    like: Any = None

    @property
    def is_dressed(self) -> bool:
        """Whether the user says how numbers are written."""
        return any(getattr(self, name) is not None for name in DRESS)


@dataclass(frozen=True)
class Schema:
    """What a user says about a table.

    Args:
        columns: by name.
        missing: texts that stand for a missing value, instead of the usual ones.
        delimiter: of a CSV file.
        encoding: of a CSV file.
        rules: that rows obey; `wassergan.data.tables.rules.grammar` says how they are written.
        totals: `keep` takes a line of totals at the end of a file for a row.
    """

    columns: Mapping[str, ColumnSpec] = field(default_factory=dict)
    missing: tuple[str, ...] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    rules: tuple[str, ...] = ()
    totals: str | None = None

    @property
    def keeps_totals(self) -> bool:
        """Whether a line of totals at the end of a file is a row like others."""
        return self.totals == "keep"

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse wishes for columns that the table does not have.

        Raises:
            UserError: with the nearest name.
        """
        for name in self.columns:
            if name not in names:
                raise unknown_name("column in the schema", name, names)


def read_schema(path: Path) -> Schema:
    """Read a schema file.

    Raises:
        UserError: it is not there, is no JSON, or says something that is not known.

    The file: `{"columns": {"zip": "category", "age": {"kind": "number", "low": 0}}, "missing": ["?"],
    "delimiter": ";", "encoding": "latin-1"}`, each entry optional.
    """
    try:
        content = json.loads(read_text(path, at_most=LARGEST_BYTES))
    except FileNotFoundError as error:
        raise UserError(f"There is no schema {path}") from error
    except UserError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"The schema {path} cannot be read as JSON", found=str(error)) from error
    return schema_of(content, name=str(path))


def schema_of(content: Any, *, name: str = "the schema") -> Schema:
    """A schema from plain JSON types.

    Raises:
        UserError: it says something that is not known.
    """
    content = _entries(content, ENTRIES, name)
    columns = content.get("columns", {})
    if not isinstance(columns, dict):
        raise UserError(f"'columns' of {name} must map names to kinds", found=f"{columns!r}")
    for each in ("delimiter", "encoding"):
        if not isinstance(content.get(each, ""), str):
            raise UserError(f"'{each}' of {name} must be text", found=f"{content[each]!r}")
    if content.get("totals") not in (None, "keep"):
        raise UserError(f"'totals' of {name} can be \"keep\" alone", found=f"{content['totals']!r}")
    return Schema(
        columns={column: _wish(wish, f"column {column} in {name}") for column, wish in columns.items()},
        missing=_texts(content.get("missing"), name),
        delimiter=content.get("delimiter"),
        encoding=content.get("encoding"),
        totals=content.get("totals"),
        rules=_rules(content.get("rules", []), name),
    )


def _rules(texts: Any, name: str) -> tuple[str, ...]:
    """Texts that can be read as rules."""
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
        raise UserError(f"'rules' of {name} must be a list of texts", found=f"{texts!r}"[:80])
    if len(texts) > MOST_RULES:
        raise UserError(
            f"{name[0].upper()}{name[1:]} has too many rules", found=f"{len(texts)}, of at most {MOST_RULES}"
        )
    parse_rules(texts)
    return tuple(dict.fromkeys(texts))


def _wish(wish: Any, name: str) -> ColumnSpec:
    entries = _entries({"kind": wish} if isinstance(wish, str) else wish, COLUMN_ENTRIES, name)
    kind, low, high = (entries.get(each) for each in ("kind", "low", "high"))
    if kind is not None and kind not in KINDS:
        raise unknown_name(f"kind of {name}", str(kind), KINDS)
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float) or not _fits(bound)):
            raise UserError(f"The bounds of {name} must be numbers", found=f"{bound!r}")
    if low is not None and high is not None and low >= high:
        raise UserError(f"The lower bound of {name} is not below the upper", found=f"{low} and {high}")
    if entries.get("format") is not None and (kind != "date" or "%" not in str(entries["format"])):
        raise UserError(
            f"'format' of {name} is for dates",
            found=f"{entries['format']!r}",
            hint='write {"kind": "date", "format": "%d.%m.%Y"}',
        )
    if entries.get("format") is not None:
        _check_format(str(entries["format"]), name)
    step = entries.get("step")
    if step is not None and step != "none" and not _is_step(step):
        raise UserError(f"'step' of {name} must be a positive number, or \"none\"", found=f"{step!r}")
    if entries.get("invalid") not in (None, "missing"):
        raise UserError(f"'invalid' of {name} can be \"missing\" alone", found=f"{entries['invalid']!r}")
    dress = {each: _dress(entries.get(each), each, kind, name) for each in DRESS}
    if dress["decimal"] is not None and dress["decimal"] == dress["thousands"]:
        raise UserError(f"'decimal' and 'thousands' of {name} are the same", found=f"{dress['decimal']!r}")
    return ColumnSpec(
        kind or ("number" if any(each is not None for each in dress.values()) else None),
        low,
        high,
        entries.get("format"),
        _texts(entries.get("missing"), name),
        entries.get("invalid"),
        step,
        **dress,
    )


def _is_step(step: Any) -> bool:
    return isinstance(step, int | float) and not isinstance(step, bool) and _fits(step) and step > 0


def _dress(text: Any, entry: str, kind: Any, name: str) -> str | None:
    """How numbers are written, one entry of it."""
    if text is None:
        return None
    one = entry in ("decimal", "thousands")
    if not isinstance(text, str) or (one and len(text) > 1) or (entry == "decimal" and text not in (".", ",")):
        wanted = {"decimal": '"." or ","', "thousands": 'one character, or ""'}.get(entry, "text")
        raise UserError(f"'{entry}' of {name} must be {wanted}", found=f"{text!r}")
    if any(letter.isdigit() for letter in text) or (one and text in ("-", "+")):
        raise UserError(f"'{entry}' of {name} would be part of the number", found=f"{text!r}")
    if kind not in (None, "number", "angle"):
        raise UserError(f"'{entry}' of {name} is for numbers", found=f"a {kind}")
    return text


def _check_format(pattern: str, name: str) -> None:
    """Refuse a date format that leaves open what is meant."""
    try:
        date_format(pattern)
    except ValueError as error:
        raise UserError(f"'format' of {name} is none that dates can be read by", found=str(error)) from error


def _entries(content: Any, known: Sequence[str], name: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{name[0].upper()}{name[1:]} is not a JSON object", found=f"{content!r}"[:80])
    for entry in content:
        if entry not in known:
            raise unknown_name(f"entry in {name}", entry, known)
    return content


def _fits(bound: float) -> bool:
    """Whether a bound is finite as a float; JSON knows whole numbers of any length."""
    try:
        return math.isfinite(bound)
    except OverflowError:
        return False


def _texts(texts: Any, name: str) -> tuple[str, ...] | None:
    if texts is None:
        return None
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise UserError(f"'missing' of {name} must be a list of texts", found=f"{texts!r}")
    return tuple(texts)
