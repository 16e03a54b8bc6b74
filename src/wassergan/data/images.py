"""A folder of pictures: decoded by a pool of threads, at once if they fit in memory, else when they are needed."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from wassergan.data.codec import pixel_codec
from wassergan.data.folders import PICTURE_SUFFIXES, index_files
from wassergan.data.limits import LEAST_LARGEST_PIXELS, largest_pixels, require_pixels
from wassergan.data.source import HELDOUT_SHARE, LARGEST_SHUFFLE, Source, SparseSplit, Split, sparse_split, split_rows
from wassergan.errors import UserError, unknown_name

FORMATS = ("PNG", "JPEG", "WEBP")
COLOURS = ("auto", "grey", "rgb")
LARGEST_OWN_SIZE = 128
USUAL_SIZE = 64
DECODE_THREADS = 4
CACHE_LIMIT_BYTES = 2**30
MANY_PICTURES = 2**17  # of more than these, sizes and colours are told from a sample
LOOKED_AT = 4096

Report = Callable[[str], None]


class Member(Protocol):
    """A picture that is no file of its own."""

    @property
    def parent(self) -> Path:
        """Where it lies."""

    def open(self) -> BinaryIO:
        """Its bytes, as a file."""


Picture = Path | Member


class Pictures(Protocol):
    """Pictures in a fixed order."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, place: int, /) -> Picture:
        """One of them."""

    def __iter__(self) -> Iterator[Picture]:
        """All of them."""

    def subset(self, places: NDArray[np.int64]) -> "Pictures":
        """Those at some places (k,)."""


@dataclass(frozen=True)
class ImageOptions:
    """What a user may say about pictures.

    Args:
        size: (height, width); the pictures' own size if they share one of at most 128, else 64×64.
        colour: `grey`, `rgb`, or `auto`: grey only if every picture is.
        skip_unreadable: count pictures that cannot be read and go on; refused with their name otherwise.
        heldout: share held out; 0 to 1.
        seed: chooses the held-out pictures.
    """

    size: tuple[int, int] | None = None
    colour: str = "auto"
    skip_unreadable: bool = False
    heldout: float = HELDOUT_SHARE
    seed: int = 0


# Damaged bytes surface as whatever the parsers behind Pillow raise.
_UNREADABLE = (Exception,)


class ImageFolderReader:
    """Pictures as (k, H, W) or (k, H, W, 3) uint8, cut to one size: shorter side scaled, centre kept.

    Pictures that fit in memory are decoded now, so that a bad one is found before training. Of a larger folder
    each is decoded when it is needed; a bad one found then is replaced by the next, if bad ones are to be skipped.

    Args:
        pictures: files or members of archives, in a fixed order.
        size: (height, width) of what is returned.
        grey: one channel instead of three.
        skip_unreadable: leave out pictures that cannot be decoded, and say so.
        report: told about each that was left out.

    Raises:
        UserError: a picture cannot be decoded and is not to be skipped.
    """

    def __init__(
        self, pictures: Pictures, size: tuple[int, int], *, grey: bool, skip_unreadable: bool, report: Report
    ) -> None:
        self.paths = pictures
        self.size, self.grey, self._skip, self._report = size, grey, skip_unreadable, report
        self._split: Split | SparseSplit | None = None
        self._skipped: set[str] = set()
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
        needed = len(self.paths) * size[0] * size[1] * (1 if grey else 3)
        self._pictures = self._decode_all() if needed <= CACHE_LIMIT_BYTES else None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def kept(self) -> bool:
        """Whether all pictures are decoded and kept."""
        return self._pictures is not None

    def keep_sides(self, split: Split | SparseSplit) -> None:
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
        decoded = list(self._threads.map(self._decode_or_none, self.paths))
        good = [row for row, picture in enumerate(decoded) if picture is not None]
        if not good:
            raise UserError("None of the pictures can be decoded", found=str(self.paths[0].parent))
        if len(good) < len(decoded):
            self.paths = self.paths.subset(np.array(good))
        return np.stack([picture for picture in decoded if picture is not None])

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
            side = self._split.holds_out(row)
            for other in chain(range(row + 1, len(self)), range(row)):
                if self._split.holds_out(other) == side:
                    yield other

    def _decode_or_none(self, path: Picture) -> NDArray[np.uint8] | None:
        try:
            return self._decode(path)
        except _UNREADABLE as error:
            if not self._skip:
                raise unreadable(path, error) from error
            if str(path) not in self._skipped:
                self._skipped.add(str(path))
                self._report(f"Skipped {path}, which cannot be decoded.")
            return None

    def _decode(self, path: Picture) -> NDArray[np.uint8]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with opened(path) as picture:
                upright = _eight_bit(ImageOps.exif_transpose(picture))
                flat = _on_white(upright).convert("L" if self.grey else "RGB")
        height, width = self.size
        if flat.size != (width, height):
            flat = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
        return np.asarray(flat, np.uint8)


def image_folder_source(folder: Path, options: ImageOptions, *, report: Report = lambda message: None) -> Source:
    """All PNG, JPEG and WebP pictures under a folder. User units: uint8, (n, H, W) grey or (n, H, W, 3).

    Args:
        folder: searched with its sub-folders.
        options: sizes, colours, and what is held out.
        report: told, in a sentence, what was decided or skipped.

    Raises:
        UserError: no pictures, an unreadable one, too few, or all equal in size zero.
    """
    pictures = index_files(folder, PICTURE_SUFFIXES)
    if not pictures:
        raise UserError(f"No PNG, JPEG or WebP pictures under {folder}", found=_listing(folder))
    return picture_source(pictures, folder.name or str(folder), options, report=report)


def picture_source(pictures: Pictures, name: str, options: ImageOptions, *, report: Report) -> Source:
    """A source over pictures, wherever they lie.

    Raises:
        UserError: as `image_folder_source`.
    """
    if options.colour not in COLOURS:
        raise unknown_name("colour", options.colour, COLOURS)
    good, headers = _look_at(pictures, options, report)
    own_sizes = {size for size, _ in headers}
    size = options.size
    if size is None:
        (first, *others) = own_sizes
        size = first if not others and max(first) <= LARGEST_OWN_SIZE else (USUAL_SIZE, USUAL_SIZE)
    if own_sizes != {size}:
        report(f"Pictures are scaled and centre-cropped to {size[0]}x{size[1]}.")
    all_grey = all(mode in ("1", "L", "I", "I;16", "LA") for _, mode in headers)
    grey = options.colour == "grey" or (options.colour == "auto" and all_grey)
    reader = ImageFolderReader(good, size, grey=grey, skip_unreadable=options.skip_unreadable, report=report)
    many = not reader.kept and len(reader) > LARGEST_SHUFFLE
    split = (sparse_split if many else split_rows)(len(reader), heldout=options.heldout, seed=options.seed)
    reader.keep_sides(split)
    codec = pixel_codec("NHW" if grey else "NHWC")
    source = Source(name, "image", (1 if grey else 3, *size), reader, codec, split)
    if reader.kept or not options.skip_unreadable:  # else another picture may stand in for one that is found bad late
        source.folders = lambda: [picture.parent.name for picture in reader.paths]
    return source


def opened(picture: Picture) -> Image.Image:
    """The picture, not decoded yet: of the formats that its name promises, and of a size that can be held.

    Pillow knows many more formats by their content, one of which starts another program.

    Raises:
        OSError, ValueError: it is no such picture, or too large.
    """
    if largest_pixels() > LEAST_LARGEST_PIXELS:
        Image.MAX_IMAGE_PIXELS = largest_pixels()
    found = Image.open(picture if isinstance(picture, Path) else picture.open(), formats=FORMATS)
    try:
        require_pixels(*found.size)
    except ValueError:
        found.close()
        raise
    return found


def _look_at(
    pictures: Pictures, options: ImageOptions, report: Report
) -> tuple[Pictures, list[tuple[tuple[int, int], str]]]:
    """Sizes and modes of all pictures, without the unreadable ones; of very many, of a sample."""
    if len(pictures) <= MANY_PICTURES:
        return _read_headers(pictures, options.skip_unreadable, report)
    report(f"Size and colours are those of {LOOKED_AT} of the {len(pictures)} pictures.")
    chosen = np.random.default_rng(options.seed).choice(len(pictures), LOOKED_AT, replace=False)
    return pictures, _read_headers(pictures.subset(np.sort(chosen)), options.skip_unreadable, report)[1]


def unreadable(path: Picture, error: Exception) -> UserError:
    """The error for a picture that cannot be decoded."""
    return UserError(
        f"The picture {path} cannot be read",
        found=str(error),
        mend="remove it, or go on without it: --skip-unreadable",
    )


def _read_headers(pictures: Pictures, skip: bool, report: Report) -> tuple[Pictures, list[tuple[tuple[int, int], str]]]:
    good, headers, bad = [], [], []
    with ThreadPoolExecutor(DECODE_THREADS) as threads:
        for row, header in enumerate(threads.map(_header, pictures)):
            if isinstance(header, Exception):
                if not skip:
                    raise unreadable(pictures[row], header) from header
                bad.append(row)
            else:
                good.append(row)
                headers.append(header)
    if bad:
        report(f"Skipped {len(bad)} unreadable pictures of {len(pictures)}, the first: {pictures[bad[0]]}.")
    if not good:
        raise UserError("None of the pictures can be read", found=f"{len(bad)} files, the first {pictures[bad[0]]}")
    return pictures.subset(np.array(good)) if bad else pictures, headers


def _header(path: Picture) -> tuple[tuple[int, int], str] | Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with opened(path) as picture:
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
