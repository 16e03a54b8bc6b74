from pathlib import Path

import numpy as np
import pytest

from wassergan.data import open_source
from wassergan.data.tables.column import Column
from wassergan.data.tables.csvfile import read_csv
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.schema import Schema, schema_of
from wassergan.errors import UserError


def column_of(tmp_path: Path, values: list[str], wish: object = None, **more: object) -> tuple[Column, list[str]]:
    path = tmp_path / "a.csv"
    path.write_text("x;y\n" + "".join(f"{value};{i % 3}.5\n" for i, value in enumerate(values)), encoding="utf-8")
    said: list[str] = []
    schema = schema_of({"columns": {"x": wish} if wish else {}, "delimiter": ";", **more})
    return infer_columns(read_csv(path, delimiter=";"), schema, log=said.append)[0], said


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["3", "-1", "20"], "number", [3, -1, 20]),
        (["3.50", "-.5", "2"], "number", [3.5, -0.5, 2]),
        (["1e3", "2.5", "-4E-2"], "number", [1000, 2.5, -0.04]),
        (["3", "", "?"], "number", [3, np.nan, np.nan]),
        (["NA", "b", "a"], "category", [np.nan, 1, 0]),
        (["00501", "10001", "00501"], "category", [0, 1, 0]),
        (["True", "False", ""], "boolean", [1, 0, np.nan]),
        (["1970-01-02", "1969-12-31", "1970-01-01"], "date", [1, -1, 0]),
        (["1970-01-01 00:01:00", "1970-01-01 00:00:30", ""], "date", [60, 30, np.nan]),
        (["31.1.1970", "1.1.1970", "1.2.1970"], "date", [30, 0, 31]),
        (["01/31/1970", "01/01/1970", "02/01/1970"], "date", [30, 0, 31]),
        (["12:30", "00:10", "12:30"], "date", [750, 10, 750]),
    ],
)
def test_kinds_are_found_and_written_back(tmp_path: Path, values: list[str], kind: str, expected: list[float]) -> None:
    column, _ = column_of(tmp_path, values * 8)
    assert column.kind == kind
    np.testing.assert_array_equal(column.values, expected * 8)
    there = ~np.isnan(column.values)
    written = column.form.texts(column.values[there])
    shown = [value for value, is_there in zip(values * 8, there, strict=True) if is_there]
    if kind == "number" and "1e3" in values:
        assert [float(text) for text in written] == [float(text) for text in shown]
    elif "-.5" in values:
        assert written == ["3.5", "-.5", "2"] * 8
    else:
        assert written == shown


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["41.0", "3.25"], ["41.0", "3.25"]),
        (["41.50", "3.25"], ["41.50", "3.25"]),
        (["22.820999999999998", "216.952"], ["22.820999999999998", "216.952"]),
        (["-0.10", "0.00"], ["-0.10", "0.00"]),
    ],
)
def test_decimals_come_back_as_they_were(tmp_path: Path, values: list[str], written: list[str]) -> None:
    column, _ = column_of(tmp_path, values * 10)
    assert column.form.texts(column.values) == written * 10


def test_the_commonest_missing_text_is_remembered(tmp_path: Path) -> None:
    column, _ = column_of(tmp_path, ["1", "?", "?", "NA", "2"] * 5)
    assert column.missing == "?" and np.isnan(column.values).sum() == 15


def test_the_schema_names_missing_texts(tmp_path: Path) -> None:
    column, _ = column_of(tmp_path, ["1", "-99", "2"] * 8, {"missing": ["-99"]})
    assert column.missing == "-99" and column.form.texts(column.values[[0, 2]]) == ["1", "2"]
    column, _ = column_of(tmp_path, ["a", "NA", "b"] * 8, missing=["-"])
    assert column.form.levels == ("NA", "a", "b") and not np.isnan(column.values).any()  # type: ignore[union-attr]


def test_the_schema_overrides_what_would_be_found(tmp_path: Path) -> None:
    assert column_of(tmp_path, ["1", "2", "3"] * 8, "category")[0].kind == "category"
    assert column_of(tmp_path, [f"t{i}" for i in range(30)], "category")[0].kind == "category"
    assert column_of(tmp_path, [str(i) for i in range(30)], "number")[0].kind == "number"
    assert column_of(tmp_path, ["1", "2"] * 9, "drop")[0].name == "y"
    column, _ = column_of(tmp_path, ["03|02|70", "04|02|70"] * 9, {"kind": "date", "format": "%d|%m|%y"})
    assert column.values[:2].tolist() == [33, 34]
    column, _ = column_of(tmp_path, ["1", "2"] * 9, {"low": 0, "high": 5})
    assert (column.low, column.high) == (0, 5)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([f"user{i}" for i in range(30)], "no two rows have the same code"),
        ([f"user {i}'s" for i in range(30)], "every row has another text, so it is an identifier or free text"),
        ([f"user{i % 27}" for i in range(30)], r"free text \(27 different ones in 30 rows, 6 letters each\)"),
        (
            ["a long sentence on this and that, and more besides, of no use " + str(i % 22) for i in range(60)],
            "free text",
        ),
        (
            [
                f"20{i:02}-03-0{1 + i % 9}" if i % 3 else f"0{1 + i % 9}{'./'[i % 2]}03{'./'[i % 2]}20{i:02}"
                for i in range(60)
            ],
            r"it holds dates written in 3 ways \('01\.03\.2000', '2001-03-02', '04/03/2003'\); write them in one",
        ),
        ([f"{i % 28}.99.20{i:02}" for i in range(30)], "no two rows have the same code"),  # one way, and no dates
        ([str(100 + i) for i in range(30)], "it numbers the rows"),
        ([str(10**17 + 7919 * i * i) for i in range(30)], "so long that they can only be identifiers"),
    ],
)
def test_identifiers_and_free_text_are_left_out_with_a_word(tmp_path: Path, values: list[str], why: str) -> None:
    column, (said,) = column_of(tmp_path, values)
    assert column.name == "y"
    assert said.startswith("Left out column x of a.csv: ") and __import__("re").search(why, said)


def test_a_row_with_a_mistake_is_named(tmp_path: Path) -> None:
    values = [str(i * i) for i in range(200)]
    values[77] = "oops"
    with pytest.raises(UserError, match=r"Column x of a.csv mixes numbers and text: 'oops' in line 79\. Correct it"):
        column_of(tmp_path, values)
    values[77] = "-inf"
    with pytest.raises(UserError, match=r"Column x of a.csv holds infinite values: '-inf', the first in line 79"):
        column_of(tmp_path, values)


@pytest.mark.parametrize(
    ("values", "wish", "message"),
    [
        (["1", "b"] * 10, "number", r"Column x of a.csv does not hold numbers alone: 'b'"),
        (
            ["1.2.1970", "b"] * 10,
            "date",
            r"Column x of a.csv does not hold dates alone: 'b' in line 3 is not in %-d\.%-m\.%Y\.",
        ),
        (["1", "9"] * 10, {"low": 2}, r"Column x of a.csv holds values outside the bounds in the schema: 1 in line 2"),
        (["1", "9"] * 10, {"high": 3}, r"outside the bounds in the schema: 9 in line 3"),
    ],
)
def test_columns_that_cannot_be_learnt_are_refused(
    tmp_path: Path, values: list[str], wish: object, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        column_of(tmp_path, values, wish)


def test_too_many_levels_are_refused_and_100000_are_not(tmp_path: Path) -> None:
    from wassergan.data.tables.columns import RawTable, TextColumn

    def table(levels: int) -> RawTable:
        codes = np.arange(2 * levels, dtype=np.int32) % levels
        return RawTable("a.csv", (TextColumn("x", [f"v{i}" for i in range(levels)], codes),), 2 * levels)

    with pytest.raises(UserError, match=r"Column x of a.csv has too many levels: 1000000, of at most 100000"):
        infer_columns(table(10**6), Schema(), log=lambda said: None)
    (column,) = infer_columns(table(100_000), Schema(), log=lambda said: None)
    assert column.kind == "category" and column.values.max() == 99_999


def test_a_table_without_a_column_or_without_variation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id\n" + "".join(f"{i}\n" for i in range(40)))
    with pytest.raises(UserError, match=r"a.csv has no column to learn"):
        open_source(path)
    path.write_text("x,y\n" + "a,1\n" * 40)
    with pytest.raises(UserError, match=r"Every column of a.csv has one level alone\. Give data that vary"):
        open_source(path)


def even(low: float, high: float, count: int = 1000) -> list[str]:
    return [f"{value:.4f}" for value in np.linspace(low, high, count)]


@pytest.mark.parametrize(
    ("values", "turn"),
    [
        (even(-np.pi, np.pi), (-np.pi, np.pi)),  # 3.1416 is more than a half turn, but for rounding
        (even(0, 2 * np.pi), (0, 2 * np.pi)),
        (even(-180, 180), (-180, 180)),
        ([str(7 * i % 360) for i in range(1000)], (0, 360)),
        (even(-np.pi, np.pi) + [""], (-np.pi, np.pi)),
        (even(-3, 3), None),  # nothing near the ends
        (even(-3.2, 3.2), None),  # beyond them
        (even(0, 100), None),
        # A normal distribution that happens to end there: ±π are its quantiles of 0.08 and 99.92 per cent.
        ([f"{x:.4f}" for x in np.random.default_rng(0).normal(size=9000) if abs(x) < np.pi], None),
        (even(-np.pi, np.pi, 100), None),  # too few to tell
    ],
)
def test_numbers_that_fill_a_turn_to_both_ends_are_angles(
    tmp_path: Path, values: list[str], turn: tuple[float, float] | None
) -> None:
    column, _ = column_of(tmp_path, values)
    assert column.kind == "number" and column.turn == turn


def test_a_schema_says_what_is_an_angle_and_what_a_turn_is(tmp_path: Path) -> None:
    assert column_of(tmp_path, even(-3, 3), "angle")[0].turn == (-np.pi, np.pi)
    assert column_of(tmp_path, even(0, 300), "angle")[0].turn == (0, 360)
    hours, _ = column_of(tmp_path, even(1, 23), {"kind": "angle", "low": 0, "high": 24})
    assert (hours.kind, hours.turn, hours.low, hours.high) == ("number", (0, 24), 0, 24)
    assert column_of(tmp_path, even(-np.pi, np.pi), "number")[0].turn is None
    with pytest.raises(UserError, match=r'angles of no known turn.*-3 to 200.*"kind": "angle", "low": 0, "high": 24'):
        column_of(tmp_path, even(-3, 200) + ["-3"], "angle")
    with pytest.raises(UserError, match="outside the bounds in the schema"):
        column_of(tmp_path, even(1, 25), {"kind": "angle", "low": 0, "high": 24})
