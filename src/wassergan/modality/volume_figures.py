"""Volumes as figures take them, and the figures."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import Codec, channels_first
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Rows

MOST_NUMBERS, LEAST_VOLUMES = 2**23, 8  # of all volumes of a figure
SHOWN = 3  # volumes whose slices and views are drawn


def in_channels(samples: Rows, codec: Codec) -> NDArray[np.float64]:
    """Volumes as (n, C, D, H, W) in their own units, with NaN where a value is missing."""
    return channels_first(without_missing(samples, codec), codec.layout)


def most_volumes(size: int) -> int:
    """How many volumes of so many numbers curves are of."""
    return max(LEAST_VOLUMES, MOST_NUMBERS // size)


def slice_grid(samples: Rows, codec: Codec, columns: int | None) -> Any:
    """The middle slice of each sample, all channels, each with a range of its own."""
    from wassergan.plots import Channel, panels

    own = in_channels(samples, codec)
    middle = own[:, :, own.shape[2] // 2]
    names = codec.named(own.shape[1])
    ranges = [_range(codec, index) for index in range(len(names))]
    channels = [
        Channel(name if len(names) > 1 else "", middle[:, index], *ranges[index]) for index, name in enumerate(names)
    ]
    return panels(channels, columns=columns)


def save_slices(generated: Rows, real: Rows | None, codec: Codec, path: Path) -> None:
    """The middle slices of some volumes along each axis, real ones beside generated ones."""
    from wassergan.plots import save_figure, slices_figure

    shown = None if real is None else real[:SHOWN, 0]
    save_figure(slices_figure(generated[:SHOWN, 0], shown, ends=_range(codec, 0)), path)


def save_turntable(generated: Rows, real: Rows | None, codec: Codec, path: Path) -> None:
    """One volume from all around: its surface between low and high values, real above generated."""
    from wassergan.plots import save_figure, turntable_figure

    low, high = _range(codec, 0)
    shown = None if real is None else real[0, 0]
    save_figure(turntable_figure(generated[0, 0], shown, level=(low + high) / 2), path)


def save_two_point(generated: Rows, real: Rows | None, codec: Codec, path: Path) -> None:
    """The two-point curve of the first phase along each axis."""
    from wassergan.evaluation.volumes.statistics import curve, two_point
    from wassergan.plots import axes_figure, save_figure

    own, other = _sets(generated, real, codec)
    curves = (curve(two_point(own[:1]))[0], None if other is None else curve(two_point(other[:1]))[0])
    save_figure(axes_figure(*curves, across="lag (voxels)", up=f"two-point probability, {_named(codec)}"), path)


def save_chords(generated: Rows, real: Rows | None, codec: Codec, path: Path) -> None:
    """The lengths of chords in the first phase along each axis."""
    from wassergan.evaluation.volumes.statistics import chord_counts
    from wassergan.plots import axes_figure, save_figure

    own, other = _sets(generated, real, codec)
    shares = [None if each is None else _shares(chord_counts(each[:1]).sum(0)[0]) for each in (own, other)]
    assert shares[0] is not None
    save_figure(axes_figure(shares[0], shares[1], across="chord length (voxels)", up="share of chords", first=1), path)


FIGURES = (
    ("slices.png", save_slices, "Middle slices along each axis, generated below held-out ones."),
    ("turntable.png", save_turntable, "One volume from all around, generated below a held-out one."),
    ("two_point.png", save_two_point, "Two-point curve along each axis, generated beside held-out volumes."),
    ("chords.png", save_chords, "Lengths of chords along each axis, generated beside held-out volumes."),
)


def draw_figures(generated: Rows, real: Rows | None, codec: Codec, out: Path) -> list[Path]:
    """All figures."""
    for name, draw, _ in FIGURES:
        draw(generated, real, codec, out / name)
    return [out / name for name, _, _ in FIGURES]


def _sets(generated: Rows, real: Rows | None, codec: Codec) -> tuple[Any, Any]:
    from wassergan.evaluation.volumes.statistics import medians_of, sets_of

    phases = getattr(codec, "phases", ())
    medians = medians_of(generated if real is None else real)
    return sets_of(generated, phases, medians), None if real is None else sets_of(real, phases, medians)


def _named(codec: Codec) -> str:
    phases = getattr(codec, "phases", ())
    return f"phase {phases[0]:g}" if phases else "above the median"


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts (3, lengths + 1) as shares, from length 1 on."""
    found: NDArray[np.float64] = (counts / np.maximum(counts.sum(1, keepdims=True), 1))[:, 1:]
    return found


def _range(codec: Codec, channel: int) -> tuple[float, float]:
    low, high = codec.range_of(channel, margin=False)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
