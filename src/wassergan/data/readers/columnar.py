"""Parquet, Arrow and Feather files, one or a folder of them: arrays of numeric columns, or tables.

Files whose columns are all numbers, with no value missing, are arrays, which may be larger than memory; all others are
tables, and so are those for which `layout` says so.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.fitting import Wish
from wassergan.data.readers.arrays import array_source, streamed_source
from wassergan.data.readers.blocks import BlockReader, buffer_bytes
from wassergan.data.readers.columnar_streams import ColumnsOfFiles
from wassergan.data.readers.columnar_tables import BYTES_IN_MEMORY, STREAM_ROWS, Table, held_by, opened, readable
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import FileMark
from wassergan.data.source import Source, fits_in_memory
from wassergan.data.split import HELDOUT_SHARE
from wassergan.data.tables import RawTable, Schema, raw_of_arrow, table_source
from wassergan.data.tables.arrowfile import schema_text
from wassergan.errors import UserError, parameter
from wassergan.storage.corruption import corruption_errors

SUFFIXES = (".parquet", ".arrow", ".feather")
STREAM_BYTES = 16 * 2**20
BYTES_OF_CELL = 24  # of a table in memory: as it came, by itself, and in its row
COPIED_ROWS = 4096  # columns become rows in pieces that fit the processor's cache
MOST_BLOCKS = 2**22


def is_columnar(path: Path) -> bool:
    """Whether the name is that of a Parquet, Arrow or Feather file."""
    return path.suffix.lower() in SUFFIXES


def columnar_source(
    paths: Sequence[Path],
    name: str,
    *,
    layout: str = "auto",
    scale: str = "auto",
    missing: Sequence[int | float] = (),
    channels: Sequence[str] = (),
    schema: Schema | None = None,
    condition: Sequence[str] = (),
    completion: bool = False,
    weight: str | None = None,
    weights: Any = None,
    heldout: float = HELDOUT_SHARE,
    seed: int = 0,
    log: Callable[[str], None] = lambda message: None,
) -> Source:
    """All rows of the files, one file after the other: an array (n, D) in the type that holds all columns, or a table.

    Args:
        paths: `.parquet`, `.arrow` or `.feather` files with the same columns.
        name: what to call them.
        layout: `ND`, `table` or `auto`.
        scale: `feature`, `array` or `auto`.
        missing: numbers besides NaN that stand for missing ones, of an array.
        channels: no names: columns have their own.
        schema: what the user says about the columns; makes the files a table.
        condition: names of columns under whose values the others are drawn; makes the files a table.
        completion: every column is learnt given any others; makes the files a table.
        weight: name of a column of weights; makes the files a table.
        weights: one per row; likewise.
        heldout: share held out; at most 65536 rows of data larger than memory.
        seed: chooses the held-out rows.
        log: receives what was left out, and how rows of large data are mixed.

    Raises:
        UserError: pyarrow is missing, a file is damaged, or files differ; and for tables as `table_source`.
    """
    tables = [opened(path) for path in paths]
    with corruption_errors(name, "write it again"):  # names that are no text, notes of pandas that are no JSON
        fields = _fields(tables, name, log)
    if channels:
        raise UserError(f"The columns of {name} have names", hint=f"leave {parameter('channels')} out")
    is_weighted = weight is not None or weights is not None
    if (
        layout == "table"
        or schema is not None
        or condition
        or completion
        or is_weighted
        or (layout == "auto" and _is_table(tables, fields))
    ):
        if missing:
            raise UserError(
                f"{parameter('missing')} is for arrays of numbers", found=f"the table {name}", hint="leave it out"
            )
        with corruption_errors(name, "write it again"):
            whole = _table(tables, [each.name for each in fields], name, schema, log)
        said: dict[str, Any] = {"condition": condition, "weight": weight, "weights": weights, "log": log}
        said["completion"] = completion
        return table_source(whole, schema=schema, heldout=heldout, seed=seed, **said)
    if layout not in ("auto", "ND"):
        raise UserError(
            f"Layout {layout} does not fit {name}", found="a table", hint=f"leave {parameter('layout')} out"
        )
    columns, dtype = _columns(fields, name)
    reader = ColumnarBlocks(name, tables, columns, dtype)
    if len(reader) == 0:
        raise UserError(f"{name} holds no rows")
    if not fits_in_memory(len(reader) * reader.row_bytes):
        wish = Wish("ND", scale, tuple(missing), columns, name, log)
        return streamed_source(reader, wish, heldout=heldout, seed=seed)
    said = {"layout": "ND", "scale": scale, "missing": missing, "columns": columns, "log": log}
    return array_source(reader.load(range(len(reader.bounds) - 1)), name=name, heldout=heldout, seed=seed, **said)


def _table(
    tables: Sequence[Table], names: Sequence[str], name: str, schema: Schema | None, log: Callable[[str], None]
) -> RawTable:
    """All rows in memory; of a table that is larger than memory should hold, columns that are read one by one."""
    rows = sum(sum(table.group_rows) for table in tables)
    if fits_in_memory(rows * len(names) * BYTES_OF_CELL) or not all(table.is_read_again for table in tables):
        return raw_of_arrow(_whole(tables, names), name)
    if schema is not None and schema.rules:
        log(f"{name} is held in memory, though it is large: its rules tie columns together.")
        return raw_of_arrow(_whole(tables, names), name)
    columns = ColumnsOfFiles(name, tables, names)
    log(
        f"{name} is larger than memory should hold: its {rows} rows are prepared one column at a time, and read from a "
        "temporary file."
    )
    return RawTable(name, columns, rows, arrow_schema=schema_text(columns.schema))


def whole_table(paths: Sequence[Path], name: str, *, log: Callable[[str], None] = lambda message: None) -> RawTable:
    """All rows of Parquet, Arrow or Feather files, in memory.

    Raises:
        UserError: a file is damaged, or files differ in their columns.
    """
    tables = [opened(path) for path in paths]
    with corruption_errors(name, "write it again"):
        return raw_of_arrow(_whole(tables, [each.name for each in _fields(tables, name, log)]), name)


def number_columns(
    path: Path, *, log: Callable[[str], None] = lambda message: None
) -> tuple[tuple[str, ...], int, Callable[[Sequence[str]], Iterator[dict[str, NDArray[np.float64]]]]]:
    """Columns of numbers of a file: their names, the number of rows, and how to read some of them piece by piece.

    Missing values are NaN. Columns of other kinds are left out.

    Raises:
        UserError: pyarrow is missing, or the file is damaged.
    """
    table = opened(path)
    from pyarrow import types

    with corruption_errors(path.name, "write it again"):
        fields = _fields([table], path.name, log)
    names = tuple(each.name for each in fields if _is_number(types, each.type))
    if len(names) < len(fields):
        others = [each.name for each in fields if each.name not in names]
        log(f"Columns of {path.name} that are no numbers are left out: {', '.join(others[:10])}.")

    def pieces(chosen: Sequence[str]) -> Iterator[dict[str, NDArray[np.float64]]]:
        with readable(path):
            for group in range(len(table.group_rows)):
                for batch in table.batches(group, chosen, STREAM_ROWS):
                    columns = zip(chosen, batch.columns, strict=True)
                    yield {
                        name: np.asarray(column.to_numpy(zero_copy_only=False), np.float64) for name, column in columns
                    }

    return names, sum(table.group_rows), pieces


def large_numbers(
    paths: Sequence[Path], name: str, *, log: Callable[[str], None] = lambda message: None
) -> "ColumnarBlocks | None":
    """The rows of files of numbers that are larger than memory, block by block; None for all other files.

    Raises:
        UserError: pyarrow is missing, a file is damaged, or files differ.
    """
    tables = [opened(path) for path in paths]
    with corruption_errors(name, "write it again"):
        fields = _fields(tables, name, log)
    rows = sum(sum(table.group_rows) for table in tables)
    if fits_in_memory(rows * len(fields) * BYTES_IN_MEMORY) or _is_table(tables, fields):
        return None
    return ColumnarBlocks(name, tables, *_columns(fields, name))


class Piece(NamedTuple):
    """Rows start..start+rows-1 of a row group or record batch of a file."""

    table: int
    group: int
    start: int
    rows: int


class ColumnarBlocks(BlockReader):
    """Row groups as blocks; one that would fill more than half the buffer is cut into several.

    Args:
        name: what to call the data.
        tables: the files.
        columns: which columns, in which order.
        dtype: that holds them all.
    """

    def __init__(self, name: str, tables: Sequence["Table"], columns: tuple[str, ...], dtype: np.dtype[Any]) -> None:
        row_bytes = len(columns) * dtype.itemsize
        self._tables = tables
        self._pieces = _pieces(tables, max(1, buffer_bytes() // 2 // row_bytes), name)
        ends = torch.tensor([piece.rows for piece in self._pieces], dtype=torch.int64).cumsum(0)
        bounds = torch.cat([torch.zeros(1, dtype=torch.int64), ends])
        super().__init__(name, bounds, (len(columns),), dtype, columns=columns)

    @property
    def marks(self) -> list[FileMark]:
        """Of the files that are read from again and again."""
        return [table.mark for table in self._tables if table.is_read_again]

    def pick(self, block: int, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a block at places (k,), counted from its first row; only those become rows."""
        rows = np.empty((len(places), *self.row_shape), self.dtype)
        for start, batch in self._batches(block):
            here = (places >= start) & (places < start + len(batch))
            picked = np.empty((int(here.sum()), *self.row_shape), self.dtype)
            _fill(picked, batch.take(places[here] - start))
            rows[here] = picked
        self._refuse_bad(rows, places + int(self.bounds[block]))
        return rows

    def _read_into(self, block: int, rows: NDArray[Any]) -> None:
        for start, batch in self._batches(block):
            _fill(rows[start : start + len(batch)], batch)

    def _batches(self, block: int) -> Iterator[tuple[int, Any]]:
        """The record batches of a block, each with the place of its first row in the block."""
        piece = self._pieces[block]
        table = self._tables[piece.table]
        step = max(1, min(STREAM_ROWS, STREAM_BYTES // self.row_bytes, piece.rows))
        given = 0
        with readable(table.path):
            for whole in table.batches(piece.group, self.columns, step, start=piece.start):
                batch = whole.slice(0, piece.rows - given)
                if len(batch):
                    self._refuse_missing(batch, table.path, int(self.bounds[block]) + given)
                    yield given, batch
                    given += len(batch)
                if given == piece.rows:
                    if table.is_read_again:  # what is left of the group is not read: nothing else looks
                        table.mark.require()
                    return
        raise UserError(f"{table.path} holds fewer rows than it says", hint="write it again")

    def _refuse_missing(self, batch: Any, path: Path, first: int) -> None:
        for name, column in zip(self.columns, batch.columns, strict=True):
            if column.null_count:
                row = first + int(column.is_null().index(True).as_py())
                raise UserError(
                    f"{path} holds missing values",
                    found=f"the first in row {row}, column {name}",
                    hint="fill them, or drop those rows",
                )


def _is_table(tables: Sequence[Table], fields: Sequence[Any]) -> bool:
    """Whether there is a column that is no number, or a value is missing."""
    from pyarrow import types

    if not fields or not all(_is_number(types, each.type) for each in fields):
        return bool(fields)
    names = [each.name for each in fields]
    for table in tables:
        with readable(table.path):
            if _misses(table, names):
                return True
    return False


def _misses(table: Table, columns: Sequence[str]) -> bool:
    """Whether a value is missing; not looked for in what is larger than memory.

    A Parquet file's statistics would tell sooner, but asking for those of a damaged file aborts the process.
    """
    if not fits_in_memory(sum(table.group_rows) * len(columns) * 8):
        return False
    batches = (batch for group in range(len(table.group_rows)) for batch in table.batches(group, columns, STREAM_ROWS))
    return any(column.null_count for batch in batches for column in batch.columns)


def _whole(tables: Sequence[Table], names: Sequence[str]) -> Any:
    """All rows in memory."""
    import pyarrow

    rows = sum(sum(table.group_rows) for table in tables)
    require_room(rows * len(names) * BYTES_IN_MEMORY, str(tables[0].path))
    batches: list[Any] = []
    held = 0
    for table in tables:
        with readable(table.path):
            for group in range(len(table.group_rows)):
                for batch in table.batches(group, names, STREAM_ROWS):
                    batch.validate(full=True)
                    batches.append(batch)
                    held += held_by(batch)
                    require_room(held, str(table.path))
    schema = batches[0].schema if batches else pyarrow.schema([tables[0].schema.field(name) for name in names])
    return pyarrow.Table.from_batches(batches, schema.with_metadata(tables[0].schema.metadata))


def _fields(tables: Sequence[Table], name: str, log: Callable[[str], None]) -> list[Any]:
    """The columns of the files, which must be the same in all, without an index that pandas wrote."""
    first = tables[0].schema
    for table in tables[1:]:
        if not table.schema.equals(first):
            raise UserError(
                f"{table.path} has other columns than {tables[0].path}",
                found=_difference(first, table.schema),
                hint="give files with the same columns",
            )
    index = [each for each in (first.pandas_metadata or {}).get("index_columns", []) if isinstance(each, str)]
    fields = [each for each in first if each.name not in index]
    if index:
        log(f"Left out the index of {name}: {', '.join(index)}.")
    names = tuple(each.name for each in fields)
    if len(set(names)) < len(names):
        raise UserError(f"{name} has columns of the same name", found=", ".join(names), hint="rename them")
    return fields


def _columns(fields: Sequence[Any], name: str) -> tuple[tuple[str, ...], np.dtype[Any]]:
    """Names of the columns that are samples' numbers, and the type that holds them all."""
    from pyarrow import types

    names = tuple(each.name for each in fields)
    others = [f"{each.name} ({each.type})" for each in fields if not _is_number(types, each.type)]
    if others or not fields:
        raise UserError(
            f"{name} has columns that are not numbers" if others else f"{name} has no columns",
            found=", ".join(others[:10]) + (" ..." if len(others) > 10 else ""),
            hint=f"leave them out, or read a table ({parameter('layout', 'table')})",
        )
    dtype = np.result_type(*(each.type.to_pandas_dtype() for each in fields))
    # Eight bits would be taken for grey levels.
    return names, np.dtype(np.int16) if dtype == np.uint8 else dtype


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _difference(expected: Any, found: Any) -> str:
    has, wants = ({f"{each.name} ({each.type})" for each in schema} for schema in (found, expected))
    parts = [
        f"{word} {', '.join(sorted(names)[:5])}"
        for word, names in (("without", wants - has), ("with", has - wants))
        if names
    ]
    return " and ".join(parts) or "another order of columns"


def _pieces(tables: Sequence[Table], largest: int, name: str) -> list[Piece]:
    counts = [-(-rows // largest) for table in tables for rows in table.group_rows]
    if sum(counts) > MOST_BLOCKS:
        raise UserError(f"{name} has too many row groups", found=f"{sum(counts)}", hint="write larger row groups")
    return [
        Piece(number, group, start, min(largest, rows - start))
        for number, table in enumerate(tables)
        for group, rows in enumerate(table.group_rows)
        for start in range(0, rows, largest)
    ]


def _fill(rows: NDArray[Any], batch: Any) -> None:
    columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
    for start in range(0, len(rows), COPIED_ROWS):
        piece = slice(start, start + COPIED_ROWS)
        np.stack([column[piece] for column in columns], axis=1, out=rows[piece])
