"""The coding of a table's columns, fitted to the training rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.column import Column
from wassergan.data.tables.encodings import CategoryCoding, NumberCoding
from wassergan.data.tables.formats import DateForm, LevelForm, Values
from wassergan.errors import UserError, parameter

CLOSER = 0.1  # a date counts from an earlier one if their difference spreads this much less


@dataclass(frozen=True)
class Chosen:
    """Some of the columns, each looked up when its turn comes: on disk they may be larger than memory."""

    columns: Sequence[Column]
    places: Sequence[int]

    def __iter__(self) -> Iterator[Column]:
        return (self.columns[each] for each in self.places)


def fit_all(
    columns: Sequence[Column], heads: Sequence[Column], condition: Sequence[str], train: Any, *, ruled: bool
) -> list[ColumnCodec]:
    """The coding of each column; dates may count from earlier ones where no rules tie columns together."""
    fitted = []
    for index, head in enumerate(heads):
        is_given = head.name in condition
        # What is given may not count from what is drawn.
        before = [] if ruled else [at for at in range(index) if not is_given or heads[at].name in condition]
        earlier = Chosen(columns, [at for at in before if isinstance(heads[at].form, DateForm)])
        if is_given:
            fitted.append(fitted_to(of_all_rows(columns[index]), earlier, train))
        else:
            fitted.append(fitted_to(columns[index], earlier, train))
    return fitted


def each_alone(columns: Sequence[Column], train: Any) -> list[ColumnCodec]:
    """The coding of each column by itself, with the bounds of all rows."""
    return [fitted_to(of_all_rows(column), (), train) for column in columns]


def fitted_to(column: Column, earlier: Iterable[Column], train: Any) -> ColumnCodec:
    """The coding of a column; of a date that stays close to one of the earlier columns, by how far it is from it.

    Raises:
        UserError: no training row has a value.
    """
    values, missing = column.values[train], bool(np.isnan(column.values).any())
    plain: dict[str, Any] = {name: getattr(column, name) for name in ("name", "kind", "form", "missing", "marked")}
    if np.isnan(values).all() and not np.isnan(column.values).all():
        raise UserError(
            f"Column {column.name} has values in held-out rows alone",
            hint=f"leave it out with a {parameter('schema')} file",
        )
    column = replace(column, values=values)  # those of other rows need not stay in memory
    if isinstance(column.form, LevelForm):
        return ColumnCodec(coding=CategoryCoding.fit(values, levels=len(column.form.levels), missing=missing), **plain)
    base = _base_of(column, earlier, train)
    if base is not None:
        since = values - base.values[train]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        coding = NumberCoding.fit(since, missing=missing)
        return ColumnCodec(coding=coding, since=base.name, low=low, high=high, **plain)
    coding = NumberCoding.fit(values, missing=missing, low=column.low, high=column.high, turn=column.turn)
    return ColumnCodec(coding=coding, **plain)


def _base_of(column: Column, earlier: Iterable[Column], train: Any) -> Column | None:
    """The earlier date column that a date stays close to: a journey's end is minutes from its start.

    Args:
        column: with its values in the training rows alone.
        earlier: columns with the values of all rows.
        train: numbers of the training rows.
    """
    if not isinstance(column.form, DateForm):
        return None
    closest, least = None, CLOSER * _spread(column.values)
    for each in earlier:
        alike = isinstance(each.form, DateForm) and each.form.unit == column.form.unit
        if alike and not np.isnan(each.values).any():
            spread = _spread(column.values - each.values[train])
            if spread < least:
                closest, least = each, spread
    return closest


def _spread(values: Values) -> float:
    low, high = np.nanquantile(values, [0.05, 0.95])
    return float(high - low)


def of_all_rows(column: Column) -> Column:
    """A column whose bounds are those of all rows: what a held-out row has may be asked for."""
    if isinstance(column.form, LevelForm) or np.isnan(column.values).all():
        return column
    low, high = float(np.nanmin(column.values)), float(np.nanmax(column.values))
    return replace(
        column,
        low=low if column.low is None else column.low,
        high=high if column.high is None else column.high,
    )
