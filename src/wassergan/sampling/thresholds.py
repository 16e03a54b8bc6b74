"""What raw numbers are shifted by so that phases are as frequent as they should."""

from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDS, VOXELS = 12, 2**18  # of a channel with more than two phases


def shifts_for(values: Tensor, shares: Sequence[float], *, most: int = VOXELS) -> Tensor:
    """What is added to the planes (k, voxels) of a channel so that its phases have these shares, (k,).

    Of more than two phases, so many voxels are looked at, at most.
    """
    return _threshold(values[0], shares[1])[None] if len(values) == 1 else _offsets(values, shares, most)


def _threshold(values: Tensor, share: float) -> Tensor:
    """What is added to values so that this share of them is above 0."""
    return -_quantile(values, 1 - share)


def _quantile(values: Tensor, share: float) -> Tensor:
    """A number between the values of which this share is below it, and the others."""
    below = min(max(round(share * len(values)), 1), len(values) - 1)
    middle: Tensor = (values.kthvalue(below).values + values.kthvalue(below + 1).values) / 2
    return middle


def _offsets(values: Tensor, shares: Sequence[float], most: int) -> Tensor:
    """What is added to planes (k, voxels) so that each is the largest in its share of the voxels.

    One plane after the other is shifted until it is: coordinate descent on a convex function, semi-discrete transport.
    """
    if values.shape[1] > most:  # some at random: those in step would lie at a few places
        chosen = torch.Generator().manual_seed(0)
        values = values[:, torch.randint(values.shape[1], (most,), generator=chosen)]
    found = torch.zeros(len(values))
    for plane in list(range(len(values))) * ROUNDS:
        others = values + found[:, None]
        others[plane] = -torch.inf
        found[plane] = _quantile(others.amax(0) - values[plane], shares[plane])
    return found - found.mean()
