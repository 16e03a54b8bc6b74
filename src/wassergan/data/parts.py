"""Which numbers of a sample are constant, and which may be missing: kept in every checkpoint.

Masks have the shape of a sample in the user's units, channels first: (C, H, W) or (D,).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.errors import UserError

NEAR = 1e-6  # relative; how near a float must be to a code: 9.96921e36 is written for 9.969209968386869e36


@dataclass(frozen=True)
class Parts:
    """What is not learnt as a number: constants, and the positions of missing values.

    In model space, positions that never vary are 0. Missing values are 0 too, and one more channel for each group of
    channels with missing values at the same positions says which are present: 1, or -1 where a value is missing.

    Args:
        fixed: positions whose values, where present, are all equal, bool.
        values: those values, in the order of the positions, as bytes of the user's type, uint8.
        absent: positions that are missing in every sample, bool.
        gappy: positions that are missing in some samples, bool.
        gates: for each channel or feature the index of its mask channel, or -1; int64.
        rates: (M, ...) share of the samples in which the positions of each mask channel are missing.
        codes: values besides NaN that mean missing.
        code: what is written for a missing value; None if nothing is ever missing.
        silent: fixed positions are 0 in model space; otherwise they are learnt, and corrected by decoding.
    """

    fixed: Tensor
    values: Tensor
    absent: Tensor
    gappy: Tensor
    gates: Tensor
    rates: Tensor
    codes: tuple[int | float, ...] = ()
    code: int | float | None = None
    silent: bool = True

    @property
    def masks(self) -> int:
        """Mask channels."""
        return len(self.rates)

    @property
    def active(self) -> Tensor:
        """Positions in model space that vary, mask channels included, bool."""
        numbers = ~self.absent if not self.silent else ~(self.absent | self.fixed)
        owners = [int((self.gates == mask).nonzero()[0]) for mask in range(self.masks)]
        return torch.cat([numbers, self.gappy[owners]]) if owners else numbers

    @property
    def written(self) -> tuple[int | float, ...]:
        """What, besides NaN, is decoded for a missing value."""
        return () if self.code is None or self.code != self.code else (self.code,)

    def missing(self, values: Tensor) -> Tensor:
        """Which of some values, channels first (n, ...), are missing, bool.

        Raises:
            UserError: one is missing at a position where the examined samples have none missing.
        """
        gone = is_missing(values, self.codes)
        unknown = gone & ~(self.gappy | self.absent)
        if unknown.any():
            index = tuple(int(each) for each in unknown.nonzero()[0][1:])
            raise UserError(
                "A value is missing where none of the samples that were looked at misses any",
                found=f"at {index} of a sample, channels first",
                hint="fill it, or start a run on data that show where values may be missing",
            )
        return gone

    def into(self, samples: Tensor, missing: Tensor) -> Tensor:
        """Standardised values (n, ...), channels first, to model space with its mask channels."""
        still = missing | self.fixed if self.silent else missing
        samples = samples.masked_fill(still, 0.0)
        masks = [samples]
        for mask in range(self.masks):
            owner = int((self.gates == mask).nonzero()[0])
            told = torch.where(missing[:, owner : owner + 1], -1.0, 1.0)
            masks.append(told * self.active[len(self.gates) + mask])
        return torch.cat(masks, 1)

    def gone(self, samples: Tensor) -> Tensor:
        """Which values of samples in model space (n, C + M, ...) are missing, (n, C, ...) bool."""
        channels = len(self.gates)
        missing = torch.zeros(samples[:, :channels].shape, dtype=torch.bool, device=samples.device)
        for mask in range(self.masks):
            missing[:, self.gates == mask] = samples[:, channels + mask : channels + mask + 1] <= 0
        return (missing & self.gappy) | self.absent

    def put(self, rows: NDArray[Any], missing: NDArray[np.bool_]) -> None:
        """Write constants and codes into values in the user's type, channels first (n, C, ...)."""
        if self.fixed.any():
            known = np.frombuffer(self.values.numpy().tobytes(), rows.dtype)
            rows[:, self.fixed.numpy()] = known
        if self.code is None:
            return
        if rows.dtype.kind in "iu":  # a present value must not look like a missing one
            beside = self.code + 1 if self.code < np.iinfo(rows.dtype).max else self.code - 1
            rows[(rows == self.code) & ~missing] = beside
        rows[missing] = self.code

    def until(self, steps: int) -> "Parts":
        """The same of series (C, T) that end after so many steps."""
        kept = (torch.arange(self.fixed.shape[1]) < steps).expand_as(self.fixed)[self.fixed]
        values = self.values.reshape(len(kept), -1)[kept].flatten() if len(kept) else self.values
        cut = {name: getattr(self, name)[:, :steps] for name in ("fixed", "absent", "gappy", "rates")}
        return replace(self, values=values, **cut)

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Parts":
        """The inverse of `state`."""
        return cls(**{**state, "codes": tuple(state["codes"])})


def is_missing(values: Tensor, codes: Sequence[int | float]) -> Tensor:
    """Which values are NaN or one of the codes, bool; floats may differ from a code by 1e-6 of it."""
    gone = values.isnan() if values.is_floating_point() else torch.zeros(values.shape, dtype=torch.bool)
    for code in codes:
        if values.is_floating_point():
            gone |= (values.double() - code).abs() <= NEAR * abs(code)
        elif float(code).is_integer() and _holds(values.dtype, int(code)):
            gone |= values == int(code)
    return gone


def _holds(dtype: torch.dtype, number: int) -> bool:
    if dtype == torch.bool:
        return number in (0, 1)
    return torch.iinfo(dtype).min <= number <= torch.iinfo(dtype).max


def no_parts(shape: tuple[int, ...]) -> Parts:
    """Nothing fixed and nothing missing."""
    none = torch.zeros(shape, dtype=torch.bool)
    return Parts(
        none,
        torch.zeros(0, dtype=torch.uint8),
        none,
        none,
        torch.full((shape[0],), -1),
        torch.zeros(0, *shape[1:]),
    )
