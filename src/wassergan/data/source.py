"""A source: samples of the user's law, split once into training and held-out rows, in model space on request."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from wassergan.data.codec import Codec
from wassergan.errors import UserError

HELDOUT_SHARE = 0.1
RESIDENT_LIMIT_BYTES = 512 * 2**20


class Reader(Protocol):
    """Rows in the user's units and layout, by index."""

    def __len__(self) -> int:
        """Number of rows."""

    def read(self, indices: Tensor) -> Tensor:
        """Rows at `indices` (k,), as (k, ...) in the user's layout."""


@dataclass(frozen=True)
class Split:
    """Row numbers for training and the held-out rows that no training step ever sees; both int64, sorted."""

    train: Tensor
    heldout: Tensor


def split_rows(count: int, *, heldout: float, seed: int) -> Split:
    """Hold out a share of the rows, chosen by seed.

    Args:
        count: number of rows.
        heldout: share in (0, 1).
        seed: the same seed holds out the same rows.

    Raises:
        UserError: the share is out of range, or leaves one side empty.
    """
    if not 0 < heldout < 1:
        raise UserError("The held-out share must lie between 0 and 1", found=f"{heldout}")
    held = round(count * heldout)
    if held < 1 or held >= count:
        raise UserError(
            "Too few samples to hold some out",
            found=f"{count} samples, of which {heldout:g} would be {held}",
            mend="give more samples, or another --heldout share",
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return Split(train=order[held:].sort().values, heldout=order[:held].sort().values)


class Source:
    """Samples in model space, and the way back to the user's units.

    Args:
        name: what to call the data in reports.
        kind: `image` (grey levels), `field` (floats on a grid) or `vector`.
        shape: one sample in model space, (C, H, W) or (D,).
        reader: rows in the user's units.
        codec: user units to model space and back.
        split: training and held-out row numbers.
    """

    def __init__(
        self, name: str, kind: str, shape: tuple[int, ...], reader: Reader, codec: Codec, split: Split
    ) -> None:
        self.name = name
        self.kind = kind
        self.shape = shape
        self.codec = codec
        self.split = split
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def train_count(self) -> int:
        """Number of training rows."""
        return len(self.split.train)

    @property
    def heldout_count(self) -> int:
        """Number of held-out rows."""
        return len(self.split.heldout)

    @property
    def fits_in_memory(self) -> bool:
        """Whether the training rows are small enough to be kept as float32."""
        return len(self) * self.shape_size * 4 <= RESIDENT_LIMIT_BYTES

    @property
    def shape_size(self) -> int:
        """Numbers in one sample."""
        return int(torch.Size(self.shape).numel())

    def values(self, indices: Tensor) -> Tensor:
        """Rows (k,) in the user's units and layout."""
        return self._reader.read(indices)

    def train(self, positions: Tensor) -> Tensor:
        """Training samples at positions 0..train_count-1, (k, *shape) float32 in model space."""
        if self.fits_in_memory:
            return self._resident[positions]
        return self._encode(self.split.train[positions])

    def heldout(self, positions: Tensor) -> Tensor:
        """Held-out samples at positions 0..heldout_count-1, (k, *shape) float32 in model space."""
        return self._encode(self.split.heldout[positions])

    @cached_property
    def _resident(self) -> Tensor:
        return self._encode(self.split.train)

    def _encode(self, rows: Tensor) -> Tensor:
        return self.codec.encode(self._reader.read(rows))
