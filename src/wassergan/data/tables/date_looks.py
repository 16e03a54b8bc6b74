"""Formats that a date's text may be in, by how it looks: what is a time, a zone, a month, and which number is what."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

from wassergan.data.tables.date_roundtrip import fits_one
from wassergan.data.tables.date_texts import MONTHS, USUAL_PIVOT, WEEKDAYS, date_format

PROBES = 40  # texts whose looks give candidates, and on which these are tried first
_TIME = re.compile(
    r"(?P<hour>[ \d]\d|\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:(?P<point>[.,])(?P<fraction>\d{1,9}))?)?"
    r"(?:(?P<gap>[ \u202f\u00a0]?)(?P<half>[AP]M|[ap]m|[AP]\.M\.|[ap]\.m\.))?(?!\d)"
)
_HOUR = re.compile(r"(?<!\d)(?P<hour>\d{1,2})(?P<gap> ?)(?P<half>[AP]M|[ap]m)(?![A-Za-z])")
_ZONE = re.compile(r"(?P<lead> ?(?:GMT|UTC)?)(?P<offset>[+-]\d\d(?::?\d\d)?)(?!\d)|(?P<named>Z| UTC| GMT)(?![A-Za-z])")
CUT, NUMBER = "\0", "\1"  # where the time stands, and where a number does
_TOKEN = re.compile(r"\d+|[A-Za-z]+|[^\dA-Za-z]+")
_HALVES = {"AM": "%p", "PM": "%p", "am": "%P", "pm": "%P", "A.M.": "%.p", "P.M.": "%.p", "a.m.": "%.P", "p.m.": "%.P"}
_VARIANTS = {"%d": ("%d", "%-d"), "%m": ("%m", "%-m"), "%H": ("%H", "%-H"), "%I": ("%I", "%-I")}
_THREE = ("%Y %m %d", "%d %m %Y", "%m %d %Y", "%Y %d %m", "%d %m %y", "%m %d %y", "%y %m %d")
_DIGITS = {14: ("%Y%m%d%H%M%S",), 12: ("%Y%m%d%H%M",), 8: ("%Y%m%d", "%d%m%Y", "%m%d%Y"), 6: ("%Y%m", "%y%m%d")}


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
            if fits_one(layout, text, USUAL_PIVOT):
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
