"""The file of a checkpoint, read as untrusted input: only numbers, text, plain containers and dense tensors.

`torch.load` accepts more: sparse, quantised, nested and meta tensors, strides of 0, sizes beyond what the file holds,
and buffers of any length. Here a tensor is made only if the file holds every one of its numbers, and holds them once.
"""

import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import torch
from torch import Tensor

from wassergan.storage.files import reading

MOST_CONTAINERS = 500_000
DEEPEST = 64
_AT_ONCE = 2**20  # bytes
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# What `torch.save` writes of such content by protocol 2.
_OPCODES = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.SETITEM, pickle.SETITEMS, pickle.APPEND, pickle.APPENDS, pickle.BINPUT),
    *(pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.REDUCE, pickle.BUILD),
    pickle.BINPERSID,
)
_CONTAINERS = (pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)


class DamagedError(ValueError):
    """The file does not have the content of a checkpoint; says why."""


def read_archive(path: Path) -> Any:
    """What `torch.save` wrote, as plain types and tensors on the CPU; allocates little more than the file's size.

    Raises:
        pickle.UnpicklingError: it holds other objects.
        DamagedError: compressed or overlapping members, a wrong checksum, or a tensor that the file does not hold.
        Exception: whatever the parsers raise on damaged bytes.
    """
    with reading(path) as file, zipfile.ZipFile(file) as archive:
        _require_stored(archive, os.fstat(file.fileno()).st_size)
        damaged = archive.testzip()
        if damaged is not None:
            raise DamagedError(f"checksum of {damaged}")
        (name,) = (each for each in archive.namelist() if each.endswith("/data.pkl"))
        pickled = archive.read(name)
        content = _Reader(io.BytesIO(pickled), archive, name.removesuffix("data.pkl")).load()
    _require_tree(content, most=len(pickled))
    return content


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a tensor holds each number once and without gaps, in any order of its axes.

    >>> is_dense((2, 3), (3, 1)), is_dense((2, 3), (1, 2)), is_dense((2, 3), (0, 1)), is_dense((2, 3), (4, 1))
    (True, True, False, False)
    """
    if 0 in shape:
        return True
    expected = 1
    for stride, side in sorted((stride, side) for side, stride in zip(shape, strides, strict=True) if side != 1):
        if stride != expected:
            return False
        expected *= side
    return True


def _require_stored(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    if any(each.compress_type != zipfile.ZIP_STORED for each in members):
        raise DamagedError("it is compressed, as none is")  # a bomb
    if sum(each.file_size for each in members) > size:
        raise DamagedError("its members lie over each other")  # another


def _bytes_of(archive: zipfile.ZipFile, name: str) -> bytearray:
    """The content of a member, held once: `ZipFile.read` and a copy of it would be two."""
    raw = bytearray(archive.getinfo(name).file_size)
    held, into = 0, memoryview(raw)
    with cast(io.BufferedIOBase, archive.open(name)) as member:
        while got := member.readinto(into[held : held + _AT_ONCE]):
            held += got
    if held < len(raw):
        raise DamagedError(f"{name} ends early")
    return raw


@dataclass
class _Storage:
    """Numbers in the file, and how many of them are already part of a tensor."""

    values: Tensor
    taken: int = 0


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """An empty list takes a byte of the file and sixty of memory."""

    def load_counted(reader: "_Reader") -> None:
        reader.containers += 1
        if reader.containers > MOST_CONTAINERS:
            raise DamagedError(f"more than {MOST_CONTAINERS} lists")
        load(reader)

    return load_counted


class _Reader(pickle._Unpickler):  # in Python: the C version allocates whatever size a file states
    """An unpickler that accepts only the types in a checkpoint."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}
    stack: list[Any]

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(file)
        self._archive, self._prefix = archive, prefix
        self._storages: dict[str, _Storage] = {}
        self.containers = 0

    def find_class(self, module: str, name: str) -> Any:
        """The three permitted kinds of names; any other is refused unread."""
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        match module, name:
            case "torch._utils", "_rebuild_tensor_v2":
                return self._tensor
            case "collections", "OrderedDict":
                return OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage, whose length must be as stated."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(dtype, torch.dtype):
            raise DamagedError("a storage of another kind")
        if key not in self._storages:
            raw = _bytes_of(self._archive, f"{self._prefix}data/{key}")
            if len(raw) != count * dtype.itemsize:
                raise DamagedError(f"storage {key} holds {len(raw)} bytes")
            self._storages[key] = _Storage(torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype))
        return self._storages[key]

    def _tensor(
        self, storage: _Storage, offset: int, size: Sequence[int], strides: Sequence[int], *rest: object
    ) -> Tensor:
        """A view of a storage; all its tensors together hold at most its numbers."""
        if any(not isinstance(each, int) or each < 0 for each in (offset, *size, *strides)):
            raise DamagedError(f"a tensor of shape {tuple(size)}")
        count = _product(size)
        storage.taken += count
        if not is_dense(size, strides) or max(offset + count, storage.taken) > len(storage.values):
            raise DamagedError(f"a tensor of shape {tuple(size)} and strides {tuple(strides)}")
        return storage.values[offset : offset + count].as_strided(tuple(size), tuple(strides))

    def build(self) -> None:
        """Attributes of an OrderedDict, such as module versions, are dropped."""
        self.stack.pop()
        if not isinstance(self.stack[-1], OrderedDict):
            raise pickle.UnpicklingError("a state")

    def reduce(self) -> None:
        """A call of one of the two permitted functions."""
        arguments = self.stack.pop()
        called = self.stack[-1]
        if called is not OrderedDict and called != self._tensor:
            raise pickle.UnpicklingError(f"a call of {called!r}"[:80])
        self.stack[-1] = called(*arguments)


_Reader.dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OPCODES}
_Reader.dispatch |= {code[0]: _counted(_Reader.dispatch[code[0]]) for code in _CONTAINERS}
_Reader.dispatch |= {pickle.BUILD[0]: _Reader.build, pickle.REDUCE[0]: _Reader.reduce}


def _product(sides: Iterable[int]) -> int:
    product = 1
    for side in sides:
        product *= side
        if product > sys.maxsize:
            raise DamagedError("a tensor of more numbers than there are addresses")
    return product


def _require_tree(content: Any, *, most: int) -> None:
    """Refuse content with excessive references to the same containers: in a pickle, each takes at least a byte."""
    waiting: list[Iterator[Any]] = [iter((content,))]
    met = 0
    while waiting:
        for each in waiting[-1]:
            met += 1
            if met > most or len(waiting) > DEEPEST:
                raise DamagedError("it is folded in itself")
            if isinstance(each, dict):
                waiting.append(iter((*each.keys(), *each.values())))
            elif isinstance(each, list | tuple):
                waiting.append(iter(each))
            else:
                continue
            break
        else:
            waiting.pop()
