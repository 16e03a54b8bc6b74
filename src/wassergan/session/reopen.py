"""The data of a run opened again, and other data in their place: the one way, so that no setting is forgotten."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wassergan.data import Source
from wassergan.errors import UserError, parameter
from wassergan.modality import modality_of
from wassergan.session.build import open_data
from wassergan.session.fingerprint import require_same_data
from wassergan.session.state import CheckpointState


def reopened(
    state: CheckpointState, data: str | None, *, condition_array: str | None = None, log: Callable[[str], None]
) -> Source:
    """The data that a run was trained on, opened as they were then, with the run's codec.

    Args:
        state: of the run.
        data: where they lie now; where they lay unless given.
        condition_array: where their conditions lie now, if those are an array.
        log: receives, in a sentence, what was decided on the way.

    Raises:
        UserError: they are gone, cannot be read, or are others.
    """
    path = data or state.settings.data
    if not path:
        raise UserError(
            "The run was trained on data in memory", hint=f"say where the data lie with {parameter('data')}"
        )
    settings = state.settings
    if condition_array is not None:
        settings = replace(settings, condition_array=condition_array)
    return require_same_data(open_data(settings, data=path, log=log), state, path)


def others_like(
    state: CheckpointState,
    source: Source,
    data: str,
    *,
    sheet: str | None,
    condition_array: str | None = None,
    log: Callable[[str], None],
) -> Any:
    """Other real samples, opened as the data of a run were: its key, layout, channels, schema and the like.

    Args:
        state: of the run.
        source: its own data.
        data: where the others lie.
        condition_array: their conditions, where those of the run are an array.
        sheet: of a workbook; that of the run unless given.
        log: receives, in a sentence, what was decided on the way.

    Returns:
        What `Modality.others` makes of them.

    Raises:
        UserError: they cannot be read, or are of another kind or shape.
    """
    settings = state.settings

    def opened() -> Source:
        return open_data(settings, data=data, like=source, condition_array=condition_array, log=log)

    modality = modality_of(state.kind)
    return modality.others(
        data,
        source,
        opened,
        sheet=sheet or settings.sheet,
        schema=settings.schema,
        weight=settings.weight,
        log=log,
    )
