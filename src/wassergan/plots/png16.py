"""Sixteen-bit pictures as PNG: Pillow writes only grey ones."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wassergan.storage.files import DRAWN_BY, write_bytes

_START, _RGB, _GREY = b"\x89PNG\r\n\x1a\n", 2, 0


def write_png16(levels: NDArray[np.uint16], path: Path) -> None:
    """Write a picture of 16 bits (W3C, Portable Network Graphics, third edition, section 5).

    Args:
        levels: (H, W) or (H, W, 3).
        path: the file, written atomically.
    """
    height, width = levels.shape[:2]
    colours = _RGB if levels.ndim == 3 else _GREY
    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    lines = np.ascontiguousarray(levels, dtype=">u2").reshape(height, -1).view(np.uint8)
    filtered = np.insert(lines, 0, 0, axis=1)  # each line begins with the number of its filter: none
    marks = [(b"tEXt", f"{key}\0{text}".encode("latin-1")) for key, text in DRAWN_BY.items()]
    parts = ((b"IHDR", header), *marks, (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b""))
    write_bytes(path, _START + b"".join(_chunk(kind, content) for kind, content in parts))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
