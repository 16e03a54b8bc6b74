"""Rows of another table in the model space of one that a codec was fitted to."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.codings import NumberCoding
from wassergan.data.tables.forms import DateForm, LevelForm, Values, date_values
from wassergan.data.tables.raw import RawTable, TextColumn, TypedColumn
from wassergan.errors import UserError

NEVER_SEEN = -1.0  # a level that the codec does not know


def encode_table(codec: TableCodec, table: RawTable) -> Tensor:
    """Every row of a table as a vector, (rows, width) float32; columns that are conditions are no part of it.

    A level that the codec never saw, and a missing value where it saw none, are no option: their numbers are all 0.

    Args:
        codec: fitted to a table with the same columns.
        table: may have more columns; they are passed over.

    Raises:
        UserError: a column is missing, or holds other things than it held.
    """
    raw = {column.name: column for column in table.columns}
    drawn = [column for column in codec.columns if column.name not in codec.given]
    needed = {column.name for column in drawn} | {column.since for column in drawn}
    values: dict[str, Values] = {}
    for column in codec.columns:
        if column.name in needed:
            if column.name not in raw:
                raise UserError(f"{table.name} lacks the column {column.name}", found=", ".join(raw))
            values[column.name] = _values(column, raw[column.name], table)
    blocks = [_block(column, values) for column in drawn]
    return torch.from_numpy(np.concatenate(blocks, axis=1))


def _block(column: ColumnCodec, values: dict[str, Values]) -> NDArray[np.float32]:
    own = values[column.name]
    own = own - values[column.since] if column.since else own
    unknown = (own == NEVER_SEEN) if isinstance(column.form, LevelForm) else np.zeros(len(own), bool)
    if not column.coding.missing:
        unknown |= np.isnan(own)
    filler = column.coding.low if isinstance(column.coding, NumberCoding) else 0.0
    block = column.coding.encode(np.where(unknown, filler, own))
    block[unknown] = 0
    return block


def _values(column: ColumnCodec, raw: TextColumn | TypedColumn, table: RawTable) -> Values:
    """As the codec counts them, (rows,); NaN where missing."""
    if isinstance(raw, TypedColumn):
        if isinstance(column.form, LevelForm):
            return _of_typed_levels(column.form, raw)
        if column.kind != raw.kind:
            raise _other_kind(column, table, f"a {raw.kind}")
        return raw.values * raw.unit / column.form.unit if isinstance(column.form, DateForm) else raw.values
    known: Any = _of_texts(column, raw.levels, table)
    missing = [not level or level == column.missing for level in raw.levels]
    return np.append(np.where(missing, np.nan, known), np.nan)[raw.codes]


def _of_typed_levels(form: LevelForm, raw: TypedColumn) -> Values:
    own = form.values or form.levels
    code = {float(each): float(place) for place, each in enumerate(own) if _is_number(each)}
    return np.array([np.nan if each != each else code.get(each, NEVER_SEEN) for each in raw.values.tolist()])


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _of_texts(column: ColumnCodec, levels: list[str], table: RawTable) -> Values:
    form = column.form
    if isinstance(form, LevelForm):
        code = {level: float(place) for place, level in enumerate(form.levels)}
        return np.array([code.get(level, NEVER_SEEN) for level in levels])
    there = [level for level in levels if level and level != column.missing]
    try:
        found = date_values(there, form.format, form.unit) if isinstance(form, DateForm) else list(map(float, there))
    except ValueError as error:
        raise _other_kind(column, table, str(error)) from error
    value = dict(zip(there, found, strict=True))
    return np.array([value.get(level, np.nan) for level in levels])


def _other_kind(column: ColumnCodec, table: RawTable, found: str) -> UserError:
    return UserError(
        f"Column {column.name} of {table.name} held a {column.kind} in each row when it was fitted",
        found=found,
        mend="give rows like those",
    )
