"""How the values of a column are written: as text, and as Arrow arrays. Plain data, kept in every checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
EPOCH = datetime(1970, 1, 1)
MICROSECONDS = {"day": 86_400_000_000, "minute": 60_000_000, "second": 1_000_000, "microsecond": 1}


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
    """

    kind: ClassVar[str] = "number"
    decimals: int | None = None
    places: int = 0
    whole: bool = False

    def rounded(self, values: Values) -> Values:
        """To the decimals."""
        return values if self.decimals is None else np.round(values, self.decimals)

    def texts(self, values: Values) -> list[str]:
        """Without exponent, and without zeros at the end beyond `places`, where the decimals are known."""
        if self.decimals is None:
            return [repr(value) for value in values.tolist()]
        digits = max(self.decimals, self.places)
        if digits == 0:
            return [str(round(value)) for value in values.tolist()]
        return [_trimmed(f"{value:.{digits}f}", self.places) for value in values.tolist()]

    def plain(self, values: Values) -> list[Any]:
        """Whole numbers as such, whatever their size."""
        return [round(value) for value in values.tolist()] if self.whole else values.tolist()

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"form": self.kind, **asdict(self)}


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
        format: as for `strftime`, and `%-d`, `%-m`, `%-H` for numbers without a leading zero.
        unit: microseconds per unit.
    """

    kind: ClassVar[str] = "date"
    format: str
    unit: int

    @property
    def of_day(self) -> bool:
        """Whether only the time of day is written."""
        return _of_day(self.format)

    def moments(self, values: Values) -> NDArray[np.datetime64]:
        """(n,) in microseconds."""
        return (np.round(values).astype(np.int64) * self.unit).astype("datetime64[us]")

    def texts(self, values: Values) -> list[str]:
        """In the format."""
        moments = self.moments(values)
        if self.format == "%Y-%m-%d":
            return np.datetime_as_string(moments, unit="D").tolist()  # type: ignore[no-any-return]
        if self.format in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            texts = np.datetime_as_string(moments, unit="s").tolist()
            return texts if "T" in self.format else [text.replace("T", " ") for text in texts]
        return [_formatted(moment, self.format) for moment in moments.tolist()]

    def plain(self, values: Values) -> list[Any]:
        """Moments; the text of times of day."""
        return self.texts(values) if self.of_day else self.moments(values).tolist()

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"form": self.kind, **asdict(self)}


def _of_day(pattern: str) -> bool:
    return not any(code in pattern for code in ("%Y", "%y", "%d", "%m", "%j"))


def _formatted(moment: datetime, pattern: str) -> str:
    # The C library's %-d is not everywhere.
    for code, number in (("%-d", moment.day), ("%-m", moment.month), ("%-H", moment.hour)):
        pattern = pattern.replace(code, str(number))
    return moment.strftime(pattern.replace("%Y", f"{moment.year:04d}"))


def date_values(texts: Sequence[str], pattern: str, unit: int) -> Values:
    """What `DateForm.texts` writes, back to values, (n,).

    Raises:
        ValueError: a text is not in the format.
    """
    parsed = pattern.replace("%-", "%")
    base = datetime(1900, 1, 1) if _of_day(pattern) else EPOCH
    step = timedelta(microseconds=unit)
    return np.array([(datetime.strptime(text, parsed) - base) / step for text in texts], np.float64)


def form_from_state(state: Mapping[str, Any]) -> NumberForm | LevelForm | DateForm:
    """The inverse of a form's `state`."""
    kinds: dict[str, type[Any]] = {each.kind: each for each in (NumberForm, LevelForm, DateForm)}
    values = {name: tuple(each) if isinstance(each, list) else each for name, each in state.items() if name != "form"}
    form: NumberForm | LevelForm | DateForm = kinds[state["form"]](**values)
    return form
