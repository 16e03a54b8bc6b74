import copy
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import Clipping, GradientPenalty, LipschitzPenalty, get_constraint
from wassergan.data import Source
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError, WorkError
from wassergan.networks import MLPGenerator
from wassergan.objectives import get_objective
from wassergan.training import Trainer, lr_schedule, sample_chunks, step_runner
from wassergan.training.optimizers import FusedAdam

MakeTrainer = Callable[..., Trainer]
NEVER = lambda step: False  # noqa: E731


def weights(trainer: Trainer) -> dict[str, Tensor]:
    networks = {"generator": trainer.generator, "critic": trainer.critic, "average": trainer.averaged_generator}
    return {
        f"{owner}.{name}": value.clone()
        for owner, network in networks.items()
        for name, value in network.state_dict().items()
    }


def assert_equal_weights(one: Trainer, other: Trainer) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


def resumed(trainer: Trainer, make: Callable[[], Trainer]) -> Trainer:
    """A fresh trainer that took over the state by way of bytes, as a checkpoint does."""
    import io

    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    other = make()
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


class CountingSource(Source):
    """Keeps which training positions were asked for."""

    batches: list[list[int]]

    @classmethod
    def of(cls, source: Source) -> "CountingSource":
        counting = cls(source.name, source.kind, source.shape, source.reader, source.codec, source.split)
        object.__setattr__(counting, "batches", [])
        return counting

    def train(self, positions: Tensor) -> Tensor:
        self.batches.append(positions.tolist())
        return super().train(positions)


def calls(network: nn.Module) -> list[Tensor]:
    """What the network is called with, from now on, in training mode."""
    seen: list[Tensor] = []
    network.register_forward_hook(lambda module, given, out: seen.append(given[0].clone()) if module.training else None)
    return seen


def after_each_step(optimizer: FusedAdam, note: Callable[[], None]) -> None:
    step = optimizer.step

    def noted() -> None:
        step()
        note()

    optimizer.step = noted  # type: ignore[method-assign]


def identity(size: int) -> nn.Module:
    """What makes latent vectors of themselves."""
    same = nn.Linear(size, size, bias=False).eval()
    with torch.no_grad():
        same.weight.copy_(torch.eye(size))
    return same


def count_steps(optimizer: FusedAdam) -> list[int]:
    steps: list[int] = []
    after_each_step(optimizer, lambda: steps.append(1))
    return steps


# Loop: the same real batch for all critic steps; n_critic counted per epoch or given to the wrong network.
@pytest.mark.parametrize("critic_steps", [1, 3, 5])
def test_each_generator_step_has_its_own_critic_steps_on_distinct_real_batches_over_three_epochs(
    make_source: Callable[..., Source], make_trainer: MakeTrainer, critic_steps: int
) -> None:
    source = CountingSource.of(make_source(count=200, heldout=0.4))  # 120 training samples: 15 batches of 8
    trainer = make_trainer(source=source, critic_steps=critic_steps)
    critic_updates, generator_updates = (
        count_steps(optimizer)
        for optimizer in (trainer._runner._critic_optimizer, trainer._runner._generator_optimizer)
    )
    seen: list[tuple[int, int, int]] = []
    trainer.train(
        steps=45 // critic_steps,
        tick_due=NEVER,
        on_step=lambda t: seen.append((len(source.batches), len(critic_updates), len(generator_updates))),
    )
    assert seen == [(critic_steps * n, critic_steps * n, n) for n in range(1, 45 // critic_steps + 1)]
    for first in range(0, 45, critic_steps):
        group = source.batches[first : first + critic_steps]
        assert len({tuple(sorted(batch)) for batch in group}) == critic_steps
    served = [position for batch in source.batches for position in batch]
    for epoch in range(3):
        assert sorted(served[120 * epoch : 120 * (epoch + 1)]) == list(range(120))


# Loop: the same noise for critic and generator.
def test_every_step_has_fresh_noise(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(critic_steps=3)
    seen = calls(trainer.generator)
    trainer.train(steps=5, tick_due=NEVER)
    assert [len(each) for each in seen] == [24, 8] * 5  # three critic steps in one pass, then the generator's
    flat = torch.cat(seen)
    assert len(flat.unique(dim=0)) == len(flat) == 5 * 4 * 8
    assert abs(flat.mean()) < 0.2 and abs(flat.std() - 1) < 0.15


# Clipping: the generator meets a clipped critic.
def test_the_generator_always_meets_a_clipped_critic(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(constraint=Clipping(0.01), lr=10.0)
    largest: list[float] = []
    step = step_runner.generator_step  # type: ignore[attr-defined]

    def look(generator: nn.Module, critic: nn.Module, *rest: Any, **named: Any) -> dict[str, torch.Tensor]:
        largest.append(max(parameter.abs().max().item() for parameter in critic.parameters()))
        return step(generator, critic, *rest, **named)

    monkeypatch.setattr(step_runner, "generator_step", look)
    trainer.train(steps=4, tick_due=NEVER)
    assert largest == [pytest.approx(0.01)] * 4


# Loop: learning-rate schedule stepped per critic step; lost on resume.
def test_rates_follow_the_generator_step_and_survive_a_resume(make_trainer: MakeTrainer) -> None:
    def make() -> Trainer:
        return make_trainer(lr=1e-2, lr_factor=lr_schedule("linear", horizon_steps=10), critic_steps=5)

    def lrs(trainer: Trainer, steps: int) -> list[float]:
        seen: list[float] = []

        def note() -> None:
            seen.append(trainer._runner._generator_optimizer.lr)
            seen.append(trainer._runner._critic_optimizer.lr)

        after_each_step(trainer._runner._critic_optimizer, note)
        trainer.train(steps=steps, tick_due=NEVER)
        return seen

    trainer = make()
    first = lrs(trainer, 3)
    rest = lrs(resumed(trainer, make), 6)
    expected = [1e-2 * (1 - step / 10) for step in range(6) for _ in range(10)]
    assert first + rest == pytest.approx(expected)


def test_a_sparse_penalty_acts_on_every_kth_critic_step_across_generator_steps_and_resumes(
    make_trainer: MakeTrainer,
) -> None:
    class Counting(GradientPenalty):
        def penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
            acted.append(len(critic_updates))
            return super().penalty(critic, real, fake, rng)

    def make() -> Trainer:
        return make_trainer(constraint=Counting(), critic_steps=3, penalty_every=2)

    def train(trainer: Trainer, steps: int) -> None:
        after_each_step(trainer._runner._critic_optimizer, lambda: critic_updates.append(1))
        trainer.train(steps=steps, tick_due=NEVER)

    acted: list[int] = []
    critic_updates: list[int] = []
    half = make()
    train(half, 3)
    rest = resumed(half, make)
    train(rest, 6)
    assert acted == list(range(0, 18, 2))
    whole = make()
    train(whole, 6)
    assert_equal_weights(whole, rest)


@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("constraint", ["clip", "gp", "lp", "sn", "orthogonal"])
def test_bfloat16_follows_float32_for_every_constraint_and_network(
    make_trainer: MakeTrainer, network: str, constraint: str
) -> None:
    if (network, constraint) == ("resnet", "orthogonal"):
        pytest.skip("orthogonal weights refuse residual blocks that they cannot bound")
    norm = "none" if constraint in ("sn", "orthogonal") else None
    gaps = []
    for precision in ("float32", "bf16"):
        trainer = make_trainer(network=network, constraint=constraint, critic_norm=norm, precision=precision, lr=1e-4)
        trainer.train(steps=6, tick_due=NEVER)
        assert all(parameter.dtype == torch.float32 for parameter in trainer.critic.parameters())
        record = trainer.read_statistics()
        gaps.append((record["real_mean"], record["fake_mean"]))
    assert gaps[1] == pytest.approx(gaps[0], abs=0.05 + 0.05 * max(map(abs, gaps[0])))


# Loop: memory that grows step by step.
def test_no_tensor_is_left_behind_by_a_step(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(constraint="gp")

    def living() -> int:
        gc.collect()
        return sum(issubclass(type(each), Tensor) for each in gc.get_objects())

    trainer.train(steps=5, tick_due=NEVER)
    before = living()
    trainer.train(steps=40, tick_due=NEVER)
    assert living() <= before


# Resume: anything missing of networks, averages, optimisers, schedule, random states, position, step.
RESUMED = [
    *(
        (network, constraint, "wasserstein")
        for network in ("mlp", "conv", "resnet")
        for constraint in ("clip", "gp", "lp", "sn")
    ),
    *((network, "none", "nonsaturating") for network in ("mlp", "conv", "resnet")),
    *((network, "lp", "shared") for network in ("mlp", "conv")),
]


@pytest.mark.parametrize(("network", "constraint", "objective"), RESUMED)
@pytest.mark.parametrize("previews", [True, False])
def test_2n_steps_are_n_steps_and_a_resume_and_n_steps_bit_for_bit(
    make_trainer: MakeTrainer, network: str, constraint: str, objective: str, previews: bool
) -> None:
    def make() -> Trainer:
        return make_trainer(
            network=network,
            constraint=constraint,
            objective="wasserstein" if objective == "shared" else objective,
            share_fakes=objective == "shared",
            lr_factor=lr_schedule("inverse_sqrt", horizon_steps=3),
            average_half_life_samples=100,
            average_ramp=0.5,
        )

    def look(trainer: Trainer) -> None:
        trainer.read_statistics()
        if previews:
            trainer.sample(5)

    whole, half = make(), make()
    whole.train(steps=14, tick_due=lambda step: step % 5 == 0, on_tick=look)
    half.train(steps=7, tick_due=lambda step: step % 3 == 0, on_tick=look)
    rest = resumed(half, make)
    assert rest.step == 7
    rest.train(steps=14, tick_due=NEVER, on_tick=look)
    assert_equal_weights(whole, rest)
    for one, other in (
        (whole._runner._generator_optimizer, rest._runner._generator_optimizer),
        (whole._runner._critic_optimizer, rest._runner._critic_optimizer),
    ):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_resuming_keeps_the_optimisers_memory(make_trainer: MakeTrainer, optimizer: str) -> None:
    def make() -> Trainer:
        return make_trainer(optimizer=optimizer, critic_steps=1)

    whole, half = make(), make()
    whole.train(steps=4, tick_due=NEVER)
    half.train(steps=2, tick_due=NEVER)
    rest = resumed(half, make)
    rest.train(steps=4, tick_due=NEVER)
    assert_equal_weights(whole, rest)


class Dropping(nn.Module):
    """A user's critic that draws from the global random state."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.LeakyReLU(), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, samples: Tensor) -> Tensor:
        return self.body(samples)


def dropping_networks() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLPGenerator(3, (1, 8, 8), head=nn.Tanh(), widths=(8,)), Dropping()


def test_a_module_that_draws_from_the_global_state_resumes_bit_for_bit_too(make_trainer: MakeTrainer) -> None:
    def make() -> Trainer:
        return make_trainer(networks=dropping_networks())

    whole, half = make(), make()
    whole.train(steps=6, tick_due=NEVER)
    half.train(steps=3, tick_due=NEVER)
    torch.rand(5)  # whatever else the process draws
    rest = resumed(half, make)
    rest.train(steps=6, tick_due=NEVER)
    assert_equal_weights(whole, rest)


def test_statistics_go_on_over_a_resume(make_trainer: MakeTrainer) -> None:
    whole, half = make_trainer(), make_trainer()
    whole.train(steps=6, tick_due=NEVER)
    half.train(steps=2, tick_due=NEVER)
    rest = resumed(half, make_trainer)
    rest.train(steps=6, tick_due=NEVER)
    one, other = whole.read_statistics(), rest.read_statistics()
    for name in (
        "critic_gap",
        "penalty",
        "generator_loss",
        "real_mean",
        "critic_gap_heldout",
        "gradient_norm_max",
        "step",
    ):
        assert one[name] == other[name], name


def test_seconds_go_on_over_a_resume(make_trainer: MakeTrainer) -> None:
    half = make_trainer()
    half.train(steps=15, tick_due=NEVER)
    rest = resumed(half, make_trainer)
    assert (rest.seconds, rest.elapsed_seconds, rest.steps_per_second) == (
        half.seconds,
        half.elapsed_seconds,
        half.steps_per_second,
    )
    rest.train(steps=16, tick_due=NEVER)
    assert rest.seconds > half.seconds > 0 and rest.elapsed_seconds > half.elapsed_seconds


@pytest.mark.parametrize("missing", ["critic", "latent_rng", "batches", "step", "critic_optimizer", "timed"])
def test_a_state_with_a_hole_is_refused(make_trainer: MakeTrainer, missing: str) -> None:
    trainer = make_trainer()
    state = trainer.state_dict()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        trainer.load_state_dict(state)


# Same seed, same weights.
def test_equal_seeds_give_equal_weights_and_other_seeds_others(make_trainer: MakeTrainer) -> None:
    trainers = [make_trainer(seed=seed) for seed in (0, 0, 1)]
    for trainer in trainers:
        trainer.train(steps=4, tick_due=NEVER)
    assert_equal_weights(trainers[0], trainers[1])
    left, right = weights(trainers[0]), weights(trainers[2])
    assert all(not torch.equal(left[name], right[name]) for name in left if name.endswith("weight"))


def test_building_training_looking_and_sampling_leave_the_global_random_state_alone(make_trainer: MakeTrainer) -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    trainer = make_trainer(networks=dropping_networks())
    trainer.train(steps=3, tick_due=lambda step: True, on_tick=lambda t: (t.read_statistics(), t.sample(5)) and None)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state[1] == np.random.get_state()[1]).all()


# Generator and sampling: drawing previews shifts the training randomness.
def test_looking_and_drawing_on_the_way_do_not_change_the_weights(make_trainer: MakeTrainer) -> None:
    def look(trainer: Trainer) -> None:
        trainer.read_statistics()
        trainer.sample(20, seed=4)
        torch.rand(3)

    # A penalty that is never 0, so that a shifted stream shows in the weights.
    watched, alone = (make_trainer(networks=dropping_networks(), constraint="gp") for _ in range(2))
    watched.train(steps=6, tick_due=lambda step: True, on_tick=look, on_step=lambda t: look(t))
    alone.train(steps=6, tick_due=NEVER)
    assert_equal_weights(watched, alone)


def test_looking_leaves_running_statistics_and_modes_alone(
    make_source: Callable[..., Source], make_trainer: MakeTrainer
) -> None:
    source = make_source((1, 16, 16))
    trainer = make_trainer(
        source=source, network="conv", constraint="none", objective="nonsaturating", critic_norm="batch"
    )
    assert any("critic" in name and "running_mean" in name for name in weights(trainer))
    trainer.train(steps=2, tick_due=NEVER)
    before = weights(trainer)
    trainer.read_statistics()
    trainer.sample(5)
    after = weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert trainer.generator.training and trainer.critic.training


# Sampling in train mode: sample(z)[i] is the same for any split into batches.
def test_samples_do_not_depend_on_how_they_are_batched(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(network="conv", maps=4)
    trainer.train(steps=3, tick_due=NEVER)
    same = identity(3)
    for generator in (trainer.averaged_generator, trainer.generator):  # the second is in training mode
        together = torch.cat(list(sample_chunks(generator, 1500, latent_dim=3, seed=2)))
        first = torch.cat(list(sample_chunks(generator, 3, latent_dim=3, seed=2)))
        torch.testing.assert_close(first, together[:3], rtol=0, atol=1e-5)
        (latent,) = sample_chunks(same, 5, latent_dim=3, seed=2)
        with torch.no_grad():
            alone = torch.cat([copy.deepcopy(generator).eval()(latent[i : i + 1]) for i in range(5)])
        torch.testing.assert_close(alone, together[:5], rtol=0, atol=1e-5)
    assert trainer.generator.training


def test_sampling_seeds_are_their_own_and_nothing_may_be_asked_for(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    assert torch.equal(trainer.sample(4, seed=1), trainer.sample(4, seed=1))
    assert not torch.equal(trainer.sample(4, seed=1), trainer.sample(4, seed=2))
    assert list(sample_chunks(trainer.generator, 0, latent_dim=3, seed=0)) == []


# Critic: "WGAN" with no constraint at all.
def test_an_unconstrained_wasserstein_critic_is_refused_with_the_reason(make_trainer: MakeTrainer) -> None:
    with pytest.raises(
        UserError, match=r"wasserstein objective needs a Lipschitz critic.*constraint=.lp., gp, sn, orthogonal or clip"
    ):
        make_trainer(constraint="none")
    make_trainer(constraint="none", objective="hinge")


def test_batch_norm_in_a_penalised_critic_is_refused(
    make_source: Callable[..., Source], make_trainer: MakeTrainer
) -> None:
    source = make_source((1, 16, 16))
    for constraint in ("gp", "lp", "sn"):
        with pytest.raises(UserError, match="BatchNorm2d .* in the critic"):
            make_trainer(source=source, network="conv", constraint=constraint, critic_norm="batch")
    make_trainer(source=source, network="conv", constraint="clip", critic_norm="batch")


def test_a_user_s_own_modules_are_checked(make_trainer: MakeTrainer) -> None:
    generator, critic = dropping_networks()
    with pytest.raises(UserError, match="Sigmoid, which squashes"):
        make_trainer(networks=(generator, nn.Sequential(critic, nn.Sigmoid())))
    with pytest.raises(UserError, match="do not have the shape of the data"):
        make_trainer(networks=(nn.Linear(3, 64), critic))


def test_unknown_precision_and_a_missing_end_are_refused(make_trainer: MakeTrainer) -> None:
    with pytest.raises(UserError, match=r"Unknown precision: 'bf61'. Did you mean 'bf16'\? Known: float32, bf16"):
        make_trainer(precision="bf61")
    with pytest.raises(UserError, match="Training needs an end. Give steps, a budget, or both"):
        make_trainer().train()


def test_too_few_samples_are_refused(make_source: Callable[..., Source], make_trainer: MakeTrainer) -> None:
    with pytest.raises(UserError, match="Too few samples to train on: 14 training samples for batches of 8"):
        make_trainer(source=make_source(count=20, heldout=0.3))


# A non-finite loss stops the run.
def test_divergence_stops_before_the_next_tick_and_names_what_broke(make_trainer: MakeTrainer) -> None:
    trainer, ticks = make_trainer(constraint="gp", lr=1e30), []  # type: ignore[var-annotated]
    with pytest.raises(
        WorkError, match=r"Training diverged before step \d+: .*(critic_gap|penalty|weights).*not? .*finite|stopped"
    ):
        trainer.train(steps=50, tick_due=lambda step: step % 10 == 0, on_tick=lambda t: ticks.append(t.step))
    assert ticks == [0]


@pytest.mark.parametrize("which", ["generator", "critic"])
def test_weights_that_are_not_finite_are_caught_before_they_are_handed_on(
    make_trainer: MakeTrainer, which: str
) -> None:
    trainer, ticks = make_trainer(), []  # type: ignore[var-annotated]

    def break_it(trainer: Trainer) -> None:
        if trainer.step == 3:  # the losses that were logged are all finite still
            next(getattr(trainer, which).parameters()).data[0, 0] = float("inf")

    with pytest.raises(WorkError, match=f"diverged before step 3: .*{which} weights"):
        trainer.train(steps=3, tick_due=NEVER, on_step=break_it, on_tick=lambda t: ticks.append(t.step))
    assert ticks == []


def test_a_budget_ends_training_and_counts_what_was_spent_before(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    trainer.train(budget_seconds=0.2, tick_due=NEVER)
    assert trainer.step > 0 and trainer.elapsed_seconds >= 0.2
    reached = trainer.step
    trainer.train(budget_seconds=0.2, tick_due=NEVER)
    assert trainer.step == reached


def test_ticks_come_when_due_and_at_the_end_and_interruptions_end_with_one(make_trainer: MakeTrainer) -> None:
    trainer, ticks = make_trainer(), []  # type: ignore[var-annotated]

    def note(trainer: Trainer) -> None:
        ticks.append(trainer.step)

    trainer.train(steps=7, tick_due=lambda step: step % 3 == 0, on_tick=note)
    assert ticks == [0, 3, 6, 7]
    trainer.train(steps=100, tick_due=NEVER, on_tick=note, interrupted=lambda: trainer.step >= 9)
    assert ticks[-1] == 9 == trainer.step


# The names and the meaning of what is logged.
def test_the_record_holds_the_named_values_with_the_penalty_apart(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(constraint="gp")
    trainer.train(steps=3, tick_due=NEVER)
    record = trainer.read_statistics()
    assert set(record) == {
        *(
            "step",
            "seconds",
            "elapsed_seconds",
            "critic_gap",
            "critic_gap_heldout",
            "penalty",
            "real_mean",
            "fake_mean",
        ),
        *("gradient_norm_mean", "gradient_norm_max", "generator_loss", "generator_lr", "critic_lr", "steps_per_second"),
        "samples_per_second",
    }
    assert all(isinstance(value, int | float) for value in record.values())
    assert record["critic_gap"] == pytest.approx(record["real_mean"] - record["fake_mean"], abs=1e-6)
    assert record["penalty"] > 0
    assert 0 < record["gradient_norm_mean"] <= record["gradient_norm_max"]
    assert record["samples_per_second"] == pytest.approx(3 * 2 * 8 / record["seconds"])


def test_held_out_gap_and_slopes_are_those_of_a_known_critic() -> None:
    # Real samples around (3, 4)·10, fakes at 0; the critic is linear with slope 5 along (3, 4).
    values = np.random.default_rng(0).normal(size=(100, 2)) + [30, 40]
    source = array_source(values, scale="array")
    critic, generator = nn.Linear(2, 1), nn.Linear(3, 2)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[3.0, 4.0]]))
        generator.weight.zero_()
        generator.bias.zero_()
    trainer = Trainer(
        generator,
        critic,
        source,
        objective=get_objective("wasserstein"),
        constraint=get_constraint("gp"),
        latent_dim=3,
        batch_size=8,
    )
    record = trainer.read_statistics()
    expected = (source.heldout(torch.arange(10)) @ torch.tensor([3.0, 4.0])).mean().item()
    assert record["critic_gap_heldout"] == pytest.approx(expected, rel=1e-5)
    assert record["gradient_norm_mean"] == pytest.approx(5.0) and record["gradient_norm_max"] == pytest.approx(5.0)


def test_training_separates_real_from_fake_with_a_positive_gap(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(constraint="lp", critic_steps=10, lr=1e-2)
    trainer.train(steps=15, tick_due=NEVER)
    record = trainer.read_statistics()
    assert record["critic_gap"] > 0 and record["critic_gap_heldout"] > 0


@pytest.mark.parametrize(("every", "due"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4]), (4, [0, 4])])
def test_a_lazy_penalty_acts_on_every_so_many_critic_steps_also_after_a_resume(
    make_trainer: MakeTrainer, every: int, due: list[int]
) -> None:
    def build(seen: list[int]) -> Trainer:
        class Watching(LipschitzPenalty):
            def penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
                seen.append(len(steps))
                return super().penalty(critic, real, fake, rng)

        trainer = make_trainer(constraint=Watching(), critic_steps=3, penalty_every=every)
        steps = count_steps(trainer._runner._critic_optimizer)
        return trainer

    whole: list[int] = []
    build(whole).train(steps=2)
    assert whole == due
    first: list[int] = []
    second: list[int] = []
    begun = build(first)
    begun.train(steps=1)
    resumed(begun, lambda: build(second)).train(steps=2)
    assert first + [3 + index for index in second] == due


# A run of seed s has weights made of the numbers that follow from s; samples of seed s must not be drawn with them.
def test_latents_are_not_the_numbers_that_weights_of_the_same_seed_were_made_of() -> None:
    (latents,) = sample_chunks(identity(6), 50, latent_dim=6, seed=3)
    (others,) = sample_chunks(identity(6), 50, latent_dim=6, seed=4)
    straight = torch.randn(5000, generator=torch.Generator().manual_seed(3))
    assert not torch.isin(latents, straight).any()
    assert not torch.isin(latents, others).any()
