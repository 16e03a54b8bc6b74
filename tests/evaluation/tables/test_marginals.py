import numpy as np
import pytest

from wassergan.evaluation.tables.columns import TableColumn, independent, known
from wassergan.evaluation.tables.copies import exact_copies
from wassergan.evaluation.tables.marginals import invalid_share, marginal_distance, missing_gap

NAN = float("nan")
LETTERS = TableColumn("letter", "category", ("a", "b", "c"), 0, 0, 2, missing=True)
PRICE = TableColumn("price", "number", (), 2, -1.0, 10.0, missing=False)
DAY = TableColumn("day", "date", (), 0, 100.0, 200.0, missing=True)


def test_total_variation_of_shifted_shares() -> None:
    first = np.repeat([0.0, 1.0, 2.0, NAN], [50, 30, 10, 10])
    second = np.repeat([0.0, 1.0, 2.0, NAN], [40, 30, 25, 5])
    assert marginal_distance(LETTERS, first, second) == pytest.approx((0.10 + 0.15 + 0.05) / 2)
    assert marginal_distance(LETTERS, first, first[::-1]) == 0
    assert marginal_distance(LETTERS, np.zeros(5), np.ones(9)) == 1
    assert marginal_distance(LETTERS, np.full(4, 7.0), np.array([0.0, 0, 0, 7])) == pytest.approx(0.75)  # no such level


def test_kolmogorov_distance_of_shifted_numbers() -> None:
    first, second = np.arange(100.0), np.arange(100.0) + 25
    assert marginal_distance(PRICE, first, second) == pytest.approx(0.25)
    assert marginal_distance(PRICE, np.append(first, NAN), second) == pytest.approx(0.25)
    assert marginal_distance(PRICE, first, first + 1000) == 1
    assert marginal_distance(PRICE, np.full(3, NAN), first) == 1
    assert marginal_distance(PRICE, np.full(3, NAN), np.full(4, NAN)) == 0


@pytest.mark.parametrize(
    ("column", "value", "wrong"),
    [
        *((PRICE, value, False) for value in (-1.0, 10.0, 0.1 + 0.2, 9.99)),
        *((PRICE, value, True) for value in (-1.01, 10.01, 0.123, NAN)),
        *((LETTERS, value, False) for value in (0.0, 2.0, NAN)),
        *((LETTERS, value, True) for value in (3.0, -1.0, 0.5)),
        *((DAY, value, False) for value in (100.0, 200.0, NAN)),
        *((DAY, value, True) for value in (99.0, 150.5)),
    ],
)
def test_what_cannot_be_in_a_column(column: TableColumn, value: float, wrong: bool) -> None:
    assert column.invalid(np.array([value, value])).tolist() == [wrong, wrong]


def test_a_row_is_invalid_if_one_of_its_values_is() -> None:
    rows = np.array([[0, 1.25, 150], [3, 1.25, 150], [0, 1.255, 150], [3, 99, 1], [NAN, 2, NAN]])
    assert invalid_share((LETTERS, PRICE, DAY), rows) == pytest.approx(3 / 5)


def test_the_largest_gap_of_missing_shares() -> None:
    first = np.array([[NAN, 1.0], [NAN, 1], [2, 1], [2, 1]])
    second = np.array([[NAN, 1.0], [1, NAN], [2, 1], [2, 1]])
    assert missing_gap(first, second) == 0.25 and missing_gap(first, first) == 0


def test_rows_that_are_made_known_can_be_encoded() -> None:
    rows = known((LETTERS, PRICE), np.array([[5.0, NAN], [1.0, 2.5], [NAN, 3.0]]))
    np.testing.assert_array_equal(rows, [[NAN, -1.0], [1, 2.5], [NAN, 3]])
    whole = TableColumn("letter", "category", ("a", "b"), 0, 0, 1, missing=False)
    np.testing.assert_array_equal(known((whole,), np.array([[9.0], [1.0]])), [[0], [1]])


def test_independent_rows_keep_every_marginal_and_no_pair() -> None:
    line = np.arange(1000.0)
    rows = independent(np.stack([line, line], axis=1), seed=0)
    assert all(np.array_equal(np.sort(rows[:, i]), line) for i in (0, 1))
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.1
    assert not np.array_equal(rows, independent(np.stack([line, line], axis=1), seed=1))


def test_only_copies_of_rows_that_are_unique_count() -> None:
    training = np.array([[1.0, NAN], [2, 5], [2, 5], [3, -0.0]])
    rows = np.array([[1.0, NAN], [2, 5], [3, 0.0], [4, 4]])  # unique, twice there, unique, not there
    assert exact_copies(rows, training) == 0.5
    assert exact_copies(training, training) == 0.5
