"""Our own recipe for series, from the measurements in docs/lab-notes.md."""

import math
from typing import Any

from wassergan.config.presets import fitting_batch
from wassergan.config.settings import TrainSettings
from wassergan.modality.rates import is_penalised

MAPS, CRITIC_MAPS, BATCH = 48, 48, 64
SHARED, EACH = 32, 2  # latent numbers of a whole series, and of each step
MOST_LATENT = 512
LATENT = 4  # numbers of a whole series that is drawn from densities, beside those by which it is drawn
PASSES = 500  # over the data that follow the likelihood alone
LEAST_SERIES = 500  # of which densities are learnt
MOST_MATCHED = 512  # of a series whose margins are matched: 4096 are drawn when a run is opened
MOST_NUMBERS, MOST_BESIDE = 8192, 512  # of a series that is drawn from densities; and beside a critic, as it takes long
NEVER = 10**9
REASON = (
    "Recipe for series: causal convolutions, by the likelihood of the training series where there are at least "
    f"{LEAST_SERIES}, and a critic that is also given the differences from step to step."
)


def suits(asked: TrainSettings) -> bool:
    """Whether the user wants no other network; widths belong to fully connected ones."""
    wants_widths = asked.generator_widths is not None or asked.critic_widths is not None
    return asked.network in ("conv", "recurrent") or (asked.network is None and not wants_widths)


def recipe(shape: tuple[int, ...], train_count: int, asked: TrainSettings, *, is_array: bool) -> dict[str, Any]:
    """Many generator steps in the time that there is.

    Args:
        shape: (channels, steps).
        train_count: training samples; of few of them a batch takes at most half.
        asked: what the user says.
        is_array: of numbers alone, as columns of a long table may not be.
    """
    pack, steps = asked.pack or 1, shape[1]
    norm = {"critic_norm": "none"} if is_penalised(asked) else {}
    each = max(1, min(EACH, MOST_LATENT // (2 * steps)))
    own = each * steps
    batch_size = fitting_batch(BATCH, train_count, pack=pack)
    usual = norm | {
        "network": "conv",
        "constraint": "lp",
        "maps": asked.maps or CRITIC_MAPS,
        "generator_maps": asked.maps or MAPS,
        "generator_norm": "layer",
        "latent_dim": own + max(SHARED, own),
        "batch_size": batch_size,
        "critic_steps": 1,
        "penalty_every": 2,
        "generator_lr": 5e-4,
        "critic_lr": 1e-3,
        "average_half_life": 500_000.0,
        "average_ramp": 0.05,
        "precision": "auto",
    }
    if not has_densities(shape, train_count, asked):
        return usual
    margins = is_array and math.prod(shape) <= MOST_MATCHED
    return usual | of_densities(shape, train_count, asked.batch_size or batch_size) | {"match_margins": margins}


def has_densities(shape: tuple[int, ...], train_count: int, asked: TrainSettings) -> bool:
    """Whether series are drawn from densities, unless the user says so or says otherwise."""
    if asked.likelihood is not None:
        return asked.likelihood > 0
    fits = train_count >= LEAST_SERIES and math.prod(shape) <= MOST_NUMBERS
    return fits and asked.network in ("conv", None) and asked.generator_norm != "batch"


def of_densities(shape: tuple[int, ...], train_count: int, batch_size: int) -> dict[str, Any]:
    """What is different where they are."""
    steps = PASSES * train_count // batch_size if math.prod(shape) <= MOST_BESIDE else NEVER
    return {
        "likelihood": 1.0,
        "likelihood_steps": steps,
        "latent_dim": LATENT,
        "generator_lr": 1e-3,
        "beta1": 0.9,
        "schedule": "inverse_sqrt",
        "schedule_steps": 1000,
        "precision": "float32",
    }
