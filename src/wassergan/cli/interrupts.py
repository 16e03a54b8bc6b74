"""Signals that end a program: the first asks a run to save and stop, the second stops at once; so does other work.

SIGHUP (a terminal that is closed) and what schedulers send before they kill count like SIGTERM. What the caller had
ignored, as nohup does with SIGHUP, stays ignored.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SAVING = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")  # beside SIGINT and SIGTERM; not all systems know them
_ENDING = (signal.SIG_DFL, signal.default_int_handler)
_STOPPING = ("SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF")


def _usual(names: tuple[str, ...]) -> list[int]:
    """Numbers of those signals that would end this program as nobody has said otherwise."""
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) in _ENDING]


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Inside, yield a function that tells whether a signal asked to stop; former handlers come back afterwards.

    Until that function is called for the first time nothing is to be saved: a signal stops at once.

    torchrun sends a signal on to its processes, at times more than once, and kills those that do not stop in time:
    under it the second signal means no more than the first.
    """
    asked, listening, sent_on = False, False, "TORCHELASTIC_RUN_ID" in os.environ

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not listening or (asked and not sent_on):
            raise KeyboardInterrupt
        asked = True

    def has_asked() -> bool:
        nonlocal listening
        listening = True
        return asked

    numbers = [signal.SIGINT, signal.SIGTERM, *_usual(_SAVING)]
    former = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield has_asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Inside, any signal that ends a program raises KeyboardInterrupt, so that half-written files go.

    Does nothing off the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, *_usual(_SAVING + _STOPPING)]
    former = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
