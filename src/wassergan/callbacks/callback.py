"""The protocol by which a run tells how it goes."""

from collections.abc import Mapping
from typing import Any

from wassergan.config.settings import ResolvedSettings
from wassergan.data import Source
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer


class Observer:
    """Told how a run goes; derive from it and override what is of interest: every method here does nothing.

    Training does not depend on its observers: they see the live trainer but must not change it, and random numbers
    that they draw, from torch's or NumPy's global state too, are none of the run's. What an observer raises ends the
    run; everything up to the last tick is saved. Of several processes, only the observer of process 0 is told anything.

    The order: `said` at any time; `started` once; then `stepped` after every generator step and `ticked` after
    those that end in a tick; `close` once at the end, whatever happened before.
    """

    def started(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Everything is built and training begins at `trainer.step`, which is above 0 when a run is resumed.

        Args:
            settings: resolved.
            source: the data.
            folder: where things lie; `folder.path` is the run folder.
            trainer: in its state before the first step.
        """

    def said(self, sentence: str) -> None:
        """A sentence about a decision or a finding."""

    def stepped(self, trainer: Trainer) -> None:
        """A generator step is done; be quick, since this is part of the measured speed."""

    def ticked(self, record: Mapping[str, Any]) -> None:
        """A tick is logged and saved, and its sample grid, if there is one, is at `folder.grid(record["step"])`.

        Figures of rows are not drawn at every tick, and that of step 0 only after the first step.

        Args:
            record: what was logged: `step`, and floats by name, such as `sliced_w1`.
        """

    def close(self) -> None:
        """The run is over, was interrupted, failed, or never started."""


class Observers(Observer):
    """Several observers as one, told in the order given; all are closed, even if one of them fails.

    Args:
        observers: any number.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Tell one more, after the others."""
        self._observers.append(observer)

    def started(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Tell all."""
        for each in self._observers:
            each.started(settings, source, folder, trainer)

    def said(self, sentence: str) -> None:
        """Tell all."""
        for each in self._observers:
            each.said(sentence)

    def stepped(self, trainer: Trainer) -> None:
        """Tell all."""
        for each in self._observers:
            each.stepped(trainer)

    def ticked(self, record: Mapping[str, Any]) -> None:
        """Tell all."""
        for each in self._observers:
            each.ticked(record)

    def close(self) -> None:
        """Close all, the last first; the first of their errors is raised when all are closed."""
        errors: list[Exception] = []
        for each in reversed(self._observers):
            try:
                each.close()
            except Exception as error:  # an ExitStack would forget the error that ended the run
                errors.append(error)
        if errors:
            raise errors[0]
