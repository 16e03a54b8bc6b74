"""What all figures share: colours, and how they get into files."""

import gc
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wassergan.errors import encodable
from wassergan.storage.files import DRAWN_BY, filling, replacing

GENERATED, REAL = "tab:orange", "tab:blue"
COLOUR_MAP = "viridis"


def plain_text(name: str) -> str:
    """A name from the data as it is: a dollar sign begins no formula."""
    return name.replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the suffix; names that are no UTF-8 stand in it escaped."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (plain := encodable(text.get_text())) != text.get_text():
            text.set_text(plain)
    with replacing(path) as temporary, filling(temporary) as file:
        form = temporary.suffix[1:] or "png"
        figure.savefig(file, format=form, dpi=110, metadata=DRAWN_BY if path.suffix == ".png" else None)
    # Figures are knots of references. A run draws few of them and makes little other garbage, so that Python would come
    # to look at them rarely: tens of megabytes later.
    figure.clear()
    del figure
    gc.collect()


def format_of(path: Path) -> str:
    """Pillow's word for the format of a suffix.

    Raises:
        ValueError: it writes none of that name.
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
    """Write frames of one size as an animation that goes on for ever (`.webp` or `.gif`), atomically."""
    with replacing(path) as temporary, filling(temporary, "wb+") as file:
        frames[0].save(
            file,
            format_of(temporary),
            save_all=True,
            append_images=frames[1:],
            duration=milliseconds,
            loop=0,
            lossless=True,  # WebP's alone; smaller than a lossy file while the pictures are small
        )
