"""Several draws under each of given arrays: every draw a function of the seed, its condition's number and its own."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from wassergan.data import ArrayConditions
from wassergan.networks import evaluating
from wassergan.training import SAMPLING_CHUNK, under
from wassergan.utils.rng import derived_rng
from wassergan.utils.shard import WHOLE, BatchShard

LATENTS = 16  # draws of a condition whose latents are drawn at a time
BLOCK = 64  # samples that a generator computes at a time: products of another size round differently


def given_chunks(
    generator: nn.Module,
    conditions: ArrayConditions,
    count: int,
    *,
    latent_dim: int,
    seed: int,
    shard: BatchShard = WHOLE,
) -> Iterator[Tensor]:
    """Samples in model space, all draws of a condition one after the other, in chunks on the CPU.

    Fewer draws are the first of more, and fewer conditions have the first samples of more, to the last bit.

    Args:
        generator: in evaluation mode.
        conditions: with arrays that are asked for.
        count: how many samples.
        latent_dim: numbers in a latent vector.
        seed: of the latents.
        shard: of the chunks.
    """
    for index, start in enumerate(range(0, count, SAMPLING_CHUNK)):
        if index % shard.count != shard.index:
            continue
        stop = min(start + SAMPLING_CHUNK, count)
        parts = [
            _block(generator, conditions, first, min(first + BLOCK, stop), latent_dim, seed)
            for first in range(start, stop, BLOCK)
        ]
        yield torch.cat(parts)


def _block(
    generator: nn.Module, conditions: ArrayConditions, start: int, stop: int, latent_dim: int, seed: int
) -> Tensor:
    latent = torch.stack(list(_latents(range(start, stop), conditions.draws, latent_dim, seed)))
    inputs = under(conditions.vectors(start, stop - start, seed=seed), latent)
    padded = nn.functional.pad(inputs, (0, 0, 0, BLOCK - len(inputs)))
    with torch.no_grad(), evaluating(generator):
        samples: Tensor = generator(padded.to(next(generator.parameters()).device))
    return samples[: len(inputs)].cpu()


def _latents(numbers: range, draws: int, latent_dim: int, seed: int) -> Iterator[Tensor]:
    """The latent vectors of consecutive samples, each (latent_dim,)."""
    at, held = (-1, -1), torch.zeros(0)
    for number in numbers:
        condition, draw = divmod(number, draws)
        part, place = divmod(draw, LATENTS)
        if at != (condition, part):
            at = (condition, part)
            held = torch.randn(LATENTS, latent_dim, generator=derived_rng(seed, "ensemble", condition, part))
        yield held[place]
