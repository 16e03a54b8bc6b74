"""Differentiable augmentation: the critic sees real and fake pictures changed alike, at random."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.utils.rng import uniform_rows

NONE, AUTO = "none", "auto"
USUAL = "translate,cutout,color"
TRANSLATION, CUTOUT = 1 / 8, 1 / 2  # of the sides


def colours(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Shift brightness by U(-½, ½), scale saturation by U(0, 2) and contrast by U(½, 3/2)."""
    brighter = pictures + (uniform_rows(rng, pictures) - 0.5)
    grey = brighter.mean(1, keepdim=True)
    saturated = (brighter - grey) * (2 * uniform_rows(rng, pictures)) + grey if pictures.shape[1] > 1 else brighter
    level = saturated.mean((1, 2, 3), keepdim=True)
    return (saturated - level) * (uniform_rows(rng, pictures) + 0.5) + level


def translated(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Move by up to an eighth of each side; what comes in is 0."""
    for dim in (2, 3):
        side = pictures.shape[dim]
        most = int(side * TRANSLATION + 0.5)
        shift = _below(2 * most + 1, uniform_rows(rng, pictures)) - most
        origin = _axis(pictures, dim) - shift
        there = (origin >= 0) & (origin < side)
        moved = pictures.gather(dim, origin.clamp(0, side - 1).expand_as(pictures))
        pictures = moved * there.to(pictures.dtype)
    return pictures


def cut_out(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Set a box to 0, half as long as each side, whose centre is anywhere."""
    inside = torch.ones((), dtype=torch.bool, device=pictures.device)
    for dim in (2, 3):
        side = pictures.shape[dim]
        size = int(side * CUTOUT + 0.5)
        first = _below(side + (1 - size % 2), uniform_rows(rng, pictures)) - size // 2
        index = _axis(pictures, dim)
        inside = inside & (index >= first) & (index < first + size)
    return pictures * (~inside).to(pictures.dtype)


def mirrored(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Flip left and right, every other one in the mean."""
    index = _axis(pictures, 3)
    flipped = torch.where(uniform_rows(rng, pictures) < 0.5, pictures.shape[3] - 1 - index, index)
    return pictures.gather(3, flipped.expand_as(pictures))


OPERATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": colours,
    "mirror": mirrored,
    "translate": translated,
    "cutout": cut_out,
}


@dataclass(frozen=True)
class Augmentation:
    """Random changes of pictures (n, C, H, W), each affine in the picture and differentiable.

    The critic is given changed pictures alone, real and fake ones, and the generator's gradient passes through the
    changes; so the generator learns the data, not the changes. Source: Zhao, Liu, Lin, Zhu, Han 2020, arXiv 2006.10738.

    Args:
        operations: names of `OPERATIONS`, applied in the order of that table.
        mirrors_data: real pictures are flipped before that, every other one in the mean: this the generator learns.
    """

    operations: tuple[str, ...] = ()
    mirrors_data: bool = False

    def __bool__(self) -> bool:
        return bool(self.operations) or self.mirrors_data

    def both(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        """Change real or fake pictures; the numbers are drawn row by row, as a penalty's are."""
        for name, operation in OPERATIONS.items():
            if name in self.operations:
                pictures = operation(pictures, rng)
        return pictures

    def real(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        """Flip real pictures, if they are to be flipped, and change them as `both` does."""
        return self.both(mirrored(pictures, rng) if self.mirrors_data else pictures, rng)


UNCHANGED = Augmentation()


def augmentation_of(
    text: str, *, mirror: bool = False, shape: Sequence[int], channels: int | None = None
) -> Augmentation:
    """The augmentation of a resolved setting.

    Args:
        text: `none`, or names with commas between.
        mirror: whether real samples are flipped.
        shape: of a sample in model space.
        channels: of those, how many are colours; None for samples that have none.

    Raises:
        UserError: an unknown name, or samples that have no such thing.
    """
    names = () if text == NONE else tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in OPERATIONS:
            raise unknown_name("augmentation", name, (AUTO, NONE, *OPERATIONS))
    wanted = [*([parameter("augment", text)] if names else []), *([parameter("mirror", True)] if mirror else [])]
    if wanted and len(shape) != 3:
        raise UserError(
            "Augmentation is for pictures and fields",
            found=f"{' and '.join(wanted)} for samples of shape {tuple(shape)}",
            hint="leave it out",
        )
    if "color" in names and channels is None:
        raise UserError(
            "Colours are changed in pictures alone",
            found=parameter("augment", text),
            hint=f"leave color out of {parameter('augment')}",
        )
    return Augmentation(names, mirror)


def _axis(pictures: Tensor, dim: int) -> Tensor:
    """0, 1, ... along an axis of four."""
    sizes = [1, 1, 1, 1]
    sizes[dim] = -1
    return torch.arange(pictures.shape[dim], device=pictures.device).view(sizes)


def _below(count: int, uniform: Tensor) -> Tensor:
    """Numbers of U[0, 1) to whole ones from 0 to count - 1."""
    return (uniform * count).long().clamp(max=count - 1)
