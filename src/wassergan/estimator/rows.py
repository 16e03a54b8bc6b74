"""Rows that an estimator is fitted to, and those that it is held against once it is, as sources."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from wassergan.config.settings import AnySettings, TrainSettings
from wassergan.data import Schema, Source, frame_beside, is_frame, open_source
from wassergan.data.container import column_names
from wassergan.errors import UserError
from wassergan.estimator.validation import warn_of_left_out
from wassergan.modality import modality_of
from wassergan.modality.judged import HALF
from wassergan.session.fingerprint import same_data
from wassergan.session.state import CheckpointState


def source_to_fit(
    data: Any,
    labels: NDArray[Any] | None,
    sample_weight: Any,
    settings: TrainSettings,
    *,
    schema: Schema | None,
    log: Callable[[str], None],
    condition_array: Any = None,
) -> Source:
    """Rows as a source to train on.

    Args:
        data: a DataFrame or an array.
        labels: of the rows, if they are drawn under some: the last of the conditions in the settings.
        sample_weight: of the rows.
        settings: how to read them, and the seed of the split.
        schema: what the user says of the columns.
        log: receives, in a sentence, what was decided on the way.
        condition_array: what the rows are drawn under, if that is an array.

    Raises:
        UserError: the rows cannot be read as the settings and the schema say.
    """
    of_frame, condition = is_frame(data), settings.condition or ()
    if schema is not None and not of_frame:
        raise UserError("A schema is for DataFrames", found="an array", hint="leave it out")
    if condition[: len(condition) - (labels is not None)] and not of_frame:
        raise UserError("Arrays have no columns to condition on", hint="give their labels instead: fit(X, y)")
    how: dict[str, Any] = {"completion": settings.completion, "log": log}
    source = _opened(data, labels, condition_array, sample_weight, settings, schema, **how)
    if of_frame:
        warn_of_left_out(column_names(data), source, schema or Schema())
    return source


def source_of_rows(
    data: Any,
    labels: NDArray[Any] | None,
    sample_weight: Any,
    state: CheckpointState,
    *,
    schema: Schema | None,
    condition_array: Any = None,
) -> tuple[Source, bool]:
    """Real rows as a source split in two, and whether they are those of the fit, split as they were then.

    Args:
        data: a DataFrame or an array of the kind that was fitted.
        labels: of the rows, if the estimator was fitted with labels.
        sample_weight: of the rows.
        state: of the fit.
        schema: what the user said of the columns.
        condition_array: the conditions of the rows, if the estimator was fitted under an array.

    Raises:
        UserError: rows of another kind, shape or type.
    """
    try:
        own = _opened(data, labels, condition_array, sample_weight, state.settings, schema)
    except UserError:
        own = None  # such as of too few rows for the share that was held out then
    if own is not None and (same := same_data(own, state)) is not None:
        return same, True
    half = replace(state.settings, heldout=HALF)
    found = _opened(data, labels, condition_array, sample_weight, half, schema)
    rows = _with_labels(data, labels)
    return modality_of(state.kind).recoded(found, rows, state.codec, state.shape, schema=schema), False


def _opened(
    data: Any,
    labels: NDArray[Any] | None,
    condition_array: Any,
    sample_weight: Any,
    settings: AnySettings,
    schema: Schema | None,
    *,
    completion: bool = False,
    log: Callable[[str], None] = lambda sentence: None,
) -> Source:
    of_frame = is_frame(data)
    return open_source(
        _with_labels(data, labels),
        layout=settings.layout,
        scale=settings.scale,
        missing=settings.missing or (),
        channels=settings.channels or (),
        schema=schema,
        condition=settings.condition or () if of_frame or labels is not None else (),
        completion=completion,
        labels=None if of_frame else labels,
        condition_array=condition_array,
        condition_layout=settings.condition_layout if condition_array is not None else "auto",
        sample_weight=sample_weight,
        crop=settings.crop,
        heldout=settings.heldout,
        seed=settings.seed,
        log=log,
    )


def _with_labels(data: Any, labels: NDArray[Any] | None) -> Any:
    """A DataFrame with its labels as a column; arrays have theirs beside them."""
    return frame_beside(data, labels) if labels is not None and is_frame(data) else data
