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
ROUNDS, LARGEST_STEP = 40, 2.0
VOXELS = 2**18  # of a channel with more than two phases
LEAST_SHARE = 1e-6


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
        found = _threshold(raw[planes][0], own[1]) if head.planes == 1 else _offsets(raw[planes], torch.tensor(own))
        head.offsets[planes] = found.to(head.offsets).view(-1, 1, 1, 1)


def _threshold(values: Tensor, share: float) -> Tensor:
    """What is added to values so that this share of them is above 0."""
    below = min(max(round((1 - share) * len(values)), 1), len(values) - 1)
    ordered = values.kthvalue(below).values, values.kthvalue(below + 1).values
    return -(ordered[0] + ordered[1]) / 2


def _offsets(values: Tensor, shares: Tensor) -> Tensor:
    """What is added to planes (k, voxels) so that each is the largest in its share of the voxels."""
    step = -(-values.shape[1] // VOXELS)
    values, wanted = values[:, ::step], shares.double().clamp_min(LEAST_SHARE)
    found = torch.zeros(len(values), dtype=torch.float64)
    for each in range(ROUNDS):
        there = torch.bincount((values + found.float()[:, None]).argmax(0), minlength=len(values)).double()
        ratio = (wanted / (there / there.sum()).clamp_min(LEAST_SHARE)).log().clamp(-LARGEST_STEP, LARGEST_STEP)
        found += ratio / (1 + each / 10)
        found -= found.mean()
    return found
