"""Our own recipe for series, from the measurements in docs/lab-notes.md."""

from typing import Any

from wassergan.config.settings import TrainSettings

MAPS, CRITIC_MAPS, BATCH = 48, 48, 64
SHARED, EACH = 32, 2  # latent numbers of a whole series, and of each step
MOST_LATENT = 512
PENALISED = ("lp", "gp", "r1r2")
LIKELIHOOD_STEPS = 10**9
LEAST_SERIES, MOST_DRAWS = 500, 4096  # series to learn densities from, and steps times channels that are drawn in turn
REASON = "Recipe for series: causal convolutions, and a critic that is also given the differences from step to step."


def suits(asked: TrainSettings) -> bool:
    """Whether the user wants no other network; widths belong to fully connected ones."""
    wants_widths = asked.generator_widths is not None or asked.critic_widths is not None
    return asked.network in ("conv", "recurrent") or (asked.network is None and not wants_widths)


def recipe(shape: tuple[int, ...], train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """Many generator steps in the time that there is.

    Args:
        shape: (channels, steps).
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
    """
    pack, steps = asked.pack or 1, shape[1]
    norm = {"critic_norm": "none"} if (asked.constraint or "lp") in PENALISED else {}
    each = max(1, min(EACH, MOST_LATENT // (2 * steps)))
    own = each * steps
    return norm | of_densities(shape, train_count, asked) | {
        "network": "conv",
        "constraint": "lp",
        "maps": asked.maps or CRITIC_MAPS,
        "generator_maps": asked.maps or MAPS,
        "generator_norm": "layer",
        "latent_dim": own + max(SHARED, own),
        "batch_size": max(pack, min(BATCH, train_count // 2) // pack * pack),
        "critic_steps": 1,
        "penalty_every": 2,
        "generator_lr": 5e-4,
        "critic_lr": 1e-3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }


def of_densities(shape: tuple[int, ...], train_count: int, asked: TrainSettings) -> dict[str, Any]:
    """What is different where series are drawn from densities."""
    return {"likelihood_steps": LIKELIHOOD_STEPS} if asked.likelihood else {}
