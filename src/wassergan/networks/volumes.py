"""Generators and critics of volumes (C, D, H, W) of any sides: convolutions over three axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter
from wassergan.networks.activations import get_activation
from wassergan.networks.conv import SMALLEST_GRID, norm_layer, with_planes

HALVED, KEPT = (4, 2, 1), (3, 1, 1)  # kernel, stride and padding along an axis that is halved, and along another
Sides = tuple[int, int, int]


def volume_shape(shape: tuple[int, ...], network: str) -> tuple[int, Sides]:
    """Check that a sample is a volume with at least one side that can be halved; return its channels and sides.

    Raises:
        UserError: it is not.
    """
    if len(shape) != 4 or max(shape[1:]) < SMALLEST_GRID:
        raise UserError(
            f"Network '{network}' needs volumes with a side of at least {SMALLEST_GRID}",
            found=f"samples of shape {shape}",
            hint=f"use {parameter('network', 'mlp')}",
        )
    return shape[0], (shape[1], shape[2], shape[3])


def stages(sides: Sides) -> list[tuple[bool, bool, bool]]:
    """Which axes each stage halves, rounding down: every axis while its side is at least 7, and the longest once.

    >>> stages((32, 32, 9))
    [(True, True, True), (True, True, False), (True, True, False)]
    """
    found = []
    while max(sides) >= 2 * SMALLEST_GRID - 1:
        halved = tuple(side >= 2 * SMALLEST_GRID - 1 for side in sides)
        found.append((halved[0], halved[1], halved[2]))
        sides = after(sides, found[-1])
    return found or [(sides[0] == max(sides), sides[1] == max(sides), sides[2] == max(sides))]


def after(sides: Sides, halved: tuple[bool, bool, bool]) -> Sides:
    """The sides of a volume after a stage of a critic."""
    depth, height, width = (side // 2 if half else side for side, half in zip(sides, halved, strict=True))
    return depth, height, width


def volume_norm(name: str, channels: int) -> nn.Module:
    """As `norm_layer`: `layer` (over channels and voxels), `batch` or `none`.

    Raises:
        UserError: the name is not known.
    """
    return nn.BatchNorm3d(channels) if name == "batch" else norm_layer(name, channels)


def _geometry(halved: tuple[bool, bool, bool]) -> tuple[Sides, Sides, Sides]:
    """Kernel, stride and padding of the convolution of a stage."""
    kernel, stride, padding = zip(*(HALVED if half else KEPT for half in halved), strict=True)
    return kernel, stride, padding


class VolumeCritic(nn.Module):
    """Convolutions with kernels of 4 that halve the sides, doubling the maps, then one linear layer.

    Normalisation follows every convolution but the first: `ConvCritic` with a third axis. A side below 7 is no longer
    halved, and has kernels of 3.

    Args:
        shape: (channels, depth, height, width).
        maps: maps of the first convolution.
        norm: `layer`, `batch` or `none`.
        activation: `leaky_relu`, `silu` or `maxmin`.
        context_dim: numbers that encode the condition of a sample; each is a constant channel.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        maps: int = 16,
        norm: str = "layer",
        activation: str = "leaky_relu",
        context_dim: int = 0,
    ) -> None:
        super().__init__()
        channels, sides = volume_shape(shape, "conv")
        channels += context_dim
        layers: list[nn.Module] = []
        for stage, halved in enumerate(stages(sides)):
            wider = maps * 2**stage
            kernel, stride, padding = _geometry(halved)
            layers.append(nn.Conv3d(channels, wider, kernel, stride=stride, padding=padding))
            if stage:
                layers.append(volume_norm(norm, wider))
            layers.append(get_activation(activation))
            channels, sides = wider, after(sides, halved)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * sides[0] * sides[1] * sides[2], 1))

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        """(n, C, D, H, W), and (n, context_dim) if there is any, to (n,)."""
        return torch.squeeze(self.body(with_planes(samples, context)), 1)

    def lipschitz_chain(self) -> nn.Sequential:
        """All layers; the rest is reshaping."""
        return self.body


class VolumeGenerator(nn.Module):
    """A linear layer onto the smallest volume, then transposed convolutions that double the sides, halving the maps.

    The mirror of `VolumeCritic`; odd sides are cropped after doubling. Source: Mosser, Dubrule, Blunt 2017,
    arXiv 1704.03225, whose convolutions over pores of rock these are.

    Args:
        latent_dim: numbers in a latent vector.
        shape: (channels, depth, height, width).
        head: maps samples into the range of the data.
        maps: maps before the last layer.
        norm: `batch`, `layer` or `none`.
    """

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, head: nn.Module, maps: int = 16, norm: str = "batch"
    ) -> None:
        super().__init__()
        channels, sides = volume_shape(shape, "conv")
        halved = stages(sides)
        self.grids = [sides]
        for each in halved:
            self.grids.append(_grown(self.grids[-1], each))
        smallest, self.grids = self.grids[-1], self.grids[-2::-1]
        widest = maps * 2 ** (len(halved) - 1)
        self.start = (widest, *smallest)
        self.project = nn.Linear(latent_dim, widest * smallest[0] * smallest[1] * smallest[2])
        self.first = nn.Sequential(volume_norm(norm, widest), nn.ReLU())
        layers = []
        for stage, each in enumerate(halved[::-1]):
            before, last = widest // 2**stage, stage == len(halved) - 1
            made = channels if last else before // 2
            kernel, stride, padding = _geometry(each)
            up = nn.ConvTranspose3d(before, made, kernel, stride=stride, padding=padding)
            layers.append(up if last else nn.Sequential(up, volume_norm(norm, made), nn.ReLU()))
        self.stages = nn.ModuleList(layers)
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, C, D, H, W)."""
        hidden = self.first(self.project(latent).unflatten(1, self.start))
        for stage, (depth, height, width) in zip(self.stages, self.grids, strict=True):
            hidden = stage(hidden)[..., :depth, :height, :width]
        samples: Tensor = self.head(hidden)
        return samples


def _grown(sides: Sides, halved: tuple[bool, bool, bool]) -> Sides:
    """The sides before a stage of a generator: halved and rounded up, since doubling must reach the odd ones."""
    depth, height, width = ((side + 1) // 2 if half else side for side, half in zip(sides, halved, strict=True))
    return depth, height, width


FILTERS = ("along_depth", "along_height", "along_width")


class Phases(nn.Module):
    """What a voxel belongs to, from -1 to 1: tanh for two phases, 2 softmax - 1 over the planes of a channel for more.

    When a trained generator is opened, raw numbers are shifted: by `offsets`, so that phases are as frequent as in the
    data; and in evaluation mode by `pulls` times the distance of a sample's own mean from `centres`, so that shares
    differ from sample to sample as they do there. Before that, where it was matched, `filtered` changes how far what
    a voxel is reaches along each axis.

    Args:
        channels: of the data.
        planes: of a channel: 1 for two phases, or one for each.
    """

    offsets: Tensor
    pulls: Tensor
    centres: Tensor

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.planes = planes
        self.register_buffer("offsets", torch.zeros(channels * planes, 1, 1, 1))
        for name in ("pulls", "centres"):
            self.register_buffer(name, torch.zeros(channels * planes, 1, 1, 1))
        for name in FILTERS:
            self.register_buffer(name, torch.zeros(channels * planes, 0, 0), persistent=False)

    @property
    def filters(self) -> tuple[Tensor, ...]:
        """For each axis the matrices (planes, side, side) by which changes are made along it; of side 0 for none."""
        return tuple(getattr(self, name) for name in FILTERS)

    def filter_by(self, matrices: Sequence[Tensor]) -> None:
        """Filter by such matrices from now on, or by none."""
        for index, name in enumerate(FILTERS):
            found = matrices[index] if matrices else self.offsets.new_zeros(len(self.offsets), 0, 0)
            setattr(self, name, found.to(self.offsets))

    def filtered(self, values: Tensor) -> Tensor:
        """Raw numbers (n, planes, D, H, W), and along each axis linear combinations of them added."""
        if not self.filters[0].numel():
            return values
        found = values
        for axis, matrices in enumerate(self.filters, 2):
            along = values.movedim(axis, -1) @ matrices.to(values).mT[:, None]
            found = found + along.movedim(-1, axis)
        return found

    def forward(self, values: Tensor) -> Tensor:
        """(n, C * planes, ...) to the same shape."""
        if not self.training:
            values = self.filtered(values)
            values = values - self.pulls * (values.mean((2, 3, 4), keepdim=True) - self.centres)
        values = values + self.offsets
        if self.planes == 1:
            return torch.tanh(values)
        shares = values.unflatten(1, (-1, self.planes)).softmax(2)
        told: Tensor = (2 * shares - 1).flatten(1, 2)
        return told

    def calibration_state(self) -> dict[str, Tensor]:
        """By what raw numbers are shifted, tensors by name."""
        return {name: each.detach().cpu().clone() for name, each in self.named_buffers()}

    def load_calibration(self, state: Mapping[str, Tensor]) -> None:
        """Shift raw numbers as after the calibration whose `calibration_state` this is.

        Raises:
            KeyError, ValueError: it is of another generator, or holds what no calibration does.
        """
        for name, own in self.named_buffers():
            shape = state[name].shape
            fits = shape == own.shape or (name in FILTERS and shape == (len(own), *shape[2:], *shape[2:]))
            if not fits or not bool(state[name].isfinite().all()):
                raise ValueError("shifts of another generator")
        for name, own in self.named_buffers():
            setattr(self, name, state[name].to(own))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *further: Any) -> None:
        """Also of checkpoints that know the offsets alone."""
        for name in ("pulls", "centres"):
            state_dict.setdefault(f"{prefix}{name}", torch.zeros_like(self.offsets))
        super()._load_from_state_dict(state_dict, prefix, *further)
