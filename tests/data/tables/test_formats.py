"""Dates and numbers in any dress: what is recognised is read and written by exact inverses, and draws keep it."""

import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import open_source
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import raw_texts
from wassergan.data.tables.date_texts import date_format
from wassergan.data.tables.formats import DateForm, NumberForm, form_from_state, rounded
from wassergan.data.tables.grids import with_number_grid
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.number_dress import Dress
from wassergan.data.tables.schema import ColumnSpec, schema_of
from wassergan.data.tables.source import table_source
from wassergan.data.tables.steps import Grid, shared_months, shared_step
from wassergan.data.tables.text_columns import are_codes, passes_luhn
from wassergan.errors import UserError

EPOCH = datetime(1970, 1, 1)


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("neither the system nor tzdata has time zones")


def column_of(texts: list[str], wish: object = None, **columns: list[str]) -> tuple[Column, list[str]]:
    said: list[str] = []
    schema = schema_of({"columns": {"x": wish} if wish else {}})
    return infer_columns(raw_texts({"x": texts, **columns}, "a.csv"), schema, log=said.append)[0], said


def written(column: Column) -> list[str]:
    return column.form.texts(column.values)


FORMATS = (
    "%Y-%m-%d",
    "%d.%m.%y",
    "%m/%d/%Y %I:%M %p",
    "%b %d, %Y",
    "%d-%b-%y",
    "%d%b%Y",
    "%B %Y",
    "%a %b %d %H:%M:%S %Y",
    "%A, %d %B %Y",
    "%Y%m%d",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d%H%M%S",
    "%Y%m",
    "%Y-%m",
    "%G-W%V-%u",
    "%G-W%V",
    "%Y-%j",
    "%H:%M:%S",
    "%I:%M:%S %p",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%dT%H:%M:%S.000Z",
    "%d %b %Y %H:%M",
    "%a, %d %b %Y %H:%M:%S +0000",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%y-%m-%d",
)


@given(seed=st.integers(0, 10**6), pattern=st.sampled_from(FORMATS), years=st.sampled_from([1, 20, 60]))
def test_dates_in_any_usual_format_are_found_and_written_back(seed: int, pattern: str, years: int) -> None:
    rng = random.Random(seed)
    start = datetime(2023 - years, 3, 1)
    moments = [
        start + timedelta(seconds=rng.randrange(years * 31_000_000), microseconds=rng.randrange(10**6))
        for _ in range(80)
    ]
    column, _ = column_of([moment.strftime(pattern) for moment in moments])  # by the C library: an independent writer
    assert column.kind == "date"
    assert written(column) == [moment.strftime(pattern) for moment in moments]
    if "%Y" in pattern and "%d" in pattern:
        units = [(datetime.strptime(each.strftime(pattern), pattern).replace(tzinfo=None) - EPOCH) for each in moments]
        step = timedelta(microseconds=column.form.unit)  # type: ignore[union-attr]
        np.testing.assert_array_equal(column.values, [each / step for each in units])


MORE = ("%c", "%x %X", "%Y-%m-%d %I %p", "%Y %U %w", "%Y %W %a", "%D", "%F %T", "%j %Y", "%p %I %d %m %Y")


@given(
    micros=st.integers(-(10**15), 4 * 10**15),
    pattern=st.sampled_from([*FORMATS, *MORE]),
)
def test_formats_write_what_the_c_library_writes_and_read_it_back(micros: int, pattern: str) -> None:
    layout, moment = date_format(pattern), EPOCH + timedelta(microseconds=micros)
    if "%y" in pattern or pattern in ("%D", "%x %X"):
        moment = moment.replace(year=1970 + moment.year % 68, day=min(moment.day, 28))
    text = moment.strftime(pattern)
    instant = round((moment - EPOCH) / timedelta(microseconds=1))
    assert layout.write(instant, "UTC" if "z" in layout.fields else "") == text
    assert layout.write(layout.read(text), "UTC" if "z" in layout.fields else "") == text


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Europe/London"]
)
@pytest.mark.parametrize("style", [" ", "T", "z", "hours"])
def test_offsets_of_a_time_zone_come_back_with_each_moment(zone: str, style: str) -> None:
    moments = [datetime(2021, 1, 1, 12, tzinfo=UTC) + timedelta(hours=37 * i) for i in range(300)]
    there = [moment.astimezone(zone_of(zone)) for moment in moments]
    texts = [each.isoformat("T" if style == "T" else " ") for each in there]
    if style == "z":
        texts = [each.strftime("%Y-%m-%d %H:%M:%S %z") for each in there]
    if style == "hours":
        if zone == "Asia/Kolkata":
            pytest.skip("its offset is no whole hour")
        texts = [text[:-3] for text in texts]
    column, _ = column_of(texts)
    assert written(column) == texts
    hours = [moment.timestamp() / 3600 for moment in moments]
    np.testing.assert_array_equal(column.values * column.form.unit / 3.6e9, hours)  # type: ignore[union-attr]
    column, _ = column_of([text.replace("+00:00", "Z") for text in texts] if style == "T" else texts)
    assert column.kind == "date"


def test_offsets_of_no_zone_are_refused() -> None:
    rng = random.Random(0)
    zones = [timezone(timedelta(hours=each)) for each in (-5, 1, 9)]
    texts = [datetime.fromtimestamp(1.6e9 + 7919 * i, rng.choice(zones)).isoformat(" ") for i in range(60)]
    with pytest.raises(
        UserError, match=r"Column x of a.csv holds offsets from UTC that are those of no time zone: '.*' and '.*'"
    ):
        column_of(texts)


@pytest.mark.parametrize(
    ("texts", "pattern"),
    [
        ([f"2023-01-{1 + i % 28:02d}T12:00:00.{i % 1000:03d}Z" for i in range(50)], "%Y-%m-%dT%H:%M:%S.%3fZ"),
        (["12:00:00", "12:00:00.5", "12:00:01.25"], "%H:%M:%S%.f"),
        ([str(datetime(2023, 1, 1) + timedelta(microseconds=500_000 * i)) for i in range(9)], "%Y-%m-%d %H:%M:%S%.6f"),
        (["2023-01-05 10:00:00,123", "2023-01-06 10:00:00,456"], "%Y-%m-%d %H:%M:%S,%3f"),
        (["1/2/2023 5:07 PM", "11/12/2023 11:30 AM", "3/25/2023 12:00 AM"], "%-m/%-d/%Y %-I:%M %p"),
        (["5 PM", "12 AM", "11 AM"], "%-I %p"),
        (["08OCT2023", "24DEC2022"], "%d%^b%Y"),
        (["2023-Q1", "2022-Q4"], "%Y-Q%q"),
        (["2023-10-08 19:56:00+02", "2023-01-08 19:56:00+01"], "%Y-%m-%d %H:%M:%S%#z"),
        (["01.02.30", "28.11.99", "15.07.05"], "%d.%m.%y"),
    ],
)
def test_rarer_formats(texts: list[str], pattern: str) -> None:
    column, _ = column_of(texts * 3)
    assert isinstance(column.form, DateForm) and column.form.format == pattern
    assert written(column) == texts * 3


def test_a_format_that_would_write_another_text_is_none_of_the_column() -> None:
    assert date_format("%a, %d %b %Y").read("Mon, 08 Oct 2023") == 1_696_723_200_000_000  # a Sunday
    with pytest.raises(UserError, match=r"does not hold dates alone: 'Mon, 08 Oct 2023' in row 0"):
        column_of(["Mon, 08 Oct 2023", "Mon, 09 Oct 2023"], {"kind": "date", "format": "%a, %d %b %Y"})
    right = [(datetime(2020, 1, 1) + timedelta(days=i)).strftime("%a, %d %b %Y") for i in range(80)]
    with pytest.raises(
        UserError, match=r"'Wed, 31 Dec 2024' in row 80"
    ):  # a Tuesday, behind those that are tried first
        column_of([*right, "Wed, 31 Dec 2024"])


def test_two_digit_years_are_one_span() -> None:
    column, _ = column_of([f"{1 + i % 28:02d}.{1 + i % 12:02d}.{(30 + i) % 100:02d}" for i in range(76)])
    years = 1970 + column.values.astype("datetime64[D]").astype("datetime64[Y]").astype(int)
    assert (years.min(), years.max()) == (1930, 2005)


def test_days_and_months_that_could_be_either_are_said() -> None:
    column, (said,) = column_of(["03/04/2023", "05/02/2023", "01/02/2023"])
    assert column.form.format == "%d/%m/%Y"  # type: ignore[union-attr]
    assert (
        'is read as %d/%m/%Y, and %m/%d/%Y fits as well: if that is meant, say {"kind": "date", "format": "%m/%d/%Y"}'
        in said
    )
    monthly, _ = column_of([f"{i:02d}/01/2023" for i in range(1, 13)])
    assert monthly.form.format == "%m/%d/%Y"  # type: ignore[union-attr]
    ascending, _ = column_of(["01/05/2023", "01/07/2023", "02/03/2023", "03/02/2023"])
    assert ascending.form.format == "%m/%d/%Y"  # type: ignore[union-attr]
    assert not column_of(["01/02/2023", "03/04/2023"], {"kind": "date", "format": "%m/%d/%Y"})[1]


DAYS = [str(datetime(2022, 1, 1) + timedelta(days=3 * i))[:10] for i in range(150)]


def test_one_bad_date_is_refused_with_its_line_and_taken_as_missing_if_asked() -> None:
    bad = [*DAYS[:100], "2022-02-30", *DAYS[100:]]
    with pytest.raises(UserError) as raised:
        column_of(bad)
    assert str(raised.value).startswith(
        "Column x of a.csv holds dates, and what is no date in %Y-%m-%d: '2022-02-30' in row 100."
    )
    assert '"x": {"kind": "date", "format": "%Y-%m-%d", "invalid": "missing"}' in str(raised.value)
    with pytest.raises(UserError, match=r"does not hold dates alone: '2022-02-30' in row 100 is not in %Y-%m-%d"):
        column_of(bad, "date")
    for wish in ({"kind": "date", "missing": ["2022-02-30"]}, {"kind": "date", "invalid": "missing"}):
        column, _ = column_of(bad, wish)
        assert np.flatnonzero(np.isnan(column.values)).tolist() == [100]
    assert column_of(bad, {"kind": "date", "invalid": "missing"})[1] == [
        "Column x of a.csv holds '2022-02-30' in 1 row: taken as missing."
    ]
    numbers = np.array([int(day.replace("-", "")) for day in bad])
    with pytest.raises(UserError, match=r"holds dates, and what is no date in %Y%m%d: 20220230 in row 100"):
        _typed(numbers)


def _typed(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Column:
    import pyarrow

    from wassergan.data.tables.arrowfile import raw_of_arrow

    return infer_columns(raw_of_arrow(pyarrow.table({"x": numbers}), "a"), schema_of({}), log=print)[0]


def test_two_formats_are_named_both() -> None:
    other = [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in DAYS]
    with pytest.raises(
        UserError, match=r"holds dates in two formats: .*(%d\.%m\.%Y|%Y-%m-%d) and .*, such as '.*' in row"
    ):
        column_of([a if i % 2 else b for i, (a, b) in enumerate(zip(DAYS, other, strict=True))])


def test_whole_numbers_of_a_type_that_are_dates_are_dates_and_stay_whole_numbers() -> None:
    numbers = np.array([int(day.replace("-", "")) for day in DAYS])
    column = _typed(numbers)
    assert column.kind == "date" and column.form.plain(column.values) == numbers.tolist()
    assert _typed(np.arange(20230000, 20230400, 7)).kind == "number"


# Numbers

SIGNS = st.sampled_from(
    [(".", ""), (".", ","), (",", "."), (",", " "), (".", "'"), (",", ""), (",", "\u202f"), (".", "_")]
)


@given(
    seed=st.integers(0, 10**6),
    places=st.integers(0, 4),
    size=st.integers(1, 9),
    signs=SIGNS,
    prefix=st.sampled_from(["", "$", "\u20ac ", "US$", "CHF ", "Rs.", "~", " "]),
    suffix=st.sampled_from(["", "%", " kg", " \u20ac", "km/h", "\u00b0C", " "]),
    minus=st.sampled_from(["-", "()", "12-", "\u2212", ""]),
    plus=st.sampled_from(["", "+", "+0"]),
    inner=st.booleans(),
)
def test_numbers_in_any_dress_are_found_and_written_back(
    seed: int,
    places: int,
    size: int,
    signs: tuple[str, str],
    prefix: str,
    suffix: str,
    minus: str,
    plus: str,
    inner: bool,
) -> None:
    rng = random.Random(seed)
    whole = [rng.randrange(10 ** (size + places)) * rng.choice([1, -1] if minus else [1]) for _ in range(60)]
    numbers = [Decimal(number).scaleb(-places) for number in whole]
    dress = Dress(
        decimal=signs[0],
        thousands=signs[1],
        prefix=prefix,
        suffix=suffix,
        minus=minus or "-",
        plus=plus if minus != "()" else "",
        inner=inner and bool(prefix.strip()),
    )
    texts = [dress.wear(f"{number:.{places}f}") for number in numbers]
    wish = {"decimal": signs[0], "thousands": signs[1], "prefix": prefix, "suffix": suffix}
    column, _ = column_of(texts, wish)  # what is ambiguous is told
    assert column.kind == "number" and written(column) == texts
    np.testing.assert_array_equal(column.values, [float(number) for number in numbers])
    found, said = column_of(texts, "number")
    assert written(found) == texts
    if places not in (0, 3) and not said:
        np.testing.assert_array_equal(found.values, [float(number) for number in numbers])


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["$1,234.50", "$7.25", "-$3.10"], [1234.5, 7.25, -3.1]),
        (["12.34%", "0.50%"], [12.34, 0.5]),
        (["(12)", "7"], [-12, 7]),
        (["1.234.567", "12"], [1234567, 12]),
        (["12,34,567", "1,234"], [1234567, 1234]),
        (["1234", "12.345", "1.234.567"], [1234, 12345, 1234567]),
        (["1.50e+03", "-2.25e-07"], [1500, -2.25e-07]),
        ([".5", "-.25"], [0.5, -0.25]),
        (["   5", "  12", "1234"], [5, 12, 1234]),
        (["12.50", "3.00"], [12.5, 3]),
        (["1.300", "2"], [1300, 2]),
    ],
)
def test_usual_dresses(texts: list[str], numbers: list[float]) -> None:
    column, _ = column_of(texts * 3)
    assert written(column) == texts * 3
    np.testing.assert_array_equal(column.values, numbers * 3)


def test_a_point_that_may_part_thousands_is_decided_by_the_rest_of_the_file_and_said() -> None:
    texts = [f"{10 + i}.{(137 * i) % 1000:03d}" for i in range(60)]
    alone, (said,) = column_of(texts)
    assert (
        alone.values[1] == 11.137
        and 'is read with \'10.000\' as 10.000; if it means something else, say {"decimal": ","}' in said
    )
    beside, (said,) = column_of(texts, other=[f"{i},{i:02d}" for i in range(10, 70)])
    assert beside.values[1] == 11137 and "'10.000' as 10000" in said
    assert column_of(texts, {"thousands": "."})[0].values[1] == 11137
    commas, _ = column_of([text.replace(".", ",") for text in texts])
    assert commas.values[1] == 11137
    mixed, _ = column_of([f"{100 * i // 7}" if i < 5 else f"{i}.{(137 * i) % 1000:03d}" for i in range(60)])
    assert mixed.values[10] == 10370


def test_numbers_in_different_units_are_refused_where_they_would_be_left_out() -> None:
    texts = [f"{100 + 17 * i} {'kg' if i % 2 else 'lb'}" for i in range(40)]
    with pytest.raises(UserError, match=r"holds numbers in different units: '100 lb' in row 0, '117 kg' in row 1"):
        column_of(texts)
    with pytest.raises(UserError, match=r"mixes numbers and text: 'about 9' in row 30"):
        column_of([*(f"${i * i}" for i in range(30)), "about 9"])


def test_digit_strings_with_leading_zeros_are_codes() -> None:
    zips = [f"{(7919 * i) % 90000 // 3:05d}" for i in range(200)]
    column, _ = column_of(zips + zips[:50])
    assert column.kind == "category" and written(column) == zips + zips[:50]
    assert are_codes(["00501", "10001"], 2) and not are_codes(["501", "10001"], 2)
    assert passes_luhn("4111111111111111") and not passes_luhn("4111111111111112")
    cards = ["4111111111111111", "4012888888881881", "4222222222222"]
    assert all(map(passes_luhn, cards))
    moments = [str(1_600_000_000 + 7919 * i) for i in range(100)]
    assert not are_codes(moments, 100)  # seconds since 1970
    assert column_of(moments)[0].kind == "number"
    phones = [str(random.Random(i).randrange(2 * 10**9, 10**10)) for i in range(100)]
    assert are_codes(phones, 100)


# Steps


@given(
    step=st.integers(1, 5000),
    offset=st.integers(0, 4999),
    places=st.integers(0, 3),
    count=st.integers(30, 200),
    seed=st.integers(0, 10**6),
)
def test_draws_lie_on_the_grid_of_the_values_and_within_their_bounds(
    step: int, offset: int, places: int, count: int, seed: int
) -> None:
    rng = random.Random(seed)
    whole = sorted({offset + step * rng.randrange(10**4) for _ in range(count)})
    rng.shuffle(whole)
    texts = [f"{Decimal(each).scaleb(-places):.{places}f}" for each in whole]
    column, _ = column_of(texts, "number")
    form = column.form
    assert isinstance(form, NumberForm)
    real = int(np.gcd.reduce(np.diff(sorted(whole))))
    assert (form.grid.step if form.grid else 1) * 10 ** (places - (form.decimals or 0)) in (
        real,
        1 if real < 2 else real,
    )
    low, high = column.values.min(), column.values.max()
    draws = form.fitted(np.random.default_rng(seed).uniform(low - 5, high + 5, 500), low, high)
    told = [Decimal(text) for text in form.texts(draws)]
    first, last = (Decimal(min(whole)).scaleb(-places), Decimal(max(whole)).scaleb(-places))
    assert all(first <= each <= last for each in told)
    assert {int((each - first).scaleb(places)) % real for each in told} == {0}
    np.testing.assert_array_equal(form.fitted(column.values, low, high), column.values)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([300, 500, 1200, 100], 100),  # an accident of one in a million
        ([0, 7, 14], None),  # of one in 49
        (list(range(0, 42, 2)), 2),
        (list(range(0, 38, 2)), None),
        ([5, 5, 5], None),
        ([0, 15, 30, 45, 90, 105, 75], 15),
    ],
)
def test_a_step_counts_where_it_is_no_accident(values: list[int], step: int | None) -> None:
    grid = shared_step(np.array(values))
    assert (grid.step if grid else None) == step


def dates(*moments: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array(moments, "datetime64[D]").astype(np.int64)


def test_months_and_their_ends_are_kept() -> None:
    ends = np.array(
        [np.datetime64(f"20{y:02d}-{m:02d}") + 1 for y in range(10, 20) for m in range(1, 13)], "datetime64[M]"
    )
    days = ends.astype("datetime64[D]").astype(np.int64) - 1
    grid = shared_months(days, 1)
    assert grid is not None and (grid.months, grid.day) == (1, -1)
    drawn = grid.snapped(np.arange(days[0], days[-1]), int(days[0]), int(days[-1]), per_day=1)
    assert set(drawn.tolist()) == set(days.tolist())
    quarters = dates(*(f"20{y:02d}-{m:02d}-01" for y in range(10, 20) for m in (1, 4, 7, 10)))
    grid = shared_months(quarters, 1)
    assert grid is not None and grid.told() == "day 1 of each quarter"
    drawn = grid.snapped(
        np.arange(quarters[0] + 5, quarters[-1] - 5), int(quarters[0] + 5), int(quarters[-1] - 5), per_day=1
    )
    assert set(drawn.tolist()) == set(quarters[1:-1].tolist())
    assert shared_months(dates("2020-01-01", "2020-01-02", "2020-02-01"), 1) is None


@pytest.mark.parametrize(
    ("pattern", "step", "told"),
    [
        ("%Y-%m-%d 00:00:00", timedelta(days=1), "steps of 1 day"),
        ("%Y-%m-%d %H:%M:%S", timedelta(minutes=15), "steps of 15 minutes"),
        ("%Y-%m-%d", timedelta(days=7), "steps of 1 week"),
        ("%Y-%m", timedelta(days=1), "day 1 of each month"),
        ("%H:%M", timedelta(minutes=30), "steps of 30 minutes"),
    ],
)
def test_draws_of_dates_keep_the_step(pattern: str, step: timedelta, told: str) -> None:
    rng = random.Random(1)
    moments = [datetime(2020, 1, 6) + rng.randrange(2000) * step for _ in range(200)]
    column, _ = column_of([each.strftime(pattern) for each in moments])
    form = column.form
    assert isinstance(form, DateForm) and form.told(column.values[0]).endswith(told)
    low, high = column.values.min(), column.values.max()
    drawn = form.fitted(np.random.default_rng(0).uniform(low, high, 300), low, high)
    texts = form.texts(drawn)
    assert [form.read([text])[0] for text in texts] == drawn.tolist()
    if "%d" in pattern:
        base = datetime(2020, 1, 6)
        assert all((datetime.strptime(text, pattern) - base) % step == timedelta(0) for text in texts)


def test_midnights_of_a_zone_stay_midnights_there() -> None:
    zone = zone_of("Europe/Berlin")
    moments = [datetime(2022, 1, 1, tzinfo=zone) + timedelta(days=i) for i in range(0, 700, 3)]
    column, _ = column_of([each.isoformat(" ") for each in moments])
    low, high = column.values.min(), column.values.max()
    drawn = column.form.fitted(np.random.default_rng(0).uniform(low, high, 500), low, high)  # type: ignore[union-attr]
    assert all(" 00:00:00+0" in text for text in column.form.texts(drawn))


def test_the_schema_tells_the_step() -> None:
    texts = [f"{i * 0.25:.2f}" for i in range(0, 400, 4)]
    assert column_of(texts)[0].form.grid == Grid(100, 0) or column_of(texts)[0].form.decimals == 0  # type: ignore[union-attr]
    quarter = column_of(texts, {"kind": "number", "step": 0.25})[0].form
    assert quarter.fitted(np.array([1.3, 1.4]), 0.0, 99.0).tolist() == [1.25, 1.5]  # type: ignore[union-attr]
    free = column_of([str(100 * i) for i in range(50)], {"kind": "number", "step": "none"})[0].form
    assert free.fitted(np.array([123.0]), 0.0, 4900.0).tolist() == [123.0]  # type: ignore[union-attr]
    with pytest.raises(
        UserError, match=r"values that are not on the grid in the schema: 1 is no multiple of 0.3 from 0"
    ):
        column_of(texts, {"kind": "number", "step": 0.3})
    hundreds = NumberForm(0, whole=True), np.array([100.0, 300.0, 700.0, 1200.0])
    with pytest.raises(UserError, match=r"leave no value on its grid: 110 to 190, steps of 100"):
        with_number_grid(*hundreds, ColumnSpec("number", low=110, high=190), "column x")


def test_forms_survive_a_checkpoint() -> None:
    for texts in (
        ["$1,234.50", "$7.25"],
        [f"2023-01-{d:02d} 00:00:00" for d in range(1, 29)],
        ["1.50e+03", "2.25e-07"],
    ):
        form = column_of(texts * 2)[0].form
        assert form_from_state(form.state()) == form
    assert form_from_state({"form": "number", "decimals": 2, "places": 1, "whole": False}) == NumberForm(2, 1)
    assert form_from_state({"form": "date", "format": "%Y-%m-%d", "unit": 86_400_000_000}).of_day is False  # type: ignore[union-attr]


def test_whatever_the_generator_gives_is_written_in_the_form_of_the_column(tmp_path: Path) -> None:
    rng = random.Random(3)
    moments = [datetime(2023, 1, 1, 6, tzinfo=UTC) + timedelta(minutes=15 * rng.randrange(30_000)) for _ in range(400)]
    texts = {
        "price": [f"${rng.randrange(1000) + 0.99:,.2f}" for _ in moments],
        "share": [f"{rng.randrange(10_000) / 100:.2f}%" for _ in moments],
        "when": [moment.astimezone(zone_of("Europe/Berlin")).isoformat(" ") for moment in moments],
        "salary": [str(100 * rng.randrange(200, 900)) for _ in moments],
    }
    codec = table_source(raw_texts(texts, "a")).codec
    assert isinstance(codec, TableCodec)
    noise = torch.randn(2000, codec.width, generator=torch.Generator().manual_seed(0)) * 3
    rows = codec.decode_numpy(noise)
    back = {column.name: column.form.texts(rows[:, at]) for at, column in enumerate(codec.columns)}
    again = infer_columns(raw_texts(back, "b"), schema_of({}), log=print)
    for column, other in zip(codec.columns, again, strict=True):
        assert type(column.form) is type(other.form) and other.form.texts(other.values) == back[column.name]
    assert all(text.endswith(".99") and text.startswith("$") for text in back["price"])
    assert all(int(text) % 100 == 0 for text in back["salary"])
    assert all(text[14:16] in ("00", "15", "30", "45") and text[17:19] == "00" for text in back["when"])


CASES = Path(__file__).parents[4] / "shared/cases/tables"


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not here")
@pytest.mark.parametrize(
    "name", ["hourdates", "isoweek", "ctime", "js_ms", "dst", "german", "sepline", "headcomma", "money", "grid"]
)
def test_the_cases_come_back_byte_for_byte(name: str, tmp_path: Path) -> None:
    from wassergan.data.tables import write_table

    schema = CASES / f"{name}.json"
    source = open_source(CASES / f"{name}.csv", schema=schema if schema.exists() else None)
    write_table(source.codec, [source.values(torch.arange(len(source))).numpy()], tmp_path / "out.csv")  # type: ignore[arg-type]
    assert (tmp_path / "out.csv").read_bytes() == (CASES / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("places", [2, 4])
@given(
    st.lists(st.floats(1, 12.9), min_size=30, max_size=60, unique_by=lambda value: round(value, 4))
    | st.lists(st.floats(-10, 2200), min_size=30, max_size=60, unique_by=lambda value: round(value, 2))
)
def test_decimals_are_numbers_even_where_most_look_like_months_of_a_year(places: int, values: list[float]) -> None:
    # 2.1999 reads as %-m.%Y, and 1999.12 as %Y.%m.
    texts = [f"{value:.{places}f}" for value in values]
    column, _ = column_of([*texts, "2.199", "1999.12"])
    assert column.kind == "number"


def test_months_of_plausible_years_are_dates() -> None:
    column, _ = column_of([f"{month:02d}.{year}" for year in (2020, 2021, 2022) for month in range(1, 13)])
    assert column.kind == "date"


def test_numbers_too_large_for_decimals_stay_when_rounded() -> None:
    values = np.array([1.2345, -1e308, 1e307, np.nan, 5e15])
    np.testing.assert_array_equal(rounded(values, 2), [1.23, -1e308, 1e307, np.nan, 5e15])
