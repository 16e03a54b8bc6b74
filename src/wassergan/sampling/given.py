"""Samples that are there already, in the place of a generator's draws: what judges a generator judges them too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import random_positions
from wassergan.errors import UserError
from wassergan.sampling.sampler import Sampler
from wassergan.training import SAMPLING_CHUNK
from wassergan.utils.shard import WHOLE, BatchShard


@dataclass(frozen=True)
class GivenSamples(Sampler):
    """Draws some of `held` samples by seed, each at most once.

    Args:
        held: how many there are.
        encoded: those at some positions, in model space.
        rows: those at some positions in the user's units, where the codec does not give them back exactly.
    """

    held: int = field(kw_only=True)
    encoded: Callable[[Tensor], Tensor] = field(kw_only=True)
    rows: Callable[[Tensor], NDArray[Any]] | None = field(default=None, kw_only=True)

    def vectors(self, count: int, *, seed: int, shard: BatchShard = WHOLE) -> Iterator[Tensor]:
        """Samples in model space, in chunks; a shard of those, or all.

        Raises:
            UserError: there are not so many.
        """
        chunks = self._positions(count, seed).split(SAMPLING_CHUNK)
        return map(self.encoded, chunks[shard.index :: shard.count])

    def draw(self, count: int, *, seed: int = 0) -> NDArray[Any]:
        """Samples in the user's units as one array."""
        if self.rows is None:
            return super().draw(count, seed=seed)
        return self.rows(self._positions(count, seed))

    def _positions(self, count: int, seed: int) -> Tensor:
        if count > self.held:
            raise UserError("There are not so many samples", found=f"{count} of {self.held}", hint="ask for fewer")
        return random_positions(count, self.held, seed=seed)
