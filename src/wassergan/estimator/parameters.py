"""What the parameters of an estimator say: settings as `wassergan train` has them, and seeds."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import LABEL, Source
from wassergan.errors import UserError
from wassergan.estimator.validation import checked, names_of
from wassergan.modality.recipes import resolve_for

LARGEST_SEED = 2**63
# Parameters that are settings of `wassergan train` of the same name, and those that `settings` may name beside them.
OWN = (
    *("preset", "steps", "budget", "constraint", "network", "latent_dim", "generator_widths", "critic_widths"),
    *("batch_size", "critic_steps", "penalty_weight", "generator_lr", "critic_lr"),
    *("heldout", "tick_steps", "device", "precision", "threads", "completion"),
)
FURTHER = (
    *("objective", "clip", "penalty_every", "maps", "generator_maps", "activation", "critic_activation"),
    *("sequence_width", "generator_norm", "critic_norm", "optimizer", "beta1", "beta2", "schedule", "schedule_steps"),
    *("average_half_life", "average_ramp", "pack", "layout", "scale", "missing", "channels", "crop"),
    *("penalty_on", "critic_condition", "upsampling", "condition_layout", "likelihood", "likelihood_steps"),
    *("augment", "mirror", "share_fakes", "init_from", "equalized_lr", "overshoot"),
    *("past_noise", "two_point", "match_margins"),
)


def train_settings(parameters: Mapping[str, Any], *, labelled: bool) -> TrainSettings:
    """What the parameters of an estimator say, as `wassergan train` would have it.

    Args:
        parameters: by name.
        labelled: whether rows are drawn under labels.

    Raises:
        UserError: a parameter or a further setting that there is not, or that is not what it has to be.
    """
    further = dict(parameters["settings"] or {})
    for name in further:
        if name not in FURTHER:
            hint = f"{name} is a parameter of its own; " if name in OWN else ""
            raise UserError(
                f"{name!r} cannot be one of the further settings", hint=f"{hint}known: {', '.join(FURTHER)}"
            )
    asked = {name: parameters[name] for name in OWN} | further
    return TrainSettings(
        tensorboard=False,
        condition=(*names_of(parameters["condition"]), *([LABEL] if labelled else [])) or None,
        **{name: checked(name, value) for name, value in asked.items() if value is not None},
    )


def is_drawn(random_state: Any) -> bool:
    """Whether a random state gives another seed each time."""
    return random_state is None or isinstance(random_state, np.random.RandomState)


def seed_from(random_state: Any) -> int:
    """A random state's next seed; a whole number is one itself."""
    if random_state is None:
        return secrets.randbelow(LARGEST_SEED)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint64))
    seed: int = checked("random_state", random_state, like="seed")
    return seed


def resolved(parameters: TrainSettings, source: Source, log: Callable[[str], None]) -> ResolvedSettings:
    """With what the preset and the data say."""
    return resolve_for(replace(parameters, data=source.name), source, log=log)
