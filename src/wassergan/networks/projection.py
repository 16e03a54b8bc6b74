"""A critic that is told a condition in its last layer."""

from typing import Self

import torch
from torch import Tensor, nn

from wassergan.networks.conv import ConvCritic
from wassergan.networks.series import SeriesCritic
from wassergan.networks.volumes import VolumeCritic

HIDDEN = 64  # numbers between a condition and what it adds to the weights


class ProjectionCritic(nn.Module):
    """f(x | c) = (w + e(c)) · h(x) + b: a condition moves the weights that score features of the sample.

    The features hang on the sample alone. For a fixed condition this is a critic of the same layers, so that penalties
    on gradient norms mean what they mean without one; as a function of samples and conditions together it has no
    Lipschitz constant of its layers. Source: Miyato & Koyama 2018, arXiv 1802.05637, equation 3, with e a network of
    one hidden layer in place of a linear map, for conditions that are numbers.

    Args:
        critic: whose `body`, which ends with a linear layer, becomes this critic's; it is given samples alone.
        context_dim: numbers that encode the condition of a sample.
    """

    def __init__(self, critic: ConvCritic | SeriesCritic | VolumeCritic, context_dim: int) -> None:
        super().__init__()
        self.body = critic.body
        self.told = nn.Sequential(
            nn.Linear(context_dim, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, self.head.in_features, bias=False)
        )

    @property
    def head(self) -> nn.Linear:
        """The critic's last layer: w and b."""
        head = self.body[-1]
        assert isinstance(head, nn.Linear)
        return head

    def forward(self, samples: Tensor, context: Tensor) -> Tensor:
        """(n, ...) and (n, context_dim) to (n,)."""
        features = self.body[:-1](samples)
        added = self.told(context.to(samples.dtype))
        scores: Tensor = torch.squeeze(self.head(features), 1) + (features * added).sum(1)
        return scores

    @torch.no_grad()
    def forget(self) -> None:
        """Let conditions have no effect, until training gives them one."""
        last = self.told[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()

    @classmethod
    def around(cls, critic: nn.Module, context_dim: int) -> Self | None:
        """A critic of samples, told the condition; None if it is of another kind."""
        if not isinstance(critic, ConvCritic | SeriesCritic | VolumeCritic):
            return None
        return cls(critic, context_dim)
