"""Training in memory: without a run folder, with an early end, and with a state that another fit goes on from."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from wassergan.callbacks import Observer
from wassergan.config.settings import BIT_CHANGING, CHANGEABLE, TrainSettings
from wassergan.data import Source
from wassergan.errors import UserError
from wassergan.evaluation import HeldoutDistance
from wassergan.session.build import build_trainer
from wassergan.session.contents import require_readable, require_sound
from wassergan.session.fingerprint import fingerprint, require_same_data
from wassergan.session.state import CheckpointState
from wassergan.storage.files import scratch_folder
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer
from wassergan.training.tick_schedule import tick_due

Record = Mapping[str, Any]
# What another fit may change: the length, and the machine; its pace is the recipe's.
MACHINE = {*CHANGEABLE} - {*BIT_CHANGING} | {"device", "threads"}


@dataclass(frozen=True)
class Course:
    """What the ticks of a fit have shown.

    Args:
        history: what was measured at each tick, as it stands in a run's `log.jsonl`.
        best_sliced_w1: the smallest distance from the held-out samples.
        best_step: where that was.
        best_weights: of the averaged generator there.
        waited: ticks since then.
    """

    history: tuple[Record, ...] = ()
    best_sliced_w1: float = float("inf")
    best_step: int = 0
    best_weights: Mapping[str, Tensor] | None = None
    waited: int = 0

    def after(self, record: Record, weights: Mapping[str, Tensor]) -> "Course":
        """The course with one more tick, and the averaged generator's weights there."""
        history = (*self.history, record)
        if record["sliced_w1"] < self.best_sliced_w1:
            return Course(history, record["sliced_w1"], record["step"], on_cpu(weights))
        return replace(self, history=history, waited=self.waited + 1)

    def state(self) -> dict[str, Any]:
        """Tensors and plain types, for a file."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Course":
        """The inverse of `state`."""
        return cls(**{**state, "history": tuple(state["history"])})


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves behind: plain data, from which networks are built and another fit goes on.

    Args:
        checkpoint: as a run has it, without the best tick; its `trainer` is the state that another fit goes on from.
        course: of all ticks.
        onward: of the ticks that a longer fit has too: without one that came only because the fit ended there.
    """

    checkpoint: CheckpointState
    course: Course
    onward: Course

    @property
    def step(self) -> int:
        """Generator steps so far."""
        return self.checkpoint.step

    @property
    def settings(self) -> TrainSettings:
        """Resolved settings."""
        return self.checkpoint.settings

    def require_sound(self) -> None:
        """Refuse what no fit leaves behind, as it comes from a file.

        Raises:
            UserError: names what is missing, foreign or out of range.
        """
        require_sound(self.checkpoint)
        for course in (self.course, self.onward):
            counts = (course.best_step, course.waited)
            assert all(isinstance(each, int) and each >= 0 for each in counts), counts
            assert all(isinstance(each, dict) and isinstance(each["step"], int) for each in course.history)
            assert isinstance(course.best_sliced_w1, int | float)
            if course.best_weights is not None:
                require_sound(self.checkpoint.with_average(course.best_weights))

    def state(self) -> dict[str, Any]:
        """Tensors and plain types, for a file."""
        return {**self.checkpoint.content_of_fit(), "course": self.course.state(), "onward": self.onward.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Fitted":
        """The inverse of `state`."""
        courses = {name: Course.from_state(state[name]) for name in ("course", "onward")}
        return cls(CheckpointState.from_fit(state), **courses)


def fit_source(
    settings: TrainSettings,
    source: Source,
    *,
    folder: RunFolder,
    former: Fitted | None = None,
    patience: int | None = None,
    observer: Observer,
    interrupted: Callable[[], bool] = lambda: False,
) -> Fitted:
    """Train on a source for so many steps or seconds, or until nothing has improved for some ticks.

    Args:
        settings: resolved; `steps` and `budget` count from here on.
        source: the data.
        folder: told to the observer; nothing is written.
        former: what to go on from, bit for bit on the CPU: N steps and N more are 2N.
        patience: ticks without a smaller sliced W1 after which to stop.
        observer: told how it goes; not closed.
        interrupted: asked after every step.

    Raises:
        UserError: other settings or data than the former fit's.
        WorkError: training diverged.
    """
    if former is not None:
        _require_same_settings(former.settings, settings)
        source = require_same_data(source, former.checkpoint, "X")
    trainer = build_trainer(settings, source)
    context_dim = source.context.width if source.context else 0
    require_readable(settings, source.shape, source.codec, trainer.state_dict(), context_dim=context_dim)
    if former is not None:
        trainer.load_state_dict(former.checkpoint.trainer)
    ticks = _Ticks(trainer, source, settings.tick_steps, former.onward if former else Course(), patience, observer)
    observer.started(settings, source, folder, trainer)
    try:
        trainer.train(
            steps=settings.steps and trainer.step + settings.steps,
            budget_seconds=settings.budget and trainer.elapsed_seconds + settings.budget,
            tick_due=ticks.due,
            on_tick=ticks.tick,
            on_step=observer.stepped,
            interrupted=interrupted,
        )
    except _Enough:
        observer.said(f"Stopped at step {trainer.step}: no improvement in {patience} ticks.")
        ticks.onward = replace(ticks.onward, waited=0)
    state = CheckpointState.of(settings, source, on_cpu(ticks.state), fingerprint=fingerprint(source))
    return Fitted(state, ticks.course, ticks.onward)


class _Enough(Exception):  # noqa: N818  # not an error
    """Nothing has improved for as many ticks as were to be waited for."""


class _Ticks:
    """What happens at ticks: measure, remember the best weights, tell the observer, and stop when it is enough."""

    def __init__(
        self,
        trainer: Trainer,
        source: Source,
        longest: int,
        course: Course,
        patience: int | None,
        observer: Observer,
    ) -> None:
        self._longest, self._patience, self._observer = longest, patience, observer
        self._distance = HeldoutDistance(source, latent_dim=trainer.latent_dim)
        self.course = self.onward = course
        self.state: dict[str, Any] = {}

    def due(self, step: int) -> bool:
        return tick_due(step, longest=self._longest)

    def tick(self, trainer: Trainer) -> None:
        # A longer fit would not have ticked at the end of this one, nor begun new means there.
        passing = not self.due(trainer.step)
        before = trainer.state_dict() if passing else None
        # The tick with which a former fit ended is not taken twice.
        if not self.course.history or self.course.history[-1]["step"] < trainer.step:
            record = trainer.read_statistics() | self._distance(trainer.averaged_generator)
            self.course = self.course.after(record, trainer.averaged_generator.state_dict())
            self._observer.ticked(record)
        self.state = before or trainer.state_dict()
        if passing:
            return
        self.onward = self.course
        if self._patience is not None and self.course.waited >= self._patience:
            raise _Enough


def _require_same_settings(former: TrainSettings, settings: TrainSettings) -> None:
    had, asked = asdict(former), asdict(settings)
    different = [name for name in had if name not in MACHINE and had[name] != asked[name]]
    if different:
        raise UserError(
            "A fit can only be resumed with its own settings",
            found="; ".join(f"{name} was {had[name]!r}, is {asked[name]!r}" for name in different),
            mend="set them back, or fit without resume=True",
        )


def on_cpu(state: Any) -> Any:
    """A copy on the CPU of tensors in dictionaries, lists and tuples."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: on_cpu(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_cpu(value) for value in state)
    return state


@contextmanager
def stop_on_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Inside, yield a function that tells whether Ctrl-C asked to stop; the second one stops at once.

    Where another handler than Python's own is in place, or in another thread, nothing is changed.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def same_threads() -> Iterator[None]:
    """Give torch back the number of threads that it had: the rest of the user's program has it, too."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def run_folder(folder: str | Path | None) -> Iterator[RunFolder]:
    """Where observers write."""
    if folder is not None:
        yield RunFolder(Path(folder))
        return
    with scratch_folder() as temporary:
        yield RunFolder(temporary)
