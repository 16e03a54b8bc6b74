import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from wassergan.errors import UserError, WorkError
from wassergan.training import DistributedContext, meeting, open_processes, patience

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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def work(processes: DistributedContext) -> tuple[float, float]:
    mean = processes.average(torch.tensor([1.0 + processes.rank]))
    timeout = dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu")).options._timeout
    store = dist.distributed_c10d._get_default_store().timeout  # type: ignore[attr-defined]
    return mean.item(), min(timeout, store).total_seconds()


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
    monkeypatch.setenv(patience.VARIABLE, "1")
    tell_all = meeting._tell_all
    monkeypatch.setattr(
        meeting, "_tell_all", lambda place, topic, rank, count, *rest: tell_all(place, topic, rank, 3, *rest)
    )
    assert all("Of 3 processes process 2 did not come to join within 1 seconds" in text for _, text in spawn(work))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_is_heard_by_who_waits_for_another(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setenv(patience.VARIABLE, "20")
    place = f"tcp://127.0.0.1:{free_port()}"
    before = set(threading.enumerate())
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        meeting.meet(rank, 2, init_method=place)
    # The wait of process 0 itself goes on: it was not waited for. The other waits without a thread.
    waiting = meeting.WAITING in {thread.name for thread in set(threading.enumerate()) - before}
    assert waiting == (rank == 0)


@pytest.mark.parametrize(
    ("rank", "waits", "end"),
    [
        (0, "Process 0 of 2 waits at PLACE for the others", "Not all 2 processes came to PLACE within 1 seconds"),
        (1, "Process 1 of 2 waits for process 0 at PLACE", "Process 0 did not come to PLACE within 1 seconds"),
    ],
)
def test_who_waits_for_another_says_so_and_gives_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], rank: int, waits: str, end: str
) -> None:
    # Its process 0 was killed before it opened the place: torch.distributed alone would wait for an hour.
    monkeypatch.setenv(patience.VARIABLE, "1")
    monkeypatch.setattr(patience, "TELL_AFTER_SECONDS", 0.2)
    told: list[str] = []
    place = f"127.0.0.1:{free_port()}"
    with pytest.raises(WorkError) as caught:
        meeting.meet(rank, 2, init_method=f"tcp://{place}", log=told.append)
    limit = ", for 1 seconds at most (WASSERGAN_MEETING_SECONDS sets it)."
    assert told == [waits.replace("PLACE", place) + limit]
    assert caught.value.what == end.replace("PLACE", place)
    assert capfd.readouterr() == ("", "")  # nothing of C++


def test_a_place_that_opens_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TELL_AFTER_SECONDS", 0.0)
    told: list[str] = []
    port = free_port()
    doors: list[socket.socket] = []
    threading.Timer(0.5, lambda: doors.append(socket.create_server(("127.0.0.1", port)))).start()
    patience.wait_for_place("127.0.0.1", port, "It waits", patience.Patience(60, told.append))
    assert len(told) == 1 and doors
    doors[0].close()


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.host.invalid", 4000), ("a" * 300, 4000), ("\udcff", 4000), ("127.0.0.1", 1)]
)
def test_a_place_that_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
    pauses: list[float] = []
    sleep = time.sleep

    def counted(seconds: float) -> None:
        pauses.append(seconds)
        assert len(pauses) < 50  # else it would look without an end, and so would this test
        sleep(seconds)

    monkeypatch.setattr("wassergan.training.patience.time.sleep", counted)
    with pytest.raises(WorkError, match="did not come"):
        patience.wait_for_place(host, port, "", patience.Patience(0.2))


def test_a_name_that_is_looked_up_without_an_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TELL_AFTER_SECONDS", 0.0)
    answered, told, answers = threading.Event(), [], []  # type: ignore[var-annotated]

    def looks_up(*ignored: object, **also: object) -> None:
        answers.append(answered.wait(20))
        raise OSError("Name or service not known")

    monkeypatch.setattr("wassergan.training.patience.socket.create_connection", looks_up)
    with pytest.raises(WorkError, match="did not come to a.host:7 within 0.2 seconds: no answer to the question"):
        patience.wait_for_place("a.host", 7, "It waits", patience.Patience(0.2, told.append))
    assert not answers and len(told) == 1
    answered.set()


@pytest.mark.parametrize("value", ["", "x", "0", "-1", "1.5", "9" * 5000, "٣", "1e3"])
def test_a_limit_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name, given in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, given)
    monkeypatch.setenv(patience.VARIABLE, value)
    with pytest.raises(UserError, match="WASSERGAN_MEETING_SECONDS must be"), open_processes():
        pass


@pytest.mark.parametrize("name", ["MASTER_ADDR", "MASTER_PORT"])
@pytest.mark.parametrize("value", [None, "", "x", "-1", "65536", "9" * 5000, "٣"])
def test_an_environment_that_names_no_place_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    for each, given in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(each, given)
    if value is None:
        monkeypatch.delenv(name)
    elif name == "MASTER_PORT" or not value:
        monkeypatch.setenv(name, value)
    else:
        return
    with pytest.raises(UserError, match=f"{name} is (missing|wrong)"), open_processes():
        pass


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
