"""The training loop: critic steps, a generator step, the average, and a tick now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint, input_slopes, points_between
from wassergan.data import Batch, Source
from wassergan.errors import UserError, unknown_name
from wassergan.networks import check_critic, check_generator, critic_given, evaluating
from wassergan.objectives import Objective, critic_gap
from wassergan.training.analytic.conv import ConvForm
from wassergan.training.analytic.mlp import ClosedForm
from wassergan.training.batches import BatchStream
from wassergan.training.cuda_graphs import Due, Recorder, Replays, Turn, why_not_recorded
from wassergan.training.distributed import ALONE, Processes
from wassergan.training.divergence import Recipe, diagnosis
from wassergan.training.ema import AveragedGenerator
from wassergan.training.optimizers import OptimizerSettings
from wassergan.training.sampling import sample_chunks, under
from wassergan.training.statistics import Statistics
from wassergan.training.steps import critic_step, draw_fakes, generator_step, packed, score_both
from wassergan.utils.allocator import freed_memory_kept
from wassergan.utils.rng import derived_rng, derived_seed, sharded_rng

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
WARM_UP_STEPS = 10  # left out of the speed: allocators and caches fill during them
MEASURED_SAMPLES = 1024  # at most, for the held-out gap and the slopes at a tick
ADAM = OptimizerSettings()

Record = dict[str, float]


class Trainer:
    """A generator and a critic, their optimisers, the data, and every random stream; nothing about files.

    Same seed, same weights: all randomness comes from streams derived from `seed`, and the whole state is in
    `state_dict`, so that a saved and reloaded trainer goes on bit for bit on the CPU.

    Args:
        generator: (n, latent_dim) to (n, *source.shape); conditions, if the source has any, come before the latents.
        critic: (n, *source.shape) to (n,) or (n, 1); conditions, if there are any, are a second argument.
        source: training and held-out samples.
        objective: critic and generator losses.
        constraint: what keeps the critic Lipschitz.
        latent_dim: numbers in a latent vector, drawn from N(0, 1).
        batch_size: samples per step, over all processes.
        critic_steps: critic steps per generator step.
        penalty_every: the penalty acts on every so many critic steps, with so many times its weight: the same in
            the mean, and cheaper (Karras et al. 2020, arXiv 1912.04958, section 3.2).
        generator_optimizer: its settings.
        critic_optimizer: its settings.
        rate_factor: factor on both rates, by generator step.
        average_half_life_samples: of the averaged generator; 0 for none.
        average_ramp: see `AveragedGenerator`.
        seed: of every random stream.
        device: where to train.
        precision: `float32`, or `bf16` for the forward passes.
        pack: samples that the critic scores together, see `packed`.
        processes: those that train together. Each draws the whole batch's positions and random numbers and keeps its
            own rows, so that their number changes nothing (but for modules that draw from the global random state).
        recorder: records the steps and replays them; none to take them one by one.
        told: in a sentence, why nothing is recorded; may raise.

    Raises:
        UserError: a critic or generator that cannot work, too few samples, or a batch that the processes cannot share.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        source: Source,
        *,
        objective: Objective,
        constraint: Constraint,
        latent_dim: int,
        batch_size: int = 64,
        critic_steps: int = 5,
        penalty_every: int = 1,
        generator_optimizer: OptimizerSettings = ADAM,
        critic_optimizer: OptimizerSettings = ADAM,
        rate_factor: Callable[[int], float] = lambda step: 1.0,
        average_half_life_samples: float = 500_000,
        average_ramp: float = 0.05,
        seed: int = 0,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        pack: int = 1,
        processes: Processes = ALONE,
        recorder: Recorder | None = None,
        told: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        if objective.needs_lipschitz and not constraint.lipschitz:
            raise UserError(
                f"The {objective.name} objective needs a Lipschitz critic: unconstrained, it has no maximum",
                mend="use --constraint lp, gp, sn, orthogonal or clip",
            )
        processes.require_shares(batch_size)
        if batch_size // processes.shard.count % pack:
            raise UserError(
                "The batch cannot be cut into packs",
                found=f"{batch_size // processes.shard.count} samples per process in packs of {pack}",
                mend="choose a --batch-size that --pack divides",
            )
        self.processes = processes
        self.device = torch.device(device)
        # Transposed convolutions take a sixth less time with channels last; other weights have no such format.
        self.generator = generator.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.critic = critic.to(self.device)
        self.source, self.objective, self.constraint = source, objective, constraint
        self.latent_dim, self.batch_size, self.critic_steps = latent_dim, batch_size, critic_steps
        self.penalty_every, self.pack = penalty_every, pack
        self.precision, self._precision = precision, PRECISIONS[precision]
        self._rate_factor = rate_factor
        self._seed = seed

        self._batches = BatchStream(source, batch_size, seed=seed, shard=processes.shard, device=self.device)
        self._heldout = source.heldout_batch(source.heldout_positions(MEASURED_SAMPLES, seed=seed))
        real, context = self._scored(self._heldout, torch.arange(2 * pack) % source.heldout_count)
        check_critic(self.critic, real, context)
        inputs = latent_dim + (source.context.width if source.context else 0)
        check_generator(self.generator, torch.zeros(2, inputs, device=self.device), source.shape)
        constraint.prepare(self.critic)
        for network in (self.generator, self.critic):
            processes.join_batch_norms(network)
        self._closed_form = ClosedForm.of(self.critic, constraint) or (
            None if source.context else ConvForm.of(self.critic, constraint)
        )

        self._generator_optimizer = generator_optimizer.build(self.generator.parameters())
        self._critic_optimizer = critic_optimizer.build(self.critic.parameters())
        self._base_rates = (generator_optimizer.rate, critic_optimizer.rate)
        self._average = AveragedGenerator(
            self.generator, half_life_samples=average_half_life_samples, ramp=average_ramp
        )
        self._latent_rng = sharded_rng(seed, "latent", device=self.device, shard=processes.shard)
        self._penalty_rng = sharded_rng(seed, "penalty", device=self.device, shard=processes.shard)
        self._statistics = Statistics()
        self._take: Callable[[Turn, Due, float], None] = self._take_at_once
        self._replays = self._replays_by(recorder, told) if recorder is not None else None
        if self._replays is not None:
            self._take = self._replays.run

        self.step = 0
        self.rate_scale = 1.0  # on both rates, for good: lowered when a run goes back after it diverged
        self.seconds = 0.0  # training alone
        self.elapsed_seconds = 0.0  # with ticks
        self._timed = (0, 0.0)  # steps and seconds without warm-up

    @property
    def averaged_generator(self) -> nn.Module:
        """The generator that draws samples: averaged weights, evaluation mode."""
        return self._average.module

    @property
    def steps_per_second(self) -> float:
        """Generator steps per second of training, warm-up left out; 0 while nothing was timed."""
        steps, seconds = self._timed
        return steps / seconds if seconds > 0 else 0.0

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
        returns, the process keeps the memory that its steps free (`training.memory`).

        Args:
            steps: generator steps in all, those before this call included.
            budget_seconds: wall-clock seconds in all, ticks included.
            tick_due: whether a step ends in a tick; the last step always does.
            on_tick: called then; what it does takes no part in training.
            enough: asked after a tick, whether that was the last step.
            save_due: asked after every generator step, whether to save between two ticks.
            on_save: called then.
            on_step: called after every generator step.
            interrupted: asked after every generator step.

        Raises:
            UserError: neither steps nor a budget is given.
            WorkError: losses stopped being finite, or processes differ or are lost; nothing of that tick was handed on.
            WasserganError: the data changed or cannot be read; all processes end at the same step, with a tick.
        """
        if steps is None and budget_seconds is None:
            raise UserError("Training needs an end", mend="give steps, a budget, or both")
        self.processes.broadcast(self.generator, self.critic, self.averaged_generator)
        entry, elapsed_before = time.perf_counter(), self.elapsed_seconds
        stopwatch = Stopwatch(warm_up_until=self.step + WARM_UP_STEPS)

        while True:
            self.elapsed_seconds = elapsed_before + time.perf_counter() - entry
            finished = (steps is not None and self.step >= steps) or (
                budget_seconds is not None and self.elapsed_seconds >= budget_seconds
            )
            unreadable = None if finished else self._what_is_wrong_with_the_data()
            finished, saving = self.processes.any_of(finished or unreadable is not None or interrupted(), save_due())

            # Maintenance: everything behind this `continue` is left out of the training time.
            ticking = finished or tick_due(self.step)
            if ticking or saving:
                self._settle()
                self._count_time(stopwatch)
                with self.processes.together():
                    (on_tick if ticking else on_save)(self)
                if finished or self.processes.any_of(ticking and enough())[0]:
                    self._end(unreadable)
                    return
                stopwatch.start(self.step)

            # Training: critic steps on fresh real batches, one generator step, the average.
            with self._ambient_randomness():
                self._set_rates()
                self._take(self._turn(), self._penalties_due(), self._average_weight())
            self.step += 1
            if self.step == stopwatch.warm_up_until:
                self._count_time(stopwatch)
            on_step(self)

    def _what_is_wrong_with_the_data(self) -> Exception | None:
        """The error with which the next step's batches cannot be had; found out before anything of the step is done."""
        try:
            self._batches.require(self.critic_steps)
            self.source.require_same()  # after the reads: what was read before the change is what was read
        except Exception as error:  # whatever readers raise: the state is sound, and is saved first
            return error
        return None

    def _end(self, error: Exception | None) -> None:
        """Leave training together with all processes, with an error if one of them has one."""
        with self.processes.together():
            if error is not None:
                raise error

    def read_statistics(self) -> Record:
        """The tick's record: means of the steps since the last tick, and measurements on held-out samples.

        Scores of the live critic, in score units: `critic_gap` is the raw E f(real) - E f(fake), the penalty
        apart; `critic_gap_heldout` the same on held-out samples; `slope_mean` and `slope_max` the critic's slopes
        on segments between held-out and fake samples.
        """
        record = self._statistics.read()
        if "real_mean" in record:
            record["critic_gap"] = record["real_mean"] - record["fake_mean"]
        record |= self._heldout_measurements()
        seconds = max(self.seconds, 1e-9)
        record |= {
            "generator_rate": self._base_rates[0] * self._rate_factor(self.step) * self.rate_scale,
            "critic_rate": self._base_rates[1] * self._rate_factor(self.step) * self.rate_scale,
            "steps_per_second": self.steps_per_second,
            "samples_per_second": self.step * self.critic_steps * self.batch_size / seconds,
        }
        return {"step": self.step, "seconds": self.seconds, "elapsed_seconds": self.elapsed_seconds} | record

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Samples of the averaged generator in model space, (count, *shape) on the CPU; leaves training untouched."""
        chunks = sample_chunks(
            self.averaged_generator, count, latent_dim=self.latent_dim, seed=seed, conditions=self.source.conditions
        )
        return torch.cat(list(chunks))

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes during training."""
        return {
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self._average.module.state_dict(),
            "generator_optimizer": self._generator_optimizer.state_dict(),
            "critic_optimizer": self._critic_optimizer.state_dict(),
            "batches": self._batches.state_dict(),
            "statistics": self._statistics.state_dict(),
            "latent_rng": self._latent_rng.get_state(),
            "penalty_rng": self._penalty_rng.get_state(),
            "step": self.step,
            "rate_scale": self.rate_scale,
            "seconds": self.seconds,
            "elapsed_seconds": self.elapsed_seconds,
            "timed": self._timed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; strict: a missing or foreign entry raises."""
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self._average.module.load_state_dict(state["average"])
        self._generator_optimizer.load_state_dict(state["generator_optimizer"])
        self._critic_optimizer.load_state_dict(state["critic_optimizer"])
        self._batches.load_state_dict(state["batches"])
        self._statistics.load_state_dict(state["statistics"], device=self.device)
        for rng, name in ((self._latent_rng, "latent"), (self._penalty_rng, "penalty")):
            self._restore(rng, state[f"{name}_rng"], name, state["step"])
        self.step = state["step"]
        self.rate_scale = state.get("rate_scale", 1.0)  # older checkpoints know none
        self.seconds = state["seconds"]
        self.elapsed_seconds = state["elapsed_seconds"]
        self._timed = tuple(state["timed"])
        if self._replays is not None:
            self._replays.forget()

    def knows_streams(self, state: dict[str, Any]) -> bool:
        """Whether the random streams of a state go on here; those of another kind of device cannot."""
        return bool(state["latent_rng"].numel() == self._latent_rng.get_state().numel())

    def _restore(self, rng: torch.Generator, state: Tensor, name: str, step: int) -> None:
        if state.numel() == rng.get_state().numel():
            rng.set_state(state.cpu())
        else:  # of another kind of device: a stream of its own, not the first numbers again
            rng.manual_seed(derived_seed(self._seed, name, step))

    def _replays_by(self, recorder: Recorder, told: Callable[[str], None]) -> Replays | None:
        reason = why_not_recorded(self.generator, self.critic, self.constraint, self.processes)
        if reason is not None:
            told(f"CUDA graphs are off: {reason}.")
            return None
        return Replays(
            self._phase,
            recorder,
            rng=self._penalty_rng,
            optimizers=(self._generator_optimizer, self._critic_optimizer),
            statistics=self._statistics,
            told=told,
        )

    def _real(self) -> Batch:
        samples, context = self._batches.draw()
        return Batch(samples.to(self.device, non_blocking=True), self._at_hand(context))

    def _turn(self) -> Turn:
        """Real batches and latents for the critic steps until the generator's next, and latents for that one.

        Latents stand under the conditions of the real samples, the generator's under those of the last critic step.
        """
        batches = tuple(self._real() for _ in range(self.critic_steps))
        latents = [self._latent(context) for _, context in batches]
        return Turn(batches, (*latents, self._latent(batches[-1].context)))

    def _penalties_due(self) -> Due:
        first = self.step * self.critic_steps
        return tuple(step % self.penalty_every == 0 for step in range(first, first + self.critic_steps))

    def _average_weight(self) -> float:
        return self._average.weight(self.batch_size, (self.step + 1) * self.batch_size)

    def _take_at_once(self, turn: Turn, due: Due, average_weight: float) -> None:
        self._phase(turn, due, average_weight, self._penalty_rng)

    def _phase(self, turn: Turn, due: Due, average_weight: float | Tensor, rng: torch.Generator) -> None:
        """All steps of a turn. The fakes of all critic steps come first: the generator stays as it is until its own."""
        *latents, last = turn.latents
        fakes = draw_fakes(self.generator, latents, dtype=self._heldout.samples.dtype, precision=self._precision)
        for real, fake, acts in zip(turn.batches, fakes, due, strict=True):
            factor = self.penalty_every if acts else 0
            self._statistics.add(self._critic_step(real, fake, penalty_factor=factor, rng=rng))
        self._statistics.add(self._generator_step(last, turn.batches[-1].context))
        self._average.follow(average_weight)

    def _critic_step(
        self, real: Batch, fake: Tensor, *, penalty_factor: float, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return critic_step(
            self.critic,
            self._critic_optimizer,
            real=packed(real.samples, self.pack),
            fake=packed(fake, self.pack),
            objective=self.objective,
            constraint=self.constraint,
            rng=rng,
            precision=self._precision,
            penalty_factor=penalty_factor,
            closed_form=self._closed_form,
            processes=self.processes,
            context=self._told(real.context),
        )

    def _generator_step(self, latent: Tensor, context: Tensor | None) -> dict[str, Tensor]:
        return generator_step(
            self.generator,
            self.critic,
            self._generator_optimizer,
            latent=latent,
            objective=self.objective,
            precision=self._precision,
            closed_form=self._closed_form,
            processes=self.processes,
            context=self._told(context),
            pack=self.pack,
        )

    def _told(self, context: Tensor | None) -> Tensor | None:
        """What the critic is told of the conditions (n, k): those of a whole pack."""
        return None if context is None else packed(context, self.pack)

    def _at_hand(self, context: Tensor | None) -> Tensor | None:
        return None if context is None else context.to(self.device, non_blocking=True)

    def _scored(self, batch: Batch, places: Tensor) -> tuple[Tensor, Tensor | None]:
        """Some samples of a batch, on the device, as the critic is given them."""
        context = None if batch.context is None else batch.context[places]
        return packed(batch.samples[places].to(self.device), self.pack), self._told(self._at_hand(context))

    def _latent(self, context: Tensor | None) -> Tensor:
        return under(context, self._latent_rng.normal_rows(self.batch_size // self.processes.count, self.latent_dim))

    def _set_rates(self) -> None:
        factor = self._rate_factor(self.step) * self.rate_scale
        for optimizer, rate in zip((self._generator_optimizer, self._critic_optimizer), self._base_rates, strict=True):
            optimizer.rate = rate * factor

    def _heldout_measurements(self) -> Record:
        """Held-out gap and slopes; draws from a stream of its own, so that training does not notice."""
        rng = derived_rng(self._seed, "measurement", device=self.device)
        count = len(self._heldout.samples)
        # Whole packs; of fewer samples than a pack holds, some twice.
        places = torch.arange(max(count - count % self.pack, self.pack)) % count
        real, told = self._scored(self._heldout, places)
        latent = torch.randn(len(places), self.latent_dim, generator=rng, device=self.device)
        context = None if self._heldout.context is None else self._at_hand(self._heldout.context[places])
        with torch.no_grad(), evaluating(self.generator), evaluating(self.critic):
            fake = packed(self.generator(under(context, latent)), self.pack)
            real_scores, fake_scores = score_both(self.critic, real, fake, told)
        with evaluating(self.critic):
            slopes = input_slopes(critic_given(self.critic, told), points_between(real, fake, rng))
        return {
            "critic_gap_heldout": critic_gap(real_scores, fake_scores).item(),
            "slope_mean": slopes.mean().item(),
            "slope_max": slopes.max().item(),
        }

    def forget_statistics(self) -> None:
        """Start the means afresh without reading them, as the processes do that do not log."""
        self._statistics.read()

    def _settle(self) -> None:
        """Bring all processes to one state, whole and sound, that process 0 may hand on."""
        self._statistics.average(self.processes.average)
        with self.processes.together():
            self._require_finite()
        self.processes.require_equal(self.step, self.generator, self.critic, self.averaged_generator)

    def _require_finite(self) -> None:
        """Raise a DivergedError that names what stopped being finite since the last tick, if anything did."""
        broken = [name for name, value in self._statistics.peek().items() if not torch.isfinite(value)]
        # The last update may have broken weights that no logged loss has met yet.
        for name, network in (("generator weights", self.generator), ("critic weights", self.critic)):
            if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
                broken.append(name)
        if broken:
            rates = [rate * self.rate_scale * self._rate_factor(self.step) for rate in self._base_rates]
            recipe = Recipe(rates[0], rates[1], self.precision, self.constraint.name)
            raise diagnosis(self.step, broken, self.source, recipe)

    def _count_time(self, stopwatch: "Stopwatch") -> None:
        """Add the stretch of training that just ended; it enters the speed unless it belongs to the warm-up."""
        stretch, seconds = stopwatch.lap(self.step)
        self.seconds += seconds
        if self.step > stopwatch.warm_up_until:
            self._timed = (self._timed[0] + stretch, self._timed[1] + seconds)

    @contextmanager
    def _ambient_randomness(self) -> Iterator[None]:
        """Run with a global random state of this step and process (dropout in a user's module draws from it)."""
        outside = torch.get_rng_state()
        seed = derived_seed(self._seed, "ambient", self.step, self.processes.rank)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(outside)


class Stopwatch:
    """Steps and seconds between two readings."""

    def __init__(self, *, warm_up_until: int) -> None:
        self.warm_up_until = warm_up_until
        self.start(warm_up_until - WARM_UP_STEPS)

    def start(self, step: int) -> None:
        """Start a stretch at a step."""
        self._step, self._time = step, time.perf_counter()

    def lap(self, step: int) -> tuple[int, float]:
        """End a stretch and start the next: its steps and seconds."""
        now = time.perf_counter()
        stretch = (step - self._step, now - self._time)
        self._step, self._time = step, now
        return stretch
