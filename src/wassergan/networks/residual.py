"""Fully connected generator with residual layers."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from wassergan.errors import unknown_name
from wassergan.networks.activations import get_activation
from wassergan.networks.mlp import NORMS


class ResidualLayer(nn.Module):
    """x ↦ x + activation(norm(Wx + b)), or without x where the width changes."""

    def __init__(self, before: int, after: int, *, norm: str, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)
        self.norm = nn.LayerNorm(after) if norm == "layer" else nn.Identity()
        self.activation = get_activation(activation)
        self._adds = before == after

    def forward(self, values: Tensor) -> Tensor:
        """(n, before) to (n, after)."""
        added: Tensor = self.activation(self.norm(self.linear(values)))
        return values + added if self._adds else added


class ResidualGenerator(nn.Module):
    """Latent (n, latent_dim) to samples (n, *shape).

    Args:
        latent_dim: numbers in a latent vector.
        shape: one sample in model space.
        widths: hidden widths; layers between equal widths are residual.
        head: maps (n, *shape) into the range of the data.
        activation: `leaky_relu`, `silu` or `maxmin`.
        norm: `none` or `layer`.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        head: nn.Module,
        widths: Sequence[int] = (256, 256, 256),
        activation: str = "silu",
        norm: str = "layer",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise unknown_name("norm of a residual generator", norm, NORMS)
        self.shape = shape
        pairs = zip((latent_dim, *widths), widths, strict=False)
        layers = [ResidualLayer(before, after, norm=norm, activation=activation) for before, after in pairs]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1] if widths else latent_dim, math.prod(shape)))
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, *shape)."""
        samples: Tensor = self.head(self.body(latent).unflatten(1, self.shape))
        return samples
