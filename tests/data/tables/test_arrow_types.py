"""Every Arrow type comes back as it was, through memory, Parquet and Feather."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import TableCodec, open_source, write_table
from wassergan.errors import UserError

pa = pytest.importorskip("pyarrow")

ROWS = 120
R = np.random.default_rng(0)
WHOLE = R.integers(0, 10_000, ROWS)
TEXTS = [f"{value:.2f}" for value in R.gamma(2, 50, ROWS)]


def gaps(values: Any) -> list[Any]:
    return [None if row % 7 == 0 else value for row, value in enumerate(values)]


def ticks(count: int, kind: Any, *, step: int = 1, start: int = 0) -> Any:
    return pa.array(gaps((start + R.integers(0, count, ROWS) * step).tolist()), pa.int64()).cast(kind)


COLUMNS: dict[str, Callable[[], Any]] = {
    "decimal128": lambda: pa.array([Decimal(int(each)) / 100 for each in WHOLE], pa.decimal128(9, 2)),
    "decimal256": lambda: pa.array(gaps(Decimal(int(each)) / 100 for each in WHOLE), pa.decimal256(40, 4)),
    "date32": lambda: pa.array(WHOLE.astype("int32")).cast("date32"),
    "date64": lambda: pa.array(WHOLE.astype("int32")).cast("date32").cast("date64"),
    "seconds in a zone": lambda: ticks(10**9, pa.timestamp("s", tz="Europe/Berlin")),
    "nanoseconds in UTC": lambda: ticks(10**9, pa.timestamp("ns", tz="UTC"), step=10**6),
    "an hour that comes twice": lambda: ticks(
        10_800, pa.timestamp("ns", "America/New_York"), step=10**9, start=1035694800 * 10**9
    ),
    "time32": lambda: pa.array(gaps(R.integers(0, 86_400, ROWS).tolist()), pa.int32()).cast(pa.time32("s")),
    "time64": lambda: ticks(86_400 * 10**6, pa.time64("us")),
    "duration in ms": lambda: ticks(10**6, pa.duration("ms")),
    "duration in ns": lambda: ticks(10**6, pa.duration("ns")),
    "float16": lambda: pa.array(R.normal(size=ROWS).astype("float16")),
    "float32": lambda: pa.array(R.normal(size=ROWS).astype("float32")),
    "NaN": lambda: pa.array([float("nan") if row % 3 == 0 else float(row % 50) for row in range(ROWS)]),
    "uint64": lambda: pa.array([2**64 - 1 if row % 2 else row % 3 for row in range(ROWS)], pa.uint64()),
    "int64 to the end": lambda: pa.array([2**63 - 1 if row % 2 else -(2**63) for row in range(ROWS)]),
    "string": lambda: pa.array(gaps(TEXTS)),
    "large_string": lambda: pa.array(TEXTS, pa.large_string()),
    "string_view": lambda: pa.array(gaps(TEXTS), pa.string_view()),
    "string_view of short texts": lambda: pa.array(["ab"[row % 2] for row in range(ROWS)], pa.string_view()),
    "text of booleans": lambda: pa.array(["True" if row % 3 else "False" for row in range(ROWS)]),
    "text with words for nothing": lambda: pa.array(
        ["NULL" if row % 3 == 0 else text for row, text in enumerate(TEXTS)]
    ),
    "null": lambda: pa.nulls(ROWS),
    "no date at all": lambda: pa.nulls(ROWS, pa.timestamp("ms")),
    "dictionary of text": lambda: pa.array(gaps(["b", "a", "c"] * (ROWS // 3))).dictionary_encode(),
    "dictionary of decimals": lambda: pa.array(gaps(Decimal(row % 4) for row in range(ROWS))).dictionary_encode(),
    "dictionary of moments": lambda: ticks(4, pa.timestamp("s")).dictionary_encode(),
    "dictionary of float32": lambda: pa.array((WHOLE % 3 / 7).astype("float32")).dictionary_encode(),
    "dictionary that holds nothing": lambda: pa.DictionaryArray.from_arrays(
        pa.array([row % 3 for row in range(ROWS)], pa.int8()), pa.array(["a", None, "b"])
    ),
}  # fmt: skip


def same(found: Any, expected: Any) -> bool:
    """Equal values, NaN for NaN and nothing for nothing."""
    if pa.types.is_floating(expected.type):
        both = (np.array(each.cast("float64").fill_null(-9e9).to_numpy(), np.float64) for each in (found, expected))
        return found.type == expected.type and np.array_equal(*both, equal_nan=True)  # type: ignore[arg-type, misc]
    return bool(found.type == expected.type and found.to_pylist() == expected.to_pylist())


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_columns_come_back_in_their_own_type(tmp_path: Path, name: str, suffix: str) -> None:
    from pyarrow import feather, parquet

    write, read = (
        (parquet.write_table, parquet.read_table)
        if suffix == ".parquet"
        else (feather.write_feather, feather.read_table)
    )
    column = COLUMNS[name]()
    try:
        write(pa.table({"x": WHOLE % 53, "c": column}), tmp_path / f"a{suffix}")
    except (pa.ArrowException, OSError):
        pytest.skip("the format has no such type")
    table = read(tmp_path / f"a{suffix}")
    source = open_source(tmp_path / f"a{suffix}", layout="table")
    codec = TableCodec.from_state(source.codec.state())
    assert codec.columns[-1].name == "c"
    write_table(codec, [source.values(torch.arange(ROWS)).numpy()], tmp_path / f"b{suffix}")
    back = read(tmp_path / f"b{suffix}")
    assert same(back["c"].combine_chunks(), table["c"].combine_chunks()) and back.schema.equals(table.schema)
    # What is drawn can be written, too: in these types, and as text.
    drawn = codec.decode_numpy(torch.randn(50, codec.width, generator=torch.Generator().manual_seed(0)))
    for ending in (suffix, ".csv"):
        write_table(codec, [drawn], tmp_path / f"c{ending}")


@pytest.mark.parametrize("kind", ["category", "number", "date", "boolean"])
@pytest.mark.parametrize("name", COLUMNS)
def test_any_kind_of_any_type_comes_back_or_is_refused_at_once(name: str, kind: str) -> None:
    from wassergan.data import schema_of
    from wassergan.data.tables.writing import arrow_table

    table = pa.table({"x": WHOLE % 53, "c": COLUMNS[name]()})
    try:
        source = open_source(table, schema=schema_of({"columns": {"c": kind}}))
    except UserError:
        return
    assert isinstance(source.codec, TableCodec)
    back = arrow_table(source.codec, source.values(torch.arange(ROWS)).numpy())
    assert back.schema.field("c").type == table.schema.field("c").type
    expected = table["c"].combine_chunks()
    values = back["c"].combine_chunks()
    if pa.types.is_dictionary(expected.type):
        expected, values = expected.dictionary_decode(), values.dictionary_decode()
    assert same(values, expected)


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (lambda: pa.array([[1]] * ROWS), r"list<item: int64>"),
        (lambda: pa.array([{"a": 1}] * ROWS), r"struct<a: int64>"),
        (lambda: pa.array([b"a"] * ROWS), "binary"),
        (lambda: pa.array([Decimal("1234567890.1234567")] * ROWS), r"decimal128\(17, 7\)\. Round its numbers"),
        (lambda: pa.array([2**60] * ROWS).cast(pa.duration("ns")), r"duration\[ns\]\. Give its durations in seconds"),
    ],
)  # fmt: skip
def test_other_types_are_refused_or_left_out(column: Callable[[], Any], found: str) -> None:
    from wassergan.data import schema_of

    table = pa.table({"x": WHOLE % 53, "c": column()})
    with pytest.raises(UserError, match=f"Column c of the DataFrame is of a type that a table cannot have: {found}"):
        open_source(table)
    assert open_source(table, schema=schema_of({"columns": {"c": "drop"}})).columns == ("x",)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_chunks_are_written_in_groups_of_many_rows(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("\n".join(["x,kind", *(f"{row / 4},{'ab'[row % 2]}" for row in range(400))]))
    codec = open_source(str(tmp_path / "rows.csv")).codec
    assert isinstance(codec, TableCodec)
    rows = np.stack([R.integers(0, 400, 70_000) / 4, R.integers(0, 2, 70_000)], 1)
    path = tmp_path / f"made{suffix}"
    write_table(codec, iter(np.split(rows, range(1024, 70_000, 1024))), path)
    if suffix == ".parquet":
        from pyarrow import parquet

        file = parquet.ParquetFile(path)
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        found = file.read()
    else:
        with pa.ipc.open_file(path) as held:
            sizes = [held.get_batch(number).num_rows for number in range(held.num_record_batches)]
            found = held.read_all()
    assert sizes == [32_768, 32_768, 70_000 - 2 * 32_768]
    assert np.array_equal(found["x"].to_numpy(), rows[:, 0])
    assert found["kind"].to_pylist() == ["ab"[int(each)] for each in rows[:, 1]]
