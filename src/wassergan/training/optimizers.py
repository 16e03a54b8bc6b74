"""Optimisers and learning-rate schedules by name."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wassergan.errors import unknown_name

OPTIMIZERS = ("adam", "rmsprop")
RMSPROP_DECAY = 0.99
FAR_STEP = 2**23  # 0.99 to this power is 0 in float64, and float32 still counts from here
EPSILON = 1e-8  # beside the root of the second moment
EQUAL_FAN = 256  # inputs of a weight that equalized rates leave as it is: a kernel of 4x4 over 16 maps
SCHEDULES = ("constant", "inverse_sqrt", "linear")


class Optimizer(Protocol):
    """What a step asks of an optimiser: ours, or one of `torch.optim`."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        ...

    def step(self) -> Any:
        """Update the parameters."""
        ...


class FusedAdam:
    """Adam by PyTorch's fused kernel alone: a small network's step takes less time than the bookkeeping around it.

    State and its format are those of `torch.optim.Adam` with one group. It is not derived from PyTorch's optimisers:
    they import the compiler when the first one is made, which takes longer than everything else before a first step.
    Source: Kingma, Ba 2015, arXiv 1412.6980, algorithm 1.

    Args:
        parameters: to update, float, dense.
        lr: learning rate.
        betas: decay of both moments.
        first_step: steps to count as done.
        equalized: each weight's own rate is `lr` times `equalized_factor`.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        first_step: int = 0,
        equalized: bool = False,
    ) -> None:
        self.lr, self.betas = lr, betas
        self._parameters = list(parameters)
        self._factors = [equalized_factor(each) if equalized else 1.0 for each in self._parameters]
        self._means = [torch.zeros_like(each) for each in self._parameters]
        self._squares = [torch.zeros_like(each) for each in self._parameters]
        self._count([torch.tensor(float(first_step), device=each.device) for each in self._parameters])
        self._lrs_on_device: dict[float, Tensor] = {}

    def keep_lr_on_device(self) -> None:
        """Read each rate from a scalar on the device, as a step does that is recorded; `send_lr` sets them."""
        device = self._parameters[0].device
        # CUDA's kernel takes a float32 rate; the CPU's rounds like a number in Python only if it is not rounded before.
        kind = torch.float64 if device.type == "cpu" else torch.float32
        self._lrs_on_device = {factor: torch.zeros((), device=device, dtype=kind) for factor in set(self._factors)}

    def keep_lr_on_host(self) -> None:
        """Read `lr` again."""
        self._lrs_on_device = {}

    def send_lr(self) -> None:
        """Bring `lr` to the device."""
        for factor, lr in self._lrs_on_device.items():
            lr.fill_(self.lr * factor)

    def state_dict(self) -> dict[str, Any]:
        """Moments, steps and settings, as `torch.optim.Adam` has them."""
        moments = zip(self._steps, self._means, self._squares, strict=True)
        names = ("step", "exp_avg", "exp_avg_sq")
        return {
            "state": {number: dict(zip(names, each, strict=True)) for number, each in enumerate(moments)},
            "param_groups": [
                {"lr": self.lr, "betas": self.betas, "eps": EPSILON, "params": list(range(len(self._parameters)))}
            ],
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of as many parameters of the same shapes.

        Raises:
            KeyError: something is missing.
            ValueError: it is of other parameters.
        """
        (group,), states = state["param_groups"], state["state"]
        if list(group["params"]) != list(range(len(self._parameters))) or len(states) != len(self._parameters):
            raise ValueError("the state is of another number of parameters")
        for number, (mean, square) in enumerate(zip(self._means, self._squares, strict=True)):
            for slot, name in ((mean, "exp_avg"), (square, "exp_avg_sq")):
                if states[number][name].shape != slot.shape:
                    raise ValueError("the state is of parameters of other shapes")
                slot.copy_(states[number][name])
        self.lr, self.betas = group["lr"], tuple(group["betas"])
        self._count([states[number]["step"].to(steps) for number, steps in enumerate(self._steps)])

    def _count(self, steps: list[Tensor]) -> None:
        """Keep the numbers of steps in one tensor, so that one operation counts for all parameters."""
        self._counts = torch.stack(steps) if steps else torch.zeros(0)
        self._steps = list(self._counts.unbind())

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        moving = [number for number, parameter in enumerate(self._parameters) if parameter.grad is not None]
        if len(moving) == len(self._parameters):
            self._counts.add_(1)
        else:
            for number in moving:
                self._steps[number].add_(1)
        for factor in dict.fromkeys(self._factors[number] for number in moving):
            self._update([number for number in moving if self._factors[number] == factor], factor)

    def _update(self, moving: list[int], factor: float) -> None:
        """Update some parameters, by number, at a rate of `lr` times a factor."""
        gradients = [self._parameters[number].grad for number in moving]
        torch._fused_adam_(
            [self._parameters[number] for number in moving],
            [gradient for gradient in gradients if gradient is not None],
            [self._means[number] for number in moving],
            [self._squares[number] for number in moving],
            [],
            [self._steps[number] for number in moving],
            amsgrad=False,
            lr=self._lrs_on_device.get(factor, self.lr * factor),  # type: ignore[arg-type]  # both are overloads
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
            grad_scale=None,
            found_inf=None,
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None


def equalized_factor(parameter: Tensor) -> float:
    """16 / √fan for weights of that many inputs to an output, 1 for biases and scales.

    A step of Adam moves every weight by about its rate, however large the weight is. PyTorch's initial weights spread
    by 1 / √(3 fan), so rates in that proportion move all layers by the same share. The fan is counted as PyTorch does
    for them: the numbers in one row of the weight. Source: the equalized learning rate of Karras et al. 2018,
    arXiv 1710.10196, section 4.1, which keeps weights at unit scale and multiplies them as they are used: the same
    under Adam.
    """
    if parameter.dim() < 2:
        return 1.0
    return math.sqrt(EQUAL_FAN / math.prod(parameter.shape[1:]))


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser by name.

    Args:
        name: `adam` or `rmsprop`.
        lr: learning rate, positive.
        beta1: Adam's first-moment decay.
        beta2: Adam's second-moment decay.
        equalized: each weight's own rate is `lr` times `equalized_factor`.
    """

    name: str = "adam"
    lr: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.9
    equalized: bool = False

    def build(self, parameters: Iterable[nn.Parameter]) -> FusedAdam:
        """The optimiser over some parameters.

        Raises:
            UserError: the name is not known.
        """
        match self.name:
            case "adam":
                betas, first_step = (self.beta1, self.beta2), 0
            case "rmsprop":
                # RMSprop is Adam without a first moment and without correction of the second's start: with β₁ = 0 the
                # first moment is the gradient, and with β₂^t = 0 nothing is corrected. One fused pass, not five.
                betas, first_step = (0.0, RMSPROP_DECAY), FAR_STEP
            case _:
                raise unknown_name("optimizer", self.name, OPTIMIZERS)
        return FusedAdam(parameters, lr=self.lr, betas=betas, first_step=first_step, equalized=self.equalized)


def lr_schedule(name: str, *, horizon_steps: int) -> Callable[[int], float]:
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
