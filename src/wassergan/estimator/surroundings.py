"""What a fit leaves of the user's program as it was: signals, threads, folders."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from wassergan.storage.files import scratch_folder
from wassergan.storage.run_folder import RunFolder


@contextmanager
def stop_on_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Inside, yield a function that tells whether Ctrl-C asked to stop; the second one stops at once.

    Where another handler than Python's own is in place, or in another thread, nothing is changed.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def same_threads() -> Iterator[None]:
    """Give torch back the number of threads that it had: the rest of the user's program has it, too."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def run_folder(folder: str | Path | None) -> Iterator[RunFolder]:
    """Where callbacks write."""
    if folder is not None:
        yield RunFolder(Path(folder))
        return
    with scratch_folder() as temporary:
        yield RunFolder(temporary)
