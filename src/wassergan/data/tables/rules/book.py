"""The rules of a table, as they are kept: in a checkpoint, and in every row that is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wassergan.data.tables.encodings import CategoryCoding, NumberCoding, coding_from_state
from wassergan.data.tables.rules.component import Component
from wassergan.data.tables.rules.expression import Expression, Values
from wassergan.data.tables.rules.grammar import Test
from wassergan.data.tables.rules.groups import Group, Mask
from wassergan.data.tables.rules.lattice import HALVES, Lattice
from wassergan.data.tables.rules.plan import Computed, RulePlan
from wassergan.utils.column_layout import ColumnLayout

Columns = Mapping[str, Values]
TOLERANCE = 1e-9
TRIES = (0.5, 0.25, 0.0)  # of the way from a known row


class Slot(NamedTuple):
    """What has a place in model space.

    Args:
        names: of the columns that it tells of.
        coding: of what is told.
        group: number of the combinations that are told; -1 for a column.
    """

    names: tuple[str, ...]
    coding: NumberCoding | CategoryCoding
    group: int = -1

    @property
    def layout(self) -> ColumnLayout:
        """The layout in model space."""
        return self.coding.layout


@dataclass(frozen=True, kw_only=True)
class RuleBook(RulePlan):
    """Rules with all that they need to be kept, and to make rows obey them.

    Args:
        levels: column → text of a level → its number, of those that conditions name.
        slots: what has a place in model space.
        typical: of each column, a value to stand for a missing one.
        known: a row that obeys everything: where a computed column leaves its bounds, its inputs move towards it.
        nullable: columns that may be missing.
    """

    levels: Mapping[str, Mapping[str, float]]
    slots: tuple[Slot, ...]
    typical: Mapping[str, float]
    known: Mapping[str, float]
    nullable: tuple[str, ...] = ()

    def counted(self, name: str, columns: Columns) -> Values:
        """What the coding of a column is told: its value, or its distance from what it counts from."""
        values = columns[name]
        return values if name not in self.bases else self._sign(name) * (values - self._base(name, columns))

    def _sign(self, name: str) -> float:
        return 1.0 if self.bases[name][0].above else -1.0

    def _base(self, name: str, columns: Columns) -> Values:
        own = float(self.lattices[name].worth)
        bases = []
        for link in self.bases[name]:
            values = np.where(np.isnan(columns[link.base]), self.typical[link.base], columns[link.base])
            worth = float(self.lattices[link.base].worth)
            bases.append((values * worth + (link.gap if link.above else -link.gap)) / own)
        found: Values = np.maximum.reduce(bases) if self.bases[name][0].above else np.minimum.reduce(bases)
        return found

    def told(self, columns: Columns) -> list[Values]:
        """What is encoded, one array (n,) for each slot; NaN for a missing value, and for combinations that are new."""
        told_missing = {name for group in self.groups for name, missing in group.facets if missing}
        found = []
        for slot in self.slots:
            if slot.group >= 0:
                found.append(self.groups[slot.group].number(columns))
                continue
            (name,) = slot.names
            values = self.counted(name, columns)
            if name in told_missing:
                values = np.where(np.isnan(values), self._typical_count(name), values)
            found.append(values)
        return found

    def _typical_count(self, name: str) -> float:
        one = {other: np.array([value]) for other, value in self.typical.items()}
        return float(self.counted(name, one)[0])

    def rows(self, told: Sequence[Values], given: Columns, chances: Values) -> dict[str, Values]:
        """Columns (n,) that obey all rules, from what is decoded for each slot.

        Args:
            told: of each slot, (n,).
            given: the columns that are conditions.
            chances: (n, groups) in [0, 1), for what has to be drawn again.
        """
        count = len(told[0]) if told else len(chances)
        columns = {name: np.full(count, np.nan) for name in self.order} | dict(given)
        numbers = [np.full(count, np.nan) for _ in self.groups]
        for slot, values in zip(self.slots, told, strict=True):
            if slot.group >= 0:
                numbers[slot.group] = values
            elif slot.names[0] not in self.bases:
                columns[slot.names[0]] = values
        by_name = {slot.names[0]: values for slot, values in zip(self.slots, told, strict=True) if slot.group < 0}
        gone = self._apply_groups(columns, numbers, chances)
        for stage in self.stages:
            for name in stage.names if isinstance(stage, Component) else (stage.name,):
                if name in by_name and name in self.bases:
                    columns[name] = self._base(name, columns) + self._sign(name) * by_name[name]
                elif name in self.determined and name not in by_name and name not in given:
                    columns[name] = self._roughly(stage, name, columns)
                if name in gone:
                    columns[name] = np.where(gone[name], np.nan, columns[name])
        self._settle_missing(columns)
        self._settle_numbers(columns, self.given)
        return columns

    def settled(self, columns: Columns, fixed: Sequence[str], chances: Values) -> dict[str, Values]:
        """Columns like some, of which those that are fixed stay, that obey all rules."""
        found = {name: values.copy() for name, values in columns.items()}
        numbers = [group.number(found) for group in self.groups]
        self._apply_groups(found, numbers, chances, fixed=fixed)
        self._settle_missing(found, fixed)
        self._settle_numbers(found, fixed)
        return found

    def _apply_groups(
        self, columns: dict[str, Values], numbers: Sequence[Values], chances: Values, fixed: Sequence[str] | None = None
    ) -> dict[str, Mask]:
        """Set what groups tell; which columns are missing by one, and where."""
        gone: dict[str, Mask] = {}
        kept = self.given if fixed is None else fixed
        for index, (group, number) in enumerate(zip(self.groups, numbers, strict=True)):
            free = self._free(group, columns, kept)
            chosen = group.chosen(number, columns, kept, free, chances[:, index])
            lost = np.isnan(chosen)
            if lost.any():
                chosen[lost] = group.chosen(
                    number[lost], _part(columns, lost), (), free[:1] | True, chances[lost, index]
                )
            rows = group.rows[chosen.astype(np.int64)]
            for (name, missing), told in zip(group.facets, rows.T, strict=True):
                if name in kept:
                    continue
                if missing:
                    filled = np.where(np.isnan(columns[name]), self.typical[name], columns[name])
                    gone[name] = told > 0
                    columns[name] = np.where(gone[name], np.nan, filled)
                else:
                    columns[name] = told
        return gone

    def _free(self, group: Group, columns: Columns, kept: Sequence[str]) -> Mask:
        """Which combinations the numbers that are given leave open: (n, K), or (1, K) for all."""
        everything = np.ones((1, len(group.table)), bool)
        tests = {test.name for tests in self.conditions for test in tests}
        named = {name for name, _ in group.facets}
        stages = [each for each in self.stages if isinstance(each, Component) and set(each.names) & set(kept)]
        stages = [each for each in stages if any(constraint.number >= 0 for constraint in each.constraints)]
        if not tests & named or not stages:
            return everything
        told = {name: group.rows[:, index] for index, (name, missing) in enumerate(group.facets)}
        gone = {name for name, missing in group.facets if missing}
        told = {name: np.where(values > 0, np.nan, 0.0) if name in gone else values for name, values in told.items()}
        active = np.stack([self._meets(tests, told, len(group.table)) for tests in self.conditions], axis=1)
        count = len(next(iter(columns.values())))
        free, within = np.ones((count, len(group.table)), bool), np.ones((count, len(group.table)), bool)
        for pattern in np.unique(active, axis=0):
            alike = (active == pattern).all(1)
            for stage in stages:
                filled = {
                    name: np.where(np.isnan(columns[name]) & (name not in kept), 0.0, columns[name])
                    for name in stage.names
                }
                met = np.broadcast_to(pattern, (count, len(pattern)))
                free[np.ix_(stage.excluded(filled, kept, met), alike)] = False
                within[np.ix_(stage.excluded(filled, kept, met, bounded=True), alike)] = False
        within &= free
        return np.where(within.any(1, keepdims=True), within, free)

    def _meets(self, tests: Sequence[Test], columns: Columns, count: int) -> Mask:
        met = np.ones(count, bool)
        for test in tests:
            if test.name in columns:
                met &= passes(test, columns[test.name], self.levels.get(test.name, {}))
        return met

    def active(self, columns: Columns) -> Mask:
        """(n, conditions): in which rows each is met."""
        count = len(next(iter(columns.values())))
        met = [self._meets(tests, columns, count) for tests in self.conditions]
        return np.stack(met, axis=1) if met else np.zeros((count, 0), bool)

    def _roughly(self, stage: Component | Computed, name: str, columns: Columns) -> Values:
        """What a column is computed to be before anything is settled: NaN where something is missing."""
        if isinstance(stage, Computed):
            value = computed_value(stage.tree, name, columns, self.lattices)
            return np.where(np.isfinite(value), value, self.typical[name])
        others = self.determined[name]
        form = next(
            each.form
            for each in stage.constraints
            if each.equal and each.number < 0 and set(each.form.factors) == {name, *others}
        )
        total = np.full(len(columns[name]), float(form.constant))
        for other in others:
            total += float(form.factors[other]) * float(self.lattices[other].worth) * columns[other]
        return -total / float(form.factors[name]) / float(self.lattices[name].worth)

    def _settle_missing(self, columns: dict[str, Values], fixed: Sequence[str] = ()) -> None:
        """Columns without a slot of their own are missing where one that they are computed from is."""
        placed = {name for slot in self.slots for name in slot.names} | set(self.given) | set(fixed)
        for name, others in self.determined.items():
            if name not in placed:
                gone = np.any([np.isnan(columns[other]) for other in others], axis=0)
                filled = np.where(np.isnan(columns[name]), self.typical[name], columns[name])
                columns[name] = np.where(gone, np.nan, filled)

    def _settle_numbers(self, columns: dict[str, Values], given: Sequence[str]) -> None:
        active = self.active(columns)
        fixed = [*given, *self.fixed]
        for stage in self.stages:
            if isinstance(stage, Component):
                rounded = [each.name for each in self.computed]
                columns.update(stage.settle(columns, [*fixed, *rounded], active))
            elif stage.name not in given:
                self._compute(stage, columns, fixed, active)

    def _compute(self, stage: Computed, columns: dict[str, Values], fixed: Sequence[str], active: Mask) -> None:
        """A rounded column; where it leaves its bounds its inputs move towards a row that is known."""
        applies = active[:, stage.number] if stage.number >= 0 else np.ones(len(active), bool)
        inputs = stage.tree.names
        applies = applies & ~np.any([np.isnan(columns[name]) for name in (*inputs, stage.name)], axis=0)
        value, bad = self._rounded(stage, columns)
        for share in TRIES:
            rows = np.flatnonzero(bad & applies)
            if len(rows) == 0:
                break
            some = _part(columns, rows)
            for name in self._moved(inputs, fixed):
                some[name] = self.known[name] + share * (some[name] - self.known[name])
            for each in self.stages[: self.stages.index(stage)]:
                if isinstance(each, Component):
                    rounded = [one.name for one in self.computed]
                    some.update(each.settle(some, [*fixed, *rounded], active[rows]))
                elif each.name not in fixed:
                    again, _ = self._rounded(each, some)
                    some[each.name] = np.where(np.isnan(some[each.name]), np.nan, again)
            for name, values in some.items():
                columns[name][rows] = values
            value[rows], bad[rows] = self._rounded(stage, some)
        nowhere = ~np.isfinite(value) if stage.name in self.nullable else np.zeros(len(value), bool)
        columns[stage.name] = np.where(applies, np.where(nowhere, np.nan, value), columns[stage.name])

    def _moved(self, inputs: Sequence[str], fixed: Sequence[str]) -> list[str]:
        """Columns of numbers that inputs hang on, and that may be moved."""
        wanted = set(inputs)
        for each in reversed(self.stages):
            if isinstance(each, Computed) and each.name in wanted:
                wanted |= set(each.tree.names)
            if isinstance(each, Component) and set(each.names) & wanted:
                wanted |= set(each.names)
        computed = {each.name for each in self.computed}
        return [name for name in self.order if name in wanted and name not in fixed and name not in computed]

    def _rounded(self, stage: Computed, columns: Columns) -> tuple[Values, Mask]:
        """The value, on its lattice, and where that is out of bounds."""
        lattice = self.lattices[stage.name]
        raw = computed_value(stage.tree, stage.name, columns, self.lattices)
        broken = ~np.isfinite(raw)
        wholes = lattice.wholes(np.where(broken, np.nan, raw), stage.halves)
        value = np.where(broken, raw, lattice.values(wholes))
        return value, broken & (stage.name not in self.nullable) | (
            ~broken & ((wholes < lattice.low) | (wholes > lattice.high))
        )

    def excluded(self, columns: Columns, fixed: Sequence[str]) -> Mask:
        """Which rows no rule leaves room for, whatever is not fixed."""
        count = len(next(iter(columns.values())))
        wrong = np.zeros(count, bool)
        for group in self.groups:
            free = self._free(group, columns, fixed)
            lost = np.isnan(group.chosen(np.full(count, np.nan), columns, fixed, free, np.zeros(count)))
            wrong |= lost
        tested = {test.name for tests in self.conditions for test in tests}
        for each in self.stages:
            if isinstance(each, Component) and not tested - set(fixed):
                wrong |= each.excluded(columns, fixed, self.active(columns))
            elif isinstance(each, Component):
                plain = Component(each.names, each.lattices, tuple(one for one in each.constraints if one.number < 0))
                wrong |= plain.excluded(columns, fixed, np.zeros((count, 0), bool))
            elif each.name in fixed and set(each.tree.names) <= set(fixed):
                value, _ = self._rounded(each, columns)
                wrong |= np.isfinite(value) & np.isfinite(columns[each.name]) & (value != columns[each.name])
        return wrong

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        plain = {name: list(getattr(self, name)) for name in ("texts", "order", "given", "nullable", "rounded")}
        slots = [{"names": list(each.names), "coding": each.coding.state(), "group": each.group} for each in self.slots]
        return {
            **plain,
            "levels": {name: dict(each) for name, each in self.levels.items()},
            "lattices": {name: each.state() for name, each in self.lattices.items()},
            "groups": [each.state() for each in self.groups],
            "slots": slots,
            "typical": dict(self.typical),
            "known": dict(self.known),
            "halves": dict(self.halves),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "RuleBook":
        """The inverse of `state`."""
        plain = {name: tuple(state[name]) for name in ("texts", "order", "given", "nullable", "rounded")}
        slots = (
            Slot(tuple(each["names"]), coding_from_state(each["coding"]), each["group"]) for each in state["slots"]
        )
        book = cls(
            **plain,
            levels=state["levels"],
            lattices={name: Lattice(**each) for name, each in state["lattices"].items()},
            groups=tuple(map(Group.from_state, state["groups"])),
            slots=tuple(slots),
            typical=state["typical"],
            known=state["known"],
            halves=state.get("halves", {}),  # of runs from before there were any
        )
        names = [name for slot in book.slots for name in slot.names]
        if not set(book.halves.values()) <= set(HALVES):
            raise ValueError("halves that are rounded in no known way")
        if not set(names) <= set(book.order) or any(slot.group >= len(book.groups) for slot in book.slots):
            raise ValueError("rules about columns that are not there")
        _ = book.stages
        return book


def passes(test: Test, values: Values, levels: Mapping[str, float]) -> Mask:
    """Which values (n,) a test is true of."""
    gone = np.isnan(values)
    if test.missing:
        return ~gone if test.negated else gone
    among = np.isin(values, [levels[text] for text in test.values if text in levels]) & ~gone
    return ~among if test.negated else among


def computed_value(tree: Expression, name: str, columns: Columns, lattices: Mapping[str, Lattice]) -> Values:
    """What an expression says that a column is, in the column's own unit."""
    worth = {each: float(lattices[each].worth) for each in (*tree.names, name)}
    own = {each: columns[each] * worth[each] for each in tree.names}
    value: Values = tree.value(own) / worth[name]
    return value


def _part(columns: Columns, rows: Any) -> dict[str, Values]:
    return {name: values[rows] for name, values in columns.items()}
