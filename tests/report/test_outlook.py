import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wassergan.report.outlook import outlook


def ticks(excess: Callable[[float], float], *, floor: float = 0.1, name: str = "sliced_w1") -> list[dict[str, Any]]:
    times = [0.0, *np.geomspace(1, 400, 24)]
    return [{"elapsed_seconds": t, name: floor + excess(t), f"{name}_floor": floor} for t in times]


@pytest.mark.parametrize("name", ["sliced_w1", "patch_sliced_w1"])
def test_a_power_of_the_time_is_carried_on(name: str) -> None:
    log = ticks(lambda t: 2 / math.sqrt(t + 1e-9), name=name)
    now, later = 0.1 + 2 / math.sqrt(400), 0.1 + 2 / math.sqrt(800)
    assert (
        outlook(log) == f"The distance still falls: twice the time would bring it from {now:.3g} to about {later:.3g}."
    )


def test_what_stands_still_or_rises_is_not_carried_on() -> None:
    for excess in (lambda t: 0.5, lambda t: 0.1 + 0.01 * t):
        assert "hardly falls any more" in outlook(ticks(excess))
    assert "hardly falls" in outlook(ticks(lambda t: 0.5 * (t + 1e-9) ** -0.05))  # clearly, but too slowly
    assert "at its floor" in outlook(ticks(lambda t: -0.01))


def test_of_logs_that_only_jitter_about_as_many_are_carried_on_as_two_standard_errors_let_by() -> None:
    numbers = np.random.default_rng(0)
    said = [outlook(ticks(lambda t: math.exp(0.3 * numbers.normal()))) for _ in range(100)]
    # 4.7 % of values of Student's t at 6 degrees of freedom and more lie below -2; half fall by their fit alone.
    assert sum("still falls" in each for each in said) <= 12


def test_of_few_ticks_nothing_is_said() -> None:
    log = ticks(lambda t: 1 / (t + 1))
    assert outlook([]) == "" == outlook(log[:5]) == outlook(log[-1:])
