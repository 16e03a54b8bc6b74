"""A source: samples of the user's law, split once into training and held-out rows, in model space on request."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import AnyCodec
from wassergan.data.readers.marks import Watch
from wassergan.data.readers.tree import PassedOver
from wassergan.data.roundtrip import RoundTrip
from wassergan.errors import UserError

HELDOUT_SHARE = 0.1
RESIDENT_LIMIT_BYTES = 512 * 2**20
LARGEST_HELDOUT = 2**16  # of data whose row numbers are not listed
LARGEST_SHUFFLE = 2**20  # row numbers that are shuffled at once when data are streamed
LONE_BLOCK = 64  # rows of a block where each row is read by itself
COMPARED_BYTES = 2**31  # of data, all of which are looked at to tell them from others; of more, a sample
PIECE_BYTES = 2**24
KEPT_CONDITIONS = 2**14  # conditions of training rows that every checkpoint holds, to draw others like them


def fits_in_memory(size_bytes: int) -> bool:
    """Whether data of that size are kept in memory; larger ones are streamed."""
    return size_bytes <= RESIDENT_LIMIT_BYTES


class Reader(Protocol):
    """Rows in the user's units and layout, by index."""

    def __len__(self) -> int:
        """Number of rows."""

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), as (k, ...) in the user's layout."""


class Conditions(Protocol):
    """Conditions under which samples are drawn, as vectors."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """Those of samples start..start+count-1, (count, width) float32; they hang on seed and number alone."""

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""


class Context(Protocol):
    """The conditions of every row."""

    @property
    def width(self) -> int:
        """Numbers in a condition's vector."""

    def at(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,), (k, width) float32."""

    def conditions(self, indices: Tensor) -> Conditions:
        """The law of the conditions, as some rows (k,) show it."""

    def facts(self) -> tuple[NDArray[np.float64], list[str]]:
        """Of all rows (n, columns) in the user's units; the names of columns and levels."""


class TableBeside(NamedTuple):
    """A table of labels that lies beside the files.

    Args:
        path: of the table.
        places: of all files that were found, those that it speaks of.
        names: their paths, as the table may give them.
    """

    path: Path
    places: list[int]
    names: list[str]


class Names(Protocol):
    """What the rows of a source are called, where they are files, and what is known of each file by itself."""

    @property
    def passed(self) -> PassedOver:
        """What was found beside them and not used."""

    def found(self) -> list[str]:
        """The paths of all files that were found, those that could not be read too."""

    def kept(self) -> NDArray[np.int64] | None:
        """(n,) which of these the rows are; None where another may stand in for one that cannot be read."""

    def columns(self, wanted: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Of those names that are known: a value for each file that was found."""

    def tables(self) -> Sequence[TableBeside]:
        """Tables of labels that lie beside the files."""


class Batch(NamedTuple):
    """Samples in model space (k, *shape), and their conditions' vectors (k, width) if they have any."""

    samples: Tensor
    context: Tensor | None


def spread_positions(count: int, total: int) -> Tensor:
    """Up to `count` positions of `total`, evenly from the first to the last."""
    return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).long()


def random_positions(count: int, total: int, *, seed: int = 0) -> Tensor:
    """Up to `count` positions of `total` in random order, the same for equal seeds; each prefix is a sample, too.

    The first positions of a sorted file are no sample of it, nor are evenly spaced ones of a periodic file.
    """
    chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False, shuffle=True)
    return torch.from_numpy(chosen.astype(np.int64))


@dataclass(frozen=True)
class Split:
    """Row numbers for training and the held-out rows that no training step ever sees; both int64, sorted."""

    train: Tensor
    heldout: Tensor

    @property
    def train_count(self) -> int:
        """Number of training rows."""
        return len(self.train)

    def train_rows(self, positions: Tensor) -> Tensor:
        """Row numbers (k,) of the training rows at positions 0..train_count-1."""
        return self.train[positions]

    def sample_positions(self, count: int) -> Tensor:
        """Up to `count` positions of training rows to look at, always the same, from all over: data may be sorted."""
        return random_positions(count, self.train_count)

    def holds_out(self, row: int) -> bool:
        """Whether a row is held out."""
        return bool((self.heldout == row).any())

    def holding_out(self, rows: Tensor) -> "Split":
        """The same rows, of which as many others (k,) are held out."""
        is_train = torch.ones(self.train_count + len(self.heldout), dtype=torch.bool)
        is_train[rows] = False
        return Split(train=is_train.nonzero().flatten(), heldout=rows.sort().values)


class SparseSplit:
    """The same for data so large that only the held-out row numbers are kept: all others are trained on.

    Args:
        count: number of rows.
        heldout: numbers of the held-out rows, int64, in an order of no meaning, without repetition.
    """

    def __init__(self, count: int, heldout: Tensor) -> None:
        self.heldout = heldout
        self.train_count = count - len(heldout)
        self._count = count
        self._sorted = heldout.sort().values
        # How many training rows come before each held-out one.
        self._before = self._sorted - torch.arange(len(heldout))

    def train_rows(self, positions: Tensor) -> Tensor:
        """Row numbers (k,) of the training rows at positions 0..train_count-1."""
        return positions + torch.searchsorted(self._before, positions, right=True)

    def train_positions(self, rows: Tensor) -> Tensor:
        """How many training rows come before each row (k,); the position of a training row."""
        return rows - torch.searchsorted(self._sorted, rows)

    def sample_positions(self, count: int) -> Tensor:
        """Up to `count` positions of training rows to look at, always the same: from all over the data."""
        return random_positions(count, self.train_count)

    def holds_out(self, row: int) -> bool:
        """Whether a row is held out."""
        place = int(torch.searchsorted(self._sorted, row))
        return place < len(self._sorted) and int(self._sorted[place]) == row

    def holding_out(self, rows: Tensor) -> "SparseSplit":
        """The same rows, of which as many others (k,) are held out."""
        return SparseSplit(self._count, rows)


def split_rows(count: int, *, heldout: float | None, seed: int) -> Split:
    """Hold out a share of the rows, chosen by seed.

    Args:
        count: number of rows.
        heldout: share in (0, 1); None where nothing is trained, and no row is held out.
        seed: the same seed holds out the same rows.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    held = 0 if heldout is None else heldout_count(count, heldout)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return Split(train=order[held:].sort().values, heldout=order[:held].sort().values)


def sparse_split(count: int, *, heldout: float | None, seed: int) -> SparseSplit:
    """Hold out a share of the rows but at most `LARGEST_HELDOUT`, chosen by seed, without a list of all rows.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    held = 0 if heldout is None else min(heldout_count(count, heldout), LARGEST_HELDOUT)
    numbers = np.random.default_rng(seed)
    return SparseSplit(count, torch.from_numpy(numbers.choice(count, held, replace=False, shuffle=True)))


def keep_classes(
    split: Split | SparseSplit, classes: Mapping[str, NDArray[np.int64]], *, seed: int
) -> Split | SparseSplit:
    """The same split, unless all rows of a class are held out: then one goes to training, and another takes its place.

    Args:
        split: of the rows.
        classes: condition → the class of each row, (n,) from 0 on.
        seed: chooses the rows that are held out instead.

    Raises:
        UserError: there is no row that could be held out.
    """
    heldout = split.heldout.numpy().copy()
    left = {name: np.bincount(each) - np.bincount(each[heldout], minlength=each.max() + 1)
            for name, each in classes.items()}  # fmt: skip
    numbers, swapped = np.random.default_rng(seed), False
    for name, each in classes.items():
        for lost in np.flatnonzero((left[name] == 0) & (np.bincount(each) > 0)):
            if left[name][lost]:
                continue  # it came back beside another
            place = int(np.flatnonzero(each[heldout] == lost)[0])
            spare = np.ones(len(each), bool)
            spare[heldout] = False
            for other, of in classes.items():
                spare &= left[other][of] > 1
            if not spare.any():
                raise UserError(
                    f"No row can be held out: each is the last of a {name} in training",
                    found=f"{len(np.unique(each))} different ones in {len(each)} rows",
                    mend="condition on what more rows share",
                )
            row = numbers.choice(np.flatnonzero(spare))
            for other, of in classes.items():
                left[other][of[heldout[place]]] += 1
                left[other][of[row]] -= 1
            heldout[place], swapped = row, True
    return split.holding_out(torch.from_numpy(heldout)) if swapped else split


def heldout_count(count: int, share: float) -> int:
    """How many of `count` rows a held-out share is.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    if not 0 < share < 1:
        raise UserError("The held-out share must lie between 0 and 1", found=f"{share}")
    held = round(count * share)
    if held < 1 or held >= count:
        raise UserError(
            "Too few samples to hold some out",
            found=f"{count} samples, of which {share:g} would be {held}",
            mend="give more samples, or another --heldout share",
        )
    return held


@dataclass(frozen=True)
class Blocks:
    """Training positions that are read together, and how many such blocks are mixed at a time.

    Args:
        bounds: (blocks + 1,) int64, ascending: where each block begins, and where the last one ends.
        per_window: blocks whose rows are mixed.
    """

    bounds: Tensor
    per_window: int


class Source:
    """Samples in model space, and the way back to the user's units.

    Args:
        name: what to call the data in reports.
        kind: `image` (grey levels), `field` (floats on a grid), `vector` or `table`.
        shape: one sample in model space, (C, H, W) or (D,).
        reader: rows in the user's units.
        codec: user units to model space and back.
        split: training and held-out row numbers.

    Attributes:
        columns: names of a table's columns.
        context: the conditions of each row, if samples are drawn under conditions.
        round_trip: how samples come back, where that was tried.
        names: what the rows are called and what stands beside them, where they are files.
        watch: over the files that rows are read from again and again.
        notes: what was decided and passed over as the data were opened, in sentences; a run keeps them.
    """

    def __init__(
        self, name: str, kind: str, shape: tuple[int, ...], reader: Reader, codec: AnyCodec, split: Split | SparseSplit
    ) -> None:
        self.name = name
        self.kind = kind
        self.shape = shape
        self.codec = codec
        self.split = split
        self.columns: tuple[str, ...] = ()
        self.context: Context | None = None
        self.round_trip: RoundTrip | None = None
        self.names: Names | None = None
        self.notes: Sequence[str] = ()
        self.watch = Watch()
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def train_count(self) -> int:
        """Number of training rows."""
        return self.split.train_count

    @property
    def heldout_count(self) -> int:
        """Number of held-out rows."""
        return len(self.split.heldout)

    @property
    def fits_in_memory(self) -> bool:
        """Whether the training rows are small enough to be kept as float32."""
        return fits_in_memory(len(self) * self.shape_size * 4)

    @property
    def blocks(self) -> Blocks | None:
        """The blocks in which training rows are read; None where rows in any order cost the same and are few."""
        if self.fits_in_memory or self.train_count <= LARGEST_SHUFFLE:
            return None
        bounds = torch.arange(0, self.train_count + LONE_BLOCK, LONE_BLOCK).clamp(max=self.train_count)
        return Blocks(bounds, LARGEST_SHUFFLE // LONE_BLOCK)

    def expect(self, windows: Sequence[tuple[int, ...]]) -> None:
        """A hint: the next training samples come from these windows of blocks, in this order."""

    @property
    def shape_size(self) -> int:
        """Numbers in one sample."""
        return int(torch.Size(self.shape).numel())

    def hold_out(self, split: Split | SparseSplit) -> None:
        """Split the rows in another way, before any was asked for."""
        self.split = split

    @property
    def is_compared_whole(self) -> bool:
        """Whether all that `pieces` gives is looked at to tell these data from others."""
        return len(self) * self._row_bytes <= COMPARED_BYTES

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the files that are read from, or of their parts that are pictures."""
        marks = self.watch.marks
        return np.array([marks[place].size for place in range(len(marks))], np.int64)

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All rows in their order, in the user's units, or the files that they are read from."""
        step = max(1, PIECE_BYTES // max(1, self._row_bytes))
        return (self.values(rows).numpy() for rows in torch.arange(len(self)).split(step))

    @cached_property
    def _row_bytes(self) -> int:
        return self.values(torch.arange(1)).nbytes

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of all rows; where they are too many for that, of `sizes` alone."""
        return self._checksum_now()

    def require_same(self) -> None:
        """Look at some of the files that rows are read from.

        Where the status of one changed and nothing else, as by `chmod`, a backup, or a write whose time was set back,
        all values are read again, if they are few enough for that and their checksum is known.

        Raises:
            DataChangedError: one of them, or its values, are no longer the same.
        """
        if self.watch.require_same() or "checksum" not in self.__dict__ or not self._is_compared_whole:
            return
        if (touched := self.watch.touched()) and self._checksum_now() != self.checksum:
            raise touched[0][0].changed("other values are in it, and the time of its last change was set back")
        for mark, status in touched:
            mark.status[0] = status

    @cached_property
    def _is_compared_whole(self) -> bool:
        return self.is_compared_whole

    def _checksum_now(self) -> int:
        found = 0
        for piece in self.pieces() if self.is_compared_whole else [self.sizes()]:
            found = zlib.crc32(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data, found)
        return found

    def values(self, indices: Tensor) -> Tensor:
        """Rows (k,) in the user's units and layout."""
        return self._reader.read(indices)

    def train(self, positions: Tensor) -> Tensor:
        """Training samples at positions 0..train_count-1, (k, *shape) float32 in model space."""
        if self.fits_in_memory:
            return self._resident.index_select(0, positions)
        return self._encode(self.split.train_rows(positions))

    def train_sample(self, count: int) -> Tensor:
        """Up to `count` training samples to look at, the same at every call, (k, *shape) float32 in model space."""
        return self.train(self.split.sample_positions(count))

    def train_batch_sample(self, count: int) -> Batch:
        """Up to `count` training samples to look at, with their conditions if they have any."""
        if self.context is None:
            return Batch(self.train_sample(count), None)
        return self.train_batch(self.split.sample_positions(count))

    def train_batch(self, positions: Tensor) -> Batch:
        """Training samples, and their conditions if they have any."""
        context = None if self.context is None else self.context.at(self.split.train_rows(positions))
        return Batch(self.train(positions), context)

    @cached_property
    def conditions(self) -> Conditions | None:
        """The law of the conditions, as training rows from all over the data show it; None where there are none."""
        if self.context is None:
            return None
        return self.context.conditions(self.split.train_rows(self.split.sample_positions(KEPT_CONDITIONS)))

    def heldout_batch(self, positions: Tensor) -> Batch:
        """Held-out samples, and their conditions if they have any."""
        context = None if self.context is None else self.context.at(self.split.heldout[positions])
        return Batch(self.heldout(positions), context)

    def heldout_positions(self, count: int, *, seed: int = 0) -> Tensor:
        """Up to `count` positions of held-out samples in random order, from all over the data, by seed."""
        return random_positions(count, self.heldout_count, seed=seed)

    def heldout(self, positions: Tensor) -> Tensor:
        """Held-out samples at positions 0..heldout_count-1, (k, *shape) float32 in model space."""
        return self._encode(self.split.heldout[positions])

    @cached_property
    def _resident(self) -> Tensor:
        return self._encode(self.split.train_rows(torch.arange(self.train_count)))

    def _encode(self, rows: Tensor) -> Tensor:
        return self.codec.encode(self._reader.read(rows))
