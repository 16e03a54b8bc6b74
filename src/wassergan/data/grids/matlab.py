"""MATLAB's files: version 7.3, which is HDF5, and versions 5 to 7, of whose arrays only those of numbers are read."""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.contents import LONGEST_TEXT, MOST_VARIABLES, Contents, Variable, text_of
from wassergan.data.grids.hdf5 import is_hdf5, read_hdf5
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.errors import UserError, WasserganError

SUFFIX = ".mat"
HEADER = 128  # bytes
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
OTHERS = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix"}
COMPLEX, LOGICAL = 8, 2  # flags
PIECE = 2**16
MOST_AXES = 32
LARGEST_HEAD = 2**12  # bytes of dimensions and name


def read_matlab(path: Path) -> Contents:
    """What a file holds.

    Raises:
        UserError: it is damaged or of version 4, or of 7.3 and no reader is installed.
    """
    if is_hdf5(path):
        return _of_hdf5(path)
    mark = FileMark.of(path)
    variables: dict[str, Variable] = {}
    passed = []
    try:
        with reading_marked(mark) as file:
            order = _order(file.read(HEADER), path)
            for element in _elements(file, order, mark.size):
                head = _head_of(element.opened(file), order, is_packed=element.is_packed)
                if len(variables) > MOST_VARIABLES:
                    raise UserError(f"{path} holds too many arrays", found=f"more than {MOST_VARIABLES}")
                if head.told:
                    passed.append(f"Passed over in {path.name}: {head.name or 'an array'}, {head.told}.")
                    continue
                variables[head.name] = _variable(mark, element, order, head)
    except WasserganError:
        raise
    except (ValueError, KeyError, OverflowError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read as a MATLAB file", found=str(error)[:200]) from error
    return Contents(path, "MATLAB", variables, {}, tuple(passed))


def _of_hdf5(path: Path) -> Contents:
    """Version 7.3: axes come in the order in which MATLAB has them; its own bookkeeping is left out."""
    found = read_hdf5(path, kind="MATLAB")
    kept = {}
    for name, each in found.variables.items():
        kind = text_of(each.attributes, "MATLAB_class")
        if (
            name.startswith("#")
            or kind in ("char", "cell", "struct", "function_handle")
            or "MATLAB_empty" in each.attributes
        ):
            continue
        own = {key: value for key, value in each.attributes.items() if not key.startswith("MATLAB_")}
        dtype = np.dtype(bool) if kind == "logical" and each.dtype.kind in "iu" else each.dtype
        kept[name] = replace(
            each,
            shape=each.shape[::-1],
            dims=(),
            attributes=own,
            dtype=dtype,
            read=partial(_turned, each.read, f"{path.name}:{name}"),
        )
    return replace(found, variables=kept, attributes={})


def _turned(read: Callable[[], NDArray[Any] | FileArray], name: str) -> NDArray[Any]:
    found = read()
    require_room(found.nbytes, name)
    return np.asarray(found).T


def _order(header: bytes, path: Path) -> str:
    if len(header) == HEADER and header[126:128] in (b"IM", b"MI"):
        return "<" if header[126:128] == b"IM" else ">"
    raise UserError(
        f"{path} is no MATLAB file of version 5 to 7.3", found="another header", hint="save it again with -v7 or -v7.3"
    )


class _Element(NamedTuple):
    """An array in the file: `size` bytes from `offset`, packed or not."""

    offset: int
    size: int
    is_packed: bool

    def opened(self, file: IO[bytes]) -> "_Stream":
        """Its bytes behind its own tag."""
        file.seek(self.offset)
        return _Stream(file, self.size, is_packed=self.is_packed)


class _Stream:
    """Bytes of an element, unpacked a piece at a time."""

    def __init__(self, file: IO[bytes], size: int, *, is_packed: bool) -> None:
        self._file, self._left = file, size
        self._unpacker = zlib.decompressobj() if is_packed else None
        self._tail = b""

    def read(self, size: int) -> bytes:
        """So many bytes, of which as many are unpacked as needed."""
        found = io.BytesIO()
        while found.tell() < size:
            piece = self._piece(min(size - found.tell(), PIECE * 16))
            if not piece:
                raise EOFError("an array ends too early")
            found.write(piece)
        return found.getvalue()

    def _piece(self, most: int) -> bytes:
        if self._unpacker is None:
            content = self._file.read(min(most, self._left))
            self._left -= len(content)
            return content
        while True:
            packed = self._unpacker.unconsumed_tail or self._file.read(min(PIECE, self._left))
            if not self._unpacker.unconsumed_tail:
                self._left -= len(packed)
            content = self._unpacker.decompress(packed, most)
            if content or not packed or self._unpacker.eof:
                return content


def _elements(file: IO[bytes], order: str, size: int) -> Iterator[_Element]:
    offset, count = HEADER, 0
    while offset + 8 <= size:
        file.seek(offset)
        kind, length = (int(each) for each in np.frombuffer(file.read(8), f"{order}u4"))
        if kind not in (MATRIX, COMPRESSED) or offset + 8 + length > size:
            raise ValueError(f"an element of kind {kind} and {length} bytes")
        count += 1
        if count > MOST_VARIABLES:
            raise ValueError(f"more than {MOST_VARIABLES} arrays")
        yield _Element(offset + 8, length, kind == COMPRESSED)
        offset += 8 + length


class _Head(NamedTuple):
    """Shape, name and type of an array, and why it is not read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    told: str


def _variable(mark: FileMark, element: _Element, order: str, head: _Head) -> Variable:
    name = f"{mark.path.name}:{head.name}"

    def opened() -> NDArray[Any]:
        require_room(prod(head.shape) * (head.dtype.itemsize + 8), name)
        try:
            with reading_marked(mark) as file:
                stream = element.opened(file)
                _head_of(stream, order, is_packed=element.is_packed)
                return _numbers(stream, order, head)
        except (ValueError, KeyError, OverflowError, EOFError, zlib.error) as error:
            raise UserError(f"{name} is damaged", found=str(error)[:200], hint="give an undamaged copy") from error

    return Variable(head.name, head.shape, head.dtype, (), {}, opened)


def _tag(stream: _Stream, order: str) -> tuple[int, int, bytes]:
    """Kind, number of bytes, and the bytes themselves where they lie in the tag."""
    content = stream.read(8)
    first, second = (int(each) for each in np.frombuffer(content, f"{order}u4"))
    if first >> 16:  # a small element
        size = first >> 16
        if size > 4:
            raise ValueError(f"a small element of {size} bytes")
        return first & 0xFFFF, size, content[4 : 4 + size]
    return first, second, b""


def _content(stream: _Stream, order: str, most: int) -> tuple[int, bytes]:
    kind, size, small = _tag(stream, order)
    if small or size == 0:
        return kind, small
    if size > most:
        raise ValueError(f"{size} bytes where at most {most} belong")
    return kind, stream.read(-(-size // 8) * 8)[:size]


def _head_of(stream: _Stream, order: str, *, is_packed: bool) -> _Head:
    """The start of an array, up to its numbers."""
    if is_packed:
        kind, _, _ = _tag(stream, order)
        if kind != MATRIX:
            raise ValueError(f"an element of kind {kind}")
    _, flags = _content(stream, order, 16)
    word = int(np.frombuffer(flags[:4], f"{order}u4")[0])
    own, bits = word & 0xFF, word >> 8 & 0xFF
    if own not in CLASSES:
        return _Head("", (), np.dtype(object), OTHERS.get(own, f"of class {own}"))
    _, sizes = _content(stream, order, 4 * MOST_AXES)
    shape = tuple(int(each) for each in np.frombuffer(sizes, f"{order}i4"))
    _, name = _content(stream, order, min(LARGEST_HEAD, LONGEST_TEXT))
    told = "complex numbers" if bits & COMPLEX else ""
    if min(shape, default=-1) < 0:
        raise ValueError(f"an array of shape {shape}")
    return _Head(name.decode("utf-8", "replace"), shape, np.dtype(bool if bits & LOGICAL else CLASSES[own]), told)


def _numbers(stream: _Stream, order: str, head: _Head) -> NDArray[Any]:
    """The numbers, in the type of the array, whatever type they are stored as."""
    kind, size, small = _tag(stream, order)
    stored = np.dtype(f"{order}{STORED[kind]}")
    count = prod(head.shape)
    if size != count * stored.itemsize:
        raise ValueError(f"{size} bytes for {count} numbers of {stored.itemsize}")
    values = np.frombuffer(small or stream.read(size), stored)
    return np.ascontiguousarray(values.astype(head.dtype).reshape(head.shape, order="F"))
