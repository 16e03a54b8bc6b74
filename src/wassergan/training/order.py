"""In which order an epoch serves the training rows: fixed by the seed and the epoch, computed where it is needed."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from wassergan.data import Source
from wassergan.data.source import Blocks
from wassergan.data.weights import Weights, proportional_positions
from wassergan.utils.rng import derived_rng

KEPT = 2  # orders of windows or epochs: a batch may touch the end of one and the start of the next


class Order(Protocol):
    """Every position 0..count-1 once per epoch; with weights, in proportion to these."""

    def positions(self, epoch: int, start: int, stop: int) -> Tensor:
        """What stands at places start..stop-1 of an epoch's order, (stop - start,) int64."""

    def windows(self, epoch: int, start: int, stop: int) -> list[tuple[int, ...]]:
        """The windows of blocks that those places are served from, in order; after a single one, the next."""


def order_of(source: Source, *, seed: int) -> Order:
    """The order that suits the way in which a source is read, and the weights of its rows."""
    if source.train_weights is not None:
        return WeightedDraw(source.train_weights, seed)
    blocks = source.blocks
    return FullShuffle(source.train_count, seed) if blocks is None else WindowShuffle(blocks, seed)


class _WholeEpochs:
    """Orders that are drawn for a whole epoch at once.

    Args:
        drawn: of the random numbers of an epoch, its positions.
        seed: fixes the order of every epoch.
    """

    def __init__(self, drawn: Callable[[torch.Generator], Tensor], seed: int) -> None:
        self._epoch = lru_cache(KEPT)(lambda epoch: drawn(derived_rng(seed, "order", epoch)))

    def positions(self, epoch: int, start: int, stop: int) -> Tensor:
        """What stands at places start..stop-1 of an epoch's order, (stop - start,) int64."""
        return self._epoch(epoch)[start:stop]

    def windows(self, epoch: int, start: int, stop: int) -> list[tuple[int, ...]]:
        """None: rows are read one by one."""
        return []


class FullShuffle(_WholeEpochs):
    """All orders equally likely; keeps one number per row."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__(lambda rng: torch.randperm(count, generator=rng), seed)


class WeightedDraw(_WholeEpochs):
    """As many positions as there are rows, in proportion to weights: some several times in an epoch, others in few.

    Keeps two numbers per row.

    Args:
        weights: of the rows, (n,).
        seed: fixes the draw of every epoch.
    """

    def __init__(self, weights: Weights, seed: int) -> None:
        super().__init__(lambda rng: proportional_positions(weights, len(weights), rng=rng), seed)


class WindowShuffle:
    """Blocks in random order, a few at a time as a window; within a window all orders are equally likely.

    Keeps one number per block and, of two windows, one per row.

    Args:
        blocks: where blocks begin and end, and how many make a window.
        seed: fixes the order of every epoch.
    """

    def __init__(self, blocks: Blocks, seed: int) -> None:
        self._bounds, self._seed = blocks.bounds, seed
        self._sizes = blocks.bounds.diff()
        # Windows of nearly equal size: a short last one would mix little.
        self._count = -(-len(self._sizes) // blocks.per_window)
        self._epoch = lru_cache(KEPT)(self._new_epoch)
        self._window = lru_cache(KEPT)(self._new_window)

    def positions(self, epoch: int, start: int, stop: int) -> Tensor:
        """What stands at places start..stop-1 of an epoch's order, (stop - start,) int64."""
        bounds, parts = self._epoch(epoch)[1], []
        for window in self._touched(epoch, start, stop):
            first = int(bounds[window])
            order = self._window(epoch, window)
            parts.append(order[max(0, start - first) : stop - first])
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def windows(self, epoch: int, start: int, stop: int) -> list[tuple[int, ...]]:
        """The windows of blocks that those places are served from, in order; after a single one, the next."""
        touched = self._touched(epoch, start, stop)
        windows = [self._blocks(epoch, window) for window in touched]
        if len(windows) == 1:  # more would be in memory than two
            windows.append(self._blocks(*divmod(epoch * self._count + touched.stop, self._count)))
        return windows

    def _touched(self, epoch: int, start: int, stop: int) -> range:
        bounds = self._epoch(epoch)[1]
        first, last = torch.searchsorted(bounds, torch.tensor([start, stop - 1]), right=True).tolist()
        return range(first - 1, last)

    def _blocks(self, epoch: int, window: int) -> tuple[int, ...]:
        return tuple(self._epoch(epoch)[0][window].tolist())

    def _new_epoch(self, epoch: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Blocks of each window, ascending, and the places at which windows begin, with the end of the last."""
        order = torch.randperm(len(self._sizes), generator=derived_rng(self._seed, "order", epoch))
        windows = tuple(part.sort().values for part in order.tensor_split(self._count))
        rows = torch.stack([self._sizes[window].sum() for window in windows])
        return windows, torch.cat([torch.zeros(1, dtype=torch.int64), rows.cumsum(0)])

    def _new_window(self, epoch: int, window: int) -> Tensor:
        blocks = self._epoch(epoch)[0][window]
        lengths = self._sizes[blocks]
        shift = self._bounds[blocks] - (lengths.cumsum(0) - lengths)
        positions = torch.arange(int(lengths.sum())) + shift.repeat_interleave(lengths)
        rng = derived_rng(self._seed, "order", epoch, "rows", window)
        return positions[torch.randperm(len(positions), generator=rng)]
