"""Numbers of generated samples distributed, one by one, as those of training samples are."""

from typing import Any

import torch
from torch import nn

from wassergan.data import Conditions
from wassergan.networks import Matched, SeriesDensityGenerator
from wassergan.sampling.paired import paired_draws, paired_inputs

ROWS = 8192  # of fewer, quantiles are chance: with 1024 Fashion-MNIST lost more than it gained
SERIES = 4096  # each of several steps, over which quantiles are taken


@torch.no_grad()
def match_margins(generator: nn.Module, *, latent_dim: int, conditions: Conditions | None = None) -> None:
    """Set right the distribution of each number that a trained generator draws; how numbers go together stays.

    Args:
        generator: in evaluation mode; nothing is done unless it has margins to be matched.
        latent_dim: numbers in a latent vector.
        conditions: the distribution of what samples are drawn under, if they are.
    """
    drawn: dict[str, Any] = {"latent_dim": latent_dim, "conditions": conditions}
    for part in generator.modules():
        if isinstance(part, Matched):
            raw = paired_inputs(generator, part, lambda values: values, ROWS, **drawn)
            part.match(torch.cat([part.reached(each.to(part.targets.device)).cpu() for each in raw]))
        elif isinstance(part, SeriesDensityGenerator) and part.is_held:
            part.unmatch()
            part.match(torch.cat([each.cpu() for each in paired_draws(generator, SERIES, **drawn)]))
