"""Keep the memory that one step frees for the next.

A step of convolutions on a CPU allocates and frees some hundred MiB in large blocks. glibc returns them to the system
at once, and the next step spends a tenth of its time while the system clears and maps them again.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt(3), in bytes: how much free memory at the heap's end is kept, and from which size on a piece is
# mapped on its own, and unmapped when it is freed.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**30}
# The values that glibc itself reaches in a process that frees large blocks.
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory inside the block, and return it to the system at the end.

    With another C library, or if the user's environment sets the thresholds, nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in USERS_OWN):
        yield
        return
    glibc = ctypes.CDLL(None)
    for parameter, size in KEPT.items():
        # Before 2.35 it takes no larger a piece; and where only the other threshold is set, pieces begin at 128 KiB.
        if not glibc.mallopt(parameter, size):
            glibc.mallopt(parameter, USUAL[parameter])
    try:
        yield
    finally:
        for parameter, size in USUAL.items():
            glibc.mallopt(parameter, size)
        glibc.malloc_trim(0)
