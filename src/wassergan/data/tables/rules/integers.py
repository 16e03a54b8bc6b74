"""Whole numbers that obey linear rules: bounds for each number, given those before it, that leave room for the rest.

Variables are eliminated from the last to the first (Fourier and Motzkin): what is left says, of each variable and those
before it, just what can be completed. So numbers that are set one after the other, each within its bounds, obey all
rules. Where factors are not 1 the bounds are drawn closer, so that a whole number lies between them (the dark shadow
of the omega test: Pugh 1992, section 2.3.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Factors = Mapping[int, int]
MOST = 2000  # inequalities at a time
FAR = 2**60


class Contradiction(Exception):  # noqa: N818  # what it means is for the caller to say
    """No numbers obey the rules."""


class TooMany(Exception):  # noqa: N818
    """The rules lead to too many others."""


@dataclass(frozen=True)
class Inequality:
    """Σ factors·x + constant ≥ 0."""

    factors: Factors
    constant: int

    def at(self, numbers: Whole) -> Whole:
        """Its left side for rows (n, variables)."""
        total = np.full(len(numbers), self.constant, np.int64)
        for index, factor in self.factors.items():
            total += factor * numbers[:, index]
        return total


@dataclass
class Step:
    """How one variable is set.

    Args:
        place: of the variable.
        equal: what is 0 and says what it is, its factor being 1; None where it has bounds alone.
        bounds: on it and on those before it.
    """

    index: int
    equal: Inequality | None = None
    bounds: list[Inequality] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """Variables in the order in which they are set, and what those that are given must obey.

    Args:
        steps: one for each that is not given.
        limits: on those that are given.
        equal: likewise, what is 0.
    """

    steps: tuple[Step, ...]
    limits: tuple[Inequality, ...]
    equal: tuple[Inequality, ...]

    def excluded(self, numbers: Whole) -> NDArray[np.bool_]:
        """In which rows (n, variables) what is given leaves no room."""
        wrong = np.zeros(len(numbers), bool)
        for each in self.limits:
            wrong |= each.at(numbers) < 0
        for each in self.equal:
            wrong |= each.at(numbers) != 0
        return wrong

    def settle(self, numbers: Whole) -> None:
        """Set what is not given to the nearest numbers that obey, in place."""
        for step in self.steps:
            numbers[:, step.index] = self._settled(step, numbers)

    def _settled(self, step: Step, numbers: Whole) -> Whole:
        own = numbers[:, step.index].copy()
        numbers[:, step.index] = 0
        if step.equal is not None:
            return -step.equal.at(numbers)
        low, high = np.full(len(own), -FAR), np.full(len(own), FAR)
        for each in step.bounds:
            factor, rest = each.factors[step.index], each.at(numbers)
            if factor > 0:  # x ≥ -rest / factor, rounded up
                low = np.maximum(low, -(rest // factor))
            else:
                high = np.minimum(high, rest // -factor)
        settled: Whole = np.minimum(np.maximum(own, low), np.maximum(low, high))
        return settled


def plan_of(
    order: Sequence[int], given: int, inequalities: Sequence[Inequality], equations: Sequence[Inequality]
) -> Plan:
    """How to set variables one after the other.

    Args:
        order: places of all variables.
        given: how many of those, from the first on, are given.
        inequalities: bounds of each variable among them.
        equations: Σ factors·x + constant = 0; the last variable of each, in the order, has the factor 1 or -1.

    Raises:
        Contradiction: nothing obeys.
        TooMany: there would be too many inequalities.
    """
    rank = {index: number for number, index in enumerate(order)}
    left, equal = _tidied(inequalities), list(equations)
    steps: list[Step] = []
    for index in reversed(order[given:]):
        step = Step(index)
        mine = [each for each in equal if each.factors.get(index) in (1, -1)]
        if mine:
            chosen = min(mine, key=lambda each: len(each.factors))
            step.equal = _times(chosen, chosen.factors[index])
            equal = [_without(each, index, step.equal) for each in equal if each is not chosen]
            left = _tidied([_without(each, index, step.equal) for each in left])
            equal = [each for each in equal if not _is_settled(each)]
        else:
            if any(index in each.factors for each in equal):
                raise TooMany
            step.bounds = [each for each in left if index in each.factors]
            left = _tidied([*(each for each in left if index not in each.factors), *_shadow(step.bounds, index)])
        steps.append(step)
        assert all(rank[other] < rank[index] for each in left for other in each.factors)
    return Plan(tuple(reversed(steps)), tuple(left), tuple(equal))


def _shadow(bounds: Sequence[Inequality], index: int) -> list[Inequality]:
    lower = [each for each in bounds if each.factors[index] > 0]
    upper = [each for each in bounds if each.factors[index] < 0]
    if len(lower) * len(upper) > MOST:
        raise TooMany
    found = []
    for low in lower:
        for high in upper:
            a, b = low.factors[index], -high.factors[index]
            sum_of = _plus(_times(low, b), _times(high, a))
            found.append(Inequality(sum_of.factors, sum_of.constant - (a - 1) * (b - 1)))
    return found


def _without(each: Inequality, index: int, equal: Inequality) -> Inequality:
    """With a variable replaced by what an equation, in which its factor is 1, says that it is."""
    factor = each.factors.get(index, 0)
    return _plus(each, _times(equal, -factor)) if factor else each


def _times(each: Inequality, factor: int) -> Inequality:
    return Inequality({index: factor * value for index, value in each.factors.items()}, factor * each.constant)


def _plus(one: Inequality, other: Inequality) -> Inequality:
    places = dict.fromkeys((*one.factors, *other.factors))
    total = {index: one.factors.get(index, 0) + other.factors.get(index, 0) for index in places}
    return Inequality({index: value for index, value in total.items() if value}, one.constant + other.constant)


def _is_settled(each: Inequality) -> bool:
    if not each.factors and each.constant:
        raise Contradiction
    return not each.factors


def _tidied(inequalities: Sequence[Inequality]) -> list[Inequality]:
    """The closest of those with the same factors, without what the bounds of single variables say anyway."""
    closest: dict[tuple[tuple[int, int], ...], int] = {}
    for each in inequalities:
        if not each.factors:
            if each.constant < 0:
                raise Contradiction
            continue
        divisor = gcd(*each.factors.values())
        key = tuple(sorted((index, value // divisor) for index, value in each.factors.items()))
        constant = each.constant // divisor
        closest[key] = min(closest.get(key, constant), constant)
    low = {key[0][0]: -constant for key, constant in closest.items() if len(key) == 1 and key[0][1] == 1}
    high = {key[0][0]: constant for key, constant in closest.items() if len(key) == 1 and key[0][1] == -1}
    if any(low[index] > high[index] for index in low.keys() & high.keys()):
        raise Contradiction
    kept = []
    for key, constant in closest.items():
        least = sum(value * (low if value > 0 else high).get(index, -FAR if value > 0 else FAR) for index, value in key)
        if len(key) == 1 or least + constant < 0:
            kept.append(Inequality(dict(key), constant))
    if len(kept) > MOST:
        raise TooMany
    return kept
