"""Arrow tables, and what turns into them without loss: Parquet and Feather files, DataFrames of pandas and polars."""

import base64
import json
from numbers import Integral
from typing import Any

import numpy as np

from wassergan.data.readers.mapped import columns_in_memory
from wassergan.data.tables.arrowcolumns import column_of
from wassergan.data.tables.columns import AnyColumn, OddColumn, RawTable
from wassergan.data.tables.pandasframe import carried
from wassergan.errors import UserError

ODD = b"wassergan:odd"  # why a column of pandas takes no part
EXTRA = "install it: pip install 'wassergan[tables]'"


def is_frame(data: Any) -> bool:
    """Whether an object is a DataFrame of pandas or polars, or an Arrow table."""
    return (hasattr(data, "__arrow_c_stream__") or hasattr(data, "to_arrow")) and hasattr(data, "columns")


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
        raise UserError("Reading a DataFrame needs pyarrow, which is not installed", hint=EXTRA) from error
    if hasattr(data, "iloc"):
        return pandas_table(data)[0]
    try:
        return pyarrow.table(data) if hasattr(data, "__arrow_c_stream__") else data.to_arrow()  # of polars below 1.3
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise UserError(
            "The DataFrame has a column of a type that Arrow does not know",
            found=str(error).splitlines()[0],
            hint="turn it into numbers, text or dates, or leave it out",
        ) from error


def pandas_table(frame: Any) -> tuple[Any, list[dict[str, Any]]]:
    """A DataFrame of pandas as an Arrow table, and the types of its columns in plain types.

    Raises:
        UserError: labels that are neither text nor whole numbers, or that repeat.
    """
    import pyarrow

    arrays, fields, states = [], [], []
    for label, column in zip(checked_labels(frame), _in_memory(frame), strict=True):
        array, state = carried(column)
        arrays.append(array)
        fields.append(
            pyarrow.field(str(label), array.type, metadata={ODD: json.dumps(state)} if "odd" in state else {})
        )
        states.append(state)
    typed = [index for index, state in enumerate(states) if state["how"] == "dtype"]
    known = pyarrow.Schema.from_pandas(
        frame.iloc[:0, typed], preserve_index=False
    )  # for pandas to read what is written
    return pyarrow.table(arrays, schema=pyarrow.schema(fields, known.metadata)), states


def _in_memory(frame: Any) -> list[Any]:
    """The columns of a DataFrame of pandas; those whose memory is a mapped file are read, as such a file may shrink."""
    columns = [frame.iloc[:, index] for index in range(frame.shape[1])]
    plain = {n: each.to_numpy() for n, each in enumerate(columns) if isinstance(each.dtype, np.dtype)}
    for (number, values), held in zip(plain.items(), columns_in_memory(list(plain.values())), strict=True):
        if held is not values:
            columns[number] = type(columns[number])(held, index=frame.index, name=columns[number].name)
    return columns


def checked_labels(frame: Any) -> tuple[Any, ...]:
    """The labels of a DataFrame's columns, as plain text and whole numbers.

    Raises:
        UserError: other labels, or labels that read alike.
    """
    labels = tuple(int(each) if isinstance(each, Integral) else each for each in frame.columns.tolist())
    for label in labels:
        if not isinstance(label, str | int):
            raise UserError("Columns are named by text or whole numbers", found=f"{label!r}", hint="rename the column")
    if len(set(map(str, labels))) < len(labels):
        twice = [str(label) for label in labels if [*map(str, labels)].count(str(label)) > 1]
        raise UserError("The DataFrame has columns of the same name", found=", ".join(twice), hint="rename them")
    return labels


def raw_of_arrow(table: Any, name: str) -> RawTable:
    """The columns of an Arrow table.

    Raises:
        UserError: names that repeat.
    """
    names = table.column_names
    if len(set(names)) < len(names):
        raise UserError(f"{name} has columns of the same name", found=", ".join(names), hint="rename them")
    table = table.unify_dictionaries()
    columns = tuple(column_at(table.schema.field(each), table[each]) for each in names)
    return RawTable(name, columns, table.num_rows, arrow_schema=schema_text(table.schema), arrow=table)


def schema_text(schema: Any) -> str:
    """A schema as `RawTable` holds it."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


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


def column_at(field: Any, column: Any) -> AnyColumn:
    """A column of an Arrow table; one that pandas could not say in Arrow's types is odd."""
    found = column_of(field.name, _array(column))
    odd = (field.metadata or {}).get(ODD)
    return OddColumn(field.name, *json.loads(odd)["odd"]) if odd and isinstance(found, OddColumn) else found


def _array(column: Any) -> Any:
    import pyarrow

    if column.num_chunks == 0:
        return pyarrow.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
