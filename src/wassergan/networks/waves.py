"""Numbers shown to a critic with their sines and cosines, so that it sees fine structure early."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Waves(nn.Module):
    """x ↦ (x, a₁ sin ω₁x, a₁ cos ω₁x, ..., aₘ sin ωₘx, aₘ cos ωₘx) of some entries of a vector, with ωₖ = 2ᵏ⁻¹ π.

    Networks learn slow variation first; of a number in [-1, 1] a peak a hundredth wide comes last. Waves that are given
    need not be learnt. The amplitude falls with the frequency as aₖ = (π / ωₖ)^½: falling as 1 / ωₖ the fast ones
    would be as small as a Lipschitz function's own, and learnt as late. Source of the idea: Tancik et al. 2020,
    arXiv 2006.10739; of its use for columns: Gorishniy, Rubachev, Babenko 2022, arXiv 2203.05556.

    The map has no weights: penalties on the slope are taken by x, through it.

    Args:
        places: which entries.
        count: waves of each, m.
    """

    places: Tensor
    pace: Tensor
    size: Tensor

    def __init__(self, places: Sequence[int], count: int) -> None:
        super().__init__()
        pace = math.pi * 2.0 ** torch.arange(count)
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.register_buffer("pace", pace, persistent=False)
        self.register_buffer("size", (math.pi / pace) ** 0.5, persistent=False)

    def added(self) -> int:
        """Numbers that come behind those of the vector."""
        return 2 * len(self.places) * len(self.pace)

    def forward(self, values: Tensor) -> Tensor:
        """(n, d) to (n, d + added)."""
        phases = self._phases(values)
        return torch.cat([values, (self.size * phases.sin()).flatten(1), (self.size * phases.cos()).flatten(1)], 1)

    def pull(self, values: Tensor, gradient: Tensor) -> Tensor:
        """Gradients by what `forward` makes (n, d + added), taken back to those by the values (n, d)."""
        by_values, by_waves = gradient.split([values.shape[1], self.added()], 1)
        sines, cosines = by_waves.view(len(values), 2, len(self.places), -1).unbind(1)
        phases = self._phases(values)
        found = ((phases.cos() * sines - phases.sin() * cosines) * (self.size * self.pace)).sum(2)
        carried: Tensor = by_values.index_add(1, self.places, found)
        return carried

    def push(self, values: Tensor, tangent: Tensor) -> Tensor:
        """Small changes of the values (n, d), carried forward to what `forward` makes (n, d + added)."""
        phases, change = self._phases(values), tangent[:, self.places, None] * (self.size * self.pace)
        return torch.cat([tangent, (phases.cos() * change).flatten(1), (-phases.sin() * change).flatten(1)], 1)

    def _phases(self, values: Tensor) -> Tensor:
        return values[:, self.places, None] * self.pace
