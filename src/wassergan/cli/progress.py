"""What `train` and `resume` show: a bar on a terminal, one line per tick elsewhere."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm

from wassergan.callbacks import Callback
from wassergan.cli.echo import say
from wassergan.config.settings import ResolvedSettings
from wassergan.errors import printable
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.tick_distance import distance_in_short, distance_of


class TerminalProgress(Callback):
    """Writes to standard error, so that standard output stays free for `--json`.

    Args:
        verbose: all values of a tick stand in a line of their own on a terminal too.
        interrupted: whether a signal asked to stop: said at once, for saving and the last tick take a while.
    """

    def __init__(self, *, verbose: bool = False, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._verbose, self._interrupted, self._said = verbose, interrupted, False
        self._bar: Any = None
        self._by_time = False

    def on_train_begin(self, settings: ResolvedSettings, source: Any, folder: RunFolder, trainer: Any) -> None:
        """Say what is trained on what, with which settings, and where it goes."""
        shape = "x".join(map(str, source.shape))
        weights = [sum(p.numel() for p in net.parameters()) for net in (trainer.generator, trainer.critic)]
        self.on_message(
            f"{source.name}: {source.train_count} training, {source.heldout_count} held-out samples of shape {shape}."
        )
        self.on_message(
            f"Preset {settings.preset}: {settings.network} generator ({weights[0]:,} weights) and critic "
            f"({weights[1]:,}), constraint {settings.constraint}, {settings.critic_steps} critic steps of "
            f"{settings.batch_size} samples, {_place(trainer)}, seed {settings.seed}."
        )
        self.on_message(f"Run folder: {folder.path}  (Ctrl-C saves and stops)")
        self._by_time = settings.steps is None
        total = math.ceil(settings.budget or 0) if self._by_time else settings.steps
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=total,
                initial=min(int(trainer.elapsed_seconds), total or 0) if self._by_time else trainer.step,
                unit="s" if self._by_time else "steps",
                bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}, {remaining} left  {desc}",
                file=sys.stderr,
            )

    def on_message(self, sentence: str) -> None:
        """One line."""
        if self._bar is not None:
            self._bar.write(printable(sentence), file=sys.stderr)
        else:
            say(sentence)

    def on_step_end(self, trainer: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            now = int(trainer.elapsed_seconds) if self._by_time else trainer.step
            if now > self._bar.n:
                self._bar.update(min(now, self._bar.total) - self._bar.n)
        if not self._said and self._interrupted():
            self._said = True
            self.on_message("Stopping: measures and saves once more. Ctrl-C again stops without that.")

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """How near samples are, beside the bar; all values in a line where there is none, or for those who ask."""
        values = (
            f"{_trained(record)}{distance_in_short(record)}  "
            + (f"W1 {record['w1_lower']:.3f} to {record['w1_upper']:.3f}  " if "w1_lower" in record else "")
            + f"{record['steps_per_second']:.1f} steps/s"
        )
        if self._bar is not None:
            self._bar.set_description_str(_nearness(record))
        if self._bar is None or self._verbose:
            self.on_message(f"step {record['step']:>7}  {record['elapsed_seconds']:7.1f} s  {values}")

    def on_close(self) -> None:
        """Leave the terminal tidy: a run that came to its end has a full bar."""
        if self._bar is not None:
            if self._by_time and not self._interrupted() and self._bar.n >= 0.9 * self._bar.total:
                self._bar.update(self._bar.total - self._bar.n)
            self._bar.close()
            self._bar = None


def _trained(record: Mapping[str, Any]) -> str:
    """What the networks were trained by since the last tick; a critic that rested has nothing to tell."""
    followed = record.get("negative_log_likelihood")
    unseen = record.get("negative_log_likelihood_heldout")
    told = f" (held-out {unseen:.3f})" if unseen is not None else ""
    likelihood = f"negative log-likelihood {followed:.3f}{told}  " if followed is not None else ""
    if likelihood and "critic_gap" not in record:
        return likelihood
    gap = f"{record['critic_gap']:.3f}" if "critic_gap" in record else "-"
    return (
        f"{likelihood}gap {gap} (held-out {record['critic_gap_heldout']:.3f})  "
        f"gradient norm {record['gradient_norm_mean']:.2f}  "
    )


def _nearness(record: Mapping[str, Any]) -> str:
    """The distance from held-out samples in units of that between real ones; short, so that the bar keeps its room."""
    _, distance, floor = distance_of(record)
    ratio = distance / max(floor, 1e-12)
    return f"error {min(ratio, 9999):.2g} x that of real data"


def _place(trainer: Any) -> str:
    count = trainer.processes.count
    return f"{trainer.device}" if count == 1 else f"{count} processes on {trainer.device.type}"
