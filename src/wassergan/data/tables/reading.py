"""Rows of another table in the columns, and the numbers, of a table that was learnt."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.encodings import NumberCoding
from wassergan.data.tables.formats import DateForm, LevelForm, Values
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.missing_texts import MISSING_TEXTS
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.errors import UserError


def rows_like(codec: TableCodec, table: RawTable, schema: Schema | None = None) -> NDArray[np.float64]:
    """Rows (n, columns) as `codec.decode` gives them; levels that it does not know are numbered after its own.

    Args:
        codec: fitted to a table with the same columns.
        table: may have more columns.
        schema: what the user said about the table that was learnt; its words for missing values hold here too.

    Raises:
        UserError: a column is not there, or holds something else.
    """
    there = {column.name: column for column in table.columns}
    gone = [column.name for column in codec.columns if column.name not in there]
    if gone:
        raise UserError(
            f"{table.name} lacks columns of the run's table", found=", ".join(gone), hint="give a table with them"
        )
    wanted = replace(table, notes=(), columns=tuple(there[column.name] for column in codec.columns))
    found = infer_columns(
        wanted, Schema({each.name: _wish(each, schema or Schema()) for each in codec.columns}), log=_refuse
    )
    return np.stack([_numbered(*each, table.name) for each in zip(codec.columns, found, strict=True)], axis=1)


def _wish(column: ColumnCodec, schema: Schema) -> ColumnSpec:
    said = schema.columns.get(column.name, ColumnSpec())
    own = said.missing if said.missing is not None else schema.missing
    if own is None and column.missing and column.missing not in MISSING_TEXTS:
        own = (column.missing,)
    like = None if isinstance(column.form, LevelForm) else column.form
    return ColumnSpec(column.kind, missing=own, invalid=said.invalid, step="none", like=like)


def _refuse(sentence: str) -> None:
    raise UserError(sentence.rstrip("."), hint="give a table like the one that was learnt")


def _numbered(column: ColumnCodec, found: Column, table: str) -> Values:
    if isinstance(column.form, LevelForm) and isinstance(found.form, LevelForm):
        fold = str.lower if column.kind == "boolean" else str
        numbers: dict[str, float] = {fold(level): float(i) for i, level in enumerate(column.form.levels)}
        own = [numbers.setdefault(fold(level), float(len(numbers))) for level in found.form.levels]
        return _taken(own, found.values)
    if isinstance(column.form, DateForm) and isinstance(found.form, DateForm):
        return found.values * (found.form.unit / column.form.unit)
    if type(column.form) is not type(found.form):
        raise UserError(f"Column {column.name} of {table} is no {column.kind}", found=f"a {found.kind}")
    return found.values


def _taken(numbers: list[float], codes: Values) -> Values:
    gone = np.isnan(codes)
    taken: Any = np.array([*numbers, np.nan])[np.where(gone, len(numbers), codes).astype(np.int64)]
    values: Values = taken
    return values


def encode_table(codec: TableCodec, table: RawTable) -> Tensor:
    """Every row of a table as a vector, (rows, width) float32; columns that are conditions are no part of it.

    A level that the codec never saw, and a missing value where it saw none, are no option: their numbers are all 0.

    Args:
        codec: fitted to a table with the same columns.
        table: may have more columns; they are passed over.

    Raises:
        UserError: a column is not there, or holds something else.
    """
    rows = rows_like(codec, table)
    unknown = {}
    for index, column in enumerate(codec.columns):
        unknown[column.name] = _is_unknown(column, rows[:, index])
        filler = column.coding.low if isinstance(column.coding, NumberCoding) else 0.0
        rows[unknown[column.name], index] = filler
    for column in codec.columns if codec.rules is None else ():
        if column.since:  # what it counts from is not known either
            unknown[column.name] = unknown[column.name] | unknown[column.since]
    blocks = codec.blocks(rows)
    for slot, block in zip(codec.slots, blocks, strict=True):
        block[np.any([unknown[name] for name in slot.names], axis=0)] = 0
    return torch.from_numpy(np.concatenate(blocks, axis=1))


def _is_unknown(column: ColumnCodec, values: Values) -> NDArray[np.bool_]:
    unknown = np.zeros(len(values), bool)
    if isinstance(column.form, LevelForm):
        unknown |= values >= len(column.form.levels)
    if not column.coding.missing:
        unknown |= np.isnan(values)
    return unknown
