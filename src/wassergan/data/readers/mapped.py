"""Arrays whose memory is a mapped file: they are read through the file, or copied.

Who reads the memory of a mapped file that was cut is ended (SIGBUS); the kernel, asked to read it, reports an error.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.marks import MEANWHILE, DataChangedError
from wassergan.storage.files import kind_of, read_bytes, reading
from wassergan.storage.memory import largest_bytes

MAPS, MEMORY = Path("/proc/self/maps"), Path("/proc/self/mem")
_SPAN_BYTES = 2**24  # that is copied at once


@dataclass(frozen=True)
class _Mapping:
    """A part of a file that is mapped.

    Args:
        path: of the file.
        inode: of it.
        first: the address of its first byte.
        end: the address behind its last.
        offset: of the first byte in the file.
        is_shared: whether memory and file are the same.
    """

    path: Path
    inode: int
    first: int
    end: int
    offset: int
    is_shared: bool


def unmapped(array: NDArray[Any]) -> NDArray[Any] | FileArray:
    """The same values, which a change of a file under them cannot end the process.

    Arrays in memory come back as they are; those in one piece of a file are read from there row by row; others are
    copied, unless they are larger than half of the memory. Where the system does not tell what is mapped, only arrays
    that NumPy mapped whole are found.

    Raises:
        DataChangedError: the file is already shorter than the array.
    """
    return _unmapped(array, _mappings())


def columns_in_memory(columns: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The same columns, read at once where they lie in files; what the system maps is asked once for all."""
    every = _mappings()
    return [_held(_unmapped(column, every)) for column in columns]


def in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """The same, read at once where it lies in a file."""
    return _held(unmapped(array))


def _held(found: NDArray[Any] | FileArray) -> NDArray[Any]:
    return np.asarray(found) if isinstance(found, FileArray) else found


def _unmapped(array: NDArray[Any], every: list[_Mapping] | None) -> NDArray[Any] | FileArray:
    values = array.data if isinstance(array, np.ma.MaskedArray) else array
    if not values.nbytes or values.dtype.hasobject:
        return array
    first, end = _bounds(values)
    if every is None:
        return FileArray.under(array) or array
    mappings = [each for each in every if each.first < end and first < each.end]
    if not mappings:
        return array
    if not isinstance(array, np.ma.MaskedArray) and (found := _in_file(values, mappings, first, end)) is not None:
        return found
    if values.nbytes > largest_bytes():
        return array
    copy = np.empty(values.shape, values.dtype)
    with reading(MEMORY) as memory:
        _copy(memory.fileno(), values, copy, str(mappings[0].path))
    if isinstance(array, np.ma.MaskedArray):
        return np.ma.masked_array(copy, array.mask, fill_value=array.fill_value)
    return copy


def _mappings() -> list[_Mapping] | None:
    """What this process maps of files, those included that were removed or replaced; None where nothing tells."""
    try:
        lines = os.fsdecode(read_bytes(MAPS)).split("\n")
    except OSError:
        return None
    found = []
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or fields[4] == "0" or fields[5].startswith("/dev/zero"):
            continue
        first, end = (int(each, 16) for each in fields[0].split("-"))
        path = Path(fields[5].replace("\\012", "\n"))
        found.append(_Mapping(path, int(fields[4]), first, end, int(fields[2], 16), fields[1].endswith("s")))
    return found


def _in_file(values: NDArray[Any], mappings: list[_Mapping], first: int, end: int) -> FileArray | None:
    """The array in its file, if it lies there in one piece, and the name still leads there."""
    (mapping, *others), is_fortran = mappings, not values.flags.c_contiguous
    if others or not mapping.is_shared or not (mapping.first <= first and end <= mapping.end):
        return None
    if is_fortran and not values.flags.f_contiguous:
        return None
    if kind_of(mapping.path) != "a file" or mapping.path.stat().st_ino != mapping.inode:
        return None
    if isinstance(values, np.memmap) and values.mode != "r":
        values.flush()
    offset = mapping.offset + first - mapping.first
    if mapping.path.stat().st_size < offset + values.nbytes:
        raise _shorter(str(mapping.path))
    return FileArray(mapping.path, values.shape, values.dtype, offset=offset, is_fortran=is_fortran)


def _copy(memory: int, values: NDArray[Any], copy: NDArray[Any], name: str) -> None:
    """Copy values by reading their memory as a file, in spans that hold little else."""
    if not values.size:
        return
    first, end = _bounds(values)
    widest = max(range(values.ndim), key=lambda axis: abs(values.strides[axis]), default=None)
    if end - first > _SPAN_BYTES and widest is not None and values.shape[widest] > 1:
        outer, into = np.moveaxis(values, widest, 0), np.moveaxis(copy, widest, 0)
        step = max(1, math.ceil(len(outer) * _SPAN_BYTES / (end - first)))
        step = min(step, -(-len(outer) // 2))
        for begin in range(0, len(outer), step):
            _copy(memory, outer[begin : begin + step], into[begin : begin + step], name)
        return
    span = np.empty(end - first, np.uint8)
    left, address = memoryview(span.data), first
    while len(left):
        try:
            got = os.preadv(memory, [left], address)
        except OSError as error:
            raise _shorter(name) from error
        if not got:
            raise _shorter(name)
        left, address = left[got:], address + got
    begin = values.__array_interface__["data"][0] - first
    copy[...] = np.ndarray(values.shape, values.dtype, span.data, begin, values.strides)


def _bounds(values: NDArray[Any]) -> tuple[int, int]:
    """The address of the first byte, and that behind the last."""
    first = int(values.__array_interface__["data"][0])
    reach = [(length - 1) * stride for length, stride in zip(values.shape, values.strides, strict=True)]
    last = first + sum(each for each in reach if each > 0)
    return first + sum(each for each in reach if each < 0), last + values.itemsize


def _shorter(name: str) -> DataChangedError:
    return DataChangedError(f"{name} changed while it was in use", found="it became shorter", hint=MEANWHILE)
