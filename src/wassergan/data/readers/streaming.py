"""Data larger than memory: windows of blocks are mixed in a buffer of bounded size."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import source as limits
from wassergan.data.codec import Codec, as_tensor
from wassergan.data.readers.blocks import BlockReader, buffer_bytes
from wassergan.data.readers.windows import Windows
from wassergan.data.source import Blocks, Source
from wassergan.data.split import LARGEST_HELDOUT, SparseSplit, Split, heldout_count

PROBED_ROWS = 2**19
PROBED_BLOCKS = 8
LEAST_HELDOUT = 256


@dataclass(frozen=True)
class Probe:
    """What was looked at before training: held-out rows, and training rows for statistics and measurements.

    Args:
        split: which rows are held out.
        heldout: those rows, in the order of `split.heldout`.
        sample: training rows, for statistics.
        kept: some of the sample, in random order, for measurements.
    """

    split: SparseSplit
    heldout: NDArray[Any]
    sample: NDArray[Any]
    kept: NDArray[Any]


def probe(reader: BlockReader, *, heldout: float, seed: int) -> Probe:
    """Read some blocks, chosen by seed, and take held-out rows and a sample of training rows from them.

    Held out is the share of all rows, but at most 65536 and what a quarter of the memory limit holds; the sample has
    up to 2^19 rows within the same size. Both come from at least eight blocks (all, if there are fewer).

    Raises:
        UserError: the share is out of range or leaves one side empty; or a block cannot be read.
    """
    numbers = np.random.default_rng(seed)
    fitting = limits.RESIDENT_LIMIT_BYTES // 4 // max(1, reader.row_bytes)
    held = min(heldout_count(len(reader), heldout), LARGEST_HELDOUT, max(LEAST_HELDOUT, fitting))
    seen = min(len(reader) - held, PROBED_ROWS, max(LEAST_HELDOUT, fitting))
    blocks = _enough_blocks(reader, held + seen, numbers)
    starts = np.concatenate([[0], np.cumsum(reader.sizes[torch.tensor(blocks)].numpy())])
    chosen = numbers.choice(starts[-1], held + seen, replace=False)
    wanted = (np.sort(chosen[:held]), np.sort(chosen[held:]))
    kept, sample = (np.empty((len(places), *reader.row_shape), reader.dtype) for places in wanted)
    held_rows = np.empty(held, np.int64)
    for block, start, stop in zip(blocks, starts, starts[1:], strict=False):
        parts = [slice(*np.searchsorted(places, [start, stop])) for places in wanted]
        inside = [places[part] - start for places, part in zip(wanted, parts, strict=True)]
        rows = reader.pick(block, np.concatenate(inside))
        kept[parts[0]], sample[parts[1]] = rows[: len(inside[0])], rows[len(inside[0]) :]
        held_rows[parts[0]] = inside[0] + int(reader.bounds[block])
    order = numbers.permutation(held)
    measured = sample[numbers.permutation(seen)[:held]]
    return Probe(SparseSplit(len(reader), torch.from_numpy(held_rows[order])), kept[order], sample, measured)


def _enough_blocks(reader: BlockReader, rows: int, numbers: np.random.Generator) -> list[int]:
    chosen: list[int] = []
    for block in numbers.permutation(len(reader.bounds) - 1).tolist():
        if rows <= 0 and len(chosen) >= PROBED_BLOCKS:
            break
        chosen.append(block)
        rows -= int(reader.sizes[block])
    return sorted(chosen)


@dataclass(frozen=True, eq=False)
class StreamedSource(Source):
    """A source whose training rows are read in windows of blocks; held-out rows and a sample are kept.

    Args:
        heldout_rows: (m, ...) in the user's units, in the order of `split.heldout`.
        sample_rows: (k, ...) training rows in random order, for measurements.
    """

    reader: BlockReader = field(repr=False)
    codec: Codec = field(repr=False)
    split: SparseSplit = field(repr=False)
    heldout_rows: NDArray[Any] = field(kw_only=True, repr=False)
    sample_rows: NDArray[Any] = field(kw_only=True, repr=False)
    _windows: Windows = field(init=False, repr=False, default_factory=Windows)

    @property
    def fits_in_memory(self) -> bool:
        """Never."""
        return False

    @property
    def blocks(self) -> Blocks:
        """Blocks of the reader, without the held-out rows; as many to a window as fit the buffer."""
        largest = int(self.reader.sizes.max())
        fitting = min(buffer_bytes() // max(1, largest * self.reader.row_bytes), 2 * limits.LARGEST_SHUFFLE // largest)
        return Blocks(self.split.train_positions(self.reader.bounds), max(1, fitting))

    @property
    def is_compared_whole(self) -> bool:
        """Whether all rows are looked at to tell these data from others."""
        return len(self) * self.reader.row_bytes <= limits.COMPARED_BYTES

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All rows in their order, in the user's units; while a block is looked at, the next one is read."""
        last = len(self.reader.bounds) - 2
        with ThreadPoolExecutor(1, thread_name_prefix="pieces") as pool:
            ahead = pool.submit(self.reader.raw, 0)
            for block in range(last + 1):
                rows = ahead.result()
                if block < last:
                    ahead = pool.submit(self.reader.raw, block + 1)
                yield rows

    def holding_out(self, split: Split | SparseSplit) -> "StreamedSource":
        """The same rows, of which others are held out; those that come new are read."""
        assert isinstance(split, SparseSplit)
        new = (split.heldout != self.split.heldout).nonzero().flatten()
        rows = self.heldout_rows.copy()
        rows[new.numpy()] = self.reader.read(split.heldout[new]).numpy()
        return replace(self, split=split, heldout_rows=rows)

    def expect(self, windows: Sequence[tuple[int, ...]]) -> None:
        """Read these windows of blocks in the background, in this order, and forget all others."""
        self._windows.expect(self.reader, windows)

    def train(self, positions: Tensor) -> Tensor:
        """Training samples at positions 0..train_count-1, (k, *shape) float32 in model space."""
        rows = self.split.train_rows(positions)
        samples = torch.empty(len(rows), *self.shape)
        left = torch.ones(len(rows), dtype=torch.bool)
        for window in self._windows.coming:
            inside, places = window.find(rows)
            inside &= left
            if inside.any():
                samples[inside] = self.codec.encode(as_tensor(window.rows()[places[inside].numpy()]))
                left &= ~inside
        if left.any():
            samples[left] = self._encode(rows[left])
        return samples

    def train_sample(self, count: int) -> Tensor:
        """Up to `count` training samples, the same at every call, (k, *shape) float32 in model space."""
        return self.codec.encode(as_tensor(self.sample_rows[:count]))

    def heldout(self, positions: Tensor) -> Tensor:
        """Held-out samples at positions 0..heldout_count-1, (k, *shape) float32 in model space."""
        return self.codec.encode(as_tensor(self.heldout_rows[positions.numpy()]))

    def told(self) -> str:
        """In a sentence: how rows are mixed, and how many are held out."""
        blocks = self.blocks
        count = min(blocks.per_window, len(blocks.bounds) - 1)
        rows = min(count * int(self.reader.sizes.max()), len(self))
        return (
            f"{self.name} is larger than memory should hold: its {len(self)} rows are read in {len(blocks.bounds) - 1} "
            f"blocks, {count} of them, {rows} rows ({rows * self.reader.row_bytes / 2**20:.0f} MiB), are mixed "
            f"at a time, and {self.heldout_count} rows are held out."
        )
