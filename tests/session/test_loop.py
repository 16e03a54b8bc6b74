import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.session.loop import History
from wassergan.session.state import Best


def test_a_best_in_another_unit_is_beaten_by_the_next_tick() -> None:
    """Runs of before kept sliced W1 of pixels, which is smaller than that of patches."""
    former = Best.of({"sliced_w1": 0.03, "step": 4})
    assert former == Best(0.03, 4, "sliced_w1")
    history = History(former).after({"step": 8, "patch_sliced_w1": 0.2, "patch_sliced_w1_28": 0.3})
    assert history.best == Best(0.2, 8, "patch_sliced_w1") and history.waited == 0
    later = history.after({"step": 9, "patch_sliced_w1": 0.2})
    assert later.best == history.best and later.waited == 1


def test_the_best_of_a_checkpoint_comes_back() -> None:
    best = Best(0.25, 7, "patch_sliced_w1")
    assert Best.of({"distance": 0.25, "step": 7, "metric": "patch_sliced_w1"}) == best


@pytest.mark.parametrize(
    ("step", "best", "bounded_at"),
    [
        (12, Best(0.2, 8, "sliced_w1"), 10),  # nothing is later
        (10, Best(0.2, 8, "sliced_w1"), 10),  # at the step itself: it was measured before
        (9, Best(0.2, 8, "sliced_w1"), None),
        (8, Best(0.2, 8, "sliced_w1"), None),
        (7, Best(), None),
        (0, Best(), None),
    ],
)
def test_a_history_that_goes_back_forgets_what_is_later(step: int, best: Best, bounded_at: int | None) -> None:
    history = History(Best(0.2, 8, "sliced_w1"), waited=2, bounded_at=10).back_to(step)
    assert (history.best, history.bounded_at) == (best, bounded_at)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 12), st.floats(0, 1))
def test_after_going_back_every_tick_is_better_than_a_best_that_is_gone(
    distances: list[float], step: int, new: float
) -> None:
    """Ticks at 1, 2, ...; the smallest distance so far is best, the first of equals."""
    history = History()
    for index, distance in enumerate(distances, 1):
        history = history.after({"step": index, "sliced_w1": distance, **({"w1_lower": 0.0} if index % 3 == 0 else {})})
    first = distances.index(min(distances)) + 1
    assert (history.best.distance, history.best.step) == (min(distances), first)
    back = history.back_to(step)
    bounds = list(range(3, len(distances) + 1, 3))
    assert back.bounded_at == (bounds[-1] if bounds and bounds[-1] <= step else None)
    later = back.after({"step": step + 1, "sliced_w1": new})
    kept = first <= step
    assert later.best.step == (first if kept and min(distances) <= new else step + 1)
