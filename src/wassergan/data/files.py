"""The files that a path, a folder or a pattern denotes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from wassergan.data.readers.array_folder import is_array_file
from wassergan.data.readers.columnar import is_columnar
from wassergan.data.readers.paths import PICTURE_SUFFIXES, holds_any, is_pattern, is_shard, matching_files
from wassergan.data.readers.tree import entries_besides
from wassergan.errors import UserError
from wassergan.storage.files import require_readable

KINDS = (
    "'digits', a folder, .zip or .tar shards of pictures, a folder of .npy samples, or a .npy, .npz, NetCDF, Zarr, "
    "HDF5, MATLAB, IDX, CSV, Excel, Parquet, Arrow or Feather file"
)


def files_of(data: str, log: Callable[[str], None] = lambda sentence: None) -> list[Path]:
    """The files that a path or a pattern denotes; none for a folder of pictures.

    Args:
        data: a path or a pattern.
        log: receives what a folder of tables or of shards holds besides.

    Raises:
        UserError: there are none, or one of them is not there.
    """
    path = Path(data)
    if path.is_dir():
        return _files_in(path, log)
    files = [path]
    if is_pattern(data) and not path.exists():
        files = matching_files(data)
        if not files:
            raise UserError(f"No file matches {data}", hint=f"give {KINDS}")
    for each in files:
        if not each.exists():
            raise UserError(f"There is no {each}", hint=f"give {KINDS}")
        require_readable(each)
    return files


def _files_in(folder: Path, log: Callable[[str], None]) -> list[Path]:
    """The tables, the shards or the arrays in a folder; none where there are pictures beside them."""
    there = sorted(folder.iterdir())
    usable = [path for path in there if not path.name.startswith((".", "_")) and path.is_file()]
    kinds = (is_columnar, is_shard, is_array_file)
    files = next((found for kind in kinds if (found := [path for path in usable if kind(path)])), [])
    if not files or holds_any(folder, PICTURE_SUFFIXES):
        return []  # a folder of pictures reports what it skips itself
    if passed := entries_besides(there, files).sentence(str(folder)):
        log(passed)
    return files


def all_are(is_kind: Callable[[Path], bool], files: Sequence[Path]) -> bool:
    """Whether there are files, all of one kind."""
    return bool(files) and all(map(is_kind, files))
