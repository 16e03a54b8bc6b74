"""What is common to columns of every type as they are read: bounds, grids, identifiers, what is left out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.angles import turn_of
from wassergan.data.tables.arrowfile import whole_limits
from wassergan.data.tables.column import Column
from wassergan.data.tables.column_errors import FEW_ROWS, ColumnErrors
from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm, Values
from wassergan.data.tables.grids import with_date_grid, with_number_grid
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.identifiers.recognise import identifier_of, is_index, key_of_numbers
from wassergan.data.tables.missing_texts import MISSING_MARKS, MISSING_TEXTS
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.tables.text_columns import Found, dates_of
from wassergan.errors import UserError


class LeftOut(Exception):  # noqa: N818  # not an error
    """Why a column takes no part."""


class IsKey(Exception):  # noqa: N818  # not an error
    """A column takes no part in what is learnt: its values are written fresh."""

    def __init__(self, identifier: Identifier, why: str) -> None:
        super().__init__(why)
        self.identifier = identifier


class ColumnReader(ABC):
    """What one column holds.

    Args:
        table: in which it stands.
        name: of the column.
        wish: what the user says of it.
        schema: what the user says of the table.
        decimal: the decimal mark that columns of text give away; empty for none.

    Attributes:
        notes: what was decided, in words that go on from the column's name.
    """

    def __init__(self, table: RawTable, name: str, wish: ColumnSpec, schema: Schema, decimal: str) -> None:
        self._errors = ColumnErrors(table, name, wish)
        self._table, self._name, self._wish, self._decimal = table, name, wish, decimal
        self.notes: list[str] = []
        self._kind = "number" if wish.kind == "angle" else wish.kind
        told = wish.missing if wish.missing is not None else schema.missing
        usual = () if table.arrow_schema else MISSING_TEXTS  # Arrow has a value of its own for what is missing
        self._missing = set(usual) if told is None else {"", *told}
        self._marks = {*MISSING_TEXTS, *MISSING_MARKS} if told is None else set()

    @abstractmethod
    def read(self, raw: Any) -> Column:
        """The column as numbers.

        Raises:
            LeftOut: it takes no part.
            IsKey: its values are written fresh.
            UserError: it cannot be learnt as it is.
        """

    def _number(self, values: Values, form: NumberForm, token: str) -> Column:
        low, high = self._wish.low, self._wish.high
        outside = (values < (-math.inf if low is None else low)) | (values > (math.inf if high is None else high))
        if outside.any():
            row = int(outside.argmax())
            raise UserError(
                f"{self._errors.where} holds values outside the bounds in the schema",
                found=f"{values[row]:g} in {self._table.row_name(row)}",
            )
        form = with_number_grid(form, values, self._wish, self._errors.where)
        return Column(
            self._name, "number", values, form, low, high, token, turn_of(values, self._wish, self._errors.where)
        )

    def _date(self, values: Values, form: DateForm, token: str) -> Column:
        return Column(self._name, "date", values, with_date_grid(form, values, self._wish), missing=token)

    def _find(self, levels: list[str], finder: Callable[..., Found | None]) -> Found | None:
        """What texts hold: as in a table that was learnt, or found out."""
        if self._wish.like is not None:
            form = self._wish.like
            try:
                return Found(form, form.read(levels))
            except ValueError:
                return None
        if finder is dates_of:
            return dates_of(levels, self._wish)
        delimiter = self._table.dialect.get("delimiter", "")
        return finder(levels, self._wish, evidence=self._decimal, delimiter=delimiter)

    def _empty(self, values: Values, token: str) -> Column:
        """A column without any value: it is written back so."""
        return Column(self._name, "category", values, LevelForm(()), missing=token)

    def _check_index(self, numbers: NDArray[Any]) -> None:
        """Leave out the index of a DataFrame that was written with it."""
        unnamed = self._name.strip() == "" or self._name.lower().startswith("unnamed:")
        if self._kind is None and is_index(self._name) and (unnamed or key_of_numbers(self._name, numbers)):
            raise LeftOut("it is the index of a DataFrame")

    def _take_key(
        self, values: Any, why: str, *, whole: bool = False, token: str = "", missing: float | None = None
    ) -> None:
        """Take the column for an identifier, where it is one or the schema says so."""
        if not (why or self._kind == "id"):
            return
        gone = 1 - len(values) / self._table.rows if missing is None else missing
        limits = whole_limits(self._table, self._name)
        found = identifier_of(self._name, values, missing=gone, whole=whole, token=token, limits=limits)
        if found is not None:
            raise IsKey(found, why or "the schema says so")
        if self._kind == "id":
            raise self._errors.no_key("values of many lengths")


def is_row_number(values: Values) -> bool:
    """Whether whole numbers count the rows, from any first one, in the order of the table."""
    return len(values) >= FEW_ROWS and bool((np.diff(values) == 1).all())
