"""How long a process waits for the others of its run to come, and where."""

import os
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from wassergan.errors import UserError, WorkError

VARIABLE = "WASSERGAN_MEETING_SECONDS"
USUAL_SECONDS = 300
TELL_AFTER_SECONDS = 10.0
LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 1.0
CONNECT_SECONDS = 5.0


class Patience:
    """How long the others are waited for, and a word of it.

    Args:
        seconds: at most.
        told: hears once whom this process waits for, where it takes long.
    """

    def __init__(self, seconds: float, log: Callable[[str], None] = lambda sentence: None) -> None:
        self.seconds = seconds
        self._told, self._is_told, self._begun = log, False, time.monotonic()

    @property
    def left(self) -> float:
        """Seconds until it ends; 0 where it has ended."""
        return max(0.0, self._begun + self.seconds - time.monotonic())

    def tell(self, waiting: str) -> None:
        """Say who waits for whom, such as `Process 1 of 2 waits for process 0`, the first time that it takes long."""
        if not self._is_told and time.monotonic() - self._begun >= TELL_AFTER_SECONDS:
            self._is_told = True
            self._told(f"{waiting}, for {self.seconds:g} seconds at most ({VARIABLE} sets it).")

    def ended(self, what: str, found: str = "") -> WorkError:
        """The error that says that it was for nothing."""
        return WorkError(
            f"{what} within {self.seconds:g} seconds",
            found=found,
            hint="see whether one of them ended before, and why; start all of them with the same MASTER_ADDR, "
            f"MASTER_PORT and WORLD_SIZE, or give those that start later more time with {VARIABLE}",
        )


def usual_patience() -> int:
    """Seconds: five minutes, unless the environment says otherwise.

    Raises:
        UserError: what it says is no number of seconds.
    """
    said = os.environ.get(VARIABLE)
    if said is None:
        return USUAL_SECONDS
    if not (said.isascii() and said.isdecimal() and len(said) < 8 and int(said)):
        raise UserError(f"{VARIABLE} must be a whole number of seconds, 1 or more", found=f"'{said[:80]}'")
    return int(said)


def place_of(init_method: str) -> tuple[str, int] | None:
    """The host and port at which processes meet; None where they meet in a file.

    Raises:
        UserError: the environment does not tell it.
    """
    if init_method != "env://":
        parts = urlsplit(init_method)
        return None if parts.scheme == "file" else (parts.hostname or "", parts.port or 0)
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    for name, said, known in (
        ("MASTER_ADDR", host, bool(host)),
        ("MASTER_PORT", port, port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 2**16),
    ):
        if not known:
            raise UserError(
                f"The environment does not say where the processes meet: {name} is {'wrong' if said else 'missing'}",
                found=f"'{said[:80]}'" if said else "",
                hint="start with torchrun, or set it; unset RANK and WORLD_SIZE for one process alone",
            )
    return host, int(port)


def wait_for_place(host: str, port: int, waiting: str, patience: Patience) -> None:
    """Wait until somebody listens there.

    torch.distributed would wait too, but deaf to signals, longer than it is told, and with traces of its C++ sources.

    Raises:
        WorkError: nobody does.
    """
    pause = LOOK_SECONDS
    while True:
        begun, look = time.monotonic(), _Look(host, port, min(CONNECT_SECONDS, max(patience.left, 0.1)))
        while not look.is_over(LOOK_SECONDS) and patience.left:
            patience.tell(f"{waiting} at {host}:{port}")
        if look.found is None:
            return
        patience.tell(f"{waiting} at {host}:{port}")
        if not patience.left:
            raise patience.ended(f"Process 0 did not come to {host}:{port}", look.found)
        time.sleep(max(0.0, min(pause, patience.left) - (time.monotonic() - begun)))
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)


class _Look:
    """A look whether somebody listens, in a thread: finding a name's address takes as long as the system likes.

    Attributes:
        found: why nobody was found; None if somebody was.
    """

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.found: str | None = "no answer to the question where that is"
        self._thread = threading.Thread(target=self._look, args=(host, port, seconds), daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system starts no more threads
            self.found = str(error)

    def is_over(self, seconds: float) -> bool:
        """Whether it is known by now, or after so many seconds."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _look(self, host: str, port: int, seconds: float) -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            self.found = None
        except (OSError, UnicodeError) as error:  # the latter of a name that no host can have
            self.found = str(error)
