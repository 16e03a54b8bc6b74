import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.evaluation import nearest as module
from wassergan.evaluation.nearest import Cloud, closer, exact, nearest, screened


def brute_force(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.array([[np.linalg.norm(x - y) for y in points] for x in rows])


# Whole numbers in few dimensions: many duplicates and equal distances; at 1e8 the screen errs by more than they are.
@given(seed=st.integers(0, 1000), levels=st.integers(2, 6), dim=st.integers(1, 3), offset=st.sampled_from([0, 1e8]))
def test_neighbours_of_tied_points_are_exact(seed: int, levels: int, dim: int, offset: float) -> None:
    numbers = np.random.default_rng(seed)
    rows, points = (numbers.integers(0, levels, (count, dim)) + offset for count in (11, 40))
    expected = np.sort(brute_force(rows, points), axis=1)[:, :3]
    distances, indices = nearest(torch.from_numpy(rows), torch.from_numpy(points), count=3)
    np.testing.assert_array_equal(distances.numpy(), expected)
    np.testing.assert_array_equal(np.linalg.norm(rows[:, None] - points[indices.numpy()], axis=2), expected)


@given(seed=st.integers(0, 1000), offset=st.sampled_from([0.0, 1e7]))
def test_what_is_closer_is_decided_by_exact_distances(seed: int, offset: float) -> None:
    # At an offset of 1e7 the screen's rounding errors are larger than the distances.
    numbers = np.random.default_rng(seed)
    rows, points = (numbers.integers(0, 4, (count, 2)) + offset for count in (9, 13))
    radius = numbers.integers(0, 4, (9, 1)).astype(float)
    left, right = Cloud(torch.from_numpy(rows)), Cloud(torch.from_numpy(points))
    found = closer(screened(left, right), torch.from_numpy(radius), left, right)
    np.testing.assert_array_equal(found.numpy(), brute_force(rows, points) < radius)


def test_few_doubtful_pairs_are_settled_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    points = numbers.normal(size=(60, 3))
    points[1] = points[0]
    rows = points[:20]
    left, right = torch.from_numpy(rows), torch.from_numpy(points)
    radius = nearest(left, right, count=3)[0][:, -1:]  # a tie with the neighbour that gave it, in each row
    monkeypatch.setattr(module, "AMBIGUOUS_SHARE", 0.5)
    found = closer(screened(Cloud(left), Cloud(right)), radius, Cloud(left), Cloud(right))
    assert torch.equal(found, exact(left, right) < radius)
    assert found.sum(1).tolist() == [2] * 20  # the point itself and its nearest neighbour


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    rows, points = torch.from_numpy(numbers.normal(size=(50, 3))), torch.from_numpy(numbers.normal(size=(30, 3)))
    whole = nearest(rows, points, count=2)
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 30 * 7)
    monkeypatch.setattr(module, "TILE_POINTS", 9)
    pieces = nearest(rows, points, count=2)
    assert torch.equal(whole[0], pieces[0]) and torch.equal(whole[1], pieces[1])
