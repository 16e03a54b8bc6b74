"""Blocks of rows that are read in the background, a few at a time, before they are needed."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.readers.blocks import BlockReader


class Windows:
    """Windows of blocks that are read in the background, in the order in which they will be needed."""

    def __init__(self) -> None:
        self.coming: list[Window] = []
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="blocks")

    def expect(self, reader: BlockReader, windows: Sequence[tuple[int, ...]]) -> None:
        """Read these, and forget all others."""
        known = {window.blocks: window for window in self.coming if not window.has_failed}
        self.coming = []  # so that what is no longer needed is gone before more is read
        wanted = [known.pop(blocks) if blocks in known else Window(reader, blocks) for blocks in dict.fromkeys(windows)]
        known.clear()
        for window in wanted:
            window.start(self._loader)
        self.coming = wanted


class Window:
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
