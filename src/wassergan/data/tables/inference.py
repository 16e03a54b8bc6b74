"""From columns as they stand in a file to columns of numbers, with the way back: what kind each is, and why."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.arrowfile import whole_limits
from wassergan.data.tables.columns import OddColumn, RawTable, TextColumn, TypedColumn
from wassergan.data.tables.date_finding import Misfit, NoZoneError, most_fit, zone_is_known
from wassergan.data.tables.formats import MICROSECONDS, DateForm, LevelForm, NumberForm, Values
from wassergan.data.tables.grids import with_date_grid, with_number_grid
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.identifiers.recognise import identifier_of, is_index, key_of_numbers, key_of_texts
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.tables.text_columns import (
    Found,
    are_codes,
    dates_of,
    decimal_of,
    different_units,
    numbers_of,
    numeric_levels,
)
from wassergan.errors import UserError, parameter

MISSING_TEXTS = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>", "NaT")
# So are these where all else is numbers or dates.
MISSING_MARKS = (
    *(
        "-",
        "--",
        "---",
        "\N{EN DASH}",
        "\N{EM DASH}",
        ".",
        "..",
        "...",
        "na",
        "n.a.",
        "N.A.",
        "n/a.",
        "none",
        "NONE",
        "nil",
    ),
    *("Null", "nat", "NAT", "#N/A", "#NA", "#N/A N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"),
    *("-NaN", "-nan", "+nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "missing", "Missing", "unknown", "Unknown"),
    *("#NV", "#WERT!", "#BEZUG!", "#ZAHL!", "#N/D", "#VALOR!", "#VALEUR!", "#NOMBRE!", "#NUM!", "#SPILL!", "#CALC!"),
    *(f".{letter}" for letter in "abcdefghijklmnopqrstuvwxyz_"),  # of Stata and SAS
    *(f".{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
)
LARGEST_WHOLE = 2**53  # whole numbers up to here are exact in float64
MOST_LEVELS = 100_000
FEW_ROWS = 20  # in so few rows, different values everywhere mean nothing
MIXED_SHARE = 0.9  # a column with this share of numbers is one of numbers, with mistakes
DISTINCT_SHARE = 0.8  # text that repeats itself less is no category
LONG_TEXT = 60  # mean length of a free text's levels
MOST_DECIMALS = 6
MOST_PLACES = 15  # of a type that says how many it has
TURNS = ((-math.pi, math.pi), (0.0, 2 * math.pi), (-180.0, 180.0), (0.0, 360.0))
TURN_ROUNDING = 1e-4  # of a turn: π is also written 3.142
TURN_EDGE = 0.01  # of a turn; angles that are even have as large a share of the rows there
TURN_EDGE_SHARE = 0.25  # of that share is seen at both ends, or numbers are no angles
TURN_EDGE_ROWS = 3
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
DATES_NEEDED = 10  # different texts that are dates, before one that is none is a mistake
BAD_SHOWN = 3
ORDER_ROWS = 2000
WHOLE_DATES = (10**5, 10**14)  # whole numbers that may be dates such as 202405 or 20240519123000
BOOLEANS = ({"true", "false"},)


@dataclass(frozen=True)
class Column:
    """A column of numbers, and how they are written.

    Args:
        name: of the column.
        kind: `number`, `category`, `boolean` or `date`.
        values: (n,) float64: numbers, level numbers or units of time; NaN where there is nothing.
        form: how values are written.
        low: smallest number to be generated, if the user says so.
        high: largest number to be generated, if the user says so.
        missing: the text that stands for a missing value.
        turn: of angles, the two numbers that mean the same.
        marked: missing values are written as `missing` in columns of text even where the file could say nothing.
    """

    name: str
    kind: str
    values: Values
    form: NumberForm | LevelForm | DateForm
    low: float | None = None
    high: float | None = None
    missing: str = ""
    turn: tuple[float, float] | None = None
    marked: bool = False


def infer_columns(
    table: RawTable, schema: Schema, *, log: Callable[[str], None], identifiers: list[Identifier] | None = None
) -> tuple[Column, ...]:
    """Columns of numbers; identifiers and free text are left out, and `log` receives it.

    Args:
        table: as it stands in the file.
        schema: what the user says about it.
        log: receives what is left out.
        identifiers: takes the columns whose values are written fresh; without it they are left out.

    Raises:
        UserError: a column has no values, mixes numbers and text, has too many levels, or does not fit the schema.
    """
    schema.check_names([column.name for column in table.columns])
    for note in table.notes:
        log(note)
    columns: list[Column] = []
    decimal: str | None = None
    for raw in table.columns:
        wish = schema.columns.get(raw.name, ColumnSpec())
        if wish.kind == "drop":
            continue
        if decimal is None and isinstance(raw, TextColumn):
            decimal = decimal_of(table)
        reader = _Inference(table, raw.name, wish, schema, decimal or "")
        if isinstance(raw, OddColumn):
            raise reader.odd(raw)
        try:
            columns.append(reader.typed(raw) if isinstance(raw, TypedColumn) else reader.text(raw))
        except _IsKey as found:
            if identifiers is not None:
                identifiers.append(replace(found.identifier, before=len(columns) + len(identifiers)))
                log(
                    f"Column {raw.name} of {table.name} is an identifier ({found}): its values are not learnt, fresh "
                    f"ones are written. Give its kind in a {parameter('schema')} file to learn it, or drop it there."
                )
            else:
                log(f"Left out column {raw.name} of {table.name}: {found}.")
        except _LeftOut as reason:
            log(f"Left out {f'column {raw.name}' if raw.name else 'the unnamed column'} of {table.name}: {reason}.")
        for note in [] if wish.like else dict.fromkeys(reader.notes):
            log(f"Column {raw.name} of {table.name} {note}.")
    if not columns:
        raise UserError(f"{table.name} has no column to learn", hint=f"name kinds in a {parameter('schema')} file")
    return tuple(columns)


class _LeftOut(Exception):  # noqa: N818  # not an error
    """Why a column takes no part."""


class _IsKey(Exception):  # noqa: N818  # not an error
    """A column takes no part in what is learnt: its values are written fresh."""

    def __init__(self, identifier: Identifier, why: str) -> None:
        super().__init__(why)
        self.identifier = identifier


class _Inference:
    """What one column holds."""

    def __init__(self, table: RawTable, name: str, wish: ColumnSpec, schema: Schema, decimal: str) -> None:
        self._table, self._name, self._wish, self._decimal = table, name, wish, decimal
        self.notes: list[str] = []
        self._kind = "number" if wish.kind == "angle" else wish.kind
        told = wish.missing if wish.missing is not None else schema.missing
        usual = () if table.arrow_schema else MISSING_TEXTS  # Arrow has a value of its own for what is missing
        self._missing = set(usual) if told is None else {"", *told}
        self._marks = {*MISSING_TEXTS, *MISSING_MARKS} if told is None else set()

    @property
    def _where(self) -> str:
        return f"Column {self._name} of {self._table.name}"

    def typed(self, raw: TypedColumn) -> Column:
        """A column whose file says what it holds."""
        if np.isinf(raw.values).any():
            row = int(np.isinf(raw.values).argmax())
            raise UserError(f"{self._where} holds infinite values", found=f"the first in {self._table.row_name(row)}")
        there = raw.values[~np.isnan(raw.values)]
        if len(there) == 0:
            return self._empty(raw.values, "NaN" if raw.nan else "")
        dates = self._whole_dates(raw.values) if raw.whole and self._kind in (None, "date") else None
        if dates is not None:
            return dates
        if raw.whole and self._kind in (None, "id"):
            numbers = there.astype(np.int64) if raw.exact is None else raw.exact[~np.isnan(raw.values)]
            self._check_index(numbers)
            self._take_key(numbers, key_of_numbers(self._name, numbers), whole=True)
        kind = self._kind or raw.kind
        if kind == "id":
            raise self._no_key(f"a {raw.kind}")
        if kind == "category":
            return self._levels_of(raw)
        if raw.exact is not None:
            return self._long_numbers(raw)
        if kind != raw.kind:
            raise UserError(f"{self._where} is no {kind}", found=f"a {raw.kind}")
        if raw.kind == "boolean":
            form = LevelForm(("False", "True"), (False, True))
            return Column(self._name, "boolean", raw.values, form)
        if raw.kind == "date":
            unit, values = _coarsest(raw.values, raw.unit)
            form_of = _typed_dates(unit, raw.zone)
            return self._date(values * (unit // form_of.unit), form_of, "")
        if raw.whole and self._kind is None and _is_row_number(there):
            raise _LeftOut("it numbers the rows")
        return self._number(raw.values, _typed_numbers(raw, there), "NaN" if raw.nan else "")

    def odd(self, raw: OddColumn) -> UserError:
        """What to say of a column of a type that no column can have."""
        return UserError(
            f"{self._where} {raw.what}",
            found=raw.type,
            hint=f"{raw.hint}, or leave it out in a {parameter('schema')} file: "
            f'{{"columns": {{"{self._name}": "drop"}}}}',
        )

    def _levels_of(self, raw: TypedColumn) -> Column:
        """A category of what a typed column holds, each level in the column's own type and form."""
        gone = np.isnan(raw.values)
        values = np.full(len(raw.values), np.nan)
        exact = raw.values if raw.exact is None else raw.exact
        found, values[~gone] = np.unique(exact[~gone], return_inverse=True)
        if len(found) > MOST_LEVELS:
            raise self._too_many(len(found))
        own: tuple[Any, ...] = tuple(int(each) if raw.whole else float(each) for each in found)
        form: NumberForm | DateForm = NumberForm(0, whole=True)
        if raw.kind == "boolean":
            own = tuple(map(bool, own))
        elif raw.kind == "date":
            unit, found = _coarsest(found, raw.unit)
            form, own = _typed_dates(unit, raw.zone), ()
            found = found * (unit // form.unit)
        elif not raw.whole:
            form, own = _typed_numbers(raw, found), () if raw.places is not None else own
        texts = tuple(map(str, own)) if raw.whole or raw.kind == "boolean" else tuple(form.texts(found))
        return Column(self._name, "category", values, LevelForm(texts, own), missing="NaN" if raw.nan else "")

    def _long_numbers(self, raw: TypedColumn) -> Column:
        """Whole numbers that float64 does not hold: levels if they repeat themselves, else identifiers."""
        assert raw.exact is not None
        there = raw.exact[~np.isnan(raw.values)]
        if self._kind is not None:
            raise UserError(
                f"{self._where} holds whole numbers with more digits than can be learnt as quantities",
                found=f"{max(map(int, (there.min(), there.max())), key=abs)}",
                hint=f'make it a category in a {parameter("schema")} file, or leave it out: "drop"',
            )
        if len(np.unique(there)) > DISTINCT_SHARE * len(there):
            self._take_key(there, "its whole numbers are so long that they can only be identifiers", whole=True)
            raise _LeftOut("its whole numbers are so long that they can only be identifiers")
        return self._levels_of(raw)

    def text(self, raw: TextColumn) -> Column:
        """A column of text, by its different texts."""
        if any(level.strip() in self._marks - self._missing for level in raw.levels):
            try:
                found = self._text(raw, self._marks)
            except (UserError, _LeftOut):
                found = None
            if found is not None and found.kind in ("number", "date"):
                return found
        return self._text(raw, self._missing)

    def _text(self, raw: TextColumn, nothing: set[str]) -> Column:
        """The same, where some texts stand for a missing value."""
        self.notes.clear()
        missing = [code for code, level in enumerate(raw.levels) if level.strip() in nothing]
        counts = np.bincount(raw.codes[raw.codes >= 0], minlength=len(raw.levels))
        gone = max(missing, key=lambda code: int(counts[code]), default=None)
        token = "" if gone is None else raw.levels[gone]
        marked = gone is not None and bool(self._table.arrow_schema) and counts[gone] > (raw.codes < 0).sum()
        gone_too = set(missing)
        kept = [code for code in range(len(raw.levels)) if code not in gone_too]
        renumbered = np.full(len(raw.levels) + 1, -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        codes, levels = renumbered[raw.codes], [raw.levels[code] for code in kept]
        if (codes < 0).all():
            found = self._empty(np.full(len(codes), np.nan), token)
        else:
            found = self._filled(raw, codes, levels, counts[kept], kept, token)
        return replace(found, marked=marked)

    def _filled(
        self,
        raw: TextColumn,
        codes: NDArray[np.int64],
        levels: list[str],
        counts: NDArray[np.int64],
        kept: list[int],
        token: str,
    ) -> Column:
        """A column of text that holds something: codes into the levels, of which `kept` says where they stood."""
        own = tuple(raw.values[code] for code in kept) if raw.values else ()
        kind = self._kind
        if kind == "id":
            self._take_key(levels, "", token=token, missing=float((codes < 0).mean()))
        if raw.declared and kind in (None, "category"):
            return self._category(levels, codes, token, own, ordered=True)
        if kind == "number":
            return self._wished(raw, levels, codes, token, numbers_of)
        if kind == "date":
            return self._wished(raw, levels, codes, token, dates_of)
        if kind in ("category", "boolean"):
            return self._category(levels, codes, token, own)
        if {level.lower() for level in levels} in BOOLEANS and len(levels) == 2:
            return self._booleans(levels, codes, token)
        return self._undeclared(raw, levels, codes, counts, token, own)

    def _undeclared(
        self,
        raw: TextColumn,
        levels: list[str],
        codes: NDArray[np.int64],
        counts: NDArray[np.int64],
        token: str,
        own: tuple[object, ...],
    ) -> Column:
        """A column of text of which nobody says what it holds."""
        count = int((codes >= 0).sum())
        dates = self._found_dates(raw, levels, codes)
        if dates is not None:
            return self._date_column(dates, codes, token)
        self._refuse_other_dates(raw, levels)
        if are_codes(levels, count):
            why = key_of_texts(self._name, levels, count)
            self._take_key(levels, why, token=token, missing=1 - count / len(codes))
            if len(levels) == count:
                self._leave_out_text(levels, count, token, len(codes))
            return self._category(levels, codes, token, own)
        numbers = self._find(levels, numbers_of)
        if numbers is not None:
            return self._numbers(levels, codes, token, numbers)
        numeric = numeric_levels(levels)
        infinite = np.array([_INFINITE.fullmatch(level.strip()) is not None for level in levels], bool)
        if infinite.any() and numeric.any() and (numeric | infinite).all():
            raise self._mixed(raw, levels, ~infinite)
        if counts[numeric].sum() > MIXED_SHARE * counts.sum() and numeric.sum() > FEW_ROWS:
            raise self._mixed(raw, levels, numeric)
        self._refuse_other_units(raw, levels, count)
        self._leave_out_text(levels, count, token, len(codes))
        return self._category(levels, codes, token, own)

    def _find(self, levels: list[str], finder: Callable[..., Found | None]) -> Found | None:
        """What texts hold: as in a table that was learnt, or found out."""
        if self._wish.like is not None:
            form = self._wish.like
            try:
                return Found(form, form.read(levels))
            except ValueError:
                return None
        if finder is dates_of:
            return dates_of(levels, self._wish)
        delimiter = self._table.dialect.get("delimiter", "")
        return finder(levels, self._wish, evidence=self._decimal, delimiter=delimiter)

    def _wished(
        self,
        raw: TextColumn,
        levels: list[str],
        codes: NDArray[np.int64],
        token: str,
        finder: Callable[..., Found | None],
    ) -> Column:
        """A column of numbers or dates, as the schema says."""
        try:
            found = self._find(levels, finder)
        except NoZoneError as error:
            raise self._no_zone(error) from error
        if found is None and self._wish.invalid == "missing":
            return self._without_invalid(raw, levels, codes, token, finder)
        if found is None and finder is dates_of:
            raise self._no_date(raw, levels)
        if found is None:
            raise self._no_number(raw, levels)
        if finder is dates_of:
            return self._date_column(found, codes, token)
        return self._numbers(levels, codes, token, found, required=True)

    def _without_invalid(
        self,
        raw: TextColumn,
        levels: list[str],
        codes: NDArray[np.int64],
        token: str,
        finder: Callable[..., Found | None],
    ) -> Column:
        """The same, where what does not fit is missing."""
        fits = self._fits(levels, is_date=finder is dates_of)
        if fits is None or fits.all() or not fits.any():
            raise self._no_date(raw, levels) if finder is dates_of else self._no_number(raw, levels)
        bad = [level for level, is_good in zip(levels, fits, strict=True) if not is_good]
        rows = int(np.isin(codes, np.flatnonzero(~fits)).sum())
        shown = ", ".join(f"'{level}'" for level in bad[:BAD_SHOWN]) + (", ..." if len(bad) > BAD_SHOWN else "")
        self.notes.append(f"holds {shown} in {rows} row{'s' * (rows > 1)}: taken as missing")
        number = np.append(np.where(fits, np.cumsum(fits) - 1, -1), -1)
        kept = [level for level, is_good in zip(levels, fits, strict=True) if is_good]
        return self._wished(raw, kept, number[codes], token, finder)

    def _fits(self, levels: list[str], *, is_date: bool) -> NDArray[np.bool_] | None:
        """Which texts are dates, or numbers, like most of them."""
        if not is_date:
            found = [self._find([level], numbers_of) is not None for level in levels]
            return np.array(found) if self._wish.is_dressed else numeric_levels(levels)
        if self._wish.format is not None or self._wish.like is not None:
            return np.array([self._find([level], dates_of) is not None for level in levels])
        most = most_fit(levels)
        return None if most is None else most.fits

    def _found_dates(self, raw: TextColumn, levels: list[str], codes: NDArray[np.int64]) -> Found | None:
        try:
            reading = dates_of(levels, self._wish, order=_in_order(levels, codes))
        except NoZoneError as error:
            raise self._no_zone(error) from error
        return reading

    def _date_column(self, found: Found, codes: NDArray[np.int64], token: str) -> Column:
        assert isinstance(found.form, DateForm)
        self.notes.extend(found.notes)
        return self._date(np.append(found.values, np.nan)[codes], found.form, token)

    def _date(self, values: Values, form: DateForm, token: str) -> Column:
        return Column(self._name, "date", values, with_date_grid(form, values, self._wish), missing=token)

    def _whole_dates(self, values: Values) -> Column | None:
        """Whole numbers of a type that are dates: 20240519."""
        gone = np.isnan(values)
        numbers, index = np.unique(values[~gone], return_inverse=True)
        if not (numbers[0] >= WHOLE_DATES[0] and numbers[-1] < WHOLE_DATES[1]):
            return None
        texts = [str(int(number)) for number in numbers]
        found = self._find(texts, dates_of)
        if found is None or not isinstance(found.form, DateForm):
            self._refuse_other_whole_dates(texts, values)
            return None
        self.notes.extend(found.notes)
        dates = np.full(len(values), np.nan)
        dates[~gone] = found.values[index]
        return self._date(dates, replace(found.form, whole=True), "")

    def _refuse_other_whole_dates(self, texts: list[str], values: Values) -> None:
        most = most_fit(texts)
        if most is None or most.fits.all() or not self._are_mostly_dates(most):
            return
        bad = texts[int((~most.fits).argmax())]
        raise UserError(
            f"{self._where} holds dates, and what is no date in {most.pattern}",
            found=f"{bad} in {self._table.row_name(int((values == float(bad)).argmax()))}",
            hint=f'correct it, or make the column a "number" in a {parameter("schema")} file',
        )

    def _are_mostly_dates(self, most: Misfit) -> bool:
        return bool(most.fits.sum() >= DATES_NEEDED and most.fits.mean() >= MIXED_SHARE)

    def _numbers(
        self, levels: list[str], codes: NDArray[np.int64], token: str, found: Found, *, required: bool = False
    ) -> Column:
        numbers, form = found.values, found.form
        assert isinstance(form, NumberForm)
        if not np.isfinite(numbers).all():
            index = int((~np.isfinite(numbers[codes]) & (codes >= 0)).argmax())
            raise self._infinite(levels[codes[index]], index)
        whole = form.whole
        if whole and not required and form.dress.is_plain:
            self._take_whole_texts(levels, codes, token)
        if whole and np.abs(numbers).max() > LARGEST_WHOLE and form.texts(numbers) != levels:
            if len(levels) > DISTINCT_SHARE * (codes >= 0).sum():
                why = "its whole numbers are so long that they can only be identifiers"
                self._take_key(levels, why, token=token, missing=float((codes < 0).mean()))
            return self._category(levels, codes, token, ())
        values = np.append(numbers, np.nan)[codes]
        if whole and not required and form.dress.is_plain and _is_row_number(values[codes >= 0]):
            raise _LeftOut("it numbers the rows")
        self.notes.extend(found.notes)
        return self._number(values, form, token)

    def _number(self, values: Values, form: NumberForm, token: str) -> Column:
        low, high = self._wish.low, self._wish.high
        outside = (values < (-math.inf if low is None else low)) | (values > (math.inf if high is None else high))
        if outside.any():
            row = int(outside.argmax())
            raise UserError(
                f"{self._where} holds values outside the bounds in the schema",
                found=f"{values[row]:g} in {self._table.row_name(row)}",
            )
        form = with_number_grid(form, values, self._wish, self._where)
        return Column(self._name, "number", values, form, low, high, token, self._turn(values))

    def _turn(self, values: Values) -> tuple[float, float] | None:
        """The two numbers that mean the same angle; None for other numbers."""
        there, low, high = values[~np.isnan(values)], self._wish.low, self._wish.high
        if self._wish.kind == "angle":
            if low is not None and high is not None:
                return float(low), float(high)
            for turn in TURNS:
                if _within(there, turn):
                    return turn
            raise UserError(
                f"{self._where} holds angles of no known turn",
                found=f"{there.min():g} to {there.max():g}",
                hint='say what a turn is, as in {"kind": "angle", "low": 0, "high": 24}',
            )
        if self._wish.kind is not None or low is not None or high is not None:
            return None
        return next((turn for turn in TURNS if _within(there, turn) and _fills(there, turn)), None)

    def _booleans(self, levels: list[str], codes: NDArray[np.int64], token: str) -> Column:
        order = sorted(levels, key=str.lower)
        values = np.append([float(order.index(level)) for level in levels], np.nan)[codes]
        return Column(self._name, "boolean", values, LevelForm(tuple(order), (False, True)), missing=token)

    def _category(
        self, levels: list[str], codes: NDArray[np.int64], token: str, own: tuple[object, ...], *, ordered: bool = False
    ) -> Column:
        if len(levels) > MOST_LEVELS:
            raise self._too_many(len(levels))
        order = list(range(len(levels))) if ordered else sorted(range(len(levels)), key=levels.__getitem__)
        rank = np.empty(len(levels) + 1, np.float64)
        rank[order], rank[-1] = np.arange(len(levels)), np.nan
        form = LevelForm(tuple(levels[i] for i in order), tuple(own[i] for i in order) if own else ())
        return Column(self._name, "category", rank[codes], form, missing=token)

    def _too_many(self, count: int) -> UserError:
        return UserError(
            f"{self._where} has too many levels",
            found=f"{count}, of at most {MOST_LEVELS}",
            hint=f'merge rare ones, or leave the column out in a {parameter("schema")} file: {{"columns": {{"'
            + self._name
            + '": "drop"}}',
        )

    def _take_whole_texts(self, levels: list[str], codes: NDArray[np.int64], token: str) -> None:
        numbers = np.array(
            [int(level) if level.lstrip("-").isdecimal() else int(float(level)) for level in levels], object
        )
        there = codes[codes >= 0]
        largest = max(map(abs, numbers))
        rows = numbers.astype(np.int64 if largest < 2**63 else object)[there]
        self._check_index(rows)
        missing = float((codes < 0).mean())
        self._take_key(levels, key_of_numbers(self._name, rows), token=token, missing=missing)

    def _check_index(self, numbers: NDArray[Any]) -> None:
        """Leave out the index of a DataFrame that was written with it."""
        unnamed = self._name.strip() == "" or self._name.lower().startswith("unnamed:")
        if self._kind is None and is_index(self._name) and (unnamed or key_of_numbers(self._name, numbers)):
            raise _LeftOut("it is the index of a DataFrame")

    def _take_key(
        self, values: Any, why: str, *, whole: bool = False, token: str = "", missing: float | None = None
    ) -> None:
        """Take the column for an identifier, where it is one or the schema says so."""
        if not (why or self._kind == "id"):
            return
        gone = 1 - len(values) / self._table.rows if missing is None else missing
        limits = whole_limits(self._table, self._name)
        found = identifier_of(self._name, values, missing=gone, whole=whole, token=token, limits=limits)
        if found is not None:
            raise _IsKey(found, why or "the schema says so")
        if self._kind == "id":
            raise self._no_key("values of many lengths")

    def _no_key(self, found: str) -> UserError:
        return UserError(
            f"{self._where} follows no pattern that identifiers have",
            found=found,
            hint=f'leave it out in a {parameter("schema")} file: {{"columns": {{"' + self._name + '": "drop"}}',
        )

    def _leave_out_text(self, levels: list[str], count: int, token: str, rows: int) -> None:
        if count < FEW_ROWS or self._wish.kind is not None:
            return
        self._take_key(levels, key_of_texts(self._name, levels, count), token=token, missing=1 - count / rows)
        length = sum(map(len, levels)) / len(levels)
        if len(levels) == count:
            raise _LeftOut("every row has another text, so it is an identifier or free text")
        if len(levels) > DISTINCT_SHARE * count or (length > LONG_TEXT and len(levels) > FEW_ROWS):
            raise _LeftOut(f"it is free text ({len(levels)} different ones in {count} rows, {length:.0f} letters each)")

    def _empty(self, values: Values, token: str) -> Column:
        """A column without any value: it is written back so."""
        return Column(self._name, "category", values, LevelForm(()), missing=token)

    def _first(self, raw: TextColumn, level: str) -> str:
        """Where a text stands first."""
        return f"'{level[:40]}' in {self._table.row_name(int((raw.codes == raw.levels.index(level)).argmax()))}"

    def _in_schema(self, entry: str) -> str:
        return f'{{"columns": {{{json.dumps(self._name, ensure_ascii=False)}: {entry}}}}}'

    def _no_date(self, raw: TextColumn, levels: list[str]) -> UserError:
        fits, wanted = self._fits(levels, is_date=True), self._wish.format
        if fits is None or not fits.any() or fits.all():
            bad, wanted = levels[0], wanted or "a format that is known"
        else:
            bad = levels[int((~fits).argmax())]
            most = most_fit(levels)
            wanted = wanted or (most.pattern if most else "the format of the others")
        return UserError(
            f"{self._where} does not hold dates alone",
            found=f"{self._first(raw, bad)} is not in {wanted}",
            hint='give their format in the schema: {"kind": "date", "format": "%d.%m.%Y"}, or say "invalid": "missing" '
            "there to take such values as missing",
        )

    def _no_number(self, raw: TextColumn, levels: list[str]) -> UserError:
        fits = self._fits(levels, is_date=False)
        bad = levels[0] if fits is None or fits.all() else levels[int((~fits).argmax())]
        return UserError(
            f"{self._where} does not hold numbers alone",
            found=self._first(raw, bad),
            hint="correct the values, or name them under 'missing' in the schema",
        )

    def _no_zone(self, error: NoZoneError) -> UserError:
        return UserError(
            f"{self._where} holds offsets from UTC that are those of no time zone",
            found=str(error).partition(": ")[2].rstrip("."),
            hint="write its moments in UTC with the offset in a column of its own, or leave it out: "
            + self._in_schema('"drop"'),
        )

    def _refuse_other_dates(self, raw: TextColumn, levels: list[str]) -> None:
        """Refuse dates of which some are none, or are in another format."""
        most = most_fit(levels)
        if most is None or most.fits.sum() < DATES_NEEDED or most.fits.all():
            return
        bad = [level for level, fits in zip(levels, most.fits, strict=True) if not fits]
        entry = json.dumps({"kind": "date", "format": most.pattern, "invalid": "missing"}, ensure_ascii=False)
        missing = self._in_schema(entry)
        if self._are_mostly_dates(most):
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise UserError(
                f"{self._where} holds dates, and what is no date in {most.pattern}",
                found=self._first(raw, bad[0]) + more,
                hint=f"correct it, or take it as missing with a {parameter('schema')} file: {missing}",
            )
        if most.other and most.together >= MIXED_SHARE * len(levels):
            raise UserError(
                f"{self._where} holds dates in two formats",
                found=f"{most.pattern} and {most.other}, such as {self._first(raw, bad[0])}",
                hint=f"write them all in one, or take those in the second as missing with a "
                f"{parameter('schema')} file: {missing}",
            )

    def _refuse_other_units(self, raw: TextColumn, levels: list[str], count: int) -> None:
        """Refuse numbers in different units that would be left out as text."""
        units = different_units(levels)
        if units is None or count < FEW_ROWS or len(levels) <= DISTINCT_SHARE * count:
            return
        raise UserError(
            f"{self._where} holds numbers in different units",
            found=f"{self._first(raw, units.first)}, {self._first(raw, units.other)}",
            hint="put the unit into a column of its own, or leave it out: " + self._in_schema('"drop"'),
        )

    def _infinite(self, text: str, row: int) -> UserError:
        return UserError(
            f"{self._where} holds infinite values",
            found=f"'{text}', the first in {self._table.row_name(row)}",
            hint=f"correct them, or name them as missing in a {parameter('schema')} file: "
            + self._in_schema(json.dumps({"kind": "number", "missing": [text]})),
        )

    def _mixed(self, raw: TextColumn, levels: Sequence[str], numeric: NDArray[np.bool_]) -> UserError:
        text = levels[int((~numeric).argmax())]
        row = int((raw.codes == raw.levels.index(text)).argmax())
        if _INFINITE.fullmatch(text.strip()):
            return self._infinite(text, row)
        return UserError(
            f"{self._where} mixes numbers and text",
            found=self._first(raw, text),
            hint=f'correct it, name it under "missing", or make the column a category in a {parameter("schema")} file',
        )


def _within(values: Values, turn: tuple[float, float]) -> bool:
    slack = TURN_ROUNDING * (turn[1] - turn[0])
    return bool(values.min() >= turn[0] - slack and values.max() <= turn[1] + slack)


def _fills(values: Values, turn: tuple[float, float]) -> bool:
    """Whether as many values as of angles lie at both ends of a turn."""
    edge = TURN_EDGE * (turn[1] - turn[0])
    fewest = max(TURN_EDGE_ROWS, TURN_EDGE_SHARE * TURN_EDGE * len(values))
    return bool(min((values <= turn[0] + edge).sum(), (values >= turn[1] - edge).sum()) >= fewest)


def _is_row_number(values: Values) -> bool:
    """Whether whole numbers count the rows, from any first one, in the order of the table."""
    return len(values) >= FEW_ROWS and bool((np.diff(values) == 1).all())


def _typed_numbers(raw: TypedColumn, there: Values) -> NumberForm:
    if raw.whole:
        return NumberForm(0, 0, whole=True)
    if raw.places is None:
        return NumberForm(_decimals_of(there), 1)
    fits = (digits for digits in range(MOST_PLACES) if np.array_equal(there, np.round(there, digits)))
    return NumberForm(next(fits, MOST_PLACES), raw.places)


def _typed_dates(unit: int, zone: str) -> DateForm:
    if unit == MICROSECONDS["day"] and not zone:
        return DateForm("%Y-%m-%d", unit)
    fraction = {MICROSECONDS["microsecond"]: ".%f", MICROSECONDS["millisecond"]: ".%3f"}.get(unit, "")
    known = zone if not zone or zone_is_known(zone) else "UTC"
    unit = min(unit, MICROSECONDS["minute"])
    return DateForm(f"%Y-%m-%d %H:%M:%S{fraction}{'%:z' if zone else ''}", unit, zone=known)


def _in_order(levels: Sequence[str], codes: NDArray[np.int64]) -> list[str]:
    """Texts in the order of the table, as many as show whether they ascend."""
    return [levels[code] for code in codes[codes >= 0][:ORDER_ROWS].tolist()]


def _decimals_of(values: Values) -> int | None:
    fits = (digits for digits in range(MOST_DECIMALS + 1) if np.array_equal(values, np.round(values, digits)))
    return next(fits, None)


def _coarsest(values: Values, unit: int) -> tuple[int, Values]:
    for larger in MICROSECONDS.values():
        scaled = values * unit / larger
        if larger >= unit and np.array_equal(scaled, np.round(scaled), equal_nan=True):
            return larger, scaled
    return unit, values
