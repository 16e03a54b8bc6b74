"""One writer per folder: a lock that names its holder and is released when the holder dies.

On one machine the kernel's lock on the file decides, and ends with its process. It may not work between machines, so
the holder also renews the file's time. A holder that has not renewed it for long has lost the lock.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any

from wassergan.errors import UserError, WorkError
from wassergan.storage.files import (
    exclusive,
    lock_file,
    make_folder,
    read_bytes,
    read_text,
    remove,
    remove_empty_folder,
    remove_surely,
    renew,
)

# Absent on some systems: there only the renewed time decides.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

LOCK_NAME = ".lock"
RENEW_SECONDS = 15.0
_LOCK_START, _LONGEST_LOCK = b'{"host"', 2**12
LOST_AFTER_SECONDS = 120.0  # without renewal; well above a renewal and a slow network file system
RESTART_WAIT_SECONDS = 20.0  # to wait for a process of the same call of torchrun that is being ended


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        host: its machine's name.
        machine: identifies its running kernel: the same in all containers of a machine, different after a restart.
        process: its number there.
        since: when it took the lock, ISO 8601.
        launch: its call of torchrun, the same after a restart; else empty.
        token: distinguishes two holders.
    """

    host: str
    machine: str
    process: int
    since: str
    launch: str = ""
    token: str = ""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}"


class Lock:
    """A lock held on a folder; `held` creates it."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self._path, self._descriptor, self._holder = path, descriptor, holder
        self._released = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lock", daemon=True)
        self._renewing.start()

    def require_own(self) -> None:
        """Raise unless this process still holds the lock; call it before anything is written.

        Raises:
            WorkError: another process took it over, because this one was suspended for long, or the file was deleted.
        """
        holder = _read(self._path)
        if holder != self._holder:
            raise WorkError(
                f"The run in {self._path.parent} is no longer this process's",
                found=f"its lock was taken over by {holder}" if holder else f"{self._path} was deleted",
                hint="nothing was written since; leave the run to its holder, or resume it later",
            )

    def release(self) -> None:
        """Release the lock and remove its file; a signal meanwhile waits for that, a second one does not."""
        self._released.set()
        try:
            self._give_back()
        except KeyboardInterrupt:
            self._give_back()
            raise
        finally:
            os.close(self._descriptor)

    def _give_back(self) -> None:
        self._renewing.join()
        if self._is_own():
            remove(self._path)

    def _is_own(self) -> bool:
        try:
            content = read_bytes(self._path, follow=False, at_most=_LONGEST_LOCK)
        except FileNotFoundError:
            return False
        except OSError:  # of a failing disk: what was signed is own as long as it is the file at the path
            return _is_still(self._path, self._descriptor)
        return _holder(content) == self._holder

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            with suppress(OSError):  # `require_own` reports it
                renew(self._descriptor)


@contextmanager
def held(folder: Path, *, launch: str = "", log: Callable[[str], None] = lambda sentence: None) -> Iterator[Lock]:
    """Hold the lock of a folder. The folder is created if needed, and removed again if it stays empty.

    Args:
        folder: the folder; one process at a time may write to it.
        launch: this call of torchrun, if any: a lock left by its own lost processes is taken over at once.
        log: receives word of a lock that a lost process left behind.

    Raises:
        UserError: another process holds it; says who, where, and since when.
        WorkError: the lock's file cannot be written.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    try:
        lock = _acquire(folder / LOCK_NAME, launch, log)
        try:
            yield lock
        finally:
            lock.release()
    finally:
        for each in made:
            remove_empty_folder(each)


def is_in_use(folder: Path) -> bool:
    """Whether a process seems to hold the lock of a folder: one that lives, or whose renewal of it is recent.

    Nothing is locked, opened for writing or waited for; for lists, not to decide whether to write.
    """
    path = folder / LOCK_NAME
    holder = _read(path)
    try:
        renewed = time.time() - path.lstat().st_mtime
        if holder is None or renewed > LOST_AFTER_SECONDS:
            return False
        if holder.host == socket.gethostname() and holder.machine == _machine():
            os.kill(holder.process, 0)
        return True
    except PermissionError:  # another user's process
        return True
    except (OSError, OverflowError, TypeError):
        return False


def _acquire(path: Path, launch: str, log: Callable[[str], None]) -> Lock:
    deadline = time.monotonic() + RESTART_WAIT_SECONDS
    while True:
        descriptor, own = _open(path), False
        try:
            free = _kernel_lock(descriptor)
            if free is False:
                former = _read(path)
                if not (launch and former and former.launch == launch and time.monotonic() < deadline):
                    raise _refusal(path, former)
            elif _is_still(path, descriptor):
                # Empty and locked by nobody: made just now, or by one who died before it signed.
                status = os.fstat(descriptor)
                own = free is True and status.st_size == 0 and status.st_nlink == 1
                content = _content(path, descriptor)
                _require_lock_file(path, descriptor, content)
                _require_lost(path, descriptor, content, launch, log, kernel_says_so=free is True)
                own = True
                return Lock(path, descriptor, _sign(descriptor, path, launch))
        except BaseException:
            if own:  # a signal, or a full disk
                remove_surely(path)
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(0.05)


def _open(path: Path) -> int:
    try:
        return lock_file(path)
    except OSError as error:
        raise WorkError(
            f"The folder {path.parent} cannot be locked",
            found=error.strerror or str(error),
            hint="check its permissions, or name another folder",
        ) from error


def _kernel_lock(descriptor: int) -> bool | None:
    """Whether the kernel grants its lock; None if the file system has no locks, so that the renewed time decides."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the opened file is still the one at the path: its former holder may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _content(path: Path, descriptor: int) -> bytes:
    """The content of the lock's file.

    Raises:
        WorkError: it cannot be read, so that its holder is unknown.
    """
    try:
        return os.pread(descriptor, _LONGEST_LOCK + 1, 0)
    except OSError as error:
        raise WorkError(
            f"The lock {path} cannot be read", found=error.strerror or str(error), hint="check the disk, and try again"
        ) from error


def _require_lock_file(path: Path, descriptor: int, content: bytes) -> None:
    """Refuse a file that is not a lock. Complete, torn and unsigned locks begin alike and have the same name."""
    begun = content[: len(_LOCK_START)] == _LOCK_START[: len(content)]
    if not begun or len(content) > _LONGEST_LOCK or os.fstat(descriptor).st_nlink > 1:
        raise UserError(
            f"{path} was not made by wassergan, or has other names",
            found="a file with the name of a run's lock",
            hint="move it away, or name another folder",
        )


def _require_lost(
    path: Path, descriptor: int, content: bytes, launch: str, log: Callable[[str], None], *, kernel_says_so: bool
) -> None:
    """Refuse unless the process that signed the file is lost, by the shared kernel, by torchrun, or by the time."""
    former = _holder(content)
    if former is None:
        return
    same_kernel = kernel_says_so and former.machine == _machine()
    same_launch = bool(launch) and former.launch == launch  # torchrun ends all processes before it restarts any
    if not (same_kernel or same_launch or _now(path) - os.fstat(descriptor).st_mtime > LOST_AFTER_SECONDS):
        raise _refusal(path, former)
    log(f"Taking over the lock of {former}, which is lost.")


def _machine() -> str:
    try:
        return read_text(Path("/proc/sys/kernel/random/boot_id")).strip()
    except OSError:
        return socket.gethostname()


def _now(path: Path) -> float:
    """The current time of the file system, which may be another machine's."""
    probe = path.with_name(f"{LOCK_NAME}.{token_hex(8)}.tmp")
    with exclusive(probe) as descriptor:
        try:
            return os.fstat(descriptor).st_mtime
        finally:
            remove_surely(probe)


def _sign(descriptor: int, path: Path, launch: str) -> Holder:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(socket.gethostname(), _machine(), os.getpid(), since, launch, token_hex(8))
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(asdict(holder)) + "\n").encode(), 0)
    except OSError as error:
        raise WorkError(
            f"Could not write {path}",
            found=error.strerror or str(error),
            hint="free some space, or name another folder",
        ) from error
    return holder


def _read(path: Path) -> Holder | None:
    """Who signed the lock, as far as it can be read."""
    try:
        return _holder(read_bytes(path, follow=False, at_most=_LONGEST_LOCK))
    except (OSError, UserError):
        return None


def _holder(content: bytes) -> Holder | None:
    """Who signed a lock; None where its holder died while it signed."""
    try:
        return Holder(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None


def _refusal(path: Path, holder: Holder | None) -> UserError:
    return UserError(
        f"The run in {path.parent} is being written by another process",
        found=str(holder) if holder else "",
        hint=f"wait for it or stop it; if it is dead and its machine cannot say so, delete {path}",
    )
