"""The way between the user's units and model space, kept in every checkpoint.

Model space is float32, channels first: pictures and fields are (C, H, W), tables of numbers are (D,).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.errors import UserError

# Array layout → how many axes a sample has, and the permutation that puts channels first.
LAYOUTS = ("N", "ND", "NHW", "NHWC", "NCHW")


def to_channels_first(values: Tensor, layout: str) -> Tensor:
    """(n, ...) in the user's layout to (n, D) or (n, C, H, W)."""
    match layout:
        case "N" | "NHW":
            return values.unsqueeze(1)
        case "NHWC":
            return values.movedim(3, 1)
        case _:
            return values


def from_channels_first(values: Tensor, layout: str) -> Tensor:
    """The inverse of `to_channels_first`."""
    match layout:
        case "N" | "NHW":
            return values.squeeze(1)
        case "NHWC":
            return values.movedim(1, 3)
        case _:
            return values


class AnyCodec(Protocol):
    """The way between the user's units and model space, whatever the data are."""

    @property
    def layout(self) -> str:
        """The user's axes, or `table`."""

    @property
    def dtype(self) -> str:
        """The user's type."""

    def encode(self, values: Tensor) -> Tensor:
        """(n, ...) in user units to (n, ...) float32 in model space."""

    def decode(self, samples: Tensor) -> Tensor:
        """The inverse of `encode`."""

    def decode_numpy(self, samples: Tensor) -> NDArray[Any]:
        """Like `decode`, as a NumPy array."""

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""


@dataclass(frozen=True)
class Codec:
    """An affine map between user units and model space: model = (user - offset) / scale.

    Args:
        layout: the user's axes, one of `N`, `ND`, `NHW`, `NHWC`, `NCHW`.
        dtype: NumPy name of the user's type; whole-number types are rounded on the way back.
        offset: user units; scalar shape () or one value per feature (D,).
        scale: user units per model unit; same shape as offset, positive.
        low: model units, the smallest value to be generated; () or (D,).
        high: model units, the largest value to be generated; () or (D,).
        whole: values are whole numbers whatever their type.
    """

    layout: str
    dtype: str
    offset: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor
    whole: bool = False

    def encode(self, values: Tensor) -> Tensor:
        """(n, ...) in user units and layout to (n, ...) float32 in model space."""
        values = to_channels_first(values, self.layout)
        if values.dtype == torch.uint8:
            # Whole multiples of float32 steps: exact enough to come back bit for bit, and fast.
            return values.float().sub_(self.offset.float()).div_(self.scale.float())
        return ((values.double() - self.offset) / self.scale).float()

    def decode(self, samples: Tensor) -> Tensor:
        """(n, ...) in model space to the user's units, layout and type, clamped to what the type can hold."""
        # In place: each copy in double precision would push the others out of the cache.
        values = samples.detach().to("cpu", torch.float64, copy=True).mul_(self.scale).add_(self.offset)
        dtype = np.dtype(self.dtype)
        if self.whole or dtype.kind in "iub":
            low, high = (bound * self.scale + self.offset for bound in (self.low, self.high))
            values.round_()
            if low.dim() == high.dim() == 0:  # five times as fast as with bounds that are tensors
                values.clamp_(low.item(), high.item())
            else:
                values.clamp_(low, high)
        values = from_channels_first(values, self.layout)
        return values.to(torch_dtype(dtype))

    def decode_numpy(self, samples: Tensor) -> NDArray[Any]:
        """Like `decode`, as a NumPy array of exactly the user's dtype."""
        return self.decode(samples).numpy().astype(self.dtype, copy=False)

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Codec":
        """The inverse of `state`."""
        return cls(**state)


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
) -> Codec:
    """Standardise to mean 0 and deviation 1, per feature or for the whole array.

    Generated values stay within the observed range widened on each side by `margin` of its width; whole-number
    types stay within the range itself.

    Args:
        layout: the user's axes.
        dtype: NumPy name of the user's type.
        mean: user units, () or (D,).
        deviation: user units, positive, same shape.
        smallest: user units, same shape.
        largest: user units, same shape.
        margin: share of the observed width.
    """
    whole = np.dtype(dtype).kind in "iub"
    slack = 0.0 if whole else margin
    width = largest - smallest
    low = (smallest - slack * width - mean) / deviation
    high = (largest + slack * width - mean) / deviation
    return Codec(layout, dtype, offset=mean, scale=deviation, low=low, high=high, whole=whole)


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


def number_codec(codec: AnyCodec, work: str) -> Codec:
    """The codec of arrays or pictures.

    Args:
        codec: of any data.
        work: what is to be done with it, as in "wassergan export".

    Raises:
        UserError: it is a table's.
    """
    if not isinstance(codec, Codec):
        raise UserError(f"{work} takes pictures and arrays here, and was given a table")
    return codec
