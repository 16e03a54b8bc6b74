"""What a run keeps while it trains: measurements, log, checkpoints and pictures."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wassergan.callbacks import Callback, CallbackList, TensorBoardCallback, tensorboard_installed
from wassergan.config.settings import ResolvedSettings
from wassergan.data import AnyConditions, ArrayConditions, ColumnConditions, Source
from wassergan.errors import encodable, parameter, unknown_name
from wassergan.modality import modality_of
from wassergan.report import write_report
from wassergan.sampling.sampler import Sampler
from wassergan.session.fingerprint import fingerprint
from wassergan.session.loop import History, LoopCallback, Tick
from wassergan.session.run_content import run_summary, ticks_until
from wassergan.session.state import Best, CheckpointState
from wassergan.storage.checkpoint import Checkpoints
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import RunLog, read_log
from wassergan.training import DistributedContext, Trainer
from wassergan.training.tick_schedule import figure_due, tick_due

FIRST_CURVES_SECONDS = 75.0  # the first figure takes more than a second; a short run draws it at its end
CURVES_SHARE = 0.02  # of the run's time may go into redrawing the curves
SAVE_EVERY_SECONDS = 300.0
ON_DIVERGENCE = ("stop", "rollback")


def checkpoints_kept(settings: ResolvedSettings) -> int:
    """How many numbered ones: a run that goes back twice to one step must find the one before."""
    return max(settings.keep, 2 if settings.on_divergence == "rollback" else 1)


@dataclass(frozen=True)
class Run:
    """A run as it is trained; `best` and `rollbacks` are those of before this process."""

    settings: ResolvedSettings
    folder: RunFolder
    source: Source
    trainer: Trainer
    best: Best = field(default_factory=Best)
    rollbacks: tuple[dict[str, Any], ...] = ()


class RunRecorder(LoopCallback):
    """Logs, saves and draws a run, and tells the callback; on process 0."""

    def __init__(self, run: Run, callback: Callback) -> None:
        self._run, self._callback, self._best = run, callback, run.best
        self._modality = modality_of(run.source.kind)
        self._rollbacks = list(run.rollbacks)
        self._fingerprint = fingerprint(run.source)
        self._checkpoints = Checkpoints(run.folder.checkpoints, keep=checkpoints_kept(run.settings))
        self._log = RunLog(run.folder.log)
        self._first_figure: NDArray[Any] | None = None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Draw what a killed run had not drawn yet, and tell the observer."""
        run = self._run
        modality = self._modality
        self._real = modality.training_samples(run.source, modality.preview_count) if modality.is_figure else None
        logged = read_log(run.folder.log)
        self._saved_at, self._curves_due = time.perf_counter(), time.perf_counter() + FIRST_CURVES_SECONDS
        step = trainer.step
        drawn = not run.settings.previews or not self._picture_due(step) or run.folder.grid(step).exists()
        if logged and logged[-1]["step"] == step and not drawn:
            self._draw_samples(trainer)  # killed between the checkpoint and its picture
        self._callback.on_train_begin(run.settings, run.source, run.folder, trainer)

    def tick_began(self, trainer: Trainer, *, due: bool) -> None:
        """Refuse to go on with a folder that is no longer this run's."""
        self._run.folder.require_own()

    def on_tick(self, trainer: Trainer, tick: Tick) -> None:
        """Log, save and draw."""
        settings, record = self._run.settings, dict(tick.record)
        if self._rollbacks:
            record["rollbacks"] = len(self._rollbacks)
        self._best = tick.history.best
        self._log.append(record)
        self._save(trainer, improved=tick.improved)
        if settings.previews and self._picture_due(trainer.step):
            if trainer.step == 0 and self._modality.is_figure:
                self._first_figure = self._drawn(trainer)
            else:
                self._draw_samples(trainer)
        started = time.perf_counter()
        if started >= self._curves_due:
            self._draw_curves()
            spent = time.perf_counter() - started
            self._curves_due = time.perf_counter() + spent / CURVES_SHARE
        self._callback.on_tick(record)

    def save_due(self) -> bool:
        """Whether the last checkpoint is some minutes old."""
        return time.perf_counter() - self._saved_at > SAVE_EVERY_SECONDS

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint between two ticks."""
        self._save(trainer, improved=False)

    def on_step_end(self, trainer: Trainer) -> None:
        """Tell the observer."""
        self._callback.on_step_end(trainer)
        self._draw_first_figure()

    def finished(self, trainer: Trainer) -> None:
        """Draw what is left to draw, and write the page."""
        self._draw_first_figure()
        self._checkpoints.trim()  # a full disk may have come between the last save and this
        if self._run.settings.previews and not self._run.folder.grid(trainer.step).exists():
            self._draw_samples(trainer)
        self._draw_curves()
        write_run_report(self._run.folder.path)

    def went_back(self, trainer: Trainer, history: History, rollback: dict[str, Any]) -> None:
        """Save the state that was gone back to, and cut the log after it."""
        step = rollback["step"]
        self._run.folder.require_own()
        self._rollbacks.append(rollback)
        self._best = history.best
        # First, so that a killed run does not count afresh, and goes on from where its log ends.
        self._save(trainer, improved=False, drop_later=True)
        self._log.cut_after(step or -1)
        self._callback.on_message(
            f"Went back from step {rollback['diverged']} to step {step}, with {trainer.lr_scale:.3g} times the first "
            f"rates ({len(self._rollbacks)} of at most {self._run.settings.rollbacks}): {rollback['found']}."
        )

    def _save(self, trainer: Trainer, *, improved: bool, drop_later: bool = False) -> None:
        self._run.folder.require_own()
        state = CheckpointState.of(
            self._run.settings,
            self._run.source,
            trainer.state_dict(),
            fingerprint=self._fingerprint,
            best=self._best,
            rollbacks=tuple(self._rollbacks),
        )
        self._checkpoints.save(state.content(), step=trainer.step, best=improved, drop_later=drop_later)
        self._saved_at = time.perf_counter()

    def _picture_due(self, step: int) -> bool:
        """At every tick where a picture is samples side by side; figures of rows take longer."""
        longest = self._run.settings.tick_steps
        off_rule = not tick_due(step, longest=longest)  # the end of a run
        return not self._modality.is_figure or off_rule or figure_due(step, longest=longest)

    def _draw_samples(self, trainer: Trainer) -> None:
        self._picture(self._drawn(trainer), trainer.step)

    def _draw_first_figure(self) -> None:
        """The figure of step 0, once a step was taken: what draws it takes seconds to import."""
        if self._first_figure is not None:
            self._run.folder.require_own()
            self._picture(self._first_figure, 0)
            self._first_figure = None

    def _drawn(self, trainer: Trainer) -> NDArray[Any]:
        source = self._run.source
        drawn = Sampler(
            trainer.averaged_generator, trainer.latent_dim, source.codec, source.kind, _conditions_of(source)
        )
        return drawn.draw(self._modality.preview_count)

    def _picture(self, samples: NDArray[Any], step: int) -> None:
        codec = self._modality.own(self._run.source.codec)
        self._modality.save_picture(samples, self._run.folder.grid(step), codec, real=self._real)

    def _draw_curves(self) -> None:
        from wassergan.plots import curves_figure, save_figure  # matplotlib takes half a second to import

        save_figure(curves_figure(read_log(self._run.folder.log)), self._run.folder.curves)


def recorder_of(run: Run, processes: DistributedContext, callbacks: CallbackList) -> RunRecorder | None:
    """Who records a run, on process 0, and tells the callbacks; nobody does on the others.

    Raises:
        UserError: settings that only matter here are wrong.
    """
    if run.settings.on_divergence not in ON_DIVERGENCE:
        raise unknown_name(parameter("on_divergence"), run.settings.on_divergence, ON_DIVERGENCE)
    if processes.rank > 0:
        return None
    wanted = run.settings.tensorboard
    if wanted or (wanted is None and tensorboard_installed()):
        if str(run.folder.path) == encodable(str(run.folder.path)):
            callbacks.add(TensorBoardCallback())
        else:
            callbacks.on_message("No TensorBoard files are written: it takes no folder whose name is no UTF-8.")
    return RunRecorder(run, callbacks)


def write_run_report(folder: Path, path: Path | None = None, *, evaluated: Path | None = None) -> Path:
    """Write the page of a run, `report.html` in its folder unless told otherwise; returns where.

    Args:
        folder: of the run.
        path: the HTML file.
        evaluated: the folder with what an evaluation found; the run's own unless given.

    Raises:
        UserError: there is no run, or no tick yet.
    """
    run_folder = RunFolder(folder)
    path = run_folder.require_target(path or run_folder.report)
    RunFolder(evaluated or folder).finish_results()
    summary = run_summary(folder)
    write_report(summary, ticks_until(summary["steps"], run_folder), folder, path, evaluated=evaluated)
    return path


def _conditions_of(source: Source) -> AnyConditions | None:
    conditions = source.conditions
    assert conditions is None or isinstance(conditions, ColumnConditions | ArrayConditions)
    return conditions
