"""Shared by all figures: colours, and writing to files."""

import gc
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wassergan.errors import one_line, printable
from wassergan.storage.files import DRAWN_BY, filling, replacing

GENERATED, REAL = "tab:orange", "tab:blue"
SCALES = ("tab:green", "tab:purple", "tab:pink", "tab:olive", "tab:gray")  # of pictures, from the finest on
COLOUR_MAP = "viridis"

Texts = Callable[[NDArray[np.float64]], Sequence[str]]  # how dates (k,) are written


def plain_text(name: str) -> str:
    """A name from the data, literally: a dollar sign does not start a formula."""
    return one_line(name).replace("\t", " ").replace("$", r"\$")


def short_text(name: str, letters: int) -> str:
    """The same, of at most so many letters, of which broad ones count twice: the start and the end of longer names.

    >>> short_text("average monthly income of a household", 20)
    'average mo…household'
    >>> short_text("収入の平均", 20), short_text("収入の平均収入の平均", 9)
    ('収入の平均', '収入…平均')
    """
    name = one_line(name)
    if _room(name) <= letters:
        return plain_text(name)
    start, end = 0, len(name)
    while True:  # a letter more at the shorter side, as long as there is room
        longer = (start + 1, end) if _room(name[:start]) <= _room(name[end:]) else (start, end - 1)
        if _room(name[: longer[0]]) + 1 + _room(name[longer[1] :]) > letters:
            return plain_text(f"{name[:start].rstrip()}…{name[end:].lstrip()}")
        start, end = longer


def _room(name: str) -> int:
    return sum(1 + (east_asian_width(letter) in "WF") for letter in name)


def say_dates(axis: Axis, low: float, high: float, texts: Texts) -> None:
    """Write the first and the last date at the ends of an axis, and nothing between them."""
    first, last = axis.set_ticks([low, high], [plain_text(text) for text in texts(np.array([low, high]))])
    if isinstance(axis, XAxis):
        first.label1.set_horizontalalignment("left")
        last.label1.set_horizontalalignment("right")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the suffix; what no text shows is escaped."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (plain := printable(text.get_text())) != text.get_text():
            text.set_text(plain)
    with replacing(path) as temporary, filling(temporary) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from ")  # a box stands for it
        form = temporary.suffix[1:] or "png"
        figure.savefig(file, format=form, dpi=110, metadata=DRAWN_BY if path.suffix == ".png" else None)
    # Figures contain reference cycles. A run draws few and makes little other garbage, so Python would collect them
    # late, tens of megabytes later.
    figure.clear()
    del figure
    gc.collect()


def format_of(path: Path) -> str:
    """Pillow's name for the format of a suffix.

    Raises:
        ValueError: it has no such format.
    """
    Image.init()
    suffix = path.suffix.lower()
    if suffix not in Image.EXTENSION:
        raise ValueError(f"unknown file extension: {suffix}")
    return Image.EXTENSION[suffix]


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically, in the format of the suffix."""
    mark = PngInfo()
    for key, text in DRAWN_BY.items():
        mark.add_text(key, text)
    with replacing(path) as temporary, filling(temporary, "wb+") as file:
        picture.save(file, format_of(temporary), pnginfo=mark)  # which formats but PNG ignore


def save_animation(frames: Sequence[Image.Image], path: Path, *, milliseconds: int) -> None:
    """Write frames of one size as an endless animation (`.webp` or `.gif`), atomically."""
    with replacing(path) as temporary, filling(temporary, "wb+") as file:
        frames[0].save(
            file,
            format_of(temporary),
            save_all=True,
            append_images=frames[1:],
            duration=milliseconds,
            loop=0,
            lossless=True,  # only for WebP; smaller than a lossy file while the pictures are small
        )
