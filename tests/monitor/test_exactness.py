"""P(p ≤ a) ≤ a for every a, by going through all assignments of the same rows: no draw, no tolerance.

The p-value of each assignment is compared with those of all others. Of C assignments, at most k may then have a
p-value of at most k / C, whatever the rows: that of the k-th largest distance is at least k / C.
"""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.monitor import STATISTICS, joint, permutation, two_sample_test
from wassergan.monitor.columns import _shares_p_value, line_p_value
from wassergan.monitor.joint import joint_test

THIRDS = st.sampled_from([0.0, 1 / 3, 2 / 3, 0.1, 0.2, 0.1 + 0.2, -1.0, 7.7, 1e8 + 0.1])


def all_others(n: int, m: int, *_: Any) -> Iterator[np.ndarray]:
    """Every assignment but the given one."""
    labels = np.zeros((len(list(combinations(range(n + m), n))), n + m), bool)
    for row, chosen in enumerate(combinations(range(n + m), n)):
        labels[row, list(chosen)] = True
    yield labels[1:]  # the first n come first


def assignments(rows: np.ndarray, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for chosen in combinations(range(len(rows)), n):
        own = np.isin(np.arange(len(rows)), chosen)
        yield rows[own], rows[~own]


def is_exact(p_values: list[float]) -> None:
    """At most k of C p-values are at most k / C; and the largest distance of all is found out."""
    count = len(p_values)
    ranks = np.rint(np.array(p_values) * count)
    assert np.allclose(ranks / count, p_values, atol=1e-12)
    for k in range(1, count + 1):
        assert (ranks <= k).sum() <= k, (k, sorted(p_values))
    assert (ranks <= ranks.min()).sum() == ranks.min()  # not conservative either: ties alone hold it back


@st.composite
def samples(draw: st.DrawFn, most_dim: int = 3) -> tuple[np.ndarray, int]:
    """Two to six rows with ties of values, of rows and of distances, and how many belong to the first sample."""
    total, dim = draw(st.integers(2, 6)), draw(st.integers(1, most_dim))
    rows = np.array(draw(st.lists(st.lists(THIRDS, min_size=dim, max_size=dim), min_size=total, max_size=total)))
    return rows, draw(st.integers(1, total - 1))


@settings(max_examples=25, deadline=None)
@given(case=samples(), statistic=st.sampled_from(STATISTICS), seed=st.integers(0, 99))
def test_two_sample_tests_are_exact(case: tuple[np.ndarray, int], statistic: str, seed: int) -> None:
    rows, n = case
    count = len(list(combinations(range(len(rows)), n)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permutation, "random_labels", all_others)
        found = [
            two_sample_test(x, y, statistic=statistic, permutations=count, projections=2, seed=seed).p_value
            for x, y in assignments(rows, n)
        ]
    is_exact(found)


@settings(max_examples=25, deadline=None)
@given(case=samples(), seed=st.integers(0, 99))
def test_the_joint_test_is_exact(case: tuple[np.ndarray, int], seed: int) -> None:
    rows, n = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "random_labels", all_others)
        found = [
            joint_test(np.concatenate(pair), n, permutations=1, projections=2, seed=(seed,)).p_value
            for pair in assignments(rows, n)
        ]
    is_exact(found)


class Everything:
    """Stands in for random subsets: all of them but one that equals the given one."""

    def of(self, total: int, size: int) -> np.ndarray:
        return np.array(list(combinations(range(total), size)))

    def shares(self, totals: np.ndarray, size: int) -> np.ndarray:
        owner = np.repeat(np.arange(len(totals)), totals)
        return np.array(
            [np.bincount(owner[list(each)], minlength=len(totals)) for each in combinations(range(len(owner)), size)]
        )


def without_own(p_value: float, count: int) -> float:
    """(1 + k) / (1 + C), where k counts the own assignment too, as k / C."""
    return (p_value * (1 + count) - 1) / count


@settings(max_examples=60, deadline=None)
@given(case=samples(most_dim=1))
def test_tests_of_columns_are_exact(case: tuple[np.ndarray, int]) -> None:
    rows, n = case
    found = [
        line_p_value(x[:, 0], y[:, 0], Everything(), np.random.default_rng(0))[0]  # type: ignore[arg-type]
        for x, y in assignments(rows, n)
    ]
    constant = np.ptp(rows) == 0
    is_exact([p if constant else without_own(p, len(found)) for p in found])


@settings(max_examples=40, deadline=None)
@given(levels=st.lists(st.integers(0, 2), min_size=2, max_size=7), data=st.data())
def test_tests_of_categories_are_exact(levels: list[int], data: st.DataObject) -> None:
    rows = np.array(levels)
    found = []
    for pair in assignments(rows, data.draw(st.integers(1, len(levels) - 1))):
        counts = np.stack([np.bincount(each, minlength=3) for each in pair])
        found.append(_shares_p_value(counts, Everything())[0])  # type: ignore[arg-type]
    is_exact([without_own(p, len(found)) for p in found])


@pytest.mark.parametrize("level", [1 / 3, 2 / 3])
def test_random_assignments_keep_the_level_too(level: float) -> None:
    """Two draws among the six assignments of 0, 0, 1, 3: all 6 x 6 x 6 outcomes, written out."""
    values = np.array([0.0, 0.0, 1.0, 3.0])
    labels = [np.isin(np.arange(4), chosen) for chosen in combinations(range(4), 2)]
    line = permutation.MeanOfLines(values[None])
    w1 = line.of(np.array(labels))
    p_values = [
        permutation.exact_p_value(w1[own], w1[[one, other]], line.rounding(w1[own]))
        for own, one, other in product(range(6), repeat=3)
    ]
    assert np.mean(np.array(p_values) <= level + 1e-12) <= level
