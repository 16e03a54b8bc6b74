"""Dates and times as text: one format, read and written by exact inverses, whatever the locale.

Formats are those of `strftime` in English, and `%-d`, `%-m`, `%-H`, `%-I`, `%-y` (no leading zero), `%e`, `%k`, `%l`
(a blank instead), `%^b`, `%~b`, `%^a`, `%~a`, `%^B`, `%~B`, `%^A`, `%~A` (upper and lower case), `%P` (am), `%.p`
(A.M.), `%.P` (a.m.), `%3f` (so many digits), `%.f` (a point and the digits that are needed, or nothing), `%.6f` (a
point and six digits, or nothing), `%:z` (+02:00), `%#z` (+02), `%q` (the quarter).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from wassergan.data.tables.zones import offset_at

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EPOCH_DAY = date(1970, 1, 1).toordinal()
SECOND, MINUTE, DAY = 1_000_000, 60_000_000, 86_400_000_000
USUAL_PIVOT = 69  # two digits from here on are years of the 1900s, as in POSIX
DATE_FIELDS, TIME_FIELDS = frozenset("YymdjUWGVuwqs"), frozenset("HIMSf")
_EXPANDED = {
    "c": "%a %b %e %H:%M:%S %Y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "h": "%b",
    "n": "\n",
    "t": "\t",
}
_CODE = re.compile(r"%([-^~#:.]?)(\d?)([A-Za-z%])", re.ASCII)

Moment = dict[str, int]


@dataclass(frozen=True)
class Code:
    """A directive: what text it takes, which field that tells, and how the field is written."""

    field: str
    pattern: str
    read: Callable[[str], int]
    write: Callable[[Moment], str]


def _names(field: str, names: tuple[str, ...], first: int) -> Code:
    number = {name: at for at, name in enumerate(names, first)}
    pattern = "|".join(sorted(names, key=len, reverse=True))
    return Code(field, pattern, number.__getitem__, lambda moment: names[moment[field] - first])


def _digits(field: str, pattern: str, layout: str) -> Code:
    return Code(field, pattern, int, lambda moment: format(moment[field], layout))


def _cased(style: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.upper() if style == "^" else name.lower() if style == "~" else name for name in names)


def _codes() -> dict[str, Code]:
    two = r"[0-9]{2}"
    codes = {
        "Y": _digits("Y", "[0-9]{4}", "04d"),
        "G": _digits("G", "[0-9]{4}", "04d"),
        "y": Code("y", two, int, lambda moment: f"{moment['Y'] % 100:02d}"),
        "-y": Code("y", "[0-9]{1,2}", int, lambda moment: str(moment["Y"] % 100)),
        "j": _digits("j", "[0-9]{3}", "03d"),
        "-j": _digits("j", "[0-9]{1,3}", "d"),
        "u": _digits("u", "[1-7]", "d"),
        "w": Code("u", "[0-6]", lambda text: int(text) or 7, lambda moment: str(moment["u"] % 7)),
        "q": _digits("q", "[1-4]", "d"),
        "s": Code("s", "-?[0-9]{1,12}", int, lambda moment: str(moment["s"])),
    }
    for field in "mdHIMSUWV":
        codes[field] = _digits(field, two, "02d")
        codes["-" + field] = _digits(field, "[0-9]{1,2}", "d")
    for letter, field in (("e", "d"), ("k", "H"), ("l", "I")):
        codes[letter] = _digits(field, " [0-9]|[0-9]{2}", "2d")
    for style in ("", "^", "~"):
        short_months = tuple(name[:3] for name in MONTHS)
        short_days = tuple(name[:3] for name in WEEKDAYS)
        codes[style + "b"] = _names("m", _cased(style, short_months), 1)
        codes[style + "B"] = _names("m", _cased(style, MONTHS), 1)
        codes[style + "a"] = _names("u", _cased(style, short_days), 1)
        codes[style + "A"] = _names("u", _cased(style, WEEKDAYS), 1)
    for code, halves in {"p": ("AM", "PM"), "P": ("am", "pm"), ".p": ("A.M.", "P.M."), ".P": ("a.m.", "p.m.")}.items():
        codes[code] = Code("p", "|".join(map(re.escape, halves)), halves.index, lambda moment, h=halves: h[moment["p"]])  # type: ignore[misc]
    codes["z"] = Code("z", r"[+-][0-9]{4}", _offset, lambda moment: _signed(moment["z"], ""))
    codes[":z"] = Code("z", r"[+-][0-9]{2}:[0-9]{2}", _offset, lambda moment: _signed(moment["z"], ":"))
    codes["#z"] = Code("z", r"[+-][0-9]{2}", _offset, lambda moment: _signed(moment["z"], "")[:3])
    codes["Z"] = Code("z", r"Z|[+-][0-9]{2}:[0-9]{2}", _offset, lambda m: _signed(m["z"], ":") if m["z"] else "Z")
    return codes


def _offset(text: str) -> int:
    digits = text.replace(":", "")
    if digits == "Z":
        return 0
    minutes = int(digits[3:] or 0)
    if minutes > 59 or int(digits[1:3]) > 23:
        raise ValueError(text)
    seconds = int(digits[1:3]) * 3600 + minutes * 60
    return -seconds if text[0] == "-" else seconds


def _signed(seconds: int, between: str) -> str:
    sign, seconds = "-" if seconds < 0 else "+", abs(seconds)
    return f"{sign}{seconds // 3600:02d}{between}{seconds // 60 % 60:02d}"


def _fraction(style: str, count: str) -> Code:
    digits = int(count or 6)
    if style != ".":

        def write(moment: Moment) -> str:
            return f"{moment['f']:06d}".ljust(digits, "0")[:digits]

        return Code("f", f"[0-9]{{{digits}}}", _micro, write)

    def optional(moment: Moment) -> str:
        if moment["f"] == 0:
            return ""
        text = f"{moment['f']:06d}"
        return "." + (text.ljust(digits, "0")[:digits] if count else text.rstrip("0"))

    pattern = rf"(?:\.[0-9]{{{digits}}})?" if count else r"(?:\.[0-9]{1,9})?"
    return Code("f", pattern, lambda text: _micro(text[1:]), optional)


def _micro(digits: str) -> int:
    if digits[6:].strip("0"):
        raise ValueError("finer than a microsecond")
    return int(digits[:6].ljust(6, "0"))


CODES = _codes()


class DateFormat:
    """A format, taken apart.

    Args:
        pattern: as in the module's words.

    Raises:
        ValueError: what is wrong with it, in words.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.parts: list[str | Code] = []
        end, whole = 0, _expanded(pattern)
        for match in _CODE.finditer(whole):
            self._literal(whole[end : match.start()])
            self._directive(match)
            end = match.end()
        self._literal(whole[end:])
        self.fields = frozenset(part.field for part in self.parts if isinstance(part, Code))
        _check(self.fields, [part.field for part in self.parts if isinstance(part, Code)])
        groups = (f"({p.pattern})" if isinstance(p, Code) else re.escape(p) for p in self.parts)
        self._regex = re.compile("".join(groups))
        self._codes = [part for part in self.parts if isinstance(part, Code)]

    def _literal(self, text: str) -> None:
        if "%" in text:
            raise ValueError(f"'{text[text.index('%') :][:3]}' is no directive")
        if text:
            self.parts.append(text)

    def _directive(self, match: re.Match[str]) -> None:
        style, count, letter = match.groups()
        if letter == "f":
            if style not in ("", ".") or count == "0":
                raise ValueError(f"'{match[0]}' is no directive")
            self.parts.append(_fraction(style, count))
        elif letter == "%" and not style + count:
            self.parts.append("%")
        elif not count and style + letter in CODES:
            self.parts.append(CODES[style + letter])
        else:
            raise ValueError(f"'{match[0]}' is no directive")

    @property
    def has_date(self) -> bool:
        """Whether more than a time of day is written."""
        return bool(self.fields & DATE_FIELDS)

    @property
    def has_time(self) -> bool:
        """Whether a time of day is written."""
        return bool(self.fields & (TIME_FIELDS | {"s"}))

    @property
    def unit(self) -> int:
        """Microseconds in the smallest thing that is written, days at most."""
        if "f" in self.fields:
            exact = re.search(r"%([1-6])f", self.pattern)
            return 10 ** (6 - int(exact[1])) if exact and int(exact[1]) in (3,) else 1
        for field, unit in (("s", SECOND), ("S", SECOND), ("M", MINUTE), ("H", MINUTE), ("I", MINUTE), ("p", MINUTE)):
            if field in self.fields:
                return unit
        return DAY

    @property
    def months(self) -> int:
        """How many months the smallest thing covers that is written of the date: 0 if it is a day or a week."""
        if not self.has_date or self.fields & set("djuUWVs"):
            return 0
        return 1 if "m" in self.fields else 3 if "q" in self.fields else 12

    @property
    def is_week(self) -> bool:
        """Whether a week is written, and no day of it."""
        return bool(self.fields & set("UWV")) and not self.fields & set("udj")

    def read(self, text: str, *, pivot: int = USUAL_PIVOT) -> int:
        """Microseconds since 1970, of the moment if an offset is written, else of the clock.

        Raises:
            ValueError: the text is not in the format, or there is no such moment.
        """
        match = self._regex.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' is not in {self.pattern}")
        told: Moment = {}
        for code, part in zip(self._codes, match.groups(), strict=True):
            told[code.field] = code.read(part)
        return _moment(told, pivot)

    def write(self, micros: int, zone: str = "") -> str:
        """The text of a moment, as clocks in a zone show it; without a zone, of the clock."""
        offset = offset_at(zone, micros) if zone else 0
        moment = _fields_of(micros + offset * SECOND, self.fields)
        moment["z"], moment["s"] = offset, micros // SECOND
        return "".join(part if isinstance(part, str) else part.write(moment) for part in self.parts)


@lru_cache(maxsize=512)
def date_format(pattern: str) -> DateFormat:
    """A format, taken apart once."""
    return DateFormat(pattern)


def _expanded(pattern: str) -> str:
    return re.sub(r"%(%|[cxXDFTRrhnt])", lambda match: _EXPANDED.get(match[1], match[0]), pattern)


def _check(fields: frozenset[str], told: list[str]) -> None:
    """Refuse what leaves a moment open."""
    if not fields:
        raise ValueError("it holds no directive")
    twice = {field for field in told if told.count(field) > 1}
    if twice - {"u"}:
        raise ValueError(f"it says %{min(twice - {'u'})} twice")
    if "I" in fields and not fields & {"p", "H"}:
        raise ValueError("%I needs %p: it cannot tell morning from afternoon")
    if "s" in fields:
        return
    year = fields & {"Y", "y"}
    if fields & set("VG") and not (fields >= {"G", "V"} or (year and "V" not in fields)):
        raise ValueError("%G and %V, of ISO weeks, need each other")
    if fields & {"U", "W"} and not year:
        raise ValueError("a week needs a year, %Y")
    if "d" in fields and "m" not in fields:
        raise ValueError("a day needs a month, %m, or %j is meant")
    if "u" in fields and not (year or "G" in fields or {"m", "d"} <= fields):
        raise ValueError("a weekday alone is no date")
    if {"j", "q"} & fields and not year:
        raise ValueError("a day of the year or a quarter needs a year, %Y")
    if fields & {"m"} and not year and "d" not in fields:
        raise ValueError("a month alone is no date: make the column a category")
    if fields & {"U", "W"} and not fields & {"u", "j", "d"} and fields & {"m"}:
        raise ValueError("a week and a month are told, and no day")
    if "f" in fields and "S" not in fields:
        raise ValueError("%f needs %S")
    if "z" in fields and not (year or "G" in fields):
        raise ValueError("an offset needs a date")


def _moment(told: Moment, pivot: int) -> int:
    if "s" in told:
        return told["s"] * SECOND + told.get("f", 0)
    days = _day(told, pivot) - EPOCH_DAY if told.keys() & DATE_FIELDS else 0
    return days * DAY + _clock(told) - told.get("z", 0) * SECOND


def _clock(told: Moment) -> int:
    hour = told.get("H", 0)
    if "H" not in told and "I" in told:
        if not 1 <= told["I"] <= 12:
            raise ValueError("no such hour")
        hour = told["I"] % 12 + 12 * told["p"]
    elif "H" not in told and "p" in told:
        hour = 12 * told["p"]
    minute, second = told.get("M", 0), told.get("S", 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no such time of day")
    return ((hour * 60 + minute) * 60 + second) * SECOND + told.get("f", 0)


def _day(told: Moment, pivot: int) -> int:
    """As an ordinal of Python."""
    if "G" in told and "Y" not in told and "y" not in told:
        return date.fromisocalendar(told["G"], told["V"], told.get("u", 1)).toordinal()
    year = told["Y"] if "Y" in told else told["y"] + (1900 if told["y"] >= pivot else 2000) if "y" in told else 1972
    if "m" in told:
        return date(year, told["m"], told.get("d", 1)).toordinal()
    first = date(year, 1, 1).toordinal()
    if "j" in told:
        if not 1 <= told["j"] <= 366 or date.fromordinal(first + told["j"] - 1).year != year:
            raise ValueError("no such day of the year")
        return first + told["j"] - 1
    if "U" in told:  # weeks from Sundays
        day = told.get("u", 7) % 7
        sunday = first + (7 - date.fromordinal(first).isoweekday() % 7) % 7
        return _in_year(sunday + 7 * (told["U"] - 1) + day, year)
    if "W" in told:  # weeks from Mondays
        monday = first + (7 - date.fromordinal(first).weekday()) % 7
        return _in_year(monday + 7 * (told["W"] - 1) + told.get("u", 1) - 1, year)
    if "q" in told:
        return date(year, 3 * told["q"] - 2, 1).toordinal()
    return first


def _in_year(ordinal: int, year: int) -> int:
    if date.fromordinal(ordinal).year != year:
        raise ValueError("no such week of the year")
    return ordinal


def _fields_of(micros: int, fields: frozenset[str]) -> Moment:
    days, rest = divmod(micros, DAY)
    day = date.fromordinal(days + EPOCH_DAY)
    seconds, fraction = divmod(rest, SECOND)
    hour, minute = seconds // 3600, seconds // 60 % 60
    moment: Any = {"Y": day.year, "m": day.month, "d": day.day, "H": hour, "M": minute, "S": seconds % 60}
    moment |= {"f": fraction, "I": hour % 12 or 12, "p": hour // 12, "q": (day.month + 2) // 3}
    if fields & set("GVuUWj"):
        moment["G"], moment["V"], moment["u"] = day.isocalendar()
        of_year = day.toordinal() - date(day.year, 1, 1).toordinal()
        moment["j"] = of_year + 1
        moment["U"] = (of_year + 7 - moment["u"] % 7) // 7
        moment["W"] = (of_year + 7 - (moment["u"] - 1)) // 7
    told: Moment = moment
    return told
