"""The conversion between volumes and model space: that of numbers, or of phases."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import Codec, channels_first, from_channels_first, to_channels_first
from wassergan.errors import UserError

MOST_PHASES = 8  # of volumes with more values, these are numbers
MOST_LAG, AXES = 16, 3  # of two-point curves
MEASURED = ("shares", "deviations", "curves")  # of the phases of training samples

Curves = tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]


@dataclass(frozen=True)
class VolumeCodec(Codec):
    """A codec of volumes; see `Codec`.

    Two phases are -1 and 1 in model space. Of more, every channel becomes one plane for each: 1 where it is, else -1.
    A generated value belongs to the nearest of two phases, or to the one whose plane is largest.

    Args:
        phases: all values that there are, ascending; empty where values are numbers.
        shares: of each channel the share of each phase in the training samples.
        deviations: of these shares from one training sample to another; empty where it is not known.
        curves: of each channel and phase, for each axis: how likely two voxels at a lag along it both belong to the
            phase, lag 0 first, in the training samples; empty where it is not known.
    """

    phases: tuple[int | float, ...] = ()
    shares: tuple[tuple[float, ...], ...] = ()
    deviations: tuple[tuple[float, ...], ...] = ()
    curves: Curves = ()

    @property
    def planes(self) -> int:
        """Channels in model space for one channel of the data."""
        return len(self.phases) if len(self.phases) > 2 else 1

    @property
    def told(self) -> dict[str, Any]:
        """What is known of the phases of training samples, in plain types."""
        return {name: _as_lists(getattr(self, name)) for name in MEASURED}

    @classmethod
    def of(cls, codec: Codec, phases: tuple[int | float, ...] = ()) -> "VolumeCodec":
        """The same for volumes."""
        return cls(**{each.name: getattr(codec, each.name) for each in fields(Codec)}, phases=phases)

    def model_channels(self, channels: int) -> int:
        """Planes and masks."""
        return super().model_channels(channels * self.planes)

    def without_masks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a sample in the user's units, channels first."""
        channels, *sides = super().without_masks(shape)
        return (channels // self.planes, *sides)

    def encode(self, values: Tensor) -> Tensor:
        """(n, ...) in user units and layout to (n, ...) float32 in model space.

        Raises:
            UserError: a value is none of the phases, or missing where none was when the codec was made.
        """
        if not self.phases:
            return super().encode(values)
        values = to_channels_first(values, self.layout)
        values = values.double() if values.is_floating_point() else values.long()
        found = torch.stack([values == phase for phase in self.phases], 2)  # (n, C, phases, ...)
        if not found.any(2).all():
            other = values[~found.any(2)][0].item()
            raise UserError(
                "A value is none of the phases",
                found=f"{other:g}, where the phases are {', '.join(f'{each:g}' for each in self.phases)}",
                hint="give volumes with the same phases, or start a run on all of them",
            )
        told = found[:, :, 1:] if self.planes == 1 else found
        return told.flatten(1, 2).float().mul_(2).sub_(1)

    def decode_numpy(self, samples: Tensor, given: None = None, *, start: int = 0, seed: int = 0) -> NDArray[Any]:
        """Like `decode`, as a NumPy array of exactly the user's dtype."""
        if not self.phases:
            return super().decode_numpy(samples)
        samples = samples.detach().cpu()
        index = (samples > 0).long() if self.planes == 1 else samples.unflatten(1, (-1, self.planes)).argmax(2)
        values: NDArray[Any] = np.array(self.phases).astype(self.dtype)[from_channels_first(index, self.layout).numpy()]
        if self.parts is not None and self.parts.fixed.any():
            known = np.frombuffer(self.parts.values.numpy().tobytes(), values.dtype)
            channels_first(values, self.layout)[:, self.parts.fixed.numpy()] = known
        return values

    def fixed_phases(self) -> Tensor | None:
        """1 where all samples have a phase, (C, phases, D, H, W); None where no voxel is constant."""
        if not self.phases or self.parts is None or not self.parts.fixed.any():
            return None
        fixed = self.parts.fixed
        known = np.frombuffer(self.parts.values.numpy().tobytes(), np.dtype(self.dtype))
        found = torch.zeros(fixed.shape[0], len(self.phases), *fixed.shape[1:])
        for phase, value in enumerate(self.phases):
            found[:, phase][fixed] = torch.from_numpy((known == value).astype(np.float32))
        return found

    def missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values stand for missing ones: of phases those that a user says do."""
        if not self.phases:
            return super().missing(rows)
        gone: NDArray[np.bool_] = np.isin(rows, self.parts.codes if self.parts else ())
        return gone

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        return {**super().state(), "phases": list(self.phases), **self.told}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "VolumeCodec":
        """The inverse of `state`."""
        own = dict(state)
        phases = tuple(own.pop("phases"))
        told = {name: own.pop(name, ()) for name in MEASURED}  # older checkpoints know shares alone
        return cls.of(Codec.from_state(own), phases).knowing(told)

    def knowing(self, told: Mapping[str, Any]) -> "VolumeCodec":
        """The same with what another codec `told` of its training samples."""
        return replace(self, **{name: _as_tuples(told.get(name, ())) for name in MEASURED})

    def fault(self) -> str:
        """What phases from a file no data have; empty for nothing."""
        told = self.phases
        if not told:
            return ""
        if not 2 <= len(told) <= MOST_PHASES or any(type(each) not in (int, float, bool) for each in told):
            return f"{len(told)} phases, or some that are no numbers"
        kept = np.array(told).astype(self.dtype)
        if any(a >= b for a, b in pairwise(told)) or not (kept == np.array(told)).all():
            return f"phases {told} of type {self.dtype}"[:200]
        if any(len(each) != len(told) or not all(0 <= share <= 1 for share in each) for each in self.shares):
            return f"shares {self.shares} of {len(told)} phases"[:200]
        known = self.deviations
        if known and (
            len(known) != len(self.shares)
            or any(len(each) != len(told) or not all(0 <= own <= 0.5 for own in each) for each in known)
        ):
            return f"deviations {known} of {len(told)} phases"[:200]
        if self.curves and not self._are_curves():
            return f"two-point curves {self.curves} of {len(self.shares)} channels"[:200]
        return ""

    def _are_curves(self) -> bool:
        """Whether each phase of each channel has a curve along each axis."""
        each_phase = [phase for channel in self.curves for phase in channel]
        lines = [line for phase in each_phase for line in phase]
        return (
            len(self.curves) == len(self.shares)
            and all(len(each) == len(self.phases) for each in self.curves)
            and all(len(phase) == AXES for phase in each_phase)
            and all(1 <= len(line) <= MOST_LAG + 1 and all(0 <= own <= 1 for own in line) for line in lines)
        )


def lags_along(side: int) -> int:
    """The largest lag of a two-point curve along an axis: 16, or half of the side."""
    return min(MOST_LAG, side // 2)


def _as_tuples(nested: Any) -> Any:
    """Nested lists as tuples."""
    return tuple(map(_as_tuples, nested)) if isinstance(nested, list | tuple) else nested


def _as_lists(nested: Any) -> Any:
    """Nested tuples as lists."""
    return list(map(_as_lists, nested)) if isinstance(nested, list | tuple) else nested
