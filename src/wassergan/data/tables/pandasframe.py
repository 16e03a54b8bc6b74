"""Columns of pandas as Arrow arrays, and back in the type, and with the Python objects, that they had."""

import base64
import datetime
import decimal
from collections.abc import Mapping
from typing import Any

import numpy as np

# Python objects that a column of objects may hold, one kind of them in each.
OBJECTS = (str, bool, int, float, decimal.Decimal, datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
State = dict[str, Any]


class _Odd(Exception):  # noqa: N818  # not an error as long as the column is left out
    """What is wrong with a column: what was found, what to do, and in which words."""


def carried(series: Any) -> tuple[Any, State]:
    """A column as an Arrow array, and what its type is, in plain types.

    A column that no table can have becomes one of empty lists; its state says why under `odd`.
    """
    import pyarrow

    try:
        return _carried(series)
    except _Odd as odd:
        reason = odd.args
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        reason = (str(series.dtype), "turn it into numbers, text or dates")
    return pyarrow.nulls(len(series), pyarrow.list_(pyarrow.null())), {"how": "odd", "odd": list(reason)}


def _carried(series: Any) -> tuple[Any, State]:
    import pandas
    import pyarrow

    dtype = series.dtype
    match dtype:
        case pandas.CategoricalDtype():
            return _categories(series)
        case pandas.IntervalDtype():
            array, state = _categories(series.astype("category"))
            return array, {"how": "interval", "of": state}
        case pandas.PeriodDtype():
            return pyarrow.array(series.dt.to_timestamp()), {"how": "period", "dtype": str(dtype)}
        case pandas.SparseDtype():
            raise _Odd(str(dtype), "make it dense: frame[name].sparse.to_dense()")
    if dtype.kind == "O" and isinstance(dtype, np.dtype):
        return _objects(series)
    return _whole(pyarrow.array(series, from_pandas=True)), {"how": "dtype", **_dtype_state(dtype)}


def restored(array: Any, state: Mapping[str, Any]) -> Any:
    """An Arrow array as the column of pandas that it stands for."""
    import pandas

    match state["how"]:
        case "category":
            categories, codes = _levels(array, state)
            return pandas.Series(pandas.Categorical.from_codes(codes, categories, ordered=state["ordered"]))
        case "interval":
            categories, codes = _levels(array, state["of"])
            return pandas.Series(categories.take(codes, allow_fill=True, fill_value=np.nan))
        case "period":
            return array.to_pandas().dt.to_period(_dtype(state, array).freq)
        case "object":
            return pandas.Series(_python_values(array, state), dtype=object)
    dtype = _dtype(state, array)
    if hasattr(dtype, "__from_arrow__"):
        import pyarrow

        return pandas.Series(dtype.__from_arrow__(pyarrow.chunked_array([array])))
    return array.to_pandas().astype(dtype)


def _whole(array: Any) -> Any:
    return array.combine_chunks() if hasattr(array, "num_chunks") else array


def _dtype_state(dtype: Any) -> State:
    import pandas

    if isinstance(dtype, pandas.StringDtype):
        return {"dtype": "string", "storage": dtype.storage, "na": "NA" if dtype.na_value is pandas.NA else "nan"}
    return {"dtype": "arrow" if isinstance(dtype, pandas.ArrowDtype) else str(dtype)}


def _dtype(state: Mapping[str, Any], array: Any) -> Any:
    import pandas

    if state["dtype"] == "arrow":
        return pandas.ArrowDtype(array.type)
    if "storage" in state:
        # NA is what a missing text is unless something is said, and pandas below 2.3 takes no word on it.
        missing = {} if state["na"] == "NA" else {"na_value": np.nan}
        return pandas.StringDtype(state["storage"], **missing)
    return pandas.api.types.pandas_dtype(state["dtype"])


def _categories(series: Any) -> tuple[Any, State]:
    import pandas
    import pyarrow

    categories = series.cat.categories
    inner: Any
    if isinstance(categories.dtype, pandas.IntervalDtype):
        sides = [_carried(pandas.Series(each)) for each in (categories.left, categories.right)]
        inner = {"how": "sides", "closed": categories.closed, "of": [each[1] for each in sides]}
        kept = [each[0] for each in sides]
    else:
        array, inner = _carried(pandas.Series(categories))
        kept = [array]
        categories = restored(array, inner)  # decimals have one text each then
    plain = inner["how"] == "dtype" and str(kept[0].type) in ("int64", "double", "bool", "string", "large_string")
    texts = list(map(str, categories))
    if len(set(texts)) < len(texts):
        raise _Odd(f"{texts[0]!r} among them"[:80], "give each a text of its own", "has categories that read alike")
    levels = kept[0] if plain else pyarrow.array(texts, pyarrow.string())
    codes = series.cat.codes.to_numpy().astype(np.int32)
    array = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(codes, mask=codes < 0), levels, ordered=series.cat.ordered
    )
    state = {"how": "category", "ordered": bool(series.cat.ordered), "texts": texts, "of": inner}
    return array, {**state, "categories": _bytes_of(kept)}


def _levels(array: Any, state: Mapping[str, Any]) -> tuple[Any, np.ndarray[Any, Any]]:
    """The categories that a column had, and which of them stands in each row; -1 where none does."""
    import pandas

    kept, inner = _arrays_of(state["categories"]), state["of"]
    if inner["how"] == "sides":
        left, right = (restored(each, of) for each, of in zip(kept, inner["of"], strict=True))
        categories: Any = pandas.IntervalIndex.from_arrays(left, right, closed=inner["closed"])
    else:
        categories = pandas.Index(restored(kept[0], inner), name=None)
        categories.name = None  # that of Arrow's column
    index = {text: at for at, text in enumerate(state["texts"])}
    here = [index[str(level)] for level in array.dictionary.to_pylist()]
    codes = array.indices.fill_null(len(here)).to_numpy(zero_copy_only=False).astype(np.int64)
    return categories, np.array([*here, -1], np.int64)[codes]


def _bytes_of(arrays: list[Any]) -> str:
    import pyarrow

    batch = pyarrow.record_batch(arrays, [str(at) for at in range(len(arrays))])
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def _arrays_of(text: str) -> list[Any]:
    import pyarrow

    with pyarrow.ipc.open_stream(pyarrow.BufferReader(base64.b64decode(text))) as reader:
        batch = reader.read_next_batch()
    batch.validate(full=True)
    return list(batch.columns)


def _objects(series: Any) -> tuple[Any, State]:
    import pandas
    import pyarrow

    gone = series.isna().to_numpy()
    values = [each.item() if isinstance(each, np.generic) else each for each in series.tolist()]
    there = [each for each, missing in zip(values, gone, strict=True) if not missing]
    kinds = list(dict.fromkeys(map(type, there)))
    for kind in kinds:
        if kind is not kinds[0] or not issubclass(kind, OBJECTS):
            other = next(at for at, each in enumerate(values) if not gone[at] and type(each) is kind)
            shown = f"{values[other]!r} ({kind.__name__})"[:80] + f" in row {other}"
            if kind is kinds[0]:
                raise _Odd(shown, "turn them into numbers, text or dates", "holds objects that a table cannot have")
            raise _Odd(f"{shown}, others are {kinds[0].__name__}", "give them all one type", "mixes types")
    marks = [_mark(each) for each, missing in zip(values, gone, strict=True) if missing]
    most = max(dict.fromkeys(marks), key=marks.count, default="None")
    array = pyarrow.array([None if missing else each for each, missing in zip(values, gone, strict=True)])
    of_pandas = bool(kinds) and issubclass(kinds[0], pandas.Timestamp | pandas.Timedelta)
    return array, {"how": "object", "missing": most, "type": kinds[0].__name__ if of_pandas else ""}


def _mark(value: Any) -> str:
    """What a column of objects says where it has nothing."""
    return "None" if value is None else "nan" if isinstance(value, float) else type(value).__name__


def _python_values(array: Any, state: Mapping[str, Any]) -> list[Any]:
    import pandas

    nothing = {"nan": float("nan"), "NAType": pandas.NA, "NaTType": pandas.NaT}.get(state["missing"])
    make = {"Timestamp": pandas.Timestamp, "Timedelta": pandas.Timedelta}.get(state["type"], lambda value: value)
    return [nothing if each is None else make(each) for each in array.to_pylist()]
