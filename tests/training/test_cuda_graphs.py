"""Recorded turns against turns that are taken one by one."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from wassergan.constraints import GradientPenalty
from wassergan.networks import MLPCritic, MLPGenerator
from wassergan.training import Trainer, lr_schedule
from wassergan.training.augment import Augmentation
from wassergan.training.cuda_graphs import MOST_RECORDS, WARM_UPS, CudaRecorder, why_not_recorded
from wassergan.training.distributed import SINGLE_PROCESS, DistributedContext

MakeTrainer = Callable[..., Trainer]


class Tape(TorchDispatchMode):
    """Records operations on tensors as a CUDA graph does kernels: Python's own part of the work is not repeated.

    Every operation is repeated on the tensors of the first time, and its result put where it was then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorded = self.replayed = 0
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def warm_up(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        operations: list[tuple[Any, Any, Any, Any]] = []
        self._operations = operations
        with self:
            work()
        self.recorded += 1

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            for operation, given, named, made in operations:
                again = operation(*given, **named)
                if not operation._schema.is_mutable:
                    for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                        if isinstance(old, Tensor):
                            old.copy_(new)

        return replay

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Shapes as they are now: an operation in place may change a tensor's own.
        given, named = tree_map_only(Tensor, torch.Tensor.detach, (args, kwargs or {}))
        made = func(*args, **(kwargs or {}))
        views = any(each.alias_info is not None for each in func._schema.returns)
        if (func._schema.is_mutable and torch.Tag.inplace_view not in func.tags) or not views:
            self._operations.append((func, given, named, tree_map_only(Tensor, torch.Tensor.detach, made)))
        return made


def same(one: Trainer, other: Trainer) -> None:
    """Weights, average, optimisers, statistics and random states, to the last bit."""
    states = [trainer.state_dict() for trainer in (one, other)]
    for state in states:
        for clock in ("seconds", "elapsed_seconds", "timed"):
            state.pop(clock)
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def resumed(trainer: Trainer, fresh: Trainer) -> Trainer:
    fresh.load_state_dict(trainer.state_dict())
    return fresh


CASES = [
    *(("mlp", constraint, {}) for constraint in ("clip", "gp", "lp", "sn", "orthogonal")),
    *(("conv", constraint, {}) for constraint in ("clip", "gp", "lp", "sn")),
    ("resnet", "gp", {}),
    ("mlp", "none", {"objective": "nonsaturating"}),
    ("mlp", "gp", {"penalty_every": 2}),
    ("mlp", "gp", {"precision": "bf16"}),
    ("conv", "gp", {"precision": "bf16"}),
    ("mlp", "lp", {"pack": 2}),
    ("mlp", "gp", {"share_fakes": True, "critic_steps": 1}),
    ("conv", "lp", {"share_fakes": True}),
    ("conv", "lp", {"augmentation": Augmentation(("translate", "cutout", "color"), mirrors_data=True)}),
    ("mlp", "clip", {"optimizer": "rmsprop"}),
    ("conv", "lp", {"equalized": True}),
]


@pytest.fixture
def make(make_trainer: MakeTrainer) -> MakeTrainer:
    """Trainers whose rates and average change from step to step."""

    def made(network: str, constraint: str, options: dict[str, Any], **more: Any) -> Trainer:
        return make_trainer(
            network=network,
            constraint=constraint,
            **{"critic_steps": 3} | options | more,
            lr_factor=lr_schedule("inverse_sqrt", horizon_steps=4),
            average_half_life_samples=100,
            average_ramp=0.5,
        )

    return made


@pytest.mark.parametrize(("network", "constraint", "options"), CASES)
def test_replayed_steps_are_the_eager_ones_to_the_last_bit(
    make: MakeTrainer, network: str, constraint: str, options: dict[str, Any]
) -> None:
    tape = Tape()
    eager, replayed = make(network, constraint, options), make(network, constraint, options, recorder=tape)
    told: list[list[dict[str, float]]] = [[], []]
    for trainer, records in zip((eager, replayed), told, strict=True):
        trainer.train(
            steps=24,
            tick_due=lambda step: step % 7 == 0,
            on_tick=lambda trainer, records=records: records.append(trainer.read_statistics()),  # type: ignore[misc]
        )
    same(eager, replayed)
    assert tape.recorded == options.get("penalty_every", 1)
    assert tape.replayed == 24 - tape.recorded * (WARM_UPS + 1)
    for one, other in zip(*told, strict=True):
        for name in ("real_mean", "fake_mean", "generator_loss", "critic_gap_heldout"):
            assert one.get(name) == other.get(name)


@pytest.mark.parametrize(("network", "constraint"), [("mlp", "gp"), ("conv", "sn"), ("mlp", "clip")])
def test_a_run_is_resumed_bit_for_bit_with_and_without_recording(
    make: MakeTrainer, network: str, constraint: str
) -> None:
    whole = make(network, constraint, {})
    whole.train(steps=20, tick_due=lambda step: False)
    for first, second in ((Tape(), Tape()), (Tape(), None), (None, Tape())):
        half = make(network, constraint, {}, recorder=first)
        half.train(steps=9, tick_due=lambda step: False)
        rest = resumed(half, make(network, constraint, {}, recorder=second))
        rest.train(steps=20, tick_due=lambda step: False)
        same(whole, rest)


def test_a_state_that_is_loaded_into_a_trainer_that_has_recorded_is_followed(make: MakeTrainer) -> None:
    whole, half = make("mlp", "gp", {}), make("mlp", "gp", {}, recorder=Tape())
    whole.train(steps=7, tick_due=lambda step: False)
    half.train(steps=12, tick_due=lambda step: False)  # goes on past the place to which it is set back
    half.load_state_dict(copy.deepcopy(whole.state_dict()))
    for trainer in (whole, half):
        trainer.train(steps=15, tick_due=lambda step: False)
    same(whole, half)


def test_turns_beyond_the_largest_number_of_records_are_taken_as_they_are(make: MakeTrainer) -> None:
    tape, options = Tape(), {"critic_steps": 9, "penalty_every": MOST_RECORDS + 2}
    eager, replayed = make("mlp", "gp", options), make("mlp", "gp", options, recorder=tape)
    for trainer in (eager, replayed):
        trainer.train(steps=5 * (MOST_RECORDS + 2), tick_due=lambda step: False)
    same(eager, replayed)
    assert tape.recorded == MOST_RECORDS


class Refusing(Tape):
    """Fails when Python has done all of its part of the work, and no tensor was written to."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        with self:
            work()
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:
            return args[0] if func._schema.returns else None
        return func(*args, **(kwargs or {}))


def test_where_recording_fails_training_goes_on_as_if_nothing_had_been_and_says_so_once(make: MakeTrainer) -> None:
    told: list[str] = []
    eager = make("mlp", "gp", {})
    fallen = make("mlp", "gp", {}, recorder=Refusing(), log=told.append)
    for trainer in (eager, fallen):
        trainer.train(steps=20, tick_due=lambda step: False)
    same(eager, fallen)
    assert told == [
        "CUDA graphs are off: the steps cannot be recorded (operation not permitted when stream is capturing)"
    ]


class OwnPenalty(GradientPenalty):
    """Might draw anything."""


def test_what_draws_numbers_of_its_own_is_not_recorded(make_trainer: MakeTrainer) -> None:
    generator, critic = MLPGenerator(3, (4,), head=nn.Identity(), widths=(5,)), MLPCritic((4,), widths=(5,))
    assert why_not_recorded(generator, critic, GradientPenalty(), SINGLE_PROCESS) is None
    assert why_not_recorded(generator, critic, GradientPenalty(), DistributedContext(count=2)) == (
        "several processes train together"
    )
    assert (
        why_not_recorded(generator, critic, OwnPenalty(), SINGLE_PROCESS)
        == "OwnPenalty may draw random numbers of its own"
    )
    dropping = nn.Sequential(critic, nn.Dropout(0.5))
    for networks in ((generator, dropping), (dropping, critic)):
        reason = why_not_recorded(*networks, GradientPenalty(), SINGLE_PROCESS)  # type: ignore[call-arg]
        assert reason == "Dropout draws random numbers of its own"
    assert (
        why_not_recorded(nn.Sequential(generator, nn.Dropout(0.0)), critic, GradientPenalty(), SINGLE_PROCESS) is None
    )
    told: list[str] = []
    tape = Tape()
    trainer = make_trainer(constraint=OwnPenalty(), recorder=tape, log=told.append)
    trainer.train(steps=8, tick_due=lambda step: False)
    assert told == ["CUDA graphs are off: OwnPenalty may draw random numbers of its own."]
    assert tape.recorded == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("network", "constraint", "options"), CASES)
def test_cuda_graphs_train_as_eager_steps_do(
    make: MakeTrainer, network: str, constraint: str, options: dict[str, Any]
) -> None:
    device, told = torch.device("cuda"), []  # type: ignore[var-annotated]
    eager = make(network, constraint, options, device=device)
    graphed = make(network, constraint, options, device=device, recorder=CudaRecorder(device), log=told.append)
    for trainer in (eager, graphed):
        trainer.train(steps=24, tick_due=lambda step: False)
    assert not told or constraint == "orthogonal"
    assert torch.equal(eager._inputs._latent_rng.get_state(), graphed._inputs._latent_rng.get_state())
    assert torch.equal(eager._runner._penalty_rng.get_state(), graphed._runner._penalty_rng.get_state())
    for one, other in zip(eager.averaged_generator.parameters(), graphed.averaged_generator.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
