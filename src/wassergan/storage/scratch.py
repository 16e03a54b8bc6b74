"""Files without a name, for what memory should not hold."""

import os
import weakref
from tempfile import TemporaryFile
from typing import Any

from wassergan.errors import WorkError


class ScratchFile:
    """A file of bytes in the folder for temporary files, which goes with this object, however the process ends.

    Nobody else can open it: it has no name. Threads may read from it at the same time.

    Args:
        what: it holds, for messages.

    Raises:
        WorkError: it cannot be made.
    """

    def __init__(self, what: str) -> None:
        self._what, self.size = what, 0
        try:
            with TemporaryFile(buffering=0) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise self._failed(error) from error
        weakref.finalize(self, os.close, self._descriptor)

    def append(self, content: Any) -> int:
        """Write a contiguous buffer behind all others; where it begins.

        Raises:
            WorkError: the disk is full.
        """
        start, left = self.size, memoryview(content).cast("B")
        try:
            while len(left):  # a write takes 2 GiB at most
                done = os.pwrite(self._descriptor, left, self.size)
                left, self.size = left[done:], self.size + done
        except OSError as error:
            raise self._failed(error) from error
        return start

    def into(self, content: Any, start: int) -> None:
        """Fill a contiguous buffer with the bytes from `start` on.

        Raises:
            WorkError: the disk fails.
        """
        left = memoryview(content).cast("B")
        try:
            while len(left):
                done = os.preadv(self._descriptor, [left], start)
                if not done:
                    raise OSError("it became shorter")
                left, start = left[done:], start + done
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> WorkError:
        return WorkError(
            f"{self._what} cannot be kept in a temporary file",
            found=error.strerror or str(error),
            hint="free some space, or name a folder with more of it in the variable TMPDIR",
        )
