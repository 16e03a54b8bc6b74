"""Numbers as the CF conventions pack them: scale and offset, fill values, and what marks time and other axes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.contents import Attribute, Variable, number_of, text_of
from wassergan.data.readers.filearray import FileArray
from wassergan.errors import UserError

PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
BOUNDS = ("valid_min", "valid_max", "valid_range", "actual_range")
REFERRING = ("coordinates", "bounds", "climatology", "grid_mapping", "ancillary_variables", "cell_measures")
TIMES = ("time", "valid_time", "t", "date", "step", "xtime")
SAMPLES = ("sample", "samples", "n", "record", "records", "obs", "case", "index", "batch")
MEMBERS = ("realization", "ensemble", "member", "number", "ens")
EXACT_STEPS = 2**22  # scales of a packed number that float32 tells apart with room to spare


@dataclass(frozen=True)
class Packing:
    """How the numbers of a variable are stored.

    Args:
        dtype: of the numbers once they are unpacked.
        scale: that stored numbers are multiplied by.
        offset: that is added then.
        codes: stored numbers that stand for missing values, besides NaN.
        is_packed: whether stored numbers become others; else codes stay what they are.
        unsigned: the type as which stored numbers are read; None for their own.
        shape: of one row once axes of length 1 are left out.
    """

    dtype: np.dtype[Any]
    scale: float
    offset: float
    codes: tuple[int | float, ...]
    is_packed: bool
    unsigned: np.dtype[Any] | None
    shape: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Whether rows are used as they lie in the file."""
        return not self.is_packed and self.unsigned is None and self.dtype.kind != "b"

    def rows(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Rows as stored, (n, ...), as numbers (n, *shape)."""
        if self.unsigned is not None:
            stored = stored.view(self.unsigned.newbyteorder(stored.dtype.byteorder))
        if self.dtype.kind == "b":
            stored = stored != 0
        if self.is_packed:
            gone = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
            for code in self.codes:
                gone |= stored == code
            values = (stored.astype(np.float64) * self.scale + self.offset).astype(self.dtype)
            values[gone] = np.nan
            stored = values
        return stored.reshape(len(stored), *self.shape)


def packing_of(variable: Variable, shape: tuple[int, ...]) -> Packing:
    """How a variable is packed.

    Args:
        variable: with its attributes.
        shape: of a row once axes of length 1 are left out.

    Raises:
        UserError: a scale or an offset that is no finite number.
    """
    attributes, stored = variable.attributes, variable.dtype
    scale, offset = number_of(attributes, "scale_factor"), number_of(attributes, "add_offset")
    said = attributes.keys() & {"scale_factor", "add_offset"}
    if any(not isfinite(number_of(attributes, each) or 0.0) for each in said) or scale == 0:
        raise UserError(
            f"{variable.name} is packed in a way that no numbers are",
            found=f"scale_factor {scale}, add_offset {offset}",
            hint="mend these attributes",
        )
    unsigned = None
    if text_of(attributes, "_Unsigned").lower() == "true" and stored.kind == "i":
        unsigned = np.dtype(f"u{stored.itemsize}")
    codes = _codes(attributes, unsigned or stored)
    if stored.kind == "f" and not said:
        return Packing(stored, 1.0, 0.0, codes, bool(codes), None, shape)
    if not said:
        return Packing(unsigned or stored, 1.0, 0.0, codes, False, unsigned, shape)
    scale, offset = 1.0 if scale is None else scale, 0.0 if offset is None else offset
    return Packing(_unpacked_dtype(stored, scale, offset), scale, offset, codes, True, unsigned, shape)


def _unpacked_dtype(stored: np.dtype[Any], scale: float, offset: float) -> np.dtype[Any]:
    """float32 where it tells all packed numbers apart, else float64."""
    if stored.kind == "f":
        return stored
    is_fine = stored.itemsize <= 2 and abs(offset) + abs(scale) * 2**16 < EXACT_STEPS * abs(scale)
    return np.dtype(np.float32 if is_fine else np.float64)


def _codes(attributes: Mapping[str, Attribute], stored: np.dtype[Any]) -> tuple[int | float, ...]:
    found: list[int | float] = []
    for name in ("_FillValue", "missing_value"):
        value = attributes.get(name)
        if not isinstance(value, np.ndarray):
            continue
        for each in value.reshape(-1)[:16].tolist():
            if each != each:
                continue
            if stored.kind in "iu":
                whole = int(each) % 2 ** (8 * stored.itemsize) if stored.kind == "u" and each < 0 else each
                if whole == int(whole) and np.iinfo(stored).min <= whole <= np.iinfo(stored).max:
                    found.append(int(whole))
            else:
                found.append(float(np.asarray(each).astype(stored)) if stored.kind == "f" else each)
    return tuple(dict.fromkeys(found))


class UnpackedRows(FileArray):
    """Rows of another array, unpacked when they are read."""

    def __init__(self, stored: FileArray, packing: Packing) -> None:
        self.path, self._stored, self._packing = stored.path, stored, packing
        self.shape, self.dtype = (len(stored), *packing.shape), packing.dtype
        self.ndim, self.size = len(self.shape), stored.size
        self.nbytes = self.size * self.dtype.itemsize

    @property
    def marks(self) -> Any:
        """Of the files that rows are read from."""
        return self._stored.marks

    @property
    def together(self) -> int:
        """Rows that are unpacked together."""
        return self._stored.together

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a slice, or at row numbers (k,), as a new array."""
        return self._packing.rows(self._stored[key])

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Rows from `first` up to `end` as a new array."""
        return self._packing.rows(self._stored.rows(first, end))

    def fill(self, first: int, rows: NDArray[Any]) -> None:
        """Read as many rows from `first` on as an array of them holds into it."""
        rows[...] = self.rows(first, first + len(rows))


def is_time(name: str, variable: Variable | None) -> bool:
    """Whether an axis is one of time, by the CF conventions or by its name."""
    if variable is not None:
        told = variable.attributes
        if text_of(told, "axis").upper() == "T" or text_of(told, "standard_name") == "time":
            return True
        if " since " in text_of(told, "units"):
            return True
    return name.lower() in TIMES
