"""Conditions: their distribution, what is asked for, and how the rest is completed."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import ColumnConditions, TableCodec, fix_conditions, open_source, read_conditions
from wassergan.data.source import Source
from wassergan.errors import UserError

# Town says which language is spoken; age is 20 to 59 in A and 60 to 99 in B; C has three rows.
TEXT = "town,language,age,born,weight\n" + "".join(
    f"{'ABC'[2 if i in (5, 105, 205) else i % 2]},{('en', '')[i % 4 == 0]},{20 + i % 40 + 40 * (i % 2)},"
    f"2020-01-{1 + i % 28:02d},{i}.25\n"
    for i in range(400)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "towns.csv").write_text(TEXT)
    return tmp_path / "towns.csv"


def conditions_of(source: Source) -> ColumnConditions:
    assert isinstance(source.conditions, ColumnConditions)
    return source.conditions


def test_conditions_have_no_place_in_model_space_and_come_back_exactly(table: Path) -> None:
    plain, given = open_source(table), open_source(table, condition=["age", "town"])
    assert given.context is not None and given.shape[0] + given.context.width == plain.shape[0]
    rows = given.values(given.split.train_rows(torch.arange(given.train_count)))
    assert isinstance(given.codec, TableCodec)
    again = given.codec.decode_numpy(given.codec.encode(rows), rows[:, [2, 0]].numpy())
    np.testing.assert_allclose(again, rows.numpy(), atol=1e-9)
    # Another condition changes those two columns and no other.
    moved = given.codec.decode_numpy(given.codec.encode(rows), rows[:, [2, 0]].numpy() * 0)
    assert not moved[:, [0, 2]].any() and np.array_equal(moved[:, 3], again[:, 3])


def test_batches_carry_the_conditions_of_their_rows(table: Path) -> None:
    source = open_source(table, condition=["town"])
    assert isinstance(source.codec, TableCodec)
    positions = torch.tensor([3, 200, 7])
    batch = source.train_batch(positions)
    assert batch.context is not None
    towns = source.values(source.split.train_rows(positions))[:, 0].long()
    assert torch.equal(batch.context.argmax(1), towns)
    assert torch.equal(batch.samples, source.train(positions))
    held = source.heldout_batch(torch.arange(4))
    assert held.context is not None
    assert torch.equal(held.context.argmax(1), source.values(source.split.heldout[:4])[:, 0].long())


def test_drawn_conditions_have_the_law_of_the_training_rows_and_do_not_hang_on_the_batch(table: Path) -> None:
    conditions = conditions_of(open_source(table, condition=["town", "age"]))
    rows = conditions.rows(0, 5000, seed=1)
    apart = np.concatenate([conditions.rows(0, 1, seed=1), conditions.rows(1, 1700, seed=1)])
    assert np.array_equal(rows[:1701], apart)
    assert not np.array_equal(rows, conditions.rows(0, 5000, seed=2))
    # Town and age are drawn together: A never has ages of B.
    assert ((rows[:, 1] < 60) == (rows[:, 0] == 0))[rows[:, 0] < 2].all()
    shares = np.bincount(rows[:, 0].astype(int), minlength=3) / 5000
    expected = np.bincount(conditions.pool[:, 0].astype(int), minlength=3) / len(conditions.pool)
    np.testing.assert_allclose(shares, expected, atol=0.03)


def test_what_is_left_open_goes_with_what_is_given(table: Path) -> None:
    conditions = conditions_of(open_source(table, condition=["town", "age", "language"]))
    rows = fix_conditions(conditions, {"town": "B"}).rows(0, 500, seed=0)
    assert (rows[:, 0] == 1).all() and (rows[:, 1] >= 60).all()
    assert len(np.unique(rows[:, 1])) > 10 and len(np.unique(rows[:, 2])) == 1  # rows of B are never missing
    rare = fix_conditions(conditions, {"town": "C"}).rows(0, 50, seed=0)
    assert set(rare[:, 1]) <= {65.0, 85.0}  # rows 5, 105 and 205: i % 40 is 5, 25 and 5
    old = fix_conditions(conditions, {"age": 97}).rows(0, 500, seed=0)
    assert (old[:, 1] == 97).all() and (old[:, 0] == 1).all()
    # No row of A is that old: the nearest lend what is open, and what was asked for stays.
    odd = fix_conditions(conditions, {"age": 97, "town": "A"}).rows(0, 50, seed=0)
    assert (odd[:, 1] == 97).all() and (odd[:, 0] == 0).all()


def test_rows_that_are_asked_for_come_in_turn(table: Path) -> None:
    conditions = conditions_of(open_source(table, condition=["town", "age"]))
    asked = fix_conditions(conditions, {"town": ["A", "B", "C"], "age": 30})
    assert asked.rows(1, 4, seed=0)[:, 0].tolist() == [1, 2, 0, 1]
    assert (asked.rows(0, 7, seed=0)[:, 1] == 30).all()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("age", "42", 42.0),
        ("age", 42, 42.0),
        ("age", np.float64(42), 42.0),
        ("town", "C", 2.0),
        ("language", None, np.nan),
        ("language", "", np.nan),
        ("language", float("nan"), np.nan),
        ("language", "en", 0.0),
        ("born", "2020-01-03", 18264.0),
        ("born", date(2020, 1, 3), 18264.0),
        ("weight", "7.25", 7.25),
    ],
)
def test_values_are_read_as_their_column_writes_them(table: Path, name: str, value: Any, expected: float) -> None:
    conditions = conditions_of(open_source(table, condition=[name]))
    np.testing.assert_equal(fix_conditions(conditions, {name: value}).rows(0, 1, seed=0)[0, 0], expected)


def test_the_words_of_pandas_for_nothing_are_missing_values(table: Path) -> None:
    pandas = pytest.importorskip("pandas")
    conditions = conditions_of(open_source(table, condition=["language", "born"]))
    assert np.isnan(fix_conditions(conditions, {"language": pandas.NA}).rows(0, 1, seed=0)[0, 0])
    with pytest.raises(UserError, match="Condition born is never missing in the data"):
        fix_conditions(conditions, {"born": pandas.NaT})


def test_what_a_held_out_row_has_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{i * i},{i % 5}\n" for i in range(100)))
    for seed in range(20):  # in some split the largest is held out
        conditions = conditions_of(open_source(tmp_path / "a.csv", condition=["x"], seed=seed))
        assert fix_conditions(conditions, {"x": [0, 99 * 99]}).rows(0, 2, seed=0)[:, 0].tolist() == [0, 9801]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"towm": "A"}, "Unknown condition: 'towm'. Did you mean 'town'?"),
        ({"town": "D"}, "Unknown level of condition town: 'D'"),
        ({"town": None}, "Condition town is never missing in the data"),
        ({"age": "old"}, "Condition age is a number, but found: 'old'"),
        ({"age": "inf"}, "Condition age is a finite number"),
        ({"age": 30.5}, "Condition age holds whole numbers"),
        ({"age": 120}, "Condition age lies outside the data, but found: 120. To mend it: the data reach from 20 to 99"),
        ({"weight": 7.123}, "Condition weight holds numbers with at most 2 decimals"),
        ({"born": "3.1.2020"}, "Condition born is a date like %Y-%m-%d"),
        ({"age": [30, 40], "town": ["A", "B", "C"]}, "Conditions differ in length, but found: age: 2, town: 3"),
        ({"age": []}, "Conditions differ in length"),
    ],
)
def test_what_cannot_be_asked_for_is_said(table: Path, wanted: dict[str, Any], message: str) -> None:
    conditions = conditions_of(open_source(table, condition=["town", "age", "weight", "born"]))
    with pytest.raises(UserError) as raised:
        fix_conditions(conditions, wanted)
    for part in message.split(", but found: "):
        assert part.split(". To mend it: ")[0] in str(raised.value)


def test_a_file_of_conditions_is_read_like_a_table(table: Path, tmp_path: Path) -> None:
    (tmp_path / "wanted.csv").write_text("age,town\n30,A\n70,B\n")
    assert read_conditions(tmp_path / "wanted.csv") == {"age": ["30", "70"], "town": ["A", "B"]}
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [30, 70], "town": ["A", "B"], "born": pandas.to_datetime(["2020-01-03"] * 2)})
    frame.to_parquet(tmp_path / "wanted.parquet")
    conditions = conditions_of(open_source(table, condition=["town", "age", "born"]))
    rows = fix_conditions(conditions, read_conditions(tmp_path / "wanted.parquet")).rows(0, 2, seed=0)
    assert rows.tolist() == [[0, 30, 18264], [1, 70, 18264]]
    with pytest.raises(UserError, match="There is no"):
        read_conditions(tmp_path / "none.csv")
    (tmp_path / "wanted.txt").write_text("age\n3\n")
    with pytest.raises(UserError, match="no table of conditions"):
        read_conditions(tmp_path / "wanted.txt")


def test_a_state_holds_the_law(table: Path) -> None:
    conditions = conditions_of(open_source(table, condition=["town", "age"]))
    again = ColumnConditions.from_state(conditions.state())
    assert np.array_equal(again.rows(3, 50, seed=4), conditions.rows(3, 50, seed=4))
    assert torch.equal(again.vectors(3, 50, seed=4), conditions.vectors(3, 50, seed=4))


def test_a_date_that_is_given_does_not_count_from_one_that_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "start,end\n"
        + "".join(f"2020-01-{1 + i % 28:02d},2020-01-{1 + (i % 28 + i % 3) % 31:02d}\n" for i in range(99))
    )
    drawn = open_source(tmp_path / "a.csv")
    given = open_source(tmp_path / "a.csv", condition=["end"])
    assert isinstance(drawn.codec, TableCodec) and isinstance(given.codec, TableCodec)
    assert [column.since for column in drawn.codec.columns] == ["", "start"]
    assert [column.since for column in given.codec.columns] == ["", ""]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (["twon"], "Unknown column of towns.csv to condition on: 'twon'. Did you mean 'town'?"),
        (["town", "town"], "A column is named twice as a condition"),
        (["town", "language", "age", "born", "weight"], "Every column of towns.csv that is no condition has one level"),
    ],
)
def test_conditions_that_cannot_be_are_refused(table: Path, condition: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        open_source(table, condition=condition)
    assert message in str(raised.value)
