"""Samples of a generator, chunk by chunk, each a function of the seed and its number alone."""

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.networks import evaluating
from wassergan.utils.rng import derived_rng
from wassergan.utils.shard import WHOLE, BatchShard

SAMPLING_CHUNK = 1024  # samples that are drawn together, whatever the number asked for
LEAST_ROWS = 32  # given to a generator at once: a dozen or fewer are summed in another order, to other last bits


def under(context: Tensor | None, latent: Tensor) -> Tensor:
    """What a generator is given: conditions (n, k), if there are any, and latents (n, latent_dim) behind them."""
    return latent if context is None else torch.cat([context, latent], 1)


def sample_chunks(
    generator: nn.Module,
    count: int,
    *,
    latent_dim: int,
    seed: int,
    shard: BatchShard = WHOLE,
    conditions: Conditions | None = None,
) -> Iterator[Tensor]:
    """Samples in model space, in chunks on the CPU; sample i depends on the seed and i alone.

    Latents come from the CPU in chunks of one fixed size, so a smaller count gives the first samples of a larger, to
    the last bit. Their stream is their own: numbers straight from the seed are those that the first weights of a run of
    that seed were.

    Args:
        generator: in evaluation mode.
        count: how many, at least 0.
        latent_dim: numbers in a latent vector.
        seed: of the latents.
        shard: of the chunks, every `shard.count`-th from `shard.index` on; all by default.
        conditions: to draw under, if the generator was trained under some.
    """
    rng = derived_rng(seed, "sampling")
    device = next(generator.parameters()).device
    ready = not any(module.training for module in generator.modules())
    for index, start in enumerate(range(0, count, SAMPLING_CHUNK)):
        latent = torch.randn(SAMPLING_CHUNK, latent_dim, generator=rng)
        if index % shard.count != shard.index:
            continue
        latent = latent[: count - start]
        context = None if conditions is None else conditions.vectors(start, len(latent), seed=seed)
        with torch.no_grad(), nullcontext() if ready else evaluating(generator):
            samples: Tensor = generator(_at_least(under(context, latent), LEAST_ROWS).to(device))
        yield samples[: len(latent)].cpu()


def _at_least(inputs: Tensor, rows: int) -> Tensor:
    """Inputs (n, k), the last one as often as it takes to be so many."""
    return inputs if len(inputs) >= rows else torch.cat([inputs, inputs[-1:].expand(rows - len(inputs), -1)])
