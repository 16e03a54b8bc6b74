"""A folder of pictures: decoded by a pool of threads, at once if they fit in memory, else when they are needed."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from wassergan.data.codec import pixel_codec
from wassergan.data.source import HELDOUT_SHARE, Source, Split, split_rows
from wassergan.errors import UserError, unknown_name

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
COLOURS = ("auto", "grey", "rgb")
LARGEST_OWN_SIZE = 128
USUAL_SIZE = 64
DECODE_THREADS = 4
CACHE_LIMIT_BYTES = 2**30

Report = Callable[[str], None]
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)


class ImageFolderReader:
    """Pictures as (k, H, W) or (k, H, W, 3) uint8, cut to one size: shorter side scaled, centre kept.

    Pictures that fit in memory are decoded now, so that a bad one is found before training. Of a larger folder
    each is decoded when it is needed; a bad one found then is replaced by the next, if bad ones are to be skipped.

    Args:
        paths: the files, in a fixed order.
        size: (height, width) of what is returned.
        grey: one channel instead of three.
        skip_unreadable: leave out pictures that cannot be decoded, and say so.
        report: told about each that was left out.

    Raises:
        UserError: a picture cannot be decoded and is not to be skipped.
    """

    def __init__(
        self, paths: Sequence[Path], size: tuple[int, int], *, grey: bool, skip_unreadable: bool, report: Report
    ) -> None:
        self.paths = list(paths)
        self.size, self.grey, self._skip, self._report = size, grey, skip_unreadable, report
        self._split: Split | None = None
        self._skipped: set[Path] = set()
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
        needed = len(self.paths) * size[0] * size[1] * (1 if grey else 3)
        self._pictures = self._decode_all() if needed <= CACHE_LIMIT_BYTES else None

    def __len__(self) -> int:
        return len(self.paths)

    def keep_sides(self, split: Split) -> None:
        """From now on put only pictures of the same side in the place of bad ones that are found late."""
        self._split = split

    def read(self, indices: Tensor) -> Tensor:
        """Pictures at `indices` (k,).

        Raises:
            UserError: a picture cannot be decoded (its name is given), unless unreadable ones are skipped.
        """
        rows = indices.numpy()
        if self._pictures is not None:
            return torch.from_numpy(self._pictures[rows])
        return torch.from_numpy(np.stack(list(self._threads.map(self._decode_or_next, rows))))

    def _decode_all(self) -> NDArray[np.uint8]:
        decoded = list(zip(self.paths, self._threads.map(self._decode_or_none, self.paths), strict=True))
        good = [(path, picture) for path, picture in decoded if picture is not None]
        if not good:
            raise UserError("None of the pictures can be decoded", found=str(self.paths[0].parent))
        self.paths = [path for path, _ in good]
        return np.stack([picture for _, picture in good])

    def _decode_or_next(self, row: int) -> NDArray[np.uint8]:
        for candidate in self._stand_ins(row):
            picture = self._decode_or_none(self.paths[candidate])
            if picture is not None:
                return picture
        raise UserError("None of the pictures can be decoded", found=str(self.paths[0].parent))

    def _stand_ins(self, row: int) -> Iterator[int]:
        """The row itself, then the rows after it on its own side: no held-out picture may enter training."""
        yield row
        if self._split is not None:
            side = self._split.heldout if (self._split.heldout == row).any() else self._split.train
            yield from side[side > row].tolist()
            yield from side[side < row].tolist()

    def _decode_or_none(self, path: Path) -> NDArray[np.uint8] | None:
        try:
            return self._decode(path)
        except _UNREADABLE as error:
            if not self._skip:
                raise unreadable(path, error) from error
            if path not in self._skipped:
                self._skipped.add(path)
                self._report(f"Skipped {path}, which cannot be decoded.")
            return None

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                upright = _eight_bit(ImageOps.exif_transpose(picture))
                flat = _on_white(upright).convert("L" if self.grey else "RGB")
        height, width = self.size
        if flat.size != (width, height):
            flat = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
        return np.asarray(flat, np.uint8)


def image_folder_source(
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    colour: str = "auto",
    skip_unreadable: bool = False,
    heldout: float = HELDOUT_SHARE,
    seed: int = 0,
    report: Report = lambda message: None,
) -> Source:
    """All PNG, JPEG and WebP pictures under a folder. User units: uint8, (n, H, W) grey or (n, H, W, 3).

    Args:
        folder: searched with its sub-folders.
        size: (height, width); the pictures' own size if they share one of at most 128, else 64×64.
        colour: `grey`, `rgb`, or `auto`: grey only if every picture is.
        skip_unreadable: count pictures that cannot be read and go on; refused with their name otherwise.
        heldout: share held out; 0 to 1.
        seed: chooses the held-out pictures.
        report: told, in a sentence, what was decided or skipped.

    Raises:
        UserError: no pictures, an unreadable one, too few, or all equal in size zero.
    """
    if colour not in COLOURS:
        raise unknown_name("colour", colour, COLOURS)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise UserError(f"No PNG, JPEG or WebP pictures under {folder}", found=_listing(folder))
    good, headers = _read_headers(paths, skip_unreadable, report)
    own_sizes = {size for size, _ in headers}
    if size is None:
        (first, *others) = own_sizes
        size = first if not others and max(first) <= LARGEST_OWN_SIZE else (USUAL_SIZE, USUAL_SIZE)
    if own_sizes != {size}:
        report(f"Pictures are scaled and centre-cropped to {size[0]}x{size[1]}.")
    grey = colour == "grey" or (colour == "auto" and all(mode in ("1", "L", "I", "I;16", "LA") for _, mode in headers))
    reader = ImageFolderReader(good, size, grey=grey, skip_unreadable=skip_unreadable, report=report)
    split = split_rows(len(reader), heldout=heldout, seed=seed)
    reader.keep_sides(split)
    return Source(
        folder.name or str(folder),
        "image",
        (1 if grey else 3, *size),
        reader,
        pixel_codec("NHW" if grey else "NHWC"),
        split,
    )


def unreadable(path: Path, error: Exception) -> UserError:
    """The error for a picture that cannot be decoded."""
    return UserError(
        f"The picture {path} cannot be read",
        found=str(error),
        mend="remove it, or go on without it: --skip-unreadable",
    )


def _read_headers(
    paths: list[Path], skip: bool, report: Report
) -> tuple[list[Path], list[tuple[tuple[int, int], str]]]:
    good, headers, bad = [], [], []
    with ThreadPoolExecutor(DECODE_THREADS) as threads:
        for path, header in zip(paths, threads.map(_header, paths), strict=True):
            if isinstance(header, Exception):
                if not skip:
                    raise unreadable(path, header) from header
                bad.append(path)
            else:
                good.append(path)
                headers.append(header)
    if bad:
        report(f"Skipped {len(bad)} unreadable pictures of {len(paths)}, the first: {bad[0]}.")
    if not good:
        raise UserError("None of the pictures can be read", found=f"{len(bad)} files, the first {bad[0]}")
    return good, headers


def _header(path: Path) -> tuple[tuple[int, int], str] | Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if picture.getexif().get(0x0112, 1) >= 5:  # orientations that swap the sides
                    width, height = height, width
                return (height, width), picture.mode
    except _UNREADABLE as error:
        return error


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Sixteen-bit greys are scaled: Pillow's own conversion cuts them off at 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray(((np.asarray(picture).astype(np.int64) + 128) // 257).clip(0, 255).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    """Transparent pictures are laid on white: dropping alpha would show whatever colour hides under it."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture
    layered = picture.convert("RGBA")
    ground = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(ground, layered).convert("RGB")


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"it holds {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}" if names else "it is empty"
