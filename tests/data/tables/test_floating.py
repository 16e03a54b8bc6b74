"""Numbers as programs print them come back as they stand; else it is said, and dress alone refuses none."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import TableCodec, open_source
from wassergan.data.tables.floating import Floating, floatings
from wassergan.data.tables.formats import NumberForm, form_from_state
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.text_columns import numbers_of
from wassergan.errors import UserError

ROWS = 120


def spread(size: float = 4.0, count: int = ROWS) -> list[float]:
    return np.random.default_rng(3).lognormal(0, size, count).tolist()


def java(value: float) -> str:
    """As `Double.toString`: an exponent below 1e-3 and from 1e7 on, and a digit behind the point always."""
    if 1e-3 <= value < 1e7:
        return np.format_float_positional(value, trim="0")
    mantissa, power = np.format_float_scientific(value, trim="0").split("e")
    return f"{mantissa}E{int(power)}"


def javascript(value: float) -> str:
    if 1e-6 <= value < 1e21:
        return np.format_float_positional(value, trim="-")
    mantissa, power = np.format_float_scientific(value, trim="-").split("e")
    return f"{mantissa}e{int(power):+d}"


def as_r(value: float) -> str:
    """As `write.csv`: 15 digits, with an exponent where that is shorter."""
    value = float(f"{value:.15g}")
    plain = np.format_float_positional(value, trim="-")
    digits = max(0, len(plain.replace(".", "").strip("0")) - 1)
    scientific = f"{value:.{digits}e}"
    return plain if len(plain) <= len(scientific) else scientific


PRINTED = {
    "three digits": [f"{x:.3g}" for x in spread()],
    "six digits": [f"{x:.6g}" for x in spread(6)],
    "capitals": [f"{x:.4G}" for x in spread(6)],
    "R, amounts": [as_r(x) for x in [*np.arange(100.0, 200_000, 1700), 1e5, 1e6, 123_456]],
    "R, small": [as_r(round(x, 5)) for x in [*np.arange(0.00003, 0.01, 0.00017), 1e-4, 1e-5]],
    "R, real": [as_r(x) for x in spread()],
    "Java": [java(x) for x in [*spread(8), 1e7, 12.0]],
    "JavaScript": [javascript(x) for x in [*spread(8), 12.0, 1e-7]],
    "Python": [repr(x) for x in [*spread(12), 12.0, 1e16, 1e-5]],
    "float32": [str(np.float32(x)) for x in spread(10)],
    "Excel": ["1E-05", "2.5E+06", "12", "0.5", "3", "4.25", "1.25E+07"],
    "fixed": [f"{x:.3e}" for x in [0.0, *spread(6)]],
    "comma": [f"{x:.3g}".replace(".", ",") for x in spread()],
    "comma, fixed": [f"{x:.3E}".replace(".", ",") for x in spread()],
    "zeros": [f"{x:#.3g}" for x in np.random.default_rng(1).uniform(0.01, 99, ROWS)],
    "artefacts": [javascript(round(x, 1) * 1.1) for x in [10, 20, *spread(1)]],
    "17 digits": [f"{x:.17g}" for x in spread(1)],
    "nought": ["-0.0", "0.0", *[repr(round(x - 1, 1)) for x in spread(1)]],
    "bare": [f"{x:.2f}".lstrip("0") for x in np.random.default_rng(1).uniform(0, 2, ROWS)],
    "open": [f"{x:g}." if x == int(x) else f"{x:g}" for x in np.arange(ROWS) / 2],
    "signed": [f"{x - 1:+.3g}" for x in spread(5)],
    "per cent": [f"{x:.3g}%" for x in spread(2)],
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_programs_print_is_one_form(name: str) -> None:
    levels = list(dict.fromkeys(PRINTED[name]))
    found = numbers_of(levels, ColumnSpec(), evidence="," if name.startswith("comma") else "")
    assert found is not None and found.notes == ()
    assert found.form.texts(found.values) == levels
    exact = [float(Decimal(text.rstrip("%").replace(",", "."))) for text in levels]
    assert found.values.tolist() == exact
    assert form_from_state(found.form.state()) == found.form


@given(
    st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=40, unique=True),
    st.integers(1, 15),
    st.sampled_from("gG"),
    st.booleans(),
)
def test_significant_digits_are_one_class(values: list[float], digits: int, letter: str, negative: bool) -> None:
    levels = list(dict.fromkeys(f"{-x if negative else x:.{digits}{letter}}" for x in values))
    found = numbers_of(levels, ColumnSpec())
    assert found is not None
    assert found.values.tolist() == [float(text) for text in levels]
    assert found.form.texts(found.values) == levels or found.notes
    assert found.form.read(found.form.texts(found.values)).tolist() == found.values.tolist()


@given(st.floats(1e-30, 1e30), st.integers(1, 17))
def test_digits_are_those_of_c(value: float, digits: int) -> None:
    form = Floating(digits, low=-4, high=digits)
    assert form.text(value) == f"{value:.{digits}g}"
    assert Floating(digits, zeros=True, low=-4, high=digits).text(value).rstrip(".") == (
        f"{value:#.{digits}g}".replace(".e", "e").rstrip(".")
    )
    assert float(Floating().text(value)) == value
    assert form.rounded(value) == float(f"{value:.{digits}g}")


def test_generated_numbers_have_the_digits_of_the_column() -> None:
    levels = [f"{x:.3g}" for x in spread()]
    found = numbers_of(list(dict.fromkeys(levels)), ColumnSpec())
    assert found is not None and isinstance(found.form, NumberForm)
    drawn = found.form.fitted(np.array([1234.567, 0.123456, np.nan]), 0.0, 1e6)
    assert drawn[:2].tolist() == [1230.0, 0.123] and np.isnan(drawn[2])
    assert found.form.texts(drawn[:2]) == ["1.23e+03", "0.123"]


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (["1.50", "2", "3.1", "4.25", "12.0"], "'1.50' as '1.5', '12.0' as '12'"),
        (["1e5", "1E6", "2e5", "12"], "'1e5' as '100000', '1E6' as '1000000', '2e5' as '200000'"),
        (["0.33333333333333333333", "0.5", "2"], "'0.33333333333333333333' as '0.3333333333333333'"),
        (["1", "2.50", "+3", "4e0"], "'2.50'"),
    ],
)
def test_what_no_form_writes_is_said_and_not_refused(tmp_path: Path, levels: list[str], said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{levels[row % len(levels)]},{row % 7}\n" for row in range(60)))
    notes: list[str] = []
    source = open_source(path, log=notes.append)
    assert isinstance(source.codec, TableCodec)
    assert source.codec.columns[0].kind == "number"
    assert any("Column a of a.csv is written in one way" in note and said in note for note in notes), notes
    assert "1 of 2 columns changes: a: " in source.round_trip.words()


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "-Infinity"])
@pytest.mark.parametrize("rows", [12, 200])
def test_infinite_texts_are_refused_with_their_line(tmp_path: Path, text: str, rows: int) -> None:
    levels = [str(row * 1.5) for row in range(rows)]
    levels[7] = text
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{level},{row % 7}\n" for row, level in enumerate(levels)))
    with pytest.raises(
        UserError, match=f"Column a of a.csv holds infinite values: '{text}', the first in line 9. Correct"
    ):
        open_source(path)
    (tmp_path / "s.json").write_text(f'{{"columns": {{"a": {{"kind": "number", "missing": ["{text}"]}}}}}}')
    codec = open_source(path, schema=tmp_path / "s.json").codec
    assert isinstance(codec, TableCodec) and codec.columns[0].kind == "number"


@pytest.mark.parametrize("mark", [".", ".a", "._", ".Z", "NA", "#NULL!", "#DIV/0!", "#NV", "#N/A"])
def test_marks_of_statistics_programs_are_missing_values(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{mark if row % 9 == 4 else row * 1.5},{row % 7}\n" for row in range(90)))
    codec = open_source(path).codec
    assert isinstance(codec, TableCodec)
    assert codec.columns[0].kind == "number" and codec.columns[0].missing == mark


def test_rules_for_exponents() -> None:
    assert floatings(["1e+05", "123456"])[0].shorter
    assert floatings(["1e+03", "234"])[0].high == 3
    assert floatings(["1e5", "1E6"]) == []


@given(st.integers(0, 10**6), st.floats(0.3, 2.0), st.floats(-1, 3), st.integers(1, 4), st.integers(40, 400))
def test_numbers_that_were_rounded_to_decimals_have_decimals_and_no_significant_digits(
    seed: int, spread: float, middle: float, places: int, count: int
) -> None:
    numbers = np.random.default_rng(seed).lognormal(middle, spread, count)
    texts = list(dict.fromkeys(str(np.round(each, places)) for each in numbers if each < 1000))
    found = numbers_of(texts, ColumnSpec())
    assert found is not None and isinstance(found.form, NumberForm)
    fresh = found.form.fitted(np.random.default_rng(seed + 1).lognormal(middle, spread, 100), 0.0, 1000.0)
    assert all(len(text.partition(".")[2]) <= places for text in found.form.texts(fresh))


def test_a_few_zeros_at_the_end_by_accident_make_no_significant_digits() -> None:
    # All of 7 numbers above 10 end in a zero at the third decimal; 60 below 1 never go beyond it.
    small = [str(round(0.1 + 0.0131 * i, 3)) for i in range(60)]
    texts = list(dict.fromkeys([*small, "1.234", "3.217", *(f"1{i}.2{i}" for i in range(1, 8))]))
    found = numbers_of(texts, ColumnSpec())
    assert found is not None and isinstance(found.form, NumberForm)
    assert found.form.texts(np.array([0.123, 0.04])) == ["0.123", "0.04"]
    assert found.form.fitted(np.array([0.12345]), 0.0, 20.0) == pytest.approx([0.123])
