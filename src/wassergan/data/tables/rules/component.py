"""Columns of numbers that linear rules connect: settled together, exactly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from wassergan.data.tables.rules.expression import Linear, Values
from wassergan.data.tables.rules.groups import Mask
from wassergan.data.tables.rules.integers import Contradiction, Inequality, Plan, Whole, plan_of
from wassergan.data.tables.rules.lattice import Lattice

Applies = Callable[[Mapping[str, Values]], Mask]


@dataclass(frozen=True)
class Constraint:
    """A linear rule.

    Args:
        text: of the rule.
        form: in numbers or days: 0, or not below it.
        equal: it is 0.
        strict: it is above 0.
        number: of its condition; -1 for none.
    """

    text: str
    form: Linear
    equal: bool = False
    strict: bool = False
    number: int = -1


@dataclass(frozen=True)
class Component:
    """Columns that constraints connect.

    Args:
        names: of the columns, in the order in which they are set unless they are given.
        lattices: of each column.
        constraints: on them.
    """

    names: tuple[str, ...]
    lattices: Mapping[str, Lattice]
    constraints: tuple[Constraint, ...]

    def whole(self, constraint: Constraint) -> Inequality:
        """A constraint on the whole numbers of the lattices."""
        factors = {name: factor * self.lattices[name].factor for name, factor in constraint.form.factors.items()}
        constant = constraint.form.constant
        for name, factor in constraint.form.factors.items():
            constant += factor * self.lattices[name].constant
        scale = lcm(*(each.denominator for each in (*factors.values(), constant)))
        shared = Fraction(_gcd(*(int(each * scale) for each in (*factors.values(), constant))))
        places = {self.names.index(name): int(each * scale / shared) for name, each in factors.items()}
        whole = int(constant * scale / shared)
        return Inequality(places, whole - (1 if constraint.strict else 0))

    @cached_property
    def wholes(self) -> tuple[Inequality, ...]:
        """All constraints so."""
        return tuple(map(self.whole, self.constraints))

    def plan(
        self, fixed: Sequence[str], active: Sequence[bool], there: Sequence[bool], *, bounded: bool = True
    ) -> Plan:
        """How to set the columns.

        Args:
            fixed: names of those that are given.
            active: of each condition, whether it is met.
            there: of each column, whether it has a value.
            bounded: keep to the bounds of columns.

        Raises:
            Contradiction: nothing obeys.
            TooMany: the rules lead to too many others.
        """
        key = (tuple(name for name in self.names if name in fixed), tuple(active), tuple(there), bounded)
        if key not in self._plans:
            self._plans[key] = self._plan(*key)
        found = self._plans[key]
        if isinstance(found, Exception):
            raise found
        return found

    @cached_property
    def _plans(self) -> dict[object, Plan | Exception]:
        return {}

    def _plan(
        self, fixed: tuple[str, ...], active: tuple[bool, ...], there: tuple[bool, ...], bounded: bool
    ) -> Plan | Exception:
        held = [
            (constraint, whole)
            for constraint, whole in zip(self.constraints, self.wholes, strict=True)
            if (constraint.number < 0 or active[constraint.number]) and all(there[index] for index in whole.factors)
        ]
        given = [index for index, name in enumerate(self.names) if name in fixed and there[index]]
        others = [index for index, name in enumerate(self.names) if name not in fixed and there[index]]
        bounds = []
        for index in others if bounded else []:
            lattice = self.lattices[self.names[index]]
            bounds += [Inequality({index: 1}, -lattice.low), Inequality({index: -1}, lattice.high)]
        try:
            return plan_of(
                [*given, *others],
                len(given),
                [*bounds, *(whole for constraint, whole in held if not constraint.equal)],
                [whole for constraint, whole in held if constraint.equal],
            )
        except Exception as error:
            return error

    def settle(self, columns: Mapping[str, Values], fixed: Sequence[str], active: Mask) -> dict[str, Values]:
        """Values that obey, the nearest to those of the columns that are not fixed, set one after the other.

        Args:
            columns: (n,) each; NaN where missing, which stays.
            fixed: names of those that stay as they are.
            active: (n, conditions), whether they are met.
        """
        there = ~np.stack([np.isnan(columns[name]) for name in self.names], axis=1)
        numbers = np.stack([self.lattices[name].wholes(columns[name]) for name in self.names], axis=1)
        kinds, kind = np.unique(np.concatenate([active, there], axis=1), axis=0, return_inverse=True)
        for number, pattern in enumerate(kinds):
            rows = np.flatnonzero(kind.ravel() == number)
            numbers[rows] = self._settled(numbers[rows], fixed, pattern[: active.shape[1]], pattern[active.shape[1] :])
        return {
            name: np.where(there[:, index], self.lattices[name].values(numbers[:, index]), np.nan)
            for index, name in enumerate(self.names)
            if name not in fixed
        }

    def _settled(self, numbers: Whole, fixed: Sequence[str], active: Mask, there: Mask) -> Whole:
        """Within the bounds of the columns where what is given leaves room, else by the rules alone."""
        loose = np.ones(len(numbers), bool)
        try:
            plan = self.plan(fixed, active.tolist(), there.tolist())
            loose = plan.excluded(numbers)
        except Contradiction:
            plan = None
        if loose.any():
            wide = self.plan(fixed, active.tolist(), there.tolist(), bounded=False)
            some = numbers[loose]
            wide.settle(some)
            numbers[loose] = some
        if plan is not None and not loose.all():
            some = numbers[~loose]
            plan.settle(some)
            numbers[~loose] = some
        return numbers

    def excluded(
        self, columns: Mapping[str, Values], fixed: Sequence[str], active: Mask, *, bounded: bool = False
    ) -> Mask:
        """Which rows cannot obey, whatever is not fixed; where `bounded`, within the bounds of the columns."""
        there = ~np.stack([np.isnan(columns[name]) for name in self.names], axis=1)
        numbers = np.stack([self.lattices[name].wholes(columns[name]) for name in self.names], axis=1)
        kinds, kind = np.unique(np.concatenate([active, there], axis=1), axis=0, return_inverse=True)
        wrong = np.zeros(len(numbers), bool)
        for number, pattern in enumerate(kinds):
            rows = np.flatnonzero(kind.ravel() == number)
            try:
                plan = self.plan(
                    fixed, pattern[: active.shape[1]].tolist(), pattern[active.shape[1] :].tolist(), bounded=bounded
                )
                wrong[rows] = plan.excluded(numbers[rows])
            except Contradiction:
                wrong[rows] = True
        return wrong


def _gcd(*numbers: int) -> int:
    from math import gcd

    return gcd(*numbers) or 1
