"""Shared by all figures: colours, and writing to files."""

import gc
import warnings
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wassergan.errors import one_line, printable
from wassergan.storage.files import DRAWN_BY, filling, replacing

GENERATED, REAL = "tab:orange", "tab:blue"
SCALES = ("tab:green", "tab:purple", "tab:pink", "tab:olive", "tab:gray")  # of pictures, from the finest on
COLOUR_MAP = "viridis"


def plain_text(name: str) -> str:
    """A name from the data, literally: a dollar sign does not start a formula."""
    return one_line(name).replace("$", r"\$")


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
