"""The rows of a batch that a process owns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BatchShard:
    """One of `count` equal consecutive parts of a batch; the whole batch by default.

    Args:
        index: of the part, starting at 0.
        count: number of parts.

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
