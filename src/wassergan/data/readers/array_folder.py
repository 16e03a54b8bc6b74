"""A folder of `.npy` files, each of which is one sample, as one array in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.arrays import load_array, refuse_non_numbers
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.errors import UserError


def is_array_file(path: Path) -> bool:
    """Whether a file is a `.npy` by its name."""
    return path.suffix == ".npy"


def stacked_arrays(files: Sequence[Path], name: str) -> NDArray[Any]:
    """The arrays of some files, in this order, as the rows of one: (files, ...).

    All headers are read, and what they promise is held to the limit, before any numbers are.

    Args:
        files: `.npy` files with arrays of one shape and type.
        name: of the folder, for messages.

    Raises:
        UserError: no numbers, other shapes or types than in the first file, or more than memory has room for.
    """
    found = [_opened(path) for path in files]
    first = found[0]
    refuse_non_numbers(first, str(files[0]))
    for path, each in zip(files, found, strict=True):
        if (each.shape, each.dtype) != (first.shape, first.dtype):
            raise UserError(
                f"The arrays in {name} are not alike: each file is one sample",
                found=f"shape {each.shape} of {each.dtype} in {path.name}, {first.shape} of {first.dtype} in "
                f"{files[0].name}",
                hint="make them alike, or put all samples into one .npy",
            )
    require_room(first.nbytes * len(found), name)
    rows = np.empty((len(found), *first.shape), first.dtype)
    for index, each in enumerate(found):
        rows[index] = np.asarray(each)
    return rows


def _opened(path: Path) -> FileArray:
    _, array = load_array(path)
    if not isinstance(array, FileArray):
        raise UserError(f"{path} is a .npz by its content", hint="name it .npz, or save one array in each file")
    return array
