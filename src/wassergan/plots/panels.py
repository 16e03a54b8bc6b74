"""Fields of several channels: one panel for each, with a name and a colour scale of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wassergan.plots.pictures import headed, picture_grid

_LETTER = 7  # pixels of a letter
GAP = 8  # pixels between two panels
LARGEST_PANELS = 16  # of more channels, only the first are drawn


@dataclass(frozen=True)
class Channel:
    """One channel of fields.

    Args:
        name: of the channel; empty where it is the only one.
        values: (n, H, W) in the data's own units; NaN where a value is missing.
        low: value of the first colour.
        high: of the last.
    """

    name: str
    values: NDArray[np.float64]
    low: float
    high: float


def panels(channels: Sequence[Channel], *, columns: int | None = None) -> Image.Image:
    """The grids of all channels: side by side, or below each other if the number of columns is given.

    Args:
        channels: of the same samples.
        columns: of each grid; a square one unless given.
    """
    grids = [
        picture_grid(each.values, low=each.low, high=each.high, columns=columns, colours=True)
        for each in channels[:LARGEST_PANELS]
    ]
    if len(channels) == 1:
        return grids[0]
    pictures = [headed(grid, [_label(each, grid.width)]) for grid, each in zip(grids, channels, strict=False)]
    across = columns is None
    steps = [(each.width if across else each.height) + GAP for each in pictures]
    width, height = max(each.width for each in pictures), max(each.height for each in pictures)
    size = (sum(steps) - GAP, height) if across else (width, sum(steps) - GAP)
    sheet = Image.new("RGB", size, "white")
    for index, picture in enumerate(pictures):
        start = sum(steps[:index])
        sheet.paste(picture, (start, 0) if across else (0, start))
    return sheet


def _label(channel: Channel, width: int) -> str:
    """The name, with its range if there is room."""
    label = f"{channel.name}  {channel.low:.4g} to {channel.high:.4g}"
    return label if len(label) * _LETTER <= width else channel.name
