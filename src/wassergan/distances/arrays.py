"""Conversion of anything that the Python functions accept as an array into one dense tensor, without losing a digit."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.errors import UserError

Array = Tensor | npt.NDArray[Any] | Sequence[Any]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)
_EXACT = 2**53  # float64 holds every integer up to here


def as_tensor(array: Any, *, name: str) -> Tensor:
    """The dense floating tensor of an array; memory is shared where its layout allows, integers become float64.

    Args:
        array: a tensor, a NumPy array of any layout or byte order, a (nested) list, a data frame, or anything that
            converts itself with `__array__`.
        name: its name in error messages.

    Raises:
        UserError: no numbers, a masked or missing entry, an integer that float64 cannot hold, or a tensor that
            is sparse, quantised, complex, of an unknown precision, or without values.
    """
    if not isinstance(array, Tensor):
        stacked = _stacked(array, name)
        array = _from_numpy(as_numpy(array, name=name), name) if stacked is None else stacked
    return _dense(array, name)


def as_numpy(array: Any, *, name: str) -> npt.NDArray[Any]:
    """A NumPy array of real numbers, or a `UserError`."""
    if isinstance(array, np.ma.MaskedArray):
        hidden = int(np.ma.getmaskarray(array).sum())
        if hidden:
            raise UserError(
                f"{name} holds masked values",
                found=f"{hidden} of {array.size}",
                hint="leave those rows out, or fill them",
            )
        array = np.ma.getdata(array)
    if not (isinstance(array, np.ndarray | list | tuple) or hasattr(array, "__array__")):
        raise UserError(f"{name} must be a NumPy array, a torch tensor, a list or a data frame", found=_kind(array))
    _only_numbers(array, name)
    try:
        found = np.asarray(array)
    except Exception as error:  # third-party objects may raise anything when asked for an array
        raise UserError(f"{name} is no array of numbers", found=(str(error).splitlines() or [""])[0]) from error
    return _numbers(found, name) if found.dtype.kind == "O" else _checked(found, name)


def labels_of(array: Any) -> list[Any] | None:
    """The names of a data frame's columns; None for arrays without names."""
    columns = getattr(array, "columns", None)
    return None if columns is None or isinstance(array, Tensor | np.ndarray) else list(columns)


def paired(x: Any, y: Any) -> tuple[Any, Any]:
    """Two clouds with matching columns, whose integers lose no digits.

    Data frames are matched by the names of their columns. Integers beyond 2⁵³ are shifted by one common offset per
    column: it does not change a distance, and float64 holds the differences.

    Raises:
        UserError: columns that only one of the two has.
    """
    names, others = labels_of(x), labels_of(y)
    if names is not None and others is not None and names != others:
        if sorted(map(str, names)) != sorted(map(str, others)) or len(set(names)) < len(names):
            odd = [str(each) for each in [*names, *others] if (each in names) != (each in others)]
            raise UserError("x and y must have the same columns", found=", ".join(map(repr, odd)) or "names in doubt")
        y = y[names]
    return _near_zero(x, y)


def _near_zero(x: Any, y: Any) -> tuple[Any, Any]:
    wholes = [_whole(each) for each in (x, y)]
    if any(each is None for each in wholes):
        return x, y
    left, right = wholes
    assert left is not None and right is not None
    if left.shape[-1:] != right.shape[-1:] and left.ndim > 1:
        return x, y
    if all(_largest(each) <= _EXACT for each in (left, right)):
        return x, y
    axes = tuple(range(left.ndim - 1)) if left.ndim > 1 else None
    left, right = left.astype(object), right.astype(object)
    offset = np.minimum(left.min(axis=axes), right.min(axis=tuple(range(right.ndim - 1)) if right.ndim > 1 else None))
    moved = [_smallest_integers(each - offset) for each in (left, right)]
    return moved[0], moved[1]


def _smallest_integers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Non-negative integers as uint64 if it holds them; larger ones are returned unchanged, to be refused."""
    return values.astype(np.uint64) if max(values.flat) < 2**64 else values


def _whole(array: Any) -> npt.NDArray[Any] | None:
    """A non-empty array of integers, or None."""
    if isinstance(array, Tensor):
        if array.dtype not in _INTEGERS or array.layout != torch.strided or not array.numel():
            return None
        return array.detach().cpu().numpy()
    if isinstance(array, np.ma.MaskedArray) or not (
        isinstance(array, np.ndarray | list) or hasattr(array, "__array__")
    ):
        return None
    try:
        found = np.asarray(array)
    except Exception:
        return None
    return found if found.dtype.kind in "iu" and found.size and found.ndim else None


def _largest(values: npt.NDArray[Any]) -> int:
    return max(abs(int(values.min())), abs(int(values.max())))


def _stacked(array: Any, name: str) -> Tensor | None:
    """A list of tensors as one tensor, with its graph."""
    if not (isinstance(array, list | tuple) and array and all(isinstance(each, Tensor) for each in array)):
        return None
    try:
        return torch.stack(list(array))
    except RuntimeError as error:
        raise UserError(f"{name} holds tensors of different shapes", found=str(error)) from error


def _from_numpy(array: npt.NDArray[Any], name: str) -> Tensor:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.size and _largest(array) > _EXACT:
        exact = array.astype(np.float64)
        where = np.argwhere(np.array([int(a) != int(b) for a, b in zip(array.flat, exact.flat, strict=True)]))
        if len(where):
            raise _too_long(name, array.flat[int(where[0, 0])])
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.float64)
    if any(step < 0 for step in array.strides):
        array = array.copy()  # an axis of length 1 counts as contiguous, whatever its stride
    with warnings.catch_warnings():
        # A read-only memory map is welcome: nothing in this package writes to its input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def _dense(array: Tensor, name: str) -> Tensor:
    if array.is_complex():
        raise UserError(f"{name} must hold real numbers", found=str(array.dtype))
    if array.is_nested or array.layout != torch.strided:
        raise UserError(f"{name} must be a dense tensor", found=f"layout {array.layout}", hint="call to_dense() first")
    if array.is_quantized or array.dtype not in (*_FLOATS, *_INTEGERS):
        raise UserError(f"{name} has a precision that is not read", found=str(array.dtype), hint="call double() first")
    if array.is_meta:
        raise UserError(f"{name} holds no values", found="a tensor on the device 'meta'")
    if array.is_floating_point():
        return array
    if array.dtype == torch.int64 and array.numel():
        low, high = (int(each) for each in array.aminmax())
        if max(-low, high) > _EXACT:
            rounded = array.double()
            # 2⁶³ - 1 rounds to 2⁶³, which is not an int64: compare as Python integers.
            for value, near in zip(array.flatten().tolist(), rounded.flatten().tolist(), strict=True):
                if value != int(near):
                    raise _too_long(name, value)
    return array.double()


def _too_long(name: str, value: Any) -> UserError:
    return UserError(
        f"{name} holds a whole number that float64 cannot hold", found=f"{value}", hint="subtract a common offset first"
    )


def _checked(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} must hold numbers", found=f"dtype {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise UserError(
            f"{name} has more digits than float64", found=f"dtype {array.dtype}", hint="convert it to float64"
        )
    return array


def _numbers(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """An array of Python objects that are all numbers: as integers if all are, else as float64."""
    for index, value in np.ndenumerate(array):
        if not isinstance(value, int | float | np.integer | np.floating | np.bool_):
            missing = value is None or type(value).__name__ in ("NAType", "NaTType")
            found = f"{'a missing value' if missing else repr(value)} at {list(index)}"
            raise UserError(f"{name} must hold numbers", found=found)
    values = list(array.flat)
    if values and all(isinstance(value, int | np.integer | np.bool_) for value in values):
        small = min(map(int, values)) >= -(2**63) and max(map(int, values)) < 2**64
        if not small:
            raise _too_long(name, max(values, key=lambda value: abs(int(value))))
        kind = np.int64 if max(map(int, values)) < 2**63 else np.uint64
        return np.array([int(value) for value in values], dtype=kind).reshape(array.shape)
    for value in values:
        if isinstance(value, int | np.integer) and (abs(int(value)) >= 2**1023 or int(float(value)) != int(value)):
            raise _too_long(name, value)
    return array.astype(np.float64)


def _only_numbers(array: Any, name: str) -> None:
    """A data frame's column of text, dates or categories, named; also of text among objects, as pandas 2 keeps it."""
    for column in labels_of(array) or ():
        kind = getattr(array[column], "dtype", None)
        code = getattr(kind, "kind", "f")
        if code == "O" and any(isinstance(value, str) for value in array[column]):
            kind = "str"
        if code in "mMc" or str(kind) in ("category", "str", "string", "String", "Categorical", "Date"):
            raise UserError(
                f"{name} must hold numbers", found=f"column {column!r} of kind {kind}", hint="choose columns"
            )


def _kind(array: Any) -> str:
    return type(array).__name__
