"""A source: the user's samples, split once into training and held-out rows, in model space on request."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import AnyCodec
from wassergan.data.context import Conditions, Context
from wassergan.data.naming import Names
from wassergan.data.readers.marks import Watch
from wassergan.data.roundtrip import RoundTrip
from wassergan.data.split import SparseSplit, Split, random_positions
from wassergan.data.weights import Weights, are_equal, checked_weights, proportional_positions
from wassergan.errors import UserError

RESIDENT_LIMIT_BYTES = 512 * 2**20
LARGEST_SHUFFLE = 2**20  # row numbers that are shuffled at once when data are streamed
LONE_BLOCK = 64  # rows of a block where each row is read by itself
COMPARED_BYTES = 2**31  # of data that are read completely for their fingerprint; larger data are sampled
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


class Batch(NamedTuple):
    """Samples in model space (k, *shape), and their conditions' vectors (k, width) if they have any."""

    samples: Tensor
    context: Tensor | None


@dataclass(frozen=True)
class Blocks:
    """Training positions that are read together, and how many such blocks are mixed at a time.

    Args:
        bounds: (blocks + 1,) int64, ascending: where each block begins, and where the last one ends.
        per_window: blocks whose rows are mixed.
    """

    bounds: Tensor
    per_window: int


@dataclass(frozen=True, eq=False)
class Source:
    """Samples in model space, and the way back to the user's units. What is to be another is another source: `replace`.

    Args:
        name: what to call the data in reports.
        kind: `image` (grey levels), `field` (floats on a grid), `vector` or `table`.
        shape: one sample in model space, (C, H, W) or (D,).
        reader: rows in the user's units.
        codec: user units to model space and back.
        split: training and held-out row numbers.
        columns: names of a table's columns.
        context: the conditions of each row, if samples are drawn under conditions.
        round_trip: how samples come back, where that was tried.
        names: the names of the rows and the labels beside them, if they are files.
        watch: watches the files that rows are read from repeatedly.
        weights: (rows,) in proportion to which rows are drawn and counted; None where all count alike.
        notes: sentences about what was decided and skipped when the data were opened; a run keeps them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    reader: Reader = field(repr=False)
    codec: AnyCodec = field(repr=False)
    split: Split | SparseSplit = field(repr=False)
    columns: tuple[str, ...] = ()
    context: Context | None = field(default=None, repr=False)
    round_trip: RoundTrip | None = field(default=None, repr=False)
    names: Names | None = field(default=None, repr=False)
    watch: Watch = field(default_factory=Watch, repr=False)
    weights: Weights | None = field(default=None, repr=False)
    notes: Sequence[str] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.reader)

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
        """Whether the training rows and their conditions are small enough to be kept as float32."""
        context = 0 if self.context is None else self.context.width
        return fits_in_memory(len(self) * (self.shape_size + context) * 4)

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
    def has_levels(self) -> bool:
        """Whether samples are grids of grey or colour levels of 8 or 16 bits, as pictures are."""
        return len(self.shape) == 3 and self.codec.dtype in ("uint8", "uint16")

    @property
    def shape_size(self) -> int:
        """Numbers in one sample."""
        return int(torch.Size(self.shape).numel())

    def holding_out(self, split: Split | SparseSplit) -> Self:
        """The same rows, split in another way."""
        return replace(self, split=split)

    def weighted(self, values: Any) -> Self:
        """The same rows, drawn and counted in proportion to weights (rows,); those of weight 0 take no part.

        Raises:
            UserError: as of `checked_weights`, or too few rows with a weight.
        """
        weights = checked_weights(values, count=len(self), name="sample_weight")
        if are_equal(weights):
            return self
        if not isinstance(self.split, Split):
            raise UserError(
                "Rows that are streamed cannot have weights",
                hint="give data that fit in memory, or draw rows from them",
            )
        return replace(self, split=self.split.among(torch.from_numpy(weights > 0)), weights=weights)

    @cached_property
    def train_weights(self) -> Weights | None:
        """Of the training rows, (train_count,); None where all count alike."""
        if self.weights is None:
            return None
        return self._weights_of(self.split.train_rows(torch.arange(self.train_count)))

    @cached_property
    def heldout_weights(self) -> Weights | None:
        """Of the held-out rows, (heldout_count,); None where all count alike."""
        return self._weights_of(self.split.heldout)

    def _weights_of(self, rows: Tensor) -> Weights | None:
        if self.weights is None or not len(rows):
            return None
        weights: Weights = self.weights[rows.numpy()]
        return None if are_equal(weights) else weights

    @property
    def is_compared_whole(self) -> bool:
        """Whether the fingerprint of these data reads everything that `pieces` gives."""
        return len(self) * self._row_bytes <= COMPARED_BYTES

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the files that are read from, or of their parts that are pictures."""
        marks = self.watch.marks
        return np.array([marks[index].size for index in range(len(marks))], np.int64)

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
        if self.context is not None:
            self.context.require_same()
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
        return self.reader.read(indices)

    def train(self, positions: Tensor) -> Tensor:
        """Training samples at positions 0..train_count-1, (k, *shape) float32 in model space."""
        if self.fits_in_memory:
            return self._resident.index_select(0, positions)
        return self._encode(self.split.train_rows(positions))

    def train_sample(self, count: int) -> Tensor:
        """Up to `count` training samples, the same at every call, (k, *shape) float32 in model space."""
        return self.train(self.train_positions(count))

    def train_positions(self, count: int) -> Tensor:
        """Positions of training samples, always the same, from all over: up to `count`; with weights just as many.

        With weights they come in proportion to these, some several times.
        """
        return (
            _drawn(self.train_weights, count, 0)
            if self.train_weights is not None
            else (self.split.sample_positions(count))
        )

    def train_batch_sample(self, count: int) -> Batch:
        """Up to `count` training samples to look at, with their conditions if they have any."""
        if self.context is None:
            return Batch(self.train_sample(count), None)
        return self.train_batch(self.train_positions(count))

    def train_batch(self, positions: Tensor, *, whole: bool = False) -> Batch:
        """Training samples, and their conditions if they have any; with all that training may give, if `whole`."""
        at = None if self.context is None else self.context.whole if whole else self.context.at
        context = None if at is None else at(self.split.train_rows(positions))
        return Batch(self.train(positions), context)

    @cached_property
    def conditions(self) -> Conditions | None:
        """The distribution of the conditions in training rows from all over the data; None if there are none."""
        if self.context is None:
            return None
        return self.context.conditions(self.split.train_rows(self.train_positions(KEPT_CONDITIONS)))

    def heldout_batch(self, positions: Tensor, *, whole: bool = False) -> Batch:
        """Held-out samples, and their conditions if they have any; with all that training may give, if `whole`."""
        at = None if self.context is None else self.context.whole if whole else self.context.at
        context = None if at is None else at(self.split.heldout[positions])
        return Batch(self.heldout(positions), context)

    def heldout_positions(self, count: int, *, seed: int = 0) -> Tensor:
        """Up to `count` positions of held-out samples in random order, from all over the data, by seed.

        With weights just as many, in proportion to these, some several times.
        """
        if self.heldout_weights is not None:
            return _drawn(self.heldout_weights, count, seed)
        return random_positions(count, self.heldout_count, seed=seed)

    def heldout(self, positions: Tensor) -> Tensor:
        """Held-out samples at positions 0..heldout_count-1, (k, *shape) float32 in model space."""
        return self._encode(self.split.heldout[positions])

    @cached_property
    def _resident(self) -> Tensor:
        return self._encoded(self.train_count, lambda first, end: self.split.train_rows(torch.arange(first, end)))

    def _encode(self, rows: Tensor) -> Tensor:
        return self._encoded(len(rows), lambda first, end: rows[first:end])

    def _encoded(self, count: int, rows: Callable[[int, int], Tensor]) -> Tensor:
        """Samples in model space, in pieces: on the way there numbers are held several times over, as float64.

        Args:
            count: of the samples.
            rows: row numbers of those from one number to another.
        """
        step = max(1, PIECE_BYTES // (8 * max(1, self.shape_size)))
        first = self.codec.encode(self.reader.read(rows(0, min(step, count))))
        if count <= step:
            return first
        found = first.new_empty(count, *first.shape[1:])
        found[:step] = first
        for start in range(step, count, step):
            end = min(start + step, count)
            found[start:end] = self.codec.encode(self.reader.read(rows(start, end)))
        return found


def _drawn(weights: Weights, count: int, seed: int) -> Tensor:
    return proportional_positions(weights, count, rng=torch.Generator().manual_seed(seed % 2**63))
