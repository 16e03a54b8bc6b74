"""Ctrl-C and SIGTERM: the first asks the run to save and stop, the second stops at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Inside, yield a function that tells whether a signal asked to stop; former handlers come back afterwards.

    torchrun sends a signal on to its processes, at times more than once, and kills those that do not stop in time:
    under it the second signal means no more than the first.
    """
    asked, sent_on = False, "TORCHELASTIC_RUN_ID" in os.environ

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and not sent_on:
            raise KeyboardInterrupt
        asked = True

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
