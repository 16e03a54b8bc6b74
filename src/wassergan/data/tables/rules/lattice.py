"""The numbers of a column as whole numbers: multiples of its last decimal or of a date's unit, on its step."""

from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.formats import DateForm, NumberForm
from wassergan.data.tables.rules.integers import Whole

Values = NDArray[np.float64]
DAY = 86_400_000_000  # microseconds
DIGITS = 9  # of numbers without fixed decimals: so many are kept
MOST_DECIMALS = 12
LARGEST = 2**53
SLACK = 1e-6  # of a step, between a bound and a value that equals it
HALF = 1e-12  # relative: what a few operations in float64 are off


def _near_half(places: Values) -> NDArray[np.bool_]:
    """Where numbers lie between two whole ones, to what float64 tells."""
    return np.abs(places - np.floor(places) - 0.5) <= HALF * np.maximum(np.abs(places), 1.0)


def _up(places: Values, lattice: "Lattice") -> Values:
    return np.where(_near_half(places), np.floor(places) + 1, np.rint(places))


def _down(places: Values, lattice: "Lattice") -> Values:
    return np.where(_near_half(places), np.floor(places), np.rint(places))


def _away(places: Values, lattice: "Lattice") -> Values:
    return np.sign(places) * _up(np.abs(places), lattice)


def _even(places: Values, lattice: "Lattice") -> Values:
    floors = np.floor(places)
    return np.where(_near_half(places), floors + floors % 2, np.rint(places))


def _scaled(places: Values, lattice: "Lattice") -> Values:
    rounded: Values = np.rint(places)
    return rounded


def _binary(places: Values, lattice: "Lattice") -> Values:
    if lattice.step != 1 or lattice.offset != 0:
        return np.rint(places)
    values = (places / 10.0**lattice.decimals).tolist()
    return np.rint(np.array([round(value, lattice.decimals) for value in values]) * 10.0**lattice.decimals)


# What programs make of a number half way between two: NumPy multiplies and rounds, Python looks at the binary number,
# spreadsheets round away from zero, databases too or to even ones.
_ROUNDED = {"scaled": _scaled, "even": _even, "away": _away, "binary": _binary, "up": _up, "down": _down}
HALVES = tuple(_ROUNDED)


@dataclass(frozen=True)
class Lattice:
    """Where the values of a column lie: (offset + step·k) / 10^decimals, k whole.

    Args:
        decimals: digits behind the point.
        step: in last decimals.
        offset: likewise.
        unit: microseconds, of a date; 0 for numbers.
        rough: the column has no fixed decimals; these are those that matter.
        low: the smallest k.
        high: the largest k.
    """

    decimals: int
    step: int = 1
    offset: int = 0
    unit: int = 0
    rough: bool = False
    low: int = 0
    high: int = 0

    @property
    def worth(self) -> Fraction:
        """Of one unit of the column: 1, or of a date in days."""
        return Fraction(self.unit, DAY) if self.unit else Fraction(1)

    @property
    def factor(self) -> Fraction:
        """Of one k, in numbers or days."""
        return self.worth * Fraction(self.step, 10**self.decimals)

    @property
    def constant(self) -> Fraction:
        """Of k = 0, in numbers or days."""
        return self.worth * Fraction(self.offset, 10**self.decimals)

    def wholes(self, values: Values, halves: str = "scaled") -> Whole:
        """The nearest k of values (n,), halves rounded by one of `HALVES`; 0 where they are missing."""
        scaled = (np.where(np.isnan(values), 0.0, values) * 10.0**self.decimals).clip(-LARGEST, LARGEST)
        return _ROUNDED[halves]((scaled - self.offset) / self.step, self).astype(np.int64)

    def between(self, low: float, high: float) -> "Lattice":
        """The same with bounds: the first and the last value from `low` to `high`; if there is none, the nearest."""
        places = (np.array([low, high]) * 10.0**self.decimals).clip(-LARGEST, LARGEST) - self.offset
        first, last = np.ceil(places[0] / self.step - SLACK), np.floor(places[1] / self.step + SLACK)
        if first > last:
            first = last = np.rint(places[0] / self.step)
        return replace(self, low=int(first), high=int(last))

    def values(self, wholes: Whole) -> Values:
        """The values with k (n,): each the float64 next to the decimal number."""
        scaled: Values = (wholes * self.step + self.offset) / 10.0**self.decimals
        return scaled

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)


def lattice_of(form: NumberForm | DateForm, values: Values, low: float, high: float) -> Lattice:
    """The lattice of a column's form, with its bounds; values are those that are there."""
    grid = getattr(form, "grid", None)
    step, offset = (int(grid.step), int(grid.offset)) if grid is not None and not grid.months else (1, 0)
    if isinstance(form, DateForm):
        plain = Lattice(0, step, offset, form.unit)
    elif form.decimals is None:
        largest = max(float(np.abs(values).max()) if len(values) else 1.0, 1e-300)
        plain = Lattice(int(np.clip(DIGITS - np.ceil(np.log10(largest)), 0, MOST_DECIMALS)), rough=True)
    else:
        plain = Lattice(form.decimals, step, offset)
    return plain.between(low, high)
