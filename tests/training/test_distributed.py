import copy
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.errors import UserError, WorkError
from wassergan.training import DistributedContext, Trainer, open_processes
from wassergan.training.distributed import ProcessGroup, SyncBatchNorm

MakeTrainer = Callable[..., Trainer]
Spawn = Callable[..., list[Any]]
NEVER = lambda step: False  # noqa: E731


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    networks = {"generator": trainer.generator, "critic": trainer.critic, "average": trainer.averaged_generator}
    return {
        f"{owner}.{name}": value.numpy().copy()
        for owner, network in networks.items()
        for name, value in network.state_dict().items()
    }


def assert_close(one: dict[str, Any], other: dict[str, Any], *, atol: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=atol, err_msg=name)


def settled(record: dict[str, float]) -> dict[str, float]:
    """A record without what the clock says."""
    return {name: value for name, value in record.items() if "second" not in name}


CASES = [
    *(
        (network, constraint, "wasserstein", None)
        for network in ("mlp", "conv", "resnet")
        for constraint in ("clip", "gp", "lp", "sn")
    ),
    *((network, "orthogonal", "wasserstein", "none") for network in ("mlp", "conv")),
    *((network, "none", "nonsaturating", None) for network in ("mlp", "conv", "resnet")),
    ("conv", "clip", "wasserstein", "batch"),
    ("conv", "none", "hinge", "batch"),
]


# Processes: penalty gradients left out of the reduction; the same noise and rows on every rank.
@pytest.mark.parametrize(("network", "constraint", "objective", "critic_norm"), CASES)
def test_two_processes_at_half_the_batch_are_one_at_the_whole(
    spawn: Spawn,
    float64: None,
    double_source: Callable[[], Any],
    make_trainer: MakeTrainer,
    network: str,
    constraint: str,
    objective: str,
    critic_norm: str | None,
) -> None:
    def train(processes: DistributedContext) -> tuple[dict[str, np.ndarray], dict[str, float], list[int]]:
        source = double_source()
        trainer = make_trainer(
            source=source,
            network=network,
            constraint=constraint,
            objective=objective,
            critic_norm=critic_norm,
            penalty_every=2 if constraint == "lp" else 1,
            average_half_life_samples=100,
            average_ramp=0.5,
            processes=processes,
        )
        records: list[dict[str, float]] = []
        trainer.train(steps=6, tick_due=lambda step: step == 4, on_tick=lambda t: records.append(t.read_statistics()))
        return weights(trainer), settled(records[0]), source.positions

    alone, record, positions = train(DistributedContext())
    (first, first_record, first_half), (second, second_record, second_half) = spawn(train)
    assert_close(first, alone, atol=1e-6)
    assert all((first[name] == second[name]).all() for name in first)
    assert_close(first_record, record, atol=1e-6)
    assert_close(second_record, record, atol=1e-6)
    # Each read its own rows and no others: the first half of every batch of 8, and the second.
    batches = np.array(positions).reshape(-1, 8)
    assert first_half == batches[:, :4].flatten().tolist() and second_half == batches[:, 4:].flatten().tolist()


def test_three_processes_are_one_too_and_average_what_they_log(
    spawn: Spawn, float64: None, double_source: Callable[[], Any], make_trainer: MakeTrainer
) -> None:
    def train(processes: DistributedContext) -> dict[str, np.ndarray]:
        trainer = make_trainer(source=double_source(), constraint="gp", batch_size=12, processes=processes)
        trainer.train(steps=4, tick_due=NEVER)
        return weights(trainer)

    alone = train(DistributedContext())
    for each in spawn(train, count=3):
        assert_close(each, alone, atol=1e-6)


# Resume with another number of processes.
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 2)])
def test_a_state_goes_on_with_another_number_of_processes(
    spawn: Spawn, float64: None, double_source: Callable[[], Any], make_trainer: MakeTrainer, before: int, after: int
) -> None:
    def make(processes: DistributedContext) -> Trainer:
        return make_trainer(source=double_source(), constraint="gp", processes=processes)

    def begin(processes: DistributedContext) -> dict[str, Any]:
        trainer, states = make(processes), []  # type: ignore[var-annotated]
        # Saved on the way, between two ticks, as the time asks for: by one process, for all.
        trainer.train(
            steps=6,
            tick_due=NEVER,
            save_due=lambda: processes.rank == 0 and trainer.step == 3,
            on_save=lambda t: states.append(copy.deepcopy(t.state_dict())),
        )
        assert len(states) == 1
        return states[0]

    def go_on(processes: DistributedContext) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        trainer, records = make(processes), []  # type: ignore[var-annotated]
        trainer.load_state_dict(state)
        trainer.train(steps=6, tick_due=NEVER, on_tick=lambda t: records.append(settled(t.read_statistics())))
        return weights(trainer), records[0]

    whole = make(DistributedContext())
    whole.train(steps=6, tick_due=NEVER)
    state = spawn(begin, count=before)[0] if before > 1 else begin(DistributedContext())
    expected = settled(whole.read_statistics())
    for reached, record in spawn(go_on, count=after) if after > 1 else [go_on(DistributedContext())]:
        assert_close(reached, weights(whole), atol=1e-6)
        assert_close(record, expected, atol=1e-6)  # means over the steps before the cut too


def test_every_process_starts_from_the_weights_of_the_first(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        trainer = make_trainer(constraint="sn", processes=processes)
        if processes.rank == 1:
            with torch.no_grad():
                for parameter in (*trainer.generator.parameters(), *trainer.critic.parameters()):
                    parameter.add_(1)
        trainer.train(steps=1, tick_due=NEVER)
        return weights(trainer), weights(make_trainer(constraint="sn"))

    (first, _), (second, _) = spawn(train)
    assert all((first[name] == second[name]).all() for name in first)


# Weights that drift apart are found at the next tick.
def test_weights_that_differ_are_found_at_the_next_tick(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> list[int]:
        ticks: list[int] = []

        def nudge(trainer: Trainer) -> None:
            if processes.rank == 1 and trainer.step == 3:
                weight = next(trainer.critic.parameters()).data
                weight.copy_(torch.nextafter(weight, weight + 1))

        trainer = make_trainer(processes=processes)
        trainer.train(
            steps=9, tick_due=lambda step: step % 2 == 0, on_step=nudge, on_tick=lambda t: ticks.append(t.step)
        )
        return ticks

    (kind, message), (other_kind, _) = spawn(train)
    assert (kind, other_kind) == ("WorkError", "ElsewhereError")
    assert message.startswith(
        "The processes no longer hold the same weights at step 4: 1 of processes 0 to 1 differ from process 0."
    )


def test_training_that_diverges_is_told_once(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> None:
        make_trainer(constraint="gp", lr=1e30, processes=processes).train(steps=20, tick_due=lambda s: s % 5 == 0)

    (kind, message), (other_kind, _) = spawn(train)
    assert (kind, other_kind) == ("DivergedError", "ElsewhereError") and message.startswith("Training diverged")


def test_an_interruption_of_one_stops_all_at_the_same_step_with_a_tick(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> list[int]:
        ticks: list[int] = []
        trainer = make_trainer(processes=processes)
        trainer.train(
            steps=50,
            tick_due=NEVER,
            on_tick=lambda t: ticks.append(t.step),
            interrupted=lambda: processes.rank == 1 and trainer.step == 7,
        )
        return ticks

    assert spawn(train) == [[7], [7]]


def test_a_budget_ends_all_at_the_same_step(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> int:
        trainer = make_trainer(processes=processes)
        trainer.elapsed_seconds = 0.5 * processes.rank  # their clocks differ
        trainer.train(budget_seconds=0.9, tick_due=NEVER)
        return trainer.step

    first, second = spawn(train)
    assert first == second > 0


def test_an_error_of_one_is_raised_by_it_and_ends_the_others(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> None:
        def tick(trainer: Trainer) -> None:
            if processes.rank == 0 and trainer.step == 2:
                raise WorkError("The disk is full")

        make_trainer(processes=processes).train(steps=4, tick_due=lambda step: True, on_tick=tick)

    assert spawn(train) == [("WorkError", "The disk is full."), ("ElsewhereError", "Process 0 stopped.")]


def test_the_lowest_process_that_failed_speaks(spawn: Spawn) -> None:
    def fail(processes: DistributedContext) -> None:
        with processes.raise_together():
            if processes.rank > 0:
                raise UserError(f"{processes.rank} does not like it")

    told = spawn(fail, count=3)
    assert told[1] == ("UserError", "1 does not like it.")
    assert told[0] == told[2] == ("ElsewhereError", "Process 1 stopped.")


def test_what_the_first_finds_reaches_all(spawn: Spawn) -> None:
    def ask(processes: DistributedContext) -> tuple[Any, ...]:
        found: dict[str, Any] = processes.on_rank_zero(lambda: {"rank": processes.rank, "values": torch.arange(3)})
        return found["rank"], found["values"].tolist(), processes.any_of(processes.rank == 1, False, True)

    assert spawn(ask) == [(0, [0, 1, 2], (True, False, True))] * 2


def test_a_process_that_is_lost_is_told_by_the_others(spawn: Spawn, make_trainer: MakeTrainer) -> None:
    def train(processes: DistributedContext) -> None:
        def die(trainer: Trainer) -> None:
            if processes.rank == 1 and trainer.step == 3:
                os._exit(9)

        make_trainer(processes=processes).train(steps=50, tick_due=NEVER, on_step=die)

    (kind, message), nothing = spawn(train)
    assert nothing is None and kind == "WorkError"
    assert message.startswith("Another process of the run was lost") and "--max-restarts" in message


def test_each_process_draws_its_own_global_random_numbers_and_goes_on_with_them(
    spawn: Spawn, make_trainer: MakeTrainer
) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(64, 1)

        def forward(self, samples: Tensor) -> Tensor:
            if self.training:
                drawn.append(torch.rand(()).item())
            return self.body(samples.flatten(1))

    drawn: list[float] = []

    def train(processes: DistributedContext) -> list[float]:
        def make() -> Trainer:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                networks = (nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8))), Noisy())
            return make_trainer(networks=networks, constraint="clip", processes=processes)

        make().train(steps=4, tick_due=NEVER)
        whole, half = drawn.copy(), make()
        drawn.clear()
        half.train(steps=2, tick_due=NEVER)
        rest = make()
        rest.load_state_dict(half.state_dict())
        rest.train(steps=4, tick_due=NEVER)
        assert drawn == whole
        return whole

    first, second = spawn(train)
    assert len(set(first + second)) == len(first + second) == 2 * 4 * 3


def test_a_batch_that_the_processes_cannot_share_is_refused(make_trainer: MakeTrainer) -> None:
    with pytest.raises(
        UserError,
        match=r"A batch of 8 cannot be shared alike by 3 processes\. Give a `batch_size` that 3 divides",
    ):
        make_trainer(batch_size=8, processes=ProcessGroup(rank=1, count=3))


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with open_processes() as processes:
        assert (processes.rank, processes.count, processes.launch) == (0, 1, "")
    # Some schedulers set the second in every job.
    monkeypatch.setenv("WORLD_SIZE", "4")
    with open_processes() as processes:
        assert processes.count == 1


def test_one_process_of_torchrun_joins_nobody_and_knows_its_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "job 7"}
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    with open_processes() as processes:
        assert (processes.count, processes.launch) == (1, "job 7")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # what torchrun says when nobody named its call
    with open_processes() as processes:
        assert str(os.getppid()) in processes.launch


class Still(ProcessGroup):
    """A group of one, whose averages are the values themselves."""

    def average(self, values: Tensor) -> Tensor:
        return values.clone()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (7, 3)), (nn.BatchNorm2d, (5, 3, 4, 2))])
def test_batch_norm_over_one_process_is_torch_s(
    float64: None, kind: type[nn.Module], shape: tuple[int, ...], affine: bool, momentum: float | None
) -> None:
    rng = torch.Generator().manual_seed(0)
    ours = nn.Sequential(kind(3, affine=affine, momentum=momentum))
    for parameter in ours.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    theirs = copy.deepcopy(ours)
    Still().convert_sync_batchnorm(ours)
    assert type(ours[0]) is SyncBatchNorm and ours.state_dict().keys() == theirs.state_dict().keys()
    for training in (True, True, False):
        values = torch.randn(shape, generator=rng) * 3 + 5
        inputs = [values.clone().requires_grad_(True) for _ in range(2)]
        outputs = [net.train(training)(each) for net, each in zip((ours, theirs), inputs, strict=True)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.pow(3).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_batch_norm_keeps_half_precision_and_takes_its_statistics_in_full(rng: torch.Generator) -> None:
    ours = nn.BatchNorm2d(3)
    values = (torch.randn(8, 3, 4, 4, generator=rng) + 100).bfloat16()
    Still().convert_sync_batchnorm(ours)
    out = ours(values)
    assert out.dtype == torch.bfloat16
    expected = nn.BatchNorm2d(3)(values.float())
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=0.02)


def test_a_batch_norm_of_the_user_s_own_is_refused() -> None:
    class Own(nn.BatchNorm1d):
        pass

    with pytest.raises(UserError, match=r"Own \(layer '1'\) would normalise over each process's part of a batch"):
        Still().convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 3), Own(3)))
    DistributedContext().convert_sync_batchnorm(nn.Sequential(Own(3)))


def test_copies_of_a_network_share_its_processes() -> None:
    processes, network = Still(), nn.Sequential(nn.BatchNorm1d(3))
    processes.convert_sync_batchnorm(network)
    assert copy.deepcopy(network)[0].processes is processes  # type: ignore[comparison-overlap]
