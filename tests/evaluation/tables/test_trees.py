import numpy as np
import pytest

from wassergan.errors import UserError
from wassergan.evaluation.tables import trees
from wassergan.evaluation.tables.columns import TableColumn, independent
from wassergan.evaluation.tables.trees import Inputs, default_target, get_target, predicted, told_apart

NAN = float("nan")


def category(name: str, levels: int) -> TableColumn:
    return TableColumn(name, "category", tuple(map(str, range(levels))), 0, 0, levels - 1)


COLUMNS = (
    TableColumn("x", "number"), category("two", 2), category("four", 4), TableColumn("double", "number"),
    TableColumn("noise", "number"),
)  # fmt: skip


def rows(count: int, seed: int) -> np.ndarray:
    numbers = np.random.default_rng(seed)
    x = numbers.uniform(0, 4, count)
    return np.stack([x, x > 2, np.floor(x), 2 * x, numbers.normal(size=count)], axis=1).astype(float)


TRAIN, HELD = rows(800, 0), rows(400, 1)


@pytest.mark.parametrize(
    ("name", "score", "chance"), [("two", "AUC", 0.5), ("four", "macro AUC", 0.5), ("double", "R²", 0.0)]
)
def test_what_is_told_by_other_columns_is_predicted_and_shuffled_columns_are_not(
    name: str, score: str, chance: float
) -> None:
    target = get_target(COLUMNS, name, TRAIN, HELD)
    assert target.score == score
    assert predicted(COLUMNS, target, TRAIN, TRAIN, HELD, seed=0) > 0.99
    shuffled = predicted(COLUMNS, target, independent(TRAIN, seed=2), TRAIN, HELD, seed=0)
    assert shuffled < chance + 0.12


def test_the_labels_turned_round_are_an_area_below_one_half() -> None:
    target = get_target(COLUMNS, "two", TRAIN, HELD)
    wrong = TRAIN.copy()
    wrong[:, 1] = 1 - wrong[:, 1]
    assert predicted(COLUMNS, target, wrong, TRAIN, HELD, seed=0) < 0.01


def test_a_generator_with_one_level_alone_predicts_by_chance() -> None:
    target = get_target(COLUMNS, "two", TRAIN, HELD)
    one = TRAIN.copy()
    one[:, 1] = 1
    assert predicted(COLUMNS, target, one, TRAIN, HELD, seed=0) == 0.5
    number = get_target(COLUMNS, "double", TRAIN, HELD)
    one[:, 3] = HELD[:, 3].mean()
    assert predicted(COLUMNS, number, one, TRAIN, HELD, seed=0) == pytest.approx(0, abs=1e-12)


def test_rows_without_the_target_take_no_part() -> None:
    target = get_target(COLUMNS, "two", TRAIN, HELD)
    gone = HELD.copy()
    gone[::2, 1] = NAN
    assert predicted(COLUMNS, target, TRAIN, TRAIN, gone, seed=0) > 0.99


def test_the_last_column_that_can_be_predicted_is_the_default() -> None:
    target = default_target(COLUMNS, TRAIN, HELD, seed=0)
    assert target is not None and (target.name, target.score) == ("double", "R²")
    apart = independent(TRAIN, seed=0)
    assert default_target(COLUMNS, apart, independent(HELD, seed=1), seed=0) is None
    assert default_target(COLUMNS[:1], TRAIN[:, :1], HELD[:, :1], seed=0) is None


def test_targets_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="Unknown column to predict: 'tow'. Did you mean 'two'"):
        get_target(COLUMNS, "tow", TRAIN, HELD)
    rare = HELD.copy()
    rare[9:, 1] = 0
    with pytest.raises(UserError, match="Column two cannot be predicted: fewer than 10 rows of a second level"):
        get_target(COLUMNS, "two", TRAIN, rare)
    with pytest.raises(UserError, match="A column can only be predicted from others: a table of one column"):
        get_target(COLUMNS[:1], "x", TRAIN[:, :1], HELD[:, :1])


def test_a_number_of_two_values_is_told_apart_like_levels() -> None:
    columns = (COLUMNS[0], TableColumn("flag", "number", (), 0, 0, 1))
    target = get_target(columns, "flag", TRAIN[:, :2], HELD[:, :2])
    assert target.score == "AUC" and target.classes is not None and target.classes.tolist() == [0, 1]


def test_equal_laws_are_not_told_apart_and_disjoint_ones_always() -> None:
    same = told_apart(COLUMNS, HELD, rows(400, 5), seed=0)
    assert same.auc == pytest.approx(0.5, abs=0.07) and same.standard_error > 0
    assert told_apart(COLUMNS, HELD, HELD + [100, 0, 0, 0, 0], seed=0).auc == 1
    apart = told_apart(COLUMNS, HELD, independent(TRAIN, seed=0), seed=0)
    assert apart.auc > 0.9  # every marginal is right
    with pytest.raises(UserError, match="A test in 5 folds needs 5 rows on each side: 4"):
        told_apart(COLUMNS, HELD[:4], TRAIN, seed=0)


def test_columns_without_values_change_nothing() -> None:
    numbers = np.random.default_rng(0)

    def beside(table: np.ndarray, values: int) -> np.ndarray:
        spare = np.full((len(table), 2), NAN)
        spare[numbers.permutation(len(table))[:values]] = [0.0, 1.0]
        return np.hstack([table, spare])

    columns = (*COLUMNS, category("gone", 0), TableColumn("away", "number"))
    assert columns[5].level_codes(np.array([NAN])) == [0]
    for values in (0, 1, trees.LEAST_LEAF // 2 - 1):
        for name in ("two", "double"):
            target = get_target(COLUMNS, name, TRAIN, HELD)
            wide = [beside(each, values) for each in (independent(TRAIN, seed=2), TRAIN, HELD)]
            plain = predicted(COLUMNS, target, independent(TRAIN, seed=2), TRAIN, HELD, seed=0)
            assert predicted(columns, target, *wide, seed=0) == plain
        apart = [told_apart(columns, beside(HELD, values), beside(rows(400, 5), values), seed=0)]
        assert apart == [told_apart(COLUMNS, HELD, rows(400, 5), seed=0)]


def test_a_column_with_one_value_among_many_rows_stops_nothing() -> None:
    # From 10 000 rows on, scikit-learn sets a tenth aside, and the value may be there alone.
    many = rows(11_000, 3)
    columns = (*COLUMNS, TableColumn("away", "number"))
    target = get_target(COLUMNS, "double", many, HELD)
    held = np.hstack([HELD, np.full((len(HELD), 1), NAN)])
    for place in (2, 14, 42):
        wide = np.hstack([many, np.full((len(many), 1), NAN)])
        wide[place, 5] = 1.0
        assert predicted(columns, target, wide, wide, held, seed=0) > 0.99


def test_trees_see_more_levels_than_scikit_learn_takes() -> None:
    columns = (category("many", 600), TableColumn("sign", "number"))
    numbers = np.random.default_rng(0)
    many = np.minimum(numbers.geometric(0.01, 4000) - 1, 599).astype(float)
    table = np.stack([many, np.where(many % 2 == 0, 1.0, -1.0)], axis=1)
    table[:5, 0] = [NAN, 599, 599, 700, 0]
    seen = Inputs.fit(columns, (0, 1), table)(table)
    assert np.isnan(seen[0, 0]) and seen[3, 0] == trees.MOST_LEVELS and np.nanmax(seen[:, 0]) <= trees.MOST_LEVELS
    assert len(np.unique(seen[~np.isnan(seen[:, 0]), 0])) == trees.MOST_LEVELS + 1
    target = get_target(columns, "sign", table, table)
    assert predicted(columns, target, table, table, table, seed=0) > 0.95


def test_levels_that_are_not_predicted_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_CLASSES", 2)
    target = get_target(COLUMNS, "four", TRAIN, HELD)
    assert target.classes is not None and len(target.classes) == 2 and target.score == "macro AUC"
    assert predicted(COLUMNS, target, TRAIN, TRAIN, HELD, seed=0) > 0.99
