"""Fields on a grid as colour maps: one scale for all maps of a channel, another for each channel."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import COLOUR_MAP, plain_text

_WIDTH = 2.1  # inches of a map

Fields = NDArray[np.float64]
_MOMENTS: tuple[tuple[str, Callable[..., Fields]], ...] = (("mean", np.nanmean), ("standard deviation", np.nanstd))


@dataclass(frozen=True)
class Maps:
    """One channel of fields, by distribution.

    Args:
        name: of the channel, for its colour bar.
        distributions: label to (n, H, W) in the data's own units, n at least 2; NaN where a value is missing.
        low: value of the first colour; lower values get the same colour.
        high: of the last.
    """

    name: str
    distributions: Mapping[str, Fields]
    low: float
    high: float


def fields_figure(channels: Sequence[Maps]) -> Figure:
    """Maps in rows: for each channel one row per distribution, with one colour scale per channel.

    Args:
        channels: each with the same labels, n alike for all.
    """
    rows = [(each, label, fields) for each in channels for label, fields in each.distributions.items()]
    columns = max(len(fields) for _, _, fields in rows)
    height, width = rows[0][2].shape[1:]
    size = (_WIDTH * columns + 1.2, _WIDTH * height / width * len(rows) + 0.3)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (channel, label, fields) in zip(grid, rows, strict=True):
        for axes, field in zip(line, fields, strict=True):
            shown = axes.imshow(field, vmin=channel.low, vmax=channel.high, cmap=colour_map(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label)
        if label == list(channel.distributions)[-1]:
            own = [axes for axes, row in zip(grid, rows, strict=True) if row[0] is channel]
            figure.colorbar(shown, ax=np.stack(own), label=plain_text(channel.name), extend="both")
    return figure


def moments_figure(channels: Sequence[Maps]) -> Figure:
    """Mean and standard deviation at every point: per channel one row per distribution, one colour scale for both."""
    rows = [(each, label) for each in channels for label in each.distributions]
    height, width = next(iter(channels[0].distributions.values())).shape[1:]
    panel = 2 * _WIDTH
    figure = Figure(figsize=(2 * panel + 2, panel * height / width * len(rows) + 0.5), layout="compressed")
    grid = figure.subplots(len(rows), 2, squeeze=False)
    for channel in channels:
        own = [index for index, row in enumerate(rows) if row[0] is channel]
        for column, (title, moment) in enumerate(_MOMENTS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of points that are missing in every field
                maps = [moment(fields, axis=0) for fields in channel.distributions.values()]
            heading = f"{channel.name}, {title}" if channel.name else title
            _column(figure, grid[own, column], maps, plain_text(heading))
    for axes, (_, label) in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(label)
    return figure


def _column(figure: Figure, cells: NDArray[np.object_], maps: Sequence[Fields], title: str) -> None:
    there = np.concatenate([each[np.isfinite(each)] for each in maps])
    low, high = (there.min(), there.max()) if there.size else (0.0, 1.0)
    for axes, each in zip(cells, maps, strict=True):
        shown = axes.imshow(each, vmin=low, vmax=high, cmap=colour_map(), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
    cells[0].set_title(title)
    figure.colorbar(shown, ax=list(cells))


def colour_map() -> Colormap:
    """Of fields; what is missing is grey."""
    colours: Any = colormaps[COLOUR_MAP]
    return cast(Colormap, colours.with_extremes(bad="0.75"))
