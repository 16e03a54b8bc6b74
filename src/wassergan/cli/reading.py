"""How data sources are read: flags that several verbs share, and what they come to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from wassergan.data.measured import Reading

_FLAGS = (
    click.option("--key", help="Name of the array in a .npz, NetCDF, Zarr, HDF5 or MATLAB file (also FILE::NAME)."),
    click.option("--sample-dim", metavar="NAME,...", help="Such files: the axis along which samples lie."),
    click.option("--sheet", help="Sheet of an Excel workbook; the first unless given."),
    click.option(
        "--layout",
        default="auto",
        show_default=True,
        metavar="auto|N|ND|NHW|NHWC|NCHW|NTC|NDHW|...",
        help="Axes of arrays.",
    ),
    click.option("--missing", metavar="X,...", help="Arrays: numbers that stand for missing values."),
    click.option("--channels", metavar="NAME,...", help="Arrays: names of the channels or features."),
    click.option("--schema", metavar="FILE", help="Tables: a JSON file that describes the columns."),
    click.option("--size", metavar="N|HxW", help="Pictures: scale and centre-crop to this size."),
    click.option("--colour", default="auto", show_default=True, metavar="auto|grey|rgb", help="Pictures: colours."),
    click.option("--skip-unreadable", is_flag=True, help="Pictures: skip those that cannot be read."),
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags that say how data sources are read."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def reading_of(flags: Mapping[str, Any]) -> "Reading":
    """What the flags of `reading_options` say.

    Raises:
        UserError: a value that its flag does not take, or a schema that cannot be read.
    """
    from wassergan.config.parsing import parse_names, parse_numbers, parse_size
    from wassergan.data import read_schema
    from wassergan.data.measured import Reading

    return Reading(
        key=flags["key"],
        sample_dim=flags["sample_dim"],
        sheet=flags["sheet"],
        layout=flags["layout"],
        missing=parse_numbers(flags["missing"]) if flags["missing"] else (),
        channels=parse_names(flags["channels"]) if flags["channels"] else (),
        schema=read_schema(Path(flags["schema"])) if flags["schema"] else None,
        size=parse_size(flags["size"]) if flags["size"] else None,
        colour=flags["colour"],
        skip_unreadable=flags["skip_unreadable"],
    )
