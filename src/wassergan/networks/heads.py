"""How a generator ends: samples within the range that the data's units allow."""

import torch
from torch import Tensor, nn


class Bounded(nn.Module):
    """x ↦ m + h tanh((x - m) / h), onto (low, high) with middle m and half-width h; slope 1 at the middle.

    For pictures in [-1, 1] this is tanh. For standardised floats it is close to the identity over the bulk of
    the law, and cannot leave the range of the data.

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
