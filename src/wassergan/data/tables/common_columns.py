"""A column of two tables, each read by itself, in one unit or with one list of levels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wassergan.data.tables.column import Column
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm, Values

SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND


@dataclass(frozen=True)
class CommonColumn:
    """A column of both tables.

    Args:
        name: of the column.
        kind: `number`, `date` or `category`.
        x: (n,) values in the first table: numbers, days or seconds, level numbers; NaN where missing.
        y: (m,) values in the second.
        unit: `days` or `seconds` of dates; else empty.
        levels: of a category, those of both tables.
    """

    name: str
    kind: str
    x: Values
    y: Values
    unit: str = ""
    levels: tuple[str, ...] = ()


def as_number(text: str) -> float | None:
    """The finite number that a text says, if it says one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def common_column(first: Column, a: Column, b: Column, *, typed: bool = False) -> CommonColumn:
    """A column of both, its levels matched by text and its dates in one unit."""
    if isinstance(a.form, DateForm) and isinstance(b.form, DateForm):
        unit = DAY if a.form.unit == b.form.unit == DAY else SECOND
        x, y = (each.values * (form.unit / unit) for each, form in ((a, a.form), (b, b.form)))
        return CommonColumn(first.name, "date", x, y, "days" if unit == DAY else "seconds")
    if isinstance(a.form, NumberForm) and isinstance(b.form, NumberForm):
        return CommonColumn(first.name, "number", a.values, b.values)
    return _levels_together(first.name, a, b, typed=typed)


def _levels_together(name: str, a: Column, b: Column, *, typed: bool) -> CommonColumn:
    levels = [_texts(each) for each in (a, b)]
    spelt: Callable[[str], Any] = str
    if "boolean" in (a.kind, b.kind):
        spelt = str.lower
    elif typed and _differ_in_writing(*levels):
        spelt = float
    numbers: dict[Any, int] = {}
    texts: list[str] = []
    renumbered = []
    for own in levels:
        codes = []
        for level in own:
            key = spelt(level)
            if key not in numbers:
                numbers[key] = len(numbers)
                texts.append(level)
            codes.append(float(numbers[key]))
        renumbered.append(np.array([*codes, np.nan]))
    x, y = (codes[np.where(np.isnan(each.values), len(codes) - 1, each.values).astype(np.int64)]
            for codes, each in zip(renumbered, _as_levels(a, b), strict=True))  # fmt: skip
    return CommonColumn(name, "category", x, y, "", tuple(texts))


def _texts(column: Column) -> tuple[str, ...]:
    """The levels; of numbers, how each is written."""
    if isinstance(column.form, LevelForm):
        return column.form.levels
    return tuple(column.form.texts(np.unique(column.values[~np.isnan(column.values)])))


def _as_levels(*columns: Column) -> list[Column]:
    """Numbers as places among those that occur."""
    found = []
    for column in columns:
        values = column.values
        if not isinstance(column.form, LevelForm):
            there = ~np.isnan(values)
            values = np.where(there, np.searchsorted(np.unique(values[there]), np.where(there, values, 0)), np.nan)
        found.append(replace(column, values=values))
    return found


def _differ_in_writing(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether levels are numbers that each file writes in its own way, such as 1 and 1.0."""
    numbers = [[as_number(level) for level in own] for own in (a, b)]
    if any(each is None for own in numbers for each in own) or set(a) & set(b):
        return False
    return all(len(set(own)) == len(own) for own in numbers) and bool(set(numbers[0]) & set(numbers[1]))
