"""Activations by name."""

from torch import nn

from wassergan.errors import unknown_name
from wassergan.lipschitz import MaxMin

ACTIVATIONS = ("leaky_relu", "silu", "maxmin")


def get_activation(name: str) -> nn.Module:
    """A fresh activation: `leaky_relu` (slope 0.2), `silu` (smooth, so that slopes have no jumps) or `maxmin`.

    Raises:
        UserError: the name is not known.
    """
    match name:
        case "leaky_relu":
            return nn.LeakyReLU(0.2)
        case "silu":
            return nn.SiLU()
        case "maxmin":
            return MaxMin()
    raise unknown_name("activation", name, ACTIVATIONS)
