"""What a user hands to an estimator, checked and brought into one form: parameters, labels, conditions."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data
from torch import Tensor

from wassergan.config.parsing import parse_budget, parse_crop
from wassergan.config.setting import held_to_rule
from wassergan.config.settings import TrainSettings
from wassergan.data import (
    LABEL,
    AnyConditions,
    ArrayConditions,
    Schema,
    Source,
    as_array,
    is_frame,
    read_condition_request,
    read_frame,
    read_schema,
    schema_of,
)
from wassergan.data.container import column_names
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.mapped import in_memory, unmapped
from wassergan.errors import UserError, unknown_name

# scikit-learn 1.6 renamed the argument: missing values are learnt, infinite ones are refused.
FINITE = "ensure_all_finite" if "ensure_all_finite" in signature(check_array).parameters else "force_all_finite"


def checked(name: str, value: Any, *, like: str = "") -> Any:
    """A parameter's value, by the rule of the setting of its name, or of another.

    Raises:
        UserError: it is not what it has to be.
    """
    setting = next(each for each in fields(TrainSettings) if each.name == (like or name))
    if setting.metadata["flag"]:
        return held_to_rule(setting, value)
    parse = setting.metadata["parse"]
    mark = "x" if parse is parse_crop else ","
    text = (
        mark.join(map(str, value)) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else value
    )
    if parse is parse_budget and isinstance(value, int | float | np.number) and not isinstance(value, bool):
        text = f"{value}s"  # a number of Python is in seconds
    try:
        return parse(str(text))
    except UserError as error:
        raise UserError(f"{name}: {error.what}", found=error.found, hint=error.hint) from error


def names_of(condition: Sequence[str] | str | None) -> tuple[str, ...]:
    """Names of conditions, of which one may stand alone."""
    return (condition,) if isinstance(condition, str) else tuple(map(str, condition or ()))


def unmapped_rows(rows: Any) -> Any:
    """Rows of an array that a change of a mapped file under it cannot harm; other things as they are."""
    return unmapped(rows) if isinstance(rows, np.ndarray) else rows


def like_first(rows: FileArray) -> NDArray[Any]:
    """Zeros of the type and shape of the first two rows: what scikit-learn asks of shapes and types."""
    return np.zeros([min(length, 2) for length in rows.shape[:1]] + list(rows.shape[1:]), rows.dtype)


def checked_rows(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:  # noqa: N803
    """DataFrames as they are, all else as an array of numbers; features are noted, or held to what was noted."""
    if is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    if isinstance(X, str | PathLike):
        raise UserError(
            "X must be rows, not the name of a file",
            found=f"{X!r}",
            hint="read the file first, as with pandas.read_csv; wassergan.train_run trains on files",
        )
    if hasattr(X, "to_frame"):  # of pandas or polars
        raise UserError(
            "X must be rows, not a single column",
            found=f"a {type(X).__name__} of {len(X)} values",
            hint="give a DataFrame: X.to_frame()",
        )
    rows = unmapped_rows(as_array(X) if isinstance(X, Tensor) else X)
    masked = isinstance(rows, np.ma.MaskedArray) and rows.dtype.kind in "fiub"
    in_file = isinstance(rows, FileArray)  # its values are checked as they are read
    found = check_array(
        like_first(rows) if in_file else rows.data if masked else rows,
        allow_nd=True,
        ensure_min_samples=1 + reset,
        estimator=estimator,
        input_name="X",
        **{FINITE: False if masked else "allow-nan"},
    )
    if in_file:
        found = rows if found.dtype == rows.dtype else check_array(np.asarray(rows), allow_nd=True)
    rows = np.ma.masked_array(found, np.ma.getmaskarray(rows)) if masked else found
    width = math.prod(rows.shape[1:])
    validate_data(estimator, np.broadcast_to(0, (len(rows), width)), reset=reset, skip_check_array=True)
    return rows


def checked_labels(y: Any, rows: Any) -> NDArray[Any]:
    """One label per row, (n,).

    Raises:
        UserError: a label is neither text nor a number.
        ValueError: scikit-learn's own, of another shape or length.
    """
    if np.ma.is_masked(y):
        raise UserError("Labels are masked", found=f"{int(np.ma.getmaskarray(y).sum())} of them", hint="fill them in")
    given = as_array(y) if isinstance(y, Tensor) else y
    labels: NDArray[Any] = column_or_1d(in_memory(given) if isinstance(given, np.ndarray) else given, warn=True)
    check_consistent_length(rows, labels)
    if labels.dtype == object:
        for label in labels:
            if not isinstance(label, str | int | float | np.generic):
                raise UserError("Unknown label type", found=type(label).__name__, hint="give text or numbers alone")
        labels = np.asarray(labels.tolist())
    return labels


def weights_apart(rows: Any, weights: Any) -> tuple[Any, Any]:
    """Rows and their weights, which may be a column of a DataFrame: then the rows are those without it.

    Raises:
        UserError: there is no such column.
    """
    if not isinstance(weights, str):
        return rows, weights
    if not is_frame(rows):
        raise UserError("Arrays have no column of weights", found=f"{weights!r}", hint="give the weights themselves")
    names = column_names(rows)
    if weights not in names:
        raise unknown_name("column with weights", weights, names)
    rest = [name for name in names if name != weights]
    if hasattr(rows, "iloc"):
        return rows.drop(columns=[weights]), rows[weights].to_numpy()
    return rows.select(rest), rows[weights].to_numpy()


def wanted(given: Any, count: int, conditions: AnyConditions | None) -> dict[str, Any]:
    """Condition → a value or `count` of them.

    Args:
        given: a mapping like that; a DataFrame or a list of mappings, row by row; or labels, if they are all there is.
        count: of samples.
        conditions: that samples are drawn under.

    Raises:
        UserError: there are no conditions, no names, or another number of values.
    """
    if conditions is None:
        raise UserError(
            "The estimator was fitted without conditions", hint="name some with condition=[...], or fit(X, y)"
        )
    if isinstance(conditions, ArrayConditions):
        raise UserError("The conditions of the fit are an array", hint="give condition_array instead of given")
    if is_frame(given):
        asked: Mapping[str, Any] = read_condition_request(read_frame(given))
    elif isinstance(given, Mapping):
        asked = given
    elif isinstance(given, list) and given and all(isinstance(row, Mapping) for row in given):
        asked = {name: [row.get(name) for row in given] for name in {name: None for row in given for name in row}}
    elif conditions.names == (LABEL,):
        asked = {LABEL: given}
    else:
        raise UserError(
            "Conditions are given by name", found=f"{given!r}"[:80], hint=f"say which of {conditions.names}"
        )
    asked = {name: _entries(each) for name, each in asked.items()}
    for name, values in asked.items():
        many = len(values) if isinstance(values, list) else 1
        if many not in (1, count):
            raise UserError(f"{count} rows need one {name}, or {count}", found=f"{many}")
    return asked


def _entries(values: Any) -> Any:
    """One value, or a list of them; those that pandas calls missing are None."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = values.astype("datetime64[us]")  # of nanoseconds NumPy makes whole numbers
    if isinstance(values, np.ndarray | Tensor):
        values = values.tolist()
    if isinstance(values, str) or not hasattr(values, "__len__"):
        return None if type(values).__name__ in ("NaTType", "NAType") else values
    return [_entries(each) for each in values]


def schema_given(schema: Any) -> Schema | None:
    """What a mapping or a JSON file says of a table's columns."""
    if schema is None:
        return None
    return schema_of(dict(schema)) if isinstance(schema, Mapping) else read_schema(Path(schema))


def warn_of_left_out(names: Sequence[str], source: Source, schema: Schema) -> None:
    """Of columns that the user did not drop, and that no sample will have."""
    dropped = {name for name, wish in schema.columns.items() if wish.kind == "drop"}
    gone = [name for name in names if name not in {*source.columns, *dropped}]
    if gone:
        warnings.warn(
            f"Left out, as identifiers or free text: {', '.join(gone)}. Drop them, or say what they are: "
            f'schema={{"columns": {{"{gone[0]}": "category"}}}}.',
            UserWarning,
            stacklevel=4,
        )


def plain(name: str, value: Any) -> Any:
    """A parameter's value as a file holds it.

    Raises:
        UserError: it is no plain value.
    """
    match value:
        case np.generic():  # one of them is a float, too
            return value.item()
        case None | bool() | int() | float() | str():
            return value
        case Path():
            return str(value)
        case Mapping():
            return {str(each): plain(name, inner) for each, inner in value.items()}
        case np.ndarray() | list() | tuple():
            return tuple(plain(name, inner) for inner in value)
    raise UserError(f"The parameter {name} cannot be saved", found=f"{value!r}", hint="set it to a plain value")
