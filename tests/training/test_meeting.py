import signal
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from wassergan.errors import UserError, WorkError
from wassergan.training import DistributedContext, meeting, open_processes

Spawn = Callable[..., list[Any]]
REFUSALS = (
    "Resource temporarily unavailable",
    "Gloo connectFullMesh failed with timed out connecting: SO_ERROR: Connection refused, remote=[127.0.0.1]:26534",
    "Socket Timeout",
)


def refusing(
    monkeypatch: pytest.MonkeyPatch, *, message: str, ranks: tuple[int, ...], times: int, late: bool = False
) -> None:
    """Let joining fail so many times on some ranks, before or after it was done."""
    join, refused = dist.init_process_group, []  # type: ignore[var-annotated]

    def init(*backend: Any, **options: Any) -> None:
        if options["rank"] not in ranks or len(refused) == times:
            join(*backend, **options)
            return
        refused.append(1)
        if late:
            join(*backend, **options)
            dist.destroy_process_group()
        raise RuntimeError(message)

    monkeypatch.setattr(dist, "init_process_group", init)
    monkeypatch.setattr(meeting, "LONGEST_JOIN", timedelta(seconds=1))


def work(processes: DistributedContext) -> tuple[float, float]:
    mean = processes.average(torch.tensor([1.0 + processes.rank]))
    timeout = dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu")).options._timeout
    return mean.item(), timeout.total_seconds()


@pytest.mark.parametrize(
    ("message", "ranks", "times", "late"),
    [(REFUSALS[0], (1,), 1, False), (REFUSALS[1], (0,), 2, True), (REFUSALS[2], (0, 1), 1, False)],
)
def test_joining_that_is_refused_for_a_moment_is_tried_again_by_all(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch, message: str, ranks: tuple[int, ...], times: int, late: bool
) -> None:
    refusing(monkeypatch, message=message, ranks=ranks, times=times, late=late)
    assert spawn(work) == [(1.5, meeting.LONGEST_WAIT.total_seconds())] * 2


def test_joining_that_is_refused_for_good_is_told_by_all(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, message="Too many links", ranks=(1,), times=99)
    monkeypatch.setattr(meeting, "TRIES", 2)
    (kind, text), (other_kind, other_text) = spawn(work)
    assert (kind, other_kind) == ("WorkError", "WorkError")
    assert "process 1: Too many links" in text and "process 1: Too many links" in other_text


def test_whoever_does_not_come_is_named(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "LONGEST_WAIT", timedelta(seconds=1))
    tell_all = meeting._tell_all
    monkeypatch.setattr(
        meeting, "_tell_all", lambda place, topic, rank, count, *rest: tell_all(place, topic, rank, 3, *rest)
    )
    assert all("process 2 of 3 did not come to join" in text for _, text in spawn(work))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_is_heard_by_who_waits_for_another(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setattr(meeting, "LONGEST_WAIT", timedelta(seconds=20))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    before = set(threading.enumerate())
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        meeting.meet(rank, 2, init_method=place)
    # The wait itself goes on: it was not waited for.
    assert meeting.WAITING in {thread.name for thread in set(threading.enumerate()) - before}


def test_what_fails_in_a_thread_fails_outside() -> None:
    with pytest.raises(ZeroDivisionError):
        meeting.hearing_signals(lambda: 1 / 0)
    assert meeting.hearing_signals(lambda: 7) == 7


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "[/pytorch/gloo/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:5. This is typically",
            "Connection closed by peer [127.0.0.1]:5",
        ),
        ("", "RuntimeError"),
        ("Broken pipe\nat frame #0", "Broken pipe"),
    ],
)
def test_the_reason_is_told_without_lines_of_source(said: str, found: str) -> None:
    with pytest.raises(WorkError) as caught, meeting.telling_who_is_lost():
        raise RuntimeError(said)
    assert caught.value.found == found


def test_what_the_system_may_grant_a_moment_later_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(meeting.time, "sleep", slept.append)  # type: ignore[attr-defined]
    for reason in meeting.PASSING:
        answers = iter([RuntimeError(f"connect: {reason} (port 1)"), RuntimeError(reason), None])

        def ask(answers: Any = answers) -> str:
            answer = next(answers)
            if answer:
                raise answer
            return "joined"

        assert meeting.insisting(ask) == "joined"
    assert len(slept) == 2 * len(meeting.PASSING)
    slept.clear()

    def refuse(reason: str) -> None:
        raise RuntimeError(reason)

    with pytest.raises(RuntimeError, match="unavailable"):
        meeting.insisting(lambda: refuse(meeting.NO_THREAD))
    assert len(slept) == 4 and sum(slept) < 10
    with pytest.raises(RuntimeError, match="no such host"):
        meeting.insisting(lambda: refuse("no such host"))
    assert len(slept) == 4


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"])
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "9" * 5000, "٣"])
def test_an_environment_that_holds_no_rank_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for each, number in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(each, number)
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"The environment says {name}"), open_processes():
        pass


def test_a_rank_beyond_the_processes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="RANK is 2 where WORLD_SIZE is 2"), open_processes():
        pass


def test_a_refused_thread_is_no_lost_process() -> None:
    with pytest.raises(WorkError, match="refused this process another thread"), meeting.telling_who_is_lost():
        raise RuntimeError("Resource temporarily unavailable")
    with pytest.raises(WorkError, match="RuntimeError"), meeting.telling_who_is_lost():
        raise RuntimeError
