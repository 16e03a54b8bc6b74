"""CSV files in every dialect come back byte for byte, and none takes more memory than it may."""

import csv
import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import open_source
from wassergan.data.tables import write_table
from wassergan.data.tables.csvfile import read_csv
from wassergan.errors import UserError


def written_back(path: Path, out: Path) -> tuple[bytes, list[str]]:
    """The rows of a file as they are written again, without training, and what was said."""
    said: list[str] = []
    source = open_source(path, heldout=0.34, log=said.append)
    write_table(source.codec, [source.values(torch.arange(len(source))).numpy()], out)  # type: ignore[arg-type]
    content = out.read_bytes()
    assert len(source.codec.columns) > 1  # type: ignore[attr-defined, union-attr]  # a wrong delimiter gives one
    return gzip.decompress(content) if out.suffix == ".gz" else content, said


DIALECTS = {
    "semicolons and commas": "Temp, C;Hum\n12,4;26\n14,5;40\n12,9;41\n",
    "sep line": "sep=;\na;b\n12,4;26\n14,5;40\n12,9;41\n",
    "sep line in quotes": '"sep=|"\na|b\n12.4|26\n14.5|40\n12.9|41\n',
    "tabs with decimal commas": "a\tb\n12,4\tx\n14,5\ty\n12,9\tx\n",
    "windows": "a,b\r\n1.5,x\r\n2.5,y\r\n3.5,x\r\n",
    "byte order mark": "\ufeffa,b\n1.5,x\n2.5,y\n3.5,x\n",
    "all in quotes": '"a","b"\n"1.5","x"\n"2.5","y"\n"3.5","x"\n',
    "text in quotes": '"a","b"\n1.5,"x"\n2.5,"y"\n3.5,"x"\n',
    "text in quotes, names not": 'a,b\n1.5,"x"\n2.5,"y"\n3.5,"x"\n',
    "missing ones not in quotes": '"a","b"\n1.5,"x"\n2.5,NA\n3.5,"x"\n4.5,"z"\n',
    "quotes where needed": 'a,b\n1.5,"x, y"\n2.5,z\n3.5,"x, y"\n',
    "a blank behind commas": 'a, b, c\n1.5, x, 1\n2.5, "y, z", 4\n3.5, x, 3\n',
    "blanks in the header": " a ,b\n1.5,x\n2.5,y\n3.5,x\n",
    "blanks before numbers": "a,b\n 1.5,x\n 2.5,y\n 3.5,x\n",
    "numbers to the right": "b,a\nx,   1\ny,  17\nx, 245\n",
    "a delimiter at the end": "a;b;\n1.5;x;\n2.5;y;\n3.5;x;\n",
    "more empty columns": "a,b,,\n1.5,x,,\n2.5,y,,\n3.5,x,,\n",
    "a delimiter at the end of rows": "a;b\n1.5;x;\n2.5;y;\n3.5;x;\n",
    "text with a semicolon": "a,b\n1,x;y\n2,z\n3,x;y\n4,z\n",
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_file_comes_back_in_its_own_dialect(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    content = DIALECTS[name].encode()
    path.write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
    back, _ = written_back(path, tmp_path / f"b{suffix}")
    assert back.decode() == DIALECTS[name]


def test_a_sign_that_fits_every_line_goes_before_the_comma(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(DIALECTS["semicolons and commas"])
    assert [each.name for each in read_csv(tmp_path / "a.csv").columns] == ["Temp, C", "Hum"]


def test_comments_before_the_header_are_passed_over_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("# made, by a machine\n# in 2024\na,b\n1.5,x\n2.5,y\n# the end\n3.5,x\n")
    back, said = written_back(tmp_path / "a.csv", tmp_path / "b.csv")
    assert back.decode() == "a,b\n1.5,x\n2.5,y\n3.5,x\n"
    assert said[0] == "a.csv has 3 comment lines, which are passed over."
    (tmp_path / "a.csv").write_text("#id,b\n1.5,x\n2.5,y\n3.5,x\n")  # a header of its own
    assert [each.name for each in read_csv(tmp_path / "a.csv").columns] == ["#id", "b"]


def test_empty_columns_at_the_end_are_said_and_others_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b;\n1.5;x;\n2.5;y;\n")
    (note,) = read_csv(tmp_path / "a.csv").notes
    assert note == "a.csv ends its lines with 1 empty field, which is written back empty."
    (tmp_path / "a.csv").write_text("a;b;\n1.5;x;\n2.5;y;z\n")
    with pytest.raises(UserError, match=r"a.csv has columns without a name: columns 3"):
        read_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("a;b\n1.5;x;\n2.5;y;\n3.5;y;z\n")
    with pytest.raises(UserError, match=r"a.csv is ragged: 3 fields in line 4"):
        read_csv(tmp_path / "a.csv")


def test_a_row_is_named_by_its_line_whatever_stands_before_it(tmp_path: Path) -> None:
    rows = "".join(f"{i * i},x\n" for i in range(30))
    (tmp_path / "a.csv").write_text(f'# comment\na,b\n1,"two\nlines"\n\n{rows}oops,x\n')
    with pytest.raises(UserError, match=r"mixes numbers and text: 'oops' in line 36"):
        open_source(tmp_path / "a.csv")


@given(
    names=st.lists(
        st.text("ab ,;\"'|#é", min_size=1, max_size=5).map(lambda s: f"n{s.strip()}"),
        min_size=2,
        max_size=4,
        unique=True,
    ),
    texts=st.lists(st.text("xy ,;\"'|é\n", max_size=6), min_size=8, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_of_text_comes_back_byte_for_byte_when_its_delimiter_is_known(
    names: list[str],
    texts: list[str],
    delimiter: str,
    end: str,
    quoting: int,
    encoding: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    file = io.StringIO(newline="")
    rows = [["k" * at + text.strip() + "q" for at in range(len(names))] for text in ("p", *texts, *texts)]
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([names, *rows])  # type: ignore[arg-type]
    (folder / "a.csv").write_bytes(file.getvalue().encode(encoding))
    (folder / "s.json").write_text(
        '{"delimiter": %s, "missing": [], "columns": {%s}}'  # noqa: UP031
        % (quoted(delimiter), ", ".join(f'{quoted(name)}: "category"' for name in names))
    )
    source = open_source(folder / "a.csv", schema=folder / "s.json")
    write_table(source.codec, [source.values(torch.arange(len(source))).numpy()], folder / "b.csv")  # type: ignore[arg-type]
    assert (folder / "b.csv").read_bytes() == (folder / "a.csv").read_bytes()


def quoted(text: str) -> str:
    import json

    return json.dumps(text)


HOSTILE = """
import gzip, resource, sys
from pathlib import Path
from wassergan.data.tables.csvfile import read_csv
from wassergan.errors import UserError
path = Path(sys.argv[1])
if path.suffix == ".gz":
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(600):
            file.write(b"a" * 2**20)
else:
    with path.open("wb") as file:
        file.write(sys.argv[2].encode())
        file.truncate(2**32)
now = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (now + 200 * 2**20,) * 2)
try:
    read_csv(path)
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell what a process maps")
@pytest.mark.parametrize(
    ("name", "header", "message"),
    [
        ("one-line.csv.gz", "", "has a line that is too long: more than 4194304 letters from line 1 on"),
        ("zeros.csv", "", "is no text: a zero byte or the like in line 1"),
        ("zeros-behind.csv", "a,b\n1,2\n", "is no text: a zero byte or the like in line 3"),
    ],
)
def test_lines_without_end_are_refused_before_they_take_memory(
    name: str, header: str, message: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", HOSTILE, str(tmp_path / name), header]
    told = subprocess.run(program, capture_output=True, text=True, check=False)
    assert message in told.stdout, told.stderr


def test_a_record_over_many_lines_is_bounded_too(tmp_path: Path) -> None:
    line = "x" * 2**19
    (tmp_path / "a.csv").write_text('a,b\n"' + f'{line}\n","' * 40)
    with pytest.raises(UserError, match=r"a line that is too long: more than 16777216 letters"):
        read_csv(tmp_path / "a.csv")
