"""Rows of arrays and pictures there and back, before anything is trained."""

import io
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import Codec, channels_first
from wassergan.data.roundtrip import Change, RoundTrip
from wassergan.data.source import Source
from wassergan.data.split import spread_positions
from wassergan.errors import UserError

ROWS = 2000
FEW_ROWS = 16  # where each is read by itself, or decoded
NUMBERS = 2**21  # of all rows that are tried
PRECISION = 2.0**-22  # of model space, relative to the larger of a value's distance from the mean and the deviation


def round_trip(source: Source) -> RoundTrip:
    """Code, decode, write and read real rows of an array or of pictures.

    Whole numbers, constants, missing values, type, shape and byte order come back as they were; other floats within the
    precision of float32 of their channel's spread.

    Args:
        source: over numbers; training rows from all over it are tried, and those with its extremes.

    Raises:
        UserError: something comes back as what it was not.
    """
    codec = cast(Codec, source.codec)  # of arrays and pictures, as the caller says
    rows = _rows(source)
    values = source.values(rows)
    before = _in_type(values, codec)
    after = _written_and_read(codec.decode_numpy(codec.encode(values.clone())))
    if (after.shape, after.dtype) != (before.shape, np.dtype(codec.dtype)):
        raise UserError(
            f"Samples of {source.name} would come back in another form",
            found=f"{after.dtype} {after.shape[1:]} for {codec.dtype} {before.shape[1:]}",
            hint="give them as float32, and report this as a fault",
        )
    return RoundTrip(*_compared(source, codec, rows, before, after))


def _rows(source: Source) -> torch.Tensor:
    """Training rows from all over the data, as many as are tried."""
    most = ROWS if source.fits_in_memory and not source.has_levels else FEW_ROWS
    count = max(FEW_ROWS, min(most, NUMBERS // max(1, source.shape_size)))
    return source.split.train_rows(spread_positions(count, source.train_count))


def _in_type(values: torch.Tensor, codec: Codec) -> NDArray[Any]:
    """Rows in the user's type: readers give some types wider."""
    rows = values.numpy()
    return rows if np.dtype(codec.dtype).itemsize > 8 else rows.astype(codec.dtype, copy=False)


def _written_and_read(rows: NDArray[Any]) -> NDArray[Any]:
    file = io.BytesIO()
    np.lib.format.write_array(file, rows, allow_pickle=False)
    file.seek(0)
    read: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return read


def _compared(
    source: Source, codec: Codec, rows: torch.Tensor, before: NDArray[Any], after: NDArray[Any]
) -> tuple[int, str, tuple[Change, ...]]:
    old, new = (channels_first(each, codec.layout) for each in (before, after))
    gone, missed = (channels_first(codec.missing(each), codec.layout) for each in (before, after))
    if codec.parts is not None:
        for code in codec.parts.codes:
            gone = gone | _is_code(old, code)
    _refuse(source, rows, gone != missed, old, new, "misses values where it had some")
    off = ~gone & (old != new)
    if codec.parts is not None:
        fixed = off & codec.parts.fixed.numpy()
        _refuse(source, rows, fixed, old, new, "changes a constant")
    names, noun = codec.named(old.shape[1]), "feature" if codec.layout in ("N", "ND") else "channel"
    changes = []
    step = _steps(codec, old)
    with np.errstate(invalid="ignore"):  # numbers that their own type does not hold
        distance = np.where(off, np.abs(old.astype(np.longdouble) - new.astype(np.longdouble)), 0)
    _refuse(source, rows, distance > step, old, new, "comes back as another value")
    worst = distance.reshape(*distance.shape[:2], -1).max((0, 2)).astype(float)
    for index, name in enumerate(names):
        if worst[index] > 0 and before.dtype.kind in "iub":
            changes.append(Change(name, f"whole numbers come back within {worst[index]:.3g}"))
    return len(names), noun, tuple(changes)


def _is_code(values: NDArray[Any], code: float) -> NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.asarray(values == code)
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(values.astype(np.float64) - code) <= 1e-6 * abs(code))


def _steps(codec: Codec, values: NDArray[Any]) -> NDArray[np.float64]:
    """How far a value may come back from what it was: model space is float32."""
    scale, offset = (each.numpy() for each in (codec.scale, codec.offset))
    with np.errstate(all="ignore"):
        centred = values.astype(np.longdouble) - codec.base - offset
        step = PRECISION * np.maximum(np.abs(centred), scale).astype(np.float64)
        if values.dtype.kind == "f":
            return np.asarray(step + 2 * np.spacing(np.abs(values).astype(values.dtype)).astype(np.float64))
        return np.where(np.abs(centred) < 2**22, 0.0, step + 1)


def _refuse(
    source: Source, rows: torch.Tensor, bad: NDArray[np.bool_], old: NDArray[Any], new: NDArray[Any], what: str
) -> None:
    if bad.any():
        index = tuple(int(each) for each in np.argwhere(bad)[0])
        raise UserError(
            f"{source.name} {what} on the way to model space and back",
            found=f"{old[index]} as {new[index]} in row {int(rows[index[0]])}, at {index[1:]} channels first",
            hint="give the values as float64 or rescale them",
        )
