"""Columns of Parquet and Arrow files, read one at a time: a table that is larger than memory."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.columnar_tables import STREAM_ROWS, Table, held_by, readable
from wassergan.data.readers.limits import require_room
from wassergan.data.tables.arrowcolumns import column_of, is_text
from wassergan.data.tables.arrowfile import column_at
from wassergan.data.tables.columns import AnyColumn, ColumnsToRead, TextColumn, TypedColumn
from wassergan.storage.corruption import corruption_errors

UNIFIED = 16  # batches whose dictionaries are made one at a time
BYTES_PER_TEXT = 90  # that an object takes beside its letters
COPIES = 6  # of a column's numbers, while its kind is found out


class ColumnsOfFiles(ColumnsToRead):
    """The columns of files, one file after the other.

    Args:
        name: what to call them.
        tables: the files, with the same columns.
        names: of the columns.

    Raises:
        UserError: one column alone would fill too much memory.
    """

    def __init__(self, name: str, tables: Sequence[Table], names: Sequence[str]) -> None:
        super().__init__(names)
        self._name, self._tables = name, tables
        self._count = sum(sum(table.group_rows) for table in tables)
        require_room(COPIES * 8 * self._count, name)

    @property
    def schema(self) -> Any:
        """Of all columns, as that of a table that was read whole."""
        import pyarrow

        whole = self._tables[0].schema
        return pyarrow.schema([whole.field(name) for name in self.names]).with_metadata(whole.metadata)

    @overload
    def __getitem__(self, index: int) -> AnyColumn: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AnyColumn]: ...
    def __getitem__(self, index: int | slice) -> AnyColumn | Sequence[AnyColumn]:
        """A column, read now; of a slice each.

        Raises:
            UserError: the file is damaged, or the column has more different texts than memory should hold.
            DataChangedError: the file changed since it was opened.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        import pyarrow

        name = self.names[index]  # an index past the last ends an iteration, and tells of no damage
        with corruption_errors(self._name, "write it again"):
            found = self._column(self._tables[0].schema.field(name))
        pyarrow.default_memory_pool().release_unused()
        return found

    def texts(self, most: int) -> Iterator[list[str]]:
        """Of each column of text whose levels its file does not declare, the first different texts."""
        for name in self.names:
            field = self._tables[0].schema.field(name)
            if _is_time(field.type):
                found = self[self.names.index(name)]
                yield found.levels[:most] if isinstance(found, TextColumn) else []
            elif is_text(field.type):
                with corruption_errors(self._name, "write it again"):
                    texts = self._texts(field, most)
                yield list(texts.numbers)[:most]

    def rows(self, numbers: NDArray[np.int64]) -> Any:
        """Rows (k,), numbers ascending, as an Arrow table."""
        import pyarrow

        found, start, held = [], 0, 0
        for table in self._tables:
            for group, count in enumerate(table.group_rows):
                inside = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, start + count)] - start
                start += count
                if not len(inside):
                    continue
                first = 0
                for batch in self._batches(table, group, self.names):
                    here = inside[np.searchsorted(inside, first) : np.searchsorted(inside, first + len(batch))] - first
                    first += len(batch)
                    if len(here):
                        found.append(self._taken(batch, here))
                        held += held_by(found[-1])
                        require_room(held, self._name)
        return pyarrow.Table.from_batches(found, found[0].schema).select(list(self.names))

    def _taken(self, batch: Any, numbers: NDArray[np.int64]) -> Any:
        """Rows of a batch, with the types of the file."""
        import pyarrow
        from pyarrow import compute, types

        fields, arrays = [self._tables[0].schema.field(name) for name in batch.schema.names], []
        for field, array in zip(fields, batch.columns, strict=True):
            if array.type == "string_view":  # none of which can be chosen by number
                array = array.cast("string")
            taken = array.take(pyarrow.array(numbers))
            if types.is_dictionary(taken.type) and not types.is_dictionary(field.type):
                lengths = compute.binary_length(taken.dictionary).take(taken.indices)
                require_room(compute.sum(lengths).as_py() or 0, self._name)
                taken = taken.dictionary_decode()
            arrays.append(taken.cast(field.type))
        return pyarrow.record_batch(arrays, pyarrow.schema(fields))

    def _column(self, field: Any) -> AnyColumn:
        from pyarrow import types

        kind = field.type
        if is_text(kind):
            return self._texts(field).column(field.name)
        if types.is_dictionary(kind) or types.is_null(kind) or _is_time(kind):
            return column_at(field, self._whole(field))
        probe = column_at(field, _empty(kind))
        return self._typed(field) if isinstance(probe, TypedColumn) else probe

    def _arrays(self, field: Any) -> Iterator[Any]:
        """A column in pieces."""
        for table in self._tables:
            for group in range(len(table.group_rows)):
                for batch in self._batches(table, group, [field.name]):
                    yield batch.column(0)

    def _batches(self, table: Table, group: int, names: Sequence[str]) -> Iterator[Any]:
        with readable(table.path):
            for batch in table.batches(group, names, STREAM_ROWS, encoded=True):
                batch.validate(full=True)
                yield batch

    def _texts(self, field: Any, most: int | None = None) -> "_Texts":
        """The texts of a column, until there are so many different ones."""
        texts = _Texts(self._name, 0 if most else self._count)
        for array in self._arrays(field):
            texts.add(array)
            if most and len(texts.numbers) >= most:
                break
        return texts

    def _whole(self, field: Any) -> Any:
        """All values of a column in one piece; those that come as dictionaries have one."""
        import pyarrow

        pieces: list[Any] = []
        for number, array in enumerate(self._arrays(field), 1):
            pieces.append(array)
            if pyarrow.types.is_dictionary(field.type) and number % UNIFIED == 0:
                pieces = pyarrow.chunked_array(pieces).unify_dictionaries().chunks
        return pyarrow.chunked_array(pieces, field.type).unify_dictionaries()

    def _typed(self, field: Any) -> AnyColumn:
        """A column of numbers, dates or truths, batch by batch."""
        values, start, nothing = np.empty(self._count), 0, 0
        exact: NDArray[Any] | None = None
        last: AnyColumn | None = None
        for array in self._arrays(field):
            last = column_of(field.name, array)
            if not isinstance(last, TypedColumn):
                return last
            end = start + len(array)
            values[start:end] = last.values
            nothing += array.null_count
            if last.exact is not None and exact is None:
                exact = np.empty(self._count, last.exact.dtype)
                exact[:start] = np.nan_to_num(values[:start])
            if exact is not None:
                exact[start:end] = np.nan_to_num(last.values) if last.exact is None else last.exact
            start = end
        assert isinstance(last, TypedColumn)
        nan = int(np.isnan(values).sum()) - nothing > nothing
        return TypedColumn(last.name, last.kind, values, last.whole, last.unit, exact, last.places, nan, last.zone)


class _Texts:
    """Different texts in the order in which they first occur, and which of them stands in each row.

    Args:
        name: of the table, for messages.
        count: of rows; 0 where only the texts are wanted.

    Attributes:
        numbers: each text, and its number.
    """

    def __init__(self, name: str, count: int) -> None:
        self.numbers: dict[str, int] = {}
        self._codes = np.empty(count, np.int32)
        self._name, self._end, self._held = name, 0, 0
        self._known: tuple[Any, list[str], NDArray[np.int32]] | None = None

    def add(self, array: Any) -> None:
        """Texts of the next rows, or a dictionary of texts."""
        import pyarrow

        encoded = array if pyarrow.types.is_dictionary(array.type) else array.cast("string").dictionary_encode()
        texts, known = self._looked_up(encoded.dictionary)
        indices = encoded.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
        codes = known[indices]
        new = indices[(codes < 0) & (indices >= 0)]
        if len(new):
            distinct, first = np.unique(new, return_index=True)
            for text in (texts[each] for each in distinct[np.argsort(first)].tolist()):
                if text not in self.numbers:
                    self.numbers[text] = len(self.numbers)
                    self._held += len(text) + BYTES_PER_TEXT
            require_room(self._held, self._name)
            known = self._numbered(texts)
            codes = known[indices]
        self._known = encoded.dictionary, texts, known
        if len(self._codes):
            self._codes[self._end : self._end + len(codes)] = codes
            self._end += len(codes)

    def column(self, name: str) -> TextColumn:
        """All that was added."""
        return TextColumn(name, list(self.numbers), self._codes)

    def _looked_up(self, dictionary: Any) -> tuple[list[str], NDArray[np.int32]]:
        if self._known is not None and self._known[0].equals(dictionary):
            return self._known[1:]
        texts = dictionary.cast("string").to_pylist()
        return texts, self._numbered(texts)

    def _numbered(self, texts: list[str]) -> NDArray[np.int32]:
        """The number of each, -1 where it has none yet; and -1 behind them, for nothing at all."""
        return np.array([*(self.numbers.get(text, -1) for text in texts), -1], np.int32)


def _empty(kind: Any) -> Any:
    import pyarrow

    return pyarrow.chunked_array([], kind)


def _is_time(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_time(kind))
