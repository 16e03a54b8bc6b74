"""How much a file from a stranger may make us allocate: told by its header, refused before it happens."""

import os
from pathlib import Path

from wassergan.errors import UserError
from wassergan.storage.memory import VARIABLE, largest_bytes

STREAMED = "an uncompressed .npy, Parquet or Arrow file of any size is streamed"
LEAST_LARGEST_PIXELS = 89_478_485  # what Pillow allows by default: 341 MiB of RGBA
FILES_AT_A_TIME = 8  # of pictures: four threads hold a copy or two of theirs
BYTES_PER_PIXEL = 48  # of pictures that four threads decode, each with some copies


def largest_pixels() -> int:
    """Pixels of the largest picture that is decoded: what the limit allows; unless it is set, Pillow's 89 million."""
    allowed = largest_bytes() // BYTES_PER_PIXEL
    return allowed if VARIABLE in os.environ else max(LEAST_LARGEST_PIXELS, allowed)


def require_room(needed: int, what: str | Path, *, instead: str = STREAMED) -> None:
    """Refuse to unpack what would fill more than the limit.

    Args:
        needed: bytes.
        what: would take them.
        instead: what else the user can do, in words.

    Raises:
        UserError: says how much, and how to raise the limit.
    """
    largest = largest_bytes()
    if needed > largest:
        raise UserError(
            f"{what} would fill too much memory",
            found=f"{needed:,} bytes unpacked, allowed are {largest:,}",
            hint=f"if you trust it, set {VARIABLE} to {-(-needed // 2**20)} (MiB); {instead}",
        )


def require_pixels(width: int, height: int) -> None:
    """Refuse to decode a picture that is too large.

    Raises:
        ValueError: as Pillow's own refusals, so that such a picture counts as unreadable.
    """
    if width * height > largest_pixels():
        needed = width * height * BYTES_PER_PIXEL
        raise ValueError(
            f"it has {width}x{height} pixels, allowed are {largest_pixels():,}; if you trust it, set {VARIABLE} "
            f"to {-(-needed // 2**20)}"
        )


def require_picture_file(size: int) -> None:
    """Refuse to read the file of a picture that is too large, whatever its pixels take.

    Raises:
        ValueError: as `require_pixels`.
    """
    if size * FILES_AT_A_TIME > largest_bytes():
        raise ValueError(
            f"its file has {size:,} bytes, allowed are {largest_bytes() // FILES_AT_A_TIME:,}; if you trust it, set "
            f"{VARIABLE} to {-(-size * FILES_AT_A_TIME // 2**20)}"
        )
