"""Values that repeat far outside the range of the rest: they may mean missing."""

from ast import literal_eval
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wassergan.data.moments import Extreme, Moments
from wassergan.data.survey import Survey
from wassergan.errors import parameter

# Fill values of NetCDF, GRIB, CMIP, HDF-EOS, R, Fortran codes and people's own.
KNOWN = {
    *(9.969209968386869e36, 1e20, 1e36, 1e35, 1e30, 9.999e20, 1e37, -1e30, -1e34, 9.96921e36, 3.4e38, -3.4e38),
    *(-9999.0, -999.0, -99.0, -9999.9, -999.9, -99.9, -99999.0, -999999.0, -8888.0, -7777.0, -9.99e8, -9999999.0),
    *(9999.0, 999.0, 99999.0, 999999.0, 9999.9, 999.9, 9.99e8),
    *(-32768.0, -32767.0, 32767.0, 65535.0, -2147483648.0, -2147483647.0, 2147483647.0, -128.0, 255.0, 4294967295.0),
    *(float(np.finfo(np.float32).max), float(np.finfo(np.float32).min)),
}
LEAST_TIMES = 2
KNOWN_GAP, ANY_GAP = 0.1, 3.0  # between the value and the rest, as a share of the range of the rest


def point_out(
    name: str, looked: Survey, found: Moments, names: Sequence[str], *, base: int, log: Callable[[str], None]
) -> None:
    """Say in a sentence for each such value where it stands, with its share, and what to do if it means "missing".

    Args:
        name: of the data.
        looked: what all rows show.
        found: of the values that vary.
        names: of the groups that moments are of; empty where there is one.
        base: that all moments are less.
        log: receives a sentence for each.
    """
    for group in range(found.counts.size):
        where = f" of {names[group]}" if found.counts.size > 1 and names else ""
        total = int(found.counts.ravel()[group])
        for extreme in (found.lowest[group], found.highest[group]):
            if extreme is not None and _stands_out(extreme, base):
                low, high = sorted((extreme.following, extreme.other))
                value = _exactly(extreme.value, base, looked.first.dtype)
                log(
                    f"{value} stands in {_share(extreme.count / total)} of the values{where} in {name}, far from the "
                    f"rest, {_shown(low, base)} to {_shown(high, base)}, and is learnt like them: if it stands for "
                    f"missing values, say {_as_missing(value)}."
                )
    _point_out_fixed(name, looked, found, base, log)


def _point_out_fixed(name: str, looked: Survey, found: Moments, base: int, log: Callable[[str], None]) -> None:
    low, high = (np.broadcast_to(each, looked.fixed.shape) for each in (found.smallest, found.largest))
    varies = np.broadcast_to(found.counts > 0, looked.fixed.shape)
    first = looked.first.astype(np.float64)
    for value in np.unique(first[looked.fixed & varies]).tolist():
        at = looked.fixed & varies & (first == value)
        bottom, top = float(low[at][0]) + base, float(high[at][0]) + base
        gap, width = max(bottom - value, value - top), top - bottom
        if at.sum() >= LEAST_TIMES and _far(value, gap, width):
            told = _exactly(value, 0, looked.first.dtype)
            log(
                f"{told} stands in {_share(at.mean())} of the values in {name}, at the same places in every "
                f"sample, far from the rest, {_shown(bottom)} to {_shown(top)}: it comes back there exactly; if it "
                f"stands for missing values, {_as_missing(told)} says so."
            )


def _stands_out(extreme: Extreme, base: int) -> bool:
    gap, width = abs(extreme.following - extreme.value), abs(extreme.other - extreme.following)
    return extreme.count >= LEAST_TIMES and width > 0 and _far(extreme.value + base, gap, width)


def _far(value: float, gap: float, width: float) -> bool:
    known = any(abs(value - each) <= 1e-6 * abs(each) for each in KNOWN)
    return width > 0 and gap > (KNOWN_GAP if known else ANY_GAP) * width


def _as_missing(text: str) -> str:
    return parameter("missing", (literal_eval(text),), text=text)


def _exactly(value: float, base: int, dtype: np.dtype[Any]) -> str:
    """The shortest text that is this value and no other of the data's type."""
    if dtype.kind != "f" or (value.is_integer() and abs(value) < 2**53):
        return _shown(value, base)
    return str(dtype.type(value))


def _shown(value: float, base: int = 0) -> str:
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value) + base)
    return f"{value + base:.7g}"


def _share(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "nearly all"
