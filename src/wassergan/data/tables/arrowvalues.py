"""Values of a column as Arrow arrays of any type: that of the table they came from, or the usual one of their kind."""

from datetime import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.arrowcolumns import PER_SECOND, is_text
from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm

Values = NDArray[np.float64]


def usual_type(column: ColumnCodec) -> Any:
    """The Arrow type of a column that came from a file without types."""
    import pyarrow

    if column.kind == "boolean":
        return pyarrow.bool_()
    if isinstance(column.form, NumberForm):
        return pyarrow.int64() if column.form.whole else pyarrow.float64()
    if isinstance(column.form, DateForm) and not column.form.of_day:
        return pyarrow.timestamp("us", column.form.zone or None) if column.form.layout.has_time else pyarrow.date32()
    return pyarrow.string()


def as_kind(array: Any, kind: Any) -> Any:
    """An array as one of another type; views of text are made anew.

    pyarrow below 25 ends the process when it writes views that a cast made of texts of at most twelve bytes.
    """
    import pyarrow

    return pyarrow.array(array.to_pylist(), kind) if pyarrow.types.is_string_view(kind) else array.cast(kind)


def array_of(column: ColumnCodec, values: Values, kind: Any) -> Any:
    """Values (n,) of a column, NaN where missing, as an Arrow array of a type."""
    import pyarrow

    there = ~np.isnan(values)
    if pyarrow.types.is_string_view(kind):
        return as_kind(array_of(column, values, pyarrow.string()), kind)
    if pyarrow.types.is_dictionary(kind):
        return _dictionary(column, values, there, kind)
    found = _found(column, values[there], kind)
    if there.all() and len(there):
        return found
    filled = pyarrow.concat_arrays([found, _missing(column, kind)])
    places = np.where(there, np.cumsum(there) - 1, len(found))
    return filled.take(pyarrow.array(places))


def _missing(column: ColumnCodec, kind: Any) -> Any:
    """One missing value as the column writes it: nothing at all, a text, or NaN."""
    import pyarrow

    if column.marked and is_text(kind):
        return pyarrow.array([column.missing], kind)
    if column.missing == "NaN" and pyarrow.types.is_floating(kind):
        return pyarrow.array([float("nan")]).cast(kind)
    return pyarrow.nulls(1, kind)


def _dictionary(column: ColumnCodec, values: Values, there: NDArray[np.bool_], kind: Any) -> Any:
    import pyarrow

    form = column.form
    if not isinstance(form, LevelForm):
        return array_of(column, values, kind.value_type).dictionary_encode().cast(kind)
    codes = pyarrow.array(np.where(there, values, 0).astype(np.int64), mask=~there).cast(kind.index_type)
    levels = _levels(form, np.arange(len(form.levels)), kind.value_type)
    return pyarrow.DictionaryArray.from_arrays(codes, levels, ordered=kind.ordered)


def _levels(form: LevelForm, codes: NDArray[np.int64], kind: Any) -> Any:
    import pyarrow

    own = form.values if form.values and not is_text(kind) else form.levels
    chosen = [own[code] for code in codes.tolist()]
    if own is form.values:
        return pyarrow.array(chosen, kind)
    if pyarrow.types.is_duration(kind):
        return _durations(np.array(chosen, np.float64), kind)
    texts = pyarrow.array(chosen, pyarrow.string())
    if pyarrow.types.is_timestamp(kind):  # Arrow casts no text without an offset to a moment in a zone
        return _moments(texts.cast(pyarrow.timestamp("us")).cast("int64"), kind)
    return texts.cast(kind)


def _durations(seconds: Values, kind: Any) -> Any:
    import pyarrow

    return pyarrow.array(np.round(seconds * PER_SECOND[kind.unit]).astype(np.int64)).cast(kind)


def _moments(microseconds: Any, kind: Any) -> Any:
    import pyarrow

    return microseconds.cast(pyarrow.timestamp("us", getattr(kind, "tz", None))).cast(kind)


def _found(column: ColumnCodec, values: Values, kind: Any) -> Any:
    import pyarrow
    from pyarrow import types

    form = column.form
    if len(values) == 0:
        return pyarrow.array([], kind)
    if is_text(kind):
        return as_kind(pyarrow.array(form.texts(values), pyarrow.string()), kind)
    if types.is_time(kind):  # Arrow casts no text to a time64
        return pyarrow.array([time.fromisoformat(each) for each in form.texts(values)], kind)
    if types.is_null(kind):
        return pyarrow.nulls(len(values))
    if isinstance(form, LevelForm):
        return _levels(form, values.astype(np.int64), kind)
    if isinstance(form, DateForm) and form.whole:
        return pyarrow.array(form.plain(values)).cast(kind)
    if isinstance(form, DateForm):
        return _moments(pyarrow.array(form.moments(values).astype(np.int64)), kind)
    if types.is_decimal(kind):
        return pyarrow.array(form.texts(values), pyarrow.string()).cast(kind)
    if types.is_duration(kind):
        return _durations(values, kind)
    if types.is_floating(kind):
        return pyarrow.array(values).cast(kind)
    return pyarrow.array(form.plain(values)).cast(kind)
