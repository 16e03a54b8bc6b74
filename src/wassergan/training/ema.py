"""The averaged generator, which is the one that draws samples."""

import copy

import torch
from torch import Tensor, nn


class AveragedGenerator:
    """Exponential average of a generator's parameters; its buffers are copied, never averaged.

    After n samples in training the half-life is min(half_life_samples, ramp · n): short at first, so that the
    random start is forgotten, and independent of how long the run will be. Source: the ramp-up of Karras et al.
    2020, arXiv 2006.06676, appendix.

    Args:
        generator: the live generator; copied, and followed at every update.
        half_life_samples: samples after which an old weight counts half; 0 keeps the live weights.
        ramp: share of the samples seen that bounds the half-life.
    """

    def __init__(self, generator: nn.Module, *, half_life_samples: float, ramp: float) -> None:
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self._half_life_samples, self._ramp = half_life_samples, ramp
        # Listed once: to walk through both networks takes longer than the average itself.
        self._kept: list[Tensor] = list(self.module.parameters())
        self._live: list[Tensor] = list(generator.parameters())
        self._buffers = list(zip(self.module.buffers(), generator.buffers(), strict=True))

    @property
    def lags(self) -> bool:
        """Whether the weights differ from the live ones."""
        return self._half_life_samples > 0 and self._ramp > 0

    def weight(self, batch_size: int, samples_seen: int) -> float:
        """Share of the live weights in the next average."""
        half_life = min(self._half_life_samples, self._ramp * samples_seen)
        return 1.0 if half_life <= 0 else 1 - 0.5 ** (batch_size / half_life)

    def update(self, *, batch_size: int, samples_seen: int) -> None:
        """Move towards the live generator after one step of `batch_size` samples."""
        self.follow(self.weight(batch_size, samples_seen))

    @torch.no_grad()
    def follow(self, weight: float | Tensor) -> None:
        """Move towards the live generator by a share, a number or a scalar on the device."""
        if isinstance(weight, Tensor):
            for kept, live in zip(self._kept, self._live, strict=True):
                kept.lerp_(live, weight)
        else:
            torch._foreach_lerp_(self._kept, self._live, weight)
        for kept, live in self._buffers:
            kept.copy_(live)
