"""Tables in files, unchanged, and their rows in the columns of a run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.files import all_are, files_of
from wassergan.data.readers.columnar import is_columnar, whole_table
from wassergan.data.readers.excel import is_excel, read_excel
from wassergan.data.readers.marks import unchanging
from wassergan.data.tables import (
    RawTable,
    Schema,
    TableCodec,
    is_csv,
    is_frame,
    read_condition_request,
    read_csv,
    read_frame,
    read_schema,
    rows_like,
)
from wassergan.data.tables.totals import without_total
from wassergan.data.tables.weighting import weights_in
from wassergan.data.weights import Weights
from wassergan.errors import UserError
from wassergan.storage.files import require_regular

AS_WRITTEN = Schema(totals="keep")  # every row of a file is one


def table_in(
    files: Sequence[Path],
    name: str,
    *,
    sheet: str | None = None,
    said: Schema = AS_WRITTEN,
    log: Callable[[str], None] = lambda sentence: None,
) -> RawTable | None:
    """The table in a CSV file, an Excel workbook or Parquet, Arrow or Feather files; None for files of other kinds.

    Args:
        files: of one table.
        name: what to call that of several files.
        sheet: of a workbook; the first unless given.
        said: how a CSV file is written, where it is not to be found out, and whether a line of totals at the end of it
            or of a workbook is a row like others; by default it is.
        log: receives, in a sentence, what was left out.

    Raises:
        UserError: a file cannot be read.
    """
    if all_are(is_columnar, files):
        return whole_table(files, name, log=log)
    if len(files) != 1:
        return None
    if is_csv(files[0]):
        table = read_csv(files[0], delimiter=said.delimiter, encoding=said.encoding)
        return without_total(table, keep=said.keeps_totals)
    return read_excel(files[0], sheet=sheet, keeps_totals=said.keeps_totals) if is_excel(files[0]) else None


def read_conditions(path: str | Path) -> dict[str, list[Any]]:
    """What a CSV, Excel, Parquet, Arrow or Feather file asks for, row after row: column to values, for `fix`.

    Raises:
        UserError: no such file, or of another kind, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no {path}", hint="give a table of conditions")
    require_regular(path)
    with unchanging([path]):
        table = table_in([path], path.name)
        if table is None:
            raise UserError(f"{path} is no table of conditions", hint="give a CSV, Parquet, Arrow or Feather file")
        return read_condition_request(table)


def read_rows(
    data: Any,
    codec: TableCodec,
    *,
    sheet: str | None = None,
    schema: str | Path | Schema | None = None,
    log: Callable[[str], None] = lambda sentence: None,
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows of a table file or a DataFrame, (n, columns), in the columns and numbers of a codec.

    Args:
        data: a CSV, Parquet, Arrow or Feather file, a folder or a pattern of them, or a DataFrame.
        codec: of a table with the same columns. Levels that it does not know are numbered after its own.
        sheet: which sheet of an Excel workbook; the first unless given.
        schema: what the user said about the table that the codec was fitted to: the delimiter, and what is missing.
        log: receives, in a sentence, what was decided on the way.

    Raises:
        UserError: no such data, no table, or other columns.
    """
    said = schema_in(schema)
    return rows_like(codec, _table_like(data, codec, sheet, said, log), said)


def read_weighted_rows(
    data: Any,
    codec: TableCodec,
    *,
    weight: str,
    sheet: str | None = None,
    schema: str | Path | Schema | None = None,
    log: Callable[[str], None] = lambda sentence: None,
) -> tuple[NDArray[np.float64], Weights | None]:
    """`read_rows`, and the weights of these rows where there is a column of that name; rows of weight 0 are left out.

    Raises:
        UserError: as `read_rows`, or the column holds no weights.
    """
    said = schema_in(schema)
    table = _table_like(data, codec, sheet, said, log)
    rows = rows_like(codec, table, said)
    if weight not in (column.name for column in table.columns):
        return rows, None
    weights = weights_in(table, weight, said)
    return rows[weights > 0], weights[weights > 0]


def _table_like(data: Any, codec: TableCodec, sheet: str | None, said: Schema, log: Callable[[str], None]) -> RawTable:
    """A table, read as the one that a codec was fitted to."""
    if is_frame(data):
        return read_frame(data)
    files = files_of(str(data))
    encoding = said.encoding or codec.dialect.get("encoding")
    with unchanging(files):
        table = table_in(files, Path(data).name, sheet=sheet, said=replace(said, encoding=encoding))
    if table is None:
        raise UserError(f"{data} is no table", hint="give a CSV, Parquet, Arrow or Feather file")
    for note in table.notes:
        log(note)
    return table


def schema_in(schema: str | Path | Schema | None) -> Schema:
    """What the user says about a table's columns; from a JSON file if a path is given.

    Raises:
        UserError: no such file, or no schema.
    """
    if isinstance(schema, Schema):
        return schema
    if not schema:
        return Schema()
    with unchanging([Path(schema)] if Path(schema).exists() else []):
        return read_schema(Path(schema))
