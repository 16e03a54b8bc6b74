"""Files of named arrays: NetCDF, Zarr, HDF5 and MATLAB."""

from collections.abc import Callable
from pathlib import Path

from wassergan.data.grids import matlab, zarr_store
from wassergan.data.grids.choosing import Gridded, gridded, named_in
from wassergan.data.grids.contents import Contents
from wassergan.data.grids.hdf5 import is_hdf5, read_hdf5
from wassergan.data.grids.matlab import read_matlab
from wassergan.data.grids.netcdf3 import is_netcdf3, read_netcdf3
from wassergan.data.grids.zarr_store import is_zarr, read_zarr
from wassergan.data.readers.marks import unchanging
from wassergan.data.readers.paths import is_pattern
from wassergan.errors import UserError
from wassergan.storage.files import require_regular

NETCDF, HDF5 = (".nc", ".nc4", ".cdf", ".netcdf"), (".h5", ".hdf5", ".hdf", ".he5", ".h5ad")
SUFFIXES = (*NETCDF, *HDF5, zarr_store.SUFFIX, matlab.SUFFIX)
TOLD = "a NetCDF, Zarr, HDF5 or MATLAB file"


def is_grid_file(text: str | Path) -> bool:
    """Whether a path, or what stands before `::` in it, is that of a file of named arrays by its name."""
    try:
        path, _ = named_in(str(text))
        return path.suffix.lower() in SUFFIXES or is_zarr(path)
    except OSError:  # a name that no file has; who reads it says so
        return False


def read_contents(path: Path) -> Contents:
    """What a file of named arrays holds.

    Raises:
        UserError: it is of another kind, damaged or hostile, or no reader is installed.
    """
    if path.is_dir():
        if is_zarr(path):
            return read_zarr(path)
        raise UserError(
            f"{path} is no Zarr store", found="no .zgroup, .zarray or zarr.json in it", hint="name the store"
        )
    require_regular(path)
    if path.suffix.lower() == matlab.SUFFIX:
        return read_matlab(path)
    if is_netcdf3(path):
        return read_netcdf3(path)
    if is_hdf5(path):
        return read_hdf5(path, kind="NetCDF" if path.suffix.lower() in NETCDF else "HDF5")
    raise UserError(f"{path} is no NetCDF or HDF5 file", found="another beginning", hint="check how it was made")


def open_gridded(
    text: str | Path,
    *,
    key: str | None = None,
    sample_dim: str | None = None,
    whole: bool = False,
    log: Callable[[str], None] = lambda sentence: None,
) -> Gridded:
    """The array that a path means, such as `era5.nc` or `era5.nc::t2m`; see `gridded`.

    Raises:
        UserError: as `read_contents` and `gridded`; two names are given.
    """
    path, name = named_in(str(text))
    if name is not None and key is not None and name != key:
        raise UserError("Two arrays are named", found=f"{name} and {key}", hint="name one")
    if not path.exists() and is_pattern(str(path)):
        raise UserError(
            "Several files of named arrays are not read together",
            found=f"{path}",
            hint="join them, for example xarray.open_mfdataset(files).to_netcdf(file)",
        )
    if not path.exists():
        raise UserError(f"There is no {path}", hint=f"give {TOLD}")
    with unchanging([] if path.is_dir() else [path]):
        return gridded(read_contents(path), key=name or key, sample_dim=sample_dim, whole=whole, log=log)
