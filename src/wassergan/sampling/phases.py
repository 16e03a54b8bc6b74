"""Setting right how frequent the phases of generated volumes are, and how far that differs from one to another."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.data.volumes import Curves
from wassergan.networks import Phases
from wassergan.sampling.curves import Aim, filters_for
from wassergan.sampling.paired import SEED, paired_draws, paired_inputs
from wassergan.sampling.thresholds import shifts_for

FEWEST, MOST, NUMBERS = 16, 2048, 2**26  # samples drawn for it, and numbers in them
KEPT = 2**24  # of these numbers: of each sample at some places
MOST_FILTERED, FILTERED = 1024, 2**25  # samples that filters are found by, and numbers in them
STRONGEST, HALVINGS, LOOKED_AT = 1.0, 7, 2**22  # pull of a sample's mean, steps by which it is found, and numbers


def match_phases(
    generator: nn.Module,
    shares: Sequence[Sequence[float]],
    *,
    deviations: Sequence[Sequence[float]] = (),
    curves: Curves = (),
    latent_dim: int,
    conditions: Conditions | None = None,
) -> None:
    """Shift the raw numbers of a trained generator so that each phase is as frequent as in the training samples.

    Where it is known how far shares differ from sample to sample, those of generated ones come to differ as far: the
    distance of a sample's mean raw number from the mean of all is made smaller or larger. Where it is known how far
    phases reach, raw numbers are filtered first so that their two-point curves become those of the training samples.

    Args:
        generator: in evaluation mode; nothing is done unless its head is `Phases`.
        shares: of each channel the share of each phase.
        deviations: of these shares from sample to sample; empty leaves them.
        curves: of each channel and phase the two-point curve along each axis; empty leaves them.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    head = next((module for module in generator.modules() if isinstance(module, Phases)), None)
    if head is None:
        return
    for shift in (head.offsets, head.pulls, head.centres):
        shift.zero_()
    head.filter_by([])
    if curves:
        head.filter_by(_filters(generator, head, shares, deviations, curves, latent_dim, conditions))
    raw, means = _raw(generator, head, latent_dim, conditions)
    for channel, own in enumerate(shares):
        planes = slice(channel * head.planes, (channel + 1) * head.planes)
        values = raw[planes]
        centres = means[planes].mean(1, keepdim=True)
        if deviations:
            distances = (means[planes] - centres)[:, :, None]
            pull = _pull(values, distances, own, sum(each**2 for each in deviations[channel]))
            head.pulls[planes], head.centres[planes] = pull, centres.to(head.centres)[:, :, None, None]
            values -= pull * distances
        head.offsets[planes] = shifts_for(values.flatten(1), own).to(head.offsets).view(-1, 1, 1, 1)


def _filters(
    generator: nn.Module,
    head: Phases,
    shares: Sequence[Sequence[float]],
    deviations: Sequence[Sequence[float]],
    curves: Curves,
    latent_dim: int,
    conditions: Conditions | None,
) -> list[Tensor]:
    """For each axis the matrices (planes, side, side) that lead two-point curves to those of the training samples."""
    size = next(paired_draws(generator, 2, latent_dim=latent_dim, conditions=conditions))[0].numel()
    rows = min(MOST_FILTERED, max(FEWEST, FILTERED // size // 2 * 2))
    told = paired_inputs(generator, head, lambda values: values, rows, latent_dim=latent_dim, conditions=conditions)
    raw = torch.cat(told)
    found = []
    for channel, own in enumerate(shares):
        values = raw[:, channel * head.planes : (channel + 1) * head.planes]
        variance = sum(each**2 for each in deviations[channel]) if deviations else None
        found.append(filters_for(values, Aim(own, curves[channel], variance)))
    return [torch.cat(axis) for axis in zip(*found, strict=True)]


def _raw(generator: nn.Module, head: Phases, latent_dim: int, conditions: Conditions | None) -> tuple[Tensor, Tensor]:
    """Raw numbers (planes, samples, places) at places that are the same for all samples, and their means over all."""
    size = next(paired_draws(generator, 2, latent_dim=latent_dim, conditions=conditions))[0].numel()
    rows = min(MOST, max(FEWEST, NUMBERS // size // 2 * 2))
    places = _places(size // len(head.offsets), max(1, KEPT // (rows * len(head.offsets))))

    def kept(values: Tensor) -> tuple[Tensor, Tensor]:
        flat = head.filtered(values).flatten(2)
        return flat[:, :, places], flat.mean(2)

    told = paired_inputs(generator, head, kept, rows, latent_dim=latent_dim, conditions=conditions)
    raw, means = (torch.cat(each) for each in zip(*told, strict=True))
    return raw.movedim(1, 0), means.movedim(1, 0)


def _pull(values: Tensor, distances: Tensor, shares: Sequence[float], variance: float) -> float:
    """The factor on each sample's distance from the mean at which the shares of its phases vary as they should.

    Args:
        values: raw numbers of the planes of a channel, (k, samples, places), in no order.
        distances: of each sample's mean from that of all, (k, samples, 1).
        shares: of the phases, which they are to have on the whole.
        variance: of them from sample to sample, over all phases in sum.
    """
    some = values[:, :, : max(1, LOOKED_AT // (values.shape[0] * values.shape[1]))]
    low, high = -STRONGEST, STRONGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        moved = some - middle * distances
        moved = moved + shifts_for(moved.flatten(1), shares)[:, None, None]
        phase = (moved[0] > 0).long() if len(moved) == 1 else moved.argmax(0)
        found = torch.stack([(phase == each).double().mean(1) for each in range(len(shares))])
        low, high = (middle, high) if float(found.var(1).sum()) > variance else (low, middle)
    return (low + high) / 2


def _places(voxels: int, count: int) -> Tensor:
    """So many places of a sample at random, or all, the same each time; places in step would lie in a few layers."""
    return torch.randperm(voxels, generator=torch.Generator().manual_seed(SEED))[:count]
