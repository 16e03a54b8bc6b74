"""What a user says of data, and what of it says nothing of the data that there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wassergan.data.codec import are_pixels
from wassergan.data.readers.columnar import is_columnar
from wassergan.data.readers.excel import is_excel
from wassergan.data.readers.idx import is_idx
from wassergan.data.readers.paths import is_pattern
from wassergan.data.readers.tiff import SUFFIXES
from wassergan.data.series.opening import InTime
from wassergan.data.source import Source
from wassergan.data.tables import Schema, is_csv
from wassergan.data.volumes.crops import Sides
from wassergan.errors import UserError, parameter


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user says of the data, whatever they are: arguments of `open_source`."""

    split: Mapping[str, Any]
    log: Callable[[str], None]
    size: tuple[int, int] | None
    colour: str
    skip_unreadable: bool
    bits: int | None
    key: str | None
    sample_dim: str | None
    sheet: str | None
    layout: str
    scale: str
    missing: tuple[int | float, ...]
    channels: tuple[str, ...]
    schema: str | Path | Schema | None
    condition: tuple[str, ...]
    completion: bool
    labels: Any
    condition_array: Any
    condition_layout: str
    weight: str | None
    sample_weight: Any
    in_time: InTime
    crop: Sides | None

    @property
    def beside(self) -> list[str]:
        """Names of what is said of conditions and weights."""
        said = {
            "condition": self.condition,
            "labels": self.labels is not None,
            "condition_array": self.condition_array is not None,
            "weight": self.weight or self.sample_weight is not None,
        }
        return [name for name, given in said.items() if given]

    @property
    def of_numbers(self) -> dict[str, Any]:
        """What readers of arrays take."""
        numbers = {"layout": self.layout, "scale": self.scale, "missing": self.missing, "channels": self.channels}
        return {**numbers, **self.split, "log": self.log}

    @property
    def of_tables(self) -> dict[str, Any]:
        """What readers of tables take."""
        weights = {"weight": self.weight, "weights": self.sample_weight}
        own = {"condition": self.condition, "completion": self.completion}
        return {**own, **weights, **self.split, "log": self.log}


def refuse_what_tables_have(source: Source, asked: Asked) -> None:
    """Columns of weights, and cells to fill, where the data are no table."""
    if asked.completion and not source.codec.conditions_are_columns:
        raise UserError(
            f"{parameter('completion')} is for tables",
            found=f"{source.name} holds {source.kind}s",
            hint=f"leave {parameter('completion')} out",
        )
    if not source.codec.conditions_are_columns and asked.weight is not None:
        raise UserError(
            "Weights are a column of a table", found=f"{source.name}", hint=f"leave {parameter('weight')} out"
        )


def refuse_what_says_nothing(data: Any, asked: Asked) -> None:
    """A schema says something of tables, `missing` and `channels` of arrays; all other data know that themselves."""
    path = Path(data)
    is_either = is_columnar(path) or path.is_dir()
    if asked.schema and not (is_either or is_csv(path) or is_excel(path)):
        raise UserError("A schema is for tables", found=f"{data}", hint=f"leave {parameter('schema')} out")
    if asked.weight is not None and not (is_either or is_csv(path) or is_excel(path) or is_pattern(str(data))):
        raise UserError("Weights are a column of a table", found=f"{data}", hint=f"leave {parameter('weight')} out")
    of_arrays = is_either or path.suffix.lower() in (".npy", ".npz", *SUFFIXES) or is_idx(path) or is_pattern(str(data))
    for flag, said in ((parameter("missing"), asked.missing), (parameter("channels"), asked.channels)):
        if said and not of_arrays:
            raise UserError(f"{flag} is for arrays of numbers", found=f"{data}", hint="leave it out")


def refuse_what_did_nothing(source: Source, path: Path, asked: Asked) -> None:
    """What is said of pictures in files, of arrays or of workbooks, where a file has turned out to hold other data.

    Raises:
        UserError: names it, and what it is for.
    """
    are_pictures = source.names is not None
    are_arrays = not are_pictures and not source.codec.conditions_are_columns and str(path) != "digits"
    pictures = "is for pictures in folders, .zip and .tar files"
    numbers = "is for arrays of numbers other than the grey levels of eight bits"
    told: tuple[tuple[str, Any, bool, str], ...] = (
        ("size", asked.size and "x".join(map(str, asked.size)), are_pictures, pictures),
        ("colour", None if asked.colour == "auto" else asked.colour, are_pictures, pictures),
        ("skip_unreadable", asked.skip_unreadable or None, are_pictures, pictures),
        ("key", asked.key, ":" in source.name, "names an array in a .npz, NetCDF, Zarr, HDF5 or MATLAB file"),
        ("sheet", asked.sheet, is_excel(path), "is for Excel workbooks"),
        ("layout", _unless(asked.layout, "auto", "table"), are_arrays, "is for arrays"),
        (
            "scale",
            _unless(asked.scale, "auto"),
            are_arrays and not are_pixels(source.codec.dtype, source.codec.layout),
            numbers,
        ),
    )
    for name, said, is_used, purpose in told:
        if said is not None and not is_used:
            raise UserError(
                f"{parameter(name)} {purpose}", found=f"{parameter(name, said)} beside {path}", hint="leave it out"
            )


def _unless(said: str, *usual: str) -> str | None:
    return None if said in usual else said
