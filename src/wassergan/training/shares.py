"""Setting right how often a generator draws each option of a table."""

import torch
from torch import Tensor

from wassergan.data import Conditions
from wassergan.networks import DrawingGenerator
from wassergan.networks.drawing import SCALE
from wassergan.training.trainer import sample_chunks

ROWS = 2**15
ROUNDS = 4
LARGEST_STEP = 2.0
SEED = 2**62 + 1  # not one that anybody draws samples with


def match_shares(
    generator: DrawingGenerator,
    shares: Tensor,
    *,
    latent_dim: int,
    conditions: Conditions | None = None,
    rows: int = ROWS,
    rounds: int = ROUNDS,
) -> None:
    """Shift the logits of a generator's options until they are drawn with the shares that they have in the data.

    A generator is slow to learn how rare a rare level is, since a critic sees it so seldom. Each round adds
    log(wanted / drawn), which would be exact were the logits constant.

    Args:
        generator: in evaluation mode; its head's `shift` is set.
        shares: (width,) of every one-hot entry among the training rows; anything for channels.
        latent_dim: numbers in a latent vector, noise included.
        conditions: the law of what rows are drawn under, if they are.
        rows: drawn in each round.
        rounds: how many.
    """
    head, spare = generator.head, 0.5 / rows
    head.shift.zero_()
    wanted = shares.to(head.shift).clamp_min(0)
    for _ in range(rounds):
        total = torch.zeros(len(shares), dtype=torch.float64)
        for chunk in sample_chunks(generator, rows, latent_dim=latent_dim, seed=SEED, conditions=conditions):
            total += chunk.sum(0, dtype=torch.float64)
        drawn = (total / (rows * SCALE)).to(head.shift)
        step = ((wanted + spare) / (drawn.clamp_min(0) + spare)).log().clamp(-LARGEST_STEP, LARGEST_STEP)
        head.shift += torch.where(head.is_option, step, 0.0)
