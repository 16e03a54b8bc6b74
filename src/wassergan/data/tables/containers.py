"""What a table came in, as its reader sees it: to compare what is written with what was there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.arrowfile import raw_of_arrow
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.columns import ColumnsToRead, RawTable, TextColumn
from wassergan.data.tables.csvfile import read_csv
from wassergan.data.tables.writing import arrow_table, write_table
from wassergan.storage.files import scratch_folder

Rows = NDArray[np.float64]
MISSING = object()  # stands for what is nothing at all in its container


@dataclass(frozen=True)
class Seen:
    """Columns as their container shows them.

    Args:
        types: column → its type; equal for equal types.
        values: column → what stands in each row: text, or a plain value.
    """

    types: Mapping[str, Any]
    values: Mapping[str, Sequence[Any]]


class Container(Protocol):
    """Where a table came from."""

    def before(self, rows: NDArray[np.int64]) -> Seen:
        """Some of its rows."""

    def after(self, codec: TableCodec, rows: Rows) -> tuple[Seen, RawTable]:
        """Rows written into a container of the same kind, as they are seen there, and as they are read again."""


@dataclass(frozen=True)
class CsvContainer:
    """A file of text."""

    table: RawTable

    def before(self, rows: NDArray[np.int64]) -> Seen:
        """The texts."""
        return _texts(self.table, rows)

    def after(self, codec: TableCodec, rows: Rows) -> tuple[Seen, RawTable]:
        """By way of a file."""
        with scratch_folder() as folder:
            path = folder / "table.csv"
            write_table(codec, [rows], path)
            again = read_csv(path, **{name: codec.dialect.get(name) for name in ("delimiter", "encoding")})
        return _texts(again, np.arange(again.rows)), again


def _texts(table: RawTable, rows: NDArray[np.int64]) -> Seen:
    values = {}
    for column in table.columns:
        assert isinstance(column, TextColumn)
        values[column.name] = [column.levels[code] if code >= 0 else "" for code in column.codes[rows].tolist()]
    return Seen(dict.fromkeys(values, "text"), values)


@dataclass(frozen=True)
class ArrowContainer:
    """An Arrow table, or a file that is read as one."""

    table: RawTable

    def before(self, rows: NDArray[np.int64]) -> Seen:
        """The values; times are counted in their own unit."""
        if isinstance(self.table.columns, ColumnsToRead):
            return _seen(self.table.columns.rows(rows))
        table = self.table.arrow
        values = {}
        for name in table.column_names:
            column = table[name]
            if column.type == "string_view":  # none of which can be chosen by number
                column = column.cast("string")
            values[name] = _plain(column.take(rows))
        return Seen({field.name: field.type for field in table.schema}, values)

    def after(self, codec: TableCodec, rows: Rows) -> tuple[Seen, RawTable]:
        """In memory: files of Arrow and Parquet hold its types."""
        table = arrow_table(codec, rows)
        return _seen(table), raw_of_arrow(table, self.table.name)


def _seen(table: Any) -> Seen:
    names = table.column_names
    return Seen({name: table.schema.field(name).type for name in names}, {name: _plain(table[name]) for name in names})


def _plain(column: Any) -> list[Any]:
    from pyarrow import ArrowException, types

    try:
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if types.is_temporal(column.type):
            width = "int32" if column.type.bit_width == 32 else "int64"
            return column.cast(width).to_pylist()  # type: ignore[no-any-return]
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ArrowException, ValueError):
        return [None] * len(column)  # of a type that takes no part
