"""The course of a training that runs and fits share: train, measure at ticks, remember the best, stop."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import nn

from wassergan.config.settings import ResolvedSettings
from wassergan.session.state import Best
from wassergan.storage.tick_distance import distance_name
from wassergan.training import Trainer
from wassergan.training.tick_schedule import tick_due

Record = Mapping[str, Any]


@dataclass(frozen=True)
class History:
    """What the ticks so far have come to; its size does not grow with their number.

    Args:
        best: the tick with the smallest distance from the held-out samples.
        waited: ticks since then.
        bounded_at: the last step at which W1 was bounded.
    """

    best: Best = field(default_factory=Best)
    waited: int = 0
    bounded_at: int | None = None

    @classmethod
    def of_log(cls, records: Iterable[Record], best: Best) -> "History":
        """The history of a run by its log, and the best that its checkpoint holds."""
        return cls(best, bounded_at=max((each["step"] for each in records if "w1_lower" in each), default=None))

    def after(self, record: Record) -> "History":
        """The history with one more tick."""
        bounded_at = record["step"] if "w1_lower" in record else self.bounded_at
        if self.best.beaten_by(record):
            name = distance_name(record)
            return History(Best(record[name], record["step"], name), bounded_at=bounded_at)
        return History(self.best, self.waited + 1, bounded_at)

    def back_to(self, step: int) -> "History":
        """The history of a training that was put back to a step, without what is later."""
        bounded_at = None if self.bounded_at is not None and self.bounded_at > step else self.bounded_at
        return replace(self, best=self.best if self.best.step <= step else Best(), bounded_at=bounded_at)


@dataclass(frozen=True)
class Tick:
    """A tick that was taken.

    Args:
        record: what was measured.
        history: with this tick.
        improved: whether it is the best so far.
        due: by the schedule; else it came only because training ends here.
    """

    record: Record
    history: History
    improved: bool
    due: bool


class Distance(Protocol):
    """The distance of a generator from held-out samples, as `evaluation.HeldoutDistance` measures it."""

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """The distances by name, with their floors."""
        ...

    def interval(self, generator: nn.Module, *, interrupted: Callable[[], bool]) -> dict[str, float]:
        """Guaranteed bounds."""
        ...


class LoopCallback:
    """What else happens while a loop trains; every method here does nothing."""

    def on_train_begin(self, trainer: Trainer) -> None:
        """Training begins."""

    def tick_began(self, trainer: Trainer, *, due: bool) -> None:
        """A tick is about to be measured, after which the trainer's means start afresh."""

    def on_tick(self, trainer: Trainer, tick: Tick) -> None:
        """A tick was measured."""

    def on_step_end(self, trainer: Trainer) -> None:
        """A generator step is done."""

    def save_due(self) -> bool:
        """Whether to save between two ticks."""
        return False

    def save(self, trainer: Trainer) -> None:
        """Save between two ticks."""

    def enough(self, history: History) -> bool:
        """Whether training ends with the tick that is due and was just taken."""
        return False

    def went_back(self, trainer: Trainer, history: History, rollback: dict[str, Any]) -> None:
        """The trainer was put back to an earlier step."""

    def finished(self, trainer: Trainer) -> None:
        """Training has come to its end, or was interrupted."""


class EarlyStopping(LoopCallback):
    """Ends training when nothing has improved for some ticks.

    Args:
        patience: how many; None waits for ever.
        said: receives it, in a sentence.
    """

    def __init__(self, patience: int | None, said: Callable[[str], None] = lambda sentence: None) -> None:
        self._patience, self._said = patience, said
        self.stopped = False

    def enough(self, history: History) -> bool:
        """Whether it waited long enough."""
        self.stopped = self._patience is not None and history.waited >= self._patience
        return self.stopped

    def finished(self, trainer: Trainer) -> None:
        """Say why it ended."""
        if self.stopped:
            self._said(f"Stopped at step {trainer.step}: no improvement in {self._patience} ticks.")


class Loop:
    """Trains a trainer as settings say, and measures it at every tick.

    Args:
        trainer: at the step from which it goes on.
        settings: resolved; of them the distance of ticks and of bounds on W1 are read.
        distance: from the held-out samples; None on processes that measure nothing.
        callbacks: called in this order; on processes that measure nothing none of their ticks is.
        history: of the ticks before.
        last_tick: the step of the last tick that is not taken again; -1 for none.
        interrupted: asked after every step.
    """

    def __init__(
        self,
        trainer: Trainer,
        settings: ResolvedSettings,
        *,
        distance: Distance | None,
        callbacks: Sequence[LoopCallback] = (),
        history: History,
        last_tick: int,
        interrupted: Callable[[], bool],
    ) -> None:
        self._trainer, self._settings, self._distance = trainer, settings, distance
        self._callbacks, self._interrupted = tuple(callbacks), interrupted
        self._last_tick = last_tick
        self.history = history

    def start(self) -> None:
        """Tell the callbacks that training begins."""
        self._each(lambda callback: callback.on_train_begin(self._trainer))

    def train(self, *, steps: int | None, budget_seconds: float | None) -> None:
        """Train until a total number of steps or seconds, an interrupt, or a callback that has enough.

        Raises:
            WorkError: training diverged, or processes differ or are lost.
            WasserganError: the data changed or cannot be read.
        """
        self._trainer.train(
            steps=steps,
            budget_seconds=budget_seconds,
            tick_due=self._is_due,
            on_tick=self._tick,
            enough=self._enough,
            save_due=lambda: any(each.save_due() for each in self._callbacks),
            on_save=lambda trainer: self._each(lambda callback: callback.save(trainer)),
            on_step=lambda trainer: self._each(lambda callback: callback.on_step_end(trainer)),
            interrupted=self._interrupted,
        )

    def go_back(self, step: int) -> None:
        """The trainer was put back to the checkpoint of a step, whose tick is done unless it is that of step 0."""
        self._last_tick = step or -1
        self.history = self.history.back_to(step)

    def tell_rollback(self, rollback: dict[str, Any]) -> None:
        """Tell the callbacks that it was."""
        self._each(lambda callback: callback.went_back(self._trainer, self.history, rollback))

    def finish(self) -> None:
        """Tell the callbacks that training has ended."""
        self._each(lambda callback: callback.finished(self._trainer))

    def _each(self, tell: Callable[[LoopCallback], None]) -> None:
        for each in self._callbacks:
            tell(each)

    def _is_due(self, step: int) -> bool:
        return tick_due(step, longest=self._settings.tick_steps)

    def _enough(self) -> bool:
        return self._is_due(self._trainer.step) and any(each.enough(self.history) for each in self._callbacks)

    def _tick(self, trainer: Trainer) -> None:
        """The tick with which a checkpoint or an earlier fit ended is not taken twice."""
        if trainer.step <= self._last_tick:
            return
        if self._distance is None:  # process 0 reads the means; they start afresh on all
            trainer.forget_statistics()
            return
        due = self._is_due(trainer.step)
        self._each(lambda callback: callback.tick_began(trainer, due=due))
        record = self._measured(trainer, self._distance)
        self.history = self.history.after(record)
        tick = Tick(record, self.history, improved=self.history.waited == 0, due=due)
        self._each(lambda callback: callback.on_tick(trainer, tick))

    def _measured(self, trainer: Trainer, distance: Distance) -> Record:
        record = trainer.read_statistics() | distance(trainer.averaged_generator)
        every, bounded_at = self._settings.w1_every, self.history.bounded_at
        if every and (bounded_at is None or trainer.step - bounded_at >= every):
            record |= distance.interval(trainer.averaged_generator, interrupted=self._interrupted)
        return record
