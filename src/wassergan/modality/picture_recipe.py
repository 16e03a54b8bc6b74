"""Our own recipes for pictures and fields, from the measurements in docs/lab-notes.md."""

import math
from typing import Any

from wassergan.config.presets import LARGEST_SMALL_SAMPLE, PRESETS, fitting_batch
from wassergan.config.settings import TrainSettings
from wassergan.modality.rates import equalized, falling, is_penalised
from wassergan.networks import PROJECTION

SMALLEST_SIDE = 12  # 8 x 8 digits are better served by fully connected networks
MAPS, BATCH = 16, 64
FEW = 4000  # pictures, below which they are augmented
WIDER = 2  # maps of the generator for one of the critic: a wide generator costs little, a wide critic much
SMALL_STEPS = 2000  # from which on the rates of small pictures fall
SMALL_REASON = "Recipe for small pictures: fully connected networks, one critic step, as measured on 8 x 8 digits."
CHOICE = "small convolutions, a wider generator, one critic step, as measured on"
REASON = f"Recipe for pictures: {CHOICE} Fashion-MNIST."
FIELD_REASON = f"Recipe for fields, that of pictures: {CHOICE} temperatures and random fields."


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


def small_recipe(shape: tuple[int, ...], train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """The preset of other samples of so many numbers, with one critic step for one of the generator.

    So there are three times as many of them in the time that there is.
    """
    own = {"critic_steps": 1, "share_fakes": True, "generator_lr": 2e-3, "overshoot": 1.3}
    return {**PRESETS["default"].values(shape, train_count), **falling(asked, steps=SMALL_STEPS), **own}


def under_conditions(asked: TrainSettings) -> dict[str, Any]:
    """Conditions move the weights of the critic's last layer, where a penalty keeps its slope.

    As channels beside the picture they drown it: after 1500 steps with the labels of Fashion-MNIST FID is 30, and 16
    like this; 15 without labels.
    """
    return {"critic_condition": PROJECTION} if is_penalised(asked) else {}


def recipe(train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """Few maps, one critic step and high learning rates, which fall: many generator steps in the time that there is.

    Args:
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
    """
    pack, maps = asked.pack or 1, asked.maps or MAPS
    chosen = {
        "network": "conv",
        "constraint": "lp",
        "maps": maps,
        "generator_maps": WIDER * maps,
        "latent_dim": 64,
        "batch_size": fitting_batch(BATCH, train_count, pack=pack),
        "critic_steps": 1,
        "share_fakes": True,
        "generator_lr": 3e-3,
        "critic_lr": 4e-3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }
    return equalized(asked) | falling(asked) | chosen
