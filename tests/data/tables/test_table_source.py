"""From a file to rows in model space, and from there to a file like the first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import TableCodec, codec_from_state, open_source, write_table
from wassergan.data.source import Source

HEADER = "age,job,paid,since,member,score\n"


def people(count: int = 200) -> str:
    lines = [
        f"{20 + i % 41},{('clerk', 'cook, head', '', 'smith')[i % 4]},{1000 * i / 7:.2f},"
        f"2020-01-{1 + i % 28:02d},{('True', 'False')[i % 3 == 0]},{'?' if i % 11 == 0 else i % 5}\n"
        for i in range(count)
    ]
    return HEADER + "".join(line.replace("cook, head", '"cook, head"') for line in lines)


def rows_of(source: Source) -> np.ndarray:
    return source.values(torch.arange(len(source))).numpy()


def table_codec(source: Source) -> TableCodec:
    assert isinstance(source.codec, TableCodec)
    return source.codec


def test_a_csv_comes_back_letter_by_letter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(people(), encoding="utf-8")
    source = open_source(tmp_path / "a.csv")
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))  # plain types alone
    assert isinstance(codec, TableCodec)
    rows = codec.decode_numpy(source.codec.encode(source.values(torch.arange(200))))
    write_table(codec, [rows[:77], rows[77:]], tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == people()
    assert [column.kind for column in codec.columns] == ["number", "category", "number", "date", "boolean", "number"]


def test_statistics_come_from_training_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{i * i}\n" for i in range(200)))
    source = open_source(tmp_path / "a.csv", heldout=0.5)
    low, high = (table_codec(source).columns[0].coding.low, table_codec(source).columns[0].coding.high)  # type: ignore[union-attr]
    train = rows_of(source)[source.split.train_rows(torch.arange(100)).numpy(), 0]
    assert (low, high) == (train.min(), train.max())
    assert source.heldout(torch.arange(100)).abs().max() <= 1


def test_shares_are_those_of_the_training_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{'abc'[i % 3]},{i * i}\n" for i in range(300)))
    source = open_source(tmp_path / "a.csv")
    level = rows_of(source)[source.split.train_rows(torch.arange(270)).numpy(), 0]
    assert table_codec(source).shares == (*(np.bincount(level.astype(int)) / 270).tolist(), 0.0)


def test_frequent_conditions_have_margins_of_their_own(tmp_path: Path) -> None:
    # `kind` and `old` are conditions, and so is a number with quantiles, which tells no strata apart.
    lines = (f"{'abca'[i % 4]},{i % 8 > 4},{i * i % 7919},{i % 3},{'uv'[i % 4 == 0]}" for i in range(6000))
    (tmp_path / "a.csv").write_text("kind,old,size,few,said\n" + "\n".join(lines) + "\nd,True,1,0,u\n" * 9)
    source = open_source(tmp_path / "a.csv", condition=["kind", "old", "size"])
    assert source.context is not None
    codec, again = table_codec(source), codec_from_state(json.loads(json.dumps(source.codec.state())))
    train = source.split.train_rows(torch.arange(source.train_count))
    vectors, given = source.codec.encode(source.values(train)), source.context.at(train)
    # Of 8 rows each: (a, False) thrice, (b, False), (c, False), (b, True), (c, True), (a, True); d is rare.
    assert len(codec.strata) == 6 and isinstance(again, TableCodec) and again.strata == codec.strata
    assert {stratum.options for stratum in codec.strata} == {(level, old) for level in (0, 1, 2) for old in (4, 5)}
    for stratum in codec.strata:
        alike = vectors[(given[:, list(stratum.options)] > 0).all(1)]
        assert len(alike) >= 500
        torch.testing.assert_close(torch.tensor(stratum.shares), (alike > 0).float().mean(0), atol=1e-6, rtol=0)
    unconditional = table_codec(open_source(tmp_path / "a.csv"))
    assert unconditional.strata == ()
    assert table_codec(open_source(tmp_path / "a.csv", condition=["size"])).strata == ()


def test_bounds_of_the_schema_hold_for_what_is_generated(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{i * i / 8}\n" for i in range(100)))
    (tmp_path / "s.json").write_text('{"columns": {"x": {"low": -5, "high": 5000}}}')
    coding = table_codec(open_source(tmp_path / "a.csv", schema=tmp_path / "s.json")).columns[0].coding
    assert (coding.low, coding.high) == (-5, 5000)  # type: ignore[union-attr]


def test_generated_rows_are_valid_whatever_the_vector(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(people())
    source = open_source(tmp_path / "a.csv")
    real, codec = rows_of(source), table_codec(source)

    @given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
    def check(seed: int, scale: float) -> None:
        vectors = scale * torch.randn(50, codec.width, generator=torch.Generator().manual_seed(seed))
        rows = codec.decode_numpy(vectors)
        for place, column in enumerate(codec.columns):
            there = rows[~np.isnan(rows[:, place]), place]
            assert not len(there) or (
                there.min() >= np.nanmin(real[:, place]) and there.max() <= np.nanmax(real[:, place])
            )
            if column.name != "paid":
                assert (there == there.round()).all()
            if not np.isnan(real[:, place]).any():
                assert len(there) == 50

    check()


def test_a_date_that_follows_another_is_told_from_it(tmp_path: Path) -> None:
    start = np.datetime64("2021-03-01T00:00:00") + np.random.default_rng(0).integers(0, 2_500_000, 300)
    end = start + np.random.default_rng(1).integers(60, 3600, 300)
    lines = "".join(f"{a},{b}\n".replace("T", " ") for a, b in zip(start, end, strict=True))
    (tmp_path / "a.csv").write_text("start,end\n" + lines)
    source = open_source(tmp_path / "a.csv")
    codec = table_codec(source)
    assert [column.since for column in codec.columns] == ["", "start"]
    rows = codec.decode_numpy(source.codec.encode(source.values(torch.arange(300))))
    train = source.split.train_rows(torch.arange(source.train_count)).numpy()
    np.testing.assert_allclose((rows[:, 1] - rows[:, 0])[train], (end - start).astype(float)[train], atol=1)
    noise = codec.decode_numpy(torch.randn(500, codec.width, generator=torch.Generator().manual_seed(0)))
    assert (noise[:, 1] >= noise[:, 0]).all() and noise[:, 1].max() <= rows[:, 1].max() + 3600


def test_a_constant_column_is_said_and_written_back(tmp_path: Path) -> None:
    text = "x,c,d\n" + "".join(f"{i % 9},only,7.50\n" for i in range(90))
    (tmp_path / "a.csv").write_text(text)
    said: list[str] = []
    source = open_source(tmp_path / "a.csv", log=said.append)
    assert said == ["Constant in a.csv, and written back as they are: c, d."]
    write_table(table_codec(source), [rows_of(source)], tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == text


def test_files_are_equal_for_equal_rows_and_compressed_by_their_name(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "a.csv").write_text(people())
    source = open_source(tmp_path / "a.csv")
    for name in ("b.csv.gz", "c.csv.gz", "d.tsv"):
        write_table(table_codec(source), [rows_of(source)], tmp_path / name)
    assert (tmp_path / "b.csv.gz").read_bytes() == (tmp_path / "c.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "b.csv.gz").read_bytes()).decode() == people()
    assert (tmp_path / "d.tsv").read_text().splitlines()[0] == HEADER.strip().replace(",", "\t")


def frame(count: int = 120) -> object:
    pandas = pytest.importorskip("pandas")
    i = np.arange(count)
    return pandas.DataFrame(
        {
            "whole": (i * 37) % 50,
            "small": pandas.array([None if k % 9 == 0 else k % 4 for k in i], dtype="Int8"),
            "real": np.where(i % 10 == 0, np.nan, (i % 30) / 8).astype(np.float32),
            "flag": i % 3 == 0,
            "maybe": pandas.array([None if k % 5 == 0 else bool(k % 2) for k in i], dtype="boolean"),
            "level": pandas.Categorical(
                [("low", "mid", "high")[k % 3] for k in i], ["low", "mid", "high"], ordered=True
            ),
            "text": [None if k % 7 == 0 else "ab"[k % 2] for k in i],
            "when": pandas.Timestamp("2020-02-01") + pandas.to_timedelta((i * 31) % 40, unit="h"),
        }
    )


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_a_dataframe_comes_back_with_its_types(tmp_path: Path, suffix: str) -> None:
    pandas = pytest.importorskip("pandas")
    original = frame()
    source = open_source(original)
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))
    assert isinstance(codec, TableCodec)
    rows = codec.decode_numpy(source.codec.encode(source.values(torch.arange(120))))
    write_table(codec, [rows], tmp_path / f"a{suffix}")
    read = pandas.read_parquet if suffix == ".parquet" else pandas.read_feather
    pandas.testing.assert_frame_equal(read(tmp_path / f"a{suffix}"), original)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_a_file_of_pandas_is_a_table_and_comes_back(tmp_path: Path, suffix: str) -> None:
    pandas = pytest.importorskip("pandas")
    original = frame()
    getattr(original, f"to_{suffix}")(tmp_path / f"a.{suffix}")
    source = open_source(tmp_path / f"a.{suffix}")
    assert source.kind == "table"
    write_table(table_codec(source), [rows_of(source)], tmp_path / f"b.{suffix}")
    pandas.testing.assert_frame_equal(getattr(pandas, f"read_{suffix}")(tmp_path / f"b.{suffix}"), original)


def test_a_dataframe_with_mixed_types_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    from wassergan.errors import UserError

    with pytest.raises(UserError, match="Column a of the DataFrame mixes types: .*Give them all one type"):
        open_source(pandas.DataFrame({"a": [1, "x", 2.5] * 10}))
    nested = pandas.DataFrame({"a": [[1, 2], [3]] * 10})
    with pytest.raises(UserError, match=r"Column a of the DataFrame holds objects that a table cannot have: .*list"):
        open_source(nested)


def test_a_csv_written_as_parquet_has_the_types_of_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.csv").write_text(people())
    source = open_source(tmp_path / "a.csv")
    write_table(table_codec(source), [rows_of(source)], tmp_path / "a.parquet")
    content = parquet.read_table(tmp_path / "a.parquet")
    assert [str(kind) for kind in content.schema.types] == ["int64", "string", "double", "date32[day]", "bool", "int64"]
    first = content.slice(1, 1).to_pylist()[0]
    assert (first["age"], first["job"], first["paid"], str(first["since"]), first["member"], first["score"]) == (
        *(21, "cook, head", 142.86),
        *("2020-01-02", True, 1),
    )
    assert content.slice(0, 1).to_pylist()[0]["score"] is None and content.slice(2, 1).to_pylist()[0]["job"] is None


def test_info_shows_each_column(tmp_path: Path, cli: Callable[..., Any]) -> None:
    (tmp_path / "a.csv").write_text(people())
    facts = json.loads(cli("info", tmp_path / "a.csv", "--json").out)["table"]  # type: ignore[attr-defined]
    assert facts[0] == {
        "name": "age",
        "kind": "number",
        "low": "20",
        "high": "60",
        "missing": 0.0,
        "coded": "quantiles",
        "width": 1,
        "written": "",
    } | {key: facts[0][key] for key in ("coded", "width")}
    assert (facts[1]["levels"], facts[1]["missing"], facts[1]["coded"]) == (3, 0.25, "one-hot + missing")
    shown = cli("info", tmp_path / "a.csv").out  # type: ignore[attr-defined]
    assert "  job     category  3 levels " in shown and "25.00% missing" in shown
    (tmp_path / "s.json").write_text('{"columns": {"age": "category"}}')
    said = cli("info", tmp_path / "a.csv", "--schema", tmp_path / "s.json").out  # type: ignore[attr-defined]
    assert "  age     category  41 levels" in said
