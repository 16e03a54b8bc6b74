"""A progress bar for notebooks and terminals, drawn by tqdm."""

import math
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from wassergan.callbacks.callback import Callback
from wassergan.config.settings import ResolvedSettings
from wassergan.data import Source
from wassergan.errors import printable
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.tick_distance import distance_in_short
from wassergan.training import Trainer

with warnings.catch_warnings():  # in a notebook without ipywidgets the bar is one of text
    warnings.filterwarnings("ignore", message="IProgress not found")
    from tqdm.auto import tqdm


class ProgressBar(Callback):
    """A progress bar in notebooks and on terminals, and a line for each message."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Open the bar."""
        self._first, self._by_time = trainer.step, settings.steps is None
        self._started_at = trainer.elapsed_seconds
        total = math.ceil(settings.budget or 0) if self._by_time else settings.steps
        unit = "s" if self._by_time else "steps"
        # Seconds per second are no rate.
        form = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} s{postfix}" if self._by_time else None
        self._bar = tqdm(total=total, unit=unit, bar_format=form)

    def on_message(self, sentence: str) -> None:
        """Beside the bar."""
        tqdm.write(printable(sentence), file=sys.stderr)

    def on_step_end(self, trainer: Trainer) -> None:
        """Move the bar."""
        now = int(trainer.elapsed_seconds - self._started_at) if self._by_time else trainer.step - self._first
        if now > self._bar.n:
            self._bar.update(min(now, self._bar.total) - self._bar.n)

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """The distance from the held-out rows, with its floor."""
        self._bar.set_postfix_str(distance_in_short(record))

    def on_close(self) -> None:
        """Leave the bar in its last state; full if the time is up but for less than a step or a second."""
        if self._bar is not None:
            left = self._bar.total - self._bar.n
            if self._by_time and 0 < left <= 0.1 * self._bar.total:
                self._bar.update(left)
            self._bar.close()
