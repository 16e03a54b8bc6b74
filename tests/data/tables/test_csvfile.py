import gzip
from pathlib import Path

import pytest

from wassergan.data import open_source
from wassergan.data.tables import RawTable, csvfile
from wassergan.data.tables.csvfile import read_csv
from wassergan.errors import UserError

ROWS = "".join(f"{10 + i % 7},{'ab'[i % 2]}\n" for i in range(30))


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.TSV"])
def test_delimiter_and_encoding_are_found(tmp_path: Path, delimiter: str, encoding: str, name: str) -> None:
    lines = ["age,name", '12,"Zoé, ""x"""', "13,b", "", "12,b"]
    quoted = '"Zoé, ""x"""'
    text = "\n".join(line if quoted in line else line.replace(",", delimiter) for line in lines)
    text = text.replace("12," + quoted, f"12{delimiter}{quoted}")
    table = read_csv(write(tmp_path / name, text, encoding=encoding))
    age, names = table.columns
    assert (age.name, age.levels, age.codes.tolist()) == ("age", ["12", "13"], [0, 1, 0])
    assert (names.name, names.levels, names.codes.tolist()) == ("name", ['Zoé, "x"', "b"], [0, 1, 1])
    assert table.rows == 3 and table.dialect["delimiter"] == delimiter


def test_what_is_told_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b;c\né,1;2\n", encoding="latin-1")
    table = read_csv(path, delimiter=";", encoding="latin-1")
    assert [each.name for each in table.columns] == ["a,b", "c"]
    assert table.columns[0].levels == ["é,1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"a.csv is ragged: 1 fields in line 3, 2 in the header\. Correct that line\."),
        ("a,b\n1,2\n3,4,5\n", r"a.csv is ragged: 3 fields in line 3, 2 in the header"),
        ("a,b,a\n1,2,3\n", r"a.csv has columns of the same name: a\. Rename them\."),
        ("a,,b\n1,2,3\n", r"a.csv has columns without a name: columns 2\."),
        ("1,2.5\n3,4\n", r"a.csv has no header line: numbers in line 1: 1, 2\.5"),
        ("", r"a.csv is empty\. Give a header line and rows\."),
        ("a,b\n", r"a.csv holds no rows: a header alone\."),
        ('a,b\n1,"2\n', r"a.csv cannot be read as CSV: .*Correct its quotes"),
    ],
)
def test_malformed_files_are_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(write(tmp_path / "a.csv", text))


def test_the_ragged_line_is_the_one_an_editor_shows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 fields in line 5"):
        read_csv(write(tmp_path / "a.csv", 'a,b\n1,"two\nlines"\n3,4\n5\n'))


def test_what_is_not_utf_8_is_read_as_cp1252_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\ncafé \u20ac,1\n" + ROWS, encoding="cp1252")
    table = read_csv(path)
    assert table.columns[0].levels[0] == "café \u20ac" and table.dialect["encoding"] == "cp1252"
    assert table.notes[0].startswith("a.csv is not UTF-8: it is read as cp1252, and written so.")


@pytest.mark.parametrize("delimiter", ["\\r", '"'])
def test_a_line_end_or_a_quote_is_no_delimiter(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3,4\n")
    with pytest.raises(UserError, match="A delimiter is no line end and no quote"):
        read_csv(tmp_path / "a.csv", delimiter=delimiter.encode().decode("unicode_escape"))


@pytest.mark.parametrize("content", [b"a,b\n\x81\xff,1\n", b"a,b\n\x01\xe9,1\n", b"\xff\xd8\xff\xe0\x07\x10JFIF"])
def test_a_wrong_encoding_is_named_with_the_way_to_tell(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'a.csv is not in the expected encoding: byte 0x.* \{"encoding": "latin-1"\}'):
        read_csv(path)
    with pytest.raises(UserError, match=r"a.csv is not in the expected encoding"):
        read_csv(write(path, "a,b\ncafé,1\n" + ROWS, encoding="latin-1"), encoding="utf-8")
    with pytest.raises(UserError, match="Unknown encoding: 'klingon'"):
        read_csv(path, encoding="klingon")
    with pytest.raises(UserError, match="A delimiter is one character: 'ab'"):
        read_csv(path, delimiter="ab", encoding="latin-1")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", "a,b\n" + ROWS)
    for content in (path.read_bytes()[:-9], b"a,b\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a.csv.gz is a damaged gzip file"):
            read_csv(path)


@pytest.mark.parametrize("line", ["\n", "\r\n", "#\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_without_data_are_bounded_by_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, packed: bool
) -> None:
    monkeypatch.setattr(csvfile, "MOST_EMPTY_LINES", 100)
    monkeypatch.setattr(csvfile, "MOST_EMPTY_LINES_PER_ROW", 2)
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")

    def read(text: str) -> RawTable:
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        return read_csv(path)

    start = "# a comment\na,b\n" if "#" in line else "a,b\n"
    assert read(start + line * 100 + "1,2\n").rows == 1
    assert read(start + ("1,2\n" + line * 2) * 400).rows == 400
    with pytest.raises(UserError, match="too many lines without data: 101 empty ones and comments up to line 10"):
        read(start + line * 101 + "1,2\n")
    with pytest.raises(UserError, match="too many lines without data: 103 .* among 1 rows"):
        read(start + "1,2\n" + line * 500)
