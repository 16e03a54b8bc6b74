"""What more training would bring, by the distances that the ticks have logged."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wassergan.storage.tick_distance import distance_name

FEWEST_TICKS = 6
LOOKED_BACK = 4.0  # times, from the last tick on
PAYS = 0.05  # of the distance, that twice the time must bring
SURE = 2.0  # standard errors


def outlook(log: Sequence[Mapping[str, Any]]) -> str:
    """What twice the time would bring, in a sentence; empty where too little is known.

    The excess of the distance over its floor falls about as a power of the time. The power is fitted to the ticks of
    the last three quarters of the time by least squares in logarithms; a power that is not clearly above 0 is none.

    Args:
        log: the ticks of a run, each with `elapsed_seconds`, a distance and its floor.
    """
    name = distance_name(log[-1]) if log else ""
    there = [each for each in log if name in each and each.get("elapsed_seconds", 0) > 0]
    recent = [each for each in there if each["elapsed_seconds"] * LOOKED_BACK >= there[-1]["elapsed_seconds"]]
    if len(recent) < FEWEST_TICKS:
        return ""
    floor = float(recent[-1][f"{name}_floor"])
    points = [(math.log(each["elapsed_seconds"]), each[name] - floor) for each in recent]
    if min(excess for _, excess in points) <= 0:
        return "The distance is at its floor: by it, more training would bring nothing."
    power, error = _slope([(time, math.log(excess)) for time, excess in points])
    now = float(recent[-1][name])
    later = floor + (now - floor) * 2 ** min(power, 0.0)
    if power + SURE * error >= 0 or now - later < PAYS * now:
        return "The distance hardly falls any more: twice the time would bring little."
    return f"The distance still falls: twice the time would bring it from {now:.3g} to about {later:.3g}."


def _slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of a line through points, and its standard error."""
    count = len(points)
    middle, height = (sum(each[axis] for each in points) / count for axis in (0, 1))
    width = sum((x - middle) ** 2 for x, _ in points)
    if width == 0:
        return 0.0, 0.0
    slope = sum((x - middle) * (y - height) for x, y in points) / width
    rest = sum((y - height - slope * (x - middle)) ** 2 for x, y in points)
    return slope, math.sqrt(rest / (count - 2) / width)
