"""Series in time: samples beside real ones, fans of quantiles, curves over lags and frequencies."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import GENERATED, REAL, plain_text

MOST_CHANNELS = 8  # that a figure has room for
LINES = 8  # series that are drawn one by one
MOST_PASTS, FEW_LINES = 4, 5  # that are shown, and draws behind each that are drawn one by one
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.32))
MOST_CELLS = 200  # of a grid of small series

Series = NDArray[np.float64]
Ends = tuple[float, float]


def series_figure(samples: Series, real: Series | None, *, names: Sequence[str]) -> Figure:
    """For each channel some real series, some generated ones, and the fans of both; one range for the three.

    Args:
        samples: (n, C, T) in the data's own units; NaN where a value is missing.
        real: (m, C, T), or None to leave them out.
        names: of the channels; the first `MOST_CHANNELS` are shown.
    """
    shown = min(len(names), MOST_CHANNELS)
    titles = [*(["real"] if real is not None else []), "generated", "5 to 95 %, 25 to 75 %, median"]
    figure = Figure(figsize=(3.6 * len(titles) + 0.6, 1.75 * shown + 0.7), layout="constrained")
    grid = figure.subplots(shown, len(titles), squeeze=False, sharex=True, sharey="row")
    for index, line in enumerate(grid):
        own, seen = samples[:, index], None if real is None else real[:, index]
        if seen is not None:
            _lines(line[0], seen, REAL)
        _lines(line[-2], own, GENERATED)
        if seen is not None:
            fan(line[-1], seen, REAL, "real", filled=True)
        fan(line[-1], own, GENERATED, "generated", filled=seen is None)
        line[0].set_ylabel(plain_text(names[index]), fontsize=9)
        line[0].set_ylim(_ends(own if seen is None else np.concatenate([own, seen])))
        for axes in line:
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(x=0.01)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("step", fontsize=9)
    handles, labels = grid[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def forecast_figure(past: Series, draws: Series, *, names: Sequence[str]) -> Figure:
    """For some pasts and each channel what was there, and the fan and some lines of what is drawn behind it.

    Args:
        past: (n, C, P) in the data's own units; NaN where a value is missing. The first `MOST_PASTS` are shown.
        draws: (n, K, C, H).
        names: of the channels; the first `MOST_CHANNELS` are shown.
    """
    shown, count, known = min(len(names), MOST_CHANNELS), min(len(past), MOST_PASTS), past.shape[2]
    figure = Figure(figsize=(3.6 * count + 0.6, 1.75 * shown + 0.7), layout="constrained")
    steps = known + np.arange(draws.shape[3])
    grid = figure.subplots(shown, count, squeeze=False, sharex=True, sharey="row")
    for channel, line in enumerate(grid):
        line[0].set_ylabel(plain_text(names[channel]), fontsize=9)
        line[0].set_ylim(_ends(np.concatenate([past[:count, channel].ravel(), draws[:count, :, channel].ravel()])))
        for number, axes in enumerate(line):
            own = draws[number, :, channel]
            axes.plot(steps, own[:FEW_LINES].T, color=GENERATED, linewidth=0.7, alpha=0.6)
            fan(axes, own, GENERATED, "drawn", filled=True, first=known)
            axes.plot(past[number, channel], color=REAL, linewidth=1.6, label="past")
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(x=0.01)
    for number, axes in enumerate(grid[0]):
        axes.set_title(f"past {number + 1}", fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("step", fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def fan(axes: Axes, series: Series, colour: str, label: str, *, filled: bool, first: int = 0) -> None:
    """Quantiles of series (n, T) from a first step on, with their median: bands, or the lines around them."""
    steps = first + np.arange(series.shape[1])
    levels = [level for low, high, _ in BANDS for level in (low, high)]
    *edges, median = quantiles(series, [*levels, 0.5])
    for number, (_, _, alpha) in enumerate(BANDS):
        low, high = edges[2 * number : 2 * number + 2]
        if filled:
            axes.fill_between(steps, low, high, color=colour, alpha=alpha, linewidth=0)
        else:
            axes.plot(steps, np.stack([low, high], 1), color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.plot(steps, median, color=colour, linewidth=1.6, label=label)


def curves_by_channel_figure(
    places: Series, generated: Series, real: Series, *, names: Sequence[str], across: str, up: str, log: bool = False
) -> Figure:
    """Fans over lags or frequencies, a panel for each channel.

    Args:
        places: (K,) lags or frequencies.
        generated: (n, C, K).
        real: (m, C, K).
        names: of the channels; the first `MOST_CHANNELS` are shown.
        across: label of the horizontal axis.
        up: label of the vertical one.
        log: of the vertical axis.
    """
    shown = min(len(names), MOST_CHANNELS)
    columns = min(4, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(max(4.5, 3.2 * columns), 2.5 * rows + 0.5), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if index >= shown:
            axes.set_axis_off()
            continue
        for values, colour, label in ((real, REAL, "real (held out)"), (generated, GENERATED, "generated")):
            low, middle, high = quantiles(values[:, index], [0.25, 0.5, 0.75])
            axes.fill_between(places, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(places, middle, color=colour, linewidth=1.4, label=label)
        if log and any((np.asarray(line.get_ydata()) > 0).any() for line in axes.lines):
            axes.set_yscale("log", nonpositive="clip")
        axes.set_title(plain_text(names[index]), fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
        if index % columns == 0:
            axes.set_ylabel(up, fontsize=9)
        if index + columns >= shown:
            axes.set_xlabel(across, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def series_grid_figure(samples: Series, ranges: Sequence[Ends], *, columns: int | None) -> Figure:
    """Small series in a grid, each with all of its channels, every channel over its own range.

    Args:
        samples: (n, C, T); of more than `MOST_CELLS` the first.
        ranges: the smallest and the largest value of each channel.
        columns: of the grid; a square one unless given.
    """
    samples = samples[:MOST_CELLS]
    columns = columns or math.ceil(math.sqrt(len(samples)))
    rows = math.ceil(len(samples) / columns)
    low, high = (np.array(each)[:MOST_CHANNELS, None] for each in zip(*ranges, strict=True))
    figure = Figure(figsize=(1.5 * columns, 0.95 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if index < len(samples):
            values = (samples[index, :MOST_CHANNELS] - low) / np.where(high > low, high - low, 1.0)
            axes.plot(values.T, linewidth=0.9)
            axes.set_ylim(-0.05, 1.05)
    return figure


def _lines(axes: Axes, series: Series, colour: str) -> None:
    few = series[:LINES]
    for line in few:
        axes.plot(line, color=colour, linewidth=0.9, alpha=0.75)


def _ends(values: Series) -> Ends:
    """The range of all but the outermost thousandths, with a margin."""
    there = values[np.isfinite(values)]
    if not there.size:
        return -0.5, 0.5
    low, high = np.quantile(there, [0.001, 0.999])
    room = 0.06 * (high - low) or 0.5
    return float(low - room), float(high + room)


def quantiles(series: Series, levels: Sequence[float]) -> Series:
    """Of series (n, T) at every step, (levels, T), without missing values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps that are missing in every series
        found: Series = np.nanquantile(series, levels, axis=0)
    return found
