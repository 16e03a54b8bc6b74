"""Rows of numbers, generated and real."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import GENERATED, REAL, plain_text

LARGEST_MARGINALS = 16
LARGEST_PAIRS = 6
BINS = 40
LARGEST_APART = 2.0**50  # beyond it half a unit is lost
_SHOWN_SHARE = 0.998  # of the values; the rest, half at either end, would press the others together

Rows = NDArray[np.float64]


def vector_figure(
    samples: NDArray[np.float64], real: NDArray[np.float64] | None = None, *, names: Sequence[str] = ()
) -> Figure:
    """Two features: a scatter plot; otherwise one histogram per feature (the first 16), real beside generated.

    Args:
        samples: (n, D) in the data's own units.
        real: (m, D), or None to draw the samples alone.
        names: of the D features; numbered unless given.

    Missing values, NaN, are left out.
    """
    features = samples.shape[1]
    names = [plain_text(name) for name in names] or [f"feature {index}" for index in range(features)]
    if features == 2:
        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        if real is not None:
            axes.scatter(real[:, 0], real[:, 1], s=4, alpha=0.4, color=REAL, label="real", linewidths=0)
        axes.scatter(samples[:, 0], samples[:, 1], s=4, alpha=0.4, color=GENERATED, label="generated", linewidths=0)
        axes.set(xlabel=names[0], ylabel=names[1], aspect="equal")
        axes.legend(markerscale=3)
        return figure
    shown = min(features, 16)
    columns = min(4, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(3 * columns, 2.2 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if index >= shown:
            axes.set_axis_off()
            continue
        values = samples[:, index] if real is None else np.concatenate([samples[:, index], real[:, index]])
        values = there(values)
        bins = _edges(values.min(), values.max(), 40) if values.size else np.linspace(0, 1, 41)
        if real is not None:
            _histogram(axes, real[:, index], bins, color=REAL, alpha=0.5, fill=True, label="real")
        _histogram(axes, samples[:, index], bins, color=GENERATED, alpha=0.5, fill=True, label="generated")
        axes.set(xlabel=names[index], yticks=[])
    figure.axes[0].legend()
    return figure


def marginals_figure(samples: Rows, real: Rows | None, *, names: Sequence[str]) -> Figure:
    """A histogram per feature (the first 16), generated as a line over the real ones, all of area 1.

    Args:
        samples: (n, D) in the data's own units.
        real: (m, D), or None.
        names: of the D features.
    """
    shown = min(samples.shape[1], LARGEST_MARGINALS)
    columns = min(4, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(max(5, 3 * columns), max(3.2, 2.3 * rows)), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).flat
    for index, axes in enumerate(cells):
        if index < shown:
            _marginal(axes, samples[:, index], None if real is None else real[:, index])
            axes.set(xlabel=names[index], yticks=[])
            axes.spines[["top", "right", "left"]].set_visible(False)
        else:
            axes.set_axis_off()
    _key(figure, figure.axes[0])
    return figure


def pairs_figure(samples: Rows, real: Rows | None, *, names: Sequence[str]) -> Figure:
    """Every pair of features (of the first 6): real below the diagonal, generated above, histograms on it.

    Mirrored panels share their axes' ranges, so that they differ only in the distribution.

    Args:
        samples: (n, D) in the data's own units, D at least 2.
        real: (m, D), or None to leave out the lower panels.
        names: of the D features.
    """
    shown = min(samples.shape[1], LARGEST_PAIRS)
    count = len(samples) if real is None else min(len(samples), len(real))
    figure = Figure(figsize=(2 + 1.9 * shown, 1.6 + 1.9 * shown), layout="constrained")
    grid = figure.subplots(shown, shown, squeeze=False)
    ranges = [
        _range(samples[:, i] if real is None else np.concatenate([samples[:, i], real[:, i]])) for i in range(shown)
    ]
    for row in range(shown):
        for column in range(shown):
            axes = grid[row, column]
            if row == column:
                _marginal(axes, samples[:, row], None if real is None else real[:, row])
                axes.set(xlim=ranges[row])
            elif row < column:
                _cloud(axes, samples[:count, [column, row]], GENERATED)
            elif real is not None:
                _cloud(axes, real[:count, [column, row]], REAL)
            else:
                axes.set_axis_off()
            if row != column:
                axes.set(xlim=ranges[column], ylim=ranges[row])
            _label_outside(axes, row, column, names=names, last=shown - 1)
    _key(figure, grid[0, 0])
    return figure


def _marginal(axes: Axes, samples: Rows, real: Rows | None) -> None:
    bins = _bins(samples if real is None else np.concatenate([samples, real]))
    if real is not None:
        _histogram(axes, real, bins, color=REAL, alpha=0.45, fill=True, label="real (held out)")
    _histogram(axes, samples, bins, color=GENERATED, linewidth=1.5, label="generated")


def there(values: Rows) -> Rows:
    """Those that are not missing."""
    return values[~np.isnan(values)]


def _histogram(axes: Axes, values: Rows, bins: Any, **style: Any) -> None:
    """Of area 1, or nothing if no value is left; one outline, as drawing each bar takes most of a figure's time."""
    values = there(values)
    heights, edges = np.histogram(values, bins, density=len(values) > 0)
    axes.stairs(heights, edges, **style)


def _cloud(axes: Axes, points: Rows, colour: str) -> None:
    alpha = min(1.0, max(0.25, 300 / len(points)))
    axes.scatter(points[:, 0], points[:, 1], s=5, alpha=alpha, color=colour, linewidths=0, rasterized=True)


def _label_outside(axes: Axes, row: int, column: int, *, names: Sequence[str], last: int) -> None:
    """Names and numbers only at the outer edges; the diagonal's heights are not a feature."""
    if row == last:
        axes.set_xlabel(names[column])
    else:
        axes.set_xticklabels([])
    if column == 0:
        axes.set_ylabel(names[row])
    if column > 0 or row == 0:
        axes.set_yticklabels([])
    if row == column:
        axes.set_yticks([])


def _key(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)


def _range(values: Rows) -> tuple[float, float]:
    """The range of nearly all values, with a margin."""
    values = there(values)
    if not values.size:
        return 0.0, 1.0
    low, high = np.quantile(values, [(1 - _SHOWN_SHARE) / 2, (1 + _SHOWN_SHARE) / 2])
    room = 0.03 * (high - low) or 0.5
    return float(low - room), float(high + room)


def _bins(values: Rows) -> list[float]:
    """Edges over `_range`; around each value where these are few whole numbers."""
    low, high = _range(values)
    values = there(values)
    if (values == np.rint(values)).all() and high - low < BINS and max(abs(low), abs(high)) < LARGEST_APART:
        return [edge - 0.5 for edge in range(math.floor(low), math.ceil(high) + 2)]
    return [float(edge) for edge in _edges(low, high, BINS)]


def _edges(low: float, high: float, bins: int) -> Rows:
    """Even edges, with a margin around values that are all equal: a bin without width has no density."""
    edges = np.linspace(low, high, bins + 1)
    if (np.diff(edges) > 0).all():
        return edges
    room = max(0.5, 1e-3 * max(abs(low), abs(high)))
    return np.linspace(low - room, high + room, bins + 1)
