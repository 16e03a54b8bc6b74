"""Real batches: endless shuffled epochs cut into full batches, with a position that can be saved."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wassergan.data import Source
from wassergan.errors import UserError
from wassergan.training.seeds import derived_rng

PREFETCHED_BATCHES = 3


class BatchStream:
    """Every training row once per epoch, in an order that the seed and the epoch fix.

    Batches are always full: the last one of an epoch is completed from the next epoch's order, so no row is
    skipped. Data that do not fit in memory are read and decoded ahead by a thread.

    Args:
        source: where samples come from.
        batch_size: samples per batch.
        seed: fixes the order.

    Raises:
        UserError: the source holds fewer training samples than two batches need.
    """

    def __init__(self, source: Source, batch_size: int, *, seed: int) -> None:
        if source.train_count < 2 * batch_size:
            raise UserError(
                "Too few samples to train on",
                found=f"{source.train_count} training samples for batches of {batch_size}",
                mend=f"give at least {2 * batch_size}, or a smaller --batch-size",
            )
        self._source, self._batch_size, self._seed = source, batch_size, seed
        self._served = 0
        self._order = (-1, torch.empty(0, dtype=torch.int64))
        self._ahead: deque[Future[Tensor]] = deque()
        self._reader = None if source.fits_in_memory else ThreadPoolExecutor(1, thread_name_prefix="batches")

    def draw(self) -> Tensor:
        """The next batch, (batch_size, *shape) float32 in model space, on the CPU."""
        if self._reader is None:
            batch = self._source.train(self._positions(self._served))
        else:
            while len(self._ahead) < PREFETCHED_BATCHES:
                first = self._served + len(self._ahead) * self._batch_size
                self._ahead.append(self._reader.submit(partial(self._source.train, self._positions(first))))
            batch = self._ahead.popleft().result()
        self._served += self._batch_size
        return batch

    def state_dict(self) -> dict[str, Any]:
        """How many samples were served so far."""
        return {"served": self._served}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the samples that were served when the state was taken."""
        self._served = state["served"]
        self._ahead.clear()

    def _positions(self, first: int) -> Tensor:
        count = self._source.train_count
        epoch, start = divmod(first, count)
        positions = self._epoch_order(epoch)[start : start + self._batch_size]
        if len(positions) < self._batch_size:
            rest = self._batch_size - len(positions)
            positions = torch.cat([positions, self._epoch_order(epoch + 1)[:rest]])
        return positions

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order[0] != epoch:
            rng = derived_rng(self._seed, "order", epoch)
            self._order = (epoch, torch.randperm(self._source.train_count, generator=rng))
        return self._order[1]
