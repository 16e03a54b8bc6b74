"""When a run measures itself, and when it draws: rules of the step alone, so that equal and resumed runs do alike."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile

TICK_GROWTH = 2  # between ticks lies half of the steps so far
FIRST_TICK = 50


def ticks(longest: int) -> Iterator[int]:
    """Step 0, then at growing distances: half of the steps so far, from 50 up to `longest`."""
    step = 0
    while True:
        yield step
        step += min(max(FIRST_TICK, step // TICK_GROWTH), longest)


def tick_due(step: int, *, longest: int) -> bool:
    """Whether a step ends in a tick."""
    growing = _growing(longest)
    if step <= growing[-1]:
        return step in growing
    return (step - growing[-1]) % longest == 0


def figure_due(step: int, *, longest: int) -> bool:
    """Whether a tick is drawn if that takes a figure, which may cost as much as fifty steps.

    At step 0, then when the steps have doubled or `longest` of them were taken since the last figure.
    """
    drawn = 0
    for tick in takewhile(lambda tick: tick <= step, ticks(longest)):
        if tick == 0 or tick >= 2 * drawn or tick - drawn >= longest:
            drawn = tick
    return drawn == step


@lru_cache
def _growing(longest: int) -> tuple[int, ...]:
    """The ticks up to the first from which on all are equally far apart."""
    growing: list[int] = []
    for tick in ticks(longest):
        growing.append(tick)
        if max(FIRST_TICK, tick // TICK_GROWTH) >= longest:
            break
    return tuple(growing)
