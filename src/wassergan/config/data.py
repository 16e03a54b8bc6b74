"""What the data are, and how they are read."""

import glob
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from wassergan.config.parsing import fraction, parse_crop, parse_names, parse_numbers, parse_size, positive_int
from wassergan.config.setting import setting


@dataclass(frozen=True)
class Origin:
    """Where the data lie."""

    data: str = ""


@dataclass(frozen=True)
class DataSettings(Origin):
    """How the data are read; None is left to them."""

    size: tuple[int, int] | None = setting(
        None, "Pictures: scale and centre-crop to this size.", parse=parse_size, group="Data", values="N|HxW"
    )
    colour: str = setting("auto", "Pictures: colours.", group="Data", values="auto|grey|rgb")
    skip_unreadable: bool = setting(False, "Pictures: count and skip unreadable ones.", group="Data", flag=True)
    key: str | None = setting(
        None, "Name of the array in a .npz, or in a NetCDF, Zarr, HDF5 or MATLAB file (also FILE::NAME).", group="Data"
    )
    sample_dim: str | None = setting(
        None,
        "NetCDF, Zarr, HDF5, MATLAB: the axis along which samples lie, by its name or its number; time unless given.",
        group="Data",
        values="NAME,...",
    )
    sheet: str | None = setting(None, "Sheet of an Excel workbook; the first unless given.", group="Data")
    layout: str = setting(
        "auto",
        "Axes of an array (NTC: series of T steps); table: read Parquet, Arrow or Feather files of numbers as tables.",
        group="Data",
        values="auto|N|ND|NHW|NHWC|NCHW|NTC|NDHW|NDHWC|NCDHW|table",
    )
    scale: str = setting(
        "auto",
        "Standardise the numbers of an array per channel, per feature (every pixel separately) or all together; auto: "
        "fields and series per channel, vectors per feature.",
        group="Data",
        values="auto|channel|feature|array",
    )
    missing: tuple[int | float, ...] | None = setting(
        None,
        "Arrays: values that mean missing, such as -9999 (NaN always does).",
        parse=parse_numbers,
        group="Data",
        values="X,X,...",
    )
    channels: tuple[str, ...] | None = setting(
        None,
        "Arrays: names of the channels or features, for figures and metrics.",
        parse=parse_names,
        group="Data",
        values="NAME,NAME,...",
    )
    schema: str | None = setting(None, "Tables: a JSON file that describes the columns.", group="Data", values="FILE")
    condition: tuple[str, ...] | None = setting(
        None,
        "Conditions of the samples: columns of a table, label for the digits, folder for pictures in folders, other "
        "arrays of a .npz.",
        parse=str,
        group="Data",
        values="NAME...",
        several=True,
    )
    completion: bool = setting(
        False,
        "Tables: learn every column given any others, so that `wassergan complete` fills missing cells and any columns "
        "can be given to `wassergan sample`.",
        group="Data",
        flag=True,
    )
    labels: str | None = setting(
        None,
        "Conditions of pictures and arrays: .npy, IDX or a table with one row per sample.",
        group="Data",
        values="FILE",
    )
    condition_array: str | None = setting(
        None,
        "Conditions of pictures and arrays that are arrays themselves, such as coarse fields: .npy, .npz (FILE::NAME "
        "for one of many), NetCDF, Zarr, HDF5 or IDX with one row per sample.",
        group="Data",
        values="FILE",
    )
    condition_layout: str = setting(
        "auto", "Axes of {condition_array}.", group="Data", values="auto|N|ND|NHW|NHWC|NCHW"
    )
    weight: str | None = setting(
        None,
        "Tables: a column with weights of the rows, such as survey weights; it is no column of the samples.",
        group="Data",
        values="COLUMN",
    )
    series: str | None = setting(
        None,
        "Long tables: the column that names the series of each row; whole series are drawn.",
        group="Data",
        values="COLUMN",
    )
    time: str | None = setting(None, "Long tables: the column of time.", group="Data", values="COLUMN")
    window: int | None = setting(
        None,
        "One long series (an array or a table of numbers): steps in each of the windows that it is cut into.",
        parse=positive_int,
        group="Data",
    )
    stride: int | None = setting(
        None, "Steps from the start of one window to that of the next (1).", parse=positive_int, group="Data"
    )
    crop: tuple[int, int, int] | None = setting(
        None,
        "One large volume (an array or a multi-page TIFF), or several: sides of the crops that are cut at random.",
        parse=parse_crop,
        group="Data",
        values="N|DxHxW",
    )
    heldout: float | None = setting(
        None,
        "Fraction of the samples that are never trained on (0.1; 0.2 for the digits).",
        parse=fraction,
        group="Data",
    )

    def located(self) -> Self:
        """The same with absolute paths, which mean the same from any folder."""
        data, *others = map(absolute, (self.data, self.labels, self.schema, self.condition_array))
        labels, schema, condition_array = others
        return replace(self, data=data or "", labels=labels, schema=schema, condition_array=condition_array)


def absolute(path: str | None) -> str | None:
    """A path or a pattern from the root; what is no path, such as `digits`, stays."""
    if not path or path == "digits" or Path(path).is_absolute():
        return path
    here = str(Path.cwd())
    # A pattern's own signs in the name of a folder above it would become part of the pattern.
    is_pattern = any(sign in path for sign in "*?[{") and not Path(path).exists()
    return str(Path(glob.escape(here) if is_pattern else here, path))
