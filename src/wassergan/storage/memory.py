"""How much memory one file may fill, which the user can say."""

import os

from wassergan.errors import UserError

VARIABLE = "WASSERGAN_LARGEST_MIB"
SHARE_OF_MEMORY = 2  # half of it
USUAL_MEMORY_BYTES = 8 * 2**30  # where the system does not tell


def largest_bytes() -> int:
    """What one file may fill when it is unpacked: half of the machine's memory unless WASSERGAN_LARGEST_MIB says more.

    Raises:
        UserError: the variable is no positive number.
    """
    said = os.environ.get(VARIABLE)
    if said is None:
        return _memory_bytes() // SHARE_OF_MEMORY
    if not said.isdecimal() or int(said) == 0:
        raise UserError(f"{VARIABLE} must be a whole number of MiB", found=f"'{said}'")
    return int(said) * 2**20


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return USUAL_MEMORY_BYTES
