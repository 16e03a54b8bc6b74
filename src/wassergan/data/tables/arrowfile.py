"""Arrow tables, and what turns into them without loss: Parquet and Feather files, DataFrames of pandas and polars."""

import base64
from typing import Any

from wassergan.data.tables.arrowcolumns import column_of
from wassergan.data.tables.raw import RawTable
from wassergan.errors import UserError

EXTRA = "install it: pip install 'wassergan[tables]'"


def is_frame(data: Any) -> bool:
    """Whether an object is a DataFrame of pandas or polars, or an Arrow table."""
    return hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns")


def read_frame(data: Any) -> RawTable:
    """A DataFrame of pandas or polars, or an Arrow table; the index of pandas is no column.

    Raises:
        UserError: pyarrow is missing, or a column holds values of several types.
    """
    return raw_of_arrow(arrow_of(data), "the DataFrame")


def arrow_of(data: Any) -> Any:
    """The same as an Arrow table."""
    try:
        import pyarrow
    except ImportError as error:
        raise UserError("Reading a DataFrame needs pyarrow, which is not installed", mend=EXTRA) from error
    try:
        of_pandas = hasattr(data, "iloc")
        return pyarrow.Table.from_pandas(data, preserve_index=False) if of_pandas else pyarrow.table(data)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(each) for each in error.args).splitlines()[0]
        raise UserError(
            "The DataFrame has a column that mixes types", found=reason, mend="give every column values of one type"
        ) from error


def raw_of_arrow(table: Any, name: str) -> RawTable:
    """The columns of an Arrow table.

    Raises:
        UserError: names that repeat.
    """
    names = table.column_names
    if len(set(names)) < len(names):
        raise UserError(f"{name} has columns of the same name", found=", ".join(names), mend="rename them")
    table = table.unify_dictionaries()
    columns = tuple(column_of(each, _array(table[each])) for each in names)
    schema = base64.b64encode(table.schema.serialize().to_pybytes()).decode()
    return RawTable(name, columns, table.num_rows, arrow_schema=schema, arrow=table)


def whole_limits(table: RawTable, column: str) -> tuple[int, int]:
    """The smallest and the largest number of a column's type; of text, and of what has no types, any numbers."""
    if not table.arrow_schema:
        return -(10**30), 10**30
    import pyarrow

    kind = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(table.arrow_schema))).field(column).type
    if not pyarrow.types.is_integer(kind):
        return -(10**30), 10**30
    bits, signed = kind.bit_width, pyarrow.types.is_signed_integer(kind)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def _array(column: Any) -> Any:
    import pyarrow

    if column.num_chunks == 0:
        return pyarrow.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
