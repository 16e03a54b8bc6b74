"""Which format the dates of a column are in: candidates from how the texts look, tried on every one of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.date_looks import PROBES, candidates
from wassergan.data.tables.date_roundtrip import comes_back, fits_one, offset_in
from wassergan.data.tables.date_texts import DAY, SECOND, USUAL_PIVOT, date_format
from wassergan.data.tables.zones import get_zone, offset_at, zone_of
from wassergan.errors import UserError

Whole = NDArray[np.int64]
PLAUSIBLE_YEARS = (1900, 2100)
DAYS_APART = 1.5
NUMBERS_NEEDED = {14: 3, 12: 3, 8: 5, 6: 7}  # different digit strings of a width that are all dates by no accident
DECIMALS_NEEDED = 5  # different decimal numbers that are all months of a plausible year by no accident
_PLAIN = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_UTC = ("Z", " UTC", " GMT")


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
        if not all(fits_one(layout, text, years) for text in levels[:PROBES]):
            return None
        micros = [layout.read(text, pivot=years) for text in levels]
    except (ValueError, KeyError, OverflowError):
        return None
    if "z" not in layout.fields:
        if not all(comes_back(layout, moment, text, "") for moment, text in zip(micros, levels, strict=True)):
            return None
        ends_in_utc = layout.has_time and layout.has_date and pattern.endswith(_UTC)
        return Reading(pattern, np.array(micros, np.int64), zone or ("UTC" if ends_in_utc else ""), years)
    offsets = [offset_in(layout, text, moment, years) for text, moment in zip(levels, micros, strict=True)]
    found = zone or zone_of(micros, offsets)
    if found is None:
        if not all(
            comes_back(layout, each, text, "", by) for each, text, by in zip(micros, levels, offsets, strict=True)
        ):
            return None
        raise _no_zone(levels, offsets)
    if not all(comes_back(layout, moment, text, found) for moment, text in zip(micros, levels, strict=True)):
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


def _fits(levels: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    layout, pivot = date_format(pattern), _pivot(levels, pattern)
    return np.array([fits_one(layout, text, pivot) for text in levels])


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
