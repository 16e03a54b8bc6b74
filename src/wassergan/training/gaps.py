"""Setting right how often a generator leaves values missing, position by position."""

import math

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.networks import Partial
from wassergan.training.sampling import sample_chunks

SEED = 2**62 + 3  # not one that anybody draws samples with
FEWEST, MOST, NUMBERS = 512, 8192, 2**24  # samples drawn for it, and mask values that are kept at a time


def match_gaps(generator: nn.Module, rates: Tensor, *, latent_dim: int, conditions: Conditions | None = None) -> None:
    """Set the thresholds of a trained generator so that each value is missing as often as in the data.

    The order of what the generator says of a position stays, and so does what goes together.

    Args:
        generator: in evaluation mode; nothing is done unless its head is a `Partial` with masks.
        rates: (M, ...) share of the samples in which each position is missing.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    head = next((module for module in generator.modules() if isinstance(module, Partial)), None)
    if head is None or head.masks == 0:
        return
    rows = min(MOST, max(FEWEST, NUMBERS // math.prod(rates.shape)))
    told: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0][:, head.channels :].cpu()))
    try:
        for _ in sample_chunks(generator, rows, latent_dim=latent_dim, seed=SEED, conditions=conditions):
            pass
    finally:
        hook.remove()
    ordered = torch.cat(told).float().sort(0).values
    # So many of the smallest are missing; the threshold lies between the last of them and the next.
    gone = (rates.to(ordered) * rows).round().long().clamp(1, rows - 1)[None]
    head.threshold.copy_(((ordered.gather(0, gone - 1) + ordered.gather(0, gone)) / 2)[0])
