"""Parquet, Arrow and Feather files, each opened as a table of columns whose rows come in groups."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from wassergan.data.readers.arrow_blocks import arrow_blocks
from wassergan.data.readers.arrow_rows import RowsOfBatch
from wassergan.data.readers.blocks import buffer_bytes
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.data.readers.parquet_pages import Chunk, chunks_of, survey_pages
from wassergan.errors import UserError

STREAM_ROWS = 65536  # rows that are decoded at a time
DECODED_BYTES = 8 * 2**20  # of texts that share their beginnings, and of values of one width, at a time
BYTES_IN_MEMORY = 8  # of a value of a table, at least
MOST_COLUMNS = 2**14
MOST_PACKED = 16  # times its size that a Parquet file may unpack to without a look at how much that is


class Table(Protocol):
    """A file of columns whose rows come in groups."""

    path: Path
    mark: FileMark
    is_read_again: bool
    schema: Any
    group_rows: list[int]

    def batches(
        self, group: int, columns: Sequence[str], step: int, *, start: int = 0, encoded: bool = False
    ) -> Iterator[Any]:
        """The record batches of a group from a row on, in order, with at most about `step` rows each.

        Texts may come as dictionaries of different ones, if `encoded`.
        """


class ParquetTable:
    """A Parquet file; its groups are row groups."""

    is_read_again = True

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path, self.mark = path, FileMark.of(path)
        with reading_marked(self.mark) as file:
            self._metadata = parquet.read_metadata(file)
            chunks = chunks_of(file, self._metadata, path)
            _require_modest(path, self._metadata, chunks, os.fstat(file.fileno()).st_size)
            self._pages = survey_pages(file, chunks, path)
        self.schema = self._metadata.schema.to_arrow_schema()
        self.group_rows = [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]

    def batches(
        self, group: int, columns: Sequence[str], step: int, *, start: int = 0, encoded: bool = False
    ) -> Iterator[Any]:
        """The record batches of a row group; pages are read as they are needed."""
        from pyarrow import parquet

        with (
            reading_marked(self.mark) as opened,
            parquet.ParquetFile(
                opened,
                metadata=self._metadata,
                buffer_size=2**20,
                pre_buffer=False,
                read_dictionary=self._in_dictionary(group),
            ) as file,
        ):
            step = min(step, self._longest_step(group, columns))
            for batch in file.iter_batches(step, row_groups=[group], columns=list(columns), use_threads=True):
                if start < len(batch):
                    part = batch.slice(start)
                    yield part if encoded else self._unpacked(part)
                start = max(0, start - len(batch))

    def _in_dictionary(self, group: int) -> list[str]:
        """Columns of texts that need not be written out while they are read."""
        names = [
            self._metadata.schema.column(at).path for at, pages in enumerate(self._pages[group]) if pages.in_dictionary
        ]
        return [each.name for each in self.schema if _is_text(each.type) and each.name in names]

    def _longest_step(self, group: int, columns: Sequence[str]) -> int:
        """Rows that may be decoded at a time, however long their texts become."""
        width, longest, short = 1, 0, self._in_dictionary(group)
        for at, pages in enumerate(self._pages[group]):
            column = self._metadata.schema.column(at)
            name = column.path.partition(".")[0]
            if name in columns:
                width += max(column.length or 0, BYTES_IN_MEMORY)
                longest += 0 if name in short else pages.longest
        return max(1, min(DECODED_BYTES // width, DECODED_BYTES // longest if longest else STREAM_ROWS))

    def _unpacked(self, batch: Any) -> Any:
        """A batch whose texts are written out; one that stands there once may be meant a million times."""
        import pyarrow
        from pyarrow import compute

        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            kind = self.schema.field(name).type
            if column.type != kind:
                lengths = compute.binary_length(column.dictionary).take(column.indices)
                require_room(compute.sum(lengths).as_py() or 0, self.path)
                column = column.dictionary_decode().cast(kind)
            columns.append(column)
        fields = [self.schema.field(name) for name in batch.schema.names]
        return pyarrow.record_batch(columns, pyarrow.schema(fields, batch.schema.metadata))


def held_by(batch: Any) -> int:
    """Bytes of a batch; of views of text, which pyarrow 22 and earlier cannot count, all that it refers to."""
    import pyarrow

    try:
        return int(batch.nbytes)
    except pyarrow.ArrowTypeError:
        return int(batch.get_total_buffer_size())


def _require_modest(path: Path, metadata: Any, chunks: list[list[Chunk]], size: int) -> None:
    """Refuse what takes little room in a file, and far too much outside of it."""
    if metadata.num_columns > MOST_COLUMNS:
        raise UserError(f"{path} has too many columns", found=f"{metadata.num_columns}", hint=f"give {MOST_COLUMNS}")
    nested = [at for at in range(metadata.num_columns) if metadata.schema.column(at).max_repetition_level]
    for number, columns in enumerate(chunks):
        group = metadata.row_group(number)
        if group.total_byte_size > MOST_PACKED * size:
            require_room(group.total_byte_size, path)
        require_room(sum(columns[at].values for at in nested) * BYTES_IN_MEMORY, path)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    small, large = types.is_string(kind) or types.is_binary(kind), types.is_large_string(kind)
    return bool(small or large or types.is_large_binary(kind) or types.is_string_view(kind))


class ArrowTable:
    """An Arrow file, which Feather files are too; its groups are record batches."""

    is_read_again = True

    def __init__(self, path: Path) -> None:
        import pyarrow

        self.path, self.mark = path, FileMark.of(path)
        with reading_marked(self.mark) as file:
            self.schema = pyarrow.ipc.open_file(file).schema
            blocks = arrow_blocks(file)
        for each in blocks:
            if each.is_compressed:
                require_room(each.unpacked, path)
        require_room(sum(each.unpacked for each in blocks if each.is_dictionary), path)
        self._batches = [each for each in blocks if not each.is_dictionary]
        self.group_rows = [each.rows for each in self._batches]

    def batches(
        self, group: int, columns: Sequence[str], step: int, *, start: int = 0, encoded: bool = False
    ) -> Iterator[Any]:
        """The record batch of a group, in one piece; of a large one of numbers only the rows that are asked for."""
        import pyarrow

        block = self._batches[group]
        with reading_marked(self.mark) as file:
            # Of a batch that is cut into pieces, each would read all. It is never mapped: a mapped file that shrinks
            # kills the process.
            large = block.unpacked > buffer_bytes() // 2
            rows = RowsOfBatch.of(file, block, self.schema, columns) if large else None
            if rows is not None:
                for first in range(start, block.rows, step):
                    yield rows.read(first, min(step, block.rows - first))
                return
            chosen = [number for number, each in enumerate(self.schema) if each.name in columns]
            options = pyarrow.ipc.IpcReadOptions(included_fields=chosen)
            batch = pyarrow.ipc.open_file(file, options=options).get_batch(group)
            batch.validate(full=True)  # offsets that point outside would end the process
            yield batch.select(list(columns)).slice(start)


class FirstFeatherTable:
    """A Feather file of version 1, which is no Arrow file; one group, in memory.

    Recent pyarrow warns that it will stop to read them; then the error of `readable` says so.
    """

    MAGIC = b"FEA1"
    is_read_again = False

    def __init__(self, path: Path) -> None:
        from pyarrow import feather

        self.path, self.mark = path, FileMark.of(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with reading_marked(self.mark) as file:
                self._table = feather.read_table(file, memory_map=False)
        self.schema = self._table.schema
        self.group_rows = [self._table.num_rows]

    def batches(
        self, group: int, columns: Sequence[str], step: int, *, start: int = 0, encoded: bool = False
    ) -> Iterator[Any]:
        """The rows, in one or more pieces."""
        yield from self._table.select(list(columns)).slice(start).to_batches(max_chunksize=step)


def _is_first_feather(path: Path) -> bool:
    with reading_marked(FileMark.of(path)) as file:
        return file.read(len(FirstFeatherTable.MAGIC)) == FirstFeatherTable.MAGIC


def opened(path: Path) -> Table:
    """The table in a file, by its name and its first bytes.

    Raises:
        UserError: it cannot be read, or pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs pyarrow, which is not installed", hint="install it: pip install 'wassergan[tables]'"
        ) from error
    with readable(path):
        if path.suffix.lower() == ".parquet":
            return ParquetTable(path)
        return FirstFeatherTable(path) if _is_first_feather(path) else ArrowTable(path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What pyarrow raises about a file, as an error that names the file."""
    from pyarrow import ArrowException

    try:
        yield
    except UserError:
        raise
    except (ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        kind = "a Parquet file" if path.suffix.lower() == ".parquet" else "an Arrow or Feather file (version 2)"
        reason = str(error).splitlines()
        raise UserError(
            f"{path} cannot be read as {kind}", found=reason[0] if reason else "", hint="write it again"
        ) from error
