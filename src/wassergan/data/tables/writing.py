"""Rows of a table to files: CSV, Parquet and Feather, chunk after chunk, in the formats that they came in."""

import base64
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.arrowfile import EXTRA
from wassergan.data.tables.arrowvalues import array_of, as_kind, usual_type
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.csv_writing import CsvWriter
from wassergan.data.tables.identifiers.identifier import Identifier, IdentifierStream
from wassergan.data.tables.spreadsheets import Formulas
from wassergan.errors import UserError
from wassergan.storage.files import filling

Rows = NDArray[np.float64]
Fresh = Sequence[tuple[Identifier, IdentifierStream]]
GROUP_ROWS = 2**15
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".feather", ".arrow")


def table_suffix(path: Path) -> str:
    """Which of `SUFFIXES` a name ends in, or nothing."""
    name = path.name.lower()
    return max((each for each in SUFFIXES if name.endswith(each)), key=len, default="")


def write_table(
    codec: TableCodec,
    chunks: Iterable[Rows],
    path: Path | IO[bytes],
    *,
    like: Path | None = None,
    seed: int = 0,
    formulas: Formulas | None = None,
) -> None:
    """Write rows, (n, columns) each chunk, to a file of one of the `SUFFIXES`.

    Args:
        codec: says what the rows mean and how they are written.
        chunks: at least one.
        path: where to write; of text formats an open file, too.
        like: whose suffix names the format; `path` itself unless given.
        seed: of the identifiers.
        formulas: counts the texts of CSV and TSV that a spreadsheet would run, and may make them safe.

    Raises:
        UserError: pyarrow is missing.
    """
    named = like or path
    assert isinstance(named, Path)
    suffix = table_suffix(named)
    assert suffix
    if suffix in (".parquet", ".feather", ".arrow"):
        assert isinstance(path, Path)
        _write_arrow(codec, chunks, path, suffix, seed)
        return
    formulas = formulas or Formulas()
    delimiter = "\t" if suffix.startswith(".tsv") else codec.dialect.get("delimiter", ",")
    with _text(path, codec.dialect.get("encoding", "utf-8"), compressed=suffix.endswith(".gz")) as file:
        names = [column.name for column in codec.written]
        missing = {column.name: column.missing for column in codec.columns}
        missing |= {identifier.name: identifier.token for identifier in codec.identifiers}
        writer = CsvWriter(file, names, codec.dialect, delimiter=delimiter, missing=missing, cells=formulas.cells)
        writer.header()
        streams = identifier_streams(codec, seed)
        for rows in chunks:
            texts: list[Any] = [
                formulas.column(column, _texts(column, rows[:, index])) for index, column in enumerate(codec.columns)
            ]
            for identifier, stream in streams:
                fresh = stream.take(len(rows))
                filled = [identifier.token if each is None else each for each in fresh]
                texts.insert(identifier.before, formulas.cells(filled))
            writer.rows(texts)


def _opened(path: Path | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    return filling(path) if isinstance(path, Path) else nullcontext(path)


@contextmanager
def _text(path: Path | IO[bytes], encoding: str, *, compressed: bool) -> Iterator[io.TextIOBase]:
    with ExitStack() as stack:
        raw: Any = stack.enter_context(_opened(path))
        if compressed:  # no name and no time inside: equal rows give equal files
            raw = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6))
        yield stack.enter_context(io.TextIOWrapper(raw, encoding=encoding, newline=""))


def _texts(column: ColumnCodec, values: Rows) -> list[str]:
    there = ~np.isnan(values)
    if there.all():
        return column.form.texts(values)
    texts = np.full(len(values), column.missing, object)
    texts[there] = column.form.texts(values[there])
    return texts.tolist()


def identifier_streams(codec: TableCodec, seed: int) -> list[tuple[Identifier, IdentifierStream]]:
    """Fresh identifiers for a sample, from its first row on, in the order of the table."""
    return [(each, each.stream(seed)) for each in codec.identifiers]


def _write_arrow(codec: TableCodec, chunks: Iterable[Rows], path: Path, suffix: str, seed: int) -> None:
    import_arrow(path)
    from pyarrow import ipc, parquet

    schema = arrow_schema(codec)
    with ExitStack() as stack:
        file = stack.enter_context(filling(path))
        if suffix == ".parquet":
            writer = stack.enter_context(parquet.ParquetWriter(file, schema))
        else:
            options = ipc.IpcWriteOptions(compression="lz4" if suffix == ".feather" else None, unify_dictionaries=True)
            writer = stack.enter_context(ipc.new_file(file, schema, options=options))
        streams = identifier_streams(codec, seed)
        for several in _together(chunks):
            writer.write_table(arrow_table(codec, several, streams))


def _together(chunks: Iterable[Rows]) -> Iterator[Rows]:
    """Chunks joined to as many rows as a group of an Arrow file has: every group costs as much as thousands of rows."""
    held: list[Rows] = []
    for rows in chunks:
        held.append(rows)
        if sum(map(len, held)) >= GROUP_ROWS:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def import_arrow(path: Path) -> None:
    """Refuse to go on without pyarrow.

    Raises:
        UserError: how to get it.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError(f"Writing {path} needs pyarrow, which is not installed", hint=EXTRA) from error


def arrow_schema(codec: TableCodec) -> Any:
    """The types of the columns: those of the table that the codec was fitted to, if it had any."""
    import pyarrow

    if not codec.arrow_schema:
        return pyarrow.schema([(column.name, _usual_type(column)) for column in codec.written])
    whole = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(codec.arrow_schema)))
    return pyarrow.schema([whole.field(column.name) for column in codec.written], whole.metadata)


def arrow_table(codec: TableCodec, rows: Rows, streams: Fresh | None = None) -> Any:
    """Rows (n, columns) as an Arrow table.

    Args:
        codec: says what the rows mean and how they are written.
        rows: of the columns that are learnt.
        streams: of identifiers, if rows came before these; as of seed 0 unless given.
    """
    import pyarrow

    schema = arrow_schema(codec)
    arrays = [
        array_of(column, rows[:, index], schema.field(column.name).type) for index, column in enumerate(codec.columns)
    ]
    for identifier, stream in identifier_streams(codec, 0) if streams is None else streams:
        fresh = _fresh(stream.take(len(rows)), schema.field(identifier.name).type)
        arrays.insert(identifier.before, fresh)
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _fresh(texts: list[str | None], kind: Any) -> Any:
    import pyarrow

    if pyarrow.types.is_integer(kind):
        return pyarrow.array([each if each is None else int(each) for each in texts], kind)
    plain = pyarrow.array(texts, pyarrow.string())
    return plain if kind == plain.type else as_kind(plain, kind)


def _usual_type(column: ColumnCodec | Identifier) -> Any:
    import pyarrow

    if isinstance(column, Identifier):
        return pyarrow.int64() if column.fits_64_bits else pyarrow.string()
    return usual_type(column)
