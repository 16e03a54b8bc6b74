"""Excel workbooks: what their cells are, and what they are refused for."""

import datetime
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import TableCodec, open_source, read_conditions, read_rows, write_table
from wassergan.data.readers.excel import read_excel
from wassergan.data.readers.excel_sheet import BYTES_PER_ROW, TIMES_OF_XML, survey_of
from wassergan.errors import UserError

openpyxl = pytest.importorskip("openpyxl")
pa = pytest.importorskip("pyarrow")

ROWS = 60
START = datetime.datetime(2021, 3, 1)


def workbook(path: Path, sheets: dict[str, Sequence[Sequence[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def people() -> list[list[Any]]:
    header = ["age", "paid", "since", "at", "member", "zip", "score", "clock", "all empty"]
    return [header] + [
        [
            20 + row * row % 41,
            1000 * row / 8,
            START + datetime.timedelta(days=row * row % 97),
            START + datetime.timedelta(minutes=row * row),
            row % 3 == 0,
            "01099" if row % 2 else "10115",
            None if row % 7 == 0 else "n/a" if row % 11 == 0 else row * row,
            datetime.time(row % 24, 30),
            None,
        ]
        for row in range(ROWS)
    ]


def test_cells_are_read_in_their_own_types(tmp_path: Path) -> None:
    said: list[str] = []
    path = workbook(tmp_path / "a.xlsx", {"People": people(), "Other": [["x"], [1]]})
    source = open_source(path, log=said.append)
    codec = source.codec
    assert isinstance(codec, TableCodec)
    assert [column.kind for column in codec.columns] == (
        ["number", "number", "date", "date", "boolean", "category", "number", "date", "category"]
    )
    assert said == [
        "a.xlsx has 2 sheets ('People', 'Other'): 'People' is read; `sheet` takes another.",
        "Column score: text such as 'n/a' counts as missing.",
        "Empty in a.xlsx, and written back empty: all empty.",
    ]
    assert source.round_trip is not None and source.round_trip.words() == "as written: all 9 columns"
    rows = source.values(torch.arange(ROWS)).numpy()
    write_table(codec, [rows], tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[:3] == [
        "age,paid,since,at,member,zip,score,clock,all empty",
        "20,0,2021-03-01,2021-03-01 00:00:00,True,10115,,00:30:00,",
        "21,125,2021-03-02,2021-03-01 00:01:00,False,01099,1,01:30:00,",
    ]
    np.testing.assert_array_equal(read_rows(path, codec), rows)


def test_a_sheet_is_chosen_by_name_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"first": [["x"], *([each % 5] for each in range(40))], "second": people()})
    assert open_source(path).columns == ("x",)
    assert open_source(path, sheet="second").columns[0] == "age"
    with pytest.raises(UserError, match=r"sheet of a\.xlsx.*secnd.*second"):
        open_source(path, sheet="secnd")


def test_numbers_as_text_formulas_and_empty_ends(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["n", "e", None],
        *([str(each) if each % 9 == 0 else each, each % 4] for each in range(40)),
    ]
    rows += [[None, None, None]] * 5
    path = workbook(tmp_path / "a.xlsx", {"s": rows})
    said: list[str] = []
    source = open_source(path, log=said.append)
    assert len(source) == 40
    assert said[0] == "Column n: some cells hold text, such as '0'; all are taken as text."


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a", None, "b"], [1, 2, 3]], r"columns without a name: columns 2\. Name each .* merged cells"),
        ([["a", "b"]], "holds no rows"),
        ([], "has no header"),
        ([["a", "a"], [1, 2]], "columns of the same name"),
        ([["a"], [1], [2, "beside"]], r"has a cell beside its columns: 'beside' in row 3"),
    ],
)
def test_sheets_that_are_no_tables_are_refused(tmp_path: Path, rows: list[list[Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(workbook(tmp_path / "a.xlsx", {"s": rows}))


def test_errors_count_as_missing_and_are_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"s": [["x"], *(["#DIV/0!"] if row == 3 else [row % 7] for row in range(40))]})
    said: list[str] = []
    source = open_source(path, log=said.append)
    assert said == ["Column x: 1 cells hold errors such as #DIV/0!, which count as missing."]
    assert np.isnan(source.values(torch.arange(40)).numpy()).sum() == 1


def test_conditions_may_stand_in_a_workbook(tmp_path: Path) -> None:
    assert read_conditions(workbook(tmp_path / "a.xlsx", {"s": [["x", "y"], [1, "a"], [2, None]]})) == (
        {"x": [1, 2], "y": ["a", None]}
    )


def test_damaged_and_huge_workbooks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be read as an Excel workbook"):
        open_source(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(UserError, match="cannot be read as an Excel workbook"):
        open_source(tmp_path / "b.xlsx")
    with zipfile.ZipFile(tmp_path / "c.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b" " * 2**25)
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "16")
    with pytest.raises(UserError, match=r"c\.xlsx"):
        open_source(tmp_path / "c.xlsx")


def numbers(rows: int = 40) -> Any:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["x", "y", "kind"])
    for row in range(rows):
        sheet.append([row * row % 31 / 4, row * 7 % 23, "abc"[row % 3]])
    return book


def test_formulas_without_a_value_are_refused_by_their_cell(tmp_path: Path) -> None:
    book = numbers()
    book.active["B7"], book.active["B9"], book.active["A12"] = "=A7*2", "=SUM(A2:A9)", "=A1"
    book.save(tmp_path / "a.xlsx")
    message = (
        r"a\.xlsx holds formulas without a value: cell B7 of sheet 'Sheet', and 2 more\. Open and save it in a "
        "spreadsheet program"
    )
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / "a.xlsx")


def calculated(path: Path, cell: str, value: str, kind: str) -> None:
    """Enter the value of a formula, as a spreadsheet program does."""
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    text = parts[name].decode()
    start = text.index(f'<c r="{cell}"')
    end = text.index("</c>", start)
    formula = text[text.index("<f>", start) : text.index("</f>", start) + 4]
    text = text[:start] + f'<c r="{cell}"{kind}>{formula}<v>{value}</v>' + text[end:]
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in {**parts, name: text.encode()}.items():
            archive.writestr(each, content)


def test_formulas_with_a_value_count_as_it(tmp_path: Path) -> None:
    book, path = numbers(), tmp_path / "a.xlsx"
    book.active["B7"], book.active["C9"] = "=A7*2", '=IF(A9>99,"x","")'
    book.save(path)
    calculated(path, "B7", "13", "")
    calculated(path, "C9", "", ' t="str"')  # the formula gives an empty text
    source = open_source(path)
    assert source.columns == ("x", "y", "kind")
    assert source.codec.columns[1].kind == "number" and source.codec.columns[2].kind == "category"  # type: ignore[attr-defined]


def test_hidden_and_merged_cells_and_the_sheet_are_told(tmp_path: Path) -> None:
    book = numbers()
    first = book.active
    hidden = book.create_sheet("old", 0)
    hidden.append(["z"])
    hidden.sheet_state = "hidden"
    first.row_dimensions[5].hidden = True
    first.row_dimensions[6].hidden = True
    first.column_dimensions["B"].hidden = True
    first.merge_cells("C10:C12")
    book.save(tmp_path / "a.xlsx")
    said: list[str] = []
    source = open_source(tmp_path / "a.xlsx", log=said.append)
    assert source.columns == ("x", "y", "kind") and len(source) == 40
    assert said == [
        "a.xlsx has 2 sheets ('old' (hidden), 'Sheet'): 'Sheet' is read; `sheet` takes another.",
        "a.xlsx: 2 hidden rows are read like the others.",
        "a.xlsx: 1 hidden column read like the others.",
        "a.xlsx: Merged cells (C10:C12) have their value in the first one alone, the others count as empty: unmerge "
        "them and fill them in if that is not meant.",
    ]


def test_dates_count_from_1904_where_a_workbook_says_so(tmp_path: Path) -> None:
    days = [datetime.datetime(2020, 1, 1) + datetime.timedelta(days=row * row % 97) for row in range(40)]
    for epoch in (openpyxl.utils.datetime.CALENDAR_WINDOWS_1900, openpyxl.utils.datetime.CALENDAR_MAC_1904):
        book = openpyxl.Workbook()
        book.epoch = epoch
        for value in ["day", *days]:
            book.active.append([value])
        book.save(tmp_path / "a.xlsx")
        codec = open_source(tmp_path / "a.xlsx").codec
        assert isinstance(codec, TableCodec)
        rows = read_rows(tmp_path / "a.xlsx", codec)
        assert codec.columns[0].form.texts(rows[:, 0]) == [f"{day:%Y-%m-%d}" for day in days]


@pytest.mark.parametrize("form", ["0.0%", "#,##0.00 [$€-407]", '"$"#,##0.00', "0.00E+00", "# ?/?"])
def test_formats_of_numbers_leave_numbers(tmp_path: Path, form: str) -> None:
    book = numbers()
    for cell in book.active["A"][1:]:
        cell.number_format = form
    book.save(tmp_path / "a.xlsx")
    codec = open_source(tmp_path / "a.xlsx").codec
    assert isinstance(codec, TableCodec) and codec.columns[0].kind == "number"
    assert read_rows(tmp_path / "a.xlsx", codec)[:3, 0].tolist() == [0.0, 0.25, 1.0]


TEXTS = (
    b'<Override PartName="/xl/sharedStrings.xml" '
    b'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def with_sheet(path: Path, sheet: bytes, **others: bytes) -> Path:
    """A workbook whose first sheet is this XML."""
    plain = workbook(path.with_name("plain.xlsx"), {"Sheet": people()})
    parts = {
        "xl/worksheets/sheet1.xml": sheet,
        "xl/sharedStrings.xml": b"<sst " + SPACE + b"/>",
        **{f"xl/{name}.xml": text for name, text in others.items()},
    }
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in {*source.namelist(), *parts}:
            content = parts.get(name) or source.read(name)
            archive.writestr(name, content.replace(b"</Types>", TEXTS) if name == "[Content_Types].xml" else content)
    return path


SPACE = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
BEGIN = b"<worksheet " + SPACE + b'><dimension ref="A1:A9"/><sheetData>'
END = b"</sheetData></worksheet>"
ROW = b"<row><c><v>%d</v></c></row>"
NAMES = b'<row><c t="str"><v>a</v></c></row>'


def test_a_sheet_is_measured_before_it_is_parsed(tmp_path: Path) -> None:
    part = "xl/worksheets/sheet1.xml"
    rows = b"".join(ROW % number for number in range(90_000))
    found = survey_of(with_sheet(tmp_path / "a.xlsx", BEGIN + NAMES + rows + END), part)
    # Ends of rows may be told a row too late; what is held is little.
    assert (found.rows, found.has_marks) == (90_001, False)
    assert found.held_bytes - 90_001 * BYTES_PER_ROW < TIMES_OF_XML * 400
    long = b"<row>" + b"<c/>" * 100_000 + b"</row>"
    for sheet, held in (
        (BEGIN + NAMES + long + rows + END, 400_000),  # one long row
        (BEGIN + NAMES + rows + END + b"<mergeCells>" + b"<m/>" * 100_000, 400_000),  # behind the rows
        (BEGIN.replace(b"<dimension", b"<z/>" * 100_000 + b"<dimension") + rows + END, 400_000),  # before them
        (
            BEGIN.replace(b'<dimension ref="A1:A9"/>', b"") + rows + END,
            len(rows),
        ),  # whose size is looked for to its end
        (BEGIN + b"<!--" + b"<row >" * 9 + b"-->" + rows + END, len(rows)),
    ):
        assert survey_of(with_sheet(tmp_path / "b.xlsx", sheet), part).held_bytes > TIMES_OF_XML * held
    formula = BEGIN + NAMES + rows + b"<row><c><f>A1</f><v>1</v></c></row>" + END
    assert survey_of(with_sheet(tmp_path / "c.xlsx", formula), part).has_marks


@pytest.mark.parametrize(
    ("sheet", "others"),
    [
        (BEGIN + NAMES + b"<row>" + b"<c/>" * 400_000 + b"</row>" + ROW % 1 + END, {}),
        (BEGIN.replace(b'<dimension ref="A1:A9"/>', b"") + NAMES + ROW % 1 * 40_000 + END, {}),
        (
            BEGIN + b'<row><c t="s"><v>0</v></c></row>' * 2000 + END,
            {"sharedStrings": b"<sst " + SPACE + b"><si><t>" + b"x" * 30_000 + b"</t></si></sst>"},
        ),
        (BEGIN + NAMES + ROW % 1 * 500_000 + END, {}),
    ],
    ids=["a long row", "no size", "one text often", "many rows"],
)
def test_workbooks_that_unfold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: bytes, others: dict[str, bytes]
) -> None:
    path = with_sheet(tmp_path / "a.xlsx", sheet, **others)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "30")
    with pytest.raises(UserError, match="would fill too much memory"):
        read_excel(path)


@pytest.mark.parametrize(
    "start",
    [
        b"<!DOCTYPE a [<!ENTITY e '<c/>'>]>",
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="cp037"?>',
    ],
)
def test_a_workbook_that_defines_its_own_entities_is_refused(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(UserError, match="is no plain workbook"):
        read_excel(with_sheet(tmp_path / "a.xlsx", start + BEGIN + NAMES + ROW % 1 + END))
    with pytest.raises(UserError, match="is no plain workbook"):
        read_excel(with_sheet(tmp_path / "a.xlsx", BEGIN + NAMES + ROW % 1 + END, styles=start))


def test_an_error_for_a_name_and_rows_of_several_lengths(tmp_path: Path) -> None:
    wrong = b'<row><c t="e"><v>#REF!</v></c></row>'
    with pytest.raises(UserError, match="has an error for a name"):
        read_excel(with_sheet(tmp_path / "a.xlsx", BEGIN + wrong + ROW % 1 + END))
    names = b'<row><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row>'
    sheet = BEGIN + names + ROW % 1 + b'<row><c r="B3"><v>2</v></c></row>' + b"<row/>" + ROW % 3 + END
    table = read_excel(with_sheet(tmp_path / "a.xlsx", sheet))
    assert table.arrow["a"].to_pylist() == [1, None, None, 3]
    assert table.arrow["b"].to_pylist() == [None, 2, None, None]
    beyond = BEGIN + names + b'<row><c r="C2" t="e"><v>#N/A</v></c></row>' + END
    with pytest.raises(UserError, match="has a cell beside its columns: an error in row 2"):
        read_excel(with_sheet(tmp_path / "a.xlsx", beyond))
