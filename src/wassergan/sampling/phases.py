"""Setting right how frequent the phases of generated volumes are, and how far that differs from one to another."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.data.volumes import Curves
from wassergan.networks import Phases
from wassergan.sampling.curves import Aim, filters_for
from wassergan.sampling.paired import SEED, paired_inputs
from wassergan.sampling.thresholds import shifts_for

FEWEST, MOST, NUMBERS = 16, 2048, 2**26  # samples drawn for it, and numbers in them
KEPT = 2**24  # of these numbers: of each sample at some places
MOST_FILTERED, FILTERED = 1024, 2**25  # samples that filters are found by, and numbers in them
WEAKEST, STRONGEST = -15.0, 1.0  # pull of a sample's mean: distances up to sixteen times as large, or none
HALVINGS, LOOKED_AT, ROUGHLY = 11, 2**22, 2**16  # steps by which it is found, numbers, and of those for shares

Inputs = Callable[[Callable[[Tensor], Any], int], list[Any]]  # what is told of the head's inputs in so many draws


def match_phases(
    generator: nn.Module,
    shares: Sequence[Sequence[float]],
    *,
    deviations: Sequence[Sequence[float]] = (),
    curves: Curves = (),
    fixed: Tensor | None = None,
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
        fixed: 1 where every sample has a phase, whatever is generated, (channels, phases, D, H, W); None for none.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    head = next((module for module in generator.modules() if isinstance(module, Phases)), None)
    if head is None:
        return
    for shift in (head.offsets, head.pulls, head.centres):
        shift.zero_()
    head.filter_by([])
    aims = [
        Aim(
            own,
            curves[channel] if curves else (),
            sum(each**2 for each in deviations[channel]) if deviations else None,
            None if fixed is None or not fixed[channel].any() else fixed[channel],
        )
        for channel, own in enumerate(shares)
    ]
    inputs = partial(paired_inputs, generator, head, latent_dim=latent_dim, conditions=conditions)
    (voxels,) = inputs(lambda values: values[0, 0].numel(), 2)
    if curves:
        head.filter_by(_filters(inputs, aims, head.planes, voxels))
    raw, means = _raw(inputs, head, [aim.varying(voxels) for aim in aims], voxels)
    for channel, whole in enumerate(aims):
        aim = whole.of_varying(voxels)
        planes = slice(channel * head.planes, (channel + 1) * head.planes)
        values = raw[planes]
        centres = means[planes].mean(1, keepdim=True)
        if aim.variance is not None:
            distances = (means[planes] - centres)[:, :, None]
            pull = _pull(values, distances, aim.shares, aim.variance)
            head.pulls[planes], head.centres[planes] = pull, centres.to(head.centres)[:, :, None, None]
            values -= pull * distances
        head.offsets[planes] = shifts_for(values.flatten(1), aim.shares).to(head.offsets).view(-1, 1, 1, 1)


def _rows(most: int, numbers: int, size: int) -> int:
    """How many samples of a size are drawn: an even number."""
    return min(most, max(FEWEST, numbers // size // 2 * 2))


def _filters(inputs: Inputs, aims: Sequence[Aim], planes: int, voxels: int) -> list[Tensor]:
    """For each axis the matrices (planes, side, side) that lead two-point curves to those of the training samples."""
    raw = torch.cat(inputs(lambda values: values, _rows(MOST_FILTERED, FILTERED, len(aims) * planes * voxels)))
    each = [raw[:, at * planes : (at + 1) * planes] for at in range(len(aims))]
    found = [filters_for(_pulled(own, aim), aim) for own, aim in zip(each, aims, strict=True)]
    return [torch.cat(axis) for axis in zip(*found, strict=True)]


def _pulled(values: Tensor, aim: Aim) -> Tensor:
    """Raw numbers (n, planes, D, H, W) of a channel, pulled as they are to be drawn: filters leave samples' means."""
    if aim.variance is None:
        return values
    voxels = values[0, 0].numel()
    places, whole = aim.varying(voxels), aim.of_varying(voxels)
    places = places[_some(len(places), max(1, LOOKED_AT // (values.shape[0] * values.shape[1])))]
    means = values.mean((2, 3, 4), keepdim=True)
    distances = means - means.mean(0)
    assert whole.variance is not None
    some = values.flatten(2)[:, :, places].movedim(1, 0)
    return values - _pull(some, distances.flatten(2).movedim(1, 0), whole.shares, whole.variance) * distances


def _raw(inputs: Inputs, head: Phases, varying: Sequence[Tensor], voxels: int) -> tuple[Tensor, Tensor]:
    """Raw numbers (planes, samples, places), at the same of the varying places for all samples, and means over all."""
    rows = _rows(MOST, NUMBERS, len(head.offsets) * voxels)
    count = min(max(1, KEPT // (rows * len(head.offsets))), *map(len, varying))
    places = torch.stack([each[_some(len(each), count)] for each in varying]).repeat_interleave(head.planes, 0)

    def kept(values: Tensor) -> tuple[Tensor, Tensor]:
        flat = head.filtered(values).flatten(2)
        return flat.gather(2, places.expand(len(flat), -1, -1)), flat.mean(2)

    raw, means = (torch.cat(each) for each in zip(*inputs(kept, rows), strict=True))
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
    low, high = WEAKEST, STRONGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        moved = some - middle * distances
        moved = moved + shifts_for(moved.flatten(1), shares, most=ROUGHLY)[:, None, None]
        phase = (moved[0] > 0).long() if len(moved) == 1 else moved.argmax(0)
        found = torch.stack([(phase == each).double().mean(1) for each in range(len(shares))])
        low, high = (middle, high) if float(found.var(1).sum()) > variance else (low, middle)
    return (low + high) / 2


def _some(places: int, count: int) -> Tensor:
    """So many of the places at random, or all, the same each time; those in step would lie in a few layers."""
    return torch.randperm(places, generator=torch.Generator().manual_seed(SEED))[:count]
