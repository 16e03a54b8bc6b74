"""Whether a date's text comes back as it is, once it is read in a format and written again."""

from wassergan.data.tables.date_texts import DateFormat
from wassergan.data.tables.zones import fixed_zone


def offset_in(layout: DateFormat, text: str, moment: int, pivot: int) -> int:
    """Seconds from UTC that a text in a format with an offset says."""
    match = layout._regex.fullmatch(text)
    assert match is not None
    at = next(i for i, code in enumerate(layout._codes) if code.field == "z")
    return layout._codes[at].read(match[at + 1])


def comes_back(layout: DateFormat, micros: int, text: str, zone: str, offset: int | None = None) -> bool:
    """Whether a moment is written as a text, in a zone or at an offset from UTC."""
    try:
        return layout.write(micros, fixed_zone(offset) if offset is not None else zone) == text
    except (ValueError, OverflowError):
        return False


def fits_one(layout: DateFormat, text: str, pivot: int) -> bool:
    """Whether a text is in a format, and comes back from it."""
    try:
        moment = layout.read(text, pivot=pivot)
        if "z" in layout.fields:
            return comes_back(layout, moment, text, "", offset_in(layout, text, moment, pivot))
        return layout.write(moment) == text
    except (ValueError, KeyError, OverflowError):
        return False
