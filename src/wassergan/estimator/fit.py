"""Training in memory: without a run folder, with an early end, and with a state that another fit goes on from."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wassergan.callbacks import Callback
from wassergan.config.settings import BIT_CHANGING, CHANGEABLE, ResolvedSettings
from wassergan.data import Source, context_shape
from wassergan.errors import UserError
from wassergan.estimator.state import FitHistory, FitState, on_cpu
from wassergan.evaluation import HeldoutDistance
from wassergan.session.build import build_trainer
from wassergan.session.contents import require_readable
from wassergan.session.fingerprint import fingerprint, require_same_data
from wassergan.session.init_from import start_from, state_to_start_from
from wassergan.session.loop import EarlyStopping, Loop, LoopCallback, Tick
from wassergan.session.state import CheckpointState
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer

# What another fit may change: the length, and the machine; its pace is the recipe's.
MACHINE = {*CHANGEABLE} - {*BIT_CHANGING} | {"device", "threads"}


def fit_source(
    settings: ResolvedSettings,
    source: Source,
    *,
    folder: RunFolder,
    former: FitState | None = None,
    patience: int | None = None,
    callback: Callback,
    interrupted: Callable[[], bool] = lambda: False,
) -> FitState:
    """Train on a source for so many steps or seconds, or until nothing has improved for some ticks.

    Args:
        settings: resolved; `steps` and `budget` count from here on.
        source: the data.
        folder: told to the callback; nothing is written.
        former: what to go on from, bit for bit on the CPU: N steps and N more are 2N.
        patience: ticks without a smaller distance from the held-out rows after which to stop.
        callback: called as it goes on; not closed.
        interrupted: asked after every step.

    Raises:
        UserError: other settings or data than the former fit's.
        WorkError: training diverged.
    """
    if former is not None:
        _require_same_settings(former.settings, settings)
        source = require_same_data(source, former.checkpoint, "X")
    trainer = _trainer(settings, source, former)
    if former is None and settings.init_from:
        start_from(trainer, state_to_start_from(Path(settings.init_from)), settings.init_from, log=callback.on_message)
    recorder = _FitRecorder(former.onward if former else FitHistory(), callback)
    stopping = EarlyStopping(patience, callback.on_message)
    loop = Loop(
        trainer,
        settings,
        distance=HeldoutDistance(source, latent_dim=trainer.latent_dim),
        callbacks=(recorder, stopping),
        history=recorder.course.history,
        last_tick=recorder.course.last_tick,
        interrupted=interrupted,
    )
    callback.on_train_begin(settings, source, folder, trainer)
    loop.train(
        steps=settings.steps and trainer.step + settings.steps,
        budget_seconds=settings.budget and trainer.elapsed_seconds + settings.budget,
    )
    loop.finish()
    state = on_cpu(recorder.state_to_go_on_from(trainer))
    onward = recorder.onward
    if stopping.stopped:  # another fit waits anew
        onward = replace(onward, history=replace(onward.history, waited=0))
    checkpoint = CheckpointState.of(settings, source, state, fingerprint=fingerprint(source))
    return FitState(checkpoint, recorder.course, onward)


def _trainer(settings: ResolvedSettings, source: Source, former: FitState | None) -> Trainer:
    trainer = build_trainer(settings, source)
    given = context_shape(source.context)
    require_readable(settings, source.shape, source.codec, trainer.state_dict(), given=given)
    if former is not None:
        trainer.load_state_dict(former.checkpoint.trainer)
    return trainer


class _FitRecorder(LoopCallback):
    """Keeps the ticks, the best weights, and the state from which a longer fit goes on; tells the observer."""

    def __init__(self, course: FitHistory, callback: Callback) -> None:
        self.course = self.onward = course
        self._callback = callback
        self._before_last_tick: dict[str, Any] | None = None

    def tick_began(self, trainer: Trainer, *, due: bool) -> None:
        # A longer fit would not have ticked at the end of this one, nor begun new means there.
        self._before_last_tick = None if due else trainer.state_dict()

    def on_tick(self, trainer: Trainer, tick: Tick) -> None:
        self.course = self.course.after(tick, trainer.averaged_generator)
        if tick.due:
            self.onward = self.course
        self._callback.on_tick(tick.record)

    def on_step_end(self, trainer: Trainer) -> None:
        self._callback.on_step_end(trainer)

    def state_to_go_on_from(self, trainer: Trainer) -> dict[str, Any]:
        """Of a trainer that has come to its end."""
        return self._before_last_tick or trainer.state_dict()


def _require_same_settings(former: ResolvedSettings, settings: ResolvedSettings) -> None:
    had, asked = asdict(former), asdict(settings)
    different = [name for name in had if name not in MACHINE and had[name] != asked[name]]
    if different:
        raise UserError(
            "A fit can only be resumed with its own settings",
            found="; ".join(f"{name} was {had[name]!r}, is {asked[name]!r}" for name in different),
            hint="set them back, or fit without resume=True",
        )
