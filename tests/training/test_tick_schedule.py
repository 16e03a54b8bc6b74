from hypothesis import given
from hypothesis import strategies as st

from wassergan.training.tick_schedule import figure_due, tick_due, ticks


@given(longest=st.integers(1, 400))
def test_ticks_are_at_halves_of_the_way_so_far_from_50_up_to_the_longest(longest: int) -> None:
    expected, step = {0}, 0
    while step < 2500:
        step += min(max(50, step // 2), longest)
        expected.add(step)
    assert {step for step in range(2500) if tick_due(step, longest=longest)} == {s for s in expected if s < 2500}


def test_ticks_come_in_their_order_without_end() -> None:
    found = [tick for tick, _ in zip(ticks(100), range(8), strict=False)]
    assert found == [0, 50, 100, 150, 225, 325, 425, 525]


@given(longest=st.integers(1, 400))
def test_figures_are_at_ticks_and_no_further_apart_than_a_doubling_or_twice_the_longest(longest: int) -> None:
    drawn = [step for step in range(1500) if figure_due(step, longest=longest)]
    assert drawn[0] == 0
    assert all(tick_due(step, longest=longest) for step in drawn)
    for before, after in zip(drawn, drawn[1:], strict=False):
        assert after >= 2 * before or after - before >= longest
        # The first tick that is far enough, and ticks are at most `longest` apart.
        assert after <= min(max(2 * before, 1), before + longest) + longest


def test_figures_of_a_usual_run() -> None:
    drawn = [step for step in range(8000) if figure_due(step, longest=1000)]
    # Ticks: 0, 50, 100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3553, 4553, ...
    assert drawn == [0, 50, 100, 225, 505, 1135, 2553, 3553, 4553, 5553, 6553, 7553]
