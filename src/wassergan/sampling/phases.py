"""Setting right how frequent the phases of generated volumes are."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.networks import Phases
from wassergan.training import sample_chunks

SEED = 2**62 + 5  # not one that anybody draws samples with
FEWEST, MOST, NUMBERS = 16, 1024, 2**24  # samples drawn for it, and numbers that are kept
ROUNDS, VOXELS = 12, 2**18  # of a channel with more than two phases


def match_phases(
    generator: nn.Module,
    shares: Sequence[Sequence[float]],
    *,
    latent_dim: int,
    conditions: Conditions | None = None,
) -> None:
    """Shift the raw numbers of a trained generator so that each phase is as frequent as in the training samples.

    Args:
        generator: in evaluation mode; nothing is done unless its head is `Phases`.
        shares: of each channel the share of each phase.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    head = next((module for module in generator.modules() if isinstance(module, Phases)), None)
    if head is None:
        return
    head.offsets.zero_()
    told: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0].float().cpu()))
    try:
        first = next(sample_chunks(generator, 1, latent_dim=latent_dim, seed=SEED, conditions=conditions))
        told.clear()
        rows = min(MOST, max(FEWEST, NUMBERS // math.prod(first.shape[1:])))
        for _ in sample_chunks(generator, rows, latent_dim=latent_dim, seed=SEED, conditions=conditions):
            pass
    finally:
        hook.remove()
    raw = torch.cat(told).movedim(1, 0).flatten(1)  # (planes of all channels, voxels)
    for channel, own in enumerate(shares):
        planes = slice(channel * head.planes, (channel + 1) * head.planes)
        found = _threshold(raw[planes][0], own[1]) if head.planes == 1 else _offsets(raw[planes], own)
        head.offsets[planes] = found.to(head.offsets).view(-1, 1, 1, 1)


def _threshold(values: Tensor, share: float) -> Tensor:
    """What is added to values so that this share of them is above 0."""
    return -_quantile(values, 1 - share)


def _quantile(values: Tensor, share: float) -> Tensor:
    """A number between the values of which this share is below it, and the others."""
    below = min(max(round(share * len(values)), 1), len(values) - 1)
    middle: Tensor = (values.kthvalue(below).values + values.kthvalue(below + 1).values) / 2
    return middle


def _offsets(values: Tensor, shares: Sequence[float]) -> Tensor:
    """What is added to planes (k, voxels) so that each is the largest in its share of the voxels.

    One plane after the other is shifted until it is: coordinate descent on a convex function, semi-discrete transport.
    """
    values = values[:, :: -(-values.shape[1] // VOXELS)]
    found = torch.zeros(len(values))
    for plane in list(range(len(values))) * ROUNDS:
        others = values + found[:, None]
        others[plane] = -torch.inf
        found[plane] = _quantile(others.amax(0) - values[plane], shares[plane])
    return found - found.mean()
