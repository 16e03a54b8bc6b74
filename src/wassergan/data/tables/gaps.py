"""Tables with missing cells: read in the columns of a run, and written back with these cells filled, all else as it is.

Cells that are there come back byte for byte in text, value for value elsewhere.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.arrowfile import arrow_of, pandas_table
from wassergan.data.tables.arrowvalues import array_of, as_kind
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.columns import AnyColumn, OddColumn, RawTable, TextColumn
from wassergan.data.tables.csv_dialect import dialect_of
from wassergan.data.tables.csv_lines import Lines, open_lines, start_of
from wassergan.data.tables.csv_writing import CsvWriter
from wassergan.data.tables.csvfile import LOOKED_AT_BYTES
from wassergan.data.tables.formats import Values
from wassergan.data.tables.hidden import CompletionConditions
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.missing_texts import MISSING_TEXTS
from wassergan.data.tables.pandasframe import restored
from wassergan.data.tables.reading import rows_like
from wassergan.data.tables.schema import Schema
from wassergan.data.tables.writing import arrow_schema, import_arrow, table_suffix
from wassergan.errors import UserError
from wassergan.storage.files import filling

Fresh = dict[str, list[str | None]]  # of each column of identifiers, what is written where one is missing


def read_gaps(codec: TableCodec, conditions: CompletionConditions, table: RawTable) -> Values:
    """Rows (n, columns) in the columns and numbers of a run, NaN where a cell is missing.

    Raises:
        UserError: other columns than those of the run's table, or other kinds.
    """
    there = {column.name: column for column in table.columns}
    wanted = [column.name for column in codec.written]
    gone = [name for name in wanted if name not in there]
    if gone:
        raise UserError(
            f"{table.name} lacks columns of the run's table", found=", ".join(gone), hint="give a table with them"
        )
    strange = [name for name in there if name not in wanted and name not in conditions.passed]
    if strange:
        raise UserError(
            f"{table.name} has columns that the run's table does not have",
            found=", ".join(strange),
            hint="leave them out",
        )
    schema = conditions.schema
    full = [column for column in codec.columns if not _is_empty(there[column.name], _words(column, table, schema))]
    rows = np.full((table.rows, len(codec.columns)), np.nan)
    if full and table.rows:
        at = [codec.columns.index(column) for column in full]
        rows[:, at] = rows_like(TableCodec(full, dialect=codec.dialect), table, schema)
    return rows


def _words(column: ColumnCodec | Identifier, table: RawTable, schema: Schema | None = None) -> set[str]:
    """Texts that say that nothing is there; types of Arrow have a word of their own for that."""
    token = column.token if isinstance(column, Identifier) else column.missing
    said = schema.columns.get(column.name) if schema is not None else None
    usual = () if table.arrow_schema else MISSING_TEXTS
    return {"", token, *(said.missing if said is not None and said.missing is not None else usual)}


def _is_empty(column: AnyColumn, words: set[str]) -> bool:
    """Whether nothing is in a column."""
    if isinstance(column, OddColumn):
        return column.type == "null"
    if isinstance(column, TextColumn):
        return bool(np.array([*(text.strip() in words for text in column.levels), True])[column.codes].all())
    return bool(np.isnan(column.values).all())


def fresh_identifiers(codec: TableCodec, table: RawTable, *, seed: int) -> Fresh:
    """For each column of identifiers in which some are missing, one in each such row, None elsewhere.

    Raises:
        UserError: there are too few.
    """
    found: Fresh = {}
    by_name = {column.name: column for column in table.columns}
    for identifier in codec.identifiers:
        texts = _texts_of(by_name[identifier.name], table.rows)
        words = _words(identifier, table)
        gone = [text is None or text.strip() in words for text in texts]
        if not any(gone):
            continue
        taken, stream = {text for text in texts if text is not None}, identifier.stream(seed)
        found[identifier.name] = [_next(stream.take, taken) if is_gone else None for is_gone in gone]
    return found


def _next(take: Callable[[int], list[str | None]], taken: set[str]) -> str:
    while True:
        (text,) = take(1)
        if text is not None and text not in taken:
            return text


def _texts_of(column: AnyColumn, rows: int) -> list[str | None]:
    if isinstance(column, TextColumn):
        return [None if code < 0 else column.levels[code] for code in column.codes.tolist()]
    if isinstance(column, OddColumn):
        if column.type == "null":
            return [None] * rows
        raise UserError(f"Column {column.name} {column.what}", found=column.type, hint=column.hint)
    values: list[float] = (column.values if column.exact is None else column.exact).tolist()
    return [None if value != value else str(int(value)) for value in values]


def write_csv(
    path: Path, out: Path, table: RawTable, codec: TableCodec, chunks: Iterable[Values], given: Values, fresh: Fresh
) -> None:
    """A CSV file with its missing cells filled: every other byte of its text as it is.

    Args:
        path: the file.
        out: where to; packed if its name says so.
        table: as read from the file.
        codec: of the run.
        chunks: all rows, filled.
        given: the same with NaN in what is missing.
        fresh: identifiers.
    """
    encoding, names = table.dialect["encoding"], [column.name for column in table.columns]
    places = {name: at for at, name in enumerate(names)}
    writer = CsvWriter(io.StringIO(), names, table.dialect)
    dialect = dialect_of(start_of(path, LOOKED_AT_BYTES).decode(encoding, errors="replace"), table.dialect["delimiter"])
    skips = dialect.spaced or dialect.delimiter == " "
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(path, encoding))
        raw: Any = stack.enter_context(filling(out))
        if out.name.lower().endswith(".gz"):
            raw = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6))
        file = stack.enter_context(io.TextIOWrapper(raw, encoding=encoding, newline=""))
        records = _records(lines, dialect.skipped, dialect.delimiter, skips)
        row = 0
        cells = _filled_cells(codec, chunks, given, fresh)
        for line, record in records:
            if row < table.rows and line == _line_of(table, row):
                changes = next(cells)
                row += 1
                shown = {places[name]: writer.cell(name, text) for name, text in changes.items()}
                record = _with_cells(record, shown, dialect.delimiter, skips) if shown else record
            file.write(record)
        assert row == table.rows


def _line_of(table: RawTable, row: int) -> int:
    return int(table.lines[row]) if table.lines is not None else table.first_line + row


def _records(lines: Lines, skipped: int, delimiter: str, skips: bool) -> Iterator[tuple[int, str]]:
    """The records of a file as they stand there, each with the number of its first line."""
    kept: list[str] = []

    def recorded() -> Iterator[str]:
        for line in lines:
            kept.append(line)
            yield line

    for _ in range(skipped):
        yield lines.number + 1, next(lines)
    reader = csv.reader(recorded(), delimiter=delimiter, strict=True, skipinitialspace=skips)
    while True:
        first = lines.number + 1
        if next(reader, None) is None:
            break
        lines.next_record()
        yield first, "".join(kept)
        kept.clear()


def _filled_cells(codec: TableCodec, chunks: Iterable[Values], given: Values, fresh: Fresh) -> Iterator[dict[str, str]]:
    """For each row, the texts of the cells that are filled."""
    start = 0
    for rows in chunks:
        texts: list[dict[str, str]] = [{} for _ in range(len(rows))]
        gone = np.isnan(given[start : start + len(rows)]) & ~np.isnan(rows)
        for at, column in enumerate(codec.columns):
            here = np.flatnonzero(gone[:, at])
            if len(here):
                for index, text in zip(here.tolist(), column.form.texts(rows[here, at]), strict=True):
                    texts[index][column.name] = text
        for name, identifiers in fresh.items():
            for index, one in enumerate(identifiers[start : start + len(rows)]):
                if one is not None:
                    texts[index][name] = one
        yield from texts
        start += len(rows)


def _with_cells(record: str, cells: dict[int, str], delimiter: str, skips: bool) -> str:
    """A record with some of its fields replaced; blanks before them, and quotes around them, stay."""
    parts, done = [], 0
    for number, (start, end) in enumerate(_spans(record, delimiter, skips)):
        if number in cells:
            field, text = record[start:end], cells[number]
            blank = len(field) - len(field.lstrip(" ")) if skips else 0
            if field[blank : blank + 1] == '"' and text[:1] != '"':  # no quote inside: it would be quoted
                text = f'"{text}"'
            parts += [record[done : start + blank], text]
            done = end
    return "".join([*parts, record[done:]])


def _spans(record: str, delimiter: str, skips: bool) -> Iterator[tuple[int, int]]:
    """Where the fields of a record begin and end."""
    last, start = len(record.rstrip("\r\n")), 0
    while True:
        at = start
        while skips and at < last and record[at] == " ":
            at += 1
        if record[at : at + 1] == '"':
            at = record.index('"', at + 1)
            while record[at + 1 : at + 2] == '"':
                at = record.index('"', at + 2)
        end = record.find(delimiter, at, last)
        if end < 0:
            yield start, last
            return
        yield start, end
        start = end + 1


def arrow_filled(codec: TableCodec, table: Any, rows: Values, given: Values, fresh: Fresh) -> Any:
    """An Arrow table of the same types with its missing cells filled."""
    import pyarrow

    for at, column in enumerate(codec.columns):
        gone = np.isnan(given[:, at]) & ~np.isnan(rows[:, at])
        if gone.any():
            number = table.column_names.index(column.name)
            field, kind = table.schema.field(number), _kind(codec, table, column.name)
            filled = _array(column, rows[gone, at], kind)
            plain = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
            mended = _replaced(_whole(table[column.name]).cast(plain), gone, filled.cast(plain))
            mended = mended if plain == kind else _coded(mended, kind)
            table = table.set_column(number, field.with_type(kind), mended)
    for name, texts in fresh.items():
        number = table.column_names.index(name)
        kind = _kind(codec, table, name)
        gone = np.array([text is not None for text in texts])
        some = pyarrow.array([text for text in texts if text is not None], pyarrow.string()).cast(kind)
        mended = _replaced(_whole(table[name]).cast(kind), gone, some)
        table = table.set_column(number, table.schema.field(number).with_type(kind), mended)
    return table


def _replaced(whole: Any, gone: NDArray[np.bool_], some: Any) -> Any:
    """An array with others where a mask says so; views of text, which polars has, by way of whole texts."""
    import pyarrow
    from pyarrow import compute

    kind = whole.type
    plain = pyarrow.large_string() if pyarrow.types.is_string_view(kind) else kind
    return as_kind(compute.replace_with_mask(whole.cast(plain), pyarrow.array(gone), some.cast(plain)), kind)


def _kind(codec: TableCodec, table: Any, name: str) -> Any:
    """The type of a column; that of the run's table where the column is empty and has none."""
    import pyarrow

    kind = table.schema.field(name).type
    return arrow_schema(codec).field(name).type if pyarrow.types.is_null(kind) else kind


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _coded(array: Any, kind: Any) -> Any:
    import pyarrow

    coded = array.dictionary_encode()
    indices = coded.indices.cast(kind.index_type)
    return pyarrow.DictionaryArray.from_arrays(indices, coded.dictionary, ordered=kind.ordered)


def _array(column: Any, values: NDArray[np.float64], kind: Any) -> Any:
    """Values of a column in a type.

    Raises:
        UserError: the type cannot hold them.
    """
    import pyarrow

    try:
        return array_of(column, values, kind)
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise UserError(
            f"Column {column.name} is of a type that cannot hold what is filled in",
            found=f"{kind}, for a {column.kind}",
            hint="give it the type that it had in training",
        ) from error


def write_arrow(table: Any, out: Path) -> None:
    """An Arrow table to a file of Parquet, Feather or Arrow."""
    import_arrow(out)
    from pyarrow import ipc, parquet

    suffix = table_suffix(out)
    with filling(out) as file:
        if suffix == ".parquet":
            with parquet.ParquetWriter(file, table.schema) as writer:
                writer.write_table(table)
            return
        options = ipc.IpcWriteOptions(compression="lz4" if suffix == ".feather" else None, unify_dictionaries=True)
        with ipc.new_file(file, table.schema, options=options) as writer:
            writer.write_table(table)


def frame_filled(codec: TableCodec, frame: Any, rows: Values, given: Values, fresh: Fresh) -> Any:
    """A DataFrame or an Arrow table like one that came, with its missing cells filled."""
    if not hasattr(frame, "iloc"):
        filled = arrow_filled(codec, arrow_of(frame), rows, given, fresh)
        if not type(frame).__module__.startswith("polars"):
            return filled
        import polars

        made: Any = polars.from_arrow(filled)
        made.columns = frame.columns  # it gives a column without a name one of its own
        return made.cast(dict(frame.schema))
    return _pandas_filled(codec, frame, rows, given, fresh)


def _pandas_filled(codec: TableCodec, frame: Any, rows: Values, given: Values, fresh: Fresh) -> Any:
    import pyarrow

    table, states = pandas_table(frame)
    filled = frame.copy()
    names = [str(label) for label in frame.columns]
    for at, column in enumerate(codec.columns):
        gone = np.flatnonzero(np.isnan(given[:, at]) & ~np.isnan(rows[:, at]))
        if len(gone):
            number = names.index(column.name)
            kind = _kind(codec, table, column.name)
            array = _array(column, rows[gone, at], kind)
            filled.isetitem(number, _series_filled(frame.iloc[:, number], gone, array, states[number]))
    for name, texts in fresh.items():
        number = names.index(name)
        gone = np.flatnonzero([text is not None for text in texts])
        some = pyarrow.array([text for text in texts if text is not None], pyarrow.string())
        some = some.cast(_kind(codec, table, name))
        filled.isetitem(number, _series_filled(frame.iloc[:, number], gone, some, states[number]))
    return filled


def _series_filled(series: Any, gone: NDArray[np.int64], array: Any, state: dict[str, Any]) -> Any:
    """A column of pandas in its own type, with some cells filled; a category that it lacks is added."""
    import pandas

    series = series.copy()
    if state["how"] == "category":
        values = array.to_pylist()
        new = [each for each in dict.fromkeys(values) if each not in series.cat.categories]
        series = series.cat.add_categories(new) if new else series
        series.iloc[gone] = values
        return series
    if state["how"] == "object":
        series.iloc[gone] = np.array([*restored(array, state), None], object)[:-1]
        return series
    series.iloc[gone] = pandas.Series(restored(array, state)).array
    return series
