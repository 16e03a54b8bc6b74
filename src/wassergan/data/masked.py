"""Masked arrays of NumPy, as arrays in which a code marks masked values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.errors import UserError

Code = int | float


def unmasked(array: Any, known: Sequence[Code] = ()) -> tuple[NDArray[Any], tuple[Code, ...]]:
    """An array without a mask, and the codes that stand for masked values: NaN needs none.

    A code lies outside the range of the values that are there; types without room for one become wider.

    Args:
        array: with a mask or without.
        known: codes, of which the first stands for what is masked.

    Raises:
        UserError: a structured mask.
    """
    if not isinstance(array, np.ma.MaskedArray):
        return np.asanyarray(array), ()
    if array.dtype.names:
        raise UserError("Structured masked arrays are not read", hint="take one field, such as array['t']")
    mask = np.ma.getmaskarray(array)
    if not mask.any() or array.dtype.kind not in "fiub":
        return array.data, ()
    if array.dtype.kind == "f":
        return np.where(mask, array.dtype.type(np.nan), array.data), ()
    values = array.data.astype(np.int8) if array.dtype.kind == "b" else array.data
    there = values[~mask]
    if there.size == 0:
        raise UserError("All values of the array are masked", hint="give data")
    values, code = with_room(values, int(there.min()), int(there.max()))
    if known:
        values, code = values.astype(np.promote_types(values.dtype, np.min_scalar_type(int(known[0])))), int(known[0])
    return np.where(mask, values.dtype.type(code), values), (code,)


def with_room(values: NDArray[Any], smallest: int, largest: int) -> tuple[NDArray[Any], int]:
    """Whole numbers in a type with room for one outside a range, and that one.

    Raises:
        UserError: the range is that of the widest type.
    """
    code = free_code(values.dtype, smallest, largest)
    if code is not None:
        return values, code
    wider = {1: np.int16, 2: np.int32, 4: np.int64}.get(values.dtype.itemsize)
    if wider is None:
        raise UserError("No whole number is left to stand for masked values", hint="give floats")
    return values.astype(wider), largest + 1


def free_code(dtype: np.dtype[Any], smallest: int, largest: int) -> int | None:
    """A whole number of a type outside a range; None where there is none."""
    limits = np.iinfo(dtype)
    if largest < limits.max:
        return int(limits.max)
    return int(limits.min) if smallest > limits.min else None
