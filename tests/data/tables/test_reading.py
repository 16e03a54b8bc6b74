"""Rows of another table in the model space of a fitted one."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from wassergan.data import TableCodec, codec_from_state, encode_table, open_source, read_frame, schema_of
from wassergan.data.tables import Schema
from wassergan.data.tables.csvfile import read_csv
from wassergan.errors import UserError


def frame(count: int = 120) -> pd.DataFrame:
    numbers = np.random.default_rng(0)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(numbers.integers(0, 10**6, count), unit="s")
    return pd.DataFrame(
        {
            "size": np.where(numbers.random(count) < 0.2, np.nan, numbers.normal(size=count)),
            "rooms": numbers.integers(0, 5, count),
            "zone": pd.Categorical(numbers.choice([3, 1, 2], count), categories=[3, 1, 2]),
            "code": numbers.choice([10, 20], count),
            "city": numbers.choice(["Bern", "Rome", None], count),  # type: ignore[arg-type]
            "sold": numbers.random(count) < 0.5,
            "start": start,
            "end": start + pd.to_timedelta(numbers.integers(0, 100, count), unit="s"),
            "opens": [datetime.time(int(hour), 30) for hour in numbers.integers(0, 24, count)],
        }
    )


SCHEMA = schema_of({"columns": {"code": "category"}})


def fitted() -> TableCodec:
    codec = codec_from_state(open_source(frame(), schema=SCHEMA).codec.state())
    assert isinstance(codec, TableCodec)
    return codec


def encode_frame(codec: TableCodec, rows: pd.DataFrame) -> torch.Tensor:
    return encode_table(codec, read_frame(rows))


def block(codec: TableCodec, vectors: torch.Tensor, name: str) -> torch.Tensor:
    names = [column.name for column in codec.columns]
    return vectors.split([layout.width for layout in codec.column_layouts], 1)[names.index(name)]


def test_the_rows_that_were_fitted_are_encoded_as_they_were() -> None:
    source = open_source(frame(), schema=SCHEMA)
    expected = source.codec.encode(source.values(torch.arange(120)))
    assert [column.kind for column in fitted().columns].count("category") == 3
    torch.testing.assert_close(encode_frame(fitted(), frame()), expected, rtol=0, atol=0)


def test_rows_may_come_in_another_order_with_further_columns_and_other_types() -> None:
    codec, rows = fitted(), frame()
    other = rows.assign(more=1, rooms=rows["rooms"].astype("Int64"), zone=rows["zone"].astype(int))
    other = other.assign(city=rows["city"].astype("category"), size=rows["size"].astype("Float64"))[::-1]
    torch.testing.assert_close(encode_frame(codec, other[other.columns[::-1]]), encode_frame(codec, rows).flip(0))


@pytest.mark.parametrize("column", ["zone", "code", "city"])
def test_a_level_that_was_never_seen_is_no_option(column: str) -> None:
    codec, rows = fitted(), frame()
    new = {"zone": 7, "code": 30, "city": "Oslo"}[column]
    rows[column] = rows[column].astype(object)
    rows.loc[0, column] = new
    vectors = encode_frame(codec, rows.assign(**{column: rows[column].infer_objects()}))
    assert (block(codec, vectors, column)[0] == 0).all()
    np.testing.assert_allclose(block(codec, vectors, column)[1:].abs().sum(1), 0.5**0.5, rtol=1e-6)


def test_a_value_is_missing_as_it_was_or_where_none_was_it_is_no_option() -> None:
    codec, rows = fitted(), frame()
    rows.loc[0, ["size", "rooms", "city", "start"]] = None
    vectors = encode_frame(codec, rows)
    missing = rows.index[rows["size"].isna()][1]
    assert torch.equal(block(codec, vectors, "size")[0], block(codec, vectors, "size")[missing])
    for column in ("rooms", "start", "end"):  # the end counts from the start
        assert (block(codec, vectors, column)[0] == 0).all()
    assert block(codec, vectors, "city")[0].sum() > 0


def test_numbers_and_dates_outside_of_what_was_seen_are_at_its_ends() -> None:
    codec, rows = fitted(), frame()
    rows.loc[0, ["size", "start", "end"]] = [100.0, pd.Timestamp("2050-01-01"), pd.Timestamp("2050-01-01")]
    vectors = encode_frame(codec, rows)
    assert block(codec, vectors, "size")[0].max() == 1 and block(codec, vectors, "start")[0].max() == 1


def test_a_table_from_a_file_is_read_by_the_codec_of_one(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "a.csv"
    path.write_text("x,d,c,m\n" + "".join(f"{i * i}.5,0{1 + i % 9}.02.2020,{'ab'[i % 2]},?\n" for i in range(40)))
    path.write_text(path.read_text().replace("a,?", "a,7"))
    source = open_source(path, schema=Schema())
    assert isinstance(source.codec, TableCodec)
    expected = source.codec.encode(source.values(torch.arange(40)))
    torch.testing.assert_close(encode_table(source.codec, read_csv(path)), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"size": "large"},
            "Column size of the DataFrame does not hold numbers alone: 'large'",
        ),
        ({"size": True}, r"Column size of the DataFrame is no number: a boolean"),
        ({"start": 3}, "Column start of the DataFrame is no date: a number"),
        ({"opens": "noon"}, "Column opens of the DataFrame does not hold dates alone: 'noon'"),
    ],
)
def test_a_column_of_another_kind_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode_frame(fitted(), frame().assign(**change))


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="the DataFrame lacks columns of the run's table: rooms"):
        encode_frame(fitted(), frame().drop(columns="rooms"))


def test_conditions_are_no_part_of_the_vectors() -> None:
    source = open_source(frame(), schema=SCHEMA, condition=["city", "start"])
    assert isinstance(source.codec, TableCodec) and source.conditions is not None and source.context is not None
    rows = torch.arange(120)
    torch.testing.assert_close(
        encode_frame(source.codec, frame()), source.codec.encode(source.values(rows)), rtol=0, atol=0
    )
    told = encode_frame(source.conditions.codec, frame()[["start", "city"]])  # type: ignore[attr-defined]
    torch.testing.assert_close(told, source.context.at(rows), rtol=0, atol=0)
