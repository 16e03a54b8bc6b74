"""Numbers of generated samples distributed, one by one, as those of training samples are."""

import math

import torch
from torch import Tensor, nn

from wassergan.data import Source
from wassergan.networks import Matched
from wassergan.training.sampling import sample_chunks

FEWEST, MOST, NUMBERS = 1024, 4096, 2**20  # samples of each kind, and numbers in them


@torch.no_grad()
def match_margins(generator: nn.Module, source: Source, *, latent_dim: int, seed: int) -> None:
    """Set right the distribution of each number that a trained generator draws; how numbers go together stays.

    Args:
        generator: in evaluation mode; nothing is done unless its output layer is or holds a `Matched`.
        source: of the training samples, and of the conditions to draw under, if there are any.
        latent_dim: numbers in a latent vector.
        seed: of the draws.
    """
    head = next((module for module in generator.modules() if isinstance(module, Matched)), None)
    if head is None:
        return
    rows = max(FEWEST, min(MOST, NUMBERS // math.prod(source.shape)))
    told: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: told.append(head.reached(inputs[0].float()).cpu()))
    try:
        drawn = sample_chunks(generator, rows, latent_dim=latent_dim, seed=seed, conditions=source.conditions)
        sizes = [len(each) for each in drawn]
    finally:
        hook.remove()
    reached = torch.cat([each[:size] for each, size in zip(told, sizes, strict=True)])
    head.match(reached, source.train_sample(MOST))
