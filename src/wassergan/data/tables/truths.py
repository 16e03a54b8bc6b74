"""Truth values that two tables write each in its own way: True and False, yes and no, 1 and 0."""

from dataclasses import replace

import numpy as np

from wassergan.data.tables.column import Column
from wassergan.data.tables.formats import LevelForm, NumberForm

PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
_FORM = LevelForm(("False", "True"), (False, True))


def truths_of(a: Column, b: Column) -> tuple[Column, Column] | None:
    """Both columns as truth values where that is what they hold, in two spellings; None elsewhere.

    One of them must show both values, so that nobody has to guess what a lone `t` or `0` is.
    """
    texts = [_spelt(each) for each in (a, b)]
    numbers = [isinstance(each.form, NumberForm) for each in (a, b)]
    if _written(a) == _written(b) or all(numbers) or not any(map(_is_pair, texts)):
        return None
    if not all(_is_word(text) for own in texts for text in own):
        return None
    return _read(a), _read(b)


def _spelt(column: Column) -> frozenset[str]:
    """What the values that occur are written as."""
    there = column.values[~np.isnan(column.values)]
    if isinstance(column.form, LevelForm):
        return frozenset(text.lower().strip() for text in _written(column))
    if isinstance(column.form, NumberForm) and np.isin(there, (0, 1)).all():
        return frozenset(f"{value:g}" for value in np.unique(there))
    return frozenset({"neither"})


def _written(column: Column) -> list[str]:
    return sorted(column.form.texts(np.unique(column.values[~np.isnan(column.values)])))


def _is_word(text: str) -> bool:
    return any(text in pair for pair in PAIRS)


def _is_pair(texts: frozenset[str]) -> bool:
    return any(texts == set(pair) for pair in PAIRS)


def _read(column: Column) -> Column:
    values = column.values
    if isinstance(column.form, LevelForm):
        true = [text.lower().strip() in {pair[1] for pair in PAIRS} for text in column.form.levels]
        places = np.array([*true, np.nan])
        values = places[np.where(np.isnan(values), len(true), values).astype(np.int64)]
    return replace(column, kind="boolean", values=values, form=_FORM)
