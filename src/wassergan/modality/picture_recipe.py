"""Our own recipes for pictures, from the measurements in docs/lab-notes.md."""

import math
from typing import Any

from wassergan.config.presets import LARGEST_SMALL_SAMPLE
from wassergan.config.settings import TrainSettings

SMALLEST_SIDE = 12  # 8 x 8 digits are better served by fully connected networks
MAPS, BATCH = 16, 64
FEW = 4000  # pictures, below which they are augmented
# Whose critics learn more kinds of pictures without normalisation, and with rates by the size of each weight. A clipped
# weight is smaller than such a rate, and a normalised one has no size of its own.
PENALISED = ("lp", "gp", "r1r2")
# At constant rates a run circles around the data after some thousand steps. The steps belong to this schedule alone.
FALLING = {"schedule": "inverse_sqrt", "schedule_steps": 1000}
WIDER = 2  # maps of the generator for one of the critic: a wide generator costs little, a wide critic much
# The steps of small pictures' rates, which belong to this schedule alone.
SMALL_FALLING = {"schedule": "inverse_sqrt", "schedule_steps": 2000}
SMALL_REASON = "Recipe for small pictures: fully connected networks, one critic step, as measured on 8 x 8 digits."
REASON = "Recipe for pictures: small convolutions, a wider generator, one critic step, as measured on Fashion-MNIST."


def suits(shape: tuple[int, ...], asked: TrainSettings) -> bool:
    """Whether samples of a shape are large enough for convolutions to win, and the user wants no other network.

    Widths belong to fully connected networks: who gives some wants one.
    """
    is_large = len(shape) == 3 and min(shape[1:]) >= SMALLEST_SIDE
    wants_widths = asked.generator_widths is not None or asked.critic_widths is not None
    return is_large and (asked.network == "conv" or (asked.network is None and not wants_widths))


def suits_small(shape: tuple[int, ...], asked: TrainSettings) -> bool:
    """Whether samples are pictures that fully connected networks draw best, and the user wants no other."""
    is_small = len(shape) == 3 and min(shape[1:]) < SMALLEST_SIDE and math.prod(shape) <= LARGEST_SMALL_SAMPLE
    return is_small and asked.network in (None, "mlp")


def small_recipe(asked: TrainSettings) -> dict[str, Any]:
    """One critic step for one of the generator: three times as many of them in the time that there is."""
    falling = SMALL_FALLING if asked.schedule in (None, SMALL_FALLING["schedule"]) else {}
    return falling | {
        "network": "mlp",
        "constraint": "lp",
        "penalty_weight": 3.0,
        "penalty_every": 2,
        "latent_dim": 32,
        "generator_widths": (256, 256),
        "critic_widths": (256, 256),
        "generator_norm": "layer",
        "critic_steps": 1,
        "share_fakes": True,
        "generator_lr": 2e-3,
        "critic_lr": 3e-3,
        "overshoot": 1.3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.1,
    }


def recipe(train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """Few maps, one critic step and high learning rates, which fall: many generator steps in the time that there is.

    Args:
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
    """
    pack, maps = asked.pack or 1, asked.maps or MAPS
    penalised = {"critic_norm": "none", "equalized_lr": True} if (asked.constraint or "lp") in PENALISED else {}
    falling = FALLING if asked.schedule in (None, FALLING["schedule"]) else {}
    chosen = {
        "network": "conv",
        "constraint": "lp",
        "maps": maps,
        "generator_maps": WIDER * maps,
        "latent_dim": 64,
        "batch_size": max(pack, min(BATCH, train_count // 2) // pack * pack),
        "critic_steps": 1,
        "share_fakes": True,
        "generator_lr": 3e-3,
        "critic_lr": 4e-3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }
    return penalised | falling | chosen
