"""What the batches of an Arrow file say of themselves, read without unpacking them (Arrow Columnar Format 1.3, IPC)."""

import io
import struct
import sys
from dataclasses import dataclass
from typing import IO

MAGIC = b"ARROW1"
LONGEST_METADATA = 2**26
_BLOCK_BYTES, _BUFFER_BYTES, _NODE_BYTES, _PREFIX_BYTES = 24, 16, 16, 8


@dataclass(frozen=True)
class ArrowBlock:
    """A record batch, or a batch of a dictionary.

    Args:
        rows: that it holds.
        unpacked: bytes of its buffers, once they are in memory.
        is_compressed: whether they are fewer in the file.
        is_dictionary: whether it is part of a dictionary.
        place: where its metadata begin in the file.
        length: of its metadata; behind them lie the buffers.
        is_swapped: whether its numbers stand in another order of bytes than this machine's.
    """

    rows: int
    unpacked: int
    is_compressed: bool
    is_dictionary: bool
    offset: int
    length: int
    is_swapped: bool


def arrow_blocks(file: IO[bytes]) -> list[ArrowBlock]:
    """All batches that the footer names, dictionaries first.

    Raises:
        ValueError: it is no Arrow file, or damaged.
    """
    file.seek(-len(MAGIC) - 4, io.SEEK_END)
    end = file.read()
    if not end.endswith(MAGIC):
        raise ValueError("Not an Arrow file")
    (length,) = struct.unpack_from("<i", end)
    if not 0 < length <= LONGEST_METADATA:
        raise ValueError(f"a footer of {length} bytes")
    file.seek(-len(end) - length, io.SEEK_END)
    try:
        footer = _Table.root(file.read(length))
        places = [
            (at, number == 2)
            for number in (2, 3)  # dictionaries, record batches
            for at in footer.vector(number, _BLOCK_BYTES)
        ]
        order = footer.table(1).field(0)  # of the schema
        is_big = order is not None and struct.unpack_from("<h", footer.data, order)[0] == 1
        found = []
        for at, is_dictionary in places:
            offset, length = struct.unpack_from("<qi", footer.data, at)
            found.append(_block(file, offset, length, is_dictionary, is_big != (sys.byteorder == "big")))
        return found
    except struct.error as error:
        raise ValueError(f"damaged: {error}") from error


def batch_parts(file: IO[bytes], block: ArrowBlock) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Of a record batch: rows and missing values of each column; place behind the metadata and size of each buffer.

    Raises:
        ValueError: damaged.
    """
    try:
        batch = _batch(file, block.offset, block.length)
        nodes = [struct.unpack_from("<qq", batch.data, at) for at in batch.vector(1, _NODE_BYTES)]
        return nodes, _buffers(batch)
    except struct.error as error:
        raise ValueError(f"damaged: {error}") from error


def _batch(file: IO[bytes], offset: int, length: int) -> "_Table":
    file.seek(offset)
    raw = file.read(length)
    return _Table.root(raw[8 if raw[:4] == b"\xff\xff\xff\xff" else 4 :]).table(2)


def _buffers(batch: "_Table") -> list[tuple[int, int]]:
    return [struct.unpack_from("<qq", batch.data, at) for at in batch.vector(2, _BUFFER_BYTES)]


def _block(file: IO[bytes], offset: int, length: int, is_dictionary: bool, is_swapped: bool) -> ArrowBlock:
    if offset < 0 or not 8 < length <= LONGEST_METADATA:
        raise ValueError(f"a batch with metadata of {length} bytes")
    batch = _batch(file, offset, length)
    if is_dictionary:
        batch = batch.table(1)
    buffers = _buffers(batch)
    is_compressed = batch.field(3) is not None
    sizes = [_unpacked(file, offset + length + at, size) if is_compressed else size for at, size in buffers]
    rows = batch.field(0)
    count = 0 if rows is None else struct.unpack_from("<q", batch.data, rows)[0]
    if count < 0 or any(size < 0 for size in sizes):
        raise ValueError("sizes below zero")
    return ArrowBlock(count, sum(sizes), is_compressed, is_dictionary, offset, length, is_swapped)


def _unpacked(file: IO[bytes], at: int, size: int) -> int:
    """Before a compressed buffer stands its size; -1 where it was left as it is."""
    if size < _PREFIX_BYTES:
        return 0
    file.seek(at)
    (found,) = struct.unpack("<q", file.read(_PREFIX_BYTES))
    return size - _PREFIX_BYTES if found == -1 else int(found)


@dataclass(frozen=True)
class _Table:
    """A table of FlatBuffers: the way to each field stands in a second one, at a distance before it."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, *struct.unpack_from("<I", data))

    def field(self, number: int) -> int | None:
        """Where a field lies; None where it is left out."""
        (back,) = struct.unpack_from("<i", self.data, self.at)
        (size,) = struct.unpack_from("<H", self.data, self.at - back)
        slot = 4 + 2 * number
        if slot + 2 > size:
            return None
        (there,) = struct.unpack_from("<H", self.data, self.at - back + slot)
        return self.at + there if there else None

    def table(self, number: int) -> "_Table":
        offset = self._place(number)
        if offset is None:
            raise ValueError("a batch without its header")
        return _Table(self.data, offset)

    def vector(self, number: int, width: int) -> range:
        """Where its entries begin."""
        offset = self._place(number)
        if offset is None:
            return range(0)
        (count,) = struct.unpack_from("<I", self.data, offset)
        if count * width > len(self.data):
            raise ValueError("more entries than there is room for")
        return range(offset + 4, offset + 4 + count * width, width)

    def _place(self, number: int) -> int | None:
        offset = self.field(number)
        return None if offset is None else offset + int(struct.unpack_from("<I", self.data, offset)[0])
