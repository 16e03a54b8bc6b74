"""Long tables, one row for each series and step, as a source of series."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import SERIES
from wassergan.data.readers.arrays import array_source
from wassergan.data.readers.limits import require_room
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.series.form import LongForm, Values, channels_of
from wassergan.data.source import Source
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.columns import RawTable, TextColumn
from wassergan.data.tables.formats import LevelForm
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.tables.source import table_source
from wassergan.errors import UserError, parameter, unknown_name

LARGEST_LENGTH = 2**14
GRID = 1e-6  # of a step, by which times may be off it
Log = Callable[[str], None]


def long_source(
    table: RawTable,
    *,
    series: str,
    time: str,
    schema: Schema,
    heldout: float,
    seed: int,
    log: Log,
) -> Source:
    """A source over the series of a long table; whole series are held out.

    Args:
        table: as it stands in the file.
        series: the column that names the series of a row.
        time: the column of time.
        schema: what the user says about the columns.
        heldout: share of the series held out.
        seed: chooses them.
        log: receives what was decided.

    Raises:
        UserError: no such columns, missing names or times, a step twice in a series, or too many levels.
    """
    if series == time:
        raise UserError("One column cannot name both series and time", found=f"'{time}'", hint="name two columns")
    codec, rows = read_table(table, keys=(series, time), schema=schema, log=log)
    order, owner, place, form = _placed(table, codec, rows, series, time, log)
    values = _arrays(form, rows[order], owner, place)
    source = array_source(
        values,
        name=table.name,
        layout=SERIES,
        channels=form.channels,
        heldout=heldout,
        seed=seed,
        log=lambda sentence: None if "missing" in sentence or "same value" in sentence else log(sentence),
    )
    lengths = f"{values.shape[1]} steps"
    if form.lengths_differ:
        lengths = f"up to {lengths}"
    log(f"{len(values)} series of {lengths} in {table.name}, {len(form.columns)} columns.")
    return replace(source, codec=replace(cast(SeriesCodec, source.codec), form=form))


def read_table(table: RawTable, *, keys: Sequence[str], schema: Schema, log: Log) -> tuple[TableCodec, Values]:
    """All columns in numbers, and how each is written.

    Args:
        table: as it stands in the file.
        keys: columns that must not be taken for identifiers, the last one that of time.
        schema: what the user says about the others.
        log: receives what was left out.

    Raises:
        UserError: no such column, or a column that does not come back as it is.
    """
    names, asked = [column.name for column in table.columns], dict(schema.columns)
    for name in keys:
        if name not in names:
            raise unknown_name(f"column of {table.name}", name, names)
        column = table.columns[names.index(name)]
        if isinstance(column, TextColumn):
            is_number, other = all(map(_is_whole, column.levels)), "category"
        else:
            is_number, other = getattr(column, "kind", "") == "number", None
        is_date = is_number and name == keys[-1] and _is_date(table, name)  # such as 20240131
        if name not in asked and not is_date and (is_number or name != keys[-1]):
            asked[name] = ColumnSpec(kind="number" if is_number else other)
    source = table_source(table, schema=replace(schema, columns=asked), log=log)
    codec = cast(TableCodec, source.codec)
    for name in keys:
        if name not in (column.name for column in codec.columns):
            raise UserError(f"Column {name} of {table.name} is left out", hint="say in the schema what it is")
    return codec, source.values(torch.arange(len(source))).numpy()


def _is_date(table: RawTable, name: str) -> bool:
    """Whether the numbers of a column are written dates, as they are in other tables."""
    own = replace(table, columns=(table.columns[table.names.index(name)],), notes=())
    try:
        (column,) = infer_columns(own, Schema(), log=lambda sentence: None)
    except UserError:  # left out: an identifier, such as the numbers of the rows
        return False
    return column.kind == "date"


def tell_uneven(times: Values, name: str, log: Log) -> None:
    """Say where ascending times are not evenly spaced, since windows take rows as if they were.

    Args:
        times: of the rows, ascending.
        name: of the table.
        log: receives a sentence; none where no step is half as long as the usual one, or longer by half.
    """
    steps = np.diff(times)
    ahead = steps[steps > 0]
    if not ahead.size:
        return
    usual = float(np.median(ahead))
    odd, twice = int(((ahead < 0.5 * usual) | (ahead > 1.5 * usual)).sum()), len(steps) - len(ahead)
    told = [f"{twice} rows have the time of the one before"] if twice else []
    if odd:
        longest = ahead.max() / usual
        told.append(f"{odd} of {len(steps)} steps differ from the usual one, the longest is {longest:.3g} times that")
    if told:
        log(f"The times of {name} are uneven: {', and '.join(told)}. Rows are steps of the windows all the same.")


def times_of(table: RawTable, codec: TableCodec, rows: Values, time: str) -> Values:
    """The times of all rows.

    Raises:
        UserError: a time is missing, or the column is no time.
    """
    index = [column.name for column in codec.columns].index(time)
    if isinstance(codec.columns[index].form, LevelForm):
        raise UserError(
            f"Column {time} of {table.name} is no time", found="text", hint="give numbers or dates, such as 2024-01-31"
        )
    return _complete(table, time, rows[:, index])


def _complete(table: RawTable, name: str, values: Values) -> Values:
    if np.isnan(values).any():
        at = table.row_name(int(np.isnan(values).argmax()))
        raise UserError(f"{table.name} misses a value of {name}", found=at, hint="fill it, or leave the row out")
    return values


def _is_whole(text: str) -> bool:
    return text.strip().isdecimal()


def _placed(
    table: RawTable, codec: TableCodec, rows: Values, series: str, time: str, log: Log
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], LongForm]:
    """Rows by series and time: their order, and of each its series and its step; and how all are written."""
    names = [column.name for column in codec.columns]
    owners = _complete(table, series, rows[:, names.index(series)])
    times = times_of(table, codec, rows, time)
    order = np.lexsort((times, owners))
    _, owner = np.unique(owners[order], return_inverse=True)
    ordered = times[order]
    same = np.diff(owner) == 0
    steps = np.diff(ordered)[same]
    if (steps == 0).any():
        twice = np.flatnonzero(same & (np.diff(ordered) == 0))[0]
        both = sorted(int(each) for each in order[twice : twice + 2])
        raise UserError(
            f"A series of {table.name} has two rows at one time",
            found=" and ".join(map(table.row_name, both)),
            hint="leave one of them out, or name another column of time",
        )
    starts = np.flatnonzero(np.r_[True, ~same])
    step = float(steps.min()) if steps.size else 1.0
    place = (ordered - ordered[starts][owner]) / step
    on_grid = np.abs(place - place.round()).max() <= GRID * max(1.0, place.max())
    if not on_grid or place.max() >= LARGEST_LENGTH:
        step = float(np.median(steps))
        log(f"The times of {table.name} are no multiples of a step: rows are steps, written {step:g} apart.")
        place = (np.arange(len(order)) - starts[owner]).astype(np.float64)
    numbers: NDArray[np.int64] = place.round().astype(np.int64)
    if numbers.max() >= LARGEST_LENGTH:
        raise UserError(
            f"A series of {table.name} is too long",
            found=f"{int(numbers.max()) + 1} steps, of at most {LARGEST_LENGTH}",
            hint=f"cut it with {parameter('window')}",
        )
    lengths = np.zeros(len(starts), np.int64)
    np.maximum.at(lengths, owner, numbers + 1)
    first = ordered[starts]
    form = LongForm(
        codec,
        series,
        time,
        static=_static(codec, rows[order], owner, (series, time)),
        start=float(first[0]),
        step=step,
        starts_differ=bool((first != first[0]).any()),
        lengths_differ=bool((lengths != lengths[0]).any()),
        gaps=bool((lengths != np.bincount(owner)).any()),
        bounds=tuple(map(_ends, rows.T)),
    )
    return order.astype(np.int64), owner.astype(np.int64), numbers, form


def _ends(values: Values) -> tuple[float, float]:
    """The smallest and the largest that there is."""
    there = values[~np.isnan(values)]
    return (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)


def _static(codec: TableCodec, rows: Values, owner: NDArray[np.int64], keys: Sequence[str]) -> tuple[str, ...]:
    """Columns that have one value in each series, be it that they are missing throughout; some series has two rows."""
    found = []
    same = np.diff(owner) == 0
    for index, column in enumerate(codec.columns):
        values = rows[:, index]
        alike = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        if column.name not in keys and same.any() and alike[same].all():
            found.append(column.name)
    return tuple(found)


def _arrays(form: LongForm, rows: Values, owner: NDArray[np.int64], place: NDArray[np.int64]) -> Values:
    """(series, T, channels), NaN where there is nothing."""
    count, steps = int(owner.max()) + 1, int(place.max()) + 1
    require_room(count * steps * len(form.channels) * 8, "the series")
    lengths = np.zeros(count, np.int64)
    np.maximum.at(lengths, owner, place + 1)
    there = np.arange(steps) < lengths[:, None]
    parts: list[Any] = []
    first = np.flatnonzero(np.r_[True, np.diff(owner) != 0])
    for index, column in form.columns:
        if column.name in form.static:
            values = np.repeat(rows[first, index][:, None], steps, 1)
        else:
            values = np.full((count, steps), np.nan)
            values[owner, place] = rows[:, index]
        parts.append(channels_of(column, values))
    if form.starts_differ:
        time = [column.name for column in form.table.columns].index(form.time)
        parts.append(np.repeat(rows[first, time][:, None], steps, 1)[..., None])
    if form.lengths_differ:
        parts.append(np.where(there, 1.0, np.nan)[..., None])
    if not parts:
        raise UserError("There is nothing but names and times", hint="give columns with values")
    return np.concatenate(parts, 2)
