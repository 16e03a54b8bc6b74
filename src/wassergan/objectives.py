"""Critic and generator objectives as pure functions of scores.

Every function takes score tensors of any shape, reduces over all their elements with the mean, and returns a
scalar to be minimised. The sign is fixed throughout the library: a good critic scores real samples high.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import relu, softplus

from wassergan.errors import unknown_name

__all__ = [
    "OBJECTIVES",
    "Objective",
    "critic_gap",
    "critic_loss",
    "critic_loss_derivatives",
    "generator_loss",
    "generator_loss_derivatives",
    "get_objective",
    "hinge_critic_loss",
    "hinge_critic_loss_derivatives",
    "minimax_critic_loss",
    "minimax_critic_loss_derivatives",
    "minimax_generator_loss",
    "minimax_generator_loss_derivatives",
    "nonsaturating_generator_loss",
    "nonsaturating_generator_loss_derivatives",
]


def critic_gap(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """E f(real) - E f(fake): positive when the critic is good; not a Wasserstein distance unless f is 1-Lipschitz."""
    return real_scores.mean() - fake_scores.mean()


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Wasserstein critic: E f(fake) - E f(real), the negated Kantorovich-Rubinstein dual objective.

    Source: Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875, equation 2.

    >>> import torch
    >>> critic_loss(torch.tensor([3.0, 1.0]), torch.tensor([0.5, 0.5])).item()
    -1.5
    """
    return fake_scores.mean() - real_scores.mean()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """Wasserstein generator: -E f(fake). Source: Arjovsky et al. 2017, arXiv 1701.07875, theorem 3."""
    return -fake_scores.mean()


def minimax_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """GAN of 2014: -E log D(real) - E log(1 - D(fake)), where the scores are the logits of D.

    Source: Goodfellow et al. 2014, arXiv 1406.2661, equation 1. At its optimum it is 2 log 2 - 2 JS.
    """
    return softplus(-real_scores).mean() + softplus(fake_scores).mean()


def minimax_generator_loss(fake_scores: Tensor) -> Tensor:
    """GAN of 2014, saturating: E log(1 - D(fake)). Source: Goodfellow et al. 2014, equation 1."""
    return -softplus(fake_scores).mean()


def nonsaturating_generator_loss(fake_scores: Tensor) -> Tensor:
    """GAN of 2014, non-saturating: -E log D(fake). Source: Goodfellow et al. 2014, section 3."""
    return softplus(-fake_scores).mean()


def hinge_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Hinge: E max(0, 1 - f(real)) + E max(0, 1 + f(fake)). Source: Lim, Ye 2017, arXiv 1705.02894."""
    return relu(1 - real_scores).mean() + relu(1 + fake_scores).mean()


def critic_loss_derivatives(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of `critic_loss` by each score: -1/n and 1/m."""
    return torch.full_like(real_scores, -1 / real_scores.numel()), torch.full_like(fake_scores, 1 / fake_scores.numel())


def minimax_critic_loss_derivatives(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of `minimax_critic_loss` by each score: -σ(-f)/n and σ(f)/m."""
    return -sigmoid(-real_scores) / real_scores.numel(), sigmoid(fake_scores) / fake_scores.numel()


def hinge_critic_loss_derivatives(real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of `hinge_critic_loss` by each score: -1/n and 1/m where the hinge is open, else 0."""
    real, fake = (1 - real_scores > 0).to(real_scores.dtype), (1 + fake_scores > 0).to(fake_scores.dtype)
    return -real / real.numel(), fake / fake.numel()


def generator_loss_derivatives(fake_scores: Tensor) -> Tensor:
    """The derivatives of `generator_loss` by each score: -1/n."""
    return torch.full_like(fake_scores, -1 / fake_scores.numel())


def minimax_generator_loss_derivatives(fake_scores: Tensor) -> Tensor:
    """The derivatives of `minimax_generator_loss` by each score: -σ(f)/n."""
    return -sigmoid(fake_scores) / fake_scores.numel()


def nonsaturating_generator_loss_derivatives(fake_scores: Tensor) -> Tensor:
    """The derivatives of `nonsaturating_generator_loss` by each score: -σ(-f)/n."""
    return -sigmoid(-fake_scores) / fake_scores.numel()


@dataclass(frozen=True)
class Objective:
    """A pair of losses, and whether they are meaningful only for a Lipschitz critic.

    Attributes:
        name: its name for the caller.
        critic_loss: of real and fake scores.
        critic_loss_slopes: its derivatives by each real and each fake score.
        generator_loss: of fake scores.
        generator_loss_slopes: its derivatives by each fake score.
        needs_lipschitz: without a constraint it has no maximum over all critics.
    """

    name: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    critic_loss_derivatives: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator_loss: Callable[[Tensor], Tensor]
    generator_loss_derivatives: Callable[[Tensor], Tensor]
    needs_lipschitz: bool = False


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "wasserstein",
            critic_loss,
            critic_loss_derivatives,
            generator_loss,
            generator_loss_derivatives,
            needs_lipschitz=True,
        ),
        Objective(
            "minimax",
            minimax_critic_loss,
            minimax_critic_loss_derivatives,
            minimax_generator_loss,
            minimax_generator_loss_derivatives,
        ),
        Objective(
            "nonsaturating",
            minimax_critic_loss,
            minimax_critic_loss_derivatives,
            nonsaturating_generator_loss,
            nonsaturating_generator_loss_derivatives,
        ),
        Objective(
            "hinge", hinge_critic_loss, hinge_critic_loss_derivatives, generator_loss, generator_loss_derivatives
        ),
    )
}


def get_objective(name: str) -> Objective:
    """Look up an objective: `wasserstein`, `minimax`, `nonsaturating` or `hinge`.

    Raises:
        UserError: the name is not known.
    """
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]
