"""Time zones: offsets from UTC of moments, and the zone that a column's offsets come from."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from wassergan.errors import UserError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PROBES = 24
LARGEST_OFFSET = 24 * 3600
# Zones with the same offsets are many: the first of these that fits is taken, then the first by name.
USUAL = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Europe/Helsinki",
    "Australia/Sydney",
    "America/Toronto",
    "Europe/Lisbon",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Asia/Shanghai",
)
_FIXED = re.compile(r"([+-])(\d{2}):(\d{2})(?::(\d{2}))?")


@lru_cache(maxsize=1024)
def get_zone(name: str) -> tzinfo:
    """A zone of the IANA database, or a fixed offset such as `+02:00`.

    Raises:
        UserError: there is none of that name.
    """
    fixed = _FIXED.fullmatch(name)
    if fixed:
        hours, minutes, seconds = (int(each or 0) for each in fixed.groups()[1:])
        span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if abs(span.total_seconds()) < LARGEST_OFFSET:
            return timezone(-span if fixed[1] == "-" else span)
    if name in ("UTC", "Z"):
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UserError(
            "Unknown time zone", found=f"{name!r}", hint="install its data: pip install 'wassergan[tables]'"
        ) from error


def offset_at(zone: str, moment: int) -> int:
    """Seconds that clocks in a zone are ahead of UTC; the moment in microseconds since 1970."""
    there = (EPOCH + moment * MICROSECOND).astimezone(get_zone(zone)).utcoffset()
    assert there is not None
    return round(there.total_seconds())


def fixed_zone(seconds: int) -> str:
    """The name of a fixed offset."""
    sign, seconds = "-" if seconds < 0 else "+", abs(seconds)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return text + (f":{seconds % 60:02d}" if seconds % 60 else "")


def zone_of(moments: Sequence[int], offsets: Sequence[int]) -> str | None:
    """A zone in which clocks are ahead of UTC by these seconds at these moments; None if there is none.

    Args:
        moments: microseconds since 1970.
        offsets: in seconds.
    """
    if len(set(offsets)) == 1:
        return "UTC" if offsets[0] == 0 else fixed_zone(offsets[0])
    pairs = list(zip(moments, offsets, strict=True))
    some = pairs[:: max(1, len(pairs) // PROBES)]
    for name in (*USUAL, *_others()):
        if all(_agrees(name, pair) for pair in some) and all(_agrees(name, pair) for pair in pairs):
            return name
    return None


def _agrees(name: str, pair: tuple[int, int]) -> bool:
    try:
        return offset_at(name, pair[0]) == pair[1]
    except (UserError, OverflowError):
        return False


@lru_cache(maxsize=1)
def _others() -> tuple[str, ...]:
    from zoneinfo import available_timezones

    known = (name for name in available_timezones() if "/" in name and name.partition("/")[0] not in ("Etc", "SystemV"))
    return tuple(sorted(set(known) - set(USUAL)))
