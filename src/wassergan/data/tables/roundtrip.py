"""The round trip of a table's rows: coded, written and read again before anything is trained.

Three things must hold, or the table is refused. What stands in the table comes back as it stands there: type, text,
order, and where nothing stands. Rows of the training set come back from model space: levels and frequent numbers
exactly, others as closely as 32 bits tell their place between the quantiles. Whatever is drawn can be written, and is
read again as the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.context import Rows
from wassergan.data.roundtrip import Change, RoundTrip
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.containers import Container, Seen
from wassergan.data.tables.formats import LevelForm, NumberForm, Values
from wassergan.data.tables.reading import rows_like
from wassergan.data.tables.schema import Schema
from wassergan.data.tables.witnesses import Witnesses, witnesses_of
from wassergan.data.tables.writing import arrow_schema
from wassergan.errors import UserError, parameter

ROWS = 2000  # from all over the table
LEVELS = 300  # rows for different levels of each column
DRAWN = 300  # vectors of no meaning
LEAST_PLACE = 2.0**-21  # twice what 32 bits tell apart in [-1, 1]
LEAST_SHARE = 1e-6  # of a column's spread
RESOLUTION = {"halffloat": 2.0**-10, "float": 2.0**-23}  # of types that hold less than 64 bits
SHOWN = 60  # letters of a value in a sentence


def round_trip(
    table: RawTable,
    codec: TableCodec,
    rows: Rows,
    train: Any,
    *,
    schema: Schema,
    into: Container,
    witnesses: Mapping[str, Witnesses] | None = None,
) -> RoundTrip:
    """What becomes of a table's rows.

    Args:
        table: as it was read.
        codec: fitted to it.
        rows: (N, columns) of the whole table.
        train: numbers of the training rows.
        schema: what the user says about it.
        into: what it came in.
        witnesses: of its columns of text, by name; found in the table unless given.

    Raises:
        UserError: a column does not come back; which, where, and what to do.
    """
    trip = _Trip(table, codec, schema, into)
    some = telling_rows(rows)
    trip.check_texts(rows, witnesses)
    trip.check_written(rows, some)
    trip.check_coded(rows, some[np.isin(some, train)])
    return RoundTrip(len(codec.written), changed=tuple(trip.changed.values()))


def telling_rows(rows: Rows) -> NDArray[np.int64]:
    """Numbers of rows from all over a table: extremes, first of each level, gaps, and others by chance; ascending."""
    count = len(rows)
    chosen = [np.arange(min(50, count)), np.arange(max(0, count - 50), count)]
    chosen.append(np.random.default_rng(0).choice(count, min(ROWS, count), replace=False))
    for index in range(rows.shape[1]):
        values = rows[:, index]
        gone = np.isnan(values)
        if not gone.all():
            chosen.append(np.array([np.nanargmin(values), np.nanargmax(values)]))
        first = np.unique(values[: 10 * ROWS], return_index=True)[1]
        chosen.append(first[:: max(1, len(first) // LEVELS)])
        chosen.append(np.flatnonzero(gone)[:10])
    return np.unique(np.concatenate(chosen))


class _Trip:
    """One table on its way."""

    def __init__(self, table: RawTable, codec: TableCodec, schema: Schema, into: Container) -> None:
        self._table, self._codec, self._schema, self._into = table, codec, schema, into
        self.changed: dict[tuple[str, str], Change] = {}

    def check_texts(self, rows: Rows, witnesses: Mapping[str, Witnesses] | None) -> None:
        """Every text of a column of text is what its form writes."""
        raw = {column.name: column for column in self._table.columns} if witnesses is None else {}
        for index, column in enumerate(self._codec.columns):
            name = column.name
            told = witnesses_of(raw[name], rows[:, index]) if witnesses is None else witnesses[name]
            if not told.texts:
                continue
            texts = column.form.texts(rows[told.numbers][:, index])
            for number, before, text in zip(told.numbers.tolist(), told.texts, texts, strict=True):
                if before != text:
                    self._differs(column, number, before, text)

    def check_written(self, rows: Rows, some: NDArray[np.int64]) -> None:
        """Rows of the table, written into what it came in."""
        before = self._into.before(some)
        looked_at = rows[some]
        after, _ = self._written(looked_at)
        self._same_columns(before, after)
        for index, column in enumerate(self._codec.columns):
            self._same_column(column, before, after, np.isnan(looked_at[:, index]), some)

    def check_coded(self, rows: Rows, some: NDArray[np.int64]) -> None:
        """Rows by way of model space, and vectors that no row has."""
        codec = self._codec
        vectors = codec.encode(torch.from_numpy(rows[some]))
        given = rows[some][:, [self._place(name) for name in codec.given]] if codec.given else None
        back = codec.decode_numpy(vectors, given)
        self._same_values(rows[some], back, vectors, given, some)
        noise = torch.randn(min(DRAWN, len(some)), codec.width, generator=torch.Generator().manual_seed(0))
        drawn = codec.decode_numpy(noise, None if given is None else given[: len(noise)])
        both = np.concatenate([back, drawn])
        _, again = self._written(both)
        self._read_alike(both, again)

    def _place(self, name: str) -> int:
        return [column.name for column in self._codec.columns].index(name)

    def _written(self, rows: Values) -> tuple[Seen, RawTable]:
        try:
            return self._into.after(self._codec, rows)
        except UserError:
            raise
        except Exception as error:
            names = [column.name for column in self._codec.columns if not self._can_be_written(column, rows)]
            reason = (str(error).splitlines() or [""])[0][:200]
            self._refuse(" and ".join(names) or "?", f"{type(error).__name__}: {reason}")

    def _can_be_written(self, column: ColumnCodec, rows: Values) -> bool:
        index = self._place(column.name)
        schema = self._codec.arrow_schema
        alone = TableCodec([column], dialect=self._codec.dialect, arrow_schema=schema)
        try:
            self._into.after(alone, rows[:, [index]])
        except Exception:
            return False
        return True

    def _same_columns(self, before: Seen, after: Seen) -> None:
        names = [column.name for column in self._codec.written]
        assert list(after.types) == names, "columns come back in their order"
        for name in names:
            if before.types[name] != after.types[name]:
                self._refuse(name, f"type {before.types[name]} would come back as {after.types[name]}")

    def _same_column(
        self, column: ColumnCodec, before: Seen, after: Seen, gone: NDArray[np.bool_], some: NDArray[np.int64]
    ) -> None:
        was, will = before.values[column.name], after.values[column.name]
        if list(was) == list(will):
            return
        for each, (old, new) in enumerate(zip(was, will, strict=True)):
            if _same(old, new):
                continue
            if gone[each]:
                self._note(column, f"missing values {_shown(old)} come back as {_shown(new)}")
            elif _close(old, new):
                self._note(column, "it is cut to microseconds")
            else:
                self._differs(column, int(some[each]), old, new)

    def _same_values(
        self, rows: Values, back: Values, vectors: torch.Tensor, given: Values | None, some: NDArray[np.int64]
    ) -> None:
        lower, upper = (self._codec.decode_numpy(vectors + shift, given) for shift in (-LEAST_PLACE, LEAST_PLACE))
        for index, column in enumerate(self._codec.columns):
            was, will = rows[:, index], back[:, index]
            slack = np.zeros(len(was))
            if not isinstance(column.form, LevelForm) and not np.isnan(was).all():
                with np.errstate(over="ignore"):  # numbers may span more than float64 holds
                    span = np.nanmax(was) - np.nanmin(was)
                    slack = 2 * np.abs(upper[:, index] - lower[:, index]) + LEAST_SHARE * span
            slack = slack + self._halves(column, was, will)
            far = (np.isnan(was) != np.isnan(will)) | (np.abs(was - will) > np.nan_to_num(slack))
            if far.any():
                each = int(far.argmax())
                old, new = (
                    "nothing" if np.isnan(value[each]) else self._text(column, value[each]) for value in (was, will)
                )
                self._refuse(column.name, f"{old} in {self._table.row_name(int(some[each]))} would come back as {new}")

    def _halves(self, column: ColumnCodec, was: Values, will: Values) -> Values:
        """One step where a computed column is half way between two values, which not all rows round in one way."""
        rules = self._codec.rules
        if rules is None or column.name not in {each.name for each in rules.computed}:
            return np.zeros(len(was))
        step = rules.lattices[column.name].step / 10.0 ** rules.lattices[column.name].decimals
        apart = np.flatnonzero((was != will) & (np.abs(was - will) <= step * (1 + LEAST_SHARE)))
        for each in apart[:1]:
            old, new = (self._text(column, values[each]) for values in (was, will))
            self._note(column, f"rows round halves in several ways: {old} comes back as {new}")
        return np.where((was != will) & ~np.isnan(was), step * (1 + LEAST_SHARE), 0.0)

    def _read_alike(self, rows: Values, table: RawTable) -> None:
        again = rows_like(self._codec, table)
        for index, column in enumerate(self._codec.columns):
            was, will = rows[:, index], again[:, index]
            slack = self._resolution(column) * np.abs(was)
            far = np.flatnonzero((np.isnan(was) != np.isnan(will)) | (np.abs(was - will) > np.nan_to_num(slack)))
            for each in far.tolist():
                old, new = (
                    "nothing" if np.isnan(value[each]) else self._text(column, value[each]) for value in (was, will)
                )
                if old != new:  # what is drawn may have more digits than are written
                    self._refuse(column.name, f"a drawn value {old} would be read again as {new}")

    def _resolution(self, column: ColumnCodec) -> float:
        """What the type of a column tells apart, relative to its values."""
        if not self._codec.arrow_schema:
            return 1e-12
        kind = arrow_schema(self._codec).field(column.name).type
        return RESOLUTION.get(str(getattr(kind, "value_type", kind)), 1e-12)

    def _text(self, column: ColumnCodec, value: float) -> str:
        return column.form.texts(np.array([value]))[0]

    def _differs(self, column: ColumnCodec, row: int, old: Any, new: Any) -> None:
        """A value would come back as another; a number may in another text, and what the user says the kind of."""
        if isinstance(old, str) and isinstance(new, str) and _is_same_number(column, old, new):
            self._note(column, f"{_shown(old)} comes back as {_shown(new)}")
            return
        wish = self._schema.columns.get(column.name)
        if wish is not None and wish.kind in ("number", "angle", "date", "boolean") and isinstance(old, str):
            self._note(column, f"{_shown(old)} comes back as {_shown(new)}")
            return
        self._refuse(
            column.name, f"{_shown(old)} in {self._table.row_name(row)} would be written {_shown(new)}", column.kind
        )

    def _note(self, column: ColumnCodec, what: str) -> None:
        alike = [key for key in self.changed if key[0] == column.name]
        if len(alike) < 3:
            self.changed.setdefault((column.name, what), Change(column.name, what))

    def _refuse(self, name: str, found: str, kind: str = "") -> NoReturn:
        other = f"{kind}" if kind in ("number", "date") else "drop"
        reason = "where another text of the same value will do" if other != "drop" else "or leave it out"
        raise UserError(
            f"Column {name} of {self._table.name} would not come back as it is",
            found=found,
            hint=f"correct its values, or say in a {parameter('schema')} file, {reason}: "
            f'{{"columns": {{"{name}": "{other}"}}}}',
        )


def _same(old: Any, new: Any) -> bool:
    return bool(old == new and (type(old) is type(new) or not isinstance(old, bool))) or (old != old and new != new)


def _is_same_number(column: ColumnCodec, old: str, new: str) -> bool:
    """Whether two texts of a column of numbers are read as the same float64."""
    if not isinstance(column.form, NumberForm):
        return False
    try:
        was, will = column.form.read([old, new])
    except ValueError:
        return False
    return bool(was == will)


def _close(old: Any, new: Any) -> bool:
    """Whether whole numbers of nanoseconds are the same to the microsecond."""
    return isinstance(old, int) and isinstance(new, int) and old // 1000 * 1000 == new and abs(old) > 10**12


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r}"[:SHOWN]


def told(notes: Sequence[Change]) -> str:
    """In one sentence, for a report."""
    return "; ".join(f"column {each.name}: {each.what}" for each in notes)
