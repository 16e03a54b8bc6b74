"""The protocol by which a run is followed."""

from collections.abc import Mapping
from typing import Any, Self

from wassergan.config.settings import ResolvedSettings
from wassergan.data import Source
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer


class Callback:
    """Called as a run goes on; derive from it and override what is of interest: every method here does nothing.

    Training does not depend on its callbacks: they see the live trainer but must not change it, and random numbers
    that they draw, from torch's or NumPy's global state too, are none of the run's. What a callback raises ends the
    run; everything up to the last tick is saved. Of several processes, only that of process 0 is called.

    The order: `on_message` at any time; `on_train_begin` once; then `on_step_end` after every generator step and
    `on_tick` after those that end in a tick; `on_close` once at the end, whatever happened before.
    """

    def on_train_begin(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Everything is built and training begins at `trainer.step`, which is above 0 when a run is resumed.

        Args:
            settings: resolved.
            source: the data.
            folder: where things lie; `folder.path` is the run folder.
            trainer: in its state before the first step.
        """

    def on_message(self, sentence: str) -> None:
        """A sentence about a decision or a finding."""

    def on_step_end(self, trainer: Trainer) -> None:
        """A generator step is done; be quick, since this is part of the measured speed."""

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """A tick is logged and saved, and its sample grid, if there is one, is at `folder.grid(record["step"])`.

        Figures of rows are not drawn at every tick, and that of step 0 only after the first step.

        Args:
            record: what was logged: `step`, and floats by name, such as `sliced_w1`.
        """

    def on_close(self) -> None:
        """The run is over, was interrupted, failed, or never started."""


class CallbackList(Callback):
    """Several callbacks as one, called in the order given; all are closed, even if one of them fails.

    Args:
        callbacks: any number.
    """

    def __init__(self, *callbacks: Callback) -> None:
        self._callbacks = list(callbacks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.on_close()

    def add(self, callback: Callback) -> None:
        """Call one more, after the others."""
        self._callbacks.append(callback)

    def on_train_begin(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Call all."""
        for each in self._callbacks:
            each.on_train_begin(settings, source, folder, trainer)

    def on_message(self, sentence: str) -> None:
        """Call all."""
        for each in self._callbacks:
            each.on_message(sentence)

    def on_step_end(self, trainer: Trainer) -> None:
        """Call all."""
        for each in self._callbacks:
            each.on_step_end(trainer)

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """Call all."""
        for each in self._callbacks:
            each.on_tick(record)

    def on_close(self) -> None:
        """Close all, the last first; the first of their errors is raised when all are closed."""
        errors: list[Exception] = []
        for each in reversed(self._callbacks):
            try:
                each.on_close()
            except Exception as error:  # an ExitStack would forget the error that ended the run
                errors.append(error)
        if errors:
            raise errors[0]
