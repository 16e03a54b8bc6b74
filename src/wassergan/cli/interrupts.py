"""Ctrl-C and SIGTERM: the first asks a run to save and stop, the second stops at once; other work stops at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


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

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield has_asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt, so that half-written files go; does nothing off the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
