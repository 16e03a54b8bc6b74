"""Samples on a grid as pictures, pixel by pixel."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wassergan.plots.common import COLOUR_MAP

SMALLEST_CELL = 56  # pixels; smaller samples are enlarged by whole factors: pictures smoothly, fields cell by cell
GRID_GAP = 2
MISSING = (190, 190, 190)  # the colour of what is missing
HEADER = 20  # pixels


def picture_grid(
    samples: NDArray[np.float64], *, low: float, high: float, columns: int | None = None, colours: bool
) -> Image.Image:
    """Samples side by side, `low` to black (or the map's start) and `high` to white (its end), for every grid alike.

    Args:
        samples: (n, H, W) or (n, H, W, C) in the data's own units; NaN, where a value is missing, is drawn grey.
        low: fixed lower end, in the same units.
        high: fixed upper end.
        columns: per row; a square grid unless given.
        colours: draw single-channel samples in false colours (fields) instead of grey (pictures).
    """
    missing = np.isnan(samples)
    scaled = np.clip((np.where(missing, low, samples) - low) / (high - low), 0, 1)
    if scaled.ndim == 4 and scaled.shape[3] not in (3, 4):
        scaled, missing = scaled[..., 0], missing[..., 0]
    if scaled.ndim == 4:
        pixels = np.rint(255 * scaled[..., :3]).astype(np.uint8)
    elif colours:
        pixels = np.array(colormaps[COLOUR_MAP](scaled, bytes=True), np.uint8)[..., :3]
    else:
        pixels = np.repeat(np.rint(255 * scaled).astype(np.uint8)[..., None], 3, axis=3)
    if missing.any():
        pixels[missing if missing.ndim == 3 else missing.any(3)] = MISSING
    factor = max(1, math.ceil(SMALLEST_CELL / max(pixels.shape[1:3])))
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2) if colours else _enlarged(pixels, factor)
    count, height, width, _ = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + GRID_GAP) + GRID_GAP, columns * (width + GRID_GAP) + GRID_GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pixels):
        top = GRID_GAP + (index // columns) * (height + GRID_GAP)
        left = GRID_GAP + (index % columns) * (width + GRID_GAP)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet)


def _enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(n, H, W, 3) pictures enlarged by bicubic interpolation: an 8×8 digit is hard to read as 64 squares."""
    if factor == 1:
        return pixels
    size = (pixels.shape[2] * factor, pixels.shape[1] * factor)
    return np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in pixels])


def headed(grid: Image.Image, labels: Sequence[str]) -> Image.Image:
    """A grid with a line of text above, one label per column."""
    sheet = Image.new("RGB", (grid.width, grid.height + HEADER), "white")
    sheet.paste(grid, (0, HEADER))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    width = (grid.width - GRID_GAP) / len(labels)
    for index, label in enumerate(labels):
        draw.text((GRID_GAP / 2 + (index + 0.5) * width, HEADER / 2), label, fill="black", font=font, anchor="mm")
    return sheet
