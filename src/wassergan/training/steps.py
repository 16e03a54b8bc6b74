"""One critic step and one generator step, as in the algorithm box of the papers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint
from wassergan.objectives import Objective, critic_gap


def critic_step(
    generator: nn.Module,
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    real: Tensor,
    latent: Tensor,
    objective: Objective,
    constraint: Constraint,
    rng: torch.Generator,
    precision: torch.dtype,
    penalty_factor: float = 1.0,
) -> dict[str, Tensor]:
    """Update the critic once; return detached statistics on the device: gap, penalty, and the two mean scores.

    Args:
        generator: draws the fakes; no graph is built through it.
        critic: is updated.
        optimizer: of the critic.
        real: (n, *shape) in model space.
        latent: (n, latent_dim), fresh.
        objective: the losses.
        constraint: adds its penalty, and projects after the step.
        rng: the penalty's random numbers.
        precision: float32, or bfloat16 for the forward passes; penalties stay in float32.
        penalty_factor: on the penalty in this step's loss; 0 leaves the penalty out, and out of the statistics.
    """
    with torch.no_grad(), reduced(real.device, precision):
        fake = generator(latent).to(real.dtype)
    with reduced(real.device, precision):
        real_scores, fake_scores = score_both(critic, real, fake)
    real_scores, fake_scores = real_scores.to(real.dtype), fake_scores.to(real.dtype)
    loss, statistics = objective.critic_loss(real_scores, fake_scores), {}
    if penalty_factor > 0:
        penalty = constraint.penalty(critic, real, fake, rng)
        loss = loss + penalty_factor * penalty
        statistics["penalty"] = penalty.detach()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    constraint.project(critic)
    return statistics | {
        "critic_gap": critic_gap(real_scores, fake_scores).detach(),
        "real_mean": real_scores.detach().mean(),
        "fake_mean": fake_scores.detach().mean(),
    }


def generator_step(
    generator: nn.Module,
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    latent: Tensor,
    objective: Objective,
    precision: torch.dtype,
) -> dict[str, Tensor]:
    """Update the generator once against a frozen critic; return the detached loss.

    Args:
        generator: is updated.
        critic: scores the fakes; its weights get no gradient.
        optimizer: of the generator.
        latent: (n, latent_dim), fresh.
        objective: the losses.
        precision: float32, or bfloat16 for the forward passes.
    """
    with frozen(critic), reduced(latent.device, precision):
        scores = critic(generator(latent))
    loss = objective.generator_loss(scores.to(latent.dtype))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {"generator_loss": loss.detach()}


def score_both(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of real and fake samples: one pass, or two where batch normalisation would mix them."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in critic.modules()):
        return critic(real), critic(fake)
    real_scores, fake_scores = critic(torch.cat([real, fake])).split([len(real), len(fake)])
    return real_scores, fake_scores


def reduced(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Autocast to `precision`; does nothing for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Take a network's parameters out of the graphs that are built inside, and put them back as they were."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
