"""What a fit leaves behind."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from wassergan.config.settings import ResolvedSettings
from wassergan.session.contents import require_sound
from wassergan.session.loop import History, Record, Tick
from wassergan.session.state import Best, CheckpointState
from wassergan.storage.tick_distance import LABELS


@dataclass(frozen=True)
class FitHistory:
    """What the ticks of a fit have shown.

    Args:
        records: what was measured at each tick, as it stands in a run's `log.jsonl`.
        history: what they come to.
        best_weights: of the averaged generator at the best tick.
    """

    records: tuple[Record, ...] = ()
    history: History = field(default_factory=History)
    best_weights: Mapping[str, Tensor] | None = None

    @property
    def last_tick(self) -> int:
        """The step of the last tick; -1 before the first."""
        return self.records[-1]["step"] if self.records else -1

    def after(self, tick: Tick, generator: nn.Module) -> "FitHistory":
        """The course with one more tick, taken of an averaged generator."""
        weights = on_cpu(generator.state_dict()) if tick.improved else self.best_weights
        return FitHistory((*self.records, tick.record), tick.history, weights)

    def state(self) -> dict[str, Any]:
        """Tensors and plain types, for a file."""
        return {
            "history": self.records,
            "best": asdict(self.history.best),
            "best_weights": self.best_weights,
            "waited": self.history.waited,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "FitHistory":
        """The inverse of `state`."""
        history = History(Best.of(state["best"]), state["waited"])
        return cls(tuple(state["history"]), history, state["best_weights"])


@dataclass(frozen=True)
class FitState:
    """What a fit leaves behind: plain data, from which networks are built and another fit goes on.

    Args:
        checkpoint: as a run has it, without the best tick; its `trainer` is the state that another fit goes on from.
        course: of all ticks.
        onward: of the ticks that a longer fit has too: without one that came only because the fit ended there.
    """

    checkpoint: CheckpointState
    course: FitHistory
    onward: FitHistory

    @property
    def step(self) -> int:
        """Generator steps so far."""
        return self.checkpoint.step

    @property
    def settings(self) -> ResolvedSettings:
        """Resolved settings."""
        return self.checkpoint.settings

    def require_sound(self) -> None:
        """Refuse what no fit leaves behind, as it comes from a file.

        Raises:
            UserError: names what is missing, foreign or out of range.
        """
        require_sound(self.checkpoint)
        for course in (self.course, self.onward):
            best, waited = course.history.best, course.history.waited
            counts = (best.step, waited)
            assert all(isinstance(each, int) and each >= 0 for each in counts), counts
            assert all(isinstance(each, dict) and isinstance(each["step"], int) for each in course.records)
            assert isinstance(best.distance, int | float) and best.metric in LABELS
            if course.best_weights is not None:
                require_sound(self.checkpoint.with_average(course.best_weights))

    def state(self) -> dict[str, Any]:
        """Tensors and plain types, for a file."""
        return {**self.checkpoint.content_of_fit(), "course": self.course.state(), "onward": self.onward.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "FitState":
        """The inverse of `state`."""
        courses = {name: FitHistory.from_state(state[name]) for name in ("course", "onward")}
        return cls(CheckpointState.from_fit(state), **courses)


def on_cpu(state: Any) -> Any:
    """A copy on the CPU of tensors in dictionaries, lists and tuples."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: on_cpu(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_cpu(value) for value in state)
    return state
