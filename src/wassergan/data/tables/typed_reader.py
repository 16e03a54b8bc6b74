"""Columns whose file says what they hold: numbers, dates and truths of a type."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from wassergan.data.tables.column import Column
from wassergan.data.tables.column_errors import DISTINCT_SHARE, MOST_LEVELS
from wassergan.data.tables.column_reader import ColumnReader, LeftOut, is_row_number
from wassergan.data.tables.columns import TypedColumn
from wassergan.data.tables.date_finding import zone_is_known
from wassergan.data.tables.formats import MICROSECONDS, DateForm, LevelForm, NumberForm, Values, rounded
from wassergan.data.tables.identifiers.recognise import key_of_numbers
from wassergan.data.tables.text_columns import dates_of
from wassergan.errors import UserError, parameter

CHUNK = 2**18  # values at a time
MOST_DECIMALS = 6
MOST_PLACES = 15  # of a type that says how many it has
WHOLE_DATES = (10**5, 10**14)  # whole numbers that may be dates such as 202405 or 20240519123000


class TypedReader(ColumnReader):
    """Reads a typed column."""

    def read(self, raw: TypedColumn) -> Column:
        """A column whose file says what it holds."""
        if np.isinf(raw.values).any():
            row = int(np.isinf(raw.values).argmax())
            raise UserError(
                f"{self._errors.where} holds infinite values", found=f"the first in {self._table.row_name(row)}"
            )
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
            raise self._errors.no_key(f"a {raw.kind}")
        if kind == "category":
            return self._levels_of(raw)
        if raw.exact is not None:
            return self._long_numbers(raw)
        if kind != raw.kind:
            raise UserError(f"{self._errors.where} is no {kind}", found=f"a {raw.kind}")
        if raw.kind == "boolean":
            form = LevelForm(("False", "True"), (False, True))
            return Column(self._name, "boolean", raw.values, form)
        if raw.kind == "date":
            unit, values = _coarsest(raw.values, raw.unit)
            form_of = _typed_dates(unit, raw.zone)
            return self._date(values * (unit // form_of.unit), form_of, "")
        if raw.whole and self._kind is None and is_row_number(there):
            raise LeftOut("it numbers the rows")
        return self._number(raw.values, _typed_numbers(raw, there), "NaN" if raw.nan else "")

    def _levels_of(self, raw: TypedColumn) -> Column:
        """A category of what a typed column holds, each level in the column's own type and form."""
        gone = np.isnan(raw.values)
        values = np.full(len(raw.values), np.nan)
        exact = raw.values if raw.exact is None else raw.exact
        found, values[~gone] = np.unique(exact[~gone], return_inverse=True)
        if len(found) > MOST_LEVELS:
            raise self._errors.too_many(len(found))
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
                f"{self._errors.where} holds whole numbers with more digits than can be learnt as quantities",
                found=f"{max(map(int, (there.min(), there.max())), key=abs)}",
                hint=f'make it a category in a {parameter("schema")} file, or leave it out: "drop"',
            )
        if len(np.unique(there)) > DISTINCT_SHARE * len(there):
            self._take_key(there, "its whole numbers are so long that they can only be identifiers", whole=True)
            raise LeftOut("its whole numbers are so long that they can only be identifiers")
        return self._levels_of(raw)

    def _whole_dates(self, values: Values) -> Column | None:
        """Whole numbers of a type that are dates: 20240519."""
        gone = np.isnan(values)
        if not (np.nanmin(values) >= WHOLE_DATES[0] and np.nanmax(values) < WHOLE_DATES[1]):
            return None
        numbers, index = np.unique(values[~gone], return_inverse=True)
        texts = [str(int(number)) for number in numbers]
        found = self._find(texts, dates_of)
        if found is None or not isinstance(found.form, DateForm):
            self._errors.refuse_other_whole_dates(texts, values)
            return None
        self.notes.extend(found.notes)
        dates = np.full(len(values), np.nan)
        dates[~gone] = found.values[index]
        return self._date(dates, replace(found.form, whole=True), "")


def _typed_numbers(raw: TypedColumn, there: Values) -> NumberForm:
    if raw.whole:
        return NumberForm(0, 0, whole=True)
    if raw.places is None:
        return NumberForm(_decimals_of(there), 1)
    fits = (digits for digits in range(MOST_PLACES) if np.array_equal(there, rounded(there, digits)))
    return NumberForm(next(fits, MOST_PLACES), raw.places)


def _typed_dates(unit: int, zone: str) -> DateForm:
    if unit == MICROSECONDS["day"] and not zone:
        return DateForm("%Y-%m-%d", unit)
    fraction = {MICROSECONDS["microsecond"]: ".%f", MICROSECONDS["millisecond"]: ".%3f"}.get(unit, "")
    known = zone if not zone or zone_is_known(zone) else "UTC"
    unit = min(unit, MICROSECONDS["minute"])
    return DateForm(f"%Y-%m-%d %H:%M:%S{fraction}{'%:z' if zone else ''}", unit, zone=known)


def _decimals_of(values: Values) -> int | None:
    some = values[:1000]  # tell most of what does not fit
    fits = (digits for digits in range(MOST_DECIMALS + 1) if all(_fits(each, digits) for each in (some, values)))
    return next(fits, None)


def _fits(values: Values, digits: int) -> bool:
    return np.array_equal(values, rounded(values, digits))


def _coarsest(values: Values, unit: int) -> tuple[int, Values]:
    for larger in MICROSECONDS.values():
        if larger >= unit and all(_are_whole(part * unit / larger) for part in _parts(values)):
            return larger, values * unit / larger
    return unit, values


def _are_whole(values: Values) -> bool:
    return np.array_equal(values, np.round(values), equal_nan=True)


def _parts(values: Values) -> Iterator[Values]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
