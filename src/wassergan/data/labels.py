"""Conditions that do not stand in a table with the samples: labels of pictures and arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.arrays import load_array
from wassergan.data.columnar import is_columnar, whole_table
from wassergan.data.idx import is_idx, read_idx
from wassergan.data.source import Source
from wassergan.data.tables import (
    MOST_CLASSES,
    RawTable,
    arrow_of,
    is_csv,
    is_frame,
    raw_array,
    raw_texts,
    read_csv,
    read_frame,
)
from wassergan.errors import UserError, unknown_name

LABEL, FOLDER = "label", "folder"


def label_table(data: Any, source: Source, *, condition: Sequence[str], labels: Any) -> RawTable:
    """A table with one row per sample, whose columns samples can be conditioned on.

    Args:
        data: where the samples came from: the digits and pictures in folders have labels of their own, and so have
            `.npz` files with other arrays.
        source: the samples.
        condition: names that the user gave.
        labels: None; an array, a list or a frame with one entry per sample; or a `.npy`, IDX, CSV, Parquet, Arrow or
            Feather file of that.

    Raises:
        UserError: there are no labels, no such labels, or another number of them.
    """
    table = _own(data, source, condition) if labels is None else _told(labels)
    if table.rows != len(source):
        raise UserError(
            f"{table.name} does not hold one row per sample", found=f"{table.rows} rows for {len(source)} samples"
        )
    return table


def frame_beside(frame: Any, labels: NDArray[Any]) -> Any:
    """A DataFrame, and its rows' labels (n,) as a last column, as an Arrow table; a few different labels are classes.

    Raises:
        UserError: pyarrow is missing, a column holds values of several types, or one has the labels' name.
    """
    table = arrow_of(frame)
    import pyarrow

    if LABEL in table.column_names:
        raise UserError(
            f"The DataFrame has a column {LABEL}, as labels beside it would be called", mend="give it another name"
        )
    column = pyarrow.array(labels, from_pandas=True)
    if not pyarrow.types.is_floating(column.type) and len(column.unique()) <= MOST_CLASSES:
        column = column.dictionary_encode()
    return table.append_column(LABEL, column)


def _own(data: Any, source: Source, condition: Sequence[str]) -> RawTable:
    if isinstance(data, str | Path) and str(data) == "digits":
        from wassergan.data.digits import digit_labels

        return raw_array({LABEL: digit_labels()}, "digits")
    if source.folders is not None:
        return raw_texts({FOLDER: source.folders()}, source.name)
    if isinstance(data, str | Path) and Path(data).suffix == ".npz":
        return raw_array({name: _flat(load_array(Path(data), key=name)[1], name) for name in condition}, source.name)
    raise UserError(f"{source.name} holds no labels to condition on", mend="give a file with one row each: --labels")


def _told(labels: Any) -> RawTable:
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    if is_frame(labels):
        return read_frame(labels)
    if not isinstance(labels, str | Path):
        return raw_array({LABEL: _flat(np.asarray(labels), "labels")}, "labels")
    path = Path(labels)
    if not path.exists():
        raise UserError(f"There is no {path}", mend="give a file of labels")
    if is_csv(path):
        return read_csv(path)
    if is_columnar(path):
        return whole_table([path], path.name)
    if path.suffix == ".npy":
        return raw_array({LABEL: _flat(load_array(path, key=None)[1], path.name)}, path.name)
    if is_idx(path):
        return raw_array({LABEL: _flat(read_idx(path), path.name)}, path.name)
    raise unknown_name("kind of labels", path.suffix, (".npy", ".csv", ".parquet", ".feather", ".arrow", "IDX"))


def _flat(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise UserError(f"{name} is no list of labels", found=f"an array of shape {array.shape}")
    return array
