"""Which format the dates of a column are in: candidates from how the texts look, tried on every one of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.date_texts import DAY, MONTHS, SECOND, USUAL_PIVOT, WEEKDAYS, DateFormat, date_format
from wassergan.data.tables.zones import fixed_zone, get_zone, offset_at, zone_of
from wassergan.errors import UserError

Whole = NDArray[np.int64]
PROBES = 40  # texts whose looks give candidates, and on which these are tried first
PLAUSIBLE_YEARS = (1900, 2100)
DAYS_APART = 1.5
NUMBERS_NEEDED = {14: 3, 12: 3, 8: 5, 6: 7}  # different digit strings of a width that are all dates by no accident
_TIME = re.compile(
    r"(?P<hour>[ \d]\d|\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:(?P<point>[.,])(?P<fraction>\d{1,9}))?)?"
    r"(?:(?P<gap>[ \u202f\u00a0]?)(?P<half>[AP]M|[ap]m|[AP]\.M\.|[ap]\.m\.))?(?!\d)"
)
_HOUR = re.compile(r"(?<!\d)(?P<hour>\d{1,2})(?P<gap> ?)(?P<half>[AP]M|[ap]m)(?![A-Za-z])")
_ZONE = re.compile(r"(?P<lead> ?(?:GMT|UTC)?)(?P<offset>[+-]\d\d(?::?\d\d)?)(?!\d)|(?P<named>Z| UTC| GMT)(?![A-Za-z])")
DECIMALS_NEEDED = 5  # different decimal numbers that are all months of a plausible year by no accident
_PLAIN = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
CUT, NUMBER = "\0", "\1"  # where the time stands, and where a number does
_UTC = ("Z", " UTC", " GMT")
_TOKEN = re.compile(r"\d+|[A-Za-z]+|[^\dA-Za-z]+")
_HALVES = {"AM": "%p", "PM": "%p", "am": "%P", "pm": "%P", "A.M.": "%.p", "P.M.": "%.p", "a.m.": "%.P", "p.m.": "%.P"}
_VARIANTS = {"%d": ("%d", "%-d"), "%m": ("%m", "%-m"), "%H": ("%H", "%-H"), "%I": ("%I", "%-I")}
_THREE = ("%Y %m %d", "%d %m %Y", "%m %d %Y", "%Y %d %m", "%d %m %y", "%m %d %y", "%y %m %d")
_DIGITS = {14: ("%Y%m%d%H%M%S",), 12: ("%Y%m%d%H%M",), 8: ("%Y%m%d", "%d%m%Y", "%m%d%Y"), 6: ("%Y%m", "%y%m%d")}


@dataclass(frozen=True)
class Reading:
    """A format that all texts are in.

    Args:
        pattern: the format.
        micros: (levels,) microseconds since 1970: of moments where a zone is known, else of the clock.
        zone: whose offsets the texts have; else empty.
        pivot: two-digit years from here on are of the 1900s.
        rivals: other formats that all texts are in as well, with other dates.
    """

    pattern: str
    micros: Whole
    zone: str = ""
    pivot: int = USUAL_PIVOT
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Misfit:
    """The format of most texts.

    Args:
        pattern: the format.
        fits: which of the texts are in it, (levels,).
        other: a format of others; else empty.
        together: how many texts are in either.
    """

    pattern: str
    fits: NDArray[np.bool_]
    other: str = ""
    together: int = 0


def find_dates(levels: Sequence[str], *, order: Sequence[str] = ()) -> Reading | None:
    """The format that all texts are in, and come back from as they are; None if there is none.

    Args:
        levels: different texts.
        order: the same texts, in the order of the table: dates that ascend tell days from months.
    """
    fitting: list[Reading] = []
    reason: NoZoneError | None = None
    for pattern in candidates(levels):
        if not any(_reads_alike(levels[:PROBES], pattern, each) for each in fitting):
            try:
                found = read_all(levels, pattern)
            except NoZoneError as error:  # days and months taken for each other have such offsets too
                reason = reason or error
                continue
            if found is not None:
                fitting.append(found)
    if not fitting and reason is not None:
        raise reason
    if not fitting or not _is_no_accident(levels, fitting[0]):
        return None
    best = _likeliest(fitting, levels, order)
    return Reading(best.pattern, best.micros, best.zone, best.pivot, tuple(f.pattern for f in fitting if f is not best))


def most_fit(levels: Sequence[str]) -> Misfit | None:
    """The format that most texts are in, where not all are in one; None if no text is a date, or all are numbers."""
    if _are_decimals(levels):  # 2.1999 is no February among numbers such as 2.3
        return None
    found = [(pattern, _fits(levels, pattern)) for pattern in candidates(levels)]
    found = [(pattern, fits) for pattern, fits in found if fits.any()]
    if not found:
        return None
    pattern, fits = max(found, key=lambda each: int(each[1].sum()))
    rest = [(other, int((also & ~fits).sum())) for other, also in found]
    other, more = max(rest, key=lambda each: each[1])
    return Misfit(pattern, fits, other if more else "", int(fits.sum()) + more)


def read_all(levels: Sequence[str], pattern: str, zone: str = "", pivot: int | None = None) -> Reading | None:
    """Texts in a format; None if one is not in it, or would be written otherwise.

    Raises:
        UserError: the offsets of the texts are of no zone that is known.
    """
    fast = _iso(levels, pattern)
    if fast is not None:
        return Reading(pattern, fast, zone)
    layout, years = date_format(pattern), _pivot(levels, pattern) if pivot is None else pivot
    try:
        if not all(_fits_one(layout, text, years) for text in levels[:PROBES]):
            return None
        micros = [layout.read(text, pivot=years) for text in levels]
    except (ValueError, KeyError, OverflowError):
        return None
    if "z" not in layout.fields:
        if not all(_same(layout, moment, text, "") for moment, text in zip(micros, levels, strict=True)):
            return None
        ends_in_utc = layout.has_time and layout.has_date and pattern.endswith(_UTC)
        return Reading(pattern, np.array(micros, np.int64), zone or ("UTC" if ends_in_utc else ""), years)
    offsets = [_offset_in(layout, text, moment, years) for text, moment in zip(levels, micros, strict=True)]
    found = zone or zone_of(micros, offsets)
    if found is None:
        if not all(_same(layout, each, text, "", by) for each, text, by in zip(micros, levels, offsets, strict=True)):
            return None
        raise _no_zone(levels, offsets)
    if not all(_same(layout, moment, text, found) for moment, text in zip(micros, levels, strict=True)):
        return None
    return Reading(pattern, np.array(micros, np.int64), found, years)


def _reads_alike(levels: Sequence[str], pattern: str, other: Reading) -> bool:
    layout = date_format(pattern)
    try:
        same = [layout.read(text, pivot=other.pivot) for text in levels]
        return bool(same == other.micros[: len(levels)].tolist())
    except (ValueError, KeyError, OverflowError):
        return False


def _iso(levels: Sequence[str], pattern: str) -> Whole | None:
    """What NumPy reads and writes as fast as it comes; None where it does not."""
    size = {"%Y-%m-%d": 10, "%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%dT%H:%M:%S": 19}.get(pattern)
    if size is None or any(len(text) != size or text[4] != "-" or not text.isascii() for text in levels):
        return None
    try:
        moments = np.array(levels, "datetime64[us]")
    except (ValueError, OverflowError):
        return None
    gap = " " if " " in pattern else "T"
    texts = np.datetime_as_string(moments, unit="D" if size == 10 else "s").tolist()
    written = [text.replace("T", gap) for text in texts]
    return moments.astype(np.int64) if written == list(levels) else None


class NoZoneError(UserError):
    """Offsets that no time zone has."""


def _no_zone(levels: Sequence[str], offsets: Sequence[int]) -> NoZoneError:
    first, other = levels[0], levels[next(i for i, each in enumerate(offsets) if each != offsets[0])]
    return NoZoneError("The offsets from UTC are those of no time zone", found=f"'{first}' and '{other}'")


def _offset_in(layout: DateFormat, text: str, moment: int, pivot: int) -> int:
    match = layout._regex.fullmatch(text)
    assert match is not None
    at = next(i for i, code in enumerate(layout._codes) if code.field == "z")
    return layout._codes[at].read(match[at + 1])


def _same(layout: DateFormat, micros: int, text: str, zone: str, offset: int | None = None) -> bool:
    try:
        return layout.write(micros, fixed_zone(offset) if offset is not None else zone) == text
    except (ValueError, OverflowError):
        return False


def _fits(levels: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    layout, pivot = date_format(pattern), _pivot(levels, pattern)
    return np.array([_fits_one(layout, text, pivot) for text in levels])


def _fits_one(layout: DateFormat, text: str, pivot: int) -> bool:
    try:
        moment = layout.read(text, pivot=pivot)
        if "z" in layout.fields:
            return _same(layout, moment, text, "", _offset_in(layout, text, moment, pivot))
        return layout.write(moment) == text
    except (ValueError, KeyError, OverflowError):
        return False


def _pivot(levels: Sequence[str], pattern: str) -> int:
    """Where two-digit years begin: after the longest gap between them, so that they are one span."""
    layout = date_format(pattern)
    if "y" not in layout.fields or "Y" in layout.fields:
        return USUAL_PIVOT
    at = next(i for i, code in enumerate(layout._codes) if code.field == "y") + 1
    years = sorted({int(match[at]) for text in levels if (match := layout._regex.fullmatch(text))})
    if not years:
        return USUAL_PIVOT
    gaps = [(after - before - 1, after) for before, after in zip(years, [*years[1:], years[0] + 100], strict=True)]
    longest, after = max(gaps)
    start = (after - longest) % 100
    inside = (USUAL_PIVOT - start) % 100 <= longest
    return USUAL_PIVOT if inside or longest < 5 else after % 100


def _is_no_accident(levels: Sequence[str], found: Reading) -> bool:
    """Whether digit strings and decimal numbers are dates, rather than numbers or codes that could be some."""
    bare = [level.removesuffix(".0") for level in levels]
    are_digits = all(text.isdecimal() for text in bare)
    if not are_digits and not _are_decimals(levels):
        return True
    years = found.micros.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970
    low, high = PLAUSIBLE_YEARS
    needed = NUMBERS_NEEDED.get(len(bare[0]), 10**9) if are_digits else DECIMALS_NEEDED
    return len(levels) >= needed and bool(years.min() >= low and years.max() < high)


def _are_decimals(levels: Sequence[str]) -> bool:
    """Whether all texts are plain numbers and some have decimals."""
    return all(map(_PLAIN.fullmatch, levels)) and not all(map(str.isdecimal, levels))


def _likeliest(fitting: Sequence[Reading], levels: Sequence[str], order: Sequence[str]) -> Reading:
    """Of several readings: the one on the same day of each month, else one whose dates ascend, else the first.

    Behind a year of four digits comes the month, wherever that is possible.
    """
    fitting = [each for each in fitting if not re.match("%Y.?%d.?%m", each.pattern)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    for reading in fitting:
        if len(levels) > 2 and len(np.unique(_of_month(reading.micros))) == 1:
            return reading
    for reading in fitting:
        number = dict(zip(levels, reading.micros.tolist(), strict=True))
        told = [number[text] for text in order if text in number]
        if len(levels) > 2 and told and (told == sorted(told) or told == sorted(told, reverse=True)):
            return reading
    # Days of the month are more different than two-digit years.
    spread = [len(np.unique(_of_month(reading.micros))) for reading in fitting]
    return fitting[int(np.argmax(spread))] if max(spread) > DAYS_APART * spread[0] else fitting[0]


def _of_month(micros: Whole) -> Whole:
    days = (micros // DAY).astype("datetime64[D]")
    of_month: Whole = (days - days.astype("datetime64[M]")).astype(np.int64)
    return of_month


def candidates(levels: Sequence[str]) -> tuple[str, ...]:
    """Formats that some of the texts may be in, the likeliest first."""
    step = max(1, len(levels) // PROBES)
    probes = [*levels[::step][:PROBES], min(levels, key=len), max(levels, key=len)]
    counted: dict[str, int] = {}
    for text in dict.fromkeys(probes):
        for pattern in _looks(text.strip()):
            counted[pattern] = counted.get(pattern, 0) + 1
    first = {pattern: at for at, pattern in enumerate(counted)}
    return tuple(sorted(counted, key=lambda pattern: (-counted[pattern], first[pattern])))


@lru_cache(maxsize=4096)
def _looks(text: str) -> tuple[str, ...]:
    """Formats that one text may be in."""
    if not 4 <= len(text) <= 60 or not any(map(str.isdecimal, text)) or not text.isascii() or "%" in text:
        return ()
    if text.isdecimal() or (text.endswith(".0") and text[:-2].isdecimal()):
        bare = text.removesuffix(".0")
        return tuple(_tried(text, (each + text[len(bare) :] for each in _DIGITS.get(len(bare), ()))))
    times, before, after = _time_of(text)
    days = _days_of(before, after)
    found = (before_ + time + after_ for (before_, after_), time in product(days, times))
    return tuple(_tried(text, found))


def _tried(text: str, patterns: Iterator[str]) -> Iterator[str]:
    for pattern in dict.fromkeys(patterns):
        for each in _unpadded(pattern):
            try:
                layout = date_format(each)
            except ValueError:
                continue
            if _fits_one(layout, text, USUAL_PIVOT):
                yield each


def _unpadded(pattern: str) -> Iterator[str]:
    """The format with and without leading zeros, and with blanks instead."""
    codes = [code for code in _VARIANTS if code in pattern]
    if not re.search(r"[^%a-zA-Z-]", pattern):  # digits without a gap cannot be cut otherwise
        yield pattern
        return
    for chosen in product(*(_VARIANTS[code] for code in codes)):
        each = pattern
        for code, variant in zip(codes, chosen, strict=True):
            each = each.replace(code, variant)
        yield each
    if "%d" in pattern:
        yield pattern.replace("%d", "%e")
    if "%H" in pattern:
        yield pattern.replace("%H", "%k")


def _time_of(text: str) -> tuple[tuple[str, ...], str, str]:
    """How the time in a text may be written, and what stands before and after it."""
    match = _TIME.search(text)
    if match:
        half = match["half"]
        seconds = [""]
        if match["second"]:
            fraction = match["fraction"]
            exact = f"{match['point']}%{len(fraction)}f" if fraction else ""
            seconds = [f":%S{exact}", *([":%S%.f", ":%S%.6f", ":%S%.3f"] if match["point"] in (None, ".") else [])]
        end = match["gap"] + _HALVES[half] if half else ""
        hour = "%I" if half else "%H"
        times = tuple(f"{hour}:%M{each}{end}" for each in seconds)
        return _with_zone(times, text[: match.start()], text[match.end() :])
    hour_only = _HOUR.search(text)
    if hour_only:
        time = f"%I{hour_only['gap']}{_HALVES[hour_only['half']]}"
        return _with_zone((time,), text[: hour_only.start()], text[hour_only.end() :])
    return ("",), text, ""


def _with_zone(times: tuple[str, ...], before: str, after: str) -> tuple[tuple[str, ...], str, str]:
    match = _ZONE.match(after)
    if match is None:
        return times, before, after
    rest = after[match.end() :]
    if match["named"]:
        named = match["named"]
        ends = (named, "%Z") if named == "Z" else (named,)
    else:
        offset = match["offset"]
        code = "%:z" if ":" in offset else "%z" if len(offset) > 3 else "%#z"
        ends = (match["lead"] + code, *(("%Z",) if code == "%:z" and not match["lead"] else ()))
    return tuple(time + end for time, end in product(times, ends)), before, rest


def _days_of(before: str, after: str) -> list[tuple[str, str]]:
    """How the date around a time may be written: what goes before the time, and after it."""
    if not before and not after:
        return [("", "")]
    pieces: list[str] = []
    numbers: list[str] = []
    for token in (*_TOKEN.findall(before), CUT, *_TOKEN.findall(after)):
        if token.isdecimal():
            numbers.append(token)
            pieces.append(NUMBER)
        elif token.isalpha():
            piece = _word(token)
            if piece is None:
                return []
            pieces.append(piece)
        else:
            pieces.append(token)
    if len(numbers) > 6:
        return []
    found = []
    for codes in _assigned(numbers, pieces):
        rest = iter(codes)
        pattern = "".join(next(rest) if piece == NUMBER else piece for piece in pieces)
        left, _, right = pattern.partition(CUT)
        found.append((left, right))
    return found


def _word(token: str) -> str | None:
    """The directive, or the literal letter, that a word in a date is."""
    for code, names in (("b", MONTHS), ("B", MONTHS), ("a", WEEKDAYS), ("A", WEEKDAYS)):
        shown = tuple(name[:3] for name in names) if code in "ab" else names
        for style, change in (("", str), ("^", str.upper), ("~", str.lower)):
            if token in map(change, shown):
                # May is the short form of May; _unpadded tries no other, so the long one comes from longer texts.
                return f"%{style}{code}"
    return token if token in ("T", "W", "Q", "Z") else None


def _assigned(numbers: Sequence[str], pieces: Sequence[str]) -> list[tuple[str, ...]]:
    """Which directive each number may be."""
    sizes = [len(number) for number in numbers]
    named = any(piece.endswith(("b", "B")) and piece.startswith("%") for piece in pieces)
    if "W" in pieces:
        return [("%G", "%V", "%u")[: len(sizes)]] if len(sizes) in (2, 3) else []
    if "Q" in pieces:
        return [("%Y", "%q"), ("%q", "%Y")] if len(sizes) == 2 else []
    if named:
        return _with_month(sizes)
    match sizes:
        case []:
            return [()]
        case [8] | [14] | [12] | [6]:
            return [(each,) for each in _DIGITS[sizes[0]]]
        case [8, 6] | [8, 4]:
            return [("%Y%m%d", "%H%M%S" if sizes[1] == 6 else "%H%M")]
        case [4, 3]:
            return [("%Y", "%j")]
        case [4, _]:
            return [("%Y", "%m")]
        case [_, 4]:
            return [("%m", "%Y")]
        case [_, _, _]:
            return _three(sizes)
        case [4, 2, 2, 2, 2] | [4, 2, 2, 2, 2, 2]:
            return [("%Y", "%m", "%d", "%H", "%M", "%S")[: len(sizes)]]
    return []


def _with_month(sizes: Sequence[int]) -> list[tuple[str, ...]]:
    match sizes:
        case [4]:
            return [("%Y",)]
        case [2]:
            return [("%y",)]
        case [4, _]:
            return [("%Y", "%d")]
        case [_, 4]:
            return [("%d", "%Y")]
        case [_, _]:
            return [("%d", "%y"), ("%y", "%d")]
    return []


def _three(sizes: Sequence[int]) -> list[tuple[str, ...]]:
    if max(sizes) > 4 or sizes.count(4) > 1 or 3 in sizes:
        return []
    long = sizes.index(4) if 4 in sizes else None
    found = []
    for each in _THREE:
        codes = tuple(each.split())
        at = codes.index("%Y") if "%Y" in codes else None
        year = codes.index("%y") if "%y" in codes else None
        if at == long and (year is None or sizes[year] == 2):
            found.append(codes)
    return found


def zone_is_known(zone: str) -> bool:
    """Whether offsets of a zone can be told here."""
    try:
        get_zone(zone)
    except UserError:
        return False
    return True


def clock_of(micros: Whole, zone: str) -> Whole:
    """What clocks in a zone show at moments, (n,) microseconds."""
    return micros + np.array([offset_at(zone, each) for each in micros.tolist()], np.int64) * SECOND
