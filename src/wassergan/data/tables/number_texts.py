"""Numbers as people write them: signs, decimal commas, thousands, currencies and units; off and on again."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from wassergan.data.tables.floating import EXPONENT
from wassergan.data.tables.number_dress import MINUSES, Dress

DECIMALS = (".", ",")
THOUSANDS = (",", ".", " ", "\u00a0", "\u202f", "'", "\u2019", "_")
Signs = tuple[str, str]  # decimal and thousands
GROUPED_NUMBERS = 30
LONGEST_AFFIX = 12
PROBES = 200
FEW_AFFIXES = 6  # more kinds of prefixes and suffixes than this are text
CURRENCIES = frozenset(
    (
        "AED",
        "ARS",
        "AUD",
        "BGN",
        "BRL",
        "CAD",
        "CHF",
        "CLP",
        "CNY",
        "COP",
        "CZK",
        "DKK",
        "EGP",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "JPY",
        "KES",
        "KRW",
        "MAD",
        "MXN",
        "MYR",
        "NGN",
        "NOK",
        "NZD",
        "PEN",
        "PHP",
        "PKR",
        "PLN",
        "RON",
        "RSD",
        "RUB",
        "SAR",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "TWD",
        "UAH",
        "USD",
        "VND",
        "ZAR",
        "Rs",
        "Rs.",
        "kr",
        "kr.",
        "Fr.",
        "Kč",
        "zł",
    )
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:\.([0-9]+))?([eE])([+-]?)([0-9]+)")


@dataclass(frozen=True)
class Parts:
    """A text that holds one number."""

    before: str
    body: str
    after: str
    sign: str  # "", "+", one of MINUSES, "()", or "12-"
    inner: bool

    @property
    def mantissa(self) -> str:
        """The number without its exponent."""
        return EXPONENT.sub("", self.body)

    @property
    def power(self) -> str:
        """The exponent with its mark; empty where there is none."""
        return self.body[len(self.mantissa) :]

    @property
    def affixes(self) -> tuple[str, str]:
        """What stands around the number and its sign."""
        return self.before, self.after


def parts_of(text: str) -> Parts | None:
    """A text around its number; None where there is none, or other digits besides."""
    first = next((at for at, letter in enumerate(text) if letter in "0123456789"), None)
    if first is None:
        return None
    is_bare = first > 0 and text[first - 1] in DECIMALS and not text[max(0, first - 2) : first - 1].isalpha()
    first -= is_bare
    last = max(at for at, letter in enumerate(text) if letter in "0123456789")
    last += text[last + 1 : last + 2] in DECIMALS and text[last + 2 :].strip()[:1] in ("", "%")
    before, body, after = text[:first], text[first : last + 1], text[last + 1 :]
    if before.strip().startswith("(") and after.strip().endswith(")") and "-" not in before:
        lead = before.replace("(", "", 1)
        return Parts(lead, body, "".join(after.rsplit(")", 1)), "()", inner=False)
    for sign in (*MINUSES, "+"):
        if before.count(sign) == 1 and (before.endswith(sign) or before.lstrip().startswith(sign)):
            rest = before.replace(sign, "")
            return Parts(rest, body, after, sign, inner=bool(rest) and before.endswith(sign))
    if after.startswith("-"):
        return Parts(before, body, after[1:], "12-", inner=False)
    return Parts(before, body, after, "", inner=False)


def is_affix(before: str, after: str) -> bool:
    """Whether texts around a number are a currency or a unit, rather than parts of a name."""
    if len(before) > LONGEST_AFFIX or len(after) > LONGEST_AFFIX:
        return False
    lead = before.strip()
    symbol = any(unicodedata.category(letter) == "Sc" for letter in lead)
    if lead and not (lead in CURRENCIES or (symbol and len(lead) <= 4) or lead in ("~", "<", ">", "\u2248", "\u00b1")):
        return False
    return (
        not after or after[0].isspace() or after[0].isalpha() or after[0] in "%\u2030\u00b0'\"/" or _is_currency(after)
    )


def _is_currency(text: str) -> bool:
    return unicodedata.category(text[0]) == "Sc"


@dataclass(frozen=True)
class Dressed:
    """Numbers of a column, out of their dress.

    Args:
        dress: how they are written.
        plain: the same numbers as Python reads them.
        rival: another way to read all of them, which gives other numbers; else None.
    """

    dress: Dress
    plain: list[str]
    rival: Dress | None = None


def undressed(
    levels: Sequence[str],
    *,
    decimal: str = "",
    thousands: str | None = None,
    evidence: str = "",
    prefix: str | None = None,
    suffix: str | None = None,
) -> Dressed | None:
    """Numbers out of their dress; None if not all texts are numbers in one dress.

    Args:
        levels: different texts.
        decimal: the decimal sign, if the user says so.
        thousands: between groups of digits, if the user says so.
        evidence: the decimal sign of the rest of the file; decides where a text such as 1.234 can be both.
        prefix: in front of every number, if the user says so.
        suffix: behind every number, if the user says so.
    """
    is_wished = (prefix, suffix) != (None, None)
    if len(levels) > PROBES and _all_parts(levels[:PROBES], is_wished=is_wished) is None:
        return None
    parts = _all_parts(levels, is_wished=is_wished)
    if parts is None:
        return None
    parts = _brackets_kept(parts)
    width = _right_aligned(levels)
    affixes = _common_affixes(parts, width, prefix, suffix)
    signs = _signs_of(parts)
    if affixes is None or signs is None:
        return None
    bodies = [part.body for part in parts]
    is_other = width > 0 or any(part.sign == "+" for part in parts)
    scientific = None if is_other else _scientific_of(bodies, affixes, signs)
    if scientific is not None:
        return Dressed(scientific, [("-" if part.sign in MINUSES else "") + part.body for part in parts])
    common = {"prefix": affixes[0], "suffix": affixes[1], "width": width, **signs}
    mantissas = [part.mantissa for part in parts]
    thousands = "" if all(map(str.__ne__, mantissas, bodies)) else thousands  # the numbers before an exponent are short
    ways = [_read(parts, mantissas, reading, common) for reading in _readings(mantissas, decimal, thousands)]
    if not ways:
        return None
    ways.sort(key=lambda way: _rank(way, levels, evidence))
    return Dressed(ways[0].dress, ways[0].plain, ways[1].dress if len(ways) > 1 else None)


def _all_parts(levels: Sequence[str], *, is_wished: bool) -> list[Parts] | None:
    """Every text around its number; None if one holds none, or is too different from the first."""
    parts = []
    for text in levels:
        part = parts_of(text)
        if part is None or len(part.before.strip()) > LONGEST_AFFIX or len(part.after) > LONGEST_AFFIX:
            return None
        parts.append(part)
    kinds = {(part.before.strip(), part.after.strip()) for part in parts[:PROBES]}
    alike = len(kinds) == 1 and (is_wished or is_affix(*next(iter(kinds))))
    brackets = {part.sign for part in parts[:PROBES]} == {"()"}
    return parts if alike or brackets else None


def _common_affixes(
    parts: Sequence[Parts], width: int, prefix: str | None, suffix: str | None
) -> tuple[str, str] | None:
    """What stands around every number; blanks that vary do not count."""
    affixes = Counter((part.before.strip() if width else part.before, part.after) for part in parts)
    if len({(before.strip(), after.strip()) for before, after in affixes}) > 1:
        return None
    commonest = affixes.most_common(1)[0][0]
    wished = (commonest[0] if prefix is None else prefix, commonest[1] if suffix is None else suffix)
    if (prefix, suffix) != (None, None) and wished == commonest:
        return commonest
    return commonest if is_affix(*commonest) and wished == commonest else None


def _read(parts: Sequence[Parts], bodies: Sequence[str], reading: "Signs", common: dict[str, Any]) -> Dressed:
    point, group = reading
    plain = [_plain(part, point, group) for part in parts]
    dress = Dress(
        decimal=point,
        thousands=group,
        least=_least(bodies, group),
        indian=_is_indian(bodies, group),
        plus=_plus_of(parts, plain),
        pad=0 if group else _pad_of(bodies, point),
        bare=any(body[0] == point for body in bodies),
        open=any(body[-1] == point for body in bodies),
        **common,
    )
    return Dressed(dress, plain)


def affix_counts(levels: Sequence[str]) -> Counter[tuple[str, str]]:
    """What stands around the numbers of texts, and how often; texts without a number do not count."""
    found = (parts_of(text) for text in levels)
    return Counter(part.affixes for part in found if part is not None and is_affix(*part.affixes))


def sure_decimal(levels: Sequence[str]) -> str:
    """The decimal sign of texts that are numbers in no more than one way; empty if they do not tell."""
    found = undressed(levels)
    if found is None or found.dress.mark or found.rival is not None:
        return ""
    told = any("." in each for each in found.plain) or found.dress.thousands in DECIMALS
    return found.dress.decimal if told else ""


def _brackets_kept(parts: list[Parts]) -> list[Parts]:
    """Brackets around every number are no sign."""
    if all(part.sign == "()" for part in parts):
        return [Parts(part.before + "(", part.body, ")" + part.after, "", inner=False) for part in parts]
    return parts


def _right_aligned(levels: Sequence[str]) -> int:
    sizes = {len(text) for text in levels}
    leads = {len(text) - len(text.lstrip(" ")) for text in levels}
    return sizes.pop() if len(sizes) == 1 and len(leads) > 1 else 0


def _signs_of(parts: Sequence[Parts]) -> dict[str, Any] | None:
    minuses = {part.sign for part in parts} - {"", "+"}
    inner = {part.inner for part in parts if part.sign in (*MINUSES, "+") and part.before}
    if len(minuses) > 1 or len(inner) > 1:
        return None
    return {"minus": minuses.pop() if minuses else "-", "inner": True in inner}


def _plus_of(parts: Sequence[Parts], plain: Sequence[str]) -> str:
    above = [part.sign == "+" for part, text in zip(parts, plain, strict=True) if _is_above(text)]
    zero = [part.sign == "+" for part, text in zip(parts, plain, strict=True) if float(text) == 0]
    if not any(above) and not any(zero):
        return ""
    return "+0" if zero and all(zero) else "+"


def _is_above(plain: str) -> bool:
    return not plain.startswith("-") and float(plain) != 0


def _scientific_of(bodies: Sequence[str], affixes: tuple[str, str], signs: dict[str, Any]) -> Dress | None:
    matches = [_SCIENTIFIC.fullmatch(body) for body in bodies]
    found = [match for match in matches if match is not None]
    if len(found) < len(matches):
        return None
    marks, digits = {match[2] for match in found}, {len(match[1] or "") for match in found}
    pluses = {match[3] for match in found} - {"-"}
    if len(marks) > 1 or len(digits) > 1 or len(pluses) > 1 or signs["minus"] != "-" or affixes[0]:
        return None
    mark = marks.pop() + ("+" if pluses == {"+"} or not pluses else "")
    return Dress(mark=mark, exponent=min(len(match[4]) for match in found), suffix=affixes[1])


def _readings(bodies: Sequence[str], decimal: str, thousands: str | None) -> list["Signs"]:
    """Decimal and thousands sign, for every way to read all bodies."""
    seen = {letter for body in bodies for letter in body if letter not in "0123456789"}
    groups = ["", *sorted(seen)] if thousands is None else ["", *({thousands} & seen)]
    points = [decimal] if decimal else DECIMALS
    found = []
    for group, point in product(groups, points):
        others = seen - {group, point}
        usual = not group or group in THOUSANDS or group == thousands
        if group == point or others or not usual or (thousands and not group and thousands in seen):
            continue
        # A decimal sign that no text shows is the usual one beside the thousands.
        if not decimal and point not in seen and point != ("," if group == "." else "."):
            continue
        if all(_fits(body, point, group) for body in bodies):
            found.append((point, group))
    return found


def _fits(body: str, point: str, group: str) -> bool:
    whole, has_point, fraction = body.partition(point)
    if fraction and not fraction.isdecimal():
        return False
    if not whole:
        return bool(has_point)
    if not group or group not in whole:
        return whole.isdecimal()
    first, *rest = whole.split(group)
    if not all(each.isdecimal() for each in (first, *rest)) or first.startswith("0") or len(rest[-1]) != 3:
        return False
    usual = len(first) <= 3 and all(len(each) == 3 for each in rest)
    return usual or (len(first) <= 2 and all(len(each) == 2 for each in rest[:-1]) and group == ",")


def _rank(way: Dressed, levels: Sequence[str], evidence: str) -> tuple[bool, bool, bool, bool, bool]:
    """Lower is likelier: written back as it was; as the rest of the file; in English; with a fraction."""
    dress = way.dress
    changes = any(dress.wear(text) != level for text, level in zip(way.plain, levels, strict=True))
    fractions = [EXPONENT.sub("", text).partition(".")[2] for text in way.plain]
    places = min(map(len, fractions))
    changes |= any(len(each) > places and each.endswith("0") for each in fractions)  # 1.300 and 2 is no way to write
    against = bool(evidence) and dress.decimal != evidence
    return changes, against, _is_rather_grouped(way, levels), dress.decimal != ".", bool(dress.thousands)


def _is_rather_grouped(way: Dressed, levels: Sequence[str]) -> bool:
    """Whether numbers of three decimals or none are rather grouped: of so many, some would have fewer decimals."""
    fractions = [text.partition(".")[2] for text in way.plain]
    some = [each for each in fractions if each]
    return (
        not way.dress.thousands
        and len(some) >= GROUPED_NUMBERS
        and len(some) < len(levels)
        and {*map(len, some)} == {3}
    )


def _plain(part: Parts, point: str, group: str) -> str:
    whole, _, fraction = part.mantissa.partition(point)
    whole = (whole.replace(group, "") if group else whole).lstrip("0") or "0"
    sign = "-" if part.sign in (*MINUSES, "()", "12-") else ""
    return f"{sign}{whole}.{fraction}{part.power}" if fraction else f"{sign}{whole}{part.power}"


def _least(bodies: Sequence[str], group: str) -> int:
    """From how many digits on numbers are grouped: 4, or 5 where those of 4 are not."""
    if not group:
        return 4
    four = [body for body in bodies if group not in body]
    longest = max((len(re.match(r"[0-9]*", body)[0]) for body in four), default=0)  # type: ignore[index]
    return max(4, longest + 1)


def _is_indian(bodies: Sequence[str], group: str) -> bool:
    return bool(group) and any(len(each) == 2 for body in bodies for each in body.split(group)[1:-1])


def _pad_of(bodies: Sequence[str], point: str) -> int:
    """Digits of the shortest whole part, if some start with a zero that means nothing."""
    wholes = [body.partition(point)[0] for body in bodies]
    padded = [whole for whole in wholes if len(whole) > 1 and whole.startswith("0")]
    return min(map(len, wholes)) if padded else 0
