"""The numbers of a column as whole numbers: multiples of its last decimal or of a date's unit, on its step."""

from dataclasses import asdict, dataclass
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

    def wholes(self, values: Values) -> Whole:
        """The nearest k of values (n,); 0 where they are missing."""
        scaled = np.rint(np.where(np.isnan(values), 0.0, values) * 10.0**self.decimals).clip(-LARGEST, LARGEST)
        near: Whole = (scaled.astype(np.int64) - self.offset + self.step // 2) // self.step
        return near

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
    ends = plain.wholes(np.array([low, high]))
    return Lattice(**{**plain.state(), "low": int(ends[0]), "high": int(ends[1])})
