"""Data sources: from a path, an array or the bundled digits to samples in model space."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wassergan.data.arraytrip import round_trip
from wassergan.data.codec import AnyCodec, Codec, channels_first, number_codec
from wassergan.data.container import Likeness, as_array, index_words
from wassergan.data.frames import FrameContainer
from wassergan.data.labels import LABEL, frame_beside, label_table
from wassergan.data.naming import FOLDER, tables_under
from wassergan.data.readers.arrays import array_names, array_source, load_array, names_beside
from wassergan.data.readers.columnar import columnar_source, is_columnar, whole_table
from wassergan.data.readers.excel import is_excel, read_excel
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.data.readers.marks import unchanging
from wassergan.data.readers.paths import PICTURE_SUFFIXES, holds_any, is_pattern, is_shard, matching_files
from wassergan.data.readers.tree import entries_besides
from wassergan.data.source import Batch, Conditions, Context, Source, random_positions, spread_positions
from wassergan.data.tables import (
    TABLE_SUFFIXES,
    ColumnConditions,
    RawTable,
    Schema,
    TableCodec,
    column_facts,
    context_of,
    csv_source,
    encode_table,
    fix,
    frame_source,
    is_csv,
    is_frame,
    proposed_rules,
    raw_array,
    read_csv,
    read_frame,
    read_schema,
    read_wanted,
    rows_like,
    schema_of,
    table_source,
    table_suffix,
    write_table,
)
from wassergan.errors import UserError
from wassergan.storage.files import require_readable, require_regular

KINDS = (
    "'digits', a folder or .tar shards of pictures, or a .npy, .npz, IDX, CSV, Excel, Parquet, Arrow or Feather file"
)

MOST_NOTES = 200

__all__ = [
    "LABEL",
    "TABLE_SUFFIXES",
    "AnyCodec",
    "Batch",
    "Codec",
    "ColumnConditions",
    "Conditions",
    "Context",
    "Likeness",
    "Schema",
    "Source",
    "TableCodec",
    "as_array",
    "channels_first",
    "codec_from_state",
    "column_facts",
    "encode_table",
    "fix",
    "frame_beside",
    "is_frame",
    "number_codec",
    "open_source",
    "proposed_rules",
    "random_positions",
    "raw_array",
    "read_conditions",
    "read_frame",
    "read_rows",
    "read_schema",
    "read_wanted",
    "schema_of",
    "spread_positions",
    "table_suffix",
    "write_table",
]


def codec_from_state(state: Mapping[str, Any]) -> AnyCodec:
    """The codec of a checkpoint."""
    return TableCodec.from_state(state) if "columns" in state else Codec.from_state(state)


def open_source(
    data: Any,
    *,
    size: tuple[int, int] | None = None,
    colour: str = "auto",
    skip_unreadable: bool = False,
    key: str | None = None,
    sheet: str | None = None,
    layout: str = "auto",
    scale: str = "auto",
    missing: Sequence[int | float] = (),
    channels: Sequence[str] = (),
    schema: str | Path | Schema | None = None,
    condition: Sequence[str] = (),
    labels: Any = None,
    heldout: float | None = None,
    seed: int = 0,
    like: Source | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> Source:
    """Open data for training or measuring.

    Args:
        data: `digits`; a folder or `.tar` shards of pictures; a `.npy`, `.npz` or IDX file; Parquet, Arrow or Feather
            files; a folder of shards or of tables, or a pattern such as `part-{000..099}.tar` or `part-*.parquet`;
            a `.csv` or `.tsv` file, `.gz` too; an Excel workbook; an array or tensor of samples; or a DataFrame of
            pandas or polars.
        size: (height, width), for pictures.
        colour: `auto`, `grey` or `rgb`, for pictures.
        skip_unreadable: go on without pictures that cannot be read.
        key: which array of a `.npz`.
        sheet: which sheet of an Excel workbook; the first unless given.
        layout: `auto`, `N`, `ND`, `NHW`, `NHWC` or `NCHW`, for arrays; `table` reads Parquet, Arrow and Feather files
            of numbers as tables, as those with other columns or missing values are anyway.
        scale: `auto`, `feature`, `channel` or `array`: how numbers of arrays are standardised. `auto`: each channel of
            fields, each feature of vectors, by itself.
        missing: numbers in arrays that stand for missing values, such as -9999; NaN and masks do so anyway.
        channels: names of the channels of an array, or of its features; an array of names in a `.npz` gives them too.
        schema: what a table's columns are, or a JSON file that says so.
        condition: what samples are drawn under: names of a table's columns, `label` of the digits, `folder` of pictures
            in folders, other arrays of a `.npz`, columns of `labels`.
        labels: conditions of pictures and arrays: a file, array, list or frame with one row per sample.
        heldout: share of the samples held out; a tenth unless given (a fifth of the digits).
        seed: chooses the held-out samples.
        like: pictures are brought to the size, the colours and the bits of these, to be compared with them.
        report: told, in a sentence, what was decided on the way; `Source.notes` keeps all of these sentences.

    Raises:
        UserError: the data cannot be read or used; the message says how to mend them.
        DataChangedError: a file changed while it was read.
    """
    notes: list[str] = []

    def noted(sentence: str) -> None:
        if len(notes) < MOST_NOTES and sentence not in notes:
            notes.append(sentence)
        report(sentence)

    if like is not None and like.kind == "image":
        size, colour = (like.shape[1], like.shape[2]), "grey" if like.shape[0] == 1 else "rgb"
    split: dict[str, Any] = {"seed": seed} if heldout is None else {"seed": seed, "heldout": heldout}
    opening = _Opening(
        size=size,
        colour=colour,
        skip_unreadable=skip_unreadable,
        key=key,
        sheet=sheet,
        layout=layout,
        scale=scale,
        missing=tuple(missing),
        channels=tuple(channels),
        schema=schema,
        condition=tuple(condition),
        labels=labels,
        like=like,
        report=noted,
        split=split,
    )
    if isinstance(data, str | Path):
        require_readable(Path(data))
    source = opening.frame(data) if is_frame(data) else opening.array(data) if _is_array(data) else opening.path(data)
    if isinstance(source.codec, Codec) and isinstance(data, str | Path | Tensor | np.ndarray):
        source.round_trip = round_trip(source)
    if source.kind == "table" and labels is not None:
        raise UserError("The conditions of a table are columns of its own", mend="name them with --condition")
    if source.context is None and (condition or labels is not None):
        table = label_table(data, source, condition=condition, labels=labels, report=noted)
        source.context, kept = context_of(table, condition=condition, split=source.split, seed=seed, report=noted)
        if kept is not source.split:
            source.hold_out(kept)
    if source.names is not None and (passed := source.names.passed.sentence(source.name)):
        noted(passed)
    source.notes = notes  # more may come: a picture may turn out unreadable when it is needed
    return source


def _is_array(data: Any) -> bool:
    return isinstance(data, Tensor | np.ndarray)


@dataclass(frozen=True)
class _Opening:
    """How to open data, whatever they are."""

    size: tuple[int, int] | None
    colour: str
    skip_unreadable: bool
    key: str | None
    sheet: str | None
    layout: str
    scale: str
    missing: tuple[int | float, ...]
    channels: tuple[str, ...]
    schema: str | Path | Schema | None
    condition: tuple[str, ...]
    labels: Any
    like: Source | None
    report: Callable[[str], None]
    split: Mapping[str, Any]

    @property
    def _said(self) -> Schema:
        return _schema_of(self.schema)

    def array(self, data: Any) -> Source:
        """An array or tensor."""
        values = as_array(data) if isinstance(data, Tensor) else data
        return self._numbers(values, "array")

    def frame(self, data: Any) -> Source:
        """A DataFrame."""
        if self.missing or self.channels:
            raise UserError("missing and channels are for arrays", found="a DataFrame", mend="leave them out")
        likeness = Likeness.of(data)
        if index := index_words(data):
            self.report(f"Left out the index of the DataFrame: {index}. reset_index() makes it a column.")
        return frame_source(
            data,
            schema=self._said,
            condition=self.condition,
            report=self.report,
            into=None if likeness.kind == "arrow" else FrameContainer(data, likeness),
            **self.split,
        )

    def path(self, data: Any) -> Source:
        """What a path, a pattern or a name stands for."""
        _refuse_schema(data, self.schema)
        self._refuse_of_arrays(data)
        if str(data) == "digits":
            from wassergan.data.readers.digits import digits_source  # scikit-learn takes a second to import

            return digits_source(**self.split)
        path, files = Path(data), _files(str(data), self.report)
        with unchanging(files):
            return self._of_files(data, path, files)

    def _of_files(self, data: Any, path: Path, files: list[Path]) -> Source:
        if not files or _all(files, is_shard):
            return self._pictures(path, files)
        if _all(files, is_columnar):
            return columnar_source(
                files,
                path.name,
                layout=self.layout,
                scale=self.scale,
                missing=self.missing,
                channels=self.channels,
                schema=self._said if self.schema else None,
                condition=self.condition,
                report=self.report,
                **self.split,
            )
        if len(files) > 1:
            raise UserError(
                f"The files of {data} cannot be read together",
                found=f"{len(files)} files, the first {files[0]}",
                mend="give .tar files of pictures, or Parquet, Arrow or Feather files",
            )
        return self._file(files[0])

    def _refuse_of_arrays(self, data: Any) -> None:
        """`missing` and `channels` say what numbers mean; all other data know that themselves."""
        path = Path(str(data))
        of_arrays = path.suffix in (".npy", ".npz") or is_idx(path) or is_columnar(path) or path.is_dir()
        for flag, said in (("--missing", self.missing), ("--channels", self.channels)):
            if said and not (of_arrays or is_pattern(str(data))):
                raise UserError(f"{flag} is for arrays of numbers", found=f"{data}", mend="leave it out")

    def _excel(self, path: Path) -> Source:
        table = read_excel(path, sheet=self.sheet)
        return table_source(table, schema=self._said, condition=self.condition, report=self.report, **self.split)

    def _pictures(self, path: Path, files: list[Path]) -> Source:
        if self.missing or self.channels:
            raise UserError(
                "--missing and --channels are for arrays", found=f"pictures in {path}", mend="leave them out"
            )
        from wassergan.data.readers.images import ImageOptions, image_folder_source
        from wassergan.data.readers.shards import shard_source

        options = ImageOptions(size=self.size, colour=self.colour, skip_unreadable=self.skip_unreadable, **self.split)
        if self.like is not None:
            options = replace(options, bits=16 if self.like.codec.dtype == "uint16" else 8)
        if files:
            return shard_source(files, path.name, options, report=self.report)
        return image_folder_source(path, replace(options, used=self._label_files(path)), report=self.report)

    def _label_files(self, folder: Path) -> frozenset[str]:
        """Files in a folder of pictures that hold their labels, as paths below it."""
        if isinstance(self.labels, str | Path):
            there = Path(self.labels).resolve()
            root = folder.resolve()
            return frozenset({there.relative_to(root).as_posix()} if there.is_relative_to(root) else ())
        wants_tables = self.labels is None and set(self.condition) - {FOLDER}
        return frozenset(tables_under(folder) if wants_tables else ())

    def _file(self, path: Path) -> Source:
        if is_csv(path):
            return csv_source(path, schema=self._said, condition=self.condition, report=self.report, **self.split)
        if is_excel(path):
            return self._excel(path)
        if path.suffix in (".npy", ".npz"):
            name, array = load_array(path, key=self.key)
        elif is_idx(path):
            name, array = path.name, read_idx(path)
        else:
            raise UserError(f"The kind of {path} is not known", found=f"suffix '{path.suffix}'", mend=f"give {KINDS}")
        if ":" not in name:
            return self._numbers(array, name)
        used, beside = name.rpartition(":")[2], names_beside(path)
        self.report(f"Using the array {used} of {path.name}, shape {array.shape}.")
        source = self._numbers(array, name, list(beside.values()))
        named = getattr(source.codec, "channels", ()) or source.columns
        taken = {used, *self.condition, *(each for each, names in beside.items() if names == tuple(named))}
        if others := [each for each in array_names(path) if each not in taken]:
            self.report(f"Passed over in {path.name}: {', '.join(others)} (--key and --condition name arrays).")
        return source

    def _numbers(self, array: Any, name: str, beside: Sequence[tuple[str, ...]] = ()) -> Source:
        return array_source(
            array,
            name=name,
            layout=self.layout,
            scale=self.scale,
            missing=self.missing,
            channels=self.channels,
            beside=beside,
            report=self.report,
            **self.split,
        )


def read_conditions(path: str | Path) -> dict[str, list[Any]]:
    """What a CSV, Parquet, Arrow or Feather file asks for, row after row: column to values, as `fix` takes them.

    Raises:
        UserError: no such file, or of another kind, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no {path}", mend="give a table of conditions")
    require_regular(path)
    with unchanging([path]):
        if is_csv(path):
            return read_wanted(read_csv(path))
        if is_excel(path):
            return read_wanted(read_excel(path))
        if is_columnar(path):
            return read_wanted(whole_table([path], path.name))
    raise UserError(f"{path} is no table of conditions", mend="give a CSV, Parquet, Arrow or Feather file")


def read_rows(
    data: Any, codec: TableCodec, *, sheet: str | None = None, schema: str | Path | Schema | None = None
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows of a table file or a DataFrame, (n, columns), in the columns and numbers of a codec.

    Args:
        data: a CSV, Parquet, Arrow or Feather file, a folder or a pattern of them, or a DataFrame.
        codec: of a table with the same columns. Levels that it does not know are numbered after its own.
        sheet: which sheet of an Excel workbook; the first unless given.
        schema: what the user said about the table that the codec was fitted to: the delimiter, and what is missing.

    Raises:
        UserError: no such data, no table, or other columns.
    """
    said = _schema_of(schema)
    if is_frame(data):
        return rows_like(codec, read_frame(data), said)
    files = _files(str(data))
    with unchanging(files):
        return rows_like(codec, _table_of(data, files, codec, said, sheet), said)


def _table_of(data: Any, files: list[Path], codec: TableCodec, said: Schema, sheet: str | None) -> RawTable:
    if len(files) == 1 and is_csv(files[0]):
        encoding = said.encoding or codec.dialect.get("encoding")
        return read_csv(files[0], delimiter=said.delimiter, encoding=encoding)
    if len(files) == 1 and is_excel(files[0]):
        return read_excel(files[0], sheet=sheet)
    if files and _all(files, is_columnar):
        return whole_table(files, Path(data).name)
    raise UserError(f"{data} is no table", mend="give a CSV, Parquet, Arrow or Feather file")


def _schema_of(schema: str | Path | Schema | None) -> Schema:
    if isinstance(schema, Schema):
        return schema
    if not schema:
        return Schema()
    with unchanging([Path(schema)] if Path(schema).exists() else []):
        return read_schema(Path(schema))


def _refuse_schema(data: Any, schema: str | Path | Schema | None) -> None:
    known = is_csv(Path(data)) or is_excel(Path(data)) or Path(data).is_dir() or is_columnar(Path(data))
    if schema and not known:
        raise UserError("A schema is for tables", found=f"{data}", mend="leave --schema out")


def _files(data: str, report: Callable[[str], None] = lambda sentence: None) -> list[Path]:
    """The files that a path or a pattern stands for; none for a folder of pictures.

    Args:
        data: a path or a pattern.
        report: told what a folder of tables or of shards holds besides.

    Raises:
        UserError: there are none, or one of them is not there.
    """
    path = Path(data)
    if path.is_dir():
        return _files_in(path, report)
    files = [path]
    if is_pattern(data) and not path.exists():
        files = matching_files(data)
        if not files:
            raise UserError(f"No file matches {data}", mend=f"give {KINDS}")
    for each in files:
        if not each.exists():
            raise UserError(f"There is no {each}", mend=f"give {KINDS}")
        require_readable(each)
    return files


def _files_in(folder: Path, report: Callable[[str], None]) -> list[Path]:
    """The tables or the shards in a folder; none where there are pictures beside them."""
    there = sorted(folder.iterdir())
    usable = [path for path in there if not path.name.startswith((".", "_")) and path.is_file()]
    files = [path for path in usable if is_columnar(path)] or [path for path in usable if is_shard(path)]
    if not files or holds_any(folder, PICTURE_SUFFIXES):
        return []  # a folder of pictures says itself what it passes over
    if passed := entries_besides(there, files).sentence(str(folder)):
        report(passed)
    return files


def _all(files: list[Path], is_kind: Callable[[Path], bool]) -> bool:
    return all(map(is_kind, files))
