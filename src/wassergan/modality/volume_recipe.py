"""Our own recipe for volumes, from the measurements in docs/lab-notes.md."""

import math
from typing import Any

from wassergan.config.presets import fitting_batch
from wassergan.config.settings import TrainSettings
from wassergan.modality.rates import equalized, falling

MAPS, GENERATOR_MAPS, SMALLEST_SIDE = 8, 16, 4
NUMBERS, MOST, LEAST = 2**19, 64, 8  # of a batch: voxels, and samples
LATENT, MOST_LATENT, EACH = 64, 512, 64  # numbers in a latent vector: one for so many voxels
REASON = (
    "Recipe for volumes: convolutions over three axes with few maps, a wider generator, one critic step, led to the "
    "two-point statistics."
)


def suits(shape: tuple[int, ...], asked: TrainSettings) -> bool:
    """Whether a side can be halved, and the user wants no other network; widths belong to fully connected ones."""
    wants_widths = asked.generator_widths is not None or asked.critic_widths is not None
    is_large = len(shape) == 4 and max(shape[1:]) >= SMALLEST_SIDE
    return is_large and (asked.network == "conv" or (asked.network is None and not wants_widths))


def recipe(shape: tuple[int, ...], train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """Many generator steps in the time that there is: a batch holds about half a million voxels.

    Args:
        shape: (channels, depth, height, width).
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
    """
    pack, maps = asked.pack or 1, asked.maps or MAPS
    batch = max(LEAST, min(MOST, NUMBERS // math.prod(shape)))
    chosen = {
        "network": "conv",
        "constraint": "lp",
        "maps": maps,
        "generator_maps": max(maps, GENERATOR_MAPS),
        "latent_dim": max(LATENT, min(MOST_LATENT, math.prod(shape[1:]) // EACH)),
        "batch_size": fitting_batch(batch, train_count, pack=pack),
        "critic_steps": 1,
        "penalty_every": 2,
        "two_point": 10.0,
        "share_fakes": True,
        "generator_lr": 3e-3,
        "critic_lr": 4e-3,
        "average_half_life": 50_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }
    return equalized(asked) | falling(asked) | chosen
