"""Metrics of tables with weights: a row of weight k counts as k rows."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wassergan.evaluation.tables.columns import TableColumn
from wassergan.evaluation.tables.copies import exact_copies
from wassergan.evaluation.tables.marginals import invalid_share, marginal_distance, missing_gap
from wassergan.evaluation.tables.pairs import Bins, associations
from wassergan.evaluation.tables.trees import Target, predicted, told_apart

COLUMNS = (
    TableColumn("letter", "category", ("a", "b", "c"), 0, 0, 2, missing=True),
    TableColumn("price", "number", (), None, -1.0, 1.0, missing=False),
)
RNG = np.random.default_rng(0)


@settings(max_examples=60, deadline=None)
@example(5921, 2, 2)  # all values that are there have weight 0
@given(st.integers(0, 2**31), st.integers(2, 30), st.integers(2, 30))
def test_a_row_of_weight_k_counts_as_k_rows(seed: int, n: int, m: int) -> None:
    numbers = np.random.default_rng(seed)

    def sample(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        rows = np.stack([numbers.integers(0, 3, count), numbers.normal(size=count).round(1)], 1).astype(float)
        rows[numbers.random(rows.shape) < 0.2] = np.nan
        weights = numbers.integers(0, 4, count)
        weights[0] = 2
        return rows, weights.astype(float), np.repeat(rows, weights, axis=0)

    (first, weights, repeated), (second, others, again) = sample(n), sample(m)
    for index, column in enumerate(COLUMNS):
        found = marginal_distance(column, first[:, index], second[:, index], (weights, others))
        assert found == pytest.approx(marginal_distance(column, repeated[:, index], again[:, index]), abs=1e-12)
        alone = marginal_distance(column, first[:, index], second[:, index], (None, others))
        assert alone == pytest.approx(marginal_distance(column, first[:, index], again[:, index]), abs=1e-12)
    assert missing_gap(first, second, (weights, others)) == pytest.approx(missing_gap(repeated, again), abs=1e-12)
    assert invalid_share(COLUMNS, first, weights) == pytest.approx(invalid_share(COLUMNS, repeated), abs=1e-12)
    assert exact_copies(first, second, weights) == pytest.approx(exact_copies(repeated, second), abs=1e-12)


def crossed(count: int, share: float) -> np.ndarray:  # type: ignore[type-arg]
    """A letter and a number that is positive with the letter a, in a share of the rows; else by chance."""
    letter = RNG.integers(0, 2, count).astype(float)
    sign = np.where(RNG.random(count) < share, 1 - 2 * letter, RNG.choice([-1, 1], count))
    return np.stack([letter, sign * RNG.uniform(0.1, 0.9, count)], 1)


def test_associations_are_those_of_rows_with_weight() -> None:
    rows = np.concatenate([crossed(3000, 1.0), crossed(3000, 0.0)])
    weights = np.repeat([1.0, 0.0], 3000)
    bins = Bins.fit(COLUMNS, rows)
    assert associations(bins, rows, np.full(6000, 7.0)) == pytest.approx(associations(bins, rows), abs=1e-9)
    # As many rows as tell something decide on the correction for bias.
    assert associations(bins, rows, weights) == pytest.approx(associations(bins, rows[:3000]), abs=1e-9)


def test_trees_learn_from_and_are_tested_on_rows_with_weight() -> None:
    target = Target(1, "price", None, "R²")
    held = np.concatenate([crossed(800, 1.0), crossed(800, 0.0)])
    good, bad = np.repeat([1.0, 0.0], 800), np.repeat([0.0, 1.0], 800)
    learnt = np.concatenate([crossed(800, 1.0), crossed(800, -0.0)])

    def score(weights: tuple[np.ndarray | None, np.ndarray | None]) -> float:  # type: ignore[type-arg]
        return predicted(COLUMNS, target, learnt, learnt, held, seed=0, weights=weights)

    assert score((good, good)) > 0.75 and score((good, bad)) < 0.1 and score((bad, good)) < 0.1
    classes = Target(0, "letter", np.array([0.0, 1.0]), "AUC")
    for weights, low, high in (((good, good), 0.97, 1.0), ((good, bad), 0.4, 0.6), ((bad, good), 0.0, 0.97)):
        found = predicted(COLUMNS, classes, learnt, learnt, held, seed=0, weights=weights)
        assert low <= found <= high


def test_nobody_tells_rows_with_weight_from_rows_that_were_drawn_by_it() -> None:
    letter = RNG.integers(0, 2, 1500).astype(float)
    real = np.stack([letter, RNG.uniform(-1, 1, 1500)], 1)
    weights = np.where(letter == 1, 9.0, 1.0)
    fake = np.stack([(RNG.random(1500) < 0.9).astype(float), RNG.uniform(-1, 1, 1500)], 1)
    assert told_apart(COLUMNS, real, fake, seed=0).auc > 0.65
    assert told_apart(COLUMNS, real, fake, seed=0, weights=(weights, None)).auc < 0.57
