"""One critic step and one generator step, as in the algorithm box of the papers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint
from wassergan.data import Batch
from wassergan.errors import UserError, parameter
from wassergan.networks import DensityHead, GivenGenerator, SeriesDensityGenerator, TabularGenerator, critic_given
from wassergan.objectives import Objective
from wassergan.training.analytic.conv import ConvCriticGradients
from wassergan.training.analytic.generator import ConvGeneratorPasses
from wassergan.training.analytic.mlp import Loss, MLPCriticGradients
from wassergan.training.batches import mapped
from wassergan.training.distributed import SINGLE_PROCESS, DistributedContext
from wassergan.training.joint import SAMPLES, penalised
from wassergan.training.optimizers import Optimizer
from wassergan.training.options import Likelihood

SCORE_WEIGHT = 2.0  # of the energy score beside the critic's loss, in runs that complete rows or refine fields
Backward = Callable[[Tensor, Tensor, Loss, Tensor | None], dict[str, Tensor]]


def packed(samples: Tensor, pack: int) -> Tensor:
    """Samples (n, d, ...) side by side in packs: (n / pack, pack · d, ...).

    A critic that scores packs sees how much samples differ from each other. Source: Lin, Khetan, Fanti, Oh 2018,
    arXiv 1712.04086.
    """
    return samples if pack == 1 else samples.reshape(len(samples) // pack, -1, *samples.shape[2:])


def packed_batch(batch: Batch, pack: int) -> Batch:
    """A batch as the critic is given it: samples in packs, and the conditions (n, k) of a whole pack side by side."""
    return mapped(batch, partial(packed, pack=pack))


def draw_fakes(
    generator: nn.Module,
    latents: Sequence[Tensor],
    *,
    dtype: torch.dtype,
    precision: torch.dtype,
    passes: ConvGeneratorPasses | None = None,
) -> tuple[Tensor, ...]:
    """Fakes for some critic steps, without a graph: one pass, or one for each where the generator couples samples.

    Args:
        generator: in training mode.
        latents: one (n, latent_dim) per critic step, fresh, conditions before them.
        dtype: of the fakes.
        precision: float32, or bfloat16 for the forward pass.
        passes: of this generator, if it has a closed form.
    """
    with torch.no_grad(), reduced(latents[0].device, precision):
        draw = partial(_passed, passes, precision=precision) if passes else generator
        if couples_samples(generator):
            return tuple(draw(latent).to(dtype) for latent in latents)
        fakes: tuple[Tensor, ...] = draw(torch.cat(tuple(latents))).to(dtype).split([len(each) for each in latents])
        return fakes


def fakes_to_follow(
    generator: nn.Module, latent: Tensor, *, precision: torch.dtype, passes: ConvGeneratorPasses | None = None
) -> Tensor:
    """Fakes through which `generator_step` can go back to the weights.

    Args:
        generator: in training mode.
        latent: (n, latent_dim), fresh, conditions before it.
        precision: float32, or bfloat16 for the forward pass.
        passes: of this generator, if it has a closed form: the fakes are then leaves of the graph, and what they
            receive goes on from there.
    """
    with reduced(latent.device, precision):
        made: Tensor = passes.forward(latent, precision).requires_grad_(True) if passes else generator(latent)
    return made


def scored_fakes(
    generator: nn.Module,
    latent: Tensor,
    real: Tensor,
    *,
    precision: torch.dtype,
    passes: ConvGeneratorPasses | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The same, and their score against real samples (n, ...) under the same conditions, where they are scored."""
    if not is_scored(generator):
        return fakes_to_follow(generator, latent, precision=precision, passes=passes), None
    with reduced(latent.device, precision):
        return generator.scored(latent, real)


def scored_real(generator: nn.Module, latent: Tensor, real: Tensor, *, precision: torch.dtype) -> Tensor:
    """The mean negative log-likelihood of real samples (n, ...), a number; latents are drawn without regard to them."""
    assert isinstance(generator, TabularGenerator | SeriesDensityGenerator)
    with reduced(latent.device, precision):
        return -generator.log_likelihood(latent, real).mean()


def require_density(generator: nn.Module, likelihood: Likelihood) -> None:
    """Refuse to follow a likelihood that a generator does not have.

    Raises:
        UserError: says what has one.
    """
    of_rows = isinstance(generator, TabularGenerator) and isinstance(generator.head, DensityHead)
    if likelihood.weight and not (of_rows or isinstance(generator, SeriesDensityGenerator)):
        raise UserError(
            "Only generators of tables, and those of series by convolutions, have a likelihood",
            found=parameter("likelihood", likelihood.weight),
            hint="leave it out",
        )


def _passed(passes: ConvGeneratorPasses, latent: Tensor, *, precision: torch.dtype) -> Tensor:
    """Fakes, of whose making nothing is kept."""
    fakes = passes.forward(latent, precision)
    passes.forget()
    return fakes


def critic_step(
    critic: nn.Module,
    optimizer: Optimizer,
    *,
    real: Tensor,
    fake: Tensor,
    objective: Objective,
    constraint: Constraint,
    rng: torch.Generator,
    precision: torch.dtype,
    penalty_factor: float = 1.0,
    closed_form: MLPCriticGradients | ConvCriticGradients | None = None,
    processes: DistributedContext = SINGLE_PROCESS,
    context: Tensor | None = None,
    penalty_on: str = SAMPLES,
) -> dict[str, Tensor]:
    """Update the critic once; return detached statistics on the device: penalty, and the two mean scores.

    Args:
        critic: is updated.
        optimizer: of the critic.
        real: (n, *shape) in model space.
        fake: (n, *shape), of the generator as it is now, without a graph.
        objective: the losses.
        constraint: adds its penalty, and projects after the step.
        rng: the penalty's random numbers.
        precision: float32, or bfloat16 for the passes through the networks; norms, losses and penalties are taken
            in float32.
        penalty_factor: on the penalty in this step's loss; 0 leaves the penalty out, and out of the statistics.
        closed_form: of this critic under this constraint, if there is one; else autograd finds the gradient.
        processes: each holds its own rows of the batch; gradients are averaged over them.
        context: (n, k), the conditions of real and fake samples alike.
        penalty_on: what the penalty's gradients are taken by: `samples`, or `both` samples and conditions.
    """
    loss = Loss(objective, constraint, penalty_factor, rng, precision)
    optimizer.zero_grad(set_to_none=True)
    backward: Backward = closed_form.backward if closed_form else partial(_backward, critic, penalty_on)
    statistics = backward(real, fake, loss, context)
    processes.average_gradients(critic)
    optimizer.step()
    constraint.project(critic)
    return statistics


def _backward(
    critic: nn.Module, penalty_on: str, real: Tensor, fake: Tensor, loss: Loss, context: Tensor | None
) -> dict[str, Tensor]:
    """Put the gradient of loss and penalty into the weights' `grad` by autograd; return detached statistics."""
    statistics = {}
    with reduced(real.device, loss.precision):
        real_scores, fake_scores = score_both(critic, real, fake, context)
        if loss.penalty_factor > 0:
            penalty = loss.constraint.penalty
            statistics["penalty"] = penalty(*penalised(critic, context, penalty_on, real, fake), loss.rng)
    real_scores, fake_scores = real_scores.to(real.dtype), fake_scores.to(real.dtype)
    total = loss.objective.critic_loss(real_scores, fake_scores)
    if loss.penalty_factor > 0:
        total = total + loss.penalty_factor * statistics["penalty"]
    total.backward()
    statistics |= {"real_mean": real_scores.mean(), "fake_mean": fake_scores.mean()}
    return {name: value.detach() for name, value in statistics.items()}


def generator_step(
    generator: nn.Module,
    critic: nn.Module,
    optimizer: Optimizer,
    *,
    made: Tensor,
    objective: Objective,
    precision: torch.dtype,
    closed_form: MLPCriticGradients | ConvCriticGradients | None = None,
    passes: ConvGeneratorPasses | None = None,
    processes: DistributedContext = SINGLE_PROCESS,
    context: Tensor | None = None,
    pack: int = 1,
    augment: Callable[[Tensor], Tensor] | None = None,
    score: Tensor | None = None,
) -> dict[str, Tensor]:
    """Update the generator once against a frozen critic; return the detached loss.

    Args:
        generator: is updated.
        critic: scores the fakes; its weights get no gradient.
        optimizer: of the generator.
        made: its fakes, of `fakes_to_follow`.
        objective: the losses.
        precision: float32, or bfloat16 for the forward pass through the critic.
        closed_form: of the critic, if there is one; else autograd passes through it.
        passes: of the generator, if it has a closed form; else autograd passes through it.
        processes: gradients are averaged over them.
        context: (n / pack, k), what the critic is told of the conditions.
        pack: samples that the critic scores together.
        augment: changes the fakes as the critic knows them, differentiably; None for nothing.
        score: a number to be made small beside the critic's loss, with its weight; None for none.
    """
    optimizer.zero_grad(set_to_none=True)
    dtype = next(generator.parameters()).dtype
    # In full precision: the changes are no products of a network, and rounding them would show.
    fake = packed(made if augment is None else augment(made.to(dtype)), pack)
    if closed_form:
        loss, by_fake = closed_form.generator_loss(fake.detach(), objective, precision, context)
        if passes and augment is None and score is None:
            passes.backward(by_fake.reshape(made.shape))
        else:
            # The same gradient; given one, `backward` imports a second's worth of modules for shapes that are unknown.
            total = (fake * by_fake).sum()
            (total if score is None else total + score).backward()
    else:
        with frozen(critic), reduced(made.device, precision):
            scores = critic_given(critic, context)(fake)
        loss = objective.generator_loss(scores.to(dtype))
        (loss if score is None else loss + score).backward()
    if passes and made.grad is not None:
        passes.backward(made.grad)
    processes.average_gradients(generator)
    optimizer.step()
    return {"generator_loss": loss.detach()}


def is_scored(generator: nn.Module) -> TypeGuard[TabularGenerator | GivenGenerator]:
    """Whether draws are scored one by one beside the critic: of given fields, and of completed rows without density."""
    completes = isinstance(generator, TabularGenerator) and generator.kept is not None
    completes = completes and not isinstance(generator.head, DensityHead)
    return completes or isinstance(generator, GivenGenerator)


def score_both(critic: nn.Module, real: Tensor, fake: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scores of real and fake samples: one pass, or two where batch normalisation would mix them."""
    if couples_samples(critic):
        scored = critic_given(critic, context)
        return scored(real), scored(fake)
    scored = critic_given(critic, None if context is None else torch.cat([context, context]))
    real_scores, fake_scores = scored(torch.cat([real, fake])).split([len(real), len(fake)])
    return real_scores, fake_scores


def couples_samples(network: nn.Module) -> bool:
    """Whether a pass over two batches together differs from two passes: batch normalisation in training mode."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in network.modules())


def reduced(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Autocast to `precision`; does nothing for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Take a network's parameters out of the graphs that are built inside, and put them back as they were."""
    trained = [each for each in network.parameters() if each.requires_grad]
    for each in trained:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in trained:
            each.requires_grad_(True)
