"""Each channel or feature separately, in its own unit: W1 of its values, mean, deviation, share of missing values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wassergan.distances import wasserstein_line

MOST_CHANNELS = 256  # channels that are evaluated; of wider samples the first
FAR, FAR_DEVIATIONS = 4.0, 0.25  # a channel is far above both: times its floor, and of the real deviation
FAR_MISSING = 0.05  # difference of the shares of missing values
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelRow:
    """Statistics of one channel's values.

    Attributes:
        name: of the channel or feature.
        w1: W1 between generated and held-out values of all positions together, in the channel's own unit.
        floor: the same of as many training samples.
        mean: of generated values.
        mean_real: of held-out ones.
        deviation: of generated values.
        deviation_real: of held-out ones.
        missing: share of the generated values that are missing.
        missing_real: of the held-out ones.
        far: W1 is above four times its floor and a quarter of the real deviation, or the rate of missing values
            differs.
    """

    name: str
    w1: float | None
    floor: float | None
    mean: float | None
    mean_real: float | None
    deviation: float | None
    deviation_real: float | None
    missing: float
    missing_real: float
    far: bool


def channel_rows(
    generated: Values, heldout: Values, training: Values, *, names: Sequence[str], varies: NDArray[np.bool_]
) -> list[ChannelRow]:
    """One row per channel that varies.

    Args:
        generated: (n, C, ...) in the data's own units; NaN where a value is missing.
        heldout: (m, C, ...).
        training: (k, C, ...).
        names: of the channels.
        varies: (C, ...) positions whose values are not always the same.
    """
    rows = []
    for index, name in enumerate(names[:MOST_CHANNELS]):
        if varies[index].any():
            own = (each[:, index][:, varies[index]] for each in (generated, heldout, training))
            rows.append(_row(name, *own))
    return rows


def far_sentence(rows: Sequence[ChannelRow]) -> str:
    """The channels that are far from the data; empty if none is."""
    far = [row for row in rows if row.far]
    if not far:
        return ""
    told = ", ".join(_told(row) for row in far[:5]) + (f" and {len(far) - 5} more" if len(far) > 5 else "")
    return f"Far from the data by itself: {told}."


def _told(row: ChannelRow) -> str:
    if row.w1 is None or row.floor is None or abs(row.missing - row.missing_real) > FAR_MISSING:
        return f"{row.name} (missing in {100 * row.missing:.3g} %, really {100 * row.missing_real:.3g} %)"
    return f"{row.name} (mean {row.mean:.4g}, really {row.mean_real:.4g}; W1 {row.w1:.3g}, floor {row.floor:.3g})"


def _row(name: str, generated: Values, heldout: Values, training: Values) -> ChannelRow:
    missing, missing_real = (float(np.isnan(each).mean()) for each in (generated, heldout))
    fake, real, seen = (each[~np.isnan(each)] for each in (generated, heldout, training))
    if not (fake.size and real.size and seen.size):
        far = abs(missing - missing_real) > FAR_MISSING
        return ChannelRow(name, None, None, None, None, None, None, missing, missing_real, far)
    # About the real mean, in units of the real deviation: no number is lost where the mean is large.
    centre, unit = float(real.mean()), float(real.std()) or 1.0
    w1, floor = (unit * _w1((each - centre) / unit, (real - centre) / unit) for each in (fake, seen))
    far = (w1 > FAR * floor and w1 > FAR_DEVIATIONS * unit) or abs(missing - missing_real) > FAR_MISSING
    mean, deviation = float(fake.mean()), float(fake.std())
    return ChannelRow(name, w1, floor, mean, centre, deviation, float(real.std()), missing, missing_real, far)


def _w1(x: Values, y: Values) -> float:
    return float(wasserstein_line(x, y))
