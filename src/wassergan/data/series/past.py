"""A past that series go on from: the first steps of each, in the units of the data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.files import files_of
from wassergan.data.paired import ArrayConditions, opened_array
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.marks import unchanging
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.table_files import table_in
from wassergan.data.tables import RawTable, is_frame, read_frame, table_suffix
from wassergan.data.tables.columns import TypedColumn
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.errors import UserError, parameter
from wassergan.storage.files import require_readable

NAME = "given_past"


@dataclass(frozen=True, eq=False)
class PastConditions(ArrayConditions):
    """The first steps of some series, from which samples go on."""

    like: ClassVar[str] = "the series of the training"

    @property
    def names(self) -> tuple[str, ...]:
        """What conditions are called in messages."""
        return (parameter(NAME),)

    @property
    def steps(self) -> int:
        """Of a past."""
        return self.array_shape[1]


def opened_past(
    past: Any,
    codec: SeriesCodec,
    *,
    channels: int,
    steps: int,
    draws: int | None = None,
    log: Callable[[str], None] = lambda sentence: None,
) -> PastConditions:
    """The first steps of series, under which what follows is drawn.

    Args:
        past: an array (series, steps, channels), or (steps, channels) of one series, in the units of the data; a file
            that holds one; or a table with the channels as columns and one row for each step of one series.
        codec: of the training.
        channels: of a series in model space, masks included.
        steps: of a whole series.
        draws: for each past, 1 unless given.
        log: receives, in a sentence, how many values are outside the range of the training.

    Raises:
        UserError: other channels, no step or nothing left to draw, or values that no series of the training has.
    """
    names = codec.named(codec.without_masks((channels, steps))[0])
    name, rows = _opened(past, codec, names)
    if rows.ndim in (1, 2) and (rows.ndim == 2 or len(names) == 1):
        rows = rows.reshape(1, len(rows), -1)
    if rows.ndim != 3 or rows.shape[2] != len(names):
        raise UserError(
            f"{name} holds other series than those of the training",
            found=f"shape {rows.shape}",
            hint=f"give an array (series, steps, {len(names)}), with the channels {', '.join(names)}",
        )
    known = rows.shape[1]
    if not 1 <= known < steps:
        raise UserError(
            f"{name} leaves nothing to draw" if known else f"{name} holds no steps",
            found=f"{known} steps, where a series of the run has {steps}",
            hint=f"give 1 to {steps - 1} steps: the last ones before what is to be drawn",
        )
    shape = (channels, known)
    found = PastConditions(codec.until(known), shape, torch.zeros(0)).given(rows, draws=draws, log=log, name=name)
    assert isinstance(found, PastConditions)
    return found


def _opened(past: Any, codec: SeriesCodec, names: tuple[str, ...]) -> tuple[str, NDArray[Any]]:
    """The name of a past and its values."""
    if is_frame(past):
        return NAME, _columns(read_frame(past), names)
    if isinstance(past, str | Path) and table_suffix(Path(past)):
        path = Path(past)
        require_readable(path)
        files = files_of(str(past), lambda sentence: None)
        with unchanging(files):
            table = table_in(files, path.name)
        if table is None:
            raise UserError(f"{path} holds no table", hint="give CSV, Excel, Parquet or Feather, or an array")
        return path.name, _columns(table, names)
    name, rows = opened_array(past, codec)
    name = name if isinstance(past, str | Path) else NAME
    return name, np.asarray(rows[0 : len(rows)]) if isinstance(rows, FileArray) and rows.shape else np.asarray(rows)


def _columns(table: RawTable, names: tuple[str, ...]) -> NDArray[np.float64]:
    """The columns of a table that are the channels of series, (steps, channels)."""
    there = {column.name: column for column in table.columns}
    gone = [name for name in names if name not in there]
    if gone:
        raise UserError(
            f"{table.name} lacks channels of the run's series", found=", ".join(gone), hint="give a table with them"
        )
    own = replace(table, columns=tuple(there[name] for name in names), notes=())
    wishes = {
        each.name: ColumnSpec(kind="number")
        for each in own.columns
        if not (isinstance(each, TypedColumn) and each.kind != "number")
    }
    found = infer_columns(own, Schema(columns=wishes), log=lambda sentence: None)
    odd = [each.name for each in found if each.kind != "number"]
    if odd or len(found) < len(names):
        lost = odd or [name for name in names if name not in {each.name for each in found}]
        raise UserError(f"{table.name} holds no numbers in {', '.join(lost)}", hint="give numbers")
    values: NDArray[np.float64] = np.stack([each.values for each in found], axis=1)
    return values
