"""Optimisers and rate schedules by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from wassergan.errors import unknown_name

OPTIMIZERS = ("adam", "rmsprop")
SCHEDULES = ("constant", "inverse_sqrt", "linear")


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser by name.

    Args:
        name: `adam` or `rmsprop`.
        rate: learning rate, positive.
        beta1: Adam's first-moment decay.
        beta2: Adam's second-moment decay.
    """

    name: str = "adam"
    rate: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.9

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over some parameters.

        Raises:
            UserError: the name is not known.
        """
        match self.name:
            case "adam":
                return torch.optim.Adam(parameters, lr=self.rate, betas=(self.beta1, self.beta2), fused=True)
            case "rmsprop":
                return torch.optim.RMSprop(parameters, lr=self.rate, foreach=True)
        raise unknown_name("optimizer", self.name, OPTIMIZERS)


def rate_schedule(name: str, *, horizon_steps: int) -> Callable[[int], float]:
    """Factor on the learning rates as a function of the generator step alone, never of the run's planned length.

    A run that is cut and resumed, or given more steps, therefore follows the same rates.

    Args:
        name: `constant`; `inverse_sqrt`: 1 until the horizon, then √(horizon / step); `linear`: down to 0 at it.
        horizon_steps: generator steps.

    Raises:
        UserError: the name is not known.
    """
    match name:
        case "constant":
            return lambda step: 1.0
        case "inverse_sqrt":
            return lambda step: (horizon_steps / max(step, horizon_steps)) ** 0.5
        case "linear":
            return lambda step: max(0.0, 1 - step / horizon_steps)
    raise unknown_name("schedule", name, SCHEDULES)
