"""Columns of text as numbers or dates: their form and values, and in words what had to be decided."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.date_finding import Reading, find_dates, read_all
from wassergan.data.tables.date_texts import date_format
from wassergan.data.tables.floating import MOST_FIXED, floatings, printed
from wassergan.data.tables.formats import DateForm, NumberForm, Values
from wassergan.data.tables.number_dress import Dress
from wassergan.data.tables.number_texts import (
    DECIMALS,
    FEW_AFFIXES,
    PROBES,
    Dressed,
    affix_counts,
    parts_of,
    sure_decimal,
    undressed,
)
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.steps import LARGEST_EXACT
from wassergan.errors import parameter

EVIDENCE_LEVELS = 2000
CHANGES_SHOWN = 3
MOST_AFFIXES = 100
PLAIN = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
CODE_DIGITS, CODE_ROWS = 9, 20  # digit strings of one width, this long and in so many rows, may be codes
CARD_DIGITS = range(13, 20)
GROUPS_OF_A_CODE = 3


@dataclass(frozen=True)
class Found:
    """What a column of text holds.

    Args:
        form: how values are written.
        values: (levels,) of its different texts.
        notes: what was decided, or is written otherwise, as predicates of a sentence.
    """

    form: NumberForm | DateForm
    values: Values
    notes: tuple[str, ...] = ()


def decimal_of(table: RawTable) -> str:
    """The decimal sign of a table's numbers, where it is certain of some and the same for all of them; else empty."""
    signs = {sure_decimal(levels) for levels in table.texts(EVIDENCE_LEVELS)} - {""}
    return signs.pop() if len(signs) == 1 else ""


def numbers_of(levels: Sequence[str], wish: ColumnSpec, *, evidence: str = "", delimiter: str = "") -> Found | None:
    """Texts as numbers in one dress; None if they are not.

    Args:
        levels: different texts.
        wish: what the user says about the column.
        evidence: the decimal sign of the rest of the file.
        delimiter: of the file: commas between its fields are no decimal signs.
    """
    if not wish.is_dressed and all(map(_WHOLE.fullmatch, levels)):
        return Found(NumberForm(0, 0, whole=True), np.array([float(text) for text in levels]))
    found = undressed(
        levels,
        decimal=wish.decimal or "",
        thousands=wish.thousands,
        evidence=evidence or _weak_evidence(levels, delimiter),
        prefix=wish.prefix,
        suffix=wish.suffix,
    )
    if found is None or (found.dress.pad and wish.kind is None):
        found = _plain_numbers(levels) if not wish.is_dressed else None
    if found is None:
        return None
    values = np.array([float(text) for text in found.plain])
    if not np.isfinite(values).all():
        return Found(NumberForm(None), values)
    form, written = _form_of(found, values, levels)
    notes = () if found.rival is None or wish.is_dressed else (_decided(found.dress, levels, found.plain),)
    return Found(form, values, (*notes, *_changes(written, levels)))


def _weak_evidence(levels: Sequence[str], delimiter: str) -> str:
    """Fields are cut at semicolons where commas are decimal signs."""
    return "," if delimiter == ";" and any("," in text for text in levels) else ""


def _plain_numbers(levels: Sequence[str]) -> Dressed | None:
    """Numbers as Python reads them, with and without exponents."""
    if not all(PLAIN.fullmatch(level.strip()) for level in levels):
        return None
    return Dressed(Dress(), [level.strip().lstrip("+") for level in levels])


def _form_of(found: Dressed, values: Values, levels: Sequence[str]) -> tuple[NumberForm, list[str]]:
    """The form that writes most texts as they are, of those that keep every value; and what it writes."""
    others: list[tuple[int, NumberForm]] = []
    probes, probed = values[:PROBES], levels[:PROBES]
    for form in _forms_of(found, values):
        kept = sum(map(str.__eq__, form.texts(probes), probed))
        if kept == len(probed):
            written = form.texts(values)
            if written == list(levels):
                return form, written
        others.append((kept, form))
    for _, form in sorted(others, key=lambda each: -each[0]):
        written = form.texts(values)
        if _keeps(form, written, values):
            return form, written
    form = NumberForm(None, dress=replace(found.dress, mark="", exponent=0))
    return form, form.texts(values)


def _keeps(form: NumberForm, written: Sequence[str], values: Values) -> bool:
    """Whether texts are read as the values that they are written for."""
    try:
        return bool((form.read(written) == values).all())
    except ValueError:
        return False


def _forms_of(found: Dressed, values: Values) -> Iterator[NumberForm]:
    """Forms that the texts may have, the likeliest first."""
    dress = found.dress
    if dress.mark:
        fraction = re.split("[eE]", found.plain[0])[0].partition(".")[2]
        yield NumberForm(None, dress=dress, mantissa=len(fraction))
        dress = replace(dress, mark="", exponent=0)
    step = max(1, len(found.plain) // EVIDENCE_LEVELS)
    has_power = any("e" in text or "E" in text for text in found.plain)
    digits = [text.partition(".")[2] for text in found.plain] if not has_power else []
    if digits and not any(digits):
        yield NumberForm(0, 0, whole=True, dress=dress)
        return
    shown = printed(found.plain if has_power else found.plain[::step])
    fixed = None
    if digits:
        places, decimals = min(map(len, digits)), max(len(each.rstrip("0")) for each in digits)
        # So many digits are what float64 prints where a sum did not come out even.
        fixed = NumberForm(None if decimals > MOST_FIXED else decimals, places, dress=dress)
        if not shown.is_floating:
            yield fixed
    decimals_kept = None if shown.is_floating or shown.decimals > MOST_FIXED else shown.decimals
    whole = decimals_kept == 0 and bool((np.abs(values) <= LARGEST_EXACT).all())
    for floating in floatings(found.plain):
        known = None if floating.digits else decimals_kept
        yield NumberForm(known, 0, whole=whole and not floating.places, dress=dress, floating=floating)
    if fixed is not None and shown.is_floating:
        yield fixed
    if decimals_kept is not None:
        yield NumberForm(decimals_kept, 0, whole=whole, dress=dress)
    yield NumberForm(None, dress=dress)


def _decided(dress: Dress, levels: Sequence[str], plain: Sequence[str]) -> str:
    at = next((at for at, text in enumerate(levels) if any(sign in text for sign in DECIMALS)), 0)
    other = f'{{"decimal": "{"," if dress.decimal == "." else "."}"}}'
    read = f"is read with '{levels[at].strip()}' as {plain[at]}"
    return f"{read}; if it means something else, say {other} in a {parameter('schema')} file"


def _changes(written: Sequence[str], levels: Sequence[str]) -> tuple[str, ...]:
    """Texts that are written otherwise than they were."""
    changed = [(old, new) for old, new in zip(levels, written, strict=True) if old != new]
    if not changed:
        return ()
    shown = ", ".join(f"'{old}' as '{new}'" for old, new in changed[:CHANGES_SHOWN])
    more = f", and {len(changed) - CHANGES_SHOWN} more" if len(changed) > CHANGES_SHOWN else ""
    return (f"is written in one way: {shown}{more}",)


def are_codes(levels: Sequence[str], rows: int) -> bool:
    """Whether digits are names rather than amounts: zip codes, phone and card numbers.

    Codes have leading zeros; or are long, of one width, nearly all different, and either pass the check of card numbers
    or have first digits from all over; or are three or more groups of digits, all alike.
    """
    if not levels or not all(level.isascii() for level in levels):
        return False
    if all(level.isdigit() for level in levels):
        if any(level.startswith("0") and len(level) > 1 for level in levels):
            return True
        width = len(levels[0])
        if width < CODE_DIGITS or rows < CODE_ROWS or len(levels) < rows / 2 or {*map(len, levels)} != {width}:
            return False
        return (width in CARD_DIGITS and all(map(passes_luhn, levels))) or _fills_a_decade(levels)
    groups = [re.split("[ -]", level.removeprefix("+")) for level in levels[:EVIDENCE_LEVELS]]
    shapes = {tuple(map(len, each)) for each in groups}
    is_alike = len(shapes) == 1 and len(groups[0]) >= GROUPS_OF_A_CODE and len(levels) >= CODE_ROWS
    return is_alike and all(part.isdigit() for each in groups for part in each)


def _fills_a_decade(levels: Sequence[str]) -> bool:
    """Whether all first digits from 2 to 9 occur, as in no amount and in no moment."""
    return {*"23456789"} <= {level[0] for level in levels}


def passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as in card numbers."""
    doubled = [int(digit) for digit in digits[-1::-1]]
    total = sum(each if at % 2 == 0 else sum(divmod(2 * each, 10)) for at, each in enumerate(doubled))
    return total % 10 == 0


@dataclass(frozen=True)
class Units:
    """Numbers that stand in different dresses.

    Args:
        first: one text.
        other: one in another dress.
    """

    first: str
    other: str


def different_units(levels: Sequence[str]) -> Units | None:
    """Texts that are all numbers, with a few different units or currencies."""
    some = affix_counts(levels[:EVIDENCE_LEVELS])
    if not 1 < len(some) <= FEW_AFFIXES or sum(some.values()) < len(levels[:EVIDENCE_LEVELS]):
        return None
    counts = affix_counts(levels)
    if not 1 < len(counts) <= FEW_AFFIXES or sum(counts.values()) < len(levels) or not any(map(any, counts)):
        return None
    (first, _), (other, _) = counts.most_common(2)
    chosen: dict[tuple[str, str], str] = {}
    for level in levels:
        part = parts_of(level)
        assert part is not None
        chosen.setdefault(part.affixes, level)
    return Units(chosen[first], chosen[other])


def numeric_levels(levels: Sequence[str]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which texts are numbers, in the dress that most of them wear."""
    plain = np.array([PLAIN.fullmatch(level.strip()) is not None for level in levels], bool)
    if plain.mean() > 0.5 or not len(levels):
        return plain
    counts = affix_counts(levels[:EVIDENCE_LEVELS])
    if not counts or len(counts) > MOST_AFFIXES:
        return plain
    commonest = counts.most_common(1)[0][0]
    found = [parts_of(level) for level in levels]
    alike = np.array([part is not None and part.affixes == commonest for part in found], bool)
    some = [level for level, is_alike in zip(levels, alike, strict=True) if is_alike]
    return alike if undressed(some) is not None else plain


def dates_of(levels: Sequence[str], wish: ColumnSpec, *, order: Sequence[str] = ()) -> Found | None:
    """Texts as dates in one format; None if they are not."""
    reading = find_dates(levels, order=order) if wish.format is None else read_all(levels, wish.format)
    return None if reading is None else _date_form(reading, is_wished=wish.format is not None)


def _date_form(reading: Reading, *, is_wished: bool) -> Found:
    unit = date_format(reading.pattern).unit
    micros = reading.micros
    for finer in (unit, 1_000_000, 1000, 1):
        if finer <= unit and not (micros % finer).any():
            unit = finer
            break
    form = DateForm(reading.pattern, unit, zone=reading.zone, pivot=reading.pivot)
    notes: tuple[str, ...] = ()
    if reading.rivals and not is_wished:
        notes = (
            f"is read as {reading.pattern}, and {reading.rivals[0]} fits as well: if that is meant, say "
            f'{{"kind": "date", "format": "{reading.rivals[0]}"}} in a {parameter("schema")} file',
        )
    return Found(form, (micros // unit).astype(np.float64), notes)
