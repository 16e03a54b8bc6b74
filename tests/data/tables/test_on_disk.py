"""Columns and rows of a table in files of their own: every bit comes back, in as little room as that takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import TextColumn, TypedColumn
from wassergan.data.tables.distinct import counted, distinct
from wassergan.data.tables.encodings import CategoryCoding, NumberCoding
from wassergan.data.tables.formats import NumberForm
from wassergan.data.tables.on_disk import ColumnsOnDisk, narrowed, narrowest, widened
from wassergan.data.tables.witnesses import witnesses_of

NEGATIVE_NAN = np.array([0xFFF8_0000_0000_0001], np.uint64).view(np.float64)[0]
ODD = [np.nan, NEGATIVE_NAN, np.inf, -np.inf, -0.0, 0.0, 1e300, -(2.0**31), 2.0**31 - 1, -128.0, -127.0, 127.0, 0.1]
VALUE = st.one_of(st.sampled_from(ODD), st.floats(), st.integers(-300, 300).map(float), st.floats(width=32))
COLUMN = arrays(np.float64, st.integers(0, 40), elements=VALUE)


@given(COLUMN)
def test_every_bit_comes_back(values: np.ndarray) -> None:
    back = widened(narrowed(values, narrowest(values)))
    assert back.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-127, 127, np.nan], "i1"),
        ([-128, 127], "i2"),
        ([0, 32767, np.nan], "i2"),
        ([-32768.0], "i4"),
        ([2.0**31 - 1, np.nan], "i4"),
        ([2.0**31], "f4"),
        ([0.5, np.nan, -0.0], "f4"),
        ([np.inf, 3], "f4"),
        ([0.1], "f8"),
        ([2.0**31 + 1], "f8"),
        ([1, NEGATIVE_NAN], "f8"),
    ],
)
def test_values_take_as_little_room_as_they_can(values: list[float], expected: str) -> None:
    assert narrowest(np.array(values, np.float64)) == np.dtype(expected)


def on_disk(columns: np.ndarray) -> ColumnsOnDisk:
    stored = ColumnsOnDisk("a table", len(columns))
    for number, values in enumerate(columns.T):
        column = Column(f"c{number}", "number", values, NumberForm(None))
        head = stored.take(TypedColumn(f"c{number}", "number", values), column)
        assert not len(head.values) and head.name == column.name
    return stored


@given(st.data(), st.integers(1, 60), st.integers(1, 5))
def test_rows_are_those_of_the_array(data: st.DataObject, count: int, width: int) -> None:
    table = data.draw(arrays(np.float64, (count, width), elements=VALUE))
    stored = on_disk(table)
    rows = stored.rows()
    assert [column.values.tobytes() for column in stored] == [values.tobytes() for values in table.T]
    numbers = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=80)), np.int64)
    first, end = sorted(data.draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    some = data.draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=4))
    for settled in (False, True):
        if settled:
            rows.settle()
        assert rows.shape == table.shape and len(rows) == count
        assert rows[numbers].tobytes() == table[numbers].tobytes()
        assert rows[first:end].tobytes() == table[first:end].tobytes()
        assert all(rows[:, each].tobytes() == table[:, each].tobytes() for each in range(width))
        fewer = rows[:, some]
        assert fewer.shape == (count, len(some)) and fewer[numbers].tobytes() == table[numbers][:, some].tobytes()
        assert fewer[:, 0].tobytes() == table[:, some[0]].tobytes()


def test_rows_that_are_not_there_are_an_error() -> None:
    rows = on_disk(np.zeros((3, 1))).rows()
    for number in (-1, 3):
        with pytest.raises(IndexError, match="of 3"):
            rows[np.array([number])]


@given(arrays(np.float64, st.integers(1, 50), elements=st.sampled_from([-2.5, -0.0, 0.0, 1.0, 7.0, np.nan])))
def test_different_values_and_how_often_they_occur(values: np.ndarray) -> None:
    there = values[~np.isnan(values)]
    assert np.array_equal(distinct(there), np.unique(there))
    if len(there):
        found, counts = counted(values)
        expected = np.unique(there, return_counts=True)
        assert np.array_equal(found, expected[0]) and np.array_equal(counts, expected[1])


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([3, 40, 400]))
def test_options_are_counted_as_their_vectors_have_them(seed: int, gaps: bool, many: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.zipf(1.3, 3000).clip(max=many) - 1.0
    numbers = np.where(rng.random(3000) < 0.5, rng.integers(0, 4, 3000), rng.normal(size=3000))
    if gaps:
        levels[rng.random(3000) < 0.2] = numbers[rng.random(3000) < 0.2] = np.nan
    category = CategoryCoding.fit(levels, levels=many, missing=gaps)
    for coding, values in (
        (category, levels),
        (NumberCoding.fit(numbers, missing=gaps), numbers),
        (NumberCoding.fit(levels, missing=gaps), levels),
    ):
        entries = np.array(coding.layout.is_entry, bool)
        expected = (coding.encode(values) > 0).sum(0) * entries
        assert np.array_equal(coding.taken(values), expected)


def test_the_first_row_of_each_text_is_its_witness() -> None:
    codes = np.array([-1, 2, 0, 2, 1, 0], np.int32)
    values = np.array([np.nan, 2, 0, 2, np.nan, 0])
    found = witnesses_of(TextColumn("a", ["x", "n/a", "z"], codes), values)
    assert (found.numbers.tolist(), found.texts) == ([2, 1], ("x", "z"))
    assert witnesses_of(TextColumn("a", ["x", "n/a", "z"], codes, declared=True), values).texts == ()
    assert witnesses_of(TypedColumn("a", "number", values), values).texts == ()
