"""Tables that nobody chose: any column in any container comes back as it was, or is refused before training.

`WASSERGAN_ROUND_TRIPS=2000` draws so many tables; 200 unless given.
"""

import csv
import os
import tempfile
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wassergan.data import Container, TableCodec, open_source, write_table
from wassergan.data.source import Source
from wassergan.errors import UserError

pandas = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

EXAMPLES = int(os.environ.get("WASSERGAN_ROUND_TRIPS", "200"))
WORDS = [
    "red",
    "green",
    "blue, dark",
    'so "called"',
    "Zürich",
    "naïve",
    "x;y",
    "two\nlines",
    "tab\there",
    "#1",
    "'",
    "-x",
]
NOTHING = ["", "", "NA", "n/a", "NULL", "-", "?", "None", "#N/A", "nan"]
Draw = np.random.Generator
Values = list[Any]


def moments(r: Draw, n: int, unit: str = "s") -> Any:
    """Moments of about two years, on the minute, the second or finer."""
    step = {"m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1, "D": 86_400_000_000}[unit]
    start = np.datetime64(int(r.integers(-20, 60)), "Y").astype("datetime64[us]")
    return start + (r.integers(0, 63 * 10**12 // step, n) * step).astype("timedelta64[us]")


def stamped(pattern: str, unit: str) -> Callable[[Draw, int], Values]:
    return lambda r, n: [each.strftime(pattern) for each in moments(r, n, unit).tolist()]


def digits(r: Draw, n: int, places: int, mean: float = 100.0) -> list[str]:
    return [f"{value:.{places}f}" for value in r.gamma(2, mean, n).tolist()]


def chosen(r: Draw, *names: str) -> str:
    return str(r.choice(names))


def swapped(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


# What stands in a file of text, or in a column of text, and looks like something.
TEXTS: dict[str, Callable[[Draw, int], Values]] = {
    "whole": lambda r, n: [str(each) for each in r.integers(-50, 5000, n)],
    "large": lambda r, n: [str(each) for each in r.integers(10**9, 10**12, n)],
    "fixed": lambda r, n: digits(r, n, int(r.integers(1, 6))),
    "ragged decimals": lambda r, n: [f"{value:g}" for value in np.round(r.gamma(2, 9, n), int(r.integers(1, 4)))],
    "floats": lambda r, n: [repr(value) for value in (r.normal(size=n) * 10.0 ** r.integers(-3, 4)).tolist()],
    "scientific": lambda r, n: [f"{value:.{3}e}" for value in r.lognormal(0, 9, n).tolist()],
    "comma": lambda r, n: [text.replace(".", ",") for text in digits(r, n, 2)],
    "thousands": lambda r, n: [f"{value:,.2f}" for value in r.gamma(2, 5000, n).tolist()],
    "German": lambda r, n: [swapped(f"{value:,.2f}") for value in r.gamma(2, 5000, n).tolist()],
    "dollars": lambda r, n: [f"${value:,.2f}" for value in r.gamma(2, 5000, n).tolist()],
    "euros": lambda r, n: [f"{swapped(f'{value:,.2f}')} €" for value in r.gamma(2, 5000, n).tolist()],
    "percent": lambda r, n: [f"{value:.1f}%" for value in r.uniform(0, 100, n).tolist()],
    "signed": lambda r, n: [f"{value:+d}" for value in r.integers(-40, 40, n).tolist()],
    "in brackets": lambda r, n: [f"({-each:.2f})" if each < 0 else f"{each:.2f}" for each in r.normal(0, 50, n)],
    "unit": lambda r, n: [f"{value:.1f} kg" for value in r.gamma(2, 30, n).tolist()],
    "zip": lambda r, n: [f"{value:05d}" for value in r.integers(0, 99999, n)],
    "few codes": lambda r, n: [f"{value:03d}" for value in r.integers(0, 20, n)],
    "hundreds": lambda r, n: [str(each) for each in r.integers(10, 90, n) * 100],
    "quarters": lambda r, n: [f"{each / 4:.2f}" for each in r.integers(0, 900, n)],
    "nineties": lambda r, n: [f"{each}.99" for each in r.integers(0, 300, n)],
    "words": lambda r, n: r.choice(WORDS, n).tolist(),
    "many words": lambda r, n: [f"w{each}" for each in r.integers(0, max(2, n // 3), n)],
    "blanks": lambda r, n: r.choice([" a", "a", "b ", " c  d "], n).tolist(),
    "remarks": lambda r, n: ["".join(r.choice(list("abcdefghij klmno"), r.integers(5, 90))) for _ in range(n)],
    "true": lambda r, n: r.choice(["true", "false"], n).tolist(),
    "True": lambda r, n: r.choice(["True", "False"], n).tolist(),
    "TRUE and false": lambda r, n: r.choice(["TRUE", "FALSE", "true"], n).tolist(),
    "yes": lambda r, n: r.choice(["yes", "no"], n).tolist(),
    "0 and 1": lambda r, n: r.choice(["0", "1"], n).tolist(),
    "constant": lambda r, n: [str(r.choice(["only", "7", "7.50", "2020-01-01"]))] * n,
    "empty": lambda r, n: [""] * n,
    "uuid": lambda r, n: [str(uuid.UUID(bytes=r.bytes(16), version=4)) for _ in range(n)],
    "keys": lambda r, n: [f"CUST-{each:06d}" for each in r.permutation(n * 5)[:n]],
    "long numbers": lambda r, n: [str(each) for each in r.integers(10**17, 9 * 10**18, n)],
    "few long numbers": lambda r, n: [str(2**63 - 1 - each) for each in r.integers(0, 5, n)],
    "index": lambda r, n: [str(each) for each in range(n)],
    "shuffled": lambda r, n: [str(each) for each in r.permutation(n)],
    "ISO days": stamped("%Y-%m-%d", "D"),
    "German days": stamped("%d.%m.%Y", "D"),
    "short German days": stamped("%d.%m.%y", "D"),
    "American days": stamped("%m/%d/%Y", "D"),
    "bare days": stamped("%Y%m%d", "D"),
    "named days": stamped("%d %b %Y", "D"),
    "long days": stamped("%B %d, %Y", "D"),
    "weeks": stamped("%G-W%V-%u", "D"),
    "months": stamped("%Y-%m", "D"),
    "seconds": stamped("%Y-%m-%d %H:%M:%S", "s"),
    "minutes": stamped("%Y-%m-%dT%H:%M", "m"),
    "microseconds": stamped("%Y-%m-%d %H:%M:%S.%f", "us"),
    "milliseconds": lambda r, n: [each[:-3] + "Z" for each in stamped("%Y-%m-%dT%H:%M:%S.%f", "ms")(r, n)],
    "midnights": stamped("%Y-%m-%d 00:00:00", "D"),
    "afternoons": stamped("%m/%d/%Y %I:%M %p", "m"),
    "UTC": stamped("%Y-%m-%dT%H:%M:%SZ", "s"),
    "an offset": stamped("%Y-%m-%d %H:%M:%S+02:00", "s"),
    "clock": stamped("%H:%M", "m"),
    "clock with seconds": stamped("%H:%M:%S", "s"),
    "a mixture": lambda r, n: r.choice(["1", "2.5", "x", "2020-01-01", "yes"], n).tolist(),
    "numbers and a word": lambda r, n: ["oops" if row == n // 2 else text for row, text in enumerate(digits(r, n, 2))],
    "days and a bad one": lambda r, n: ["2022-02-30", *stamped("%Y-%m-%d", "D")(r, n - 1)],
    "days of two forms": lambda r, n: [*stamped("%Y-%m-%d", "D")(r, n // 2), *stamped("%d.%m.%Y", "D")(r, n - n // 2)],
    "several styles": lambda r, n: [text if row % 2 else text.rstrip("0") for row, text in enumerate(digits(r, n, 2))],
}  # fmt: skip

TYPES: dict[str, Callable[[Draw, int], Any]] = {
    **{
        name: lambda r, n, name=name: pa.array(r.integers(0, 100, n).astype(name))  # type: ignore[misc]
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "wide int64": lambda r, n: pa.array(r.integers(-(2**63), 2**63 - 1, n)),
    "wide uint64": lambda r, n: pa.array((r.integers(0, 5, n).astype("uint64")) + np.uint64(2**64 - 9)),
    "bytes to 2^50": lambda r, n: pa.array((10 ** r.uniform(0, 15, n)).astype("int64")),
    "float16": lambda r, n: pa.array(r.normal(size=n).astype("float16")),
    "float32": lambda r, n: pa.array(r.normal(size=n).astype("float32")),
    "round float32": lambda r, n: pa.array(np.round(r.normal(0, 50, n), 2).astype("float32")),
    "double": lambda r, n: pa.array(r.lognormal(0, 5, n)),
    "round double": lambda r, n: pa.array(np.round(r.normal(0, 500, n), int(r.integers(0, 5)))),
    "bool": lambda r, n: pa.array(r.random(n) < 0.3),
    "decimal": lambda r, n: pa.array(list(map(Decimal, digits(r, n, 3))), pa.decimal128(12, 4)),
    "date32": lambda r, n: pa.array(r.integers(0, 20_000, n).astype("int32")).cast("date32"),
    "date64": lambda r, n: pa.array(r.integers(0, 20_000, n).astype("int32")).cast("date32").cast("date64"),
    **{
        f"moment {unit} {zone}": lambda r, n, unit=unit, zone=zone: pa.array(  # type: ignore[misc]
            moments(r, n, unit if unit != "ns" else "us").astype(f"datetime64[{unit}]").astype("int64")
        ).cast(pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "America/New_York", "+05:30")
    },
    "time32": lambda r, n: pa.array(r.integers(0, 86_400, n).astype("int32")).cast(pa.time32("s")),
    "time64": lambda r, n: pa.array(r.integers(0, 86_400, n) * 10**6 + r.choice([0, 500_000])).cast(pa.time64("us")),
    "duration": lambda r, n: pa.array(r.integers(0, 10**6, n)).cast(pa.duration(chosen(r, "s", "ms", "us", "ns"))),
    "null": lambda r, n: pa.nulls(n),
    "no float": lambda r, n: pa.nulls(n, pa.float32()),
    "dictionary": lambda r, n: pa.array(r.choice(WORDS, n).tolist()).dictionary_encode(),
    "dictionary of int": lambda r, n: pa.array(r.integers(0, 9, n)).dictionary_encode(),
    "binary": lambda r, n: pa.array([b"a"] * n),
    "list": lambda r, n: pa.array([[1]] * n),
}  # fmt: skip

ONE_STYLE = [name for name in TEXTS if name != "several styles"]  # the others come back letter by letter
FRAMES: dict[str, Callable[[Draw, int], Any]] = {
    **{
        f"text as {kind}": lambda r, n, kind=kind: pandas.Series(  # type: ignore[misc]
            TEXTS[str(r.choice(ONE_STYLE))](r, n), dtype=kind
        )
        for kind in ("object", "str", "string", "string[pyarrow]", "category")
    },
    "cut": lambda r, n: pandas.cut(pandas.Series(r.normal(size=n)), int(r.integers(2, 9))),
    "ordered": lambda r, n: pandas.Series(pandas.Categorical(r.integers(0, 3, n), [2, 0, 1, 7], ordered=True)),
    "Int64": lambda r, n: pandas.Series(r.integers(0, 99, n)).astype("Int64"),
    "UInt16": lambda r, n: pandas.Series(r.integers(0, 99, n)).astype("UInt16"),
    "Float32": lambda r, n: pandas.Series(r.normal(size=n)).astype("Float32"),
    "boolean": lambda r, n: pandas.Series(r.random(n) < 0.4).astype("boolean"),
    "period": lambda r, n: pandas.Series(moments(r, n, "D")).dt.to_period(chosen(r, "D", "M", "Q", "Y")),
    "int objects": lambda r, n: pandas.Series(r.integers(0, 99, n).tolist(), dtype=object),
    "bool objects": lambda r, n: pandas.Series((r.random(n) < 0.4).tolist(), dtype=object),
    "date objects": lambda r, n: pandas.Series([each.date() for each in moments(r, n, "D").tolist()], dtype=object),
    "mixed objects": lambda r, n: pandas.Series([1 if each < 0.4 else "1" for each in r.random(n)], dtype=object),
    "zone": lambda r, n: pandas.Series(moments(r, n, "s")).dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"),
    "timedelta": lambda r, n: pandas.Series(pandas.to_timedelta(r.integers(0, 999, n), unit="min")),
    "complex": lambda r, n: pandas.Series(r.normal(size=n) + 1j),
}  # fmt: skip
# Only these may be refused; all others are learnt, or left out with a word.
REFUSED = {
    "a mixture",
    "numbers and a word",
    "days and a bad one",
    "days of two forms",
    "several styles",  # of DataFrames; in files they are written in one, and that is said
    "binary",
    "list",
}
REFUSED |= {
    "mixed objects",
    "complex",
    *(f"text as {kind}" for kind in ("object", "str", "string", "string[pyarrow]", "category")),
}


@st.composite
def tables(draw: Any, kinds: dict[str, Any]) -> tuple[int, int, list[tuple[str, float, int]]]:
    """How many rows, a seed, and columns: what they hold, the share that is missing, and what says so."""
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4))
    columns = [(name, draw(st.sampled_from([0.0, 0.0, 0.1, 0.6])), draw(st.integers(0, 9))) for name in names]
    return draw(st.sampled_from([30, 80, 250])), draw(st.integers(0, 2**32 - 1)), columns


def opened(data: Any, columns: list[tuple[str, float, int]], **options: Any) -> Source | None:
    """The source; None where it was refused by right."""
    try:
        return open_source(data, log=lambda sentence: None, **options)
    except UserError as error:
        may = {name for name, _, _ in columns} & REFUSED or "one level alone" in str(error)
        may = may or "has values in held-out rows alone" in str(error)
        assert may or "no column to learn" in str(error), error
        return None


def restyled(source: Source, columns: list[tuple[str, float, int]]) -> set[str]:
    """Columns of numbers in several styles, which are written in one, as the round trip says."""
    assert source.round_trip is not None
    said = {change.name for change in source.round_trip.changed}
    return said & {f"c{at}" for at, (name, _, _) in enumerate(columns) if name == "several styles"}


def equal_numbers(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether texts stand for equal numbers, and nothing for nothing."""
    return [each and float(each) for each in found] == [each and float(each) for each in expected]


def rows_of(source: Source) -> tuple[TableCodec, np.ndarray, np.ndarray]:
    """The codec as a checkpoint has it, all rows, and vectors of no meaning, decoded."""
    assert isinstance(source.codec, TableCodec)
    codec = TableCodec.from_state(source.codec.state())
    noise = 3 * torch.randn(40, codec.width, generator=torch.Generator().manual_seed(1))
    return codec, source.values(torch.arange(len(source))).numpy(), codec.decode_numpy(noise)


def gaps(r: Draw, values: Values, share: float, nothing: Any) -> Values:
    return [nothing if gone else value for value, gone in zip(values, r.random(len(values)) < share, strict=True)]


def cells(path: Path, delimiter: str) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = [row or [""] for row in csv.reader(file, delimiter=delimiter)]
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def tried(function: Any) -> Any:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=max(1, EXAMPLES // 4), deadline=None, suppress_health_check=slow, derandomize=EXAMPLES == 200
    )(function)


@tried
@given(tables(TEXTS), st.sampled_from([",", ";", "\t", "|"]))
def test_files_of_text(table: tuple[int, int, list[tuple[str, float, int]]], delimiter: str) -> None:
    count, seed, columns = table
    r = np.random.default_rng(seed)
    texts = {
        f"c{at}": gaps(r, TEXTS[name](r, count), share, NOTHING[of]) for at, (name, share, of) in enumerate(columns)
    }
    texts["last"] = [str(each) for each in r.choice([1, 2, 5], count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerows([list(texts), *zip(*texts.values(), strict=True)])
        source = opened(path, columns)
        if source is None:
            return
        codec, rows, drawn = rows_of(source)
        write_table(codec, [rows], Path(folder) / "b.csv")
        found = cells(Path(folder) / "b.csv", delimiter)
        for place, column in enumerate(codec.columns):
            gone = np.isnan(rows[:, place])
            if column.name in restyled(source, columns):
                assert equal_numbers(*(np.array(each[column.name])[~gone].tolist() for each in (found, texts)))
                continue
            for old, new, nothing in zip(texts[column.name], found[column.name], gone, strict=True):
                assert old == new or (nothing and old.strip() in NOTHING) or (old.lstrip("-") == new and not float(new))
        write_table(codec, [drawn], Path(folder) / "c.csv")
        for column in codec.columns:
            assert len(cells(Path(folder) / "c.csv", delimiter)[column.name]) == len(drawn)


def arrow_columns(r: Draw, count: int, columns: list[tuple[str, float, int]]) -> dict[str, Any]:
    made = {}
    for at, (name, share, of) in enumerate(columns):
        if name in TYPES:
            array = TYPES[name](r, count)
        else:
            kind = [pa.string(), pa.large_string(), pa.string_view()][of % 3]
            array = pa.array(TEXTS[name](r, count), kind)  # pyarrow below 25 dies of views that a cast made
        mask = np.flatnonzero(r.random(count) < share)
        if len(mask) and not pa.types.is_string_view(array.type):
            keep = np.arange(count, dtype=np.int64)
            array = array.take(pa.array(keep, mask=np.isin(keep, mask)))
        made[f"c{at}"] = array
    return {**made, "last": pa.array(r.choice([1, 2, 5], count))}


def alike(found: Any, expected: Any) -> bool:
    """Equal Arrow columns, by type, by value and by what is nothing."""
    if found.type != expected.type:
        return False
    if pa.types.is_dictionary(found.type):
        return alike(found.cast(found.type.value_type), expected.cast(expected.type.value_type))
    if pa.types.is_temporal(found.type):
        width = "int32" if found.type.bit_width == 32 else "int64"
        return bool(found.cast(width).equals(expected.cast(width)))
    return bool(found.to_pylist() == expected.to_pylist())


@tried
@given(tables({**TEXTS, **TYPES}), st.sampled_from([".parquet", ".feather"]))
def test_typed_files(table: tuple[int, int, list[tuple[str, float, int]]], suffix: str) -> None:
    from pyarrow import feather, parquet

    parquet_kind = suffix == ".parquet"
    write, read = (
        (parquet.write_table, parquet.read_table) if parquet_kind else (feather.write_feather, feather.read_table)
    )
    count, seed, columns = table
    r = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        try:
            write(pa.table(arrow_columns(r, count, columns)), path)
        except (pa.ArrowException, OSError):  # no such type in the format
            return
        source = opened(path, columns, layout="table")
        if source is None:
            return
        codec, rows, drawn = rows_of(source)
        expected = read(path)
        write_table(codec, [rows], Path(folder) / f"b{suffix}")
        back = read(Path(folder) / f"b{suffix}")
        for column in codec.columns:
            if column.name in restyled(source, columns):
                assert equal_numbers(back[column.name].to_pylist(), expected[column.name].to_pylist())
                continue
            assert alike(back[column.name].combine_chunks(), expected[column.name].combine_chunks()), column.name
        for ending in (suffix, ".csv"):
            write_table(codec, [drawn], Path(folder) / f"c{ending}")
        again = read(Path(folder) / f"c{suffix}")
        assert again.schema.types == back.schema.types


@tried
@given(tables({**FRAMES, **TYPES}))
def test_frames_of_pandas(table: tuple[int, int, list[tuple[str, float, int]]]) -> None:
    count, seed, columns = table
    r = np.random.default_rng(seed)
    made: dict[Any, Any] = {}
    for at, (name, share, of) in enumerate(columns):
        if name in FRAMES:
            column = FRAMES[name](r, count)
        else:
            array = TYPES[name](r, count)
            kind = pandas.ArrowDtype(array.type) if of % 2 and not pa.types.is_dictionary(array.type) else None
            column = pandas.Series(pandas.arrays.ArrowExtensionArray(array)) if kind else array.to_pandas()
        made[f"c{at}"] = column.mask(pandas.Series(r.random(count) < share)) if share else column
    frame = pandas.DataFrame({**made, 9: r.choice([1, 2, 5], count)})
    source = opened(frame, columns)
    if source is None:
        return
    codec, rows, drawn = rows_of(source)
    container = Container.from_state(Container.of(frame).state())
    back, again = container.rows(rows, codec), container.rows(drawn, codec)
    for column in codec.columns:
        label = int(column.name) if column.name == "9" else column.name
        if column.name in restyled(source, columns):
            gone = frame[label].isna()
            assert equal_numbers(back[label][~gone].tolist(), frame[label][~gone].tolist())
            continue
        pandas.testing.assert_series_equal(back[label], frame[label], check_exact=True)
        assert again[label].dtype == frame[label].dtype


@tried
@given(tables({name: make for name, make in {**TEXTS, **TYPES}.items() if "+05" not in name}))  # unknown to polars
def test_frames_of_polars(table: tuple[int, int, list[tuple[str, float, int]]]) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    count, seed, columns = table
    r = np.random.default_rng(seed)
    frame = polars.from_arrow(pa.table(arrow_columns(r, count, columns)))
    source = opened(frame, columns)
    if source is None:
        return
    codec, rows, drawn = rows_of(source)
    container = Container.from_state(Container.of(frame).state())
    back, again = container.rows(rows, codec), container.rows(drawn, codec)
    for column in codec.columns:
        if column.name in restyled(source, columns):
            assert equal_numbers(back[column.name].to_list(), frame[column.name].to_list())
            continue
        assert back[column.name].equals(frame[column.name], check_dtypes=True, null_equal=True), column.name
        assert again[column.name].dtype == frame[column.name].dtype


def test_there_is_something_of_everything() -> None:
    """Each kind of column is learnt or left out where it may not be refused, without gaps and at once."""
    r = np.random.default_rng(5)
    for name in TEXTS:
        frame = pandas.DataFrame({"c": pandas.Series(TEXTS[name](r, 120), dtype=object), "x": np.arange(120) ** 2 % 23})
        opened(frame, [(name, 0.0, 0)])
