"""Numbers of generated samples distributed, one by one, as those of training samples are."""

import torch
from torch import nn

from wassergan.data import Conditions
from wassergan.networks import Matched
from wassergan.sampling.paired import paired_inputs

ROWS = 8192  # of fewer, quantiles are chance: with 1024 Fashion-MNIST lost more than it gained


@torch.no_grad()
def match_margins(generator: nn.Module, *, latent_dim: int, conditions: Conditions | None = None) -> None:
    """Set right the distribution of each number that a trained generator draws; how numbers go together stays.

    Args:
        generator: in evaluation mode; nothing is done unless its output layer is or holds a `Matched`.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    head = next((module for module in generator.modules() if isinstance(module, Matched)), None)
    if head is None:
        return
    raw = paired_inputs(generator, head, lambda values: values, ROWS, latent_dim=latent_dim, conditions=conditions)
    head.match(torch.cat([head.reached(each.to(head.targets.device)).cpu() for each in raw]))
