import time
from collections.abc import Callable

import pytest

from wassergan.training.timing import WARM_UP_STEPS, Timing

STEP, TICK = 2.0, 100.0


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock, which stands still otherwise."""
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def run(timing: Timing, wait: Callable[[float], None], first: int, last: int, *, every: int) -> None:
    """As the trainer's loop does; the steps of a warm-up take three times as long as the others."""
    timing.enter(first)
    for step in range(first, last + 1):
        timing.look()
        if step == last or step % every == 0:
            timing.stop(step)
            wait(TICK)
            if step == last:
                return
            timing.start(step)
        wait(STEP * (3 if step < first + WARM_UP_STEPS else 1))
        timing.on_step_end(step + 1)


@pytest.mark.parametrize("every", [1, 4, 7, 10, 1000])
@pytest.mark.parametrize("last", [3, 10, 11, 25])
def test_ticks_are_no_training_and_the_warm_up_is_left_out_of_the_speed(
    wait: Callable[[float], None], last: int, every: int
) -> None:
    timing = Timing()
    run(timing, wait, 0, last, every=every)
    warm = min(last, WARM_UP_STEPS)
    assert timing.seconds == STEP * (3 * warm + last - warm)
    assert timing.steps_per_second == (0 if last <= WARM_UP_STEPS else 1 / STEP)
    ticks = sum(step % every == 0 for step in range(last))
    assert timing.elapsed_seconds == timing.seconds + TICK * ticks


def test_it_goes_on_over_a_resume_with_a_warm_up_of_its_own(wait: Callable[[float], None]) -> None:
    timing, rest = Timing(), Timing()
    run(timing, wait, 0, 15, every=1000)
    rest.load_state_dict(timing.state_dict())
    wait(1e6)  # between two runs
    run(rest, wait, 15, 40, every=1000)
    assert rest.seconds == STEP * (40 + 2 * 2 * WARM_UP_STEPS)
    assert rest.steps_per_second == 1 / STEP
    assert rest.elapsed_seconds == timing.elapsed_seconds + STEP * (25 + 2 * WARM_UP_STEPS)
