"""Some rows of a large record batch of an Arrow file, read where they lie, without the rest of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from wassergan.data.readers.arrow_blocks import ArrowBlock, batch_parts

_BITS = 8


@dataclass(frozen=True)
class _Column:
    """Of a column of numbers: its Arrow type, whether values are missing, and where its two buffers lie in the file."""

    kind: Any
    has_missing: bool
    bitmap: tuple[int, int]
    values: tuple[int, int]


class RowsOfBatch:
    """Columns of numbers of a record batch that is not compressed.

    Args:
        file: the Arrow file; whoever opened it looks whether it is still the same.
        names: of the columns.
        columns: where they lie.
    """

    def __init__(self, file: IO[bytes], names: Sequence[str], columns: Sequence[_Column]) -> None:
        self._file, self._names, self._columns = file, list(names), columns

    @classmethod
    def of(cls, file: IO[bytes], block: ArrowBlock, schema: Any, names: Sequence[str]) -> "RowsOfBatch | None":
        """Those columns of a batch; None where their rows cannot be told apart in the file.

        Raises:
            ValueError: the batch is damaged.
        """
        if block.is_compressed or block.is_swapped:
            return None
        nodes, buffers = batch_parts(file, block)
        found: dict[str, _Column] = {}
        offset = 0
        for number, field in enumerate(schema):
            if field.name in names and not _is_number(field.type):
                return None
            held = _buffers_of(field.type)
            if held is None or number >= len(nodes) or offset + held > len(buffers):
                break
            if field.name in names:
                body = block.offset + block.length
                bitmap, values = ((body + at, size) for at, size in buffers[offset : offset + 2])
                if nodes[number][0] != block.rows or values[1] < block.rows * field.type.bit_width // _BITS:
                    return None
                found[field.name] = _Column(field.type, nodes[number][1] != 0, bitmap, values)
            offset += held
        return cls(file, names, [found[name] for name in names]) if found.keys() >= set(names) else None

    def read(self, first: int, count: int) -> Any:
        """Rows first..first+count-1 as a record batch.

        Raises:
            ValueError: the file ends before them.
        """
        import pyarrow

        arrays = [self._array(column, first, count) for column in self._columns]
        return pyarrow.record_batch(arrays, names=self._names)

    def _array(self, column: _Column, first: int, count: int) -> Any:
        import pyarrow

        before = first % _BITS  # a bit of the bitmap has no address
        start, rows = first - before, count + before
        width = column.kind.bit_width // _BITS
        values = self._bytes(column.values, start * width, rows * width)
        bitmap = self._bytes(column.bitmap, start // _BITS, -(-rows // _BITS)) if column.has_missing else None
        parts = [None if bitmap is None else pyarrow.py_buffer(bitmap), pyarrow.py_buffer(values)]
        return pyarrow.Array.from_buffers(column.kind, rows, parts).slice(before)

    def _bytes(self, buffer: tuple[int, int], start: int, count: int) -> bytes:
        at, size = buffer
        if at < 0 or start + count > size:
            raise ValueError("a buffer is too short")
        self._file.seek(at + start)
        found = self._file.read(count)
        if len(found) < count:
            raise ValueError("the file ends inside a batch")
        return found


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _buffers_of(kind: Any) -> int | None:
    """Buffers that a column of a type has in the file (Arrow Columnar Format 1.3, table of buffer layouts).

    None for types with columns inside, or with a number of buffers of its own in each batch.
    """
    from pyarrow import types

    if types.is_null(kind):
        return 0
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind):
        return 3
    flat = types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind)
    return 2 if flat or types.is_dictionary(kind) else None
