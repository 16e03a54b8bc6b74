"""How the values of a column are written: as text, and as Arrow arrays. Plain data, kept in every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.date_texts import DAY, SECOND, USUAL_PIVOT, DateFormat, date_format
from wassergan.data.tables.floating import Floating
from wassergan.data.tables.number_dress import Dress
from wassergan.data.tables.steps import Grid, Whole, as_decimal, as_wholes, grid_from_state
from wassergan.data.tables.zones import get_zone, offset_at

Values = NDArray[np.float64]
EPOCH = datetime(1970, 1, 1)
MICROSECONDS = {"day": DAY, "minute": 60_000_000, "second": SECOND, "millisecond": 1000, "microsecond": 1}


class Form(Protocol):
    """A number per row to what the user sees; NaN is not handed in."""

    def texts(self, values: Values) -> list[str]:
        """As written in a CSV file."""

    def plain(self, values: Values) -> list[Any]:
        """As Python or NumPy values that Arrow takes."""

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""


@dataclass(frozen=True)
class NumberForm:
    """Decimal numbers.

    Args:
        decimals: digits behind the point that the values need; None for as many as there are.
        places: digits behind the point that are written at least.
        whole: of a whole-number type where types are known.
        grid: on which all values lie, in units of the last decimal; None for all of these.
        dress: signs, thousands, currencies and units around the digits.
        mantissa: digits behind the point of a number with an exponent; -1 where there is none.
        floating: significant digits, and which numbers have an exponent; None where decimals say all.
    """

    kind: ClassVar[str] = "number"
    decimals: int | None = None
    places: int = 0
    whole: bool = False
    grid: Grid | None = None
    dress: Dress = field(default_factory=Dress)
    mantissa: int = -1
    floating: Floating | None = None

    def fitted(self, values: Values, low: float, high: float) -> Values:
        """To the digits, on the grid and within bounds; NaN stays."""
        if self.decimals is None:
            if self.floating is not None and self.floating.digits:
                values = np.array([self.floating.rounded(value) for value in values.tolist()], np.float64)
            return values.clip(low, high)
        gone = np.isnan(values)
        bounds = as_wholes(np.array([low, high]), self.decimals)
        if bounds is None:
            return rounded(values, self.decimals).clip(low, high)
        scale = 10**self.decimals
        wholes = np.round(np.where(gone, low, values).clip(low, high) * scale).astype(np.int64)
        if self.grid is not None:
            wholes = self.grid.snapped(wholes, *whole_bounds(low, high, self.decimals))
        fitted = wholes / scale  # one rounded division: the float that the text of the number is read as
        return np.where(gone, np.nan, fitted if self.grid is not None else fitted.clip(low, high))

    def texts(self, values: Values) -> list[str]:
        """Without exponent, and without zeros at the end beyond `places`, where the decimals are known."""
        plain = self._plain_texts(values)
        return plain if self.dress.is_plain else [self.dress.wear(text) for text in plain]

    def _plain_texts(self, values: Values) -> list[str]:
        if self.mantissa >= 0:
            return [f"{value:.{self.mantissa}e}" for value in values.tolist()]
        if self.floating is not None:
            some = values if self.decimals is None else rounded(values, self.decimals)
            return [self.floating.text(value) for value in some.tolist()]
        if self.decimals is None:
            # In a dress there is no room for an exponent.
            return [_without_exponent(repr(value), self.dress) for value in values.tolist()]
        digits = max(self.decimals, self.places)
        if digits == 0:
            return [str(round(value)) for value in values.tolist()]
        return [_trimmed(f"{value:.{digits}f}", self.places) for value in values.tolist()]

    def plain(self, values: Values) -> list[Any]:
        """Whole numbers as such, whatever their size."""
        return [round(value) for value in values.tolist()] if self.whole else values.tolist()

    def read(self, texts: Sequence[str]) -> Values:
        """What `texts` writes, and numbers as Python writes them, back to values, (n,).

        Raises:
            ValueError: a text is no number; it is the error's one argument.
        """
        return np.array([self._number(text) for text in texts], np.float64)

    def _number(self, text: str) -> float:
        bare = self.dress.bare_text(text) or (text if text.strip() and text.isascii() and "_" not in text else None)
        try:
            number = float(bare or "")
        except ValueError:
            raise ValueError(text) from None
        return number

    def told(self, example: float) -> str:
        """In words: what is particular about how a number is written, as one of them shows."""
        parts = (
            []
            if self.dress.is_plain and self.mantissa < 0 and self.floating is None
            else [f"written as {self.texts(np.array([example]))[0]}"]
        )
        if self.grid is not None:
            parts.append(self.grid.told(decimals=self.decimals or 0))
        elif self.decimals and parts:
            parts.append(f"steps of {as_decimal(1, self.decimals)}")
        return ", ".join(parts)

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        plain = {name: getattr(self, name) for name in ("decimals", "places", "whole", "mantissa")}
        shapes = {"dress": self.dress, "grid": self.grid, "floating": self.floating}
        return {"form": self.kind, **plain, **{name: each and each.state() for name, each in shapes.items()}}


def rounded(values: Values, decimals: int) -> Values:
    """To so many decimals; numbers that are too large to have any stay, where NumPy's own rounding gives infinity."""
    with np.errstate(over="ignore"):
        found = np.round(values, decimals)
    return np.where(np.isinf(found), values, found)


def whole_bounds(low: float, high: float, decimals: int) -> tuple[int, int]:
    """The first and last multiples of the last decimal between two numbers."""
    scale = 10**decimals
    first, last = (round(each * scale) for each in (low, high))
    return first + (first / scale < low), last - (last / scale > high)


def _without_exponent(text: str, dress: Dress) -> str:
    if "e" not in text or dress.is_plain:
        return text
    return np.format_float_positional(float(text), trim="0")


def _trimmed(text: str, places: int) -> str:
    whole, _, digits = text.partition(".")
    digits = digits[:places] + digits[places:].rstrip("0")
    whole = "0" if whole == "-0" and not digits.strip("0") else whole
    return f"{whole}.{digits}" if digits else whole


@dataclass(frozen=True)
class LevelForm:
    """Categories and booleans: value i is level i.

    Args:
        levels: as text.
        values: what they are where types are known; the text itself if empty.
    """

    kind: ClassVar[str] = "levels"
    levels: tuple[str, ...]
    values: tuple[Any, ...] = ()

    def texts(self, values: Values) -> list[str]:
        """The levels."""
        return [self.levels[code] for code in values.astype(np.int64).tolist()]

    def plain(self, values: Values) -> list[Any]:
        """The levels, in their own type."""
        own = self.values or self.levels
        return [own[code] for code in values.astype(np.int64).tolist()]

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"form": self.kind, "levels": list(self.levels), "values": list(self.values)}


@dataclass(frozen=True)
class DateForm:
    """Dates, and times of a date or of any day; a value counts units from the start of 1970.

    Args:
        format: as `DateFormat` reads it.
        unit: microseconds per unit.
        grid: on which all values lie, in units, as clocks show them; None for all units.
        zone: values are moments, and texts are what clocks there show; empty where values are what clocks show.
        pivot: two-digit years from here on are of the 1900s.
        whole: dates are whole numbers such as 20240519 where types are known.
    """

    kind: ClassVar[str] = "date"
    format: str
    unit: int
    grid: Grid | None = None
    zone: str = ""
    pivot: int = USUAL_PIVOT
    whole: bool = False

    @property
    def layout(self) -> DateFormat:
        """The format, taken apart."""
        return date_format(self.format)

    @property
    def of_day(self) -> bool:
        """Whether only the time of day is written."""
        return not self.layout.has_date

    @property
    def is_moment(self) -> bool:
        """Whether values are dates where types are known, rather than text or numbers."""
        return not self.of_day and not self.whole

    def moments(self, values: Values) -> NDArray[np.datetime64]:
        """(n,) in microseconds."""
        return (np.round(values).astype(np.int64) * self.unit).astype("datetime64[us]")

    def fitted(self, values: Values, low: float, high: float) -> Values:
        """To whole units, on the grid and within bounds; NaN stays."""
        gone = np.isnan(values)
        counts = np.round(np.where(gone, low, values).clip(low, high)).astype(np.int64)
        if self.grid is not None:
            ahead = self._ahead(counts)
            first, last = (int(each) for each in self.clocks(np.array([low, high])))
            clocks = self.grid.snapped(counts + ahead, first, last, per_day=DAY // self.unit)
            counts = clocks - ahead
            turned = self._ahead(counts) != ahead  # clocks were put on or back in between
            counts = np.where(turned, clocks - self._ahead(counts), counts)
        return np.where(gone, np.nan, counts.astype(np.float64).clip(low, high))

    def clocks(self, values: Values) -> Whole:
        """What clocks show, in units, (n,)."""
        counts = np.round(values).astype(np.int64)
        return counts + self._ahead(counts)

    def _ahead(self, counts: Whole) -> Whole:
        """Units by which clocks are ahead of values."""
        if not self.zone or self.zone in ("UTC", "Z"):
            return np.zeros(len(counts), np.int64)
        different, where = np.unique(counts, return_inverse=True)
        offsets = [offset_at(self.zone, each * self.unit) for each in different.tolist()]
        return (np.array(offsets, np.int64) * SECOND // self.unit)[where]

    def texts(self, values: Values) -> list[str]:
        """In the format."""
        moments = self.moments(values)
        if self.format == "%Y-%m-%d" and not self.zone:
            return np.datetime_as_string(moments, unit="D").tolist()  # type: ignore[no-any-return]
        if self.format in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S") and not self.zone:
            texts = np.datetime_as_string(moments, unit="s").tolist()
            return texts if "T" in self.format else [text.replace("T", " ") for text in texts]
        different, where = np.unique(moments.astype(np.int64), return_inverse=True)
        written = [self.layout.write(micros, self.zone) for micros in different.tolist()]
        return [written[at] for at in where.tolist()]

    def plain(self, values: Values) -> list[Any]:
        """Moments; the text of times of day; the whole numbers of dates that are written so."""
        if self.whole:
            return [int(text) for text in self.texts(values)]
        return self.texts(values) if self.of_day else self.moments(values).tolist()

    def read(self, texts: Sequence[str]) -> Values:
        """What `texts` writes, back to values, (n,).

        Raises:
            ValueError: a text is not in the format; it is the error's one argument.
        """
        return np.array([self._value(text) for text in texts], np.float64)

    def _value(self, text: str) -> float:
        try:
            micros = self.layout.read(text, pivot=self.pivot)
        except (ValueError, KeyError, OverflowError):
            raise ValueError(text) from None
        if self.zone and "z" not in self.layout.fields:
            micros -= offset_at(self.zone, micros) * SECOND
        return micros / self.unit

    def moment_of(self, moment: datetime) -> float:
        """The value of a moment; what clocks show where it says no zone."""
        zone: tzinfo | None = get_zone(self.zone) if self.zone else None
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC if zone is not None else moment.tzinfo).replace(tzinfo=None)
        return (moment - EPOCH).total_seconds() * SECOND / self.unit

    def told(self, example: float) -> str:
        """In words: the format, and the grid."""
        parts = [f"written as {self.texts(np.array([example]))[0]} ({self.format})"]
        if self.zone and "z" in self.layout.fields:
            parts.append(f"clocks of {self.zone}")
        if self.grid is not None:
            parts.append(self.grid.told(unit=self.unit))
        return ", ".join(parts)

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        plain = {name: getattr(self, name) for name in ("format", "unit", "zone", "pivot", "whole")}
        return {"form": self.kind, **plain, "grid": self.grid and self.grid.state()}


def form_from_state(state: Mapping[str, Any]) -> NumberForm | LevelForm | DateForm:
    """The inverse of a form's `state`."""
    kinds: dict[str, type[Any]] = {each.kind: each for each in (NumberForm, LevelForm, DateForm)}
    values: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in state.items() if name != "form"
    }
    if "grid" in values:
        values["grid"] = grid_from_state(values["grid"])
    if "dress" in values:
        values["dress"] = Dress(**values["dress"])
    if values.get("floating"):
        values["floating"] = Floating(**values["floating"])
    form: NumberForm | LevelForm | DateForm = kinds[state["form"]](**values)
    if isinstance(form, DateForm):
        date_format(form.format)
        if form.zone:
            get_zone(form.zone)
    return form
