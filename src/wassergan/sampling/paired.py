"""Draws by which a trained generator is set right: latents in pairs, each with its negative."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.training import under
from wassergan.utils.rng import derived_rng

SEED = 2**62 + 5  # not one that anybody draws samples with
TOGETHER = 256

T = TypeVar("T")


def paired_draws(
    generator: nn.Module, count: int, *, latent_dim: int, conditions: Conditions | None = None
) -> Iterator[Tensor]:
    """Samples in model space, chunk by chunk, always the same.

    What a latent vector has too much of its negative often has too little of: so means over such pairs differ less from
    those of all samples that there could be.

    Args:
        generator: in evaluation mode.
        count: how many, an even number.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    rng, device = derived_rng(SEED, "pairs"), next(generator.parameters()).device
    for start in range(0, count, TOGETHER):
        size = min(TOGETHER, count - start)
        half = torch.randn(size // 2, latent_dim, generator=rng)
        context = None if conditions is None else conditions.vectors(start, size, seed=SEED)
        with torch.no_grad():
            yield generator(under(context, torch.cat([half, -half])).to(device))


def paired_inputs(
    generator: nn.Module,
    part: nn.Module,
    told: Callable[[Tensor], T],
    count: int,
    *,
    latent_dim: int,
    conditions: Conditions | None = None,
) -> list[T]:
    """What is to be known of a part's inputs in such draws, chunk by chunk.

    Args:
        generator: in evaluation mode.
        part: of the generator, called once for each chunk.
        told: of an input in float32, on the CPU.
        count: how many draws, an even number.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    found: list[T] = []
    hook = part.register_forward_pre_hook(lambda module, inputs: found.append(told(inputs[0].float().cpu())))
    try:
        for _ in paired_draws(generator, count, latent_dim=latent_dim, conditions=conditions):
            pass
    finally:
        hook.remove()
    return found
