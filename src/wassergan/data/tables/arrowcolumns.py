"""Arrow arrays of any type as columns whose kind is not yet decided."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.columns import AnyColumn, OddColumn, TextColumn, TypedColumn

Values = NDArray[np.float64]
MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1}
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
MOST_DIGITS = 15  # of a decimal number in float64
EXACT = 2**53  # whole numbers up to here are exact in float64


def column_of(name: str, array: Any) -> AnyColumn:
    """A column as its type says; text is text, whatever it looks like."""
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        return _dictionary(name, array)
    if is_text(kind):
        return _texts(name, array.cast("string"))
    if types.is_time(kind):
        return _texts(name, _times(array))
    if types.is_boolean(kind):
        return TypedColumn(name, "boolean", _floats(array.cast("int8")))
    if types.is_integer(kind):
        return _whole(name, array)
    if types.is_floating(kind):
        return TypedColumn(name, "number", _decimal_floats(array), nan=_nan_is_missing(array))
    if types.is_decimal(kind):
        return _decimals(name, array)
    if types.is_duration(kind):
        return _durations(name, array)
    if types.is_date(kind):
        return TypedColumn(name, "date", _floats(array.cast("date32").cast("int32")), unit=86_400_000_000)
    if types.is_timestamp(kind):
        return _moments(name, array)
    if types.is_null(kind):
        return TextColumn(name, [], np.full(len(array), -1, np.int32))
    return OddColumn(name, str(kind))


def is_text(kind: Any) -> bool:
    """Whether values of an Arrow type are text."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _floats(array: Any) -> Values:
    import pyarrow

    values = array.cast("float64", safe=False) if not pyarrow.types.is_float64(array.type) else array
    return np.array(values.to_numpy(zero_copy_only=False), np.float64)


def _decimal_floats(array: Any) -> Values:
    """Floats as the shortest decimal number that stands for them: 0.1 in 32 bits is no 0.10000000149."""
    if array.type == "double":
        return _floats(array)
    narrow = np.float16 if array.type == "halffloat" else np.float32
    found, index = np.unique(array.to_numpy(zero_copy_only=False).astype(narrow), return_inverse=True)
    return np.array([float(str(each)) for each in found], np.float64)[index]


def _nan_is_missing(array: Any) -> bool:
    """Whether more values are NaN than are nothing at all."""
    from pyarrow import compute

    nan = compute.is_nan(array.drop_null().cast("float64")).true_count
    return bool(nan > array.null_count)


def _whole(name: str, array: Any) -> TypedColumn:
    exact = array.fill_null(0).to_numpy(zero_copy_only=False)
    low, high = (int(exact.min()), int(exact.max())) if len(exact) else (0, 0)
    large = max(-low, high) > EXACT
    return TypedColumn(name, "number", _floats(array), whole=True, exact=exact if large else None)


def _decimals(name: str, array: Any) -> AnyColumn:
    """Decimal numbers."""
    from pyarrow import compute

    texts = array.cast("string")
    digits = compute.utf8_length(compute.utf8_ltrim(compute.replace_substring(texts, ".", ""), "-0"))
    if (compute.max(digits).as_py() or 0) > MOST_DIGITS:
        return OddColumn(name, str(array.type), f"round its numbers to {MOST_DIGITS} digits, or make them text")
    return TypedColumn(name, "number", _floats(texts.cast("float64")), places=max(array.type.scale, 0))


def _durations(name: str, array: Any) -> AnyColumn:
    """Numbers of seconds."""
    ticks, per_second = array.cast("int64"), PER_SECOND[array.type.unit]
    there = ticks.drop_null().to_numpy()
    if len(there) and max(-int(there.min()), int(there.max())) > EXACT:
        return OddColumn(name, str(array.type), "give its durations in seconds, or round them to a larger unit")
    return TypedColumn(name, "number", _floats(ticks) / per_second, places=0)


def _moments(name: str, array: Any) -> TypedColumn:
    kind, ticks = array.type, array.cast("int64")
    if kind.unit != "ns":
        return TypedColumn(name, "date", _floats(ticks), unit=MICROSECONDS[kind.unit], zone=kind.tz or "")
    # Dates and times are told apart to the microsecond. Arrow would floor local times, of which some are two moments.
    micro = (ticks.fill_null(0).to_numpy(zero_copy_only=False) // 1000).astype(np.float64)
    micro[array.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return TypedColumn(name, "date", micro, zone=kind.tz or "")


def _times(array: Any) -> Any:
    """Times of a day as text, with as many digits behind the second as they need: none, three or six."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_time64(array.type) and array.type.unit == "ns":
        array = array.cast("time64[us]", safe=False)
    texts = array.cast("string")
    for zeros, kept in ((".000000", 8), (".000", 8), ("000", 12)):
        ends = compute.ends_with(texts, zeros)
        if len(texts) > texts.null_count and compute.all(ends).as_py() and "." in texts.drop_null()[0].as_py():
            return compute.utf8_slice_codeunits(texts, 0, kept)
    return texts


def _texts(name: str, array: Any) -> TextColumn:
    encoded = array.dictionary_encode()
    return TextColumn(name, encoded.dictionary.to_pylist(), _codes(encoded))


def _codes(array: Any) -> NDArray[np.int32]:
    # Polars counts levels with numbers that have no sign.
    codes: NDArray[np.int32] = array.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes


def _dictionary(name: str, array: Any) -> AnyColumn:
    """Levels as their file has them; those of a type with no plain value are known by their text."""
    from pyarrow import ArrowException, types

    kind = array.type.value_type
    plain = types.is_integer(kind) or types.is_float64(kind) or types.is_boolean(kind)
    try:
        values = array.dictionary.to_pylist() if plain else array.dictionary.cast("string").to_pylist()
    except ArrowException:
        return OddColumn(name, str(array.type))
    texts = {value: None if value is None else str(value) for value in values}
    index = {text: at for at, text in enumerate(dict.fromkeys(text for text in texts.values() if text is not None))}
    number = np.array([*(-1 if texts[value] is None else index[str(value)] for value in values), -1], np.int32)
    own = tuple(value for value in texts if value is not None) if plain else ()
    return TextColumn(name, list(index), number[_codes(array)], own, declared=True)
