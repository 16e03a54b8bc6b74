"""Tables with columns of any kind: read, told apart, coded as vectors, and written back as they came."""

from wassergan.data.tables.arrowfile import arrow_of, is_frame, raw_of_arrow, read_frame
from wassergan.data.tables.codec import Stratum, TableCodec
from wassergan.data.tables.columns import (
    MOST_CLASSES,
    AnyColumn,
    RawTable,
    TextColumn,
    TypedColumn,
    raw_array,
    raw_texts,
)
from wassergan.data.tables.conditions import ColumnConditions
from wassergan.data.tables.csvfile import is_csv, read_csv
from wassergan.data.tables.reading import encode_table, rows_like
from wassergan.data.tables.requests import fix_conditions, read_condition_request
from wassergan.data.tables.rules.proposals import proposed_rules
from wassergan.data.tables.schema import Schema, read_schema, schema_of
from wassergan.data.tables.source import column_facts, context_of, table_source
from wassergan.data.tables.writing import SUFFIXES as TABLE_SUFFIXES
from wassergan.data.tables.writing import table_suffix, write_table

__all__ = [
    "MOST_CLASSES",
    "TABLE_SUFFIXES",
    "AnyColumn",
    "ColumnConditions",
    "RawTable",
    "Schema",
    "Stratum",
    "TableCodec",
    "TextColumn",
    "TypedColumn",
    "arrow_of",
    "column_facts",
    "context_of",
    "encode_table",
    "fix_conditions",
    "is_csv",
    "is_frame",
    "proposed_rules",
    "raw_array",
    "raw_of_arrow",
    "raw_texts",
    "read_condition_request",
    "read_csv",
    "read_frame",
    "read_schema",
    "rows_like",
    "schema_of",
    "table_source",
    "table_suffix",
    "write_table",
]
