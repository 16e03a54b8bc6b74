"""From the rules of a schema and the columns of a table to a book of rules, checked against the data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.encodings import CategoryCoding, NumberCoding
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm
from wassergan.data.tables.rules.book import RuleBook, Slot, computed_value, passes
from wassergan.data.tables.rules.component import Component, Constraint
from wassergan.data.tables.rules.expression import Linear, Values
from wassergan.data.tables.rules.grammar import Rule, Test, parse_rules
from wassergan.data.tables.rules.groups import Group, Mask
from wassergan.data.tables.rules.integers import Contradiction, TooMany
from wassergan.data.tables.rules.lattice import HALVES, MOST_DECIMALS, Lattice, lattice_of
from wassergan.data.tables.rules.lattice import LARGEST as LARGEST_WHOLE
from wassergan.data.tables.rules.plan import form_of
from wassergan.errors import UserError, parameter, unknown_name

MOST_TOGETHER = 100_000  # combinations of levels
LARGEST_FACTOR = 10**6
LARGEST = 2**60  # of a sum of whole numbers
SHOWN = 3
ROUGH = 1e-8  # relative, of numbers without fixed decimals
Train = NDArray[np.int64]


def book_of(
    texts: Sequence[str],
    columns: Sequence[Column],
    table: RawTable,
    *,
    train: Train,
    given: Sequence[str],
    weights: Values | None = None,
) -> tuple[RuleBook, tuple[Column, ...]]:
    """The book of a table's rules, and its columns, of which computed ones may have more decimals than they showed.

    Args:
        texts: as in the schema.
        columns: that are learnt.
        table: where they stand.
        train: numbers of the training rows.
        given: names of conditions.
        weights: of all rows; None for one each.

    Raises:
        UserError: a rule cannot be read, names no column or one of another kind, does not hold, or cannot be kept.
    """
    return _Compiler(parse_rules(texts), tuple(texts), columns, table, train, tuple(given), weights).book()


def broken_rows(rule: Rule, columns: Mapping[str, Column], lattices: Mapping[str, Lattice]) -> Mask:
    """In which rows a rule does not hold. A rule about numbers says nothing of rows that lack one of them."""
    values = {name: column.values for name, column in columns.items()}
    levels = {name: levels_of(column) for name, column in columns.items()}
    applies = np.ones(len(next(iter(values.values()))), bool)
    for test in rule.only_if:
        applies &= passes(test, values[test.name], levels[test.name])
    if rule.kind == "together":
        return ~np.ones(len(applies), bool)
    if rule.test is not None:
        met = passes(rule.test, values[rule.test.name], levels[rule.test.name])
        if rule.kind == "set":
            return applies & ~met & ~np.isnan(values[rule.test.name])
        return (applies != met) if rule.both else applies & ~met
    assert rule.left is not None and rule.right is not None
    names = [name for name in rule.columns if name in lattices]
    used = [*rule.left.names, *rule.right.names]
    applies &= ~np.any([np.isnan(values[name]) for name in used], axis=0)
    form = form_of(rule)
    if form is None or (rule.kind == "computed" and not _is_exact(form, rule.left.name, lattices)):
        return applies & ~_rounds(rule, values, lattices)
    constraint = Constraint(rule.text, form, rule.kind == "computed", rule.strict and rule.kind == "order")
    part = Component(tuple(names), lattices, (constraint,))
    wholes = np.stack([lattices[name].wholes(values[name]) for name in names], axis=1)
    left = part.wholes[0].at(wholes)
    wrong: Mask = left != 0 if constraint.equal else left < 0
    if any(lattices[name].rough for name in used):
        scale = np.max([np.abs(np.nan_to_num(values[name])) * float(lattices[name].worth) for name in used], axis=0)
        sides = [
            side.value({name: values[name] * float(lattices[name].worth) for name in used})
            for side in (rule.left, rule.right)
        ]
        apart = sides[1] - sides[0]
        wrong = np.abs(apart) > ROUGH * scale if constraint.equal else apart < 0
        if constraint.strict:
            wrong |= apart == 0
    return applies & wrong


def levels_of(column: Column) -> dict[str, float]:
    """What texts of a condition stand for, as values of the column."""
    if isinstance(column.form, LevelForm):
        found = {text: float(number) for number, text in enumerate(column.form.levels)}
        if column.kind == "boolean":
            found |= {text.lower(): number for text, number in found.items()} | {
                text.capitalize(): number for text, number in found.items()
            }
        return found
    if isinstance(column.form, NumberForm):
        distinct = np.unique(column.values[~np.isnan(column.values)])
        if len(distinct) <= MOST_TOGETHER:
            texts = column.form.texts(distinct)
            plain = {
                str(int(value)) if value == int(value) else repr(value): float(value) for value in distinct.tolist()
            }
            return plain | dict(zip(texts, distinct.tolist(), strict=True))
    if isinstance(column.form, DateForm):
        distinct = np.unique(column.values[~np.isnan(column.values)])
        if len(distinct) <= MOST_TOGETHER:
            return dict(zip(column.form.texts(distinct), distinct.tolist(), strict=True))
    return {}


def _is_exact(form: Linear, target: str, lattices: Mapping[str, Lattice]) -> bool:
    """Whether all numbers that a sum gives are numbers of the column that it computes."""
    part = Component(tuple(form.factors), lattices, (Constraint("", form, equal=True),))
    whole = part.wholes[0]
    return whole.factors[part.names.index(target)] in (1, -1)


def _rounds(rule: Rule, values: Mapping[str, Values], lattices: Mapping[str, Lattice]) -> Mask:
    """Whether a computed column is what it should be, to half of its step."""
    assert rule.left is not None and rule.right is not None
    lattice, own = lattices[rule.left.name], values[rule.left.name]
    value = computed_value(rule.right, rule.left.name, values, lattices)
    half = 0.5 * lattice.step / 10.0**lattice.decimals * (1 + 1e-6)
    if lattice.rough:
        half += ROUGH
    with np.errstate(invalid="ignore"):
        near: Mask = np.abs(value - own) <= half + 1e-9 * np.abs(own)
    return near


class _Compiler:
    def __init__(
        self,
        rules: tuple[Rule, ...],
        texts: tuple[str, ...],
        columns: Sequence[Column],
        table: RawTable,
        train: Train,
        given: tuple[str, ...],
        weights: Values | None,
    ) -> None:
        self._weights = weights
        self._rules, self._texts, self._table, self._train, self._given = rules, texts, table, train, given
        self._columns = {column.name: column for column in columns}
        self._check_columns()
        arithmetic = {name for rule in rules for side in (rule.left, rule.right) if side for name in side.names}
        self._lattices = {name: self._lattice(name) for name in self._columns if name in arithmetic}
        self._rounded: list[str] = []
        self._halves: dict[str, str] = {}
        for rule in rules:
            self._check(rule)

    def book(self) -> tuple[RuleBook, tuple[Column, ...]]:
        levels = {
            test.name: levels_of(self._columns[test.name])
            for rule in self._rules
            for test in (*rule.only_if, *([rule.test] if rule.test else []))
        }
        values = {name: column.values for name, column in self._columns.items()}
        groups = tuple(Group.fit(facets, values, self._train, self._weights) for facets in self._facets())
        for group in groups:
            self._check_group(group)
        book = RuleBook(
            texts=self._texts,
            order=tuple(self._columns),
            given=self._given,
            levels={
                name: {text: value for text, value in each.items() if text in self._named(name)}
                for name, each in levels.items()
            },
            lattices=self._lattices,
            groups=groups,
            slots=(),
            typical={name: self._typical(column) for name, column in self._columns.items()},
            known={},
            nullable=tuple(name for name, column in self._columns.items() if np.isnan(column.values).any()),
            rounded=tuple(self._rounded),
            halves=self._halves,
        )
        try:
            _ = book.stages
        except ValueError as error:
            raise UserError(
                "The rules compute columns in a circle", found=str(error), hint="leave one of these rules out"
            ) from error
        self._check_plans(book)
        self._check_given(book)
        book = replace(book, known=self._known(book))
        return replace(book, slots=tuple(self._slots(book))), tuple(self._columns.values())

    def _named(self, name: str) -> set[str]:
        tests = [test for rule in self._rules for test in (*rule.only_if, *([rule.test] if rule.test else []))]
        return {text for test in tests if test.name == name for text in test.values}

    def _check_columns(self) -> None:
        for rule in self._rules:
            for name in rule.columns:
                if name not in self._columns:
                    raise unknown_name(f"column in the rule '{rule.text}'", name, tuple(self._columns))
            for side in (rule.left, rule.right):
                for name in side.names if side else ():
                    if isinstance(self._columns[name].form, LevelForm):
                        raise UserError(
                            f"The rule '{rule.text}' calculates with column {name}",
                            found=f"a {self._columns[name].kind}",
                            hint="name columns of numbers or dates",
                        )
            for test in (*rule.only_if, *([rule.test] if rule.test else [])):
                known = levels_of(self._columns[test.name])
                for text in test.values:
                    if text not in known:
                        raise unknown_name(f"level of {test.name} in the rule '{rule.text}'", text, tuple(known))

    def _lattice(self, name: str) -> Lattice:
        column = self._columns[name]
        assert not isinstance(column.form, LevelForm)
        there = column.values[self._train]
        there = there[~np.isnan(there)]
        if len(there) == 0:
            raise UserError(
                f"Column {name} has values in held-out rows alone",
                hint=f"leave it out with a {parameter('schema')} file",
            )
        low = float(there.min()) if column.low is None else column.low
        high = float(there.max()) if column.high is None else column.high
        return lattice_of(column.form, column.values[~np.isnan(column.values)], low, high)

    def _check(self, rule: Rule) -> None:
        form = form_of(rule)
        if form is not None and not form.factors:
            raise UserError(f"The rule '{rule.text}' names no column", hint="leave it out")
        if rule.kind == "computed":
            self._check_computed(rule)
        for name in [name for name in rule.columns if name in self._lattices]:
            self._check_digits(rule, name)
        wrong = broken_rows(rule, self._columns, self._lattices)
        if wrong.any():
            rows = np.flatnonzero(wrong)
            places = ", ".join(self._table.row_name(int(row)) for row in rows[:SHOWN])
            raise UserError(
                f"The rule '{rule.text}' does not hold in {self._table.name}",
                found=f"{len(rows)} of {len(wrong)} rows break it, the first in {places}",
                hint="correct the rows, or leave the rule out",
            )

    def _check_computed(self, rule: Rule) -> None:
        """Decide whether a column is computed exactly or rounded; one that is exact gets the decimals that it needs."""
        assert rule.left is not None
        form, name = form_of(rule), rule.left.name
        if form is not None and _is_exact(form, name, self._lattices):
            return
        if form is not None and self._taken(rule, self._finer(form, name)):
            return
        # To its last decimal, if the data allow it; else to a step that its values share.
        own = self._lattices[name]
        if own.step != 1:
            ends = (float(own.values(np.array([each]))[0]) for each in (own.low, own.high))
            self._taken(rule, replace(own, step=1, offset=0).between(*ends))
        self._rounded.append(rule.text)
        self._halves[rule.text] = self._best_halves(rule)

    def _taken(self, rule: Rule, lattice: Lattice | None) -> bool:
        """Whether a computed column has another lattice from now on, because the rule holds on it, too."""
        assert rule.left is not None
        name = rule.left.name
        if lattice is None or broken_rows(rule, self._columns, {**self._lattices, name: lattice}).any():
            return False
        self._lattices[name] = lattice
        self._columns[name] = _with_lattice(self._columns[name], lattice)
        return True

    def _best_halves(self, rule: Rule) -> str:
        """How most of the rows round what is half way between two values."""
        assert rule.left is not None and rule.right is not None
        lattice, own = self._lattices[rule.left.name], self._columns[rule.left.name].values
        values = {name: self._columns[name].values for name in rule.right.names}
        value = computed_value(rule.right, rule.left.name, values, self._lattices)
        there = np.isfinite(value) & ~np.isnan(own)
        near = lattice.wholes(own[there])
        return min(HALVES, key=lambda halves: int((lattice.wholes(value[there], halves) != near).sum()))

    def _check_digits(self, rule: Rule, name: str) -> None:
        """Refuse numbers of which float64 does not hold all digits."""
        lattice, values = self._lattices[name], self._columns[name].values
        largest = np.abs(values[~np.isnan(values)]).max(initial=0.0) * 10.0**lattice.decimals
        if largest > LARGEST_WHOLE and not lattice.rough:
            raise UserError(
                f"The rule '{rule.text}' cannot be kept exactly",
                found=f"column {name} holds numbers of more than 15 digits",
                hint="subtract what they have in common, or leave the rule out",
            )

    def _finer(self, form: Linear, name: str) -> Lattice | None:
        """The lattice of a computed column with all numbers that a sum may give."""
        own = self._lattices[name]
        for decimals in range(own.decimals, MOST_DECIMALS + 1) if not own.unit else [0]:
            ratio = 10 ** (decimals - own.decimals)
            low, high = (own.offset + own.step * each for each in (own.low, own.high))
            finer = Lattice(decimals, 1, 0, own.unit, own.rough, low * ratio, high * ratio)
            if _is_exact(form, name, {**self._lattices, name: finer}):
                return finer
        return None

    def _facets(self) -> list[tuple[tuple[str, bool], ...]]:
        """Columns, or whether they are missing, that go together."""
        sets: list[set[tuple[str, bool]]] = []
        for rule in self._rules:
            facets = {(name, False) for name in rule.names}
            if rule.test is not None:
                facets.add((rule.test.name, rule.test.missing))
            if rule.kind in ("set", "missing"):
                facets |= {(test.name, test.missing) for test in rule.only_if}
            sets.append(facets)
        sets += self._tied()
        merged: list[set[tuple[str, bool]]] = []
        for facets in sets:
            if not facets:
                continue
            names = {name for name, _ in facets}
            for other in [other for other in merged if names & {name for name, _ in other}]:
                merged.remove(other)
                facets = facets | other
                names |= {name for name, _ in other}
            merged.append(facets)
        kept = [{each for each in facets if not (each[1] and (each[0], False) in facets)} for facets in merged]
        return [tuple(sorted(facets, key=lambda each: list(self._columns).index(each[0]))) for facets in kept]

    def _tied(self) -> list[set[tuple[str, bool]]]:
        """Conditions on which the same columns of numbers hang."""
        parts: list[tuple[set[str], set[tuple[str, bool]]]] = []
        for rule in self._rules:
            if rule.kind not in ("order", "computed"):
                continue
            assert rule.left is not None and rule.right is not None
            names = {*rule.left.names, *rule.right.names}
            tests = {(test.name, test.missing) for test in rule.only_if}
            for part in [part for part in parts if part[0] & names]:
                parts.remove(part)
                names, tests = names | part[0], tests | part[1]
            parts.append((names, tests))
        return [tests for _, tests in parts]

    def _check_group(self, group: Group) -> None:
        if len(group.table) > MOST_TOGETHER:
            raise UserError(
                f"Columns {', '.join(name for name, _ in group.facets)} have too many combinations",
                found=f"{len(group.table)}, of at most {MOST_TOGETHER}",
                hint="leave a column out of the rule",
            )

    def _check_plans(self, book: RuleBook) -> None:
        """See that the rules can be kept for whatever conditions are met together."""
        values = {name: column.values for name, column in self._columns.items()}
        patterns = np.unique(book.active(values), axis=0)
        rounded = [each.name for each in book.computed]
        for stage in book.stages:
            if not isinstance(stage, Component):
                continue
            self._check_size(stage)
            for pattern in patterns:
                try:
                    stage.plan([*self._given, *book.fixed, *rounded], pattern.tolist(), [True] * len(stage.names))
                except Contradiction as error:
                    raise self._clash(stage, "contradict each other") from error
                except TooMany as error:
                    raise self._clash(stage, "cannot be kept exactly together") from error

    def _check_size(self, stage: Component) -> None:
        for whole in stage.wholes:
            largest = abs(whole.constant)
            for index, factor in whole.factors.items():
                lattice = stage.lattices[stage.names[index]]
                largest += abs(factor) * (max(abs(lattice.low), abs(lattice.high)) + 1)
            if largest > LARGEST:
                raise self._clash(stage, "lead to numbers that are too large to be exact")

    def _clash(self, stage: Component, what: str) -> UserError:
        texts = dict.fromkeys(each.text for each in stage.constraints)
        given = [name for name in stage.names if name in self._given]
        under = f" under the {'conditions' if len(given) > 1 else 'condition'} {', '.join(given)}" if given else ""
        return UserError(f"The rules {what}{under}", found="; ".join(texts), hint="leave one of them out")

    def _check_given(self, book: RuleBook) -> None:
        for each in book.computed:
            if each.name in self._given and not set(each.tree.names) <= set(self._given):
                raise UserError(
                    f"Column {each.name} is no condition: the rule '{each.text}' computes it",
                    hint=f"condition on {' and '.join(each.tree.names)}",
                )

    def _typical(self, column: Column) -> float:
        there = column.values[self._train]
        there = there[~np.isnan(there)]
        if len(there) == 0:
            return 0.0
        if isinstance(column.form, LevelForm):
            return float(np.bincount(there.astype(np.int64)).argmax())
        return float(np.quantile(there, 0.5, method="nearest"))

    def _known(self, book: RuleBook) -> dict[str, float]:
        """A training row in whose columns of numbers nothing is missing, near the middle of them all."""
        names = [name for name in book.order if name in self._lattices]
        if not book.computed:
            return {}
        rows = np.stack([self._columns[name].values[self._train] for name in names], axis=1)
        rows = rows[~np.isnan(rows).any(1)]
        if len(rows) == 0:
            return {name: book.typical[name] for name in names}
        middle, spread = np.median(rows, axis=0), rows.std(0) + 1e-12
        nearest = rows[(np.abs(rows - middle) / spread).sum(1).argmin()]
        return dict(zip(names, nearest.tolist(), strict=True))

    def _slots(self, book: RuleBook) -> list[Slot]:
        """What has a place in model space, each where the first of its columns stands."""
        values = {name: column.values for name, column in self._columns.items()}
        missing = {name for group in book.groups for name, is_told in group.facets if is_told}
        bare = {name for name, others in book.determined.items() if self._is_implied(name, others)}
        slots, done = [], set(self._given) | bare
        for name, column in self._columns.items():
            if name in done:
                continue
            number = next((n for n, each in enumerate(book.groups) if (name, False) in each.facets), None)
            if number is None:
                slots.append(Slot((name,), self._coding(book, column, told=name in missing)))
                continue
            members = tuple(each for each, is_told in book.groups[number].facets if not is_told)
            done |= set(members)
            slots.append(self._group_slot(book, number, members, values))
        for number, group in enumerate(book.groups):  # of what is missing alone
            if not any(number == slot.group for slot in slots) and not {name for name, _ in group.facets} <= set(
                self._given
            ):
                slots.append(self._group_slot(book, number, tuple(name for name, _ in group.facets), values))
        return slots

    def _group_slot(self, book: RuleBook, number: int, members: tuple[str, ...], values: Mapping[str, Values]) -> Slot:
        told = book.groups[number].number(values)[self._train]
        coding = CategoryCoding.fit(told, levels=len(book.groups[number].table), missing=False)
        return Slot(members, coding, number)

    def _coding(self, book: RuleBook, column: Column, *, told: bool) -> NumberCoding | CategoryCoding:
        part = {name: each.values[self._train] for name, each in self._columns.items()}
        missing = bool(np.isnan(column.values).any()) and not told
        values = book.counted(column.name, part)
        if told:
            one = {name: np.array([value]) for name, value in book.typical.items()}
            values = np.where(np.isnan(values), book.counted(column.name, one), values)
        if isinstance(column.form, LevelForm):
            return CategoryCoding.fit(values, levels=len(column.form.levels), missing=missing)
        if column.name in book.bases:
            return NumberCoding.fit(values, missing=missing)
        return NumberCoding.fit(values, missing=missing, low=column.low, high=column.high, turn=column.turn)

    def _is_implied(self, name: str, others: Sequence[str]) -> bool:
        """Whether a computed column is missing just where one of those that it is computed from is."""
        gone = np.any([np.isnan(self._columns[other].values) for other in others], axis=0)
        return bool((np.isnan(self._columns[name].values) == gone).all())


def _with_lattice(column: Column, lattice: Lattice) -> Column:
    form: Any = column.form
    changes: dict[str, Any] = {"grid": None} if hasattr(form, "grid") else {}
    if isinstance(form, NumberForm):
        changes["decimals"] = lattice.decimals
    return replace(column, form=replace(form, **changes))


def tests_of(rule: Rule) -> tuple[Test, ...]:
    """All tests of a rule."""
    return (*rule.only_if, *([rule.test] if rule.test else []))
