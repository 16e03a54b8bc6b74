"""Arithmetic of columns: as a tree, as a linear form where it is one, and its value."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Expression:
    """A number, a column, or two expressions and what is done with them.

    Args:
        kind: `number`, `column`, or one of + - * /.
        number: of a number.
        name: of a column.
        left: of two.
        right: of two.
    """

    kind: str
    number: Fraction = Fraction(0)
    name: str = ""
    left: "Expression | None" = None
    right: "Expression | None" = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order in which they first occur."""
        if self.left is None or self.right is None:
            return (self.name,) if self.name else ()
        return tuple(dict.fromkeys((*self.left.names, *self.right.names)))

    def value(self, columns: Mapping[str, Values]) -> Values:
        """In float64; infinite or NaN where something is divided by zero."""
        if self.kind == "column":
            return columns[self.name]
        if self.left is None or self.right is None:
            return np.float64(self.number)  # type: ignore[return-value]
        left, right = self.left.value(columns), self.right.value(columns)
        with np.errstate(all="ignore"):
            match self.kind:
                case "+":
                    return left + right
                case "-":
                    return left - right
                case "*":
                    return left * right
        with np.errstate(all="ignore"):
            return np.divide(left, right)


@dataclass(frozen=True)
class Linear:
    """The sum of columns, each times a factor, and a number.

    Args:
        factors: by name; none of them 0.
        constant: the number.
    """

    factors: Mapping[str, Fraction]
    constant: Fraction = Fraction(0)

    def plus(self, other: "Linear", times: Fraction = Fraction(1)) -> "Linear":
        """The sum with a multiple of another."""
        names = dict.fromkeys((*self.factors, *other.factors))
        total = {
            name: self.factors.get(name, Fraction(0)) + times * other.factors.get(name, Fraction(0)) for name in names
        }
        return Linear({name: each for name, each in total.items() if each}, self.constant + times * other.constant)

    def times(self, factor: Fraction) -> "Linear":
        """A multiple."""
        return Linear({}).plus(self, factor)


def linear_of(tree: Expression) -> Linear | None:
    """The linear form of an expression; None where columns are multiplied, or divided by."""
    if tree.kind == "number":
        return Linear({}, tree.number)
    if tree.kind == "column":
        return Linear({tree.name: Fraction(1)})
    assert tree.left is not None and tree.right is not None
    left, right = linear_of(tree.left), linear_of(tree.right)
    if left is None or right is None:
        return None
    match tree.kind:
        case "+":
            return left.plus(right)
        case "-":
            return left.plus(right, Fraction(-1))
        case "*" if not right.factors:
            return left.times(right.constant)
        case "*" if not left.factors:
            return right.times(left.constant)
        case "/" if not right.factors and right.constant:
            return left.times(1 / right.constant)
    return None
