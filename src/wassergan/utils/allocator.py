"""Memory that one step frees is kept for the next.

A step of convolutions on a CPU takes and frees some hundred MiB in large pieces. glibc gives them back to the system at
once, which clears and maps them anew, page by page, in the next step: a tenth of its time.
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
# Where glibc's own arrive in a process that frees large pieces.
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}
USERS_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep what is freed meanwhile, and give it back to the system at the end.

    Where the C library is another one, or the user's environment sets its thresholds, nothing is changed.
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
