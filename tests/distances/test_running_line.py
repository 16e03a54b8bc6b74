"""W1 of a stream: bounds around the exact distance of all numbers, however they are cut into pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.distances import wasserstein_line
from wassergan.distances.running_line import RunningLine, finite_numbers
from wassergan.errors import UserError

NUMBERS = st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.1, 0.2, 0.3, 1.0, 7.0]), min_size=1, max_size=9)


@settings(max_examples=60)
@given(reference=NUMBERS, pieces=st.lists(NUMBERS, min_size=1, max_size=4))
def test_bounds_contain_w1_of_all_pieces(reference: list[float], pieces: list[list[float]]) -> None:
    line = RunningLine(np.array(reference))
    for piece in pieces:
        line.add(np.array(piece))
    line.add(np.zeros(0))
    values = np.concatenate(pieces)
    lower, upper = line.bounds()
    truth = wasserstein_line(np.array(reference), values).item()
    assert lower <= truth <= upper and line.count == len(values)
    assert line.mean_shift == pytest.approx(values.mean() - np.mean(reference), abs=1e-12)
    if all((np.array(reference) == each).any() for each in values):  # no value strictly between two points
        assert upper - lower <= 1e-12


def test_bounds_of_many_points_are_next_to_each_other() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 40.0):
        reference, values = rng.normal(size=5000), rng.normal(size=30_000) + shift
        line = RunningLine(reference)
        for part in np.array_split(values, 7):
            line.add(part)
        lower, upper = line.bounds()
        truth = wasserstein_line(reference, values).item()
        assert lower <= truth <= upper and upper - lower <= 0.02 * truth


def test_what_has_no_distance_is_refused() -> None:
    with pytest.raises(UserError, match="no distance to no numbers"):
        RunningLine(np.zeros(2)).bounds()
    line = RunningLine(np.array([-1e308, 0.0]))
    line.add(np.array([1.7e308]))
    with pytest.raises(UserError, match="overflows"):
        line.bounds()
    assert finite_numbers(np.array([1, 2], np.int32)).tolist() == [1.0, 2.0]
