"""From a trained generator to samples in memory, in the user's units."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.data import AnyCodec, ColumnConditions, fix_conditions
from wassergan.data.readers.limits import largest_bytes
from wassergan.errors import UserError, flag, parameter
from wassergan.training import SAMPLING_CHUNK, sample_chunks, under
from wassergan.utils.shard import WHOLE, BatchShard

MEASURED = 16  # samples that are drawn to measure the size of one


@dataclass(frozen=True)
class Sampler:
    """A generator and everything that is needed to draw from it.

    Args:
        generator: averaged weights.
        latent_dim: numbers in a latent vector, a head's noise included.
        codec: model space to user units.
        kind: the name of their modality: `image`, `field`, `vector` or `table`.
        conditions: the conditions of the samples, if the generator was trained with some.
    """

    generator: nn.Module
    latent_dim: int
    codec: AnyCodec
    kind: str
    conditions: ColumnConditions | None = None

    def chunks(self, count: int, *, seed: int, shard: BatchShard = WHOLE) -> Iterator[NDArray[Any]]:
        """Samples in the user's units, layout and type, in chunks along the first axis; a shard of those, or all."""
        chunks = sample_chunks(
            self.generator, count, latent_dim=self.latent_dim, seed=seed, shard=shard, conditions=self.conditions
        )
        starts = range(shard.index * SAMPLING_CHUNK, count, shard.count * SAMPLING_CHUNK)
        for start, chunk in zip(starts, chunks, strict=True):
            yield self._decoded(chunk, start, seed)

    def render(self, latent: Tensor, context: Tensor | None = None) -> NDArray[Any]:
        """Pictures of given latents (n, latent_dim) and conditions (n, k), in the user's units, layout and type."""
        inputs = under(context, latent).to(next(self.generator.parameters()).device)
        with torch.no_grad():
            return self.codec.decode_numpy(self.generator(inputs))

    def under(self, wanted: Mapping[str, Any]) -> "Sampler":
        """A sampler whose samples are drawn under the requested conditions; see `wassergan.data.fix_conditions`.

        Raises:
            UserError: the run has no conditions, or not these.
        """
        if not wanted:
            return self
        if self.conditions is None:
            raise UserError(
                "The run was trained without conditions",
                found=f"asked for {', '.join(wanted)}",
                hint=f"train with {parameter('condition', tuple(wanted), text=' '.join(wanted))}",
            )
        fixed = fix_conditions(self.conditions, wanted)
        if self.codec.rules is not None:
            fixed = fixed.under_rules(self.codec.rules)
        return replace(self, conditions=fixed)

    def require_identifiers(self, count: int) -> None:
        """Refuse more rows of a table than it has fresh identifiers for.

        Raises:
            UserError: with the column, and how many there are.
        """
        for each in self.codec.identifiers:
            each.require_room(count)

    def _decoded(self, chunk: Tensor, start: int, seed: int) -> NDArray[Any]:
        conditions = self.conditions if self.codec.given else None
        given = None if conditions is None else conditions.rows(start, len(chunk), seed=seed)
        return self.codec.decode_numpy(chunk, given, start=start, seed=seed)

    def draw(self, count: int, *, seed: int = 0) -> NDArray[Any]:
        """Samples in the user's units as one array, (count, ...).

        Raises:
            UserError: that many do not fit into memory.
        """
        self.require_memory(count, seed)
        return np.concatenate(list(self.chunks(count, seed=seed)))

    def require_memory(self, count: int, seed: int) -> None:
        """Refuse more samples than memory holds, estimated from a few: chunks and the whole are held together."""
        if count <= SAMPLING_CHUNK:
            return
        few = next(self.chunks(MEASURED, seed=seed))
        needed, there = 2 * count * few.nbytes // len(few), 2 * largest_bytes()
        if needed > there:
            raise UserError(
                f"{count:,} samples do not fit in memory",
                found=f"{needed / 2**30:,.1f} GiB are needed, {there / 2**30:,.1f} GiB are there",
                hint="draw fewer, or one part after the other: Sampler.chunks, WassersteinGAN.sample_chunks, or "
                f"wassergan sample {flag('out')} with a file of rows or .npy",
            )
