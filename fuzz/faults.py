"""Faults of a machine, put into a child process that runs the command line: kills, refusals, bad sectors, clocks.

Files are watched by an audit hook, which sees every name that Python opens, removes, renames, links or makes, however
it is called; what a file's own calls do (flush, write, read) is watched at those calls. Only files below the watched
folder count, so that a fault meets what the command does to a run and not what Python does to start.
"""

import builtins
import errno
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

CHANGES = ("os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.truncate", "os.utime")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ERRORS = ("EIO", "EDQUOT", "ENOSPC", "EROFS", "EACCES")
YEAR_SECONDS = 365.25 * 86400
KILLED = -signal.SIGKILL
TORN = -signal.SIGXFSZ


@dataclass(frozen=True)
class Fault:
    """One fault of the machine.

    Args:
        kind: `none`; `kill` before the n-th change; `torn`: die as a file grows past n bytes; `full`: no file may
            grow past n bytes; `refuse` the n-th change; `hide`: refuse the n-th opening for reading; `write`, `read`:
            fail the n-th transfer; `signal` at the n-th change; `clock`: off by n years.
        number: n.
        detail: the error's or the signal's name.
    """

    kind: str = "none"
    number: int = 0
    detail: str = ""

    def install(self, folder: Path, fired: int) -> None:
        """In the child: from now on. Writes what it met to the descriptor `fired`."""
        if self.kind in ("torn", "full"):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL if self.kind == "torn" else signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.number, self.number))
        elif self.kind == "clock":
            _turn_clock(self.number * YEAR_SECONDS)
        elif self.kind in ("write", "read"):
            _watch_transfers(self.kind, _Counter(self, fired), str(folder))
        elif self.kind != "none":
            _watch_names(str(folder), "hide" if self.kind == "hide" else "change", _Counter(self, fired))


class _Counter:
    """Counts events, and does what is to be done at the n-th."""

    def __init__(self, fault: Fault, fired: int) -> None:
        self._fault, self._fired, self._seen = fault, fired, 0

    def __call__(self, what: str) -> None:
        self._seen += 1
        if self._seen != self._fault.number:
            return
        os.write(self._fired, what.encode(errors="replace"))
        match self._fault.kind:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "signal":
                os.kill(os.getpid(), getattr(signal, self._fault.detail))
            case _:
                number = getattr(errno, self._fault.detail)
                raise OSError(number, os.strerror(number))


def _watch_names(folder: str, which: str, meet: Callable[[str], None]) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = bool(flags & WRITING)
        elif event in CHANGES:
            path, changes = arguments[0], True
        else:
            return
        if changes == (which == "change") and isinstance(path, str | os.PathLike):
            name = os.fspath(path)
            if isinstance(name, str) and name.startswith(folder):
                meet(f"{event} {name}")

    sys.addaudithook(hook)
    if which == "change":
        for name in ("fsync", "ftruncate", "pwrite"):
            setattr(os, name, _counted(getattr(os, name), meet, name))


def _counted(call: Callable[..., Any], meet: Callable[[str], None], name: str) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        meet(name)
        return call(*arguments, **options)

    return counted


def _watch_transfers(kind: str, meet: Callable[[str], None], folder: str) -> None:
    """Every file that Python opens below the folder reads or writes through one that counts."""

    class Watched(io.FileIO):
        def readinto(self, buffer: Any) -> Any:
            if kind == "read":
                meet("read")
            return super().readinto(buffer)

        def readall(self) -> Any:
            if kind == "read":
                meet("read")
            return super().readall()

        def write(self, content: Any) -> Any:
            if kind == "write":
                meet("write")
            return super().write(content)

    plain = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        name = str(Path(f"/proc/self/fd/{file}").readlink()) if isinstance(file, int) else os.fspath(file)
        if "b" not in mode or not str(name).startswith(folder):
            return plain(file, mode, buffering, *rest, **options)
        raw = Watched(file, mode.replace("b", ""))
        if buffering == 0:
            return raw
        return (io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter)(raw)

    io.open = builtins.open = opened  # type: ignore[assignment]
    if kind == "write":
        for name in ("write", "pwrite"):
            setattr(os, name, _counted_write(getattr(os, name), meet, folder))


def _counted_write(call: Callable[..., Any], meet: Callable[[str], None], folder: str) -> Callable[..., Any]:
    def counted(descriptor: int, *arguments: Any) -> Any:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(folder):
            meet("write")
        return call(descriptor, *arguments)

    return counted


def _turn_clock(seconds: float) -> None:
    from wassergan.storage import lock

    true_time = time.time

    class Turned(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: true_time() + seconds  # type: ignore[assignment]
    lock.datetime = Turned  # type: ignore[misc]
