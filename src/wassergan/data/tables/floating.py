"""Numbers as programs print them: significant digits, and an exponent where a number is large or small."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXPONENT = re.compile(r"([eE])([+-]?)([0-9]+)$")
ALWAYS = 10_000  # beyond the exponent of any float64
MOST_FIXED = 12  # decimals of numbers that have as many as were written, rather than as many as there are
MOST_DIGITS = 17  # that tell a float64 from all others
SHORTEST_DIGITS = 16  # from so many digits on, numbers are rather the shortest texts that are read as themselves
ACCIDENT_DIGITS = 6  # so many zeros that fixed decimals would have by accident tell of significant digits
SMALLEST_POSITIONAL = -4  # exponent, in C, Python and R


@dataclass(frozen=True)
class Floating:
    """How many digits are written, and when an exponent is.

    Args:
        digits: significant digits; 0 for as many as tell the number from all others.
        zeros: zeros at the end of the digits are written: 1.50.
        places: digits behind the point at least, of numbers without exponent.
        mantissa: the same, of numbers with one: 1 in `1.0E5`.
        low: numbers below this power of ten have an exponent.
        high: numbers from this power of ten on have one.
        shorter: numbers have an exponent where that is shorter, whatever their size, as R writes them.
        mark: of the exponent, `e` or `E`, with its sign: `e`, `E`, `e+` or `E+`.
        exponent: digits of the exponent at least.
    """

    digits: int = 0
    zeros: bool = False
    places: int = 0
    mantissa: int = 0
    low: int = SMALLEST_POSITIONAL
    high: int = ALWAYS
    shorter: bool = False
    mark: str = "e+"
    exponent: int = 2

    def text(self, value: float) -> str:
        """A number, with a point as decimal sign."""
        sign = "-" if math.copysign(1.0, value) < 0 else ""
        if value == 0 and self.low == ALWAYS:
            return sign + self._scientific("0" * max(1, self.digits * self.zeros), 0)
        if value == 0:
            count = max(self.digits - 1, 0) if self.zeros else self.places
            return sign + ("0." + "0" * count if count else "0")
        quick = self._quick(abs(value))
        if quick:
            return sign + quick
        figures, power = self._figures(abs(value))
        plain = positional(figures, power, self.places)
        if not (self.shorter or power < self.low or power >= self.high):
            return sign + plain
        scientific = self._scientific(figures, power)
        return sign + (plain if self.shorter and len(plain) <= len(scientific) else scientific)

    def _quick(self, value: float) -> str:
        """The text of most numbers, which C or Python would write just so; empty where that is not certain."""
        if self.zeros or self.shorter or self.low > -4 or value >= 10.0 ** min(self.high, 15):
            return ""
        text = f"{value:.{self.digits}g}" if self.digits else repr(value).removesuffix(".0")
        places = len(text.partition(".")[2]) if self.places else 0
        return "" if "e" in text or places < self.places or value < 1e-4 else text

    def _figures(self, value: float) -> tuple[str, int]:
        """Significant digits, and the power of ten of the first."""
        text = f"{value:.{self.digits - 1}e}" if self.digits else shortest(value)
        mantissa, _, power = text.partition("e")
        figures = mantissa.replace(".", "")
        return (figures if self.zeros else figures.rstrip("0")), int(power)

    def _scientific(self, figures: str, power: int) -> str:
        fraction = figures[1:].ljust(self.mantissa, "0")
        sign = "-" if power < 0 else "+" if self.mark.endswith("+") else ""
        point = "." if fraction else ""
        return f"{figures[0]}{point}{fraction}{self.mark[0]}{sign}{str(abs(power)).zfill(self.exponent)}"

    def rounded(self, value: float) -> float:
        """To the significant digits."""
        return float(f"{value:.{self.digits - 1}e}") if self.digits else value

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)


def shortest(value: float) -> str:
    """The shortest text with an exponent that is read as the same number."""
    figures, power = _split(repr(value))
    return f"{figures[0]}.{figures[1:]}e{power}"


def positional(figures: str, power: int, places: int) -> str:
    """Digits without exponent, with so many behind the point at least."""
    if power < 0:
        whole, fraction = "0", "0" * (-power - 1) + figures
    else:
        whole, fraction = figures[: power + 1].ljust(power + 1, "0"), figures[power + 1 :]
    fraction = fraction.ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _split(plain: str) -> tuple[str, int]:
    """Digits from the first that is not 0, with zeros at the end where a point stands, and its power of ten."""
    mantissa, _, power = plain.lstrip("+-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    figures = (whole + fraction).lstrip("0")
    shift = len(whole) - (len(whole + fraction) - len(figures)) - 1
    return figures or "0", shift + int(power or 0)


@dataclass(frozen=True)
class Printed:
    """What the texts of a column show, as Python reads them.

    Args:
        figures: most significant digits, without zeros at the end.
        decimals: most digits behind the point that values need.
        is_floating: digits are significant ones, rather than decimals.
    """

    figures: int
    decimals: int
    is_floating: bool


def printed(plain: Iterable[str]) -> Printed:
    """What texts show; those of 0 show nothing."""
    parts = [_split(text) for text in plain if text.strip("+-0.")]
    sizes = [(len(figures.rstrip("0")), power) for figures, power in parts if figures != "0"]
    figures = max((size for size, _ in sizes), default=1)
    decimals = max((size - 1 - power for size, power in sizes), default=0)
    # Zeros that would stand at the end by accident: if decimals were fixed, and if significant digits were.
    spare = [max(decimals, 0) - max(figures - 1 - power, 0) for _, power in sizes]
    of_fixed, of_floating = sum(each for each in spare if each > 0), -sum(each for each in spare if each < 0)
    full = {power for size, power in sizes if size == figures}
    is_floating = of_fixed >= ACCIDENT_DIGITS and of_fixed > of_floating
    return Printed(figures, max(decimals, 0), is_floating and len(full) > 1)


def floatings(plain: Sequence[str]) -> list[Floating]:
    """Ways to print that texts may come from, the likeliest first; none fits all of them for certain."""
    shown = printed(plain)
    rules = _rules(plain)
    if rules is None:
        return []
    texts = [text for text in plain if not EXPONENT.search(text)]
    kept = max((len(_split(text)[0]) for text in plain if "." in text), default=0)
    digits = [shown.figures if shown.is_floating or shown.decimals > MOST_FIXED else 0]
    if shown.figures >= SHORTEST_DIGITS:
        digits = [0, shown.figures] if shown.figures <= MOST_DIGITS else [0]
    found = [
        Floating(each, places=_least_places(texts, is_likely=each == 0), **rule) for rule in rules for each in digits
    ]
    if kept:
        found += [Floating(min(kept, MOST_DIGITS), zeros=True, **rule) for rule in rules]
    return found


def _least_places(texts: Iterable[str], *, is_likely: bool) -> int:
    """Digits behind the point that are always written; where no zero tells, one if that is likely."""
    fractions = [text.partition(".")[2] for text in texts]
    least = min(map(len, fractions), default=0)
    return least if any(each.endswith("0") for each in fractions) else min(least, int(is_likely))


def _rules(plain: Sequence[str]) -> list[dict[str, Any]] | None:
    """When texts have an exponent, and how it is written; None where it is written in several ways."""
    matches = [(text, EXPONENT.search(text)) for text in plain]
    marked = [(text, match) for text, match in matches if match is not None]
    if not marked:
        return [{}]
    letters = {match[1] for _, match in marked}
    signs = {match[2] for _, match in marked} - {"-"}
    if len(letters) > 1 or len(signs) > 1:
        return None
    sign = "+" if signs != {""} else ""
    mark, exponent = letters.pop() + sign, min(len(match[3]) for _, match in marked)
    mantissas = (EXPONENT.sub("", text) for text, _ in marked)
    mantissa = _least_places(mantissas, is_likely=(mark, exponent) == ("E", 1))  # as Java writes them
    style = {"mark": mark, "exponent": exponent, "mantissa": mantissa}
    with_one = {_split(text)[1] for text, match in marked if EXPONENT.sub("", text).strip("+-0.")}
    without = {_split(text)[1] if text.strip("+-0.") else 0 for text, match in matches if match is None}
    return [{**style, **bounds} for bounds in _bounds(with_one, without)]


def _bounds(with_one: set[int], without: set[int]) -> list[dict[str, Any]]:
    """Powers of ten between which numbers have no exponent; else, that the shorter text is written."""
    if not without:
        return [{"low": ALWAYS}]
    first, last = min(without), max(without)
    below = {power for power in with_one if power < first}
    above = {power for power in with_one if power > last}
    if with_one - below - above:
        return [{"shorter": True}]
    low = max(below) + 1 if below else min(first, SMALLEST_POSITIONAL)
    if below and low <= SMALLEST_POSITIONAL <= first:
        low = SMALLEST_POSITIONAL
    return [{"low": low, "high": min(above) if above else ALWAYS}, {"shorter": True}]
