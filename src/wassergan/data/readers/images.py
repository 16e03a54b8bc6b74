"""A folder of pictures: decoded by a pool of threads, at once if they fit in memory, else when they are needed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import source as limits
from wassergan.data.codec import Codec, as_tensor, pixel_codec
from wassergan.data.drawn import without_drawn
from wassergan.data.naming import FileNames
from wassergan.data.readers.decoding import (
    FORMATS_TOLD,
    TOP_16,
    Header,
    Picture,
    content_of,
    decode,
    read_header,
    unreadable,
)
from wassergan.data.readers.marks import DataChangedError, Marks, Watch
from wassergan.data.readers.paths import PICTURE_SUFFIXES, MarkedFiles, index_files
from wassergan.data.readers.tree import PassedOver, is_run_folder, run_around
from wassergan.data.source import LARGEST_SHUFFLE, Source
from wassergan.data.split import (
    HELDOUT_SHARE,
    SparseSplit,
    Split,
    random_positions,
    sparse_split,
    split_rows,
)
from wassergan.errors import UserError, typed, unknown_name

COLOURS = ("auto", "grey", "rgb")
LARGEST_OWN_SIZE = 128
USUAL_SIZE = 64
DECODE_THREADS = 4
CACHE_LIMIT_BYTES = 2**30
MANY_PICTURES = 2**17  # of more than these, sizes and colours are told from a sample
LOOKED_AT = 4096
PART = 16  # files that a thread reads whole before it gives them on
RANGE_LOOKED_AT = 512  # pictures of 16 bits whose range is looked at where they are too many to be kept

Log = Callable[[str], None]


class Pictures(Protocol):
    """Pictures in a fixed order."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> Picture:
        """One of them."""

    def __iter__(self) -> Iterator[Picture]:
        """All of them."""

    @property
    def places(self) -> NDArray[np.int64]:
        """(n,) of which of all that were found each is."""

    @property
    def marks(self) -> Marks:
        """The files that they lie in, as they were when they were found."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes that each has in its file."""

    def subset(self, places: NDArray[np.int64]) -> "Pictures":
        """Those at some places (k,)."""


@dataclass(frozen=True)
class ImageOptions:
    """What a user may say about pictures.

    Args:
        size: (height, width); the pictures' own size if they share one of at most 128, else 64×64.
        colour: `grey`, `rgb`, or `auto`: grey only if every picture is.
        skip_unreadable: count pictures that cannot be read and go on; refused with their name otherwise.
        heldout: share held out; 0 to 1. None where nothing is trained: pictures may be few, and equal.
        seed: chooses the held-out pictures.
        bits: 8 or 16 of each value; those of the deepest picture unless given.
        used: files below the folder that are read for another purpose: labels.
    """

    size: tuple[int, int] | None = None
    colour: str = "auto"
    skip_unreadable: bool = False
    heldout: float | None = HELDOUT_SHARE
    seed: int = 0
    bits: int | None = None
    used: frozenset[str] = frozenset()


# Damaged bytes surface as whatever the parsers behind Pillow raise.
_UNREADABLE = (Exception,)


class ImageFolderReader:
    """Pictures as (k, H, W) or (k, H, W, 3), 8 or 16 bits, cut to one size: shorter side scaled, centre kept.

    Pictures that fit in memory are decoded now, so that a bad one is found before training. Of a larger folder
    each is decoded when it is needed; a bad one found then is replaced by the next, if bad ones are to be skipped.

    Args:
        pictures: files or members of archives, in a fixed order.
        size: (height, width) of what is returned.
        grey: one channel instead of three.
        bits: of each value, 8 or 16.
        skip_unreadable: leave out pictures that cannot be decoded, and say so.
        log: receives word of each that was left out.

    Raises:
        UserError: a picture cannot be decoded and is not to be skipped.
    """

    def __init__(
        self,
        pictures: Pictures,
        size: tuple[int, int],
        *,
        grey: bool,
        bits: int = 8,
        skip_unreadable: bool,
        log: Log,
    ) -> None:
        self.paths = pictures
        self.size, self._skip, self._log = size, skip_unreadable, log
        self._decode = partial(decode, size=size, grey=grey, bits=bits)
        self._split: Split | SparseSplit | None = None
        self._skipped: set[str] = set()
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
        needed = len(self.paths) * size[0] * size[1] * (1 if grey else 3) * bits // 8
        self._pictures = self._decode_all() if needed <= CACHE_LIMIT_BYTES else None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def kept(self) -> bool:
        """Whether all pictures are decoded and kept."""
        return self._pictures is not None

    @property
    def rows(self) -> NDArray[np.int64] | None:
        """(n,) which of all pictures that were found these are; None where one found bad later may have a stand-in."""
        return self.paths.places if self.kept or not self._skip else None

    def keeping_sides(self, split: Split | SparseSplit) -> "ImageFolderReader":
        """The same, putting only pictures of the same side in the place of bad ones that are found late."""
        other = copy(self)
        other._split = split
        return other

    def read(self, indices: Tensor) -> Tensor:
        """Pictures at `indices` (k,).

        Raises:
            UserError: a picture cannot be decoded (its name is given), unless unreadable ones are skipped.
        DataChangedError: its file is no longer the one that was found.
        """
        rows = indices.numpy()
        if self._pictures is not None:
            return as_tensor(self._pictures[rows])
        return as_tensor(np.stack(list(self._threads.map(self._decode_or_next, rows))))

    def contents(self) -> Iterator[NDArray[np.uint8]]:
        """The bytes of each picture's file; none where it cannot be read."""
        parts = [range(first, min(first + PART, len(self))) for first in range(0, len(self), PART)]
        for first in range(0, len(parts), DECODE_THREADS):  # no more at once: they are files of any size
            for contents in self._threads.map(self._contents, parts[first : first + DECODE_THREADS]):
                yield from contents

    def _contents(self, places: range) -> list[NDArray[np.uint8]]:
        return [self._content(self.paths[index]) for index in places]

    def _content(self, picture: Picture) -> NDArray[np.uint8]:
        try:
            return np.frombuffer(content_of(picture), np.uint8)
        except DataChangedError:
            raise
        except _UNREADABLE as error:
            if not self._skip:
                raise unreadable(picture, error) from error
            return np.empty(0, np.uint8)

    def all_equal(self) -> bool:
        """Whether all pictures are the same, value by value; found out at the second one, as a rule."""
        first = self.read(torch.tensor([0]))
        return all(torch.equal(self.read(torch.tensor([row])), first) for row in range(1, len(self)))

    def range(self) -> tuple[int, int]:
        """The smallest and the largest value; where pictures are not kept, those of a sample."""
        looked_at = self._pictures
        if looked_at is None:
            looked_at = self.read(random_positions(RANGE_LOOKED_AT, len(self))).numpy()
        return int(looked_at.min()), int(looked_at.max())

    def _decode_all(self) -> NDArray[Any]:
        decoded = list(self._threads.map(partial(self._decode_or_none, tell=False), self.paths))
        good = [row for row, picture in enumerate(decoded) if picture is not None]
        if not good:
            raise UserError("None of the pictures can be decoded", found=str(self.paths[0].parent))
        if len(good) < len(decoded):
            first = next(path for path, picture in zip(self.paths, decoded, strict=True) if picture is None)
            bad = len(decoded) - len(good)
            self._log(f"Skipped {_unreadable_of(bad, len(decoded))}, which cannot be decoded, the first: {first}.")
            self.paths = self.paths.subset(np.array(good))
        return np.stack([picture for picture in decoded if picture is not None])

    def _decode_or_next(self, row: int) -> NDArray[Any]:
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

    def _decode_or_none(self, path: Picture, *, tell: bool = True) -> NDArray[Any] | None:
        try:
            return self._decode(path)
        except DataChangedError:  # nothing to skip: other pictures may be in its place
            raise
        except _UNREADABLE as error:
            if not self._skip:
                raise unreadable(path, error) from error
            if tell and str(path) not in self._skipped:
                self._skipped.add(str(path))
                self._log(f"Skipped {path}, which cannot be decoded.")
            return None


def image_folder_source(folder: Path, options: ImageOptions, *, log: Log = lambda message: None) -> Source:
    """All pictures under a folder. User units: uint8 or uint16, (n, H, W) grey or (n, H, W, 3).

    Args:
        folder: searched with its sub-folders.
        options: sizes, colours, and what is held out.
        log: receives, in a sentence, what was decided or skipped.

    Raises:
        UserError: no pictures, an unreadable one, too few, all of them equal, or the folder of a run.
    """
    if is_run_folder(folder):
        raise UserError(
            f"{folder} is the folder of a run, not data",
            hint=f"name the run's data, or go on with it: wassergan resume {typed(folder)}",
        )
    passed = PassedOver(options.used)
    pictures = index_files(folder, PICTURE_SUFFIXES, passed)
    pictures = without_drawn(pictures, passed) if len(pictures) <= MANY_PICTURES else pictures
    name = folder.name or folder.resolve().name or str(folder)
    if not pictures:
        raise UserError(f"No pictures ({FORMATS_TOLD}) under {folder}", found=_listing(folder))
    if around := run_around(folder):
        log(f"{folder} lies in the run folder {around}: its pictures are what a run has drawn.")
    source = picture_source(MarkedFiles(pictures), name, options, log=log)
    return replace(source, names=FileNames(pictures, source.reader.rows, passed))


@dataclass(frozen=True, eq=False)
class PictureSource(Source):
    """A source over pictures, some of which may have been left out."""

    reader: ImageFolderReader = field(repr=False)

    @property
    def is_compared_whole(self) -> bool:
        """Whether all pictures, or all of their files, are looked at to tell these data from others."""
        if self.reader.kept:
            return super().is_compared_whole
        return len(self) <= MANY_PICTURES and int(self.sizes().sum()) <= limits.COMPARED_BYTES

    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes that each picture has in its file."""
        return self.reader.paths.sizes

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All pictures; of those that are decoded when they are needed the files, which are read much sooner."""
        return super().pieces() if self.reader.kept else self.reader.contents()

    def holding_out(self, split: Split | SparseSplit) -> "PictureSource":
        """The same pictures, split in another way."""
        return replace(self, split=split, reader=self.reader.keeping_sides(split))


def picture_source(pictures: Pictures, name: str, options: ImageOptions, *, log: Log) -> PictureSource:
    """A source over pictures, wherever they lie.

    Raises:
        UserError: as `image_folder_source`.
    """
    if options.colour not in COLOURS:
        raise unknown_name("colour", options.colour, COLOURS)
    good, headers = _look_at(pictures, options, log)
    size = _size_of(headers, options)
    if {header.size for header in headers} != {size}:
        log(f"Pictures are scaled and centre-cropped to {size[0]}x{size[1]}.")
    grey = options.colour == "grey" or (options.colour == "auto" and all(header.grey for header in headers))
    bits = options.bits or max(header.bits for header in headers)
    _tell_depth(headers, bits, log)
    reader = ImageFolderReader(good, size, grey=grey, bits=bits, skip_unreadable=options.skip_unreadable, log=log)
    many = not reader.kept and len(reader) > LARGEST_SHUFFLE
    split = (sparse_split if many else split_rows)(len(reader), heldout=options.heldout, seed=options.seed)
    reader = reader.keeping_sides(split)
    if options.heldout is not None and reader.all_equal():
        raise UserError(f"All pictures of {name} are equal", found=f"{len(reader)} of them", hint="give data that vary")
    codec = _codec("NHW" if grey else "NHWC", bits, reader, log)
    watch = Watch(() if reader.kept else reader.paths.marks)
    return PictureSource(name, "image", (1 if grey else 3, *size), reader, codec, split, watch=watch)


def _size_of(headers: Sequence[Header], options: ImageOptions) -> tuple[int, int]:
    if options.size is not None:
        return options.size
    first, *others = {header.size for header in headers}
    return first if not others and max(first) <= LARGEST_OWN_SIZE else (USUAL_SIZE, USUAL_SIZE)


def _tell_depth(headers: Sequence[Header], bits: int, log: Log) -> None:
    """Say what is made of 16 bits, and of pages and frames after the first."""
    count = len(headers)
    deep = sum(header.bits == 16 for header in headers)
    cut = sum(header.is_cut for header in headers)
    more = sum(header.has_more for header in headers)
    if bits == 16 and deep < count:
        log(f"{count - deep} of {count} pictures have 8 bits; they are taken into the 16 of the others, times 257.")
    if bits == 8 and deep:
        log(f"{deep} of {count} pictures have 16 bits; they are scaled to 8.")
    if cut:
        log(f"Of {cut} of {count} pictures with 16 bits the upper 8 can be read alone.")
    if more:
        log(f"{more} of {count} pictures have several pages or frames; the first of each is used.")


def _codec(layout: str, bits: int, reader: ImageFolderReader, log: Log) -> Codec:
    if bits == 8:
        return pixel_codec(layout)
    low, high = reader.range()
    log(
        f"Pictures have 16 bits and hold levels from {low} to {high} of {TOP_16}; that range is learnt, and written "
        "with 16 bits again."
    )
    middle, half, one = (torch.tensor(each, dtype=torch.float64) for each in ((low + high) / 2, (high - low) / 2, 1))
    return Codec(layout, "uint16", offset=middle, scale=half, low=-one, high=one, whole=True)


def _look_at(pictures: Pictures, options: ImageOptions, log: Log) -> tuple[Pictures, list[Header]]:
    """Sizes and modes of all pictures, without the unreadable ones; of very many, of a sample."""
    if len(pictures) <= MANY_PICTURES:
        return _read_headers(pictures, options.skip_unreadable, log)
    log(f"Size and colours are those of {LOOKED_AT} of the {len(pictures)} pictures.")
    chosen = np.random.default_rng(options.seed).choice(len(pictures), LOOKED_AT, replace=False)
    return pictures, _read_headers(pictures.subset(np.sort(chosen)), options.skip_unreadable, log)[1]


def _read_headers(pictures: Pictures, skip: bool, log: Log) -> tuple[Pictures, list[Header]]:
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
        log(f"Skipped {_unreadable_of(len(bad), len(pictures))}, the first: {pictures[bad[0]]}.")
    if not good:
        raise UserError("None of the pictures can be read", found=f"{len(bad)} files, the first {pictures[bad[0]]}")
    return pictures.subset(np.array(good)) if bad else pictures, headers


def _header(path: Picture) -> Header | Exception:
    try:
        return read_header(path)
    except DataChangedError:
        raise
    except _UNREADABLE as error:
        return error


def _unreadable_of(bad: int, count: int) -> str:
    return f"{bad} unreadable picture{'' if bad == 1 else 's'} of {count}"


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"it holds {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}" if names else "it is empty"
