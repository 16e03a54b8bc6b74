import csv
import io
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data.tables.spreadsheets import Formulas, runs, safe

FORMULAS = [
    *("=1+1", "=cmd|' /C calc'!A0", "+SUM(A1:A9)", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)", "\t=1+1", "\r=1+1", "  =1+1"),
    *(
        "\ufeff=1+1",
        "\u00a0@x",
        "＝1+1",
        "＋x",
        "－x",
        "＠x",
        "-A1",
        "--1",
        "+-1",
        "a;=1+1",
        'say "hi",=1+1',
        "x\n=1+1",
    ),
    *("a\t@SUM(1)", "1,+cmd", "b|=x", "a;+1+cmd|' /C calc'!A0", "a;-2+3+cmd|'x'!A0", "a,+1+1", 'a;"=1"', '"=1+1"'),
    *("\u2060=1", "\u200e=1", "\u202a@x", "\u00ad=1", "\x00=1", "\x01@x", "\x1b=1", "\ufe62x", "\ufe66x", "\u2212x"),
]
HARMLESS = [
    *("", "-", "+", "@", "-3", "+3,5", "-1.234,56", "-1 234", "-5 %", "-1e-5", "a", "a - b", "x=y", "mail@x.org"),
    *(
        "Smith, -3",
        "'=1+1",
        "3-4",
        "a, b",
        "2024-01-01",
        "1;-5",
        "-12'000",
        "\u22123,5",
        "a, - b",
        "5,-3 %",
        "x;-1.5e-3;y",
    ),
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_found_and_made_text(text: str) -> None:
    assert runs(text)
    assert not runs(safe(text))
    assert safe(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_stays(text: str) -> None:
    assert not runs(text)
    assert safe(text) == text


@given(st.text(alphabet="=+-@;,|\t\r\n '\"" + string.ascii_letters + string.digits + "＝－", max_size=12))
def test_nothing_that_was_made_safe_runs_and_it_is_stable(text: str) -> None:
    once = safe(text)
    assert not runs(once)
    assert safe(once) == once


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_numbers_are_never_touched(number: object) -> None:
    assert safe(str(number)) == str(number)


def test_counts_and_example_speak_of_every_cell() -> None:
    formulas = Formulas()
    assert formulas.cells(["=b", "c", "=b", "=a"]) == ["=b", "c", "=b", "=a"]
    assert formulas.count == 3 and "'=a'" in formulas.told() and "3 cells" in formulas.told()
    assert "safe_csv=True" in formulas.told()
    assert Formulas().told() == ""


def test_what_is_written_is_read_by_the_csv_module_as_text_with_an_apostrophe() -> None:
    formulas = Formulas(prefix=True)
    file = io.StringIO()
    csv.writer(file).writerow(formulas.cells(FORMULAS))
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert not any(map(runs, row))
