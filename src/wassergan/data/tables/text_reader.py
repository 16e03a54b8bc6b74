"""Columns of text: what their different texts are, numbers, dates, levels, identifiers or free text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.column import Column
from wassergan.data.tables.column_errors import DISTINCT_SHARE, FEW_ROWS, INFINITE, MIXED_SHARE, MOST_LEVELS
from wassergan.data.tables.column_reader import ColumnReader, LeftOut, is_row_number
from wassergan.data.tables.columns import TextColumn
from wassergan.data.tables.date_finding import NoZoneError, most_fit
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm
from wassergan.data.tables.identifiers.recognise import key_of_numbers, key_of_texts
from wassergan.data.tables.text_columns import (
    Found,
    are_codes,
    dates_of,
    numbers_of,
    numeric_levels,
)
from wassergan.errors import UserError

LARGEST_WHOLE = 2**53  # whole numbers up to here are exact in float64
BAD_SHOWN = 3
ORDER_ROWS = 2000
BOOLEANS = ({"true", "false"},)
LONG_TEXT = 60  # mean length of a free text's levels
DAY = re.compile(r"\s*(?:\d{4}([-./ ])\d{1,2}\1\d{1,2}|\d{1,2}([-./ ])\d{1,2}\2(?:\d{4}|\d\d))\s*")
DIGITS = re.compile(r"\d+")


class TextReader(ColumnReader):
    """Reads a column of text."""

    def read(self, raw: TextColumn) -> Column:
        """A column of text, by its different texts."""
        if any(level.strip() in self._marks - self._missing for level in raw.levels):
            try:
                found = self._text(raw, self._marks)
            except (UserError, LeftOut):
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
        self._errors.refuse_other_dates(raw, levels)
        ways = _ways_of_dates(levels) if count >= FEW_ROWS and len(levels) > DISTINCT_SHARE * count else []
        if len(ways) > 1:
            shown = ", ".join(map(repr, ways[:BAD_SHOWN]))
            raise LeftOut(
                f"it holds dates written in {len(ways)} ways ({shown}); write them in one to have them learnt"
            )
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
        infinite = np.array([INFINITE.fullmatch(level.strip()) is not None for level in levels], bool)
        if infinite.any() and numeric.any() and (numeric | infinite).all():
            raise self._errors.mixed(raw, levels, ~infinite)
        if counts[numeric].sum() > MIXED_SHARE * counts.sum() and numeric.sum() > FEW_ROWS:
            raise self._errors.mixed(raw, levels, numeric)
        self._errors.refuse_other_units(raw, levels, count)
        self._leave_out_text(levels, count, token, len(codes))
        return self._category(levels, codes, token, own)

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
            raise self._errors.no_zone(error) from error
        if found is None and self._wish.invalid == "missing":
            return self._without_invalid(raw, levels, codes, token, finder)
        if found is None:
            fits = self._fits(levels, is_date=finder is dates_of)
            raise (self._errors.no_date if finder is dates_of else self._errors.no_number)(raw, levels, fits)
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
            raise (
                self._errors.no_date(raw, levels, fits)
                if finder is dates_of
                else self._errors.no_number(raw, levels, fits)
            )
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
            raise self._errors.no_zone(error) from error
        return reading

    def _date_column(self, found: Found, codes: NDArray[np.int64], token: str) -> Column:
        assert isinstance(found.form, DateForm)
        self.notes.extend(found.notes)
        return self._date(np.append(found.values, np.nan)[codes], found.form, token)

    def _numbers(
        self, levels: list[str], codes: NDArray[np.int64], token: str, found: Found, *, required: bool = False
    ) -> Column:
        numbers, form = found.values, found.form
        assert isinstance(form, NumberForm)
        if not np.isfinite(numbers).all():
            index = int((~np.isfinite(numbers[codes]) & (codes >= 0)).argmax())
            raise self._errors.infinite(levels[codes[index]], index)
        whole = form.whole
        if whole and not required and form.dress.is_plain:
            self._take_whole_texts(levels, codes, token)
        if whole and np.abs(numbers).max() > LARGEST_WHOLE and form.texts(numbers) != levels:
            if len(levels) > DISTINCT_SHARE * (codes >= 0).sum():
                why = "its whole numbers are so long that they can only be identifiers"
                self._take_key(levels, why, token=token, missing=float((codes < 0).mean()))
            return self._category(levels, codes, token, ())
        values = np.append(numbers, np.nan)[codes]
        if whole and not required and form.dress.is_plain and is_row_number(values[codes >= 0]):
            raise LeftOut("it numbers the rows")
        self.notes.extend(found.notes)
        return self._number(values, form, token)

    def _booleans(self, levels: list[str], codes: NDArray[np.int64], token: str) -> Column:
        order = sorted(levels, key=str.lower)
        values = np.append([float(order.index(level)) for level in levels], np.nan)[codes]
        return Column(self._name, "boolean", values, LevelForm(tuple(order), (False, True)), missing=token)

    def _category(
        self, levels: list[str], codes: NDArray[np.int64], token: str, own: tuple[object, ...], *, ordered: bool = False
    ) -> Column:
        if len(levels) > MOST_LEVELS:
            raise self._errors.too_many(len(levels))
        order = list(range(len(levels))) if ordered else sorted(range(len(levels)), key=levels.__getitem__)
        rank = np.empty(len(levels) + 1, np.float64)
        rank[order], rank[-1] = np.arange(len(levels)), np.nan
        form = LevelForm(tuple(levels[i] for i in order), tuple(own[i] for i in order) if own else ())
        return Column(self._name, "category", rank[codes], form, missing=token)

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

    def _leave_out_text(self, levels: list[str], count: int, token: str, rows: int) -> None:
        if count < FEW_ROWS or self._wish.kind is not None:
            return
        self._take_key(levels, key_of_texts(self._name, levels, count), token=token, missing=1 - count / rows)
        length = sum(map(len, levels)) / len(levels)
        if len(levels) == count:
            raise LeftOut("every row has another text, so it is an identifier or free text")
        if len(levels) > DISTINCT_SHARE * count or (length > LONG_TEXT and len(levels) > FEW_ROWS):
            raise LeftOut(f"it is free text ({len(levels)} different ones in {count} rows, {length:.0f} letters each)")


def _ways_of_dates(levels: Sequence[str]) -> list[str]:
    """The first text of each way in which days, months and years are written; none if some texts are no dates."""
    if not all(map(DAY.fullmatch, levels)):
        return []
    ways: dict[str, str] = {}
    for level in levels:
        ways.setdefault(DIGITS.sub(lambda found: "9" if len(found[0]) < 3 else "9999", level.strip()), level)
    return list(ways.values())


def _in_order(levels: Sequence[str], codes: NDArray[np.int64]) -> list[str]:
    """Texts in the order of the table, as many as show whether they ascend."""
    return [levels[code] for code in codes[codes >= 0][:ORDER_ROWS].tolist()]
