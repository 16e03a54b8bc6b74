"""Tables with columns of any kind: read, told apart, coded as vectors, and written back as they came."""

from pathlib import Path
from typing import Any

from torch import Tensor

from wassergan.data.source import Source
from wassergan.data.tables.arrowfile import is_frame, raw_of_arrow, read_frame
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.codings import Field
from wassergan.data.tables.csvfile import is_csv, read_csv
from wassergan.data.tables.reading import encode_table
from wassergan.data.tables.schema import Schema, read_schema, schema_of
from wassergan.data.tables.source import column_facts, table_source
from wassergan.data.tables.writing import SUFFIXES as TABLE_SUFFIXES
from wassergan.data.tables.writing import table_suffix, write_table

__all__ = [
    "TABLE_SUFFIXES",
    "Field",
    "Schema",
    "TableCodec",
    "column_facts",
    "csv_source",
    "encode_frame",
    "frame_source",
    "is_csv",
    "is_frame",
    "raw_of_arrow",
    "read_schema",
    "schema_of",
    "table_source",
    "table_suffix",
    "write_table",
]


def csv_source(path: Path, *, schema: Schema, **options: Any) -> Source:
    """A source over a CSV file; options as for `table_source`."""
    table = read_csv(path, delimiter=schema.delimiter, encoding=schema.encoding)
    return table_source(table, schema=schema, **options)


def frame_source(frame: Any, *, schema: Schema, **options: Any) -> Source:
    """A source over a DataFrame of pandas or polars, or an Arrow table; options as for `table_source`."""
    return table_source(read_frame(frame), schema=schema, **options)


def encode_frame(codec: TableCodec, frame: Any) -> Tensor:
    """Rows of a DataFrame or an Arrow table in a codec's model space, (rows, width); see `encode_table`."""
    return encode_table(codec, read_frame(frame))
