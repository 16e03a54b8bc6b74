"""IDX files, the format of MNIST and its kin, plain or gzipped."""

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.gzipped import unpacked
from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError
from wassergan.storage.files import reading

# Third byte of the magic number → big-endian NumPy type. Source: the format note on the MNIST page (LeCun et al.).
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 8
_AT_ONCE = 2**20  # bytes
AGAIN = "fetch the file again"


def is_idx(path: Path) -> bool:
    """Whether the name looks like IDX: `…-ubyte`, `.idx`, `…-idx3-…`, with or without `.gz`."""
    name = path.name.removesuffix(".gz")
    return name.endswith(("ubyte", ".idx")) or "-idx" in name


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, in native byte order.

    Raises:
        UserError: not an IDX file, truncated, or longer than its header says.
    """
    try:
        with unpacked(path) if path.suffix == ".gz" else reading(path) as file:
            header = file.read(4)
            if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in _TYPES or not 0 < header[3] <= MOST_AXES:
                raise UserError(f"{path} is not an IDX file", found=f"it starts with {header!r}")
            dtype, rank = np.dtype(_TYPES[header[2]]), header[3]
            sizes = file.read(4 * rank)
            if len(sizes) < 4 * rank:
                raise UserError(f"{path} ends inside its header")
            shape = struct.unpack(f">{rank}I", sizes)
            if 0 in shape:  # beside other sizes that no array can have, maybe
                raise UserError(f"{path} holds no values", found=f"shape {shape}")
            expected = math.prod(shape) * dtype.itemsize
            if path.suffix != ".gz" and expected > path.stat().st_size:
                raise UserError(f"{path} is shorter than its header says", found=f"shape {shape}", hint=AGAIN)
            require_room(expected, path)
            values = np.empty(math.prod(shape), dtype)
            body = values.view(np.uint8).data
            held = 0
            while got := file.readinto(body[held : held + _AT_ONCE]):  # gzip holds as much once more
                held += got
            more = bool(file.read(1))
    except (OSError, EOFError, zlib.error, OverflowError, MemoryError) as error:
        raise UserError(f"{path} cannot be read", found=str(error) or "it promises more than fits in memory") from error
    if held != expected or more:
        relation = "more" if more else f"only {held}"
        raise UserError(
            f"{path} does not hold what its header says",
            found=f"shape {shape} needs {expected} bytes, there are {relation}",
            hint=AGAIN,
        )
    if dtype.itemsize > 1 and not dtype.isnative:
        values = values.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return values.reshape(shape)
