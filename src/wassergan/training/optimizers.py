"""Optimisers and rate schedules by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.errors import unknown_name

OPTIMIZERS = ("adam", "rmsprop")
RMSPROP_DECAY = 0.99
FAR_STEP = 2**23  # 0.99 to this power is 0 in float64, and float32 still counts from here
SCHEDULES = ("constant", "inverse_sqrt", "linear")


class FusedAdam(torch.optim.Adam):
    """Adam by PyTorch's fused kernel alone: a small network's step takes less time than the bookkeeping around it.

    State and settings are those of `torch.optim.Adam`; closures, hooks and profiler marks are left out.

    Args:
        parameters: to update, float, dense.
        rate: learning rate.
        betas: decay of both moments.
        first_step: steps to count as done.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, rate: float, betas: tuple[float, float], first_step: int = 0
    ) -> None:
        super().__init__(parameters, lr=rate, betas=betas, fused=True)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "step": torch.tensor(float(first_step), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        self._count_together()
        self._rate: Tensor | None = None

    def keep_rate_on_device(self) -> None:
        """Read the rate from a scalar on the device, as a step does that is recorded; `send_rate` sets it."""
        device = self.param_groups[0]["params"][0].device
        # CUDA's kernel takes a float32 rate; the CPU's rounds like a number in Python only if it is not rounded before.
        self._rate = torch.zeros((), device=device, dtype=torch.float64 if device.type == "cpu" else torch.float32)

    def keep_rate_on_host(self) -> None:
        """Read the rate from the settings again."""
        self._rate = None

    def send_rate(self) -> None:
        """Bring the rate in the settings to the device."""
        assert self._rate is not None
        self._rate.fill_(self.param_groups[0]["lr"])

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from a state; strict."""
        super().load_state_dict(state_dict)
        self._count_together()

    def _count_together(self) -> None:
        """Keep a group's numbers of steps in one tensor, so that one operation counts for all of its parameters."""
        self._counts = []
        for group in self.param_groups:
            states = [self.state[parameter] for parameter in group["params"]]
            counts = torch.stack([state["step"] for state in states]) if states else torch.zeros(0)
            for state, count in zip(states, counts.unbind(), strict=True):
                state["step"] = count
            self._counts.append(counts)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group, counts in zip(self.param_groups, self._counts, strict=True):
            updated = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not updated:
                continue
            states = [self.state[parameter] for parameter in updated]
            steps = [state["step"] for state in states]
            if len(updated) == len(counts):
                counts.add_(1)
            else:
                torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                updated,
                [parameter.grad for parameter in updated],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                amsgrad=False,
                lr=group["lr"] if self._rate is None else self._rate,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=0.0,
                eps=group["eps"],
                maximize=False,
                grad_scale=None,
                found_inf=None,
            )

    step.hooked = True  # type: ignore[attr-defined]  # PyTorch wraps every other `step` in a profiler's record

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


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

    def build(self, parameters: Iterable[nn.Parameter]) -> FusedAdam:
        """The optimiser over some parameters.

        Raises:
            UserError: the name is not known.
        """
        match self.name:
            case "adam":
                return FusedAdam(parameters, rate=self.rate, betas=(self.beta1, self.beta2))
            case "rmsprop":
                # RMSprop is Adam without a first moment and without correction of the second's start: with β₁ = 0 the
                # first moment is the gradient, and with β₂^t = 0 nothing is corrected. One fused pass, not five.
                return FusedAdam(parameters, rate=self.rate, betas=(0.0, RMSPROP_DECAY), first_step=FAR_STEP)
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
