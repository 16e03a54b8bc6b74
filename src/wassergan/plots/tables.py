"""Columns of tables, generated and real."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import GENERATED, REAL, Texts, say_dates, short_text

MOST_PANELS, MOST_BARS = 24, 8  # columns, and levels of a category, that are drawn
MOST_LETTERS, LETTER = 18, 0.062  # of a level's name, and inches of one
TITLE_LETTERS = 28  # of a column's name: a panel is as broad
MISSING = "(missing)"
PANEL = (3.4, 2.3)  # inches


def table_figure(
    names: Mapping[str, Sequence[str]],
    samples: NDArray[np.float64],
    real: NDArray[np.float64] | None = None,
    *,
    dates: Mapping[str, Texts] = MappingProxyType({}),
) -> Figure:
    """One panel per column (the first 24): histograms of numbers, shares of levels and of missing values.

    Args:
        names: of each column, and of its levels if it has some.
        samples: (n, columns), levels as their numbers, NaN where missing.
        real: (m, columns), or None to draw the samples alone.
        dates: for each column of dates, how its values (k,) are written.
    """
    shown = list(names.items())[:MOST_PANELS]
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    # Room for the longest level of any panel: letting Matplotlib find it takes as long as all the drawing.
    told = (level for _, levels in shown if levels for level in (*levels, MISSING))
    letters = max((min(len(level), MOST_LETTERS) for level in told), default=0)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows))
    figure.subplots_adjust(
        left=(0.15 + LETTER * letters) / (PANEL[0] * columns),
        right=1 - 0.1 / (PANEL[0] * columns),
        bottom=0.3 / (PANEL[1] * rows),
        top=1 - 0.25 / (PANEL[1] * rows),
        wspace=(0.25 + LETTER * letters) / (PANEL[0] - 0.25 - LETTER * letters),
        hspace=0.5 / (PANEL[1] - 0.5),
    )
    drawn = [("generated", GENERATED, samples)] + ([] if real is None else [("real", REAL, real)])
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if index >= len(shown):
            axes.set_axis_off()
            continue
        name, levels = shown[index]
        values = [(label, colour, table[:, index]) for label, colour, table in drawn]
        if levels:
            _shares(axes, levels, values)
        else:
            _histograms(axes, values, dates.get(name))
        axes.set_title(short_text(name, TITLE_LETTERS), fontsize=9)
        axes.tick_params(labelsize=7)
    figure.axes[0].legend(fontsize=8)
    return figure


def _histograms(axes: Axes, columns: Sequence[tuple[str, str, NDArray[np.float64]]], texts: Texts | None) -> None:
    there = np.concatenate([values[~np.isnan(values)] for _, _, values in columns])
    # Heavy tails would squeeze all other values into one bar.
    low, high = np.quantile(there, [0.005, 0.995]) if len(there) else (0.0, 1.0)
    bins = np.linspace(low, high if high > low else low + 1, 31).tolist()
    for label, colour, values in columns:
        kept = values[~np.isnan(values)]
        axes.stairs(np.histogram(kept, bins)[0] / len(values), bins, fill=True, color=colour, alpha=0.5, label=label)
        if len(kept) < len(values):
            axes.plot([], [], " ", label=f"{1 - len(kept) / len(values):.1%} missing")
    axes.set_yticks([])
    if texts is not None and len(there):
        say_dates(axes.xaxis, bins[0], bins[-1], texts)
    if not len(there):
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center", fontsize=8)


def _shares(axes: Axes, levels: Sequence[str], columns: Sequence[tuple[str, str, NDArray[np.float64]]]) -> None:
    last = columns[-1][2]
    often = np.argsort(-np.bincount(last[last < len(levels)].astype(int), minlength=len(levels)), kind="stable")
    chosen = often[:MOST_BARS]
    height = 0.8 / len(columns)
    for number, (label, colour, values) in enumerate(columns):
        shares = [*(float((values == level).mean()) for level in chosen), float(np.isnan(values).mean())]
        axes.barh(np.arange(len(shares)) + number * height, shares, height, color=colour, label=label)
    told = [*(short_text(levels[level], MOST_LETTERS) for level in chosen), MISSING]
    axes.set_yticks(np.arange(len(told)), told)
    axes.invert_yaxis()
