import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data.source import Blocks
from wassergan.training.order import FullShuffle, WindowShuffle


def blocks_of(sizes: list[int], per_window: int) -> Blocks:
    return Blocks(torch.tensor([0, *sizes]).cumsum(0), per_window)


SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(lambda sizes: sum(sizes) > 0)


@given(sizes=SIZES, per_window=st.integers(1, 6), seed=st.integers(0, 3), epoch=st.integers(0, 3), data=st.data())
def test_windows_serve_every_position_once_and_any_part_alike(
    sizes: list[int], per_window: int, seed: int, epoch: int, data: st.DataObject
) -> None:
    count = sum(sizes)
    order = WindowShuffle(blocks_of(sizes, per_window), seed)
    whole = order.positions(epoch, 0, count)
    assert sorted(whole.tolist()) == list(range(count))
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    assert torch.equal(
        WindowShuffle(blocks_of(sizes, per_window), seed).positions(epoch, start, stop), whole[start:stop]
    )


@given(sizes=SIZES, per_window=st.integers(1, 6), data=st.data())
def test_the_windows_named_hold_the_positions_asked_for(sizes: list[int], per_window: int, data: st.DataObject) -> None:
    count = sum(sizes)
    blocks = blocks_of(sizes, per_window)
    order = WindowShuffle(blocks, 1)
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    windows = order.windows(2, start, stop)
    there = {
        position
        for window in windows
        for block in window
        for position in range(int(blocks.bounds[block]), int(blocks.bounds[block + 1]))
    }
    assert set(order.positions(2, start, stop).tolist()) <= there
    assert all(len(window) <= per_window and list(window) == sorted(window) for window in windows)


def test_after_the_last_window_comes_the_first_of_the_next_epoch() -> None:
    order = WindowShuffle(blocks_of([5] * 8, 4), 0)
    assert order.windows(0, 39, 40) == [*order.windows(0, 20, 21)[:1], order.windows(1, 0, 1)[0]]
    assert order.windows(0, 0, 1)[1] == order.windows(0, 39, 40)[0]
    assert len(order.windows(0, 19, 21)) == 2  # both in use: no third one in memory


def test_windows_are_of_nearly_equal_size() -> None:
    order = WindowShuffle(blocks_of([5] * 9, 4), 0)
    assert sorted(len(order.windows(0, place, place + 1)[0]) for place in (0, 20, 40)) == [3, 3, 3]


def test_the_order_within_a_window_is_uniform() -> None:
    """All 24 orders of four rows come equally often: chi-square with 23 degrees of freedom, 99.9 % point 49.7."""
    seen: dict[tuple[int, ...], int] = {}
    shuffle = WindowShuffle(blocks_of([2, 2], 2), 0)
    for epoch in range(2400):
        order = tuple(shuffle.positions(epoch, 0, 4).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 24
    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 49.7


@pytest.mark.parametrize("seed", [0, 5])
def test_orders_follow_seed_and_epoch_alone(seed: int) -> None:
    outside = torch.get_rng_state()
    for order in (FullShuffle(40, seed), WindowShuffle(blocks_of([5] * 8, 4), seed)):
        first, second = order.positions(0, 0, 40), order.positions(1, 0, 40)
        assert not torch.equal(first, second)
        assert torch.equal(order.positions(0, 0, 40), first)
    assert torch.equal(outside, torch.get_rng_state())
