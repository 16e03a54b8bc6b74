"""Our own recipe for pictures, from the measurements in docs/lab-notes.md."""

from typing import Any

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
REASON = "Recipe for pictures: small convolutions, a wider generator, one critic step, as measured on Fashion-MNIST."


def suits(shape: tuple[int, ...], asked: TrainSettings) -> bool:
    """Whether samples of a shape are large enough for convolutions to win, and the user wants no other network.

    Widths belong to fully connected networks: who gives some wants one.
    """
    is_large = len(shape) == 3 and min(shape[1:]) >= SMALLEST_SIDE
    wants_widths = asked.generator_widths is not None or asked.critic_widths is not None
    return is_large and (asked.network == "conv" or (asked.network is None and not wants_widths))


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
