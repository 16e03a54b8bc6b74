"""Learning rates that recipes have in common, by what the user says of schedules and constraints."""

from typing import Any

from wassergan.config.settings import TrainSettings

# Whose critics learn more kinds of samples without normalisation, and with rates by the size of each weight. A clipped
# weight is smaller than such a rate, and a normalised one has no size of its own.
PENALISED = ("lp", "gp", "r1r2")
FALLING = "inverse_sqrt"
STEPS = 1000  # from which on rates fall; at constant ones a run circles around the data after some thousand steps


def is_penalised(asked: TrainSettings) -> bool:
    """Whether gradient norms are penalised, as they are unless the user says otherwise."""
    return (asked.constraint or "lp") in PENALISED


def equalized(asked: TrainSettings) -> dict[str, Any]:
    """A penalised critic without normalisation, and rates by the size of each weight; nothing of other critics."""
    return {"critic_norm": "none", "equalized_lr": True} if is_penalised(asked) else {}


def falling(asked: TrainSettings, *, steps: int = STEPS) -> dict[str, Any]:
    """Rates that fall with the root of the step from a step on: these steps belong to that schedule alone."""
    return {"schedule": FALLING, "schedule_steps": steps} if asked.schedule in (None, FALLING) else {}
