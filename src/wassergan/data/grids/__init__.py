"""Files of named arrays with axes, coordinates and units: NetCDF, Zarr, HDF5, MATLAB."""

from wassergan.data.grids.choosing import Gridded
from wassergan.data.grids.metadata import GridMetadata
from wassergan.data.grids.opening import is_grid_file, open_gridded

__all__ = ["GridMetadata", "Gridded", "is_grid_file", "open_gridded"]
