import numpy as np
import pytest
from scipy.stats import chi2_contingency

from wassergan.evaluation.tables.columns import TableColumn
from wassergan.evaluation.tables.pairs import (
    MOST_LEVELS,
    Bins,
    association_gap,
    associations,
    cramers_v,
    telling_pairs,
)

NUMBER = TableColumn("number", "number")
NAN = float("nan")


def category(levels: int) -> TableColumn:
    return TableColumn("category", "category", tuple(map(str, range(levels))), 0, 0, levels - 1)


def test_cramers_v_agrees_with_scipy_s_chi_squared(numbers: np.random.Generator) -> None:
    counts = numbers.integers(5, 90, (4, 6))
    square = chi2_contingency(counts, correction=False).statistic / counts.sum()
    n, rows, columns = counts.sum(), 4, 6
    spare = max(0.0, square - (rows - 1) * (columns - 1) / (n - 1))
    smaller = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    assert cramers_v(counts) == pytest.approx(np.sqrt(spare / smaller))


def test_one_column_that_tells_the_other_and_two_that_do_not(numbers: np.random.Generator) -> None:
    one = numbers.integers(0, 5, 4000).astype(float)
    rows = np.stack([one, 3 * one, numbers.normal(size=4000), np.zeros(4000)], axis=1)
    columns = (category(5), NUMBER, NUMBER, NUMBER)
    found = associations(Bins.fit(columns, rows), rows)
    assert found[0, 1] == pytest.approx(1, abs=0.01) and (found == found.T).all() and (np.diag(found) == 0).all()
    assert found[0, 2] < 0.05 and found[2, 1] < 0.05  # the correction takes away what chance alone gives
    assert (found[3] == 0).all()


def test_what_is_missing_together_belongs_together(numbers: np.random.Generator) -> None:
    rows = numbers.normal(size=(2000, 2))
    rows[:600] = NAN
    assert associations(Bins.fit((NUMBER, NUMBER), rows), rows)[0, 1] > 0.3


def test_rare_levels_are_one_class(numbers: np.random.Generator) -> None:
    values = np.append(np.repeat(np.arange(100.0), np.arange(100, 0, -1)), [NAN, 500])[:, None]
    bins = Bins.fit((category(100),), values)
    codes = bins.codes(values)[:, 0]
    assert bins.sizes == (MOST_LEVELS + 1,) and codes[-1] == codes[-2] == MOST_LEVELS
    assert set(codes[values[:, 0] == 18]) == {18} and set(codes[values[:, 0] == 40]) == {MOST_LEVELS - 1}


def test_the_gap_is_the_mean_over_pairs() -> None:
    first, second = np.zeros((3, 3)), np.zeros((3, 3))
    first[0, 1] = first[1, 0] = 0.6
    second[1, 2] = second[2, 1] = 0.3
    assert association_gap(first, second) == pytest.approx(0.9 / 3)
    assert association_gap(np.zeros((1, 1)), np.zeros((1, 1))) == 0


def test_pairs_are_chosen_by_strength_and_by_what_is_off() -> None:
    real, fake = np.zeros((5, 5)), np.zeros((5, 5))
    for matrix, pair, value in ((real, (0, 1), 0.9), (fake, (0, 1), 0.9), (real, (2, 3), 0.5), (fake, (3, 4), 0.7)):
        matrix[pair] = matrix[pair[::-1]] = value
    assert telling_pairs(real, fake, count=3) == [(0, 1), (3, 4), (2, 3)]
    assert len(telling_pairs(real, fake, count=6)) == 6
    assert telling_pairs(real[:2, :2], fake[:2, :2], count=6) == [(0, 1)]
    assert telling_pairs(real[:1, :1], fake[:1, :1], count=6) == []


def test_no_column_is_in_more_than_two_pairs_if_others_are_left() -> None:
    real = np.full((6, 6), 0.1)
    real[0] = real[:, 0] = 0.9
    chosen = telling_pairs(real, real, count=4)
    assert sum(0 in pair for pair in chosen) == 2
