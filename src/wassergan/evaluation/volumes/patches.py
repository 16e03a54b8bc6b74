"""Sliced W1 of cubic patches, scale by scale: what `distances.patches` does for pictures."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wassergan.distances.patches import PatchEstimate
from wassergan.evaluation.evaluate import JACKKNIFE

PATCH = 5  # voxels along each axis; of smaller levels the whole level
PATCHES, PER_VOLUME = 2**14, 128  # of each set and level; as many of a volume of the reference, at most
PROJECTIONS = 128
LEAST_SIDE = 4  # of a level that is halved once more
_ROUNDING = 1e-5


@dataclass(frozen=True)
class _Level:
    """How patches are taken from one level and projected.

    Args:
        side: the longest one.
        patch: sides of a patch.
        positions: of the first corner of each patch, (patches, 3).
        mean: of the channels, (C, 1, 1, 1).
        deviation: of the channels.
        directions: unit vectors (projections, numbers of a patch and of its context).
    """

    side: int
    patch: tuple[int, int, int]
    positions: Tensor
    mean: Tensor
    deviation: Tensor
    directions: Tensor


class VolumePatches:
    """Volumes that others are compared with: patches of the volumes and of those averaged over cubes of 2, 4, 8 voxels.

    Every channel is centred and scaled by its mean and deviation over the level of the reference.

    Args:
        volumes: (m, C, D, H, W) in model space.
        rng: of patches and directions.
        context: (m, k), what each volume comes with: it is appended to every patch.
    """

    def __init__(self, volumes: Tensor, *, rng: torch.Generator, context: Tensor | None = None) -> None:
        self._patches = min(PATCHES, PER_VOLUME * len(volumes))
        self._context = (
            None if context is None else (context.mean(0), context.std(0, correction=0).clamp_min(_ROUNDING))
        )
        width = 0 if context is None else context.shape[1]
        self._levels = [self._level(each, width, rng) for each in levels(volumes)]
        self._projected = self._project(volumes, context)

    def distance(
        self, volumes: Tensor, *, context: Tensor | None = None, with_spread: bool = False, name: str = "x"
    ) -> PatchEstimate:
        """The distance of other volumes from these.

        Args:
            volumes: (n, C, D, H, W) in model space.
            context: (n, k), if the reference has any.
            with_spread: also measure how much the value varies with the volumes.
            name: in messages.
        """
        projected = self._project(volumes, context)
        gaps = [_gaps(own, real) for own, real in zip(projected, self._projected, strict=True)]
        errors = [(each.var() / len(each)).item() for each in gaps]
        spread = None
        if with_spread:
            parts = [self._without(projected, part) for part in range(JACKKNIFE)]
            spread = float(np.sqrt((JACKKNIFE - 1) * np.var(parts)))
        return PatchEstimate(
            float(np.mean([each.mean().item() for each in gaps])),
            float(np.sqrt(sum(errors)) / len(errors)),
            {level.side: each.mean().item() for level, each in zip(self._levels, gaps, strict=True)},
            spread,
        )

    def _without(self, projected: list[Tensor], part: int) -> float:
        kept = torch.arange(self._patches) % JACKKNIFE != part
        both = zip(projected, self._projected, strict=True)
        return float(np.mean([_gaps(own[:, kept], real[:, kept]).mean().item() for own, real in both]))

    def _level(self, values: Tensor, width: int, rng: torch.Generator) -> _Level:
        sides = values.shape[2:]
        patch = (min(PATCH, sides[0]), min(PATCH, sides[1]), min(PATCH, sides[2]))
        places = [
            torch.randint(side - own + 1, (self._patches,), generator=rng)
            for side, own in zip(sides, patch, strict=True)
        ]
        size = values.shape[1] * patch[0] * patch[1] * patch[2] + width
        directions = functional.normalize(torch.randn(PROJECTIONS, size, generator=rng), dim=1)
        flat = values.double().movedim(1, 0).flatten(1)
        deviation = flat.std(1, correction=0).clamp_min(_ROUNDING)
        shape = (-1, 1, 1, 1)
        mean = flat.mean(1).float().view(shape)
        return _Level(max(sides), patch, torch.stack(places, 1), mean, deviation.float().view(shape), directions)

    def _project(self, volumes: Tensor, context: Tensor | None) -> list[Tensor]:
        owners = torch.arange(self._patches) % len(volumes)
        found = []
        for level, values in zip(self._levels, levels(volumes), strict=True):
            views = values
            for axis, own in enumerate(level.patch, 2):
                views = views.unfold(axis, own, 1)
            depth, height, width = level.positions.unbind(1)
            patches = (views[owners, :, depth, height, width] - level.mean) / level.deviation
            flat = patches.flatten(1)
            if context is not None and self._context is not None:
                flat = torch.cat([flat, ((context - self._context[0]) / self._context[1])[owners]], 1)
            found.append(level.directions @ flat.T)
        return found


def levels(volumes: Tensor) -> list[Tensor]:
    """The volumes, and those averaged over cubes, while the shortest side that is halved keeps `LEAST_SIDE` voxels."""
    found = [volumes.float()]
    while max(found[-1].shape[2:]) >= 2 * LEAST_SIDE:
        steps = tuple(2 if side >= 2 * LEAST_SIDE else 1 for side in found[-1].shape[2:])
        found.append(functional.avg_pool3d(found[-1], steps))
    return found


def _gaps(one: Tensor, other: Tensor) -> Tensor:
    """W1 along each direction of equally many projections, float64."""
    left, right = (torch.from_numpy(np.sort(each.numpy(), axis=1)) for each in (one, other))
    return (left - right).abs().mean(1, dtype=torch.float64)
