"""The step that all values of a column share, and the way back onto it. Whole numbers throughout, so that it is exact.

A step of g that n different values share arises by accident with probability g^-(n-1): it counts where that is below
one in a million. So steps of 2 need 21 different values, tens need 7, hundreds need 4.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.distinct import distinct

Whole = NDArray[np.int64]
ACCIDENT_DIGITS = 6.0  # a step counts where accident has a probability below 10 to minus this
LARGEST_EXACT = 2**53
MONTH_STEPS = (12, 6, 3, 1)
END = -1  # the last day of a month


@dataclass(frozen=True)
class Grid:
    """Where the values of a column lie: `offset + k · step`, or one day of every so many months.

    Args:
        step: in units of the column: of the last decimal, or of a date's unit.
        offset: of the grid, likewise, 0 to step - 1; with months, the time of day.
        months: between two values of a date; 0 for a grid of equal steps.
        first: months since January 1970, modulo `months`.
        day: of the month, 1 to 31; -1 for the last one.
    """

    step: int = 1
    offset: int = 0
    months: int = 0
    first: int = 0
    day: int = 0

    def snapped(self, values: Whole, low: int, high: int, *, per_day: int = 0) -> Whole:
        """The nearest numbers on the grid within bounds, (n,).

        Args:
            values: (n,).
            low: smallest allowed; the grid has a number between the bounds.
            high: largest allowed.
            per_day: units in a day, of dates.
        """
        if self.months:
            return self._months_snapped(values, low, high, per_day)
        first, last = -((self.offset - low) // self.step), (high - self.offset) // self.step
        count = (values - self.offset + self.step // 2) // self.step
        return np.asarray(count.clip(first, max(first, last)) * self.step + self.offset, np.int64)

    def holds(self, low: int, high: int, *, per_day: int = 0) -> bool:
        """Whether there is a number of the grid between two numbers."""
        if self.months:
            near = self._months_snapped(np.array([low, high], np.int64), -(2**62), 2**62, per_day)
            around = np.concatenate([near, self._moved(near[:1], 1, per_day)])
            return bool(((around >= low) & (around <= high)).any())
        return -((self.offset - low) // self.step) <= (high - self.offset) // self.step

    def _months_snapped(self, values: Whole, low: int, high: int, per_day: int) -> Whole:
        month = months_of(values // per_day)
        at = (month - self.first) // self.months
        best = self._at(at, per_day)
        for shift in (-1, 1):
            other = self._at(at + shift, per_day)
            best = np.where(np.abs(other - values) < np.abs(best - values), other, best)
        best = np.where(best < low, self._moved(best, 1, per_day), best)
        return np.asarray(np.where(best > high, self._moved(best, -1, per_day), best), np.int64)

    def _moved(self, values: Whole, by: int, per_day: int) -> Whole:
        return self._at((months_of(values // per_day) - self.first) // self.months + by, per_day)

    def _at(self, count: Whole, per_day: int) -> Whole:
        month = count * self.months + self.first
        day = first_days(month + 1) - 1 if self.day == END else first_days(month) + self.day - 1
        return day * per_day + self.offset

    def told(self, *, decimals: int = 0, unit: int = 0) -> str:
        """In words."""
        if self.months:
            day = "the last day" if self.day == END else f"day {self.day}"
            every = {1: "each month", 3: "each quarter", 6: "each half year", 12: "each year"}
            return f"{day} of {every.get(self.months, f'every {self.months} months')}"
        if unit:
            return f"steps of {_span(self.step * unit)}"
        text = f"steps of {as_decimal(self.step, decimals)}"
        return f"{text} from {as_decimal(self.offset, decimals)}" if self.offset else text

    def state(self) -> dict[str, int]:
        """Plain types, for a checkpoint."""
        return dict(vars(self))


def grid_from_state(state: Any) -> Grid | None:
    """The inverse of `Grid.state`."""
    if not state:
        return None
    grid = Grid(**{name: int(value) for name, value in state.items()})
    if grid.step < 1 or not 0 <= grid.months <= 1200 or not -1 <= grid.day <= 31:
        raise ValueError(f"{grid} is no grid")
    return grid


def shared_step(values: Whole, *, certain: bool = False) -> Grid | None:
    """The coarsest equal step of different whole numbers (n,); None where it is 1, or may be an accident.

    Args:
        values: (n,), in any order, repeats allowed.
        certain: the step is known to be no accident.
    """
    found = distinct(values)
    if len(found) < 2:
        return None
    step = int(np.gcd.reduce(np.diff(found)))
    if step == 1 or not (certain or (len(found) - 1) * math.log10(step) >= ACCIDENT_DIGITS):
        return None
    return Grid(step, int(found[0]) % step)


def shared_months(values: Whole, per_day: int, *, certain: bool = False) -> Grid | None:
    """The same day of months, at the same time; None if there is none.

    Args:
        values: (n,) units since 1970.
        per_day: units in a day.
        certain: the day is known to be no accident.
    """
    found = distinct(values)
    times = found % per_day
    if len(found) < 2 or (times != times[0]).any():
        return None
    days = found // per_day
    month = months_of(days)
    day, is_last = days - first_days(month) + 1, days + 1 == first_days(month + 1)
    if not ((day == day[0]).all() or is_last.all()):
        return None
    if not certain and (len(found) - 1) * math.log10(30) < ACCIDENT_DIGITS:
        return None
    apart = int(np.gcd.reduce(np.diff(month)))
    chance = (len(found) - 1) * math.log10(max(apart, 1))
    months = apart if apart > 1 and (chance >= ACCIDENT_DIGITS or apart in MONTH_STEPS) else 1
    kept = END if is_last.all() and int(day[0]) >= 28 else int(day[0])
    if kept > 28 and not is_last.all():  # day 30 is not in every month
        return None
    return Grid(1, int(times[0]), months, int(month[0]) % months, kept)


def months_of(days: Whole) -> Whole:
    """Months since January 1970 of days since 1970."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_days(months: Whole) -> Whole:
    """Days since 1970 of the first day of months since January 1970."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def as_wholes(values: NDArray[np.float64], decimals: int) -> Whole | None:
    """Numbers as multiples of their last decimal; None where float64 cannot hold these exactly."""
    with np.errstate(over="ignore"):
        scaled = np.round(values * 10.0**decimals)
    if len(scaled) and np.abs(scaled).max() >= LARGEST_EXACT:
        return None
    return scaled.astype(np.int64)


def as_decimal(count: int, decimals: int) -> str:
    """A whole number of last decimals, as text: 25 with 2 decimals is 0.25."""
    if decimals == 0:
        return str(count)
    sign, digits = "-" * (count < 0), str(abs(count)).zfill(decimals + 1)
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")


def _span(microseconds: int) -> str:
    for size, name in (
        (7 * 86_400_000_000, "week"),
        (86_400_000_000, "day"),
        (3_600_000_000, "hour"),
        (60_000_000, "minute"),
        (1_000_000, "second"),
        (1000, "millisecond"),
    ):
        if microseconds % size == 0:
            count = microseconds // size
            return f"{count} {name}{'s' * (count > 1)}"
    return f"{microseconds} microseconds"
