"""Fields on a grid as colour maps with one scale for all."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import COLOUR_MAP

_WIDTH = 2.1  # inches of a map

Fields = NDArray[np.float64]


def fields_figure(rows: Mapping[str, Fields], *, low: float, high: float, title: str) -> Figure:
    """Maps in rows, one row per label, all in one colour scale from `low` to `high`.

    Args:
        rows: label to (n, H, W) in the data's own units, n alike for all.
        low: value of the first colour; what lies below is drawn in it.
        high: of the last.
        title: of the colour bar.
    """
    columns = max(len(fields) for fields in rows.values())
    height, width = next(iter(rows.values())).shape[1:]
    size = (_WIDTH * columns + 1.2, _WIDTH * height / width * len(rows) + 0.3)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, fields) in zip(grid, rows.items(), strict=True):
        for axes, field in zip(line, fields, strict=True):
            shown = axes.imshow(field, vmin=low, vmax=high, cmap=COLOUR_MAP, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label)
    figure.colorbar(shown, ax=grid, label=title, extend="both")
    return figure


def moments_figure(laws: Mapping[str, Fields]) -> Figure:
    """Mean and standard deviation at every point, one row per law; each of the two has one colour scale for all laws.

    Args:
        laws: label to (n, H, W) in the data's own units, n at least 2.
    """
    height, width = next(iter(laws.values())).shape[1:]
    panel = 2 * _WIDTH
    figure = Figure(figsize=(2 * panel + 2, panel * height / width * len(laws) + 0.5), layout="compressed")
    grid = figure.subplots(len(laws), 2, squeeze=False)
    _column(figure, grid[:, 0], [fields.mean(axis=0) for fields in laws.values()], "mean")
    _column(figure, grid[:, 1], [fields.std(axis=0) for fields in laws.values()], "standard deviation")
    for axes, label in zip(grid[:, 0], laws, strict=True):
        axes.set_ylabel(label)
    return figure


def _column(figure: Figure, cells: NDArray[np.object_], maps: Sequence[Fields], title: str) -> None:
    low, high = min(each.min() for each in maps), max(each.max() for each in maps)
    for axes, each in zip(cells, maps, strict=True):
        shown = axes.imshow(each, vmin=low, vmax=high, cmap=COLOUR_MAP, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
    cells[0].set_title(title)
    figure.colorbar(shown, ax=list(cells))
