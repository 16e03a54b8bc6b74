"""Both networks and all that moves them: the steps of a turn, taken at once or replayed as they were recorded."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint
from wassergan.data import Batch
from wassergan.objectives import Objective
from wassergan.training.analytic.conv import ConvCriticGradients
from wassergan.training.analytic.generator import ConvGeneratorPasses
from wassergan.training.analytic.mlp import MLPCriticGradients
from wassergan.training.augment import Augmentation
from wassergan.training.cuda_graphs import GraphedIteration, why_not_recorded
from wassergan.training.distributed import DistributedContext
from wassergan.training.divergence import Recipe
from wassergan.training.ema import AveragedGenerator
from wassergan.training.joint import SAMPLES
from wassergan.training.optimizers import FusedAdam
from wassergan.training.options import NO_LIKELIHOOD, Averaging, Batching, Execution, Likelihood, Optimization
from wassergan.training.statistics import Statistics
from wassergan.training.steps import (
    SCORE_WEIGHT,
    critic_step,
    draw_fakes,
    generator_step,
    packed,
    packed_batch,
    scored_fakes,
    scored_real,
)
from wassergan.training.turn import Due, Iteration
from wassergan.training.two_point import TwoPoint
from wassergan.utils.rng import restore_rng, sharded_rng


class StepRunner:
    """Takes turns: critic steps, the generator's step, the average.

    Args:
        generator: on the device; is trained.
        critic: likewise; prepared by the constraint.
        objective: critic and generator losses.
        constraint: of the critic.
        batching: batches, critic steps, packs, how often the penalty acts, and which fakes are shared.
        optimization: optimisers and rates.
        averaging: of the generator.
        execution: precision, and what records the steps.
        processes: those that train together.
        seed: of the penalty's random numbers, and of augmentation's.
        conditional: whether the critic is told conditions.
        penalty_on: what the penalty's gradients are taken by.
        likelihood: of real samples, that the generator follows too.
        two_point: statistics that the generator is led to.
        augmentation: of what the critic is given.

    Attributes:
        statistics: means of what the steps measure.
        average: of the generator.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        *,
        objective: Objective,
        constraint: Constraint,
        batching: Batching,
        optimization: Optimization,
        averaging: Averaging,
        execution: Execution,
        processes: DistributedContext,
        seed: int,
        conditional: bool,
        penalty_on: str = SAMPLES,
        likelihood: Likelihood = NO_LIKELIHOOD,
        two_point: TwoPoint,
        augmentation: Augmentation,
    ) -> None:
        self.generator, self.critic = generator, critic
        self._objective, self._constraint, self._processes = objective, constraint, processes
        self._batching, self._pack, self._seed = batching, batching.pack, seed
        self._execution, self._precision, self._augmentation = execution, execution.dtype, augmentation
        self._penalty_on, self._likelihood, self._two_point = penalty_on, likelihood, two_point
        self._closed_form = None
        if penalty_on == SAMPLES:
            of_pictures = ConvCriticGradients.of(critic, constraint, conditional=conditional)
            self._closed_form = MLPCriticGradients.of(critic, constraint) or of_pictures
        self._passes = ConvGeneratorPasses.of(generator)
        self._generator_optimizer = optimization.generator.build(generator.parameters())
        self._critic_optimizer = optimization.critic.build(critic.parameters())
        self._base_lrs = (optimization.generator.lr, optimization.critic.lr)
        self.average = AveragedGenerator(generator, half_life_samples=averaging.half_life_samples, ramp=averaging.ramp)
        device = next(critic.parameters()).device
        self._penalty_rng = sharded_rng(seed, "penalty", device=device, shard=processes.shard)
        self.statistics = Statistics()
        self._replays = self._replayed(execution)

    @property
    def _optimizers(self) -> tuple[FusedAdam, FusedAdam]:
        return self._generator_optimizer, self._critic_optimizer

    def lrs(self, factor: float) -> tuple[float, float]:
        """Both learning rates, generator's and critic's, where the first ones are multiplied by a factor."""
        return self._base_lrs[0] * factor, self._base_lrs[1] * factor

    def recipe(self, factor: float) -> Recipe:
        """What bears on the stability of the training, likewise."""
        return Recipe(*self.lrs(factor), self._execution.precision, self._constraint.name)

    def take(self, turn: Iteration, *, step: int, lr_factor: float) -> None:
        """Take a turn.

        Args:
            turn: what its steps are given.
            step: generator steps before it.
            lr_factor: on both rates.
        """
        for optimizer, lr in zip(self._optimizers, self.lrs(lr_factor), strict=True):
            optimizer.lr = lr
        due = self._batching.penalties_due(step)
        average_weight = self.average.weight(self._batching.batch_size, (step + 1) * self._batching.batch_size)
        if self._likelihood.is_alone(step):
            self._likelihood_step(turn, average_weight)
        elif self._replays is None:
            self._steps(turn, due, average_weight, self._penalty_rng)
        else:
            self._replays.run(turn, due, average_weight)

    def _steps(self, turn: Iteration, due: Due, average_weight: float | Tensor, rng: torch.Generator) -> None:
        """What Gulrajani et al. 2017 (arXiv 1704.00028) have in algorithm 1, from line 2 to line 12."""
        *latents, last = turn.latents
        dtype, real_last = turn.batches[0].samples.dtype, turn.batches[-1].samples
        followed: tuple[Tensor, Tensor | None] | None = None
        how: dict[str, Any] = {"precision": self._precision, "passes": self._passes}
        # The fakes of all critic steps come first: the generator stays as it is until its own.
        fakes = draw_fakes(self.generator, latents, dtype=dtype, **how) if latents else ()
        if self._batching.share_fakes:
            followed = scored_fakes(self.generator, last, real_last, **how)
            fakes = (*fakes, followed[0].detach().to(dtype))
        for real, fake, penalty_acts in zip(turn.batches, fakes, due, strict=True):
            self._critic_step(real, fake, penalty_acts=penalty_acts, rng=rng)
        if followed is None:
            followed = scored_fakes(self.generator, last, real_last, **how)
        self._generator_step(*followed, turn.batches[-1], last, rng)
        self.average.follow(average_weight)

    def _likelihood_step(self, turn: Iteration, average_weight: float | Tensor) -> None:
        """Update the generator by the likelihood of real samples alone; the critic stays as it is."""
        score = scored_real(self.generator, turn.latents[-1], turn.batches[-1].samples, precision=self._precision)
        self._generator_optimizer.zero_grad(set_to_none=True)
        (self._likelihood.weight * score).backward()
        self._processes.average_gradients(self.generator)
        self._generator_optimizer.step()
        self.statistics.add({"negative_log_likelihood": score.detach()})
        self.average.follow(average_weight)

    def _critic_step(self, real: Batch, fake: Tensor, *, penalty_acts: bool, rng: torch.Generator) -> None:
        if self._augmentation:
            real = real._replace(samples=self._augmentation.real(real.samples, rng))
            fake = self._augmentation.both(fake, rng)
        packs = packed_batch(real, self._pack)
        measured = critic_step(
            self.critic,
            self._critic_optimizer,
            real=packs.samples,
            fake=packed(fake, self._pack),
            objective=self._objective,
            constraint=self._constraint,
            rng=rng,
            precision=self._precision,
            penalty_factor=self._batching.penalty_every if penalty_acts else 0,
            closed_form=self._closed_form,
            processes=self._processes,
            context=packs.context,
            penalty_on=self._penalty_on,
        )
        self.statistics.add(measured)

    def _generator_step(
        self, made: Tensor, score: Tensor | None, real: Batch, latent: Tensor, rng: torch.Generator
    ) -> None:
        """Against the critic as it is now, which is told the conditions of real samples."""
        if score is not None:
            score = SCORE_WEIGHT * score
        if self._likelihood.weight:
            of_real = scored_real(self.generator, latent, real.samples, precision=self._precision)
            self.statistics.add({"negative_log_likelihood": of_real.detach()})
            score = self._likelihood.weight * of_real
        if self._two_point.weight:
            pull, distance = self._two_point.follow(real.samples, made)
            self.statistics.add({"two_point_distance": distance})
            score = pull if score is None else score + pull
        measured = generator_step(
            self.generator,
            self.critic,
            self._generator_optimizer,
            made=made,
            objective=self._objective,
            precision=self._precision,
            closed_form=self._closed_form,
            passes=self._passes,
            processes=self._processes,
            context=None if real.context is None else packed(real.context, self._pack),
            pack=self._pack,
            augment=partial(self._augmentation.both, rng=rng) if self._augmentation else None,
            score=score,
        )
        self.statistics.add(measured)

    def _replayed(self, execution: Execution) -> GraphedIteration | None:
        if execution.recorder is None:
            return None
        reason = why_not_recorded(self.generator, self.critic, self._constraint, self._processes)
        if reason is not None:
            execution.log(f"CUDA graphs are off: {reason}.")
            return None
        return GraphedIteration(
            self._steps,
            execution.recorder,
            rng=self._penalty_rng,
            optimizers=self._optimizers,
            statistics=self.statistics,
            log=execution.log,
        )

    def state_dict(self) -> dict[str, Any]:
        """Networks, average, optimisers, statistics and the penalty's random state."""
        own = {"two_point": self._two_point.state_dict()} if self._two_point.weight else {}
        return own | {
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.module.state_dict(),
            "generator_optimizer": self._generator_optimizer.state_dict(),
            "critic_optimizer": self._critic_optimizer.state_dict(),
            "statistics": self.statistics.state_dict(),
            "penalty_rng": self._penalty_rng.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a trainer's state."""
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.average.module.load_state_dict(state["average"])
        self._generator_optimizer.load_state_dict(state["generator_optimizer"])
        self._critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.statistics.load_state_dict(state["statistics"], device=self._penalty_rng.device)
        if self._two_point.weight:
            self._two_point.load_state_dict(state["two_point"])
        restore_rng(self._penalty_rng, state["penalty_rng"], self._seed, "penalty", state["step"])
        if self._replays is not None:
            self._replays.forget()
