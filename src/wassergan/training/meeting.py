"""How the processes of a run come together, whatever the system refuses them for a moment."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from wassergan.errors import WorkError
from wassergan.training.patience import LOOK_SECONDS, Patience, place_of, usual_patience, wait_for_place

LONGEST_WAIT = timedelta(hours=1)  # for the others, once joined: process 0 measures, draws and saves meanwhile
LONGEST_JOIN = timedelta(minutes=1)  # once all have come: what takes milliseconds
TRIES = 5
LAST_TENSOR_SECONDS = 0.2
NO_THREAD = "Resource temporarily unavailable"
THREADS_OF_A_GROUP = 16
LONGEST_WAIT_FOR_THREADS_SECONDS = 60.0
LONGEST_SETTLING_SECONDS = 2 * LONGEST_JOIN.total_seconds() + LONGEST_WAIT_FOR_THREADS_SECONDS  # of one try to join
LEAST_STORE_SECONDS = 5.0
WAITING = "wassergan waits for other processes"
PASSING = (
    NO_THREAD,
    "Interrupted system call",
    "Connection refused",
    "Connection reset",
    "Cannot allocate memory",
    "Too many open files in system",
    "Socket Timeout",
)

T = TypeVar("T")


def meet(
    rank: int,
    count: int,
    *,
    init_method: str,
    attempt: str = "",
    log: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Join the processes of a run to the group of torch.distributed; all of them call it.

    They meet in a store before they join, so that joining takes moments, and tell each other there whether it went
    well. What one of them is refused, such as a thread or a connection, is tried again by all, a few times.

    Args:
        rank: of this process.
        count: of all processes.
        init_method: where the store is, as torch.distributed has it.
        attempt: a name of this start, the same for all, where the store outlives the processes that were before.
        log: receives, once, for whom this process waits, where it takes long.

    Raises:
        UserError: the environment does not say where they meet, or how long the others are to be waited for.
        WorkError: the others do not come, or the system goes on refusing.
    """
    position, patience = place_of(init_method), Patience(usual_patience(), log)
    wait_for_threads()  # a store that was made half-way keeps its port
    with telling_who_is_lost():
        store = _open_store(init_method, position, rank, count, patience)
        store = PrefixStore(f"attempt {attempt}", store) if attempt else store
        for each in range(TRIES):
            failures = _join_once(PrefixStore(f"try {each}", store), rank, count, patience)
            if not failures:
                store.set_timeout(LONGEST_WAIT)
                return
            patience = Patience(LONGEST_SETTLING_SECONDS)  # all were here
        raise RuntimeError("; ".join(f"process {each}: {why[:90]}" for each, why in failures.items()))


def part() -> None:
    """Leave the group; all processes call it."""
    if torch.__version__ < "2.8":
        # There the end of a group waits for Gloo's threads with Python's lock in hand (PyTorch's pull request 154976),
        # and a thread that has yet to let go of the last tensor needs the lock: both would wait for ever.
        time.sleep(LAST_TENSOR_SECONDS)
    dist.destroy_process_group()


def _open_store(init_method: str, position: tuple[str, int] | None, rank: int, count: int, patience: Patience) -> Store:
    """The store in which they meet; process 0 keeps it unless torchrun does."""
    address = f" at {position[0]}:{position[1]}" if position else ""
    is_kept = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if position and not is_kept:
        wait_for_place(*position, f"Process {rank} of {count} waits for process 0", patience)

    def open_it() -> Store:
        longest = timedelta(seconds=max(patience.left, LEAST_STORE_SECONDS))
        store: Store = next(rendezvous(init_method, rank, count, timeout=longest))[0]
        return store

    def tell() -> None:
        patience.tell(f"Process {rank} of {count} waits{address} for the others")

    try:
        return insisting(lambda: hearing_signals(open_it, meanwhile=tell))
    except dist.DistStoreError as error:  # 1 of 2 came
        raise patience.ended(
            f"Not all {count} processes came{address.replace(' at', ' to')}", _reason(error)
        ) from error


def _join_once(store: Store, rank: int, count: int, patience: Patience) -> dict[int, str]:
    """Join; which processes could not, and why: the same on all of them, and then none has joined."""
    _tell_all(store, "here", rank, count, "", patience)
    failure = ""
    try:
        wait_for_threads()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=PrefixStore("group", store),
            rank=rank,
            world_size=count,
            timeout=LONGEST_JOIN,
        )
    except RuntimeError as error:
        failure = str(error) or type(error).__name__
    told = _tell_all(store, "joined", rank, count, failure, Patience(LONGEST_SETTLING_SECONDS))
    failures = {other: why for other, why in enumerate(told) if why}
    if not failures:
        distributed_c10d._set_pg_timeout(LONGEST_WAIT)
        return {}
    if not failure:
        part()
    # The name of a group is the number of those before, which only those who joined have forgotten.
    distributed_c10d._world.group_count = 0
    return failures


def _tell_all(store: Store, topic: str, rank: int, count: int, text: str, patience: Patience) -> list[str]:
    """What each process says on a topic, in their order; waits where signals are heard."""
    store.set(f"{topic} {rank}", f"={text}"[:1000])
    keys = [f"{topic} {each}" for each in range(count)]
    while not store.check(keys):
        missing = [str(each) for each, key in enumerate(keys) if not store.check([key])]
        who = f"process{'es' * (len(missing) > 1)} {', '.join(missing[:9])}"
        if missing:
            patience.tell(f"Process {rank} of {count} waits for {who}")
        if missing and not patience.left:
            raise patience.ended(f"Of {count} processes {who} did not come to join")
        time.sleep(LOOK_SECONDS)
    return [store.get(key).decode(errors="replace")[1:] for key in keys]


def insisting(work: Callable[[], T]) -> T:
    """What `work` gives; tried again where the system refuses what it may grant a moment later."""
    for delay in (0.1, 0.3, 1.0, 3.0):
        try:
            return work()
        except RuntimeError as error:
            if not any(reason in str(error) for reason in PASSING):
                raise
            time.sleep(delay)
    return work()


def hearing_signals(work: Callable[[], T], *, meanwhile: Callable[[], None] = lambda: None) -> T:
    """What `work` gives, in a thread of its own: where it waits for others in C++, no signal would be heard."""
    found: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name=WAITING, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        meanwhile()
    if failures:
        raise failures[0]
    return found[0]


def wait_for_threads() -> None:
    """Wait until the system would start as many threads as joining needs.

    On a busy machine it may refuse one for a moment ("Resource temporarily unavailable"), and torch ends the process
    where it happens to the second of a pair: so this is found out, and waited for, before.

    Raises:
        WorkError: it still refuses after a while.
    """
    deadline = time.monotonic() + LONGEST_WAIT_FOR_THREADS_SECONDS
    while not _can_start(THREADS_OF_A_GROUP):
        if time.monotonic() > deadline:
            raise WorkError(
                "The system starts no more threads for this process",
                found=NO_THREAD,
                hint="end other programs, raise its limits (ulimit -u, pids of a container), or start fewer processes",
            )
        time.sleep(0.2)


def _can_start(count: int) -> bool:
    done, threads = threading.Event(), []
    try:
        for _ in range(count):
            threads.append(threading.Thread(target=done.wait, daemon=True))
            threads[-1].start()
    except RuntimeError:  # "can't start new thread"
        threads.pop()
        return False
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return True


@contextmanager
def telling_who_is_lost() -> Iterator[None]:
    """A collective that fails means that another process is gone, or that the system refuses what it needs.

    Raises:
        WorkError: says which.
    """
    try:
        yield
    except WorkError:
        raise
    except RuntimeError as error:
        if str(error).startswith(NO_THREAD):  # all that is said by a C++ thread that was not started
            raise WorkError(
                "The system refused this process another thread",
                found=NO_THREAD,
                hint="end other programs or raise its limits (ulimit -u, pids of a container), and resume the run",
            ) from error
        raise WorkError(
            "Another process of the run was lost, or did not come",
            found=_reason(error),
            hint="its own message, if it left one, says why; torchrun --max-restarts lets the run go on by itself",
        ) from error


def _reason(error: RuntimeError) -> str:
    """What Gloo says first, without the line of its source."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return re.sub(r"^\[\S+:\d+\] ", "", first).split(". ")[0][:200]
