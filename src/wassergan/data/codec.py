"""The conversion between the user's units and model space, kept in every checkpoint.

Model space is float32, channels first: volumes are (C, D, H, W), pictures and fields (C, H, W), series (C, T), tables
of numbers (D,).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.grids.metadata import GridMetadata
from wassergan.data.parts import Parts, is_missing
from wassergan.errors import UserError

# Array layout → how many axes a sample has, and the permutation that puts channels first.
LAYOUTS = ("N", "ND", "NHW", "NHWC", "NCHW", "NTC", "NDHW", "NDHWC", "NCDHW")
SERIES = "NTC"  # samples, steps in time, channels
VOLUMES = ("NDHW", "NDHWC", "NCDHW")  # samples, slices, rows, columns of a volume, channels
ALONE, LAST = ("N", "NHW", "NDHW"), ("NHWC", "NTC", "NDHWC")  # one channel that has no axis; channels in the last one
LARGEST_WHOLE = float(2**63 - 1024)  # the largest float64 that an int64 holds


def to_channels_first(values: Tensor, layout: str) -> Tensor:
    """(n, ...) in the user's layout to (n, D), (n, C, T), (n, C, H, W) or (n, C, D, H, W)."""
    if layout in ALONE:
        return values.unsqueeze(1)
    return values.movedim(-1, 1) if layout in LAST else values


def from_channels_first(values: Tensor, layout: str) -> Tensor:
    """The inverse of `to_channels_first`."""
    if layout in ALONE:
        return values.squeeze(1)
    return values.movedim(1, -1) if layout in LAST else values


def channels_first(rows: NDArray[Any], layout: str) -> NDArray[Any]:
    """A view of rows (n, ...) in the user's layout as (n, D), (n, C, T), (n, C, H, W) or (n, C, D, H, W)."""
    if layout in ALONE:
        return rows[:, None]
    return np.moveaxis(rows, -1, 1) if layout in LAST else rows


def are_pixels(dtype: str, layout: str) -> bool:
    """Whether values are grey levels of eight bits, whose range is that of their type."""
    return dtype == "uint8" and layout not in (SERIES, *VOLUMES)


class AnyCodec(Protocol):
    """The conversion between the user's units and model space, for any data."""

    @property
    def layout(self) -> str:
        """The user's axes, or `table`."""

    @property
    def dtype(self) -> str:
        """The user's type."""

    @property
    def conditions_are_columns(self) -> bool:
        """Whether conditions are columns of the data; else they lie beside them."""

    @property
    def given(self) -> tuple[str, ...]:
        """Columns that are conditions: they are not in model space, and decoding receives them."""

    @property
    def identifiers(self) -> tuple[Any, ...]:
        """Columns that get fresh values."""

    @property
    def rules(self) -> Any:
        """Rules that every row obeys; None if there are none."""

    def words(self) -> list[str]:
        """Names and levels for writing samples."""

    def encode(self, values: Tensor) -> Tensor:
        """(n, ...) in user units to (n, ...) float32 in model space."""

    def decode(self, samples: Tensor) -> Tensor:
        """The inverse of `encode`."""

    def decode_numpy(self, samples: Tensor, given: Any = None, *, start: int = 0, seed: int = 0) -> NDArray[Any]:
        """Like `decode`, as a NumPy array.

        Args:
            samples: in model space.
            given: (n, conditions) values of the columns `given`, if there are any.
            start: number of the first sample among all that are drawn.
            seed: with which they are drawn.
        """

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""


@dataclass(frozen=True)
class Codec:
    """An affine map between user units and model space: model = (user - base - offset) / scale.

    Args:
        layout: the user's axes, one of `LAYOUTS`.
        dtype: NumPy name of the user's type; whole-number types are rounded on the way back.
        offset: user units; scalar shape (), one value per feature (D,) or per channel (C, 1, ...).
        scale: user units per model unit; same shape as offset, positive.
        low: model units, the smallest value to be generated; the same shape.
        high: model units, the largest value to be generated; the same shape.
        whole: values are whole numbers whatever their type.
        base: subtracted from whole numbers beyond 2^53 before they become floats.
        parts: constants and missing values; None where there are none.
        channels: names of the channels or features, if there are any.
        grid: axes, coordinates and attributes of a file of named arrays, to be written back; None of other data.
    """

    layout: str
    dtype: str
    offset: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor
    whole: bool = False
    base: int = 0
    parts: Parts | None = None
    channels: tuple[str, ...] = ()
    grid: GridMetadata | None = None

    conditions_are_columns: ClassVar[bool] = False
    given: ClassVar[tuple[str, ...]] = ()
    identifiers: ClassVar[tuple[Any, ...]] = ()
    rules: ClassVar[None] = None

    def encode(self, values: Tensor) -> Tensor:
        """(n, ...) in user units and layout to (n, ...) float32 in model space.

        Raises:
            UserError: a value is missing where none was when the codec was made.
        """
        values = to_channels_first(values, self.layout)
        if values.dtype == torch.uint8:
            # Whole multiples of float32 steps: exact enough to come back bit for bit, and fast.
            samples = values.float().sub_(self.offset.float()).div_(self.scale.float())
        else:
            centred = values - self.base if self.base else values
            samples = ((centred.double() - self.offset) / self.scale).float()
        if self.parts is None:
            return samples
        return self.parts.into(samples, self.parts.missing(values))

    def decode(self, samples: Tensor) -> Tensor:
        """(n, ...) in model space to the user's units, layout and type, clamped to what the type can hold."""
        return as_tensor(self.decode_numpy(samples))

    def decode_numpy(self, samples: Tensor, given: None = None, *, start: int = 0, seed: int = 0) -> NDArray[Any]:
        """Like `decode`, as a NumPy array of exactly the user's dtype; nothing but the samples matters."""
        if self.parts is None:
            return self._numbers(samples)
        gone = self.parts.gone(samples).to("cpu").numpy()
        rows = self._numbers(samples[:, : len(self.parts.gates)])
        self.parts.put(channels_first(rows, self.layout), gone)
        return rows

    def _numbers(self, samples: Tensor) -> NDArray[Any]:
        # In place: each copy in double precision would push the others out of the cache.
        values = samples.detach().to("cpu", torch.float64, copy=True).mul_(self.scale).add_(self.offset)
        dtype = np.dtype(self.dtype)
        if self.whole or dtype.kind in "iub":
            # Whole themselves: -43.99999999999999 would become -43 when it loses its fraction.
            low, high = ((bound * self.scale + self.offset).round() for bound in (self.low, self.high))
            values.round_()
            if low.dim() == high.dim() == 0:  # five times as fast as with bounds that are tensors
                values.clamp_(low.item(), high.item())
            else:
                values.clamp_(low, high)
            if dtype.itemsize == 8:
                values.clamp_(max=LARGEST_WHOLE)
        elif dtype.kind == "f" and dtype.itemsize < 8:
            values.clamp_(-float(np.finfo(dtype).max), float(np.finfo(dtype).max))
        values = from_channels_first(values, self.layout).to(torch_dtype(dtype))
        return (values + self.base if self.base else values).numpy().astype(self.dtype, copy=False)

    def words(self) -> list[str]:
        """None: `channels` are names for display."""
        return []

    def named(self, count: int) -> tuple[str, ...]:
        """Names of so many channels or features; numbered where they have none of their own."""
        return self.channels or numbered(self.layout, count)

    def range_of(self, channel: int, *, margin: bool = True) -> tuple[float, float]:
        """The smallest and largest value of a channel or feature, user units; without the margin: as observed."""
        ends = []
        for bound in (self.low, self.high):
            values = bound * self.scale + self.offset + self.base
            ends.append(values[channel] if values.dim() and len(values) > 1 else values)
        low, high = ends[0].min().item(), ends[1].max().item()
        room = 0.0 if margin or self.whole or np.dtype(self.dtype).kind in "iub" else (high - low) / 12
        return low + room, high - room

    def without_masks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a sample (C, H, W) or (D,) less its mask channels, if it has any."""
        return (shape[0] - (self.parts.masks if self.parts else 0), *shape[1:])

    def model_channels(self, channels: int) -> int:
        """Channels in model space of samples with so many channels in the user's units."""
        return channels + (self.parts.masks if self.parts else 0)

    def missing(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some rows' values, in the user's units and layout, stand for missing ones."""
        if self.parts is None:
            return np.isnan(rows) if rows.dtype.kind == "f" else np.zeros(rows.shape, bool)
        gone: NDArray[np.bool_] = is_missing(as_tensor(rows), self.parts.written).numpy()
        return gone

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **own,
            "parts": None if self.parts is None else self.parts.state(),
            "grid": None if self.grid is None else self.grid.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Codec":
        """The inverse of `state`."""
        parts = state.get("parts")
        own: dict[str, Any] = {"parts": None if parts is None else Parts.from_state(parts)}
        if "channels" in state:
            own["channels"] = tuple(state["channels"])
        if state.get("grid") is not None:
            own["grid"] = GridMetadata.from_state(state["grid"])
        return cls(**{**state, **own})


def numbered(layout: str, count: int) -> tuple[str, ...]:
    """Names for channels or features that have none.

    >>> numbered("NCHW", 2)
    ('channel 0', 'channel 1')
    """
    if layout == "N":
        return ("value",)
    word = "feature" if layout == "ND" else "channel"
    return tuple(f"{word} {index}" for index in range(count))


def pixel_codec(layout: str, *, dtype: str = "uint8", top: float = 255.0) -> Codec:
    """Whole grey levels 0..top to [-1, 1] and back; the round trip is the identity."""
    half = torch.tensor(top / 2, dtype=torch.float64)
    one = torch.tensor(1.0, dtype=torch.float64)
    return Codec(layout, dtype, offset=half, scale=half, low=-one, high=one, whole=True)


def standard_codec(
    layout: str,
    dtype: str,
    *,
    mean: Tensor,
    deviation: Tensor,
    smallest: Tensor,
    largest: Tensor,
    margin: float = 0.1,
    base: int = 0,
) -> Codec:
    """Standardise to mean 0 and deviation 1, per feature or for the whole array.

    Generated values stay within the observed range widened on each side by `margin` of its width; whole-number
    types stay within the range itself.

    Args:
        layout: the user's axes.
        dtype: NumPy name of the user's type.
        mean: user units, (), (D,) or (C, 1, 1).
        deviation: user units, positive, same shape.
        smallest: user units, same shape.
        largest: user units, same shape.
        margin: share of the observed width; none of it beyond what the type holds.
        base: whole number that all the others are less.
    """
    whole = np.dtype(dtype).kind in "iub"
    slack = 0.0 if whole else margin
    width = largest - smallest
    low, high = smallest - slack * width, largest + slack * width
    if not whole:
        limit = float(np.finfo(dtype if np.dtype(dtype).itemsize < 8 else np.float64).max)
        low, high = low.clamp(min=-limit), high.clamp(max=limit)
    low, high = (low - mean) / deviation, (high - mean) / deviation
    return Codec(layout, dtype, offset=mean, scale=deviation, low=low, high=high, whole=whole, base=base)


def torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    """The torch type that holds a NumPy type without loss."""
    if dtype.kind == "b":
        return torch.bool
    if dtype.kind == "f":
        return {2: torch.float16, 4: torch.float32}.get(dtype.itemsize, torch.float64)
    if dtype.kind in "iu":
        return torch.uint8 if dtype == np.uint8 else torch.int64
    raise UserError("Values must be numbers", found=f"type {dtype}")


def as_tensor(rows: NDArray[Any]) -> Tensor:
    """An array as a tensor that owns its values, in the array's own type (wider where torch has no such type)."""
    if rows.dtype.kind == "u" and rows.dtype != np.uint8:
        rows = rows.astype(np.int64)
    if rows.dtype.kind == "f" and rows.dtype.itemsize > 8:
        rows = rows.astype(np.float64)
    rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("="))
    # A read-only mapping cannot back a tensor, which might be written to.
    return torch.from_numpy(rows if rows.flags.writeable else rows.copy())
