"""The rules of a table in the order in which they are applied: what hangs on what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from wassergan.data.tables.rules.component import Component, Constraint
from wassergan.data.tables.rules.expression import Expression, Linear, linear_of
from wassergan.data.tables.rules.grammar import Rule, Test, parse_rules
from wassergan.data.tables.rules.groups import Group
from wassergan.data.tables.rules.lattice import HALVES, Lattice


class Link(NamedTuple):
    """A column from which another one counts: it lies above or below it, by `gap` at least, in numbers or days."""

    base: str
    gap: float
    above: bool


@dataclass(frozen=True)
class Computed:
    """A column that is what others say, rounded."""

    name: str
    tree: Expression
    text: str
    number: int = -1
    halves: str = HALVES[0]


@dataclass(frozen=True, kw_only=True)
class RulePlan:
    """Rules, and what is settled one after the other so that rows obey them.

    Args:
        texts: of the rules.
        order: all columns of the table that are learnt.
        given: those that are conditions.
        lattices: of the columns that arithmetic is done with.
        groups: columns that go together.
        rounded: texts of rules whose columns are rounded.
        halves: text of such a rule → how a number half way between two is rounded.
    """

    texts: tuple[str, ...]
    order: tuple[str, ...]
    given: tuple[str, ...]
    lattices: Mapping[str, Lattice]
    groups: tuple[Group, ...]
    rounded: tuple[str, ...] = ()
    halves: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Parsed."""
        return parse_rules(self.texts)

    @cached_property
    def conditions(self) -> tuple[tuple[Test, ...], ...]:
        """Of the rules about numbers, each once."""
        found = [rule.only_if for rule in self.rules if rule.kind in ("order", "computed") and rule.only_if]
        return tuple(dict.fromkeys(found))

    def _number_of(self, rule: Rule) -> int:
        return self.conditions.index(rule.only_if) if rule.only_if else -1

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """The rules that are linear and exact."""
        found = []
        for rule in self.rules:
            form = form_of(rule)
            if form is not None and not (rule.kind == "computed" and rule.text in self.rounded):
                equal = rule.kind == "computed"
                found.append(Constraint(rule.text, form, equal, rule.strict and not equal, self._number_of(rule)))
        return tuple(found)

    @cached_property
    def computed(self) -> tuple[Computed, ...]:
        """The columns that are rounded, in the order in which they can be computed."""
        found = []
        for rule in self.rules:
            if rule.kind == "computed" and (rule.text in self.rounded or form_of(rule) is None):
                assert rule.left is not None and rule.right is not None
                halves = self.halves.get(rule.text, HALVES[0])
                found.append(Computed(rule.left.name, rule.right, rule.text, self._number_of(rule), halves))
        return tuple(found)

    @cached_property
    def stages(self) -> tuple[Component | Computed, ...]:
        """What is settled one after the other.

        Raises:
            ValueError: a column is computed in a circle.
        """
        rounded = {each.name for each in self.computed}
        waiting: list[Component | Computed] = [self._component(part) for part in _parts(self.constraints)]
        connected = {name for each in waiting for name in (each.names if isinstance(each, Component) else ())}
        alone = [name for name in self.lattices if name not in connected | rounded | set(self.fixed)]
        waiting += [Component((name,), {name: self.lattices[name]}, ()) for name in alone]
        waiting += list(self.computed)
        stages: list[Component | Computed] = []
        while waiting:
            open_names = {each.name for each in waiting if isinstance(each, Computed)}
            open_names |= {
                name for each in waiting if isinstance(each, Component) for name in each.names if name not in rounded
            }
            ready = next((each for each in waiting if not _needs(each, rounded) & open_names), None)
            if ready is None:
                raise ValueError(", ".join(sorted(open_names)))
            waiting = [each for each in waiting if each is not ready]
            stages.append(ready)
        return tuple(stages)

    def _component(self, part: Sequence[Constraint]) -> Component:
        there = {name for each in part for name in each.form.factors}
        targets = self._targets(part)
        rounded = {each.name for each in self.computed}
        first = [name for name in self.order if name in there and (name in self.given or name in self.fixed)]
        first += [name for name in self.order if name in there and name in rounded and name not in first]
        rest = [name for name in self.order if name in there and name not in first]
        order = list(first)
        after = {name: {other for other in targets.get(name, ()) if other in rest} for name in rest}
        divided = any(name in self.given or name in self.fixed for name in targets)
        below = {name: {link.base for link in self.links.get(name, ()) if link.above} for name in rest}
        while rest:
            loose = [name for name in rest if not after[name] & set(rest)]
            if not loose:
                raise ValueError(", ".join(rest))
            free = [name for name in loose if not below[name] & set(rest)] or loose
            # A sum that is given is divided up: what its last part is left must be on that column's lattice.
            chosen = max(free, key=lambda name: self.lattices[name].factor) if divided else free[0]
            order.append(chosen)
            rest.remove(chosen)
        return Component(tuple(order), {name: self.lattices[name] for name in order}, tuple(part))

    def _targets(self, part: Sequence[Constraint]) -> dict[str, set[str]]:
        texts = {each.text for each in part if each.equal}
        found: dict[str, set[str]] = {}
        for rule in self.rules:
            if rule.kind == "computed" and rule.text in texts:
                assert rule.left is not None and rule.right is not None
                found.setdefault(rule.left.name, set()).update(rule.right.names)
        return found

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """Columns whose value a group tells."""
        return tuple(name for group in self.groups for name, missing in group.facets if not missing)

    @cached_property
    def links(self) -> dict[str, list[Link]]:
        """From which columns a column may count, above them or below."""
        found: dict[str, list[Link]] = {}
        for each in self.constraints:
            factors = each.form.factors
            if each.equal or each.number >= 0 or len(factors) != 2 or sum(factors.values()) != 0:
                continue
            low, high = sorted(factors, key=lambda name: factors[name])
            gap = float(-each.form.constant / factors[high])
            found.setdefault(high, []).append(Link(low, gap, True))
            found.setdefault(low, []).append(Link(high, gap, False))
        return found

    @cached_property
    def bases(self) -> dict[str, tuple[Link, ...]]:
        """The columns that each column really counts from: all of them above, or all below."""
        found: dict[str, tuple[Link, ...]] = {}
        for each in self.stages:
            if isinstance(each, Component):
                for index, name in enumerate(each.names):
                    links = [link for link in self.links.get(name, ()) if link.base in each.names[:index]]
                    chosen = [link for link in links if link.above] or links
                    if chosen and name not in self.fixed:
                        found[name] = tuple(chosen)
        return found

    @cached_property
    def determined(self) -> dict[str, tuple[str, ...]]:
        """Columns that a rule without a condition computes, and from which ones."""
        found: dict[str, tuple[str, ...]] = {}
        for stage in self.stages:
            if isinstance(stage, Computed):
                if stage.number < 0:
                    found[stage.name] = stage.tree.names
                continue
            for each in stage.constraints:
                if each.equal and each.number < 0:
                    *others, last = sorted(each.form.factors, key=stage.names.index)
                    found.setdefault(last, tuple(others))
        return {name: others for name, others in found.items() if name not in self.fixed and name not in self.given}


def form_of(rule: Rule) -> Linear | None:
    """What is not negative by an order, or 0 by a computed column; None where that is not linear."""
    if rule.kind not in ("order", "computed"):
        return None
    assert rule.left is not None and rule.right is not None
    left, right = linear_of(rule.left), linear_of(rule.right)
    if left is None or right is None:
        return None
    return right.plus(left, Fraction(-1))


def _parts(constraints: Sequence[Constraint]) -> list[list[Constraint]]:
    """Constraints that share a column, directly or by others."""
    parts: list[tuple[set[str], list[Constraint]]] = []
    for each in constraints:
        names, mine = set(each.form.factors), [each]
        for part in [part for part in parts if part[0] & names]:
            parts.remove(part)
            names |= part[0]
            mine = part[1] + mine
        parts.append((names, mine))
    return [mine for _, mine in parts]


def _needs(stage: Component | Computed, rounded: set[str]) -> set[str]:
    return set(stage.tree.names) if isinstance(stage, Computed) else set(stage.names) & rounded
