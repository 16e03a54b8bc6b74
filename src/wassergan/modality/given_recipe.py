"""Our own recipe for fields given fields, from the measurements in docs/lab-notes.md."""

import math
from collections.abc import Mapping
from typing import Any

from wassergan.config.presets import fitting_batch
from wassergan.config.settings import TrainSettings
from wassergan.modality.rates import falling, is_penalised
from wassergan.networks.conv import SMALLEST_GRID, halvings
from wassergan.networks.given import SHARED

MAPS, CRITIC_MAPS, BATCH = 32, 16, 32
MOST_NOISE = 1024  # numbers of a latent vector that belong to places
REASON = (
    "Recipe for fields given fields: the generator refines the resized condition, two draws for each are scored beside "
    "the critic, its penalty is on samples and conditions, and rows that are kept back say how far draws spread."
)


def recipe(
    shape: tuple[int, ...], given: tuple[int, ...], train_count: int, asked: TrainSettings
) -> Mapping[str, Any] | None:
    """Convolutions, where sample and condition are both fields; None for others.

    Args:
        shape: of a sample in model space.
        given: of a condition.
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
    """
    are_fields = len(shape) == len(given) == 3 and min(shape[1:]) >= SMALLEST_GRID
    if not are_fields or asked.network not in (None, "conv") or asked.generator_widths or asked.critic_widths:
        return None
    pack = asked.pack or 1
    return falling(asked) | {
        "network": "conv",
        "constraint": "lp",
        "penalty_on": "both" if is_penalised(asked) else "samples",
        "maps": asked.maps or CRITIC_MAPS,
        "generator_maps": asked.maps or MAPS,
        "generator_norm": "none",
        "critic_norm": "none",
        "latent_dim": SHARED + max((n for n in map(math.prod, halvings(*shape[1:])) if n <= MOST_NOISE), default=0),
        "batch_size": fitting_batch(BATCH, train_count, pack=pack),
        "critic_steps": 1,
        "share_fakes": True,
        "generator_lr": 2e-3,
        "critic_lr": 4e-3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }
