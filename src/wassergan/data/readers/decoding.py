"""One picture: opened as one of the formats that are read, told from its header, and decoded to one size."""

import io
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wassergan.data.readers.limits import (
    LEAST_LARGEST_PIXELS,
    largest_pixels,
    require_picture_file,
    require_pixels,
    require_room,
)
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.errors import UserError, parameter

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
FORMATS_TOLD = "PNG, JPEG, WebP, BMP, TIFF or GIF"
GREYS = ("1", "L", "LA", "La")
TOP_8, TOP_16 = 255, 65535
LARGEST_FILE_BYTES = 2**28
_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = 5  # orientations from here on
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in a grey (ITU-R BT.601), as in Pillow
TOO_LONG = ("MAX_TEXT", "Decompressed Data Too Large")  # texts, in the words of Pillow and of those below 11
_PNG_START, _PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")


class Member(Protocol):
    """A picture that is no file of its own."""

    @property
    def parent(self) -> Path:
        """Where it lies."""

    @property
    def size(self) -> int:
        """Bytes that it has."""

    def stream(self) -> BinaryIO:
        """Its bytes, as a file."""


Picture = Path | FileMark | Member  # a path is marked as it is opened


@dataclass(frozen=True)
class Header:
    """What a picture is.

    Args:
        size: (height, width), upright.
        grey: it has no colours.
        bits: 8 or 16 of each value.
        is_cut: it has 16 bits, of which only the upper 8 can be read.
        has_more: it has further pages or frames.
    """

    size: tuple[int, int]
    grey: bool
    bits: int
    is_cut: bool
    has_more: bool


def read_header(picture: Picture) -> Header:
    """What a picture is; PNG files are decoded for that, since their orientation may stand at the end.

    Raises:
        Exception: whatever the parsers behind Pillow raise for what cannot be read.
    """
    with _opened(picture, whole=False) as (found, raw):
        height, width = found.size[::-1]
        mode = found.mode
        if _orientation(found) >= _SWAPS_SIDES:
            height, width = width, height
        deep = mode.startswith("I") or ";16" in raw
        grey = mode in GREYS or mode.startswith("I") or raw.startswith("LA")
        return Header((height, width), grey, 16 if deep else 8, deep and not _is_deep(mode, raw), _has_more(found))


def decode(picture: Picture, size: tuple[int, int], *, grey: bool, bits: int = 8) -> NDArray[Any]:
    """A picture upright, on white, scaled and centre-cropped: (H, W) or (H, W, 3), uint8 or, of 16 bits, uint16.

    Raises:
        Exception: whatever the parsers behind Pillow raise for what cannot be decoded.
    """
    with _opened(picture, whole=True) as (found, raw):
        orientation = _orientation(found)
        if bits == 16 and _is_deep(found.mode, raw):
            low = None if found.mode.startswith("I") else _low_bytes(picture)
            return _fitted_deep(_sixteen(found, low), size, grey, orientation)
        upright = found.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else found
        flat = _on_white(_eight_bit(upright)).convert("L" if grey else "RGB")
    height, width = size
    if flat.size != (width, height):
        flat = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
    levels = np.asarray(flat, np.uint8)
    return levels if bits == 8 else levels.astype(np.uint16) * (TOP_16 // TOP_8)


def unreadable(picture: Picture, error: Exception) -> UserError:
    """The error for a picture that cannot be decoded."""
    return UserError(
        f"The picture {picture} cannot be read",
        found="its content is no picture of a known format"
        if isinstance(error, UnidentifiedImageError)
        else str(error),
        hint=f"remove it, or go on without it: {parameter('skip_unreadable', True)}",
    )


def content_of(picture: Picture) -> bytes:
    """All bytes of a picture's file.

    Raises:
        UserError: more than fit in memory.
        DataChangedError: the file is no longer the one that was found.
        OSError: it cannot be read.
    """
    with _bytes_of(picture, whole=True) as file:
        return file.read()


@contextmanager
def _opened(picture: Picture, *, whole: bool) -> Iterator[tuple[Image.Image, str]]:
    """The picture, of the formats that are read and of a size that can be held, and how its values stand in the file.

    Pillow knows many more formats by their content, one of which starts another program.
    """
    with warnings.catch_warnings():
        # Others tell of odd metadata, which are not used.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        picture = FileMark.of(picture) if isinstance(picture, Path) else picture
        require_picture_file(picture.size)
        with _bytes_of(picture, whole=whole) as file:
            found, raw = _open_file(picture, file)
            try:
                require_pixels(*found.size)
                yield found, raw
            finally:
                found.close()


@contextmanager
def _bytes_of(picture: Picture, *, whole: bool) -> Iterator[IO[bytes]]:
    """A picture's file; or its bytes, for decoders that would map a file: one that shrinks kills the process."""
    if isinstance(picture, Path):
        picture = FileMark.of(picture)
    if not isinstance(picture, FileMark):
        with picture.stream() as stream:
            yield stream
    elif not whole:
        with reading_marked(picture) as file:
            yield file
    else:
        with reading_marked(picture) as file:
            require_room(picture.size, str(picture))
            content = file.read()
        yield io.BytesIO(content)


def _open_file(picture: Picture, file: IO[bytes]) -> tuple[Image.Image, str]:
    if largest_pixels() > LEAST_LARGEST_PIXELS:
        Image.MAX_IMAGE_PIXELS = largest_pixels()
    try:
        return _loaded(Image.open(file, formats=FORMATS))
    except ValueError as error:
        if not any(words in str(error) for words in TOO_LONG):
            raise
        return _loaded(Image.open(io.BytesIO(_without_texts(_content(picture))), formats=("PNG",)))


def _loaded(found: Image.Image) -> tuple[Image.Image, str]:
    """A PNG is decoded, since orientation, and texts that Pillow refuses, may follow its pixels; its raw mode."""
    raw = _raw_mode(found)
    try:
        if found.format == "PNG":
            require_pixels(*found.size)
            found.load()
    except BaseException:
        found.close()
        raise
    return found, raw


def _content(picture: Picture) -> bytes:
    with _bytes_of(picture, whole=False) as file:  # anew: Pillow closed the one that it failed on
        content = file.read(LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        raise ValueError(f"it has more than {LARGEST_FILE_BYTES:,} bytes")
    return content


def _without_texts(content: bytes) -> bytes:
    """A PNG file without its texts, which Pillow refuses to unpack where they are long."""
    parts, offset = [_PNG_START], len(_PNG_START)
    while offset + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, offset)
        if content[offset + 4 : offset + 8] not in _PNG_TEXTS:
            parts.append(content[offset : offset + 12 + length])
        offset += 12 + length
    return b"".join(parts)


def _raw_mode(found: Image.Image) -> str:
    """How the values stand in the file, in Pillow's words, such as `RGB;16B`."""
    tiles: Any = getattr(found, "tile", None)
    args = tiles[0][3] if tiles else ""  # by place: before Pillow 11 tiles are plain tuples
    return str(args[0] if isinstance(args, tuple) and args else args or "")


def _orientation(found: Image.Image) -> int:
    """From 1 to 8; 1 where it is not said, or said in a way that cannot be read."""
    with suppress(Exception):  # of text where bytes should be, whatever parsers raise
        return int(found.getexif().get(_ORIENTATION, 1))
    return 1


def _has_more(found: Image.Image) -> bool:
    with suppress(Exception):  # damage in a page that is not used
        if found.format == "TIFF":
            found.seek(1)
            return True
        return bool(getattr(found, "is_animated", False)) and found.format != "JPEG"
    return False


def _is_deep(mode: str, raw: str) -> bool:
    """Whether all 16 bits can be read."""
    return mode.startswith("I") or (mode in ("RGB", "RGBA") and raw in _LOW_BYTES)


# Pillow keeps the upper byte of such colours; read as if the bytes were swapped, it is the lower one.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}" for mode in ("RGB", "RGBA") for order, other in _OTHER_ORDER.items()
}


def _swapped(args: Any) -> Any:
    return (_LOW_BYTES[args[0]], *args[1:]) if isinstance(args, tuple) else _LOW_BYTES[args]


def _with_args(tile: Any, args: Any) -> Any:
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def _low_bytes(picture: Picture) -> NDArray[np.uint8]:
    with _bytes_of(picture, whole=True) as file, Image.open(file, formats=FORMATS) as found:
        own: Any = found
        own.tile = [_with_args(tile, _swapped(tile[3])) for tile in own.tile]
        return np.asarray(found, np.uint8)


def _sixteen(found: Image.Image, low: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """(H, W) or (H, W, 3) of 0 to 65535, transparent parts on white."""
    if low is None:
        whole = np.asarray(found).astype(np.int64)
        if whole.size and (whole.min() < 0 or whole.max() > TOP_16):
            raise ValueError(
                f"it holds whole numbers from {whole.min()} to {whole.max()}, more than 16 bits; give them as .npy"
            )
        clear = found.info.get("transparency")
        if isinstance(clear, int):
            whole[whole == clear] = TOP_16
        return whole.astype(np.float32)
    values = (np.asarray(found, np.uint8).astype(np.float32) * 256 + low).astype(np.float32)
    if values.shape[2] == 3:
        return values
    alpha = values[..., 3:] / TOP_16
    return np.rint(values[..., :3] * alpha + TOP_16 * (1 - alpha))


def _fitted_deep(
    values: NDArray[np.float32], size: tuple[int, int], grey: bool, orientation: int
) -> NDArray[np.uint16]:
    if grey and values.ndim == 3:
        values = (values @ np.array(_LUMA, np.float32)).astype(np.float32)
    planes = [values] if values.ndim == 2 else [values[..., channel] for channel in range(3)]
    fitted: list[NDArray[np.uint16]] = []
    for plane in planes:
        picture = Image.fromarray(np.ascontiguousarray(plane))  # 32-bit floats
        if orientation in _UPRIGHT:
            picture = picture.transpose(_UPRIGHT[orientation])
        if picture.size != size[::-1]:
            picture = ImageOps.fit(picture, size[::-1], Image.Resampling.LANCZOS)
        fitted.append(np.rint(np.asarray(picture)).clip(0, TOP_16).astype(np.uint16))
    if grey:
        return fitted[0]
    return np.stack(fitted * 3 if len(fitted) == 1 else fitted, axis=2)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Sixteen-bit greys are scaled: Pillow's own conversion cuts them off at 255."""
    if picture.mode == "F":
        raise ValueError("it holds floating-point numbers; give such fields as .npy")
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray(((np.asarray(picture).astype(np.int64) + 128) // 257).clip(0, 255).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    """Transparent pictures are laid on white: dropping alpha would show whatever colour hides under it."""
    if picture.mode == "La":  # alpha multiplied in
        picture = picture.convert("LA")
    if not {"A", "a"} & {*picture.getbands()} and "transparency" not in picture.info:
        return picture
    layered = picture.convert("RGBA")
    ground = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(ground, layered).convert("RGB")
