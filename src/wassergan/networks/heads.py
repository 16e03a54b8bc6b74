"""Output layers of generators: samples within the range of the data."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

STEEPNESS = 3.0


class Bounded(nn.Module):
    """x ↦ m + h tanh((x - m) / h), onto (low, high) with middle m and half-width h; slope 1 at the middle.

    For pictures in [-1, 1] this is tanh. For standardised floats it is close to the identity over the bulk of the
    distribution, and cannot leave the range of the data.

    Args:
        low: () or (D,), model units.
        high: same shape, larger.
    """

    middle: Tensor
    half_width: Tensor

    def __init__(self, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("middle", ((low + high) / 2).float())
        self.register_buffer("half_width", ((high - low) / 2).float())

    def forward(self, values: Tensor) -> Tensor:
        """Any shape whose last axes match the bounds, to the same shape."""
        return self.middle + self.half_width * torch.tanh((values - self.middle) / self.half_width)


class Partial(nn.Module):
    """Samples in which some numbers never vary and some may be missing.

    The last M channels say which numbers are present: t > threshold. In training they hold p = tanh(3 (t - threshold))
    in (-1, 1), and a number that may be missing is multiplied by (1 + p) / 2, so that it is 0 where it is missing, as
    in model space. In evaluation, p is -1 or 1. Positions that never vary are 0.

    Args:
        bounded: the map of the numbers into their range.
        active: (C + M, ...) positions that vary, bool.
        gappy: (C, ...) numbers that may be missing, bool.
        gates: (C,) the mask channel of each channel, or -1.
    """

    active: Tensor
    gappy: Tensor
    gates: Tensor
    threshold: Tensor

    def __init__(self, bounded: nn.Module, active: Tensor, gappy: Tensor, gates: Tensor) -> None:
        super().__init__()
        self.bounded = bounded
        self.channels = len(gates)
        self.register_buffer("active", active.float())
        self.register_buffer("gappy", gappy.float())
        self.register_buffer("gates", gates.clamp(min=0))
        self.register_buffer("threshold", torch.zeros(active[self.channels :].shape))

    @property
    def masks(self) -> int:
        """Mask channels."""
        return len(self.threshold)

    def forward(self, values: Tensor) -> Tensor:
        """(n, C + M, ...) to the same shape."""
        numbers: Tensor = self.bounded(values[:, : self.channels])
        if self.masks == 0:
            return numbers * self.active
        told = values[:, self.channels :] - self.threshold
        there = torch.tanh(STEEPNESS * told) if self.training else torch.where(told > 0, 1.0, -1.0).to(told.dtype)
        gate = (1 + there.index_select(1, self.gates)) / 2
        numbers = numbers * (1 - self.gappy * (1 - gate))
        return torch.cat([numbers, there], 1) * self.active


def float32_products(values: Tensor) -> AbstractContextManager[Any]:
    """No bf16 in a head: its products are too small to gain from it, and what is drawn is exact."""
    device = values.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
