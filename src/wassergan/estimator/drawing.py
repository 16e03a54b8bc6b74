"""How a fitted estimator draws: under given conditions, and each sample the same however many are asked for."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class VectorConditions:
    """The conditions of some samples, one for each.

    Args:
        told: (n, width) float32.
    """

    told: Tensor

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.told.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: its numbers in a row."""
        return (self.width,)

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """Those of samples start..start+count-1, whatever the seed."""
        return self.told[start : start + count]

    def state(self) -> dict[str, Any]:
        """For a file."""
        return {"told": self.told}


class InBlocks(nn.Module):
    """A generator that computes in blocks of one size, so that a sample does not depend on how many are asked for."""

    BLOCK = 256

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to (n, ...)."""
        padded = nn.functional.pad(latent, (0, 0, 0, -len(latent) % self.BLOCK))
        return torch.cat([self.generator(part) for part in padded.split(self.BLOCK)])[: len(latent)]
