"""Arrays and tensors in files, by the libraries that define their formats."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from wassergan.storage.files import filling, require_regular


def load_tensors(path: Path, **options: Any) -> Any:
    """What `torch.save` wrote: tensors and plain types, never code.

    Raises:
        UserError: no regular file.
    """
    import torch

    return torch.load(require_regular(path), weights_only=True, map_location="cpu", **options)


def save_tensors(temporary: Path, content: Any) -> None:
    """Write tensors and plain types to the path from `replacing`.

    Raises:
        OSError: the file system refuses; torch reports it in its own words.
    """
    import torch

    try:
        torch.save(content, temporary)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise OSError("the disk is full, or files may not grow so large" if ".cc:" in reason else reason) from error


def save_array(file: IO[bytes], values: Any) -> None:
    """Write an array as `.npy` into the file from `filling`."""
    import numpy as np

    np.save(file, values, allow_pickle=False)


def make_array(temporary: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    """Create a `.npy` of that type and shape, still without values, at the path from `replacing`."""
    import numpy as np

    np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # one extent instead of one per chunk: this halves the writing time
        with filling(temporary, "rb+") as file:
            os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)


def array_offset(temporary: Path) -> int:
    """The offset of the values in a file from `make_array`."""
    import numpy as np

    return int(np.lib.format.open_memmap(temporary, mode="r").offset)


def read_hdf5(stream: IO[bytes]) -> Any:
    """The HDF5 file in a stream, to be read; other files that it names are not opened by this.

    Raises:
        ImportError: the library is not installed.
        OSError: it is no such file.
    """
    import h5py

    return h5py.File(stream, "r")


def write_netcdf(file: IO[bytes]) -> Any:
    """A new NetCDF-4 file in the file from `filling`."""
    import h5netcdf

    return h5netcdf.File(file, "w")


def save_matlab(file: IO[bytes], content: Mapping[str, Any]) -> None:
    """Write arrays as MATLAB's version 7 into the file from `filling`."""
    from scipy.io import savemat

    savemat(file, dict(content), do_compression=True)
