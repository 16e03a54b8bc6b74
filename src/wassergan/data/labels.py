"""Conditions that do not stand in a table with the samples: labels of pictures and arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.joining import row_order, taken
from wassergan.data.naming import FOLDER, Names
from wassergan.data.readers.arrays import load_array
from wassergan.data.readers.columnar import is_columnar, whole_table
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.data.readers.mapped import in_memory
from wassergan.data.readers.marks import unchanging
from wassergan.data.records import JSON_SUFFIXES, read_records
from wassergan.data.source import Source
from wassergan.data.tables import (
    MOST_CLASSES,
    AnyColumn,
    RawTable,
    TextColumn,
    TypedColumn,
    arrow_of,
    is_csv,
    is_frame,
    raw_array,
    read_csv,
    read_frame,
)
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import require_regular

LABEL = "label"
KINDS = (".npy", ".csv", ".json", ".jsonl", ".parquet", ".feather", ".arrow", "IDX")
FEW_CLASSES = 20  # different whole numbers in a table of labels that are classes
Log = Callable[[str], None]


def label_table(data: Any, source: Source, *, condition: Sequence[str], labels: Any, log: Log) -> RawTable:
    """A table with one row per sample, whose columns samples can be conditioned on.

    Args:
        data: where the samples came from: the digits, pictures in folders and shards have labels of their own, and so
            have `.npz` files with other arrays.
        source: the samples.
        condition: names that the user gave.
        labels: None; an array, a list or a frame with one entry per sample; or a `.npy`, IDX, CSV, JSON, Parquet,
            Arrow or Feather file of that. A table may name the samples' files; then its order does not matter.
        log: receives how labels and samples were brought together.

    Raises:
        UserError: there are no labels, no such labels, or not exactly one for each sample.
    """
    if source.names is not None:
        return _with_classes(_of_files(source.names, source.name, condition, labels, log))
    table = _own(data, source, condition) if labels is None else _told(labels)
    if table.rows != len(source):
        raise UserError(
            f"{table.name} does not hold one row per sample", found=f"{table.rows} rows for {len(source)} samples"
        )
    return _with_classes(table)


def frame_beside(frame: Any, labels: NDArray[Any]) -> Any:
    """A DataFrame, and its rows' labels (n,) as a last column, as an Arrow table; a few different labels are classes.

    Raises:
        UserError: pyarrow is missing, a column holds values of several types, or one has the labels' name.
    """
    table = arrow_of(frame)
    import pyarrow

    if LABEL in table.column_names:
        raise UserError(
            f"The DataFrame has a column {LABEL}, as labels beside it would be called", hint="give it another name"
        )
    column = pyarrow.array(labels, from_pandas=True)
    if not pyarrow.types.is_floating(column.type) and len(column.unique()) <= MOST_CLASSES:
        column = column.dictionary_encode()
    return table.append_column(LABEL, column)


def _of_files(names: Names, name: str, condition: Sequence[str], labels: Any, log: Log) -> RawTable:
    """Labels of pictures that are files: their own, and those of a table."""
    kept = names.kept()
    if kept is None:
        raise UserError(
            "Labels cannot follow pictures that may turn out unreadable while training",
            found=f"{parameter('skip_unreadable', True)} with more pictures than are kept in memory in {name}",
            hint=f"remove the unreadable ones, or choose a smaller {parameter('size')}",
        )
    if labels is None:
        table = _beside(names, name, condition, log)
    else:
        told = _told(labels)
        order = row_order(told, names.found(), log=log)
        table = taken(told, order.rows, without=order.column)
        table = _joined(table, _known(names, name, [each for each in condition if not _holds(table, each)]))
    for note in table.notes:
        log(note)
    return taken(table, kept)


def _beside(names: Names, name: str, condition: Sequence[str], log: Log) -> RawTable:
    """Labels that lie with the pictures: what is known of each file, else tables in the folder."""
    known = _known(names, name, condition)
    left = [each for each in condition if not _holds(known, each)]
    if not left:
        return known
    tables = names.tables()
    if not tables:
        raise UserError(
            f"{name} holds no labels to condition on",
            found=", ".join(left),
            hint=f"condition on {FOLDER}, or give a file with one row for each picture: {parameter('labels')}",
        )
    parts, rows = [], []
    for each in tables:
        part = _told(each.path)
        order = row_order(part, each.names, log=log)
        parts.append(taken(part, order.rows, without=order.column))
        rows.extend(each.places)
    table = taken(_stacked(parts), np.argsort(np.array(rows), kind="stable"))
    return _joined(table, known)


def _known(names: Names, name: str, wanted: Sequence[str]) -> RawTable:
    columns = names.columns(wanted)
    return raw_array({each: _array_of(values) for each, values in columns.items()}, name)


def _array_of(values: Sequence[Any]) -> NDArray[Any]:
    return np.asarray(values) if len({type(each) for each in values}) == 1 else np.asarray(list(map(str, values)))


def _holds(table: RawTable, name: str) -> bool:
    return any(column.name == name for column in table.columns)


def _joined(table: RawTable, more: RawTable) -> RawTable:
    return replace(table, columns=(*table.columns, *more.columns)) if more.columns else table


def _stacked(tables: Sequence[RawTable]) -> RawTable:
    """The rows of several tables with the same columns."""
    first, *others = tables
    if not others:
        return first
    columns = []
    for index, column in enumerate(first.columns):
        alike = [table.columns[index] if index < len(table.columns) else None for table in tables]
        if any(each is None or type(each) is not type(column) or each.name != column.name for each in alike):
            raise UserError(
                f"The tables {first.name} of several folders have other columns",
                found=column.name,
                hint="make them alike",
            )
        columns.append(_end_to_end([each for each in alike if each is not None]))
    return replace(first, columns=tuple(columns), rows=sum(table.rows for table in tables), arrow=None)


def _end_to_end(columns: Sequence[AnyColumn]) -> AnyColumn:
    first = columns[0]
    if isinstance(first, TextColumn):
        levels: dict[str, int] = {}
        codes = []
        for column in columns:
            assert isinstance(column, TextColumn)
            known = [levels.setdefault(level, len(levels)) for level in column.levels]
            codes.append(np.array([*known, -1], np.int32)[column.codes])
        return TextColumn(first.name, list(levels), np.concatenate(codes))
    if isinstance(first, TypedColumn):
        values = np.concatenate([column.values for column in columns if isinstance(column, TypedColumn)])
        return replace(first, values=values, exact=None)
    return first


def _with_classes(table: RawTable) -> RawTable:
    """The same, where few different whole numbers without gaps in the rows are names of classes."""
    return replace(table, columns=tuple(map(_as_classes, table.columns)))


def _as_classes(column: AnyColumn) -> AnyColumn:
    if isinstance(column, TextColumn) and not column.declared and (column.codes >= 0).all():
        whole = len(column.levels) <= FEW_CLASSES and all(each.isdecimal() and each.isascii() for each in column.levels)
        plain = whole and all(str(int(each)) == each for each in column.levels)
        if plain and 2 * len(column.levels) <= len(column.codes):
            return _classes(column.name, np.array(list(map(int, column.levels)), np.int64)[column.codes])
    if isinstance(column, TypedColumn) and column.kind == "number" and column.whole:
        classes = len(np.unique(column.values))
        if np.isfinite(column.values).all() and classes <= min(FEW_CLASSES, len(column.values) // 2):
            return _classes(column.name, column.values.astype(np.int64))
    return column


def _classes(name: str, values: NDArray[np.int64]) -> AnyColumn:
    (column,) = raw_array({name: values}, name).columns
    return column


def _own(data: Any, source: Source, condition: Sequence[str]) -> RawTable:
    if isinstance(data, str | Path) and str(data) == "digits":
        from wassergan.data.readers.digits import digit_labels

        return raw_array({LABEL: digit_labels()}, "digits")
    if isinstance(data, str | Path) and Path(data).suffix == ".npz":
        with unchanging([Path(data)]):
            arrays = {name: _flat(load_array(Path(data), key=name)[1], name) for name in condition}
        return raw_array(arrays, f"{Path(data).name}:{','.join(condition)}")
    raise UserError(
        f"{source.name} holds no labels to condition on", hint=f"give a file with one row each: {parameter('labels')}"
    )


def _told(labels: Any) -> RawTable:
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    if is_frame(labels):
        return read_frame(labels)
    if not isinstance(labels, str | Path):
        return raw_array({LABEL: _flat(in_memory(np.asarray(labels)), "labels")}, "labels")
    path = Path(labels)
    if not path.exists():
        raise UserError(f"There is no {path}", hint="give a file of labels")
    require_regular(path)
    with unchanging([path]):
        return _labels_in(path)


def _labels_in(path: Path) -> RawTable:
    if is_csv(path):
        return read_csv(path)
    if is_columnar(path):
        return whole_table([path], path.name)
    if path.suffix.lower() in JSON_SUFFIXES:
        return read_records(path)
    if path.suffix == ".npy":
        return raw_array({LABEL: _flat(load_array(path, key=None)[1], path.name)}, path.name)
    if is_idx(path):
        return raw_array({LABEL: _flat(read_idx(path), path.name)}, path.name)
    raise unknown_name("kind of labels", path.suffix, KINDS)


def _flat(found: NDArray[Any] | FileArray, name: str) -> NDArray[Any]:
    array = np.asarray(found)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise UserError(f"{name} is no list of labels", found=f"an array of shape {array.shape}")
    return array
