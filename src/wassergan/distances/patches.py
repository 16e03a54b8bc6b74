"""Sliced W1 of patches, scale by scale: a distance between sets of pictures that sees their texture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wassergan.distances.arguments import Randomness, as_generator, check_count
from wassergan.distances.arrays import Array, as_tensor
from wassergan.distances.checks import check_finite
from wassergan.distances.pyramid import laplacian_pyramid, pyramid_sizes
from wassergan.errors import UserError

PATCH = 7  # numbers along each axis; of smaller levels the whole level
PATCHES, PER_PICTURE = 2**15, 64  # of each set and level; as many of a picture of the reference, at most
_PICTURES_AT_ONCE = 2**22  # numbers of pictures whose levels are computed together
_NUMBERS_AT_ONCE = 2**23  # of patches that are projected together
_ROUNDING = 1e-5  # of the largest value: a channel that varies less at some level is constant there


@dataclass(frozen=True)
class PatchEstimate:
    """A patch-sliced distance.

    Attributes:
        value: the mean over the scales, in standard deviations of the reference's values at each scale.
        standard_error: from the choice of directions; it covers neither that of the patches nor the samples.
        scales: the distance at each scale by the longer side of its level, the finest first.
        spread: standard error of `value` over draws of both sets: delete-a-tenth jackknife of the pictures; None unless
            asked for.
    """

    value: float
    standard_error: float
    scales: dict[int, float]
    spread: float | None = None


def patch_sliced_w1(
    x: Array, y: Array, *, rng: Randomness, projections: int = 128, with_spread: bool = False
) -> PatchEstimate:
    """Sliced W1 between the patches of two sets of pictures, for each level of their Laplacian pyramids.

    From each level 2¹⁵ patches of 7 × 7, or 64 for each picture of a small y, are drawn from all over the pictures.
    Every channel is centred and scaled by its mean and standard deviation over the level of y, and the mean over random
    directions of the one-dimensional W1 is taken. Source: Karras et al. 2018, arXiv 1710.10196, section 5; there each
    set is scaled by its own moments, which hides a wrong contrast or colour.

    Args:
        x: pictures, (n, H, W) or (n, C, H, W).
        y: the reference, of the same shape but for the number of pictures.
        rng: of patches and directions: a generator of torch or NumPy, or a seed.
        projections: directions at each level, ≥ 2.
        with_spread: also measure how much the value varies with the pictures.

    Raises:
        UserError: a set is empty or not finite, or the shapes differ.
    """
    return PatchReference(y, rng=rng, projections=projections).distance(x, with_spread=with_spread)


class PatchReference:
    """Pictures that others are compared with: their scale and their sorted projections are computed once.

    Args:
        pictures: (m, H, W) or (m, C, H, W).
        rng: of patches and directions, which are the same for every set that is compared.
        projections: directions at each level, ≥ 2.
        context: (m, k), what each picture comes with, such as its label: it is appended to every patch of the picture.
        name: of the pictures in messages.

    Raises:
        UserError: the pictures are not finite or there are none.
    """

    def __init__(
        self,
        pictures: Array,
        *,
        rng: Randomness,
        projections: int = 128,
        context: Tensor | None = None,
        name: str = "y",
    ) -> None:
        projections, rng = check_count(projections, name="projections", least=2), as_generator(rng)
        reference = as_pictures(pictures, name=name)
        self._name, self._shape = name, tuple(reference.shape[1:])
        self._context = None if context is None else _Standard.of_columns(context)
        self._patches = min(PATCHES, PER_PICTURE * len(reference))
        self._levels = _levels_of(reference, context, (projections, self._patches), rng)
        self._projected = self._project(reference, context)
        self._sorted = [_sorted(each) for each in self._projected]
        self._owners = torch.arange(self._patches) % len(reference)

    def distance(
        self, pictures: Array, *, context: Tensor | None = None, with_spread: bool = False, name: str = "x"
    ) -> PatchEstimate:
        """The distance of other pictures from these.

        Args:
            pictures: (n, H, W) or (n, C, H, W).
            context: (n, k), if the reference has any.
            with_spread: also measure how much the value varies with the pictures.
            name: in messages.

        Raises:
            UserError: the pictures are not finite, there are none, or their shape is another one.
        """
        found = as_pictures(pictures, name=name)
        if tuple(found.shape[1:]) != self._shape:
            raise UserError(
                f"{name} and {self._name} must hold pictures of one size",
                found=f"shapes {tuple(found.shape[1:])} and {self._shape}",
            )
        projected = self._project(found, context)
        gaps = [_gaps(_sorted(each), real) for each, real in zip(projected, self._sorted, strict=True)]
        scales = {level.side: each.mean().item() for level, each in zip(self._levels, gaps, strict=True)}
        errors = [each.std().item() / len(each) ** 0.5 for each in gaps]
        return PatchEstimate(
            _mean(list(scales.values())),
            float(np.sqrt(np.square(errors).sum()) / len(errors)),
            scales,
            self._spread(projected, len(found)) if with_spread else None,
        )

    def _project(self, pictures: Tensor, context: Tensor | None) -> list[Tensor]:
        """Projections of the patches of each level, (projections, patches)."""
        given = None if self._context is None or context is None else self._context(context)
        found = [torch.empty(len(level.directions), self._patches) for level in self._levels]
        for start, levels in _pyramids(pictures):
            for level, values, projected in zip(self._levels, levels, found, strict=True):
                level.project(values, start, len(pictures), given, into=projected)
        return found

    def _spread(self, projected: list[Tensor], count: int) -> float:
        """√(9/10 Σ (xᵢ - x̄)²), xᵢ without the i-th tenth of both sets (Efron and Stein 1981)."""
        owners, left = torch.arange(self._patches) % count, []
        for part in range(_PARTS):
            kept, kept_real = owners % _PARTS != part, self._owners % _PARTS != part
            most = min(int(kept.sum()), int(kept_real.sum()))
            both = zip(projected, self._projected, strict=True)
            left.append(
                _mean(
                    [
                        _gaps(_sorted(each[:, kept][:, :most]), _sorted(real[:, kept_real][:, :most])).mean().item()
                        for each, real in both
                    ]
                )
            )
        return float(np.sqrt((_PARTS - 1) * np.var(left)))


_PARTS = 10


def as_pictures(array: Any, *, name: str) -> Tensor:
    """Pictures (n, C, H, W) float32 on the CPU, each value finite, of (n, H, W) or (n, C, H, W)."""
    pictures = as_tensor(array, name=name)
    if pictures.ndim not in (3, 4) or 0 in pictures.shape:
        raise UserError(
            f"{name} must hold pictures, (count, height, width) or (count, channels, height, width)",
            found=f"shape {tuple(pictures.shape)}",
        )
    check_finite(pictures, name=name)
    found = pictures.detach().cpu()
    return (found[:, None] if found.ndim == 3 else found).float()


@dataclass(frozen=True)
class _Standard:
    """A shift and a scale of columns or channels."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.deviation

    @classmethod
    def of_columns(cls, values: Tensor) -> "_Standard":
        """Centred, with a total variance of the number of columns: rare levels of a label count by their share."""
        mean, total = values.double().mean(0), values.double().var(0, correction=0).mean().sqrt()
        return cls(mean.float(), total.clamp_min(_ROUNDING).float())


@dataclass(frozen=True)
class _Level:
    """How patches are taken from one level and projected.

    Args:
        side: the longer one.
        patch: height and width of a patch.
        positions: of the upper left corner of each patch, (patches, 2).
        scale: of the channels.
        directions: unit vectors (projections, numbers of a patch and of its context).
    """

    side: int
    patch: tuple[int, int]
    positions: Tensor
    scale: _Standard
    directions: Tensor

    def project(self, values: Tensor, start: int, count: int, context: Tensor | None, *, into: Tensor) -> None:
        """Project the patches of some pictures of a set.

        Patch i is of picture i modulo `count`, so that all pictures have equally many, but for one.

        Args:
            values: (k, C, h, w), the level of the pictures from `start` on.
            start: the first one's number in its set.
            count: pictures in the set.
            context: of the whole set, scaled.
            into: (projections, patches).
        """
        owners = torch.arange(into.shape[1]) % count
        mine = ((owners >= start) & (owners < start + len(values))).nonzero().flatten()
        # (k, C, rows, columns, height and width of a patch)
        views = self.scale(values).unfold(2, self.patch[0], 1).unfold(3, self.patch[1], 1)
        for some in mine.split(max(1, _NUMBERS_AT_ONCE // self.directions.shape[1])):
            rows, columns = self.positions[some].unbind(1)
            patches = views[owners[some] - start, :, rows, columns].flatten(1)
            if context is not None:
                patches = torch.cat([patches, context[owners[some]]], 1)
            into[:, some] = self.directions @ patches.T


def _levels_of(reference: Tensor, context: Tensor | None, sizes: tuple[int, int], rng: torch.Generator) -> list[_Level]:
    """How each level is used; `sizes` are the numbers of directions and of patches."""
    levels = []
    for (height, width), scale in zip(pyramid_sizes(*reference.shape[2:]), _scales(reference), strict=True):
        patch = (min(PATCH, height), min(PATCH, width))
        places = [
            torch.randint(size - own + 1, (sizes[1],), generator=rng, device=rng.device)
            for size, own in zip((height, width), patch, strict=True)
        ]
        dim = reference.shape[1] * patch[0] * patch[1] + (0 if context is None else context.shape[1])
        directions = torch.randn(sizes[0], dim, generator=rng, device=rng.device)
        unit = functional.normalize(directions.double(), dim=1).float().cpu()
        levels.append(_Level(max(height, width), patch, torch.stack(places, 1).cpu(), scale, unit))
    return levels


def _scales(reference: Tensor) -> list[_Standard]:
    """Mean and deviation of each channel at each level, in float64."""
    sums: list[list[Tensor]] = []
    for _, levels in _pyramids(reference):
        sums.append(
            [torch.stack([each.double().sum((0, 2, 3)), each.double().square().sum((0, 2, 3))]) for each in levels]
        )
    largest = reference.abs().amax((0, 2, 3)).double()
    found = []
    for (height, width), parts in zip(pyramid_sizes(*reference.shape[2:]), zip(*sums, strict=True), strict=True):
        first, second = torch.stack(parts).sum(0) / (len(reference) * height * width)
        deviation = (second - first.square()).clamp_min(0).sqrt()
        varies = deviation > _ROUNDING * largest
        shape = (1, -1, 1, 1)
        unit = torch.where(varies, deviation, largest.clamp_min(1.0))
        found.append(_Standard(first.float().view(shape), unit.float().view(shape)))
    return found


def _pyramids(pictures: Tensor) -> Iterator[tuple[int, list[Tensor]]]:
    """The levels of some pictures at a time, with the number of the first of them."""
    at_once = max(1, _PICTURES_AT_ONCE // pictures[0].numel())
    for start in range(0, len(pictures), at_once):
        yield start, laplacian_pyramid(pictures[start : start + at_once])


def _sorted(projected: Tensor) -> Tensor:
    return torch.from_numpy(np.sort(projected.numpy(), axis=1))  # vectorised: far faster than torch.sort on a CPU


def _gaps(one: Tensor, other: Tensor) -> Tensor:
    """W1 along each direction of sorted projections, float64."""
    return (one - other).abs().mean(1, dtype=torch.float64)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
