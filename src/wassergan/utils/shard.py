"""Which rows of a batch a process has."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BatchShard:
    """One of `count` equal parts of a batch, one after the other; the whole batch by default.

    Args:
        index: of the part, from 0 on.
        count: how many parts there are.

    >>> import torch
    >>> BatchShard(1, 2).rows(torch.arange(6))
    tensor([3, 4, 5])
    """

    index: int = 0
    count: int = 1

    def rows(self, whole: Tensor) -> Tensor:
        """The part's rows of the whole batch's, (n · count, ...) to (n, ...)."""
        return whole if self.count == 1 else whole.tensor_split(self.count)[self.index]


WHOLE = BatchShard()
