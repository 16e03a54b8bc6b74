"""How long a training took: its steps alone, with everything around them, and its speed once it is warm."""

import time
from typing import Any

WARM_UP_STEPS = 10  # left out of the speed: allocators and caches fill during them


class Timing:
    """Seconds of a training over all calls, maintenance between the steps apart.

    Attributes:
        seconds: in steps.
        elapsed_seconds: in all, up to the last `look`.
    """

    def __init__(self) -> None:
        self.seconds = self.elapsed_seconds = 0.0
        self._timed = (0, 0.0)  # steps and seconds without warm-up
        self._warm_from = 0

    @property
    def steps_per_second(self) -> float:
        """Steps per second of training, warm-up left out; 0 while nothing was timed."""
        steps, seconds = self._timed
        return steps / seconds if seconds > 0 else 0.0

    def enter(self, step: int) -> None:
        """Training goes on at a step, with a new warm-up."""
        self._entered = time.perf_counter() - self.elapsed_seconds
        self._warm_from = step + WARM_UP_STEPS
        self.start(step)

    def look(self) -> None:
        """Bring `elapsed_seconds` up to now."""
        self.elapsed_seconds = time.perf_counter() - self._entered

    def start(self, step: int) -> None:
        """A stretch of steps begins."""
        self._step, self._since = step, time.perf_counter()

    def stop(self, step: int) -> None:
        """It ends, and the next begins; it enters the speed unless it belongs to the warm-up."""
        stretch, seconds = step - self._step, time.perf_counter() - self._since
        self.seconds += seconds
        if step > self._warm_from:
            self._timed = (self._timed[0] + stretch, self._timed[1] + seconds)
        self.start(step)

    def on_step_end(self, step: int) -> None:
        """So many steps were taken; the last step of the warm-up ends its stretch."""
        if step == self._warm_from:
            self.stop(step)

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far."""
        return {"seconds": self.seconds, "elapsed_seconds": self.elapsed_seconds, "timed": self._timed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a trainer's state."""
        self.seconds, self.elapsed_seconds = state["seconds"], state["elapsed_seconds"]
        self._timed = tuple(state["timed"])
