"""Fully connected generator and critic for samples of any shape."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wassergan.errors import unknown_name
from wassergan.networks.activations import get_activation

NORMS = ("none", "layer")


def hidden_layers(inputs: int, widths: Sequence[int], *, norm: str, activation_name: str) -> list[nn.Module]:
    """Linear layers, each followed by its normalisation (`none` or `layer`) and its activation.

    Raises:
        UserError: an unknown name.
    """
    if norm not in NORMS:
        raise unknown_name("norm of an mlp", norm, NORMS)
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers.append(nn.Linear(before, after))
        if norm == "layer":
            layers.append(nn.LayerNorm(after))
        layers.append(get_activation(activation_name))
    return layers


def beside(values: Tensor, context: Tensor | None) -> Tensor:
    """Vectors (n, d) followed by their context (n, k)."""
    return values if context is None else torch.cat([values, context.to(values.dtype)], 1)


class MLPGenerator(nn.Module):
    """Latent (n, latent_dim) to samples (n, *shape).

    Args:
        latent_dim: numbers in a latent vector.
        shape: one sample in model space.
        widths: hidden widths; (256, 512, 1024) is the shape of the widely used 2017 implementations.
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
        widths: Sequence[int] = (256, 512, 1024),
        activation: str = "leaky_relu",
        norm: str = "none",
    ) -> None:
        super().__init__()
        self.shape = shape
        last = widths[-1] if widths else latent_dim
        hidden = hidden_layers(latent_dim, widths, norm=norm, activation_name=activation)
        self.body = nn.Sequential(*hidden, nn.Linear(last, math.prod(shape)))
        self.head = head

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, *shape)."""
        samples: Tensor = self.head(self.body(latent).unflatten(1, self.shape))
        return samples


class MLPCritic(nn.Module):
    """Samples (n, *shape) to scores (n,): no squashing, no coupling between samples.

    Args:
        shape: one sample in model space.
        widths: hidden widths.
        activation: `leaky_relu`, `silu` or `maxmin`.
        context_dim: numbers that encode the condition of a sample.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        widths: Sequence[int] = (1024, 512, 256),
        activation: str = "leaky_relu",
        context_dim: int = 0,
    ) -> None:
        super().__init__()
        inputs = math.prod(shape) + context_dim
        hidden = hidden_layers(inputs, widths, norm="none", activation_name=activation)
        self.body = nn.Sequential(*hidden, nn.Linear(widths[-1] if widths else inputs, 1))

    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        """(n, *shape), and (n, context_dim) if there is any, to (n,)."""
        return torch.squeeze(self.body(beside(samples.flatten(1), context)), 1)

    def lipschitz_chain(self) -> nn.Sequential:
        """All layers; the rest is reshaping."""
        return self.body
