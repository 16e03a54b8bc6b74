"""Output layers of generators: samples within the range of the data."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter

STEEPNESS = 3.0


class Bounded(nn.Module):
    """x ↦ m + h tanh((x - m) / h), onto (low, high) with middle m and half-width h; slope 1 at the middle.

    For pictures in [-1, 1] this is tanh. For standardised floats it is close to the identity over the bulk of the
    distribution, and cannot leave the range of the data. Where many values are the lowest or the highest, as in black
    and white parts of pictures, samples that never reach an end are known by that: with an overshoot s > 1 the map is
    m + h clamp(s tanh((x - m) / (s h)), -1, 1), onto [low, high], and what would lie beyond an end is that end. In
    training a gradient that leads back into the range goes through the clamp, and one that leads further out does not
    (the projection onto the directions that the range leaves open): so no value is stuck at an end.

    Args:
        low: () or (D,), model units.
        high: same shape, larger.
        overshoot: s, at least 1.
    """

    middle: Tensor
    half_width: Tensor

    def __init__(self, low: Tensor, high: Tensor, *, overshoot: float = 1.0) -> None:
        super().__init__()
        self.overshoot = overshoot
        self.register_buffer("middle", ((low + high) / 2).float())
        self.register_buffer("half_width", ((high - low) / 2).float())

    def forward(self, values: Tensor) -> Tensor:
        """Any shape whose last axes match the bounds, to the same shape."""
        return self.within(self.squashed(values))

    def squashed(self, values: Tensor) -> Tensor:
        """T = tanh((x - m) / (s h)), of any values x."""
        return torch.tanh((values - self.middle) / (self.overshoot * self.half_width))

    def within(self, squashed: Tensor) -> Tensor:
        """M + h clamp(s t, -1, 1)."""
        if self.overshoot > 1:
            reached = self.overshoot * squashed
            squashed = _clamped(reached) if self.training else reached.clamp(-1, 1)
        return self.middle + self.half_width * squashed

    def by_values(self, gradient: Tensor, squashed: Tensor) -> Tensor:
        """The gradient of a loss by x, from that by the result."""
        if self.overshoot > 1:
            gradient = _inwards(gradient, self.overshoot * squashed)
        found: Tensor = torch.ops.aten.tanh_backward(gradient, squashed)
        return found


def reach_beyond(head: nn.Module, overshoot: float) -> None:
    """Set the overshoot of an output layer.

    Args:
        head: is or holds a `Bounded`, unless the overshoot is 1.
        overshoot: at least 1.

    Raises:
        UserError: there is no range whose ends could be reached.
    """
    if overshoot == 1:
        return
    bounded = head.bounded if isinstance(head, Partial) else head
    if not isinstance(bounded, Bounded):
        raise UserError(
            f"{parameter('overshoot', overshoot)} is for arrays of numbers and for pictures",
            hint="leave it out: columns of tables and phases of volumes reach their ends",
        )
    bounded.overshoot = overshoot


class _Clamped(torch.autograd.Function):
    """clamp(x, -1, 1) with the gradient of `_inwards`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _inwards(gradient, *ctx.saved_tensors)


def _clamped(values: Tensor) -> Tensor:
    found: Tensor = _Clamped.apply(values)  # type: ignore[no-untyped-call]
    return found


def _inwards(gradient: Tensor, values: Tensor) -> Tensor:
    """A gradient by clamp(x, -1, 1) without what would lead values at an end, or beyond, further out in a descent."""
    return gradient * ((values.abs() < 1) | (gradient * values > 0))


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
