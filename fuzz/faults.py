"""Faults of a machine, put into a child process that runs the command line: kills, refusals, bad sectors, clocks.

Files are watched by an audit hook, which sees every name that Python opens, removes, renames, links or makes, however
it is called; what a file's own calls do (flush, write, read) is watched at those calls. Only files below the watched
folder count, so that a fault meets what the command does to a run and not what Python does to start. `counted` counts
the same events of an undisturbed call, so that the place of a fault can be drawn from those that there are.
"""

import builtins
import errno
import io
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
# What each kind of fault counts.
EVENTS = {
    "kill": "change",
    "refuse": "change",
    "signal": "change",
    "jump": "change",
    "hide": "open",
    "read": "read",
    "write": "write",
}
Meet = Callable[[str, str], None]


@dataclass(frozen=True)
class Fault:
    """One fault of the machine.

    Args:
        kind: `none`; `kill` before the n-th change; `torn`: die as a file grows past n bytes; `full`: no file may
            grow past n bytes; `refuse` the n-th change; `hide`: refuse the n-th opening for reading; `write`, `read`:
            fail the n-th transfer; `signal` at the n-th change; `clock`: off by n years from the start; `jump`: by
            `detail` years from the n-th change on.
        number: n.
        detail: the error's or the signal's name, or years.
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
            turn_clock(self.number * YEAR_SECONDS)
        elif self.kind != "none":
            watch(folder, _Numbered(self, fired), transfers=self.kind in ("read", "write"))


class _Numbered:
    """Counts events, and does what is to be done at the n-th."""

    def __init__(self, fault: Fault, fired: int) -> None:
        self._fault, self._fired, self._seen = fault, fired, 0

    def __call__(self, event: str, what: str) -> None:
        fault = self._fault
        if event != EVENTS[fault.kind]:
            return
        self._seen += 1
        if self._seen != fault.number:
            return
        os.write(self._fired, what.encode(errors="replace"))
        match fault.kind:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "signal":
                os.kill(os.getpid(), getattr(signal, fault.detail))
            case "jump":
                turn_clock(float(fault.detail) * YEAR_SECONDS)
            case _:
                number = getattr(errno, fault.detail)
                raise OSError(number, os.strerror(number))


@contextmanager
def counted(folder: Path) -> Iterator[Counter[str]]:
    """Inside, count the events of this very process that faults could meet."""
    seen: Counter[str] = Counter()

    def meet(event: str, what: str) -> None:
        seen[event] += 1

    kept = [(owner, name, getattr(owner, name)) for owner, name in _PATCHED]
    watch(folder, meet, transfers=True)
    try:
        yield seen
    finally:
        _watched.clear()
        for owner, name, call in kept:
            setattr(owner, name, call)


_PATCHED = ((io, "open"), (builtins, "open"), *((os, name) for name in ("write", "pwrite", "fsync", "ftruncate")))
_watched: dict[str, Meet] = {}
_hooked: list[bool] = []


def watch(folder: Path, meet: Meet, *, transfers: bool) -> None:
    """From now on have `meet` told each event below a folder: its kind (`change`, `open`, ...), and what it is."""
    _watched.clear()
    _watched[f"{folder}"] = meet
    if not _hooked:  # a hook cannot be removed
        sys.addaudithook(_hook)
        _hooked.append(True)
    for name in ("fsync", "ftruncate", "pwrite"):
        setattr(os, name, _telling(getattr(os, name), "change", name))
    if transfers:
        for name in ("write", "pwrite"):
            setattr(os, name, _telling(getattr(os, name), "write", name))
        io.open = builtins.open = _opening(io.open)


def _tell(event: str, name: str, what: str) -> None:
    for folder, meet in _watched.items():
        if name.startswith(folder):
            meet(event, f"{what} {name}")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or (event != "open" and event not in CHANGES):
        return
    path = arguments[0]
    if isinstance(path, int):
        path = _name_of(path)
    if isinstance(path, str | os.PathLike):
        name = os.fspath(path)
        changes = event != "open" or bool(arguments[2] & WRITING)
        if isinstance(name, str):
            _tell("change" if changes else "open", name, event)


def _name_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


def _telling(call: Callable[..., Any], event: str, name: str) -> Callable[..., Any]:
    def told(descriptor: int, *arguments: Any, **options: Any) -> Any:
        _tell(event, _name_of(descriptor), name)
        return call(descriptor, *arguments, **options)

    return told


class _Watched(io.FileIO):
    """A file whose transfers are told."""

    def readinto(self, buffer: Any) -> Any:
        _tell("read", _name_of(self.fileno()), "read")
        return super().readinto(buffer)

    def readall(self) -> Any:
        _tell("read", _name_of(self.fileno()), "read")
        return super().readall()

    def write(self, content: Any) -> Any:
        _tell("write", _name_of(self.fileno()), "write")
        return super().write(content)


def _opening(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`open`, but binary files below a watched folder read and write through one that tells."""

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        name = _name_of(file) if isinstance(file, int) else os.fspath(file)
        if "b" not in mode or not any(str(name).startswith(folder) for folder in _watched):
            return plain(file, mode, buffering, *rest, **options)
        raw = _Watched(file, mode.replace("b", ""))
        if buffering == 0:
            return raw
        return (io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter)(raw)

    return opened


def turn_clock(seconds: float) -> None:
    """From now on the clock that tells the time of day is off by so much."""
    from wassergan.storage import lock

    true_time = time.time

    class Turned(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: true_time() + seconds
    lock.datetime = Turned  # type: ignore[attr-defined]
