"""Rows that a fitted estimator is held against, as a source in the units and the codec of the fit."""

from typing import Any

from numpy.typing import NDArray

from wassergan.data import Schema, Source, frame_beside, is_frame, open_source
from wassergan.errors import UserError
from wassergan.modality import modality_of
from wassergan.modality.judged import HALF
from wassergan.session.fingerprint import same_data
from wassergan.session.state import CheckpointState


def source_of_rows(
    data: Any, labels: NDArray[Any] | None, sample_weight: Any, state: CheckpointState, *, schema: Schema | None
) -> tuple[Source, bool]:
    """Real rows as a source split in two, and whether they are those of the fit, split as they were then.

    Args:
        data: a DataFrame or an array of the kind that was fitted.
        labels: of the rows, if the estimator was fitted with labels.
        sample_weight: of the rows.
        state: of the fit.
        schema: what the user said of the columns.

    Raises:
        UserError: rows of another kind, shape or type.
    """
    own = _opened(data, labels, sample_weight, state, schema, heldout=state.settings.heldout)
    if own is not None and (same := same_data(own, state)) is not None:
        return same, True
    found = _opened(data, labels, sample_weight, state, schema, heldout=HALF)
    if found is None:
        raise UserError("The rows cannot be read as those that were fitted", hint="give rows of the same kind")
    rows = _with_labels(data, labels)
    return modality_of(state.kind).recoded(found, rows, state.codec, state.shape, schema=schema), False


def _opened(
    data: Any,
    labels: NDArray[Any] | None,
    sample_weight: Any,
    state: CheckpointState,
    schema: Schema | None,
    *,
    heldout: float | None,
) -> Source | None:
    settings, of_frame = state.settings, is_frame(data)
    try:
        return open_source(
            _with_labels(data, labels),
            layout=settings.layout,
            scale=settings.scale,
            missing=settings.missing or (),
            channels=settings.channels or (),
            schema=schema,
            condition=settings.condition or () if of_frame or labels is not None else (),
            labels=None if of_frame else labels,
            sample_weight=sample_weight,
            heldout=heldout,
            seed=settings.seed,
        )
    except UserError:
        if heldout == HALF:
            raise
        return None  # such as of too few rows for the share that was held out then


def _with_labels(data: Any, labels: NDArray[Any] | None) -> Any:
    """A DataFrame with its labels as a column; arrays have theirs beside them."""
    return frame_beside(data, labels) if labels is not None and is_frame(data) else data
