"""Crops of large volumes at random positions, held out by region: no voxel is on both sides."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import ALONE, LAST, as_tensor
from wassergan.data.fitting import Wish
from wassergan.data.parts import Parts
from wassergan.data.readers.limits import require_room
from wassergan.data.source import COMPARED_BYTES, PIECE_BYTES, Source
from wassergan.data.split import Split
from wassergan.data.volumes.codec import Curves, VolumeCodec, lags_along
from wassergan.data.volumes.fitting import pair_shares, volume_codec
from wassergan.errors import UserError, parameter

MOST_CROPS, MOST_HELD = 2**16, 2**11  # positions that are trained on, and held out
COMPARED_CROPS, COMPARED_VOXELS = 2**13, 2**28  # crops whose shares of phases say how far these differ, at most
DRAWN = 8  # positions for each that is wanted: some meet a held-out region
VOXEL_BYTES = 2  # beside its numbers: whether a crop may begin there, and whether it is held out
ROOM = 2  # voxels by which a box is at least longer than a crop: 27 positions in it
BLOCK = 2.0  # sides of a held-out region, in sides of a crop, where the volume is large enough

Sides = tuple[int, int, int]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """A box of one volume: its number, the first corner, and the sides."""

    volume: int
    corner: Sides
    sides: Sides


class CropReader:
    """Crops of volumes, by number.

    Args:
        volumes: (V, C, D, H, W), a view.
        starts: (k, 4) of each crop the volume and the first corner.
        crop: its sides.
        layout: of the crops that are read.
    """

    def __init__(self, volumes: NDArray[Any], starts: Places, crop: Sides, layout: str) -> None:
        self.volumes, self.starts = volumes, starts
        self.crop, self._layout = crop, layout

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, indices: Tensor) -> Tensor:
        """Crops at `indices` (k,), as (k, ...) in the layout."""
        return as_tensor(self.rows(indices.numpy()))

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The same as an array."""
        depth, height, width = self.crop
        found = np.empty((len(indices), self.volumes.shape[1], *self.crop), self.volumes.dtype)
        for row, (volume, z, y, x) in enumerate(self.starts[indices]):
            found[row] = self.volumes[volume, :, z : z + depth, y : y + height, x : x + width]
        if self._layout in ALONE:
            return found[:, 0]
        return np.moveaxis(found, 1, -1) if self._layout in LAST else found


class _Crops:
    """What crops are like that are trained on.

    Args:
        reader: of them, first, and of others.
        count: how many they are.
        seen: the voxels (V, D, H, W) of the volumes that are not held out.
    """

    def __init__(self, reader: CropReader, count: int, seen: NDArray[np.bool_]) -> None:
        self._reader, self._count, self._seen = reader, count, seen

    def samples(self) -> Iterator[NDArray[Any]]:
        """Some of them, block by block."""
        volumes = self._reader.volumes
        step = max(1, PIECE_BYTES // (prod(self._reader.crop) * volumes.shape[1] * volumes.dtype.itemsize))
        most = max(1, COMPARED_VOXELS // prod(self._reader.crop))
        compared = np.arange(min(COMPARED_CROPS, most, self._count))
        return (self._reader.rows(compared[at : at + step]) for at in range(0, len(compared), step))

    def curves(self, phases: tuple[int | float, ...]) -> Curves:
        """Of all pairs of voxels that are seen, each once: crops would count those within more often."""
        return pair_shares(self._slabs(), phases, self._reader.crop)

    def _slabs(self) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_], int]]:
        """Layers of the volumes, and behind them those that pairs reach."""
        behind = lags_along(self._reader.crop[0])
        for volume, seen in zip(self._reader.volumes, self._seen, strict=True):
            own = max(behind, 1, PIECE_BYTES // max(1, volume[:, :1].nbytes))
            for start in range(0, volume.shape[1], own):
                end = start + own + behind
                yield volume[None, :, start:end], seen[None, start:end], min(own, volume.shape[1] - start)


class CropSource(Source):
    """A source over crops: what tells it apart are the volumes, and where they are cut."""

    @property
    def is_compared_whole(self) -> bool:
        """Whether the fingerprint of these data reads the volumes."""
        return bool(self._reader.volumes.nbytes <= COMPARED_BYTES)

    def pieces(self) -> Iterator[NDArray[Any]]:
        """All slices of all volumes, and the positions of the crops."""
        for volume in self._reader.volumes:
            step = max(1, PIECE_BYTES // max(1, volume[:, :1].nbytes))
            for start in range(0, volume.shape[1], step):
                yield volume[:, start : start + step]
        yield self._reader.starts

    @property
    def _reader(self) -> CropReader:
        assert isinstance(self.reader, CropReader)
        return self.reader


def crop_source(volumes: NDArray[Any], crop: Sides, wish: Wish, *, heldout: float, seed: int) -> CropSource:
    """A source over crops of volumes at up to 65536 random positions.

    Boxes from all over the volumes are held out. A crop is trained on if it has no voxel in one of them, and held out
    if it lies inside of one; no others are used.

    Args:
        volumes: (V, C, D, H, W) numbers.
        crop: sides of a crop.
        wish: what the user says of the numbers; its layout is that of the crops.
        heldout: share of the voxels held out.
        seed: chooses boxes and positions.

    Raises:
        UserError: the volumes are too small, or all of their values are equal or missing; or what is noted of each
            voxel would fill the memory.
    """
    sides = volumes.shape[2:]
    voxels = len(volumes) * prod(sides)
    require_room(volumes.nbytes + VOXEL_BYTES * voxels, wish.name, instead="give a smaller volume")
    if any(own > side for own, side in zip(crop, sides, strict=True)):
        raise UserError(
            f"The crops are larger than {wish.name}",
            found=f"{_sides(crop)} of {_sides(sides)}",
            hint=f"give a smaller {parameter('crop')}",
        )
    numbers = np.random.default_rng(seed)
    regions = held_out_regions(len(volumes), sides, crop, heldout=heldout, numbers=numbers)
    train = free_starts(len(volumes), sides, crop, regions, numbers)
    held = starts_inside(regions, crop, numbers)
    if len(train) < 2:
        raise UserError(
            f"{wish.name} is too small to hold crops out",
            found=f"{_sides(sides)}, crops of {_sides(crop)}",
            hint=f"give a larger volume, or a smaller {parameter('crop')}: at most half of one side",
        )
    seen = _seen(volumes, regions)
    reader = CropReader(volumes, np.concatenate([train, held]), crop, wish.layout)
    fitted = volume_codec(
        lambda: _voxels(volumes),
        lambda: _voxels(volumes, seen),
        volumes.dtype,
        wish,
        cut=_Crops(reader, len(train), seen),
    )
    codec = _spread(fitted, crop)
    rows = torch.arange(len(reader))
    shape = (codec.model_channels(volumes.shape[1]), *crop)
    split = Split(rows[: len(train)], rows[len(train) :])
    wish.log(
        f"{len(train)} crops of {_sides(crop)} to train on, {len(held)} held out: those inside of {len(regions)} "
        f"{'boxes' if len(regions) > 1 else 'box'} of {_sides(regions[0].sides)} of which training sees no voxel."
    )
    return CropSource(wish.name, "volume", shape, reader, codec, split)


def held_out_regions(
    count: int, sides: tuple[int, ...], crop: Sides, *, heldout: float, numbers: np.random.Generator
) -> list[Region]:
    """Boxes that make up about a share of the voxels: cells of a grid over each volume, chosen at random.

    Raises:
        UserError: the share is out of range.
    """
    if not 0 < heldout < 1:
        raise UserError("The held-out share must lie between 0 and 1", found=f"{heldout}")
    target = heldout * count * prod(sides)
    box = _box(sides, crop, times=min(BLOCK, max(1.0, (target / prod(crop)) ** (1 / 3))))
    corners = [_corners(side, own) for side, own in zip(sides, box, strict=True)]
    cells = count * prod(map(len, corners))
    wanted = min(max(1, round(target / prod(box))), max(1, cells // 2))
    found = []
    for cell in sorted(numbers.choice(cells, wanted, replace=False).tolist()):
        volume, z, y, x = np.unravel_index(cell, (count, *map(len, corners)))
        found.append(Region(int(volume), (corners[0][z], corners[1][y], corners[2][x]), box))
    return found


def _box(sides: tuple[int, ...], crop: Sides, *, times: float) -> Sides:
    """The sides of a box: so many times those of a crop, and room for some positions, where a crop fits beside it."""
    wide = [min(side, max(own + ROOM, int(times * own))) for side, own in zip(sides, crop, strict=True)]
    fits = any(side - box >= own for side, box, own in zip(sides, wide, crop, strict=True))
    depth, height, width = wide if fits else crop
    return depth, height, width


def _corners(side: int, box: int) -> list[int]:
    """Where boxes begin that lie side by side along an axis, from its first to its last voxel."""
    count = side // box
    return [round(index * (side - box) / max(1, count - 1)) for index in range(count)]


def free_starts(
    count: int, sides: tuple[int, ...], crop: Sides, regions: list[Region], numbers: np.random.Generator
) -> Places:
    """Positions of crops that share no voxel with a region, (k, 4), in random order; up to `MOST_CROPS`."""
    room = [side - own + 1 for side, own in zip(sides, crop, strict=True)]
    total = count * prod(room)
    if total <= DRAWN * MOST_CROPS:
        drawn = numbers.permutation(total)
    else:
        drawn = np.unique(numbers.integers(0, total, DRAWN * MOST_CROPS))
        drawn = numbers.permutation(drawn)
    taken = np.zeros((count, *room), bool)
    for region in regions:
        ends = zip(region.corner, region.sides, crop, strict=True)
        where: tuple[int | slice, ...] = tuple(slice(max(0, at - own + 1), at + side) for at, side, own in ends)
        taken[(region.volume, *where)] = True
    free = drawn[~taken.ravel()[drawn]][:MOST_CROPS]
    return np.stack(np.unravel_index(free, (count, *room)), 1).astype(np.int64)


def starts_inside(regions: list[Region], crop: Sides, numbers: np.random.Generator) -> Places:
    """Positions of crops inside of the regions, as many in each, (k, 4); up to `MOST_HELD`."""
    room = [own - side + 1 for own, side in zip(regions[0].sides, crop, strict=True)]
    most = max(1, MOST_HELD // len(regions))
    found = []
    for region in regions:
        own = numbers.choice(prod(room), min(most, prod(room)), replace=False)
        inside = np.stack(np.unravel_index(own, room), 1) + np.array(region.corner)
        found.append(np.concatenate([np.full((len(own), 1), region.volume), inside], 1))
    return np.concatenate(found).astype(np.int64)


def _seen(volumes: NDArray[Any], regions: list[Region]) -> NDArray[np.bool_]:
    """The voxels (V, D, H, W) that are not held out."""
    found = np.ones((len(volumes), *volumes.shape[2:]), bool)
    for region in regions:
        (z, y, x), (depth, height, width) = region.corner, region.sides
        found[region.volume, z : z + depth, y : y + height, x : x + width] = False
    return found


def _voxels(volumes: NDArray[Any], chosen: NDArray[np.bool_] | None = None) -> Iterator[NDArray[Any]]:
    """All voxels, or some, as volumes of one voxel each, (k, C, 1, 1, 1): channels have one scale at all places."""
    for index, volume in enumerate(volumes):
        step = max(1, PIECE_BYTES // max(1, volume[:, :1].nbytes))
        for start in range(0, volume.shape[1], step):
            part = volume[:, start : start + step]
            flat = part.reshape(len(part), -1)
            if chosen is not None:
                flat = flat[:, chosen[index, start : start + step].ravel()]
            if flat.size:
                yield np.moveaxis(flat, 0, 1)[:, :, None, None, None]


def _spread(codec: VolumeCodec, crop: Sides) -> VolumeCodec:
    """A codec of single voxels as one of crops."""
    parts = codec.parts
    if parts is None:
        return codec
    size = prod(crop)

    def wide(values: Tensor) -> Tensor:
        return values.expand(*values.shape[:1], *crop).clone()

    width = np.dtype(codec.dtype).itemsize
    values = parts.values.view(-1, width).repeat_interleave(size, 0).flatten()
    spread = Parts(
        wide(parts.fixed),
        values,
        wide(parts.absent),
        wide(parts.gappy),
        parts.gates,
        wide(parts.rates),
        parts.codes,
        parts.code,
        parts.silent,
    )
    return replace(codec, parts=spread)


def _sides(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))
