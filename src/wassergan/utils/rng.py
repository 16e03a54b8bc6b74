"""Independent random streams from one seed, and numbers for the rows of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import singledispatch
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from wassergan.utils.shard import WHOLE, BatchShard


def derived_seed(seed: int, *path: str | int) -> int:
    """A seed for the stream named by `path`; different paths give independent streams.

    >>> derived_seed(0, "latent") != derived_seed(0, "penalty") != derived_seed(1, "penalty")
    True
    """
    words = [part if isinstance(part, int) else crc32(part.encode()) for part in path]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0]) >> 1  # NumPy 1 shifts no uint64


def derived_rng(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the stream named by `path`, on a device."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *path))


def restore_rng(rng: torch.Generator, state: Tensor, seed: int, name: str, step: int) -> None:
    """Go on from a saved state; from one of another kind of device with a stream of its own, not the first numbers."""
    if state.numel() == rng.get_state().numel():
        rng.set_state(state.cpu())
    else:
        rng.manual_seed(derived_seed(seed, name, step))


@contextmanager
def ambient_randomness(seed: int) -> Iterator[None]:
    """Run with a global random state of this seed, and put back the one before: a user's dropout draws from it."""
    outside = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(outside)


@singledispatch
def uniform_rows(rng: torch.Generator, like: Tensor) -> Tensor:
    """One number of U[0, 1) for each of the n rows of a tensor, (n, 1, ...), with its type and device.

    Each kind of generator produces them in its own way: a plain one draws them.
    """
    return _uniform(rng, len(like), like)


class ShardedGenerator(torch.Generator):
    """A stream that all processes of a run share: each draws numbers for the whole batch and keeps its own rows.

    So the number of processes changes nothing.

    Args:
        device: of the numbers.
        shard: which rows of the batch are kept.
    """

    def __new__(cls, device: torch.device | str = "cpu", *, shard: BatchShard = WHOLE) -> "ShardedGenerator":
        """On a device."""
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(self, device: torch.device | str = "cpu", *, shard: BatchShard = WHOLE) -> None:
        self.shard = shard

    def normal_rows(self, count: int, width: int) -> Tensor:
        """Numbers of N(0, 1) for `count` rows of this process, (count, width)."""
        return self.shard.rows(torch.randn(self.shard.count * count, width, generator=self, device=self.device))


def sharded_rng(seed: int, *path: str | int, device: torch.device | str, shard: BatchShard) -> ShardedGenerator:
    """The stream named by `path`, the same on all processes; each keeps its own rows."""
    rng = ShardedGenerator(device, shard=shard)
    rng.manual_seed(derived_seed(seed, *path))
    return rng


@uniform_rows.register
def _(rng: ShardedGenerator, like: Tensor) -> Tensor:
    return rng.shard.rows(_uniform(rng, rng.shard.count * len(like), like))


class ReplayedGenerator(torch.Generator):
    """Numbers that another generator draws ahead into fixed tensors; recorded work reads them at each replay.

    Numbers requested beyond those tensors are drawn at once and get their own tensor.

    Args:
        rng: draws the numbers in the order of the requests.
    """

    def __new__(cls, rng: torch.Generator) -> "ReplayedGenerator":
        """On the same device."""
        return super().__new__(cls, rng.device)  # type: ignore[call-arg]

    def __init__(self, rng: torch.Generator) -> None:
        self._rng = rng
        self._drawn: list[Tensor] = []
        self._taken = 0

    def draw(self) -> None:
        """Draw new numbers into all tensors."""
        for each in self._drawn:
            each.copy_(uniform_rows(self._rng, each))

    def rewind(self) -> None:
        """Begin with the first tensor again."""
        self._taken = 0

    def take(self, like: Tensor) -> Tensor:
        """The next tensor, with numbers for the rows of another."""
        if self._taken == len(self._drawn):
            self._drawn.append(uniform_rows(self._rng, like))
        self._taken += 1
        return self._drawn[self._taken - 1]


@uniform_rows.register
def _(rng: ReplayedGenerator, like: Tensor) -> Tensor:
    return rng.take(like)


def _uniform(rng: torch.Generator, rows: int, like: Tensor) -> Tensor:
    return torch.rand((rows,) + (1,) * (like.dim() - 1), generator=rng, device=like.device, dtype=like.dtype)
