"""Real batches: endless shuffled epochs cut into full batches, with a position that can be saved."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from wassergan.data import Batch, Source
from wassergan.errors import UserError, parameter
from wassergan.training.order import order_of
from wassergan.utils.rng import derived_rng
from wassergan.utils.shard import WHOLE, BatchShard

PREFETCHED_BATCHES = 3
HOST = torch.device("cpu")


class BatchStream:
    """Every training row once per epoch, or in proportion to its weight, in an order that seed and epoch fix.

    Batches are always full: the last one of an epoch is completed from the next epoch's order, so no row is
    skipped. A batch is positions first, which follow from the seed and the number of samples served alone, then the
    samples there. Data that do not fit in memory are read and decoded ahead by a thread, into pinned memory if they go
    to a GPU; data that fit lie on the device as a whole.

    Args:
        source: where samples come from.
        batch_size: samples per batch.
        seed: fixes the order.
        shard: which rows of each batch are read: those of this process.
        device: that the batches are for.

    Raises:
        UserError: the source holds fewer training samples than two batches need.
    """

    def __init__(
        self, source: Source, batch_size: int, *, seed: int, shard: BatchShard = WHOLE, device: torch.device = HOST
    ) -> None:
        if source.train_count < 2 * batch_size:
            raise UserError(
                "Too few samples to train on",
                found=f"{source.train_count} training samples for batches of {batch_size}",
                hint=f"give at least {2 * batch_size}, or a smaller {parameter('batch_size')}",
            )
        self._source, self._batch_size, self._seed, self._shard = source, batch_size, seed, shard
        self._served = 0
        self._order = order_of(source, seed=seed)
        self._ahead: deque[Future[Batch]] = deque()
        self._reader = None if source.fits_in_memory else ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._device = device
        self._is_at_hand = False  # all of what lies in memory

    def draw(self) -> Batch:
        """This process's rows of the next batch, batch_size / shard.count of them, float32 in model space.

        On the device where the data lie there, else on the CPU.
        """
        if self._reader is not None:
            self._read_ahead(PREFETCHED_BATCHES)
        batch = self._ahead.popleft().result() if self._ahead else self._read(self._served)
        self._served += self._batch_size
        return batch

    def require(self, count: int) -> None:
        """Have the next batches at hand, so that what cannot be read is known before any of them is used.

        Raises:
            WasserganError: as the source has it; nothing was served.
        """
        if self._reader is None:
            if not self._is_at_hand:
                first: Future[Batch] = Future()
                first.set_result(self._read(self._served))
                self._ahead.append(first)
                self._is_at_hand = True
            return
        self._read_ahead(count)
        try:
            for batch in islice(self._ahead, count):
                batch.result()
        except Exception:
            self._ahead.clear()  # if the data come back, they are read again
            raise

    def state_dict(self) -> dict[str, Any]:
        """How many samples were served so far."""
        return {"served": self._served}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the samples that were served when the state was taken."""
        self._served = state["served"]
        self._ahead.clear()

    def _read_ahead(self, count: int) -> None:
        assert self._reader is not None
        while len(self._ahead) < count:
            first = self._served + len(self._ahead) * self._batch_size
            self._ahead.append(self._reader.submit(partial(self._read, first)))

    def _read(self, first: int) -> Batch:
        if self._reader is not None:
            spans = self._spans(first)
            self._source.expect([window for span in spans for window in self._order.windows(*span)][: len(spans) + 1])
        rows = self._shard.rows(self._positions(first))
        if self._reader is None and self._device.type != HOST.type:
            rows = rows.to(self._device, non_blocking=True)
            return self._partly_hidden(mapped(self._resident, lambda values: values.index_select(0, rows)), first)
        batch = self._partly_hidden(self._source.train_batch(rows, whole=True), first)
        return mapped(batch, Tensor.pin_memory) if self._device.type == "cuda" else batch

    @cached_property
    def _resident(self) -> Batch:
        """All training rows, on the device."""
        whole = self._source.train_batch(torch.arange(self._source.train_count), whole=True)
        return mapped(whole, lambda values: values.to(self._device))

    def _partly_hidden(self, batch: Batch, first: int) -> Batch:
        """With a part of the conditions hidden, by numbers that follow from the seed and the samples served alone."""
        context = self._source.context
        if batch.context is None or context is None or not context.chances:
            return batch
        rng = derived_rng(self._seed, "hidden", first)
        chances = self._shard.rows(torch.rand(self._batch_size, context.chances, generator=rng))
        return batch._replace(context=context.hidden(batch.context, chances.to(batch.context.device)))

    def _positions(self, first: int) -> Tensor:
        """Positions of the batch before which `first` samples were served, (batch_size,) int64."""
        parts = [self._order.positions(*span) for span in self._spans(first)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _spans(self, first: int) -> list[tuple[int, int, int]]:
        """The epoch, or the two, that a batch is served from, and the places in their orders: (epoch, start, stop)."""
        count = self._source.train_count
        epoch, start = divmod(first, count)
        stop = start + self._batch_size
        if stop <= count:
            return [(epoch, start, stop)]
        return [(epoch, start, count), (epoch + 1, 0, stop - count)]


def mapped(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Samples and conditions, if there are any, both changed alike."""
    return Batch(change(batch.samples), None if batch.context is None else change(batch.context))
