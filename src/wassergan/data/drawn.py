"""Pictures that this library drew: grids and samples that lie among the data are none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from wassergan.data.readers.paths import PathIndex
from wassergan.data.readers.tree import DRAWN, PassedOver
from wassergan.errors import UserError
from wassergan.storage.files import DRAWN_BY, reading

_THREADS = 4
_START, _HEADER_BYTES = b"\x89PNG\r\n\x1a\n", 33  # the mark stands behind the first chunk, that of the size
_MARKS = tuple(f"tEXt{key}\0{text}".encode("latin-1") for key, text in DRAWN_BY.items())
_LOOKED_AT_BYTES = 256  # a figure's first text is its dots per inch, or the like


def is_drawn(path: Path) -> bool:
    """Whether a file is a PNG that bears the mark of this library; what cannot be read bears none."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with reading(path) as file:
            start = file.read(_LOOKED_AT_BYTES)
    except (OSError, UserError):
        return False
    return start.startswith(_START) and any(mark in start[_HEADER_BYTES:] for mark in _MARKS)


def without_drawn(pictures: PathIndex, passed: PassedOver) -> PathIndex:
    """The pictures that this library did not draw; all of them where it drew all, for then they are meant.

    Args:
        pictures: that were found.
        passed: told of those that are left out.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        drawn = np.array(list(threads.map(is_drawn, pictures)), dtype=bool)
    if drawn.all() or not drawn.any():
        return pictures
    for index in np.flatnonzero(drawn):
        passed.add(DRAWN, pictures.relative(int(index)))
    return pictures.only(np.flatnonzero(~drawn))
