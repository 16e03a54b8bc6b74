"""Long tables and long series from files, arrays and DataFrames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.container import as_array
from wassergan.data.files import files_of
from wassergan.data.fitting import Wish
from wassergan.data.grids import is_grid_file, open_gridded
from wassergan.data.readers.arrays import SCALES, load_array
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.marks import unchanging
from wassergan.data.series.long_tables import long_source, read_table, tell_uneven, times_of
from wassergan.data.series.windows import Windows, window_source
from wassergan.data.source import Source
from wassergan.data.split import HELDOUT_SHARE
from wassergan.data.table_files import schema_in, table_in
from wassergan.data.tables import RawTable, Schema, is_frame, read_frame
from wassergan.data.tables.formats import LevelForm
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import require_readable

LARGEST_WINDOW = 2**14


@dataclass(frozen=True)
class InTime:
    """What a user says of series in time; see `open_source`."""

    series: str | None = None
    time: str | None = None
    window: int | None = None
    stride: int | None = None

    @property
    def is_asked(self) -> bool:
        """Whether anything is said."""
        return any(each is not None for each in (self.series, self.time, self.window, self.stride))

    def check(self) -> None:
        """Refuse what says nothing together.

        Raises:
            UserError: names what is missing.
        """
        if self.series is None and self.window is None:
            said = "time" if self.time is not None else "stride"
            raise UserError(
                f"{parameter(said)} says nothing by itself",
                hint=f"give {parameter('series')} for a long table, or {parameter('window')} for one long series",
            )
        if self.series is not None and (self.window is not None or self.stride is not None):
            raise UserError(
                "A long table of series is not cut into windows",
                found=f"{parameter('series')} beside {parameter('window' if self.window is not None else 'stride')}",
                hint="give one of them",
            )
        if self.series is not None and self.time is None:
            raise UserError("A long table has a column of time", hint=f"name it with {parameter('time')}")
        if self.window is not None and self.window > LARGEST_WINDOW:
            raise UserError("The windows are too long", found=f"{self.window}", hint=f"give at most {LARGEST_WINDOW}")


def opened_in_time(
    data: Any,
    asked: InTime,
    *,
    schema: Any,
    sheet: str | None,
    key: str | None,
    sample_dim: str | None,
    of_numbers: Mapping[str, Any],
    refused: Sequence[str],
) -> Source:
    """The source of a long table, or of windows of one long series.

    Args:
        data: a file, an array, a tensor or a DataFrame.
        asked: what is said of time.
        schema: of a table.
        sheet: of a workbook.
        key: of a `.npz`, or of a file of named arrays.
        sample_dim: the axis of time of such an array.
        of_numbers: layout, scale, missing values, channels, split and log, as for arrays.
        refused: what is said that series in time do not have.

    Raises:
        UserError: what is said does not go together, or the data cannot be read so.
    """
    asked.check()
    if refused:
        raise UserError(
            f"{parameter(refused[0])} is not for series in time yet",
            hint="leave it out, or give an array of shape (samples, steps, channels) with "
            + parameter("layout", "NTC"),
        )
    if of_numbers["layout"] not in ("auto", "NTC"):
        raise UserError("Series have the layout NTC", found=of_numbers["layout"], hint="leave it out")
    said = schema_in(schema)
    if isinstance(data, Tensor | np.ndarray | FileArray):
        given = as_array(data) if isinstance(data, Tensor) else data
        return _of_array(_whole(given, "array"), "array", asked, of_numbers)
    if is_frame(data):
        return _of_table(read_frame(data), asked, said, of_numbers)
    if is_grid_file(data):
        found = open_gridded(data, key=key, sample_dim=sample_dim, log=of_numbers["log"])
        own = {**of_numbers, "missing": (*found.codes, *of_numbers["missing"])}
        if not own["channels"]:
            own["channels"] = found.names
        return _of_array(_whole(found.array, found.name), found.name, asked, own)
    path = Path(data)
    require_readable(path)
    files = files_of(str(data), of_numbers["log"])
    with unchanging(files):
        if path.suffix in (".npy", ".npz"):
            name, array = load_array(path, key=key)
            return _of_array(_whole(array, name), name, asked, of_numbers)
        table = table_in(files, path.name, sheet=sheet, said=said)
        if table is None:
            raise UserError(f"{data} holds no series", hint="give CSV, Parquet, Feather, .npy, .npz or NetCDF")
        return _of_table(table, asked, said, of_numbers)


def _whole(array: NDArray[Any] | FileArray, name: str) -> NDArray[Any]:
    """A long series in memory; masks stay.

    Raises:
        UserError: a single number.
    """
    if not array.shape:
        raise UserError(f"{name} is no long series", found="a single number", hint="give an array (steps, channels)")
    return np.asanyarray(array[0 : len(array)])


def _of_array(array: NDArray[Any], name: str, asked: InTime, of_numbers: Mapping[str, Any]) -> Source:
    if asked.window is None or asked.time is not None:
        raise UserError(
            "An array has no columns that name series or time",
            found=name,
            hint=f"leave them out, and give {parameter('window')}",
        )
    names = tuple(of_numbers["channels"])
    count = array.shape[1] if array.ndim == 2 else 1
    if names and (len(names) != count or len(set(names)) != count):
        raise UserError(f"{name} has {count} channels", found=f"{len(names)} names", hint="give each one of its own")
    return _windows(array, names, name, asked, of_numbers)


def _of_table(table: RawTable, asked: InTime, schema: Schema, of_numbers: Mapping[str, Any]) -> Source:
    heldout, log = of_numbers.get("heldout", HELDOUT_SHARE), of_numbers["log"]
    if of_numbers["missing"] or of_numbers["channels"]:
        raise UserError(
            f"{parameter('missing')} and {parameter('channels')} are for arrays",
            found=table.name,
            hint="leave them out",
        )
    if asked.series is not None:
        assert asked.time is not None
        own = {"series": asked.series, "time": asked.time}
        return long_source(table, **own, schema=schema, heldout=heldout, seed=of_numbers["seed"], log=log)
    codec, rows = read_table(table, keys=(asked.time,) if asked.time is not None else (), schema=schema, log=log)
    if asked.time is not None:
        times = times_of(table, codec, rows, asked.time)
        rows = rows[order := np.argsort(times, kind="stable")]
        tell_uneven(times[order], table.name, log)
    kept = [index for index, column in enumerate(codec.columns) if column.name != asked.time]
    for index in kept:
        column = codec.columns[index]
        if isinstance(column.form, LevelForm) or column.kind == "date":
            raise UserError(
                f"Column {column.name} of {table.name} is no number at every step",
                found=f"a {column.kind}",
                hint=f"name the column of time with {parameter('time')}, or leave others out with a schema: "
                f'{{"columns": {{"{column.name}": "drop"}}}}',
            )
    return _windows(rows[:, kept], tuple(codec.columns[each].name for each in kept), table.name, asked, of_numbers)


def _windows(
    array: NDArray[Any], names: tuple[str, ...], name: str, asked: InTime, of_numbers: Mapping[str, Any]
) -> Source:
    assert asked.window is not None
    if of_numbers["scale"] not in SCALES:
        raise unknown_name("scale", of_numbers["scale"], SCALES)
    windows = Windows(asked.window, asked.stride or 1)
    wish = Wish("NTC", of_numbers["scale"], tuple(of_numbers["missing"]), names, name, of_numbers["log"])
    source = window_source(
        array, windows, wish, heldout=of_numbers.get("heldout", HELDOUT_SHARE), seed=of_numbers["seed"]
    )
    of_numbers["log"](
        f"{source.train_count} windows of {windows.length} steps to train on, {source.heldout_count} held out, by "
        "stretches of time that share no step."
    )
    return source
