"""The rows of a long table as arrays of series, and back: one row for each series and step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.formats import LevelForm
from wassergan.errors import UserError

Values = NDArray[np.float64]
PRESENT, START = "(present)", "(start)"
MOST_LEVELS = 64  # of a column, each of which is a channel


@dataclass(frozen=True)
class LongForm:
    """How a long table is written: which columns name series and time, and which channels hold the others.

    Args:
        table: the codec of all columns, of which the forms are used.
        series: name of the column that names the series.
        time: name of the column of time.
        static: names of the columns that never change within a series.
        start: time of the first step where it is the same for all; else the channel `START` has it.
        step: time from one step to the next.
        lengths_differ: the channel `PRESENT` says how long a series is.
        gaps: steps at which every changing column is missing have no row.
        bounds: smallest and largest value of each column of the table.
    """

    table: TableCodec
    series: str
    time: str
    static: tuple[str, ...]
    start: float
    step: float
    starts_differ: bool
    lengths_differ: bool
    gaps: bool
    bounds: tuple[tuple[float, float], ...]

    @property
    def columns(self) -> tuple[tuple[int, ColumnCodec], ...]:
        """Those with channels: their places in a row."""
        named = enumerate(self.table.columns)
        return tuple((place, column) for place, column in named if column.name not in (self.series, self.time))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in their order."""
        names = []
        for _, column in self.columns:
            names += [f"{column.name}={level}" for level in column.names] or [column.name]
        return (*names, *([START] if self.starts_differ else []), *([PRESENT] if self.lengths_differ else []))

    def lengths(self, samples: Values) -> NDArray[np.int64]:
        """Steps of each of some series (n, T, C) in their own units: those that are there, at least one."""
        steps = samples.shape[1]
        if not self.lengths_differ:
            return np.full(len(samples), steps)
        found: NDArray[np.int64] = (~np.isnan(samples[:, :, -1])).sum(1).clip(1, steps)
        return found

    def rows(self, samples: Values, *, first: int = 0) -> Values:
        """Series (n, T, C) as rows of the table, (rows, columns), the series one after another.

        Args:
            samples: in the user's units, NaN where a value is missing.
            first: number of the first series.
        """
        samples, lengths = samples.astype(np.float64), self.lengths(samples)
        if self.lengths_differ:  # drawn steps that are there, in their order: none is left out in between
            order = np.isnan(samples[:, :, -1]).argsort(axis=1, kind="stable")
            samples = np.take_along_axis(samples, order[:, :, None], 1)
        there = np.arange(samples.shape[1]) < lengths[:, None]
        found = np.empty((*samples.shape[:2], len(self.table.columns)))
        place, changing = 0, np.zeros(there.shape, bool)
        for index, column in self.columns:
            width = max(1, len(column.names))
            own = samples[:, :, place : place + width]
            if column.name in self.static:
                own = _still(own, there)
            values = _levels(own) if column.names else _fitted(own[:, :, 0], column, self.bounds[index])
            found[:, :, index] = values
            changing |= ~np.isnan(values) & (column.name not in self.static)
            place += width
        names = [column.name for column in self.table.columns]
        starts = np.full((len(samples), 1), self.start)
        if self.starts_differ:
            starts = _middle(samples[:, :, place], there)[:, None]
        time = self.table.columns[names.index(self.time)]
        found[:, :, names.index(self.time)] = _times(
            starts, self.step * np.arange(samples.shape[1], dtype=np.float64), time, self.bounds[names.index(self.time)]
        )
        found[:, :, names.index(self.series)] = first + np.arange(len(samples))[:, None]
        if self.gaps:
            kept = there & changing
            kept[:, 0] |= ~kept.any(1)  # a series has a row
            there = kept
        return found[there]

    def writer(self, count: int) -> TableCodec:
        """The codec by which so many series are written: their names are new, and look like those that came."""
        columns = [
            replace(column, form=_fresh(column.form, count)) if column.name == self.series else column
            for column in self.table.columns
        ]
        table = self.table
        return TableCodec(
            columns, dialect=table.dialect, arrow_schema=table.arrow_schema, identifiers=table.identifiers
        )

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {"static": list(self.static), "bounds": [list(each) for each in self.bounds]}
        return {**own, **plain, "table": self.table.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "LongForm":
        """The inverse of `state`."""
        table = TableCodec.from_state(state["table"])
        unknown = {state["series"], state["time"], *state["static"]}.difference(each.name for each in table.columns)
        if unknown:
            raise ValueError("series of other columns")
        bounds = tuple((float(low), float(high)) for low, high in state["bounds"])
        if len(bounds) != len(table.columns) or not all(low <= high for low, high in bounds):
            raise ValueError("bounds of other columns")
        return cls(**{**state, "static": tuple(state["static"]), "bounds": bounds, "table": table})


def channels_of(column: ColumnCodec, values: Values) -> Values:
    """A column's values (...,) as its channels (..., k): one for each level, or the number itself."""
    if not column.names:
        return values[..., None]
    if len(column.names) > MOST_LEVELS:
        raise UserError(
            f"Column {column.name} has too many levels for a series",
            found=f"{len(column.names)}, of at most {MOST_LEVELS}",
            hint=f'leave it out with a schema: {{"columns": {{"{column.name}": "drop"}}}}',
        )
    found: Values = (values[..., None] == np.arange(len(column.names))).astype(np.float64)
    found[np.isnan(values)] = np.nan
    return found


def _still(channels: Values, there: NDArray[np.bool_]) -> Values:
    """Channels (n, T, k) that are their mean at every step."""
    middle = np.stack([_middle(channels[:, :, each], there) for each in range(channels.shape[2])], 1)
    still: Values = np.broadcast_to(middle[:, None], channels.shape)
    return still


def _levels(channels: Values) -> Values:
    """The level whose channel is largest, (n, T) of (n, T, k); NaN where all are missing."""
    found: Values = np.where(np.isnan(channels), -np.inf, channels).argmax(2).astype(np.float64)
    found[np.isnan(channels).all(2)] = np.nan
    return found


def _middle(values: Values, there: NDArray[np.bool_]) -> Values:
    """The mean over the steps of each series (n, T), NaN where it is missing at most of them."""
    known = ~np.isnan(values) & there
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    return np.where(2 * count > there.sum(1), total / np.maximum(count, 1), np.nan)


def _fitted(values: Values, column: ColumnCodec, bounds: tuple[float, float] | None) -> Values:
    """To the digits of a column, and within bounds if there are any."""
    if isinstance(column.form, LevelForm):
        return values
    there = values[~np.isnan(values)]
    low, high = bounds or (there.min(initial=0.0), there.max(initial=0.0))
    return np.reshape(column.form.fitted(np.array(values).ravel(), float(low), float(high)), values.shape)


def _times(starts: Values, after: Values, column: ColumnCodec, seen: tuple[float, float]) -> Values:
    """Times of all steps (n, T) on the grid of the data, the nearest to those that are drawn.

    Args:
        starts: (n, 1), the times of the first steps as they are drawn.
        after: (T,) from the first step on.
        column: of time.
        seen: the first and the last time of the data, which those that are drawn may leave.
    """
    room = seen[1] - seen[0] + after[-1]
    first, last = np.nanmin(starts, initial=seen[0]), np.nanmax(starts, initial=seen[1])
    wide = (float(first - room), float(last + room))  # the nearest on the grid may lie beyond all that are drawn
    return _fitted(_fitted(starts, column, wide) + after, column, wide)


def _fresh(form: Any, count: int) -> Any:
    """Names for so many series, by the form of those that came: whole numbers, or texts that are numbered alike."""
    if not isinstance(form, LevelForm):
        return form
    first = form.levels[0] if form.levels else ""
    stem = first.rstrip("0123456789")
    digits = max(len(first) - len(stem), len(str(count - 1)))
    texts = tuple(f"{stem}{number:0{digits}d}" if stem != first else f"{first} {number}" for number in range(count))
    whole = bool(form.values) and all(isinstance(each, int) for each in form.values)
    return LevelForm(texts, tuple(range(count)) if whole else ())
