"""Every type that a column of pandas can have comes back as it was, or is refused before anything is trained."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import Container, TableCodec, open_source
from wassergan.errors import UserError

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")

ROWS = 140
R = np.random.default_rng(0)
WHOLE = R.integers(0, 90, ROWS)
TEXTS = [f"{value:.2f}" for value in R.gamma(2, 50, ROWS)]
DAYS = pandas.Timestamp("2022-01-01") + pandas.to_timedelta(R.integers(0, 700, ROWS), unit="D")


def gaps(values: Any) -> list[Any]:
    return [None if row % 7 == 0 else value for row, value in enumerate(values)]


def objects(values: Any) -> Any:
    return pandas.Series(list(values), dtype=object)


COLUMNS: dict[str, Callable[[], Any]] = {
    # Text that looks like something else
    "text of numbers": lambda: pandas.Series(TEXTS),
    "object text of numbers": lambda: objects(TEXTS),
    "string": lambda: pandas.Series(gaps(TEXTS), dtype="string"),
    "string in Python": lambda: pandas.Series(TEXTS, dtype=pandas.StringDtype("python")),
    "string in Arrow": lambda: pandas.Series(gaps(TEXTS), dtype=pandas.ArrowDtype(pyarrow.large_string())),
    "text of dates": lambda: DAYS.strftime("%d.%m.%Y"),
    "text of booleans": lambda: pandas.Series(np.where(WHOLE > 4, "True", "False")),
    "text of digits": lambda: pandas.Series(np.where(WHOLE > 4, "10115", "20095")),
    "text with NaN": lambda: objects(np.nan if row % 3 == 0 else text for row, text in enumerate(TEXTS)),
    "text with words for nothing": lambda: objects("n/a" if row % 3 == 0 else text for row, text in enumerate(TEXTS)),
    # Categories
    "intervals": lambda: pandas.cut(R.normal(50, 20, ROWS), 5),
    "intervals with gaps": lambda: pandas.cut(pandas.Series(gaps(WHOLE / 1.0)), [0, 20, 50, 90]),
    "intervals of dates": lambda: pandas.cut(pandas.Series(DAYS), 3),
    "intervals, no categories": lambda: pandas.Series(pandas.arrays.IntervalArray.from_breaks([0, 1, 2])).iloc[
        [0, 1] * (ROWS // 2)
    ],
    "numbers": lambda: pandas.Categorical(WHOLE % 5),
    "ordered, with one unused": lambda: pandas.Categorical(WHOLE % 5, [4, 2, 0, 1, 3, 9], ordered=True),
    "fractions": lambda: pandas.Categorical((WHOLE % 4) / 4),
    "booleans": lambda: pandas.Categorical(WHOLE % 2 == 0),
    "dates": lambda: pandas.Categorical(DAYS[:5].repeat(ROWS // 5)),
    "years": lambda: pandas.Categorical(DAYS.to_period("Y")),
    "decimals": lambda: pandas.Categorical([Decimal(int(each) % 4) / 4 for each in WHOLE]),
    "text with gaps": lambda: pandas.Categorical(gaps(f"{each % 4}.50" for each in WHOLE)),
    # Python objects
    "int": lambda: objects(gaps(WHOLE.tolist())),
    "bool": lambda: objects(gaps((WHOLE > 4).tolist())),
    "Decimal": lambda: objects(gaps(Decimal(int(each)) / 100 for each in WHOLE)),
    "date": lambda: objects(gaps(each.date() for each in DAYS)),
    "datetime": lambda: objects(gaps(each.to_pydatetime() for each in DAYS)),
    "Timestamp": lambda: objects(gaps(DAYS)),
    "timedelta": lambda: objects(datetime.timedelta(minutes=int(each)) for each in WHOLE),
    "time": lambda: objects(datetime.time(int(each) % 24, 3) for each in WHOLE),
    # Numbers
    "Int64": lambda: pandas.array(gaps(WHOLE.tolist()), dtype="Int64"),
    "UInt8": lambda: pandas.array(WHOLE, dtype="UInt8"),
    "boolean": lambda: pandas.array(gaps((WHOLE > 4).tolist()), dtype="boolean"),
    "Float32": lambda: pandas.array(gaps((WHOLE / 7).tolist()), dtype="Float32"),
    "float16": lambda: R.normal(size=ROWS).astype("float16"),
    "float32": lambda: R.normal(size=ROWS).astype("float32"),
    "int8": lambda: WHOLE.astype("int8"),
    "uint64": lambda: WHOLE.astype("uint64") % 3 + np.uint64(2**63 + 5),
    "decimal128": lambda: pandas.Series(
        [Decimal(int(each)) / 100 for each in WHOLE], dtype=pandas.ArrowDtype(pyarrow.decimal128(7, 3))
    ),
    # Times
    "months": lambda: DAYS.to_period("M"),
    "quarters": lambda: DAYS.to_period("Q"),
    "date32": lambda: pandas.Series([each.date() for each in DAYS], dtype=pandas.ArrowDtype(pyarrow.date32())),
    "nanoseconds": lambda: pandas.Series(DAYS).astype("datetime64[ns]"),
    "milliseconds": lambda: pandas.Series(gaps(DAYS)).astype("datetime64[ms]"),
    "zone": lambda: pandas.Series(DAYS).dt.tz_localize("Europe/Berlin"),
    "durations": lambda: pandas.to_timedelta(WHOLE, unit="h"),
    # Nothing
    "None alone": lambda: objects([None] * ROWS),
    "NaN alone": lambda: np.full(ROWS, np.nan),
    "NA alone": lambda: pandas.array([None] * ROWS, dtype="Int64"),
}


def frame_with(column: Any) -> Any:
    values = column.reset_index(drop=True) if isinstance(column, pandas.Series) else column
    return pandas.DataFrame({"x": np.arange(ROWS) ** 2 % 53, "c": values})


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_come_back_in_their_own_type(name: str) -> None:
    frame = frame_with(COLUMNS[name]())
    source = open_source(frame)
    assert isinstance(source.codec, TableCodec) and source.codec.columns[-1].name == "c"
    container = Container.from_state(Container.of(frame).state())
    rows = source.values(torch.arange(ROWS)).numpy()
    back = container.rows(rows, TableCodec.from_state(source.codec.state()))
    pandas.testing.assert_frame_equal(back, frame, check_exact=True)
    if frame["c"].dtype == object:
        assert list(map(type, back["c"])) == list(map(type, frame["c"]))
    # Whatever is drawn has the same type.
    drawn = source.codec.decode_numpy(torch.randn(50, source.codec.width, generator=torch.Generator().manual_seed(0)))
    assert container.rows(drawn, source.codec)["c"].dtype == frame["c"].dtype


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda: objects(1 if each > 4 else "a" for each in WHOLE), r"mixes types: .* \(.*\) in row \d+, others are"),
        (lambda: objects(1 if each > 4 else 2.5 for each in WHOLE), r"mixes types: .* \(.*\) in row \d+, others are"),
        (lambda: objects(b"a" if each > 4 else b"b" for each in WHOLE), r"holds objects .*: b'a' \(bytes\) in row 0"),
        (lambda: objects([1] for _ in WHOLE), r"holds objects that a table cannot have: \[1\] \(list\) in row 0"),
        (lambda: objects(2**70 + int(each) for each in WHOLE), "is of a type that a table cannot have: object"),
        (lambda: pandas.arrays.SparseArray(WHOLE), r"Sparse\[int64, 0\]\. Make it dense"),
        (lambda: WHOLE + 1j, "complex128"),
        (lambda: pandas.Categorical([1 if each > 4 else "1" for each in WHOLE]), "mixes types"),
    ],
)
def test_what_no_table_can_have_is_refused_or_left_out(column: Callable[[], Any], message: str) -> None:
    frame = frame_with(column())
    with pytest.raises(UserError, match=f"Column c of the DataFrame .*{message}"):
        open_source(frame)
    from wassergan.data import schema_of

    source = open_source(frame, schema=schema_of({"columns": {"c": "drop"}}))
    assert source.columns == ("x",)
    rows = source.values(torch.arange(ROWS)).numpy()
    back = Container.of(frame).rows(rows, source.codec)  # type: ignore[arg-type]
    pandas.testing.assert_frame_equal(back, frame[["x"]])


def test_labels_of_numpy_and_the_name_of_all_columns_come_back() -> None:
    labels = pandas.Index([np.int64(3), "b"], name="which", dtype=object)
    frame = pandas.DataFrame({0: WHOLE % 3, 1: WHOLE})
    frame.columns = labels
    source = open_source(frame)
    back = Container.of(frame).rows(source.values(torch.arange(ROWS)).numpy(), source.codec)  # type: ignore[arg-type]
    pandas.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize(
    "labels", [[("a", 1), ("a", 2)], [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)], ["a", "a"], [1, "1"]]
)
def test_other_labels_are_refused(labels: list[Any]) -> None:
    frame = pandas.DataFrame({0: WHOLE % 3, 1: WHOLE})
    frame.columns = labels
    with pytest.raises(UserError, match="named by text or whole numbers|columns of the same name"):
        open_source(frame)


def test_an_index_that_holds_something_is_left_out_with_a_word() -> None:
    frame = pandas.DataFrame({"a": WHOLE % 3, "b": WHOLE})
    for index, told in (
        (frame.index, []),
        (frame.index[::-1], []),
        (pandas.Index(WHOLE, name="patient"), ["patient"]),
        (pandas.DatetimeIndex(DAYS), ["values such as Timestamp"]),
    ):
        said: list[str] = []
        open_source(frame.set_axis(index), log=said.append)
        assert len(said) == len(told) and all(f"the index of the DataFrame: {word}" in said[0] for word in told)
