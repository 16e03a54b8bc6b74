"""Rules that hold in every row of a table, and would not by chance: proposed, never taken without being asked for."""

import re
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.formats import DateForm, LevelForm

Values = NDArray[np.float64]
FEWEST_ROWS = 50
CHANCE_SHARE, CHANCE_ROWS = 0.02, 10  # of shuffled rows that would break a rule, at least
FEWEST_DIFFERENT = 8  # values of a computed column
LOOKED_AT = 64  # rows in which a computed column is tried first
MOST_COLUMNS = 24
MOST_LEVELS = 20  # of a column that says where another is missing
NEVER_SHARE = 0.05  # of the rows that would have combinations that none has, were two columns independent
MOST_PROPOSED = 40


def proposed_rules(codec: TableCodec, rows: Values) -> list[dict[str, Any]]:
    """Texts of rules with the number of rows in which they say something.

    Args:
        codec: of the table.
        rows: (n, columns), all of them.
    """
    columns = {column.name: rows[:, index] for index, column in enumerate(codec.columns)}
    kinds = {column.name: column for column in codec.columns}
    amounts = [each.name for each in codec.columns if not isinstance(each.form, LevelForm)][:MOST_COLUMNS]
    levels = [each.name for each in codec.columns if isinstance(each.form, LevelForm)][:MOST_COLUMNS]
    found = list(_computed(amounts, columns, kinds))
    taken = {name for names, _, _ in found for name in names[:1]}
    found += list(_orders([name for name in amounts if name not in taken], columns, kinds))
    few = [each for each in amounts if len(np.unique(columns[each][~np.isnan(columns[each])])) <= MOST_LEVELS]
    found += [*_together(levels, few, columns), *_missing([*amounts, *levels], columns)]
    found += _missing_by_level([*amounts, *levels], levels, columns, kinds)
    known = set(codec.rules.texts) if codec.rules is not None else set()
    return [{"rule": text, "rows": count} for _, text, count in found if text not in known][:MOST_PROPOSED]


Found = Iterator[tuple[tuple[str, ...], str, int]]


def _orders(names: list[str], columns: Mapping[str, Values], kinds: Mapping[str, ColumnCodec]) -> Found:
    rng = np.random.default_rng(0)
    for one, other in combinations(names, 2):
        if isinstance(kinds[one].form, DateForm) != isinstance(kinds[other].form, DateForm):
            continue
        a, b = _worth(kinds[one], columns[one]), _worth(kinds[other], columns[other])
        there = ~(np.isnan(a) | np.isnan(b))
        a, b = a[there], b[there]
        if len(a) < FEWEST_ROWS or (a == b).all():
            continue
        for low, high, small, large in ((one, other, a, b), (other, one, b, a)):
            by_chance = (small > rng.permutation(large)).sum()
            if (small <= large).all() and by_chance >= max(CHANCE_ROWS, CHANCE_SHARE * len(a)):
                sign = "<" if (small < large).all() else "<="
                yield (low, high), f"{_name(low)} {sign} {_name(high)}", len(a)


def _computed(names: list[str], columns: Mapping[str, Values], kinds: Mapping[str, ColumnCodec]) -> Found:
    done: set[str] = set()
    numbers = [name for name in names if not isinstance(kinds[name].form, DateForm)]
    dates = [name for name in names if isinstance(kinds[name].form, DateForm) and not kinds[name].form.of_day]  # type: ignore[union-attr]
    worth = {name: _worth(kinds[name], columns[name]) for name in names}
    related: set[frozenset[str]] = set()
    for target, exact in [*((name, True) for name in numbers), *((name, False) for name in numbers)]:
        half = 0.0 if exact else _half_step(kinds[target])
        if target in done:
            continue
        own = worth[target]
        if len(np.unique(own[~np.isnan(own)])) < FEWEST_DIFFERENT:
            continue
        others = [name for name in numbers if name != target and name not in done]
        for used, text, value in _candidates(others, dates, worth, own):
            there = ~np.isnan(own)
            for name in used:
                there &= ~np.isnan(worth[name])
            some = np.flatnonzero(there)[:LOOKED_AT]
            if frozenset((target, *used)) in related:
                continue
            if there.sum() < FEWEST_ROWS or not _equal(value(some), own[some], half):
                continue
            rows = np.flatnonzero(there)
            if _equal(value(rows), own[rows], half):
                done.add(target)
                related.add(frozenset((target, *used)))
                yield (target, *used), f"{_name(target)} = {text}", len(rows)
                break


def _candidates(others: list[str], dates: list[str], worth: Mapping[str, Values], own: Values) -> Iterator[Any]:
    for a, b in combinations(dates, 2):
        yield (a, b), f"{_name(b)} - {_name(a)}", lambda rows, a=a, b=b: worth[b][rows] - worth[a][rows]
        yield (a, b), f"{_name(a)} - {_name(b)}", lambda rows, a=a, b=b: worth[a][rows] - worth[b][rows]
    for a in others:
        both = np.flatnonzero(~(np.isnan(worth[a]) | np.isnan(own)))[:1]
        for number in (own[both] + worth[a][both]).tolist():
            if number == round(number) and number:
                text = f"{round(number)} - {_name(a)}"
                yield (a,), text, lambda rows, a=a, number=number: number - worth[a][rows]
    for count in (3, 2):
        for used in combinations(others, count):
            text = " + ".join(map(_name, used))
            yield used, text, lambda rows, used=used: sum(worth[name][rows] for name in used)
    for a, b in combinations(others, 2):
        yield (a, b), f"{_name(a)} * {_name(b)}", lambda rows, a=a, b=b: worth[a][rows] * worth[b][rows]
    for a in others:
        for b in others:
            if a != b and not (worth[b] == 0).any():
                yield (a, b), f"{_name(a)} / {_name(b)}", lambda rows, a=a, b=b: worth[a][rows] / worth[b][rows]


def _equal(value: Values, own: Values, half: float) -> bool:
    return bool((np.abs(value - own) <= half * (1 + 1e-6) + 1e-9 * np.abs(own)).all())


def _half_step(column: ColumnCodec) -> float:
    decimals = getattr(column.form, "decimals", None)
    return 0.0 if decimals is None else 0.5 / 10.0**decimals


def _together(levels: list[str], few: list[str], columns: Mapping[str, Values]) -> Found:
    """Levels, and numbers of which there are few."""
    for one, other in [*combinations(levels, 2), *product(levels, few)]:
        pairs, counts = np.unique(
            np.nan_to_num(np.stack([columns[one], columns[other]], 1), nan=-1), axis=0, return_counts=True
        )
        wide = [len(np.unique(pairs[:, index])) for index in (0, 1)]
        if min(wide) < 2 or counts.sum() < max(FEWEST_ROWS, 10 * len(pairs)):
            continue
        # One tells the other, or combinations are never there that many rows would have by chance.
        if len(pairs) == max(wide) or _never_met(pairs, counts) >= max(CHANCE_ROWS, NEVER_SHARE * counts.sum()):
            yield (one, other), f"{_name(one)}, {_name(other)}", int(counts.sum())


def _never_met(pairs: Values, counts: NDArray[np.int64]) -> float:
    """How many rows would have those combinations that no row has, were the columns independent."""
    which = [np.unique(each, return_inverse=True)[1].ravel() for each in pairs.T]
    shares = [np.bincount(each, counts) / counts.sum() for each in which]
    expected = np.outer(*shares) * counts.sum()
    expected[which[0], which[1]] = 0
    return float(expected[expected >= CHANCE_ROWS].sum())


def _missing_by_level(
    names: list[str], levels: list[str], columns: Mapping[str, Values], kinds: Mapping[str, ColumnCodec]
) -> Found:
    """Columns that are missing in all rows of some levels of another, and in no other row."""
    for name in names:
        gone = np.isnan(columns[name])
        if min(gone.sum(), (~gone).sum()) < CHANCE_ROWS:
            continue
        for other in levels:
            codes, texts = columns[other], kinds[other].names
            if other == name or np.isnan(codes).any() or not 2 <= len(texts) <= MOST_LEVELS:
                continue
            shares = np.bincount(codes.astype(np.int64), gone, minlength=len(texts)) / np.maximum(
                np.bincount(codes.astype(np.int64), minlength=len(texts)), 1
            )
            chosen = [text for text, share in zip(texts, shares, strict=True) if share == 1]
            if np.isin(shares, (0, 1)).all() and not any("'" in text for text in chosen):
                quoted = [f"'{text}'" for text in chosen]
                test = f"== {quoted[0]}" if len(quoted) == 1 else f"in [{', '.join(quoted)}]"
                yield (name, other), f"{_name(name)} missing iff {_name(other)} {test}", len(gone)


def _missing(names: list[str], columns: Mapping[str, Values]) -> Found:
    for one, other in combinations(names, 2):
        gone = np.isnan(columns[one])
        if min(gone.sum(), (~gone).sum()) >= CHANCE_ROWS and (gone == np.isnan(columns[other])).all():
            yield (one, other), f"{_name(one)} missing iff {_name(other)} missing", len(gone)


def _worth(column: ColumnCodec, values: Values) -> Values:
    """Numbers; dates in days."""
    return values * (column.form.unit / 86_400_000_000) if isinstance(column.form, DateForm) else values


def _name(name: str) -> str:
    plain = re.fullmatch(r"[^\W\d][\w.]*", name) and name not in ("if", "iff", "and", "in", "not", "is", "missing")
    return name if plain else f"`{name}`"
