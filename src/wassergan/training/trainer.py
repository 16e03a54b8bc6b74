"""The training loop: critic steps, a generator step, the average, and a tick now and then."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint
from wassergan.data import Source
from wassergan.errors import UserError
from wassergan.networks import QuantileMapped, check_critic, check_generator
from wassergan.networks.conv import channels_last
from wassergan.objectives import Objective
from wassergan.training.augment import UNCHANGED, Augmentation
from wassergan.training.distributed import SINGLE_PROCESS, DistributedContext
from wassergan.training.heldout_probe import HeldoutLikelihood, HeldoutProbe
from wassergan.training.inputs import StepInputs
from wassergan.training.joint import SAMPLES, require_penalty_on
from wassergan.training.options import (
    NO_LIKELIHOOD,
    USUAL_AVERAGING,
    USUAL_EXECUTION,
    USUAL_OPTIMIZATION,
    Averaging,
    Batching,
    Execution,
    Likelihood,
    Optimization,
    by_name,
    require_lipschitz,
)
from wassergan.training.sampling import sample_chunks
from wassergan.training.sound_state import SoundState
from wassergan.training.spread import kept_back
from wassergan.training.step_runner import StepRunner
from wassergan.training.steps import is_scored, require_density
from wassergan.training.timing import Timing
from wassergan.training.two_point import TwoPoint, require_no_likelihood
from wassergan.utils.allocator import freed_memory_kept
from wassergan.utils.rng import ambient_randomness, derived_seed

Record = dict[str, float]

AIMED_AT = 8192  # training samples, at most, by which margins are matched


class Trainer:
    """A generator and a critic, their optimisers, the data, and every random stream; nothing about files.

    Same seed, same weights: all randomness comes from streams derived from `seed`, and the whole state is in
    `state_dict`, so that a saved and reloaded trainer goes on bit for bit on the CPU. Both networks are trained where
    they are; nothing else that is handed over is changed, and the same objects may serve other trainers.

    Args:
        generator: (n, latent_dim) to (n, *source.shape); conditions, if the source has any, come before the latents.
        critic: (n, *source.shape) to (n,) or (n, 1); conditions, if there are any, are a second argument.
        source: training and held-out samples.
        objective: critic and generator losses, or the name of one that `get_objective` knows.
        constraint: what keeps the critic Lipschitz, or the name of one that `get_constraint` knows.
        latent_dim: numbers in a latent vector, drawn from N(0, 1).
        batch_size: samples per step, over all processes.
        critic_steps: critic steps per generator step.
        penalty_every: the penalty acts on every so many critic steps, with so many times its weight: the same in
            the mean, and cheaper (Karras et al. 2020, arXiv 1912.04958, section 3.2).
        penalty_on: what the penalty's gradients are taken by: `samples`, or `both` samples and conditions.
        pack: samples that the critic scores together, see `packed`.
        share_fakes: the last critic step and the generator's step use the same fakes: one pass of the generator less.
        likelihood: of real samples, that a generator with a density follows too.
        two_point: weight of the two-point statistics of samples on a grid, see `TwoPoint`.
        optimization: both optimisers and their rates.
        averaging: of the generator that draws samples.
        execution: precision, and what records the steps.
        augmentation: of the real and fake pictures that the critic is given.
        device: where to train.
        processes: those that train together. Each draws the whole batch's positions and random numbers and keeps its
            own rows, so that their number changes nothing (but for modules that draw from the global random state).
        seed: of every random stream.

    Raises:
        UserError: a critic or generator that cannot work, too few samples, or a batch that the processes cannot share.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        source: Source,
        *,
        objective: Objective | str,
        constraint: Constraint | str,
        latent_dim: int,
        batch_size: int = 64,
        critic_steps: int = 5,
        penalty_every: int = 1,
        penalty_on: str = SAMPLES,
        pack: int = 1,
        share_fakes: bool = False,
        likelihood: Likelihood = NO_LIKELIHOOD,
        two_point: float = 0.0,
        optimization: Optimization = USUAL_OPTIMIZATION,
        averaging: Averaging = USUAL_AVERAGING,
        execution: Execution = USUAL_EXECUTION,
        augmentation: Augmentation = UNCHANGED,
        device: torch.device | str = "cpu",
        processes: DistributedContext = SINGLE_PROCESS,
        seed: int = 0,
    ) -> None:
        batching = Batching(batch_size, critic_steps, penalty_every, pack, share_fakes)
        objective, constraint = by_name(objective, constraint)
        require_lipschitz(objective, constraint)
        require_penalty_on(penalty_on, constraint, conditional=source.context is not None)
        batching.require_shards(processes)
        require_density(generator, likelihood)
        require_no_likelihood(two_point, likelihood)
        self.device, self.processes, self._seed = torch.device(device), processes, seed
        self.source, self.objective, self.constraint = source, objective, constraint
        self.latent_dim, self.batch_size, self.critic_steps = latent_dim, batch_size, critic_steps
        self.precision, self._lr_factor = execution.precision, optimization.lr_factor
        # Transposed convolutions take a sixth less time with channels last; other weights have no such format.
        self.generator = channels_last(generator.to(self.device))
        self.critic = critic.to(self.device)
        _aim(self.generator, source, augmentation)
        aside = kept_back(source, generator, batch_size=batch_size, seed=seed)
        self._inputs = StepInputs(
            aside.source if aside else source,
            batching,
            latent_dim,
            seed=seed,
            device=self.device,
            shard=processes.shard,
            further=latent_dim if is_scored(generator) else 0,
        )
        self._augmentation, self._penalty_on, self._likelihood = augmentation, penalty_on, likelihood
        self._two_point = TwoPoint(source.shape, two_point, processes=processes).to(self.device)
        self._probe = HeldoutProbe(
            source,
            latent_dim=latent_dim,
            pack=pack,
            seed=seed,
            device=self.device,
            augmentation=augmentation,
            penalty_on=penalty_on,
        )
        self._likely = (
            HeldoutLikelihood(source, latent_dim=latent_dim, seed=seed, device=self.device)
            if likelihood.weight
            else None
        )
        self._prepare_networks()
        self._runner = self._new_runner(batching, optimization, averaging, execution)
        self._sound_state = SoundState(
            self._runner,
            source,
            latent_dim=latent_dim,
            seed=seed,
            processes=processes,
            kept_back=aside.rows if aside else None,
        )
        self._timing = Timing()
        self.step = 0
        self.lr_scale = 1.0  # on both rates, for good: lowered when a run goes back after it diverged

    def _prepare_networks(self) -> None:
        """Refuse networks that cannot work; parametrise what the constraint asks for."""
        check_critic(self.critic, *self._probe.packs(2))
        inputs = self.latent_dim + (self.source.context.width if self.source.context else 0)
        check_generator(self.generator, torch.zeros(2, inputs, device=self.device), self.source.shape)
        self.constraint.prepare(self.critic)
        for network in (self.generator, self.critic):
            self.processes.convert_sync_batchnorm(network)

    def _new_runner(
        self, batching: Batching, optimization: Optimization, averaging: Averaging, execution: Execution
    ) -> StepRunner:
        return StepRunner(
            self.generator,
            self.critic,
            objective=self.objective,
            constraint=self.constraint,
            batching=batching,
            optimization=optimization,
            averaging=averaging,
            execution=execution,
            processes=self.processes,
            seed=self._seed,
            conditional=self.source.context is not None,
            penalty_on=self._penalty_on,
            likelihood=self._likelihood,
            two_point=self._two_point,
            augmentation=self._augmentation,
        )

    @property
    def averaged_generator(self) -> nn.Module:
        """The generator that draws samples: averaged weights, evaluation mode."""
        return self._runner.average.module

    @property
    def seconds(self) -> float:
        """Seconds of training alone."""
        return self._timing.seconds

    @property
    def elapsed_seconds(self) -> float:
        """Seconds of training with ticks; a budget counts them."""
        return self._timing.elapsed_seconds

    @elapsed_seconds.setter
    def elapsed_seconds(self, seconds: float) -> None:
        self._timing.elapsed_seconds = seconds

    @property
    def steps_per_second(self) -> float:
        """Generator steps per second of training, warm-up left out; 0 while nothing was timed."""
        return self._timing.steps_per_second

    @freed_memory_kept()
    def train(
        self,
        *,
        steps: int | None = None,
        budget_seconds: float | None = None,
        tick_due: Callable[[int], bool] = lambda step: step % 1000 == 0,
        on_tick: Callable[["Trainer"], None] = lambda trainer: None,
        enough: Callable[[], bool] = lambda: False,
        save_due: Callable[[], bool] = lambda: False,
        on_save: Callable[["Trainer"], None] = lambda trainer: None,
        on_step: Callable[["Trainer"], None] = lambda trainer: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until a total number of steps or seconds is reached, or until interrupted.

        Of several processes, all call this alike; what one of them finds due or interrupted is so for all. Until it
        returns, the process keeps the memory that its steps free (`utils.allocator`).

        Args:
            steps: generator steps in all, those before this call included.
            budget_seconds: wall-clock seconds in all, ticks included.
            tick_due: whether a step ends in a tick; the last step always does.
            on_tick: called then; what it does takes no part in training.
            enough: asked after a tick, whether that was the last step.
            save_due: asked after every generator step, whether to save between two ticks; then `on_save` is called.
            on_save: see there.
            on_step: called after every generator step, as `interrupted` is asked.
            interrupted: whether to end.

        Raises:
            UserError: neither steps nor a budget is given.
            WorkError: losses stopped being finite, or processes differ or are lost; nothing of that tick was handed on.
            WasserganError: the data changed or cannot be read; all processes end at the same step, with a tick.
        """
        if steps is None and budget_seconds is None:
            raise UserError("Training needs an end", hint="give steps, a budget, or both")
        self.processes.broadcast(self.generator, self.critic, self.averaged_generator)
        self._timing.enter(self.step)

        while True:
            self._timing.look()
            finished = self._has_reached(steps, budget_seconds)
            unreadable = None if finished else self._inputs.error_ahead()
            finished, saving = self.processes.any_of(finished or unreadable is not None or interrupted(), save_due())

            ticking = finished or tick_due(self.step)
            if ticking or saving:  # maintenance, left out of the training time
                self._sound_state.reach(self.step, lr_factor=self._factor())
                self._timing.stop(self.step)
                with self.processes.raise_together():
                    (on_tick if ticking else on_save)(self)
                if finished or self.processes.any_of(ticking and enough())[0]:
                    return self._end(unreadable)
                self._timing.start(self.step)

            # Training: critic steps on fresh real batches, one generator step, the average.
            with ambient_randomness(derived_seed(self._seed, "ambient", self.step, self.processes.rank)):
                self._runner.take(self._inputs.draw(), step=self.step, lr_factor=self._factor())
            self.step += 1
            self._timing.on_step_end(self.step)
            on_step(self)

    def _has_reached(self, steps: int | None, budget_seconds: float | None) -> bool:
        """Whether training is at one of its ends."""
        return (steps is not None and self.step >= steps) or (
            budget_seconds is not None and self.elapsed_seconds >= budget_seconds
        )

    def _end(self, error: Exception | None) -> None:
        """Leave training together with all processes, with an error if one of them has one."""
        with self.processes.raise_together():
            if error is not None:
                raise error

    def read_statistics(self) -> Record:
        """The tick's record: means of the steps since the last tick, and measurements on held-out samples.

        Scores of the live critic, in score units: `critic_gap` is the raw E f(real) - E f(fake), the penalty
        apart; `critic_gap_heldout` the same on held-out samples; `gradient_norm_mean` and `gradient_norm_max` the
        critic's gradient norms on segments between held-out and fake samples. Of the averaged generator, where it
        follows a likelihood: `negative_log_likelihood_heldout`, in nats a sample.
        """
        record = self._runner.statistics.read()
        if "real_mean" in record:
            record["critic_gap"] = record["real_mean"] - record["fake_mean"]
        record |= self._probe.measure(self.generator, self.critic)
        record |= self._likely.measure(self.averaged_generator) if self._likely else {}
        generator_lr, critic_lr = self._runner.lrs(self._factor())
        record |= {
            "generator_lr": generator_lr,
            "critic_lr": critic_lr,
            "steps_per_second": self.steps_per_second,
            "samples_per_second": self.step * self.critic_steps * self.batch_size / max(self.seconds, 1e-9),
        }
        return {"step": self.step, "seconds": self.seconds, "elapsed_seconds": self.elapsed_seconds} | record

    def forget_statistics(self) -> None:
        """Start the means afresh without reading them, as the processes do that do not log."""
        self._runner.statistics.read()

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Samples of the averaged generator in model space, (count, *shape) on the CPU; leaves training untouched."""
        chunks = sample_chunks(
            self.averaged_generator, count, latent_dim=self.latent_dim, seed=seed, conditions=self.source.conditions
        )
        return torch.cat(list(chunks))

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes during training."""
        own = {"step": self.step, "lr_scale": self.lr_scale}
        return self._runner.state_dict() | self._inputs.state_dict() | self._timing.state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; strict: a missing or foreign entry raises."""
        for part in (self._runner, self._inputs, self._timing):
            part.load_state_dict(state)
        self.step = state["step"]
        self.lr_scale = state.get("lr_scale", 1.0)  # older checkpoints know none

    def knows_streams(self, state: dict[str, Any]) -> bool:
        """Whether the random streams of a state go on here; those of another kind of device cannot."""
        return self._inputs.knows_streams(state)

    def _factor(self) -> float:
        """On both first rates, at this step."""
        return self._lr_factor(self.step) * self.lr_scale


def _aim(generator: nn.Module, source: Source, augmentation: Augmentation) -> None:
    """Tell a part whose numbers can be matched how those of training samples are distributed."""
    for module in generator.modules():
        if isinstance(module, QuantileMapped) and module.is_held:
            real = source.train_sample(AIMED_AT)
            both = torch.cat([real, real.flip(3)]) if augmentation.mirrors_data else real
            module.aim(both.to(module.targets))
