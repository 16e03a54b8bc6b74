"""Large volumes that are cut into crops, and stacks of TIFF pages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.codec import VOLUMES, channels_first
from wassergan.data.container import as_array
from wassergan.data.files import files_of
from wassergan.data.fitting import Wish
from wassergan.data.grids import is_grid_file, open_gridded
from wassergan.data.masked import unmasked
from wassergan.data.readers.arrays import SCALES, array_source, layout_of, load_array, refuse_non_numbers
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import unchanging
from wassergan.data.readers.tiff import read_tiff, read_tiffs, tiffs_of
from wassergan.data.source import Source
from wassergan.data.split import HELDOUT_SHARE
from wassergan.data.tables import is_frame
from wassergan.data.volumes.crops import Sides, crop_source
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import require_readable

LARGEST_CROP = 2**27  # voxels
CHANNELS = 4  # at most, of a single volume whose layout is not said


def opened_crops(
    data: Any, crop: Sides, *, key: str | None, of_numbers: Mapping[str, Any], refused: Sequence[str]
) -> Source:
    """Crops of one large volume, or of several of one size.

    Args:
        data: a file, a folder or a pattern of TIFF files, an array or a tensor.
        crop: sides of a crop.
        key: of a `.npz`.
        of_numbers: layout, scale, missing values, channels, split and log, as for arrays.
        refused: what is said that crops do not have.

    Raises:
        UserError: what is said does not go together, or the data cannot be read so.
    """
    if refused:
        raise UserError(f"{parameter(refused[0])} is not for crops of volumes", hint="leave it out")
    if np.prod([float(each) for each in crop]) > LARGEST_CROP:
        raise UserError(
            "The crops are too large", found="x".join(map(str, crop)), hint=f"give a smaller {parameter('crop')}"
        )
    array, name, several = _read(data, key, of_numbers)
    refuse_non_numbers(array, name)
    require_room(array.nbytes, name)
    whole = np.asanyarray(array[0 : len(array)]) if array.ndim else np.zeros(())
    values, codes = unmasked(whole)
    said = of_numbers["layout"]
    volumes, layout = _volumes(values, "NDHW" if said == "auto" and several and values.ndim == 4 else said, name)
    if of_numbers["scale"] not in ("auto", "channel"):
        if of_numbers["scale"] not in SCALES:
            raise unknown_name("scale", of_numbers["scale"], SCALES)
        raise UserError("Crops have one scale for each channel", found=of_numbers["scale"], hint="leave it out")
    names = tuple(of_numbers["channels"])
    if names and (len(names) != volumes.shape[1] or len(set(names)) != len(names)):
        raise UserError(
            f"{name} has {volumes.shape[1]} channels", found=f"{len(names)} names", hint="give each one of its own"
        )
    wish = Wish("NCDHW", "channel", (*codes, *of_numbers["missing"]), names, name, of_numbers["log"])
    share = of_numbers.get("heldout", HELDOUT_SHARE)
    source = crop_source(volumes, crop, wish, heldout=share, seed=of_numbers["seed"])
    return _laid_out(source, layout)


def _laid_out(source: Any, layout: str) -> Source:
    """The same crops in the axes of the data."""
    own = source.reader
    reader = type(own)(own.volumes, own.starts, source.shape[1:], layout)
    found: Source = replace(source, reader=reader, codec=replace(source.codec, layout=layout))
    return found


def _read(data: Any, key: str | None, of_numbers: Mapping[str, Any]) -> tuple[NDArray[Any] | FileArray, str, bool]:
    """The numbers, what to call them, and whether they come from several files of a volume each."""
    if isinstance(data, Tensor | np.ndarray | FileArray):
        return as_array(data) if isinstance(data, Tensor) else data, "array", False
    if is_frame(data):
        raise UserError(f"{parameter('crop')} is for volumes", found="a DataFrame", hint="leave it out")
    if is_grid_file(data):
        found = open_gridded(data, key=key, whole=True, log=of_numbers["log"])
        if found.codes:
            raise UserError(
                f"{found.name} has numbers that mean missing", found=f"{found.codes}", hint="fill these values"
            )
        return found.array, found.name, False
    path = Path(data)
    if tiffs := tiffs_of(str(data), of_numbers["log"]):
        return _tiffs(tiffs), path.name, len(tiffs) > 1
    require_readable(path)
    files = files_of(str(data), of_numbers["log"])
    if len(files) == 1 and path.suffix in (".npy", ".npz"):
        with unchanging(files):
            name, array = load_array(path, key=key)
            return array, name, False
    raise UserError(
        f"{parameter('crop')} is for volumes", found=f"{data}", hint="give a .npy, .npz, HDF5 or multi-page TIFF file"
    )


def _tiffs(files: list[Path]) -> NDArray[Any]:
    """One volume, or several of one size."""
    with unchanging(files):
        return read_tiff(files[0]) if len(files) == 1 else read_tiffs(files)


def _volumes(array: NDArray[Any], layout: str, name: str) -> tuple[NDArray[Any], str]:
    """All volumes as (V, C, D, H, W), and the layout of a crop."""
    if layout != "auto" and layout not in VOLUMES:
        raise UserError(f"Volumes have the layouts {', '.join(VOLUMES)}", found=layout, hint="choose one of them")
    if array.ndim == 3 and layout in ("auto", "NDHW"):
        array, layout = array[None], "NDHW"
    elif array.ndim == 4 and layout == "auto":
        last, first = array.shape[3] <= CHANNELS, array.shape[0] <= CHANNELS
        if last == first:
            raise UserError(
                f"The axes of {name} are not clear",
                found=f"shape {array.shape}",
                hint=f"say {parameter('layout', 'NDHW')} for several volumes, NDHWC or NCDHW for one with channels",
            )
        array, layout = array[None], "NDHWC" if last else "NCDHW"
    elif array.ndim == 4 and layout != "NDHW":
        array = array[None]
    layout = layout_of(array, layout, name)
    if layout not in VOLUMES:
        raise UserError(f"{name} holds no volumes", found=f"shape {array.shape}", hint="give (depth, height, width)")
    if 0 in array.shape:
        raise UserError(f"{name} holds no voxels", found=f"shape {array.shape}")
    return channels_first(array, layout), layout


def opened_stacks(files: list[Path], of_numbers: Mapping[str, Any]) -> Source:
    """TIFF files of several pages as volumes, one each; the pages of one file as pictures, if the layout says so.

    Raises:
        UserError: a single file that may be one volume or many pictures, or files of several sizes.
    """
    name = files[0].name if len(files) == 1 else files[0].parent.name
    layout = of_numbers["layout"]
    if len(files) > 1:
        with unchanging(files):
            values = read_tiffs(files)
        layout = "NDHW" if layout == "auto" and values.ndim == 4 else layout
        return array_source(values, name=name, **{**of_numbers, "layout": layout})
    if layout == "auto":
        raise UserError(
            f"{name} may be one volume, or many pictures",
            found="one TIFF file",
            hint=f"say {parameter('crop', 32)} to cut a volume, or {parameter('layout', 'NHW')} for pictures",
        )
    with unchanging(files):
        pages = read_tiff(files[0])
    return array_source(pages, name=name, **of_numbers)
