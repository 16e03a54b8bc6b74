"""Arrow tables, and what turns into them without loss: Parquet and Feather files, DataFrames of pandas and polars."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from wassergan.data.tables.raw import RawTable, TextColumn, TypedColumn
from wassergan.errors import UserError

UNITS = {"s": 1_000_000, "ms": 1000, "us": 1}
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
        UserError: names that repeat, or a type that no column of a table has.
    """
    names = table.column_names
    if len(set(names)) < len(names):
        raise UserError(f"{name} has columns of the same name", found=", ".join(names), mend="rename them")
    table = table.unify_dictionaries()
    columns = tuple(_column(each, _array(table[each]), name) for each in names)
    schema = base64.b64encode(table.schema.serialize().to_pybytes()).decode()
    return RawTable(name, columns, table.num_rows, arrow_schema=schema)


def _array(column: Any) -> Any:
    import pyarrow

    if column.num_chunks == 0:
        return pyarrow.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _column(name: str, array: Any, table: str) -> TextColumn | TypedColumn:
    from pyarrow import compute, types

    kind = array.type
    if types.is_dictionary(kind):
        return _dictionary(name, array, declared=True)
    if types.is_time64(kind) and kind.unit == "ns":  # dates and times are told apart to the microsecond
        array = array.cast("time64[us]", safe=False)
    if any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_time)):
        return _dictionary(name, array.cast("string").dictionary_encode())
    if types.is_boolean(kind):
        return TypedColumn(name, "boolean", _floats(array.cast("int8")))
    if types.is_integer(kind):
        return TypedColumn(name, "number", _floats(array), whole=True)
    if types.is_floating(kind):
        return TypedColumn(name, "number", _floats(array))
    if types.is_decimal(kind):
        return TypedColumn(name, "number", _floats(array.cast("float64")))
    if types.is_date(kind):
        return TypedColumn(name, "date", _floats(array.cast("date32").cast("int32")), unit=86_400_000_000)
    if types.is_timestamp(kind):
        if kind.unit == "ns":
            array = compute.floor_temporal(array, unit="microsecond").cast(_timestamp("us", kind.tz), safe=False)
        return TypedColumn(name, "date", _floats(array.cast("int64")), unit=UNITS.get(kind.unit, 1))
    if types.is_null(kind):
        return TextColumn(name, [], np.full(len(array), -1, np.int32))
    raise UserError(
        f"Column {name} of {table} is of a type that a table cannot have",
        found=str(kind),
        mend="take it out, or turn it into numbers, text or dates",
    )


def _timestamp(unit: str, zone: str | None) -> Any:
    import pyarrow

    return pyarrow.timestamp(unit, zone)


def _floats(array: Any) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    import pyarrow

    values = array.cast("float64", safe=False) if not pyarrow.types.is_float64(array.type) else array
    return np.array(values.to_numpy(zero_copy_only=False), np.float64)


def _dictionary(name: str, array: Any, *, declared: bool = False) -> TextColumn:
    values: Sequence[Any] = array.dictionary.to_pylist()
    # Polars counts levels with numbers that have no sign.
    codes = array.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    texts = [value if isinstance(value, str) else str(value) for value in values]
    own = () if all(isinstance(value, str) for value in values) else tuple(values)
    return TextColumn(name, texts, codes, own, declared)
