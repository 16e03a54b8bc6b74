"""Data sources: from a path, an array or the bundled digits to samples in model space."""

from wassergan.data.codec import AnyCodec, Codec, channels_first
from wassergan.data.container import Container, as_array
from wassergan.data.context import Conditions, Context, context_shape
from wassergan.data.labels import LABEL, frame_beside
from wassergan.data.open import open_source
from wassergan.data.paired import ArrayConditions, ArrayContext
from wassergan.data.source import Batch, Source
from wassergan.data.split import random_positions, spread_positions
from wassergan.data.stored import AnyConditions, codec_from_state, conditions_from_state
from wassergan.data.table_files import read_conditions, read_rows
from wassergan.data.tables import (
    TABLE_SUFFIXES,
    ColumnConditions,
    Schema,
    TableCodec,
    column_facts,
    encode_table,
    fix_conditions,
    is_frame,
    proposed_rules,
    raw_array,
    read_condition_request,
    read_frame,
    read_schema,
    schema_of,
    table_suffix,
    write_table,
)

__all__ = [
    "LABEL",
    "TABLE_SUFFIXES",
    "AnyCodec",
    "AnyConditions",
    "ArrayConditions",
    "ArrayContext",
    "Batch",
    "Codec",
    "ColumnConditions",
    "Conditions",
    "Container",
    "Context",
    "Schema",
    "Source",
    "TableCodec",
    "as_array",
    "channels_first",
    "codec_from_state",
    "column_facts",
    "conditions_from_state",
    "context_shape",
    "encode_table",
    "fix_conditions",
    "frame_beside",
    "is_frame",
    "open_source",
    "proposed_rules",
    "random_positions",
    "raw_array",
    "read_condition_request",
    "read_conditions",
    "read_frame",
    "read_rows",
    "read_schema",
    "schema_of",
    "spread_positions",
    "table_suffix",
    "write_table",
]
