"""What a user asks for of some columns, to rows of conditions."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.columns import AnyColumn, OddColumn, RawTable, TextColumn
from wassergan.data.tables.conditions import ColumnConditions
from wassergan.data.tables.encodings import NumberCoding
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm, Values
from wassergan.errors import UserError, unknown_name


def fix_conditions(conditions: ColumnConditions, wanted: Mapping[str, Any]) -> ColumnConditions:
    """The conditions, where some columns are as a user asks.

    Args:
        conditions: the distribution of all of them.
        wanted: column → a value, or one for each sample in turn: numbers, the text or the value of a level, dates as
            text in the format of the column or as `datetime`; None, or the column's own text for it, where missing.

    Raises:
        UserError: no condition has that name, a value does not fit its column, or lengths differ.
    """
    for name in wanted:
        if name not in conditions.names:
            raise unknown_name("condition", name, conditions.names)
    if not wanted:
        return conditions
    many = {name: _as_list(value) for name, value in wanted.items()}
    lengths = {len(values) for values in many.values()} - {1}
    if len(lengths) > 1 or 0 in lengths:
        found = ", ".join(f"{name}: {len(values)}" for name, values in many.items())
        raise UserError("Conditions differ in length", found=found, hint="give each one value, or one for each sample")
    rows = np.zeros((max(lengths, default=1), len(conditions.names)))
    for index, column in enumerate(conditions.codec.columns):
        if column.name in many:
            rows[:, index] = [_value_of(column, value) for value in many[column.name]]
    return conditions.fixed(rows, tuple(name not in many for name in conditions.names))


def read_condition_request(table: RawTable) -> dict[str, list[Any]]:
    """What a table asks for, row after row, as `fix_conditions` takes it."""
    return {column.name: _entries(column, table.name) for column in table.columns}


def _entries(column: AnyColumn, table: str) -> list[Any]:
    if isinstance(column, OddColumn):
        raise UserError(f"Column {column.name} of {table} cannot be a condition", found=column.type, hint=column.hint)
    if isinstance(column, TextColumn):
        own: Sequence[Any] = column.values or column.levels
        return [None if code < 0 else own[code] for code in column.codes.tolist()]
    if column.kind == "date":
        moments = (np.nan_to_num(column.values) * column.unit).astype("datetime64[us]").tolist()
        return [None if np.isnan(value) else each for value, each in zip(column.values, moments, strict=True)]
    values: list[Any] = (column.values if column.exact is None else column.exact).tolist()
    return [bool(value) for value in values] if column.kind == "boolean" else values


def _as_list(value: Any) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return [value]
    return value.tolist() if isinstance(value, np.ndarray) else list(value)


def _value_of(column: ColumnCodec, value: Any) -> float:
    where = f"Condition {column.name}"
    if _is_missing(value, column):
        if not column.coding.missing:
            raise UserError(f"{where} is never missing in the data", hint="give a value")
        return float("nan")
    if isinstance(column.form, LevelForm):
        return _level_of(column.form, value, where)
    if isinstance(column.form, DateForm):
        return _within(column, _date_of(column.form, value, where), str(value))
    return _within(column, _number_of(column.form, value, where), f"{value}")


def _is_missing(value: Any, column: ColumnCodec) -> bool:
    if value is None or _is_not_itself(value):
        return True
    return isinstance(value, str) and value.strip() in {"", column.missing} and value not in column.names


def _is_not_itself(value: Any) -> bool:
    """Whether a value says of itself that it is nothing, as NaN and the words of pandas for it do."""
    same = value == value
    return not isinstance(same, bool | np.bool_) or not same


def _level_of(form: LevelForm, value: Any, where: str) -> float:
    text = str(value).strip()
    for level in (str(value), text, *([str(float(text))] if _is_number(text) else [])):
        if level in form.levels:
            return float(form.levels.index(level))
    if form.values and value in form.values:
        return float(form.values.index(value))
    raise unknown_name(f"level of {where.lower()}", text, form.levels)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number_of(form: NumberForm, value: Any, where: str) -> float:
    try:
        number = float(form.read([value])[0] if isinstance(value, str) else value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} is a number", found=f"'{value}'") from error
    if not np.isfinite(number):
        raise UserError(f"{where} is a finite number", found=f"'{value}'")
    if form.decimals is not None and _is_single(number, round(number, form.decimals)):
        number = round(number, form.decimals)
    if form.decimals is not None and round(number, form.decimals) != number:
        kind = "whole numbers" if form.decimals == 0 else f"numbers with at most {form.decimals} decimals"
        raise UserError(f"{where} holds {kind}", found=f"{value}")
    return number


def _is_single(number: float, decimal: float) -> bool:
    """Whether a number is what 32 bits hold of a decimal number."""
    with np.errstate(over="ignore"):
        single = np.float32(decimal)
    return bool(np.isfinite(single)) and float(single) == number


def _date_of(form: DateForm, value: Any, where: str) -> float:
    if isinstance(value, datetime | date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return round(form.moment_of(moment))
    try:
        return float(form.read([str(value).strip()])[0])
    except ValueError as error:
        raise UserError(f"{where} is a date like {form.format}", found=f"'{value}'") from error


def _within(column: ColumnCodec, number: float, shown: str) -> float:
    assert isinstance(column.coding, NumberCoding)
    low, high = column.coding.low, column.coding.high
    if not low <= number <= high:
        bounds: Values = np.array([low, high])
        raise UserError(
            f"Condition {column.name} lies outside the data",
            found=shown,
            hint=f"the data reach from {' to '.join(column.form.texts(bounds))}",
        )
    return number
