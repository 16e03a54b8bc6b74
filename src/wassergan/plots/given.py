"""Draws given conditions: conditions, truths and draws side by side; rank histograms and reliability."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import GENERATED, REAL, plain_text
from wassergan.plots.fields import colour_map

_WIDTH = 1.7  # inches of a map
Fields = NDArray[np.float64]


def given_figure(rows: Sequence[Sequence[tuple[str, Fields]]], *, name: str) -> Figure:
    """Maps in rows, one for each condition, on one colour scale; titles above the first row.

    Args:
        rows: for each condition its maps (H, W), each with what it is: the condition, on its own grid, comes first and
            has a scale of its own; NaN where a value is missing.
        name: of what is drawn.
    """
    columns = max(map(len, rows))
    height, width = rows[0][-1][1].shape
    size = (_WIDTH * columns + 1.4, _WIDTH * max(0.4, height / width) * len(rows) + 0.5)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    scales = [_ends([row[0][1] for row in rows]), _ends([each for row in rows for _, each in row[1:]])]
    for index, (line, row) in enumerate(zip(grid, rows, strict=True)):
        for place, (axes, (title, field)) in enumerate(zip(line, row, strict=True)):
            low, high = scales[min(place, 1)]
            shown = axes.imshow(field, vmin=low, vmax=high, cmap=colour_map(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if index == 0:
                axes.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=grid[:, 1:], label=plain_text(name))
    return figure


def calibration_figure(
    shares: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], curve: NDArray[np.float64]
) -> Figure:
    """The rank histogram with its band; beside it the frequency of events by their probability.

    Args:
        shares: (K + 1,) of the ranks.
        low: lower end of the band.
        high: upper end.
        curve: (K + 1, 3) of probabilities, frequencies and shares of the forecasts.
    """
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    ranks = np.arange(len(shares))
    left.bar(ranks, shares, width=0.9, color=GENERATED, alpha=0.8)
    left.fill_between(ranks, low, high, color=REAL, alpha=0.3, step="mid", label="95 % if calibrated")
    left.set(xlabel="rank of the truth among its draws", ylabel="share", ylim=(0, None))
    left.legend(frameon=False, fontsize=9)
    right.plot([0, 1], [0, 1], color=REAL, alpha=0.6, label="calibrated")
    there = curve[:, 2] > 0
    right.plot(*curve[there, :2].T, color=GENERATED, marker="o", markersize=3, label="draws")
    right.set(xlabel="probability of an event among the draws", ylabel="its frequency", xlim=(0, 1), ylim=(0, 1))
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _ends(fields: Sequence[Fields]) -> tuple[float, float]:
    there = np.concatenate([each[np.isfinite(each)] for each in fields])
    if not there.size:
        return 0.0, 1.0
    low, high = float(there.min()), float(there.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
