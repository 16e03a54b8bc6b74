"""Data larger than memory: rows read in contiguous blocks, mixed in a buffer of bounded size."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import source as limits
from wassergan.data.codec import Codec, as_tensor, channels_first
from wassergan.data.source import Blocks, Source, SparseSplit, Split, heldout_count
from wassergan.errors import UserError

PROBED_ROWS = 2**19
PROBED_BLOCKS = 8
LEAST_HELDOUT = 256


def buffer_bytes() -> int:
    """Size of the buffer in which rows are mixed; a second one is filled meanwhile."""
    return limits.RESIDENT_LIMIT_BYTES // 2


def block_bytes() -> int:
    """Size of a block where the format leaves the choice: large beside a disk's seek, small beside the buffer."""
    return limits.RESIDENT_LIMIT_BYTES // 512


class BlockReader(ABC):
    """Rows in the user's units, block by block.

    Args:
        name: what to call the data in messages.
        bounds: (blocks + 1,) int64, ascending: row numbers at which blocks begin, and the number of rows.
        row_shape: of one row in the user's layout.
        dtype: of the numbers.
        columns: names of a table's columns.
    """

    def __init__(
        self,
        name: str,
        bounds: Tensor,
        row_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        columns: tuple[str, ...] = (),
    ) -> None:
        self.name, self.bounds, self.row_shape, self.dtype, self.columns = name, bounds, row_shape, dtype, columns
        self.row_bytes = int(np.prod(row_shape, dtype=np.int64)) * dtype.itemsize
        self._last: tuple[int, NDArray[Any]] | None = None
        self._codec: Codec | None = None

    def expect_missing(self, codec: Codec) -> None:
        """From now on refuse rows in which a value is missing where a codec knows of none."""
        self._codec = codec

    def __len__(self) -> int:
        return int(self.bounds[-1])

    @property
    def sizes(self) -> Tensor:
        """Rows of each block, (blocks,) int64."""
        return self.bounds.diff()

    def load(self, blocks: Sequence[int]) -> NDArray[Any]:
        """All rows of some blocks, one after the other, (rows, *row_shape).

        Raises:
            UserError: a value is missing, NaN, infinite or too large; or the file changed or cannot be read.
        """
        ends = np.cumsum([int(self.bounds[block + 1] - self.bounds[block]) for block in blocks])
        rows = np.empty((int(ends[-1]), *self.row_shape), self.dtype)
        for block, end in zip(blocks, ends.tolist(), strict=True):
            first = int(self.bounds[block])
            part = rows[end - int(self.bounds[block + 1]) + first : end]
            self._read_into(block, part)
            self._refuse_bad(part, range(first, first + len(part)))
        return rows

    def raw(self, block: int) -> NDArray[Any]:
        """All rows of a block, whatever they hold."""
        rows = np.empty((int(self.sizes[block]), *self.row_shape), self.dtype)
        self._read_into(block, rows)
        return rows

    def pick(self, block: int, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a block at places (k,), counted from its first row; (k, *row_shape)."""
        return self.load([block])[places]

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), wherever they are: slow, for looks at a few of them or at runs in order."""
        wanted = indices.numpy()
        rows = np.empty((len(wanted), *self.row_shape), self.dtype)
        of_block = torch.searchsorted(self.bounds, indices, right=True).numpy() - 1
        for block in np.unique(of_block).tolist():
            if self._last is None or self._last[0] != block:
                self._last = (block, self.load([block]))
            here = of_block == block
            rows[here] = self._last[1][wanted[here] - int(self.bounds[block])]
        return as_tensor(rows)

    @abstractmethod
    def _read_into(self, block: int, rows: NDArray[Any]) -> None:
        """Fill `rows` (size of the block, *row_shape) with the rows of a block."""

    def _refuse_bad(self, rows: NDArray[Any], numbers: Sequence[int] | NDArray[np.int64]) -> None:
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            self._refuse_where(np.isinf(rows), numbers, "infinite values")
            if self._codec is not None:
                here = channels_first(np.isnan(rows), self._codec.layout)
                self._refuse_where(
                    here & ~self._gaps(here.shape[1:]), numbers, "missing values where the rows looked at had none"
                )
        largest = np.iinfo(np.int64).max  # torch computes with signed numbers, and would wrap around
        if rows.dtype.kind == "u" and rows.dtype.itemsize == 8 and (rows > largest).any():
            raise UserError(
                f"{self.name} holds whole numbers that are too large", found=f"over {largest}", mend="rescale them"
            )

    def _gaps(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Positions of a sample, channels first, whose values may be missing."""
        parts = self._codec.parts if self._codec else None
        return np.zeros(shape, np.bool_) if parts is None else np.asarray((parts.gappy | parts.absent).numpy())

    def _refuse_where(self, bad: NDArray[np.bool_], numbers: Sequence[int] | NDArray[np.int64], what: str) -> None:
        if bad.any():
            place = np.argwhere(bad)[0].tolist()
            raise UserError(
                f"{self.name} holds {what}",
                found=f"the first {self._place(int(numbers[place[0]]), place[1:])}",
                mend="remove those rows or fill the values",
            )

    def _place(self, row: int, rest: list[int]) -> str:
        if self.columns:
            return f"in row {row}, column {self.columns[rest[0]]}"
        return f"at index {(row, *rest)}"


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
    held = min(heldout_count(len(reader), heldout), limits.LARGEST_HELDOUT, max(LEAST_HELDOUT, fitting))
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


class StreamedSource(Source):
    """A source whose training rows are read in windows of blocks; held-out rows and a sample are kept.

    Args:
        kind: `image`, `field` or `vector`.
        shape: one sample in model space.
        reader: the rows.
        codec: user units to model space and back.
        looked_at: what `probe` found.
    """

    def __init__(self, kind: str, shape: tuple[int, ...], reader: BlockReader, codec: Codec, looked_at: Probe) -> None:
        super().__init__(reader.name, kind, shape, reader, codec, looked_at.split)
        self.columns = reader.columns
        self._rows, self._heldout_rows = reader, looked_at.heldout
        self._sample_rows = looked_at.kept
        self._split = looked_at.split
        self._windows: list[_Window] = []
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="blocks")

    @property
    def fits_in_memory(self) -> bool:
        """Never."""
        return False

    @property
    def blocks(self) -> Blocks:
        """Blocks of the reader, without the held-out rows; as many to a window as fit the buffer."""
        largest = int(self._rows.sizes.max())
        fitting = min(buffer_bytes() // max(1, largest * self._rows.row_bytes), 2 * limits.LARGEST_SHUFFLE // largest)
        return Blocks(self._split.train_positions(self._rows.bounds), max(1, fitting))

    @property
    def is_compared_whole(self) -> bool:
        """Whether all rows are looked at to tell these data from others."""
        return len(self) * self._rows.row_bytes <= limits.COMPARED_BYTES

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All rows in their order, in the user's units."""
        return map(self._rows.raw, range(len(self._rows.bounds) - 1))

    def hold_out(self, split: Split | SparseSplit) -> None:
        """Hold other rows out; those that come new are read."""
        assert isinstance(split, SparseSplit)
        new = (split.heldout != self._split.heldout).nonzero().flatten()
        self._heldout_rows = self._heldout_rows.copy()
        self._heldout_rows[new.numpy()] = self._rows.read(split.heldout[new]).numpy()
        self.split = self._split = split

    def expect(self, windows: Sequence[tuple[int, ...]]) -> None:
        """Read these windows of blocks in the background, in this order, and forget all others."""
        known = {window.blocks: window for window in self._windows if not window.has_failed}
        self._windows = []  # so that what is no longer needed is gone before more is read
        wanted = [
            known.pop(blocks) if blocks in known else _Window(self._rows, blocks) for blocks in dict.fromkeys(windows)
        ]
        known.clear()
        for window in wanted:
            window.start(self._loader)
        self._windows = wanted

    def train(self, positions: Tensor) -> Tensor:
        """Training samples at positions 0..train_count-1, (k, *shape) float32 in model space."""
        rows = self._split.train_rows(positions)
        samples = torch.empty(len(rows), *self.shape)
        left = torch.ones(len(rows), dtype=torch.bool)
        for window in self._windows:
            inside, places = window.find(rows)
            inside &= left
            if inside.any():
                samples[inside] = self.codec.encode(as_tensor(window.rows()[places[inside].numpy()]))
                left &= ~inside
        if left.any():
            samples[left] = self._encode(rows[left])
        return samples

    def train_sample(self, count: int) -> Tensor:
        """Up to `count` training samples to look at, the same at every call, (k, *shape) float32 in model space."""
        return self.codec.encode(as_tensor(self._sample_rows[:count]))

    def heldout(self, positions: Tensor) -> Tensor:
        """Held-out samples at positions 0..heldout_count-1, (k, *shape) float32 in model space."""
        return self.codec.encode(as_tensor(self._heldout_rows[positions.numpy()]))

    def told(self) -> str:
        """In a sentence: how rows are mixed, and how many are held out."""
        blocks = self.blocks
        count = min(blocks.per_window, len(blocks.bounds) - 1)
        rows = min(count * int(self._rows.sizes.max()), len(self))
        return (
            f"{self.name} is larger than memory should hold: its {len(self)} rows are read in {len(blocks.bounds) - 1} "
            f"blocks, {count} of them, {rows} rows ({rows * self._rows.row_bytes / 2**20:.0f} MiB), are mixed "
            f"at a time, and {self.heldout_count} rows are held out."
        )


class _Window:
    """Rows of some blocks, read in the background."""

    def __init__(self, reader: BlockReader, blocks: tuple[int, ...]) -> None:
        self.blocks, self._reader = blocks, reader
        self._loading: Future[NDArray[Any]] | None = None
        chosen = torch.tensor(blocks)
        self._first, self._end = reader.bounds[chosen], reader.bounds[chosen + 1]
        lengths = self._end - self._first
        self._shift = self._first - (lengths.cumsum(0) - lengths)

    def start(self, loader: ThreadPoolExecutor) -> None:
        """Begin to read, unless begun."""
        if self._loading is None:
            self._loading = loader.submit(self._reader.load, self.blocks)

    @property
    def has_failed(self) -> bool:
        """Whether reading ended in an error, as far as it has ended."""
        return self._loading is not None and self._loading.done() and self._loading.exception() is not None

    def find(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows (k,) are in these blocks, bool, and their places among the rows of the window."""
        which = torch.searchsorted(self._first, rows, right=True) - 1
        nearest = which.clamp(min=0)
        inside = (which >= 0) & (rows < self._end[nearest])
        return inside, rows - self._shift[nearest]

    def rows(self) -> NDArray[Any]:
        """The rows, once they are there."""
        assert self._loading is not None
        return self._loading.result()
