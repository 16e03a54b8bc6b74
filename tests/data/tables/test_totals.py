"""The line of totals at the end of a spreadsheet: left out and said; whatever only looks like one stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import open_source
from wassergan.data.measured import read_table
from wassergan.data.table_files import read_conditions, read_rows
from wassergan.data.tables import Schema, TableCodec
from wassergan.data.tables.columns import TextColumn, raw_cells
from wassergan.data.tables.schema import schema_of
from wassergan.data.tables.totals import Total, total_of, without_total
from wassergan.errors import UserError


def found(text: str, delimiter: str = ",") -> Total | str | None:
    """What is found at the end of a table in text, whose first line has the names."""
    names, *rows = [line.split(delimiter) for line in text.split("\n")]
    return total_of(raw_cells(dict(zip(names, zip(*rows, strict=True), strict=True)), "a.csv", first_line=2))


TOTALS = {
    "word": ("name,a\nx,4\ny,5\nTotal,9", ("a",)),
    "two words": ("name,a\nx,4\ny,5\nGrand total:,9", ("a",)),
    "with a year": ("name,a\nx,4\ny,5\nSumme 2024,9", ("a",)),
    "German": ("Nr;Tag;Umsatz\n1;1.2.24;845,60\n2;3.2.24;1.845,60\nGesamt;;2.691,20", ("Umsatz",)),
    "only the sum is grouped": ("Kunde;Umsatz\nx;845,60\ny;745,60\nInsgesamt;1.591,20", ("Umsatz",)),
    "currency": ("name;a\nx;$1,200.50\ny;$300.25\nTotal;$1,500.75", ("a",)),
    "brackets": ("name,a\nx,(5.00)\ny,3.00\nz,(2.50)\nTotal,(4.50)", ("a",)),
    "Chinese": ("name,a\nx,4\ny,5\n合计,9", ("a",)),
    "Russian": ("name,a\nx,4\ny,5\nИтого:,9", ("a",)),
    "negative": ("name,a\nx,-5\ny,3\nz,-2\nTotal,-4", ("a",)),
    "nothing but zeros": ("name,a\nx,0\ny,0\nTotal,0", ("a",)),
    "one beside zeros": ("name,a,b\nx,0,1\ny,5,2\nTotal,5,3", ("b",)),
    "shares that were rounded": ("name,a\nx,33.3\ny,33.3\nz,33.3\nTotal,100", ("a",)),
    "noise of float64": ("name,a\nx,0.1\ny,0.2\nz,0.3\nTotal,0.6000000000000001", ("a",)),
    "gaps above": ("name,a\nx,4\ny,\nz,n/a\nw,5\nTotal,9", ("a",)),
    "a mean beside": ("name,a,price\nx,4,1.50\ny,5,2.25\nTotal,9,1.88", ("a",)),
    "a rate beside": ("name,a,price\nx,4,1.50\ny,5,2.25\nTotal,9,1.92", ("a",)),
    "a count beside": ("name,id,a\nx,17,4\ny,18,5\nTotal,2,9", ("a",)),
    "word among the numbers": ("nr,a\n1,10\n2,20\nTotal,30", ("a",)),
    "no word": ("id,name,a\n1,x,4\n2,y,5\n3,z,7\n,,16", ("a",)),
    "no word, a dash": ("id,a\n1,4\n2,5\n3,7\n-,16", ("a",)),
    "set apart": ("name,a\nx,4\ny,5\n,\nTotal,9\n,", ("a",)),
    "subtotals": ("name,a\nx,4\ny,5\nSubtotal,9\nz,2\nw,1\nSubtotal,3\nTotal,12", ("a",)),
}
ROWS = {
    "two rows of which one is a total": "name,a\nx,3\nTotal,3",
    "two rows": "name,a\nx,3\ny,3",
    "the last is the sum by chance": "name,a\nx,1\ny,2\nz,3",
    "the same without a name": "name,a\nx,1\ny,2\n,3",
    "two rows without a name": "name,a\nx,3\n,3",
    "one column": "a\n1\n2\n3\n6",
    "one column with a word": "a\n1\n2\nTotal",
    "no numbers": "name,a\nx,u\ny,v\nTotal,w",
    "no name and no large number": "name,a\nx,-5\ny,3\nz,-2\nw,1\n,-3",
    "no name and no sum": "name,a,b\nx,1,5\ny,2,6\nz,3,7\n,6,8",
    "no name but a text": "name,a,b\nx,1,u\ny,2,v\nz,3,u\n,6,v",
    "no name, as elsewhere": "name,a\nx,1\n,2\nz,3\n,6",
    "a text about all": "note,a\nbad,4\ngood,5\nthat is all,7",
    "a class of many rows": "sex,n\nm,4\nf,5\nTotal,9\nm,7\nf,9\nTotal,16",
    "part of a word": "note,a\nbad,4\ngood,5\nTotally,9",
    "zeros alone": "name,a\nx,0\ny,0\nz,0\n,0",
    "flags": "name,a\nx,0\ny,1\nz,0\n,1",
    "empty rows": "name,a\n,\n,\n,",
}


@pytest.mark.parametrize("case", TOTALS)
def test_lines_of_totals_are_found(case: str) -> None:
    text, sums = TOTALS[case]
    total = found(text, ";" if ";" in text else ",")
    assert isinstance(total, Total) and total.sums == sums
    lines = text.split("\n")[1:]
    assert total.row == max(at for at, line in enumerate(lines) if line.strip(",;"))
    assert total.kept == (2 if case == "set apart" else total.row)
    assert total.subtotals == (2 if case == "subtotals" else 0)


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_look_like_totals_stay(case: str) -> None:
    assert found(ROWS[case]) is None


def test_a_word_without_sums_is_said_and_stays() -> None:
    said = found("name,staff\nShell,90000\nBP,70000\nTotal,100000")
    assert said == (
        "The last row of a.csv says 'Total' in column name (line 4), but does not hold the sums of the rows above: it "
        "is learnt like them."
    )


cents = st.integers(-(10**7), 10**7)


@given(
    st.lists(st.tuples(cents, cents), min_size=2, max_size=30),
    st.sampled_from(["Total", "Summe", "Σ", "TOTAL:"]),
    st.booleans(),
)
def test_sums_of_any_amounts_are_found_and_others_are_not(
    rows: list[tuple[int, int]], word: str, is_german: bool
) -> None:
    """Whatever the amounts and their signs; a sum that is off by a hundredth of itself and a cent is none."""

    def dressed(amount: int) -> str:
        text = f"{amount / 100:.2f}"
        return text.replace(".", ",") if is_german else text

    sums = [sum(column) for column in zip(*rows, strict=True)]
    names = [f"x{number}" for number in range(len(rows))]

    def of(last: list[int]) -> Total | str | None:
        cells = [[dressed(row[at]) for row in rows] + [dressed(last[at])] for at in range(2)]
        return total_of(raw_cells({"name": [*names, word], "a": cells[0], "b": cells[1]}, "a", first_line=2))

    total = of(sums)
    assert isinstance(total, Total) and total.row == len(rows) == total.kept
    nonzero = [name for at, name in enumerate("ab") if sum(row[at] != 0 for row in rows) > 1]
    assert set(nonzero) <= set(total.sums)
    off = [each + abs(each) // 50 + 5 + 100 * len(rows) for each in sums]  # more than a cent of rounding for each row
    assert not isinstance(of(off), Total)


def orders(last: str) -> str:
    return "nr;paid;kind\n" + "".join(f"{n * n % 13};{n},50;{'ab'[n % 3 == 0]}\n" for n in range(1, 61)) + last


TOTAL = orders("Summe;1860,00;\n")


def test_files_are_read_without_their_totals_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(TOTAL)
    said: list[str] = []
    source = open_source(path, log=said.append)
    assert len(source) == 60
    assert isinstance(source.codec, TableCodec)
    assert {column.name: column.kind for column in source.codec.columns} == {
        "nr": "number", "paid": "number", "kind": "category"
    }  # fmt: skip
    (sentence,) = [each for each in said if "totals" in each]
    assert sentence in source.notes
    assert sentence == (
        "orders.csv ends with a line of totals (line 62: 'Summe' in column nr, the sum of column paid), which is left "
        'out; {"totals": "keep"} in a `schema` file keeps it.'
    )


def test_a_schema_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(orders(";1860,00;\n"))
    assert len(open_source(path)) == 60
    kept = open_source(path, schema=schema_of({"totals": "keep"}))
    assert len(kept) == 61 and not any("totals" in note for note in kept.notes)
    with pytest.raises(UserError, match="'totals' of the schema can be \"keep\" alone: 'drop'"):
        schema_of({"totals": "drop"})


def test_a_workbook_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    import datetime

    book = openpyxl.Workbook()
    start = datetime.datetime(2024, 1, 1)
    rows: list[list[Any]] = [[start + datetime.timedelta(days=n * n % 97), n * n % 13, n * 1.25] for n in range(1, 41)]
    for row in [["day", "count", "paid"], *rows, [None] * 3, ["Total", sum(row[1] for row in rows), 1025.0]]:
        book.active.append(row)
    path = tmp_path / "a.xlsx"
    book.save(path)
    said: list[str] = []
    source = open_source(path, log=said.append)
    assert isinstance(source.codec, TableCodec)
    assert len(source) == 40 and [column.kind for column in source.codec.columns] == ["date", "number", "number"]
    assert any("(line 43: 'Total' in column day, the sum of columns count, paid), which is left out" in s for s in said)
    with pytest.raises(UserError, match="Column day of a.xlsx holds dates, and what is no date .* 'Total' in line 43"):
        open_source(path, schema=Schema(totals="keep"))


def test_other_data_are_read_without_totals_too_and_conditions_with_them(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text(orders(""))
    other.write_text(TOTAL)
    codec = open_source(one).codec
    assert isinstance(codec, TableCodec)
    said: list[str] = []
    rows = read_rows(other, codec, log=said.append)
    assert rows.shape == (60, 3) and len(said) == 1 and "line of totals" in said[0]
    np.testing.assert_array_equal(rows, read_rows(one, codec))
    said.clear()
    assert read_table(other, log=said.append).rows == 60 and "line of totals" in said[0]
    assert read_table(other, schema=Schema(totals="keep")).rows == 61
    assert len(read_conditions(other)["nr"]) == 61  # what is asked for is given, row for row


def test_series_are_read_without_totals(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    loads = [n * n % 17 + 1 for n in range(60)]
    one.write_text("hour,load\n" + "".join(f"{hour},{load}\n" for hour, load in enumerate(loads)))
    other.write_text(one.read_text() + f"Total,{sum(loads)}\n")
    said: list[str] = []
    source = open_source(other, window=5, time="hour", log=said.append)
    assert len(source.reader) == len(open_source(one, window=5, time="hour").reader)
    assert any("line of totals" in each for each in said)


def test_a_frame_keeps_its_rows_and_it_is_said() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"name": [*"xyxyxyz", None], "a": [*range(3, 10), 42]})
    said: list[str] = []
    assert len(open_source(frame, log=said.append)) == 8
    (sentence,) = [each for each in said if "totals" in each]
    assert sentence == (
        "The DataFrame ends with a line of totals (row 7: nothing in column name, the sum of column a), which is "
        "learnt like the rows above: leave it out unless that is meant."
    )


def test_levels_and_lines_go_with_the_row() -> None:
    table = without_total(raw_cells({"k": ["x", "y", "x", "Sum"], "n": ["1", "2", "4", "7"]}, "t", first_line=2))
    columns = [column for column in table.columns if isinstance(column, TextColumn)]
    assert [column.levels for column in columns] == [["x", "y"], ["1", "2", "4"]]
    assert table.rows == 3 and [len(column.codes) for column in columns] == [3, 3]
