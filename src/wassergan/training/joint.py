"""A critic as a function of samples and conditions together, whose gradient norms a penalty may hold as well."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint, GradientNormPenalty
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.networks import critic_given

SAMPLES, BOTH = "samples", "both"
PENALTY_ON = (SAMPLES, BOTH)
Critic = Callable[[Tensor], Tensor]


def require_penalty_on(name: str, constraint: Constraint, *, conditional: bool) -> None:
    """Refuse a penalty on samples and conditions where there is no penalty, or no condition.

    Raises:
        UserError: says which.
    """
    if name not in PENALTY_ON:
        raise unknown_name("choice of what the penalty is on", name, PENALTY_ON)
    if name == BOTH and not conditional:
        raise UserError(
            f"{parameter('penalty_on', BOTH)} is for samples that are drawn under conditions",
            found="none",
            hint="leave it out, or give conditions",
        )
    if name == BOTH and not isinstance(constraint, GradientNormPenalty):
        raise UserError(
            f"{parameter('penalty_on', BOTH)} is for constraints that penalise gradient norms",
            found=parameter("constraint", constraint.name),
            hint="choose lp, gp or r1r2, or leave it out",
        )


def penalised(
    critic: nn.Module, context: Tensor | None, penalty_on: str, real: Tensor, fake: Tensor
) -> tuple[Critic, Tensor, Tensor]:
    """A critic, real samples and fakes, as a penalty takes gradients of it by them.

    Args:
        critic: maps (n, ...), and (n, k) if there is a context, to n scores.
        context: of each sample, or None.
        penalty_on: `samples`: the context is fixed; `both`: it stands behind the samples' numbers, alike in real
            samples and fakes, so that points between them have their common condition.
        real: (n, ...).
        fake: the same shape.
    """
    if penalty_on == SAMPLES or context is None:
        return critic_given(critic, context), real, fake
    shape, told = real.shape[1:], context
    numbers = math.prod(shape)

    def of_both(points: Tensor) -> Tensor:
        scores: Tensor = critic(points[:, :numbers].unflatten(1, shape), points[:, numbers:])
        return scores

    def joined(samples: Tensor) -> Tensor:
        return torch.cat([samples.flatten(1), told.to(samples.dtype)], 1)

    return of_both, joined(real), joined(fake)
