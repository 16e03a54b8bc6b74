"""What a volume is like inside: shares of phases, two-point curves and chord lengths, volume by volume."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wassergan.data.volumes import lags_along

MOST_CHANNELS = 8  # of samples with more, the first
AXES = (1, 2, 3)  # of sets (n, D, H, W)

Volumes = NDArray[np.float64]
Numbers = NDArray[np.float64]
Sets = NDArray[np.bool_]


def sets_of(volumes: Volumes, phases: Sequence[float], medians: Numbers) -> list[Sets]:
    """For each channel where each of its phases is; of numbers, where they are above the median of the real ones.

    Args:
        volumes: (n, C, D, H, W), NaN where a value is missing.
        phases: all values; empty for numbers.
        medians: of the channels.

    Returns:
        Sets (n, D, H, W), channel by channel.
    """
    found = []
    for index in range(min(volumes.shape[1], MOST_CHANNELS)):
        channel = volumes[:, index]
        found += [channel == phase for phase in phases] if phases else [channel > medians[index]]
    return found


def medians_of(volumes: Volumes) -> Numbers:
    """Of each channel, (C,); 0 where everything is missing."""
    flat = np.moveaxis(volumes, 1, 0).reshape(volumes.shape[1], -1)
    there = [row[~np.isnan(row)] for row in flat]
    return np.array([np.median(row) if row.size else 0.0 for row in there])


def shares(sets: Sequence[Sets]) -> Numbers:
    """Share of the voxels of each volume that belong to each set, (n, sets)."""
    return np.stack([each.mean((1, 2, 3)) for each in sets], 1)


def two_point(sets: Sequence[Sets]) -> Numbers:
    """Probability that two voxels at a lag along an axis both belong to a set, (n, sets, 3, lags + 1); lag 0 first.

    NaN beyond half of a side. Source: Torquato 2002, Random Heterogeneous Materials, section 2.2.
    """
    count, sides = len(sets[0]), sets[0].shape[1:]
    found = np.full((count, len(sets), 3, max(map(lags_along, sides)) + 1), np.nan)
    for place, inside in enumerate(sets):
        for axis in AXES:
            lined = np.moveaxis(inside, axis, 3)
            side = lined.shape[3]
            for lag in range(lags_along(side) + 1):
                both = lined[..., lag:] & lined[..., : side - lag]
                found[:, place, axis - 1, lag] = both.mean((1, 2, 3))
    return found


def chord_counts(sets: Sequence[Sets]) -> Numbers:
    """How many chords of each length lie in a set along an axis, (n, sets, 3, longest side + 1).

    A chord is a run of voxels of the set along a line; those that end at the border count as long as they are seen.
    """
    count, longest = len(sets[0]), max(sets[0].shape[1:])
    found = np.zeros((count, len(sets), 3, longest + 1))
    for place, inside in enumerate(sets):
        for axis in AXES:
            lines = np.moveaxis(inside, axis, 3)
            per_volume = lines.shape[1] * lines.shape[2]
            flat = lines.reshape(count * per_volume, -1)
            steps = np.diff(np.pad(flat, ((0, 0), (1, 1))).astype(np.int8), axis=1)
            line, start = np.nonzero(steps == 1)
            end = np.nonzero(steps == -1)[1]
            keys = line // per_volume * (longest + 1) + (end - start)
            found[:, place, axis - 1] = np.bincount(keys, minlength=count * (longest + 1)).reshape(count, -1)
    return found


def curve(described: Numbers) -> Numbers:
    """The mean two-point curve of all volumes, (sets, 3, lags + 1)."""
    found: Numbers = described.mean(0)
    return found


def curve_deviation(own: Numbers, real: Numbers) -> float:
    """The largest relative deviation of one mean curve from another, over sets, axes and lags; NaN if none is there."""
    mine, other = curve(own), curve(real)
    there = ~np.isnan(other) & (other > 0)
    return float(np.abs(mine[there] / other[there] - 1).max()) if there.any() else float("nan")


def chord_w1(own: Numbers, real: Numbers) -> float:
    """W1 between the lengths of chords in voxels, averaged over the sets and axes that have some; NaN if none has."""
    mine, other = own.sum(0), real.sum(0)
    total, all_real = mine.sum(-1, keepdims=True), other.sum(-1, keepdims=True)
    there = (total > 0) & (all_real > 0)
    gaps = np.abs(np.cumsum(mine / np.maximum(total, 1), -1) - np.cumsum(other / np.maximum(all_real, 1), -1)).sum(-1)
    return float(gaps[there[..., 0]].mean()) if there.any() else float("nan")


def share_deviation(own: Numbers, real: Numbers) -> float:
    """The largest difference of mean shares."""
    return float(np.abs(own.mean(0) - real.mean(0)).max())
