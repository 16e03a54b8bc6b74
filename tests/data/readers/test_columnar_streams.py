"""Tables that are larger than memory: whatever is found in them, and every row, is what it would be in memory."""

import datetime
import decimal
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan import TrainSettings, train_run
from wassergan.data import Source, TableCodec, open_source
from wassergan.data.readers import columnar, columnar_streams, columnar_tables
from wassergan.data.tables.columns import TextColumn
from wassergan.data.tables.on_disk import RowsOnDisk
from wassergan.data.tables.source import TableReader
from wassergan.errors import UserError
from wassergan.session.fingerprint import fingerprint
from wassergan.storage.checkpoint import load_checkpoint

pyarrow = pytest.importorskip("pyarrow")
parquet, feather, ipc = (
    pytest.importorskip("pyarrow.parquet"),
    pytest.importorskip("pyarrow.feather"),
    pytest.importorskip("pyarrow.ipc"),
)

LARGE = 2**50  # bytes of a cell, so that any table is larger than memory
DAY = datetime.date(2020, 1, 1)
SAID = "is larger than memory should hold"
Numbers = np.random.Generator
Maker = Callable[[Numbers, int], Any]


def texts(levels: list[str]) -> Maker:
    return lambda rng, count: [levels[each] for each in rng.geometric(0.4, count).clip(max=len(levels)) - 1]


def moments(unit: str, zone: str | None = None) -> Maker:
    def made(rng: Numbers, count: int) -> Any:
        ticks = 1_700_000_000 + rng.integers(0, 10**6, count)
        scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
        return pyarrow.array((ticks * scale).tolist(), pyarrow.int64()).cast(pyarrow.timestamp(unit, zone))

    return made


def floats(rng: Numbers, count: int) -> Any:
    found = rng.normal(size=count)
    found[rng.random(count) < 0.1] = -0.0
    return pyarrow.array(found)


def with_nan(rng: Numbers, count: int) -> Any:
    found = rng.normal(size=count)
    found[rng.random(count) < 0.2] = np.nan
    return pyarrow.array(found, from_pandas=False)


MAKERS: dict[str, Maker] = {
    "small": lambda rng, count: rng.integers(-3, 9, count),
    "whole": lambda rng, count: rng.integers(-40_000, 40_000, count),
    "wide": lambda rng, count: rng.integers(-(2**40), 2**40, count),
    "longer": lambda rng, count: 2**60 + rng.integers(0, 3, count),
    "unsigned": lambda rng, count: rng.integers(0, 200, count).astype(np.uint8),
    "edges": lambda rng, count: rng.choice(np.array([-128, -127, 0, 127]), count),
    "floats": floats,
    "nan": with_nan,
    "narrow": lambda rng, count: rng.normal(size=count).astype(np.float32),
    "prices": lambda rng, count: np.round(rng.lognormal(2, 1, count), 2),
    "decimals": lambda rng, count: pyarrow.array(
        [decimal.Decimal(int(each)) / 100 for each in rng.integers(0, 10**6, count)], pyarrow.decimal128(12, 2)
    ),
    "flags": lambda rng, count: rng.random(count) < 0.2,
    "levels": texts(["red", "green", "blue", "a 'quoted', one", "ü"]),
    "numbers in text": texts(["1,5", "2,25", "3,125", "10,0"]),
    "points in text": texts(["1.5", "2.25", "3.125"]),
    "dates in text": texts(["2024-01-05", "2024-02-11", "2024-03-30"]),
    "gaps in text": texts(["yes", "", "n/a", "no"]),
    "dictionary": lambda rng, count: pyarrow.array(texts(["c", "a", "b"])(rng, count)).dictionary_encode(),
    "day": lambda rng, count: [DAY + datetime.timedelta(int(each)) for each in rng.integers(0, 900, count)],
    "moment": moments("s"),
    "moment in ns": moments("ns"),
    "moment with zone": moments("us", "Europe/Berlin"),
    "time": lambda rng, count: [datetime.time(int(each)) for each in rng.integers(0, 24, count)],
    "duration": lambda rng, count: pyarrow.array(rng.integers(0, 5000, count), pyarrow.duration("ms")),
    "constant": lambda rng, count: np.full(count, 7),
    "nothing": lambda rng, count: pyarrow.nulls(count),
    "codes": lambda rng, count: [f"ID-{each:06d}" for each in rng.permutation(count)],
    "numbered": lambda rng, count: np.arange(count) + 5,
    "list": lambda rng, count: [[1, 2]] * count,
}  # fmt: skip
COLUMN = st.tuples(st.sampled_from(sorted(MAKERS)), st.sampled_from([0.0, 0.0, 0.15]), st.booleans())


def column(kind: str, gone: float, is_sorted: bool, count: int, seed: int) -> Any:
    """A column of a kind, of which some values are missing, sorted, or with what is rare in the last row."""
    rng = np.random.default_rng(seed)
    array = pyarrow.array(MAKERS[kind](rng, count))
    if is_sorted and kind not in ("list", "nothing", "dictionary"):
        array = array.take(pyarrow.compute.sort_indices(array))
    if gone:
        array = pyarrow.compute.if_else(rng.random(count) < gone, pyarrow.scalar(None, array.type), array)
    if kind == "levels":
        array = pyarrow.concat_arrays([array[:-1], pyarrow.array(["only here"])])
    return array


def tensors(state: Any, place: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of a checkpoint, by their place."""
    if isinstance(state, torch.Tensor):
        yield place, state
    for name, each in state.items() if isinstance(state, dict) else ():
        yield from tensors(each, f"{place}/{name}")


def write(content: Any, path: Path, group: int) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(content, path, row_group_size=group)
    elif path.suffix == ".feather":
        feather.write_feather(content, path, compression="zstd", chunksize=group)
    else:
        with ipc.new_file(str(path), content.schema) as file:
            file.write_table(content.unify_dictionaries(), max_chunksize=group)


def opened(path: Path, *, large: bool, **said: Any) -> tuple[Source | str, list[str]]:
    """The source, or what is said instead of it, and what is said besides."""
    log: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columnar, "BYTES_OF_CELL", LARGE if large else 0)
        try:
            source = open_source(path, layout="table", log=log.append, **said)
        except UserError as error:
            return str(error), []
    assert isinstance(source.reader, TableReader)
    assert isinstance(source.reader.rows, RowsOnDisk) == large
    assert len([each for each in log if SAID in each]) == large
    return source, [each for each in log if SAID not in each]


def require_equal(path: Path, **said: Any) -> None:
    (disk, told), (memory, wanted) = (opened(path, large=large, **said) for large in (True, False))
    if isinstance(memory, str) or isinstance(disk, str):
        assert disk == memory
        return
    assert told == wanted
    assert disk.codec.state() == memory.codec.state()
    assert disk.split.heldout.equal(memory.split.heldout)
    rows = torch.arange(len(memory))
    bits, wanted_bits = (each.values(rows).numpy().view(np.int64) for each in (disk, memory))
    assert np.array_equal(bits, wanted_bits)
    assert (disk.shape, disk.columns, disk.round_trip) == (memory.shape, memory.columns, memory.round_trip)
    assert fingerprint(disk) == fingerprint(memory)
    positions = torch.randperm(memory.train_count, generator=torch.Generator().manual_seed(0))
    for mine, theirs in zip(disk.train_batch(positions), memory.train_batch(positions), strict=True):
        assert mine is theirs if mine is None or theirs is None else torch.equal(mine, theirs)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.lists(COLUMN, min_size=1, max_size=6),
    count=st.integers(25, 120),
    group=st.integers(1, 130),
    suffix=st.sampled_from(["parquet", "arrow", "feather"]),
    seed=st.integers(0, 1000),
)
def test_whatever_is_found_and_every_row_are_those_of_the_table_in_memory(
    columns: list[tuple[str, float, bool]], count: int, group: int, suffix: str, seed: int
) -> None:
    made = {f"{each[0]} {at}": column(*each, count, seed + at) for at, each in enumerate(columns)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        write(pyarrow.table(made), path, group)
        require_equal(path)


def mixed(count: int = 400, seed: int = 0) -> Any:
    """A table with a column of many kinds; in two of them values are missing."""
    kinds = ["whole", "prices", "flags", "levels", "dictionary", "moment", "narrow", "points in text"]
    made = {kind: column(kind, 0.0, False, count, seed + at) for at, kind in enumerate(kinds)}
    made["gap"] = column("floats", 0.2, False, count, seed + 20)
    made["later"] = pyarrow.compute.add(made["moment"], pyarrow.scalar(datetime.timedelta(minutes=3)))
    return pyarrow.table(made)


@pytest.mark.parametrize(
    "said",
    [
        {"condition": ["levels"]},
        {"condition": ["dictionary", "whole"]},
        {"completion": True},
        {"weight": "prices"},
        {"sample_weight": np.linspace(0, 2, 400)},
        {"schema": "drop"},
        {"heldout": 0.4, "seed": 3},
    ],
    ids=str,
)
def test_conditions_weights_cells_to_fill_and_schemas_are_those_of_the_table_in_memory(
    tmp_path: Path, said: dict[str, Any]
) -> None:
    path = tmp_path / "a.parquet"
    write(mixed(), path, 33)
    if "schema" in said:
        schema = tmp_path / "schema.json"
        schema.write_text('{"columns": {"levels": "drop", "whole": {"kind": "number", "low": -50000}}}')
        said = {"schema": schema}
    require_equal(path, **said)


def test_texts_are_numbered_as_they_occur_whatever_the_order_of_their_dictionary(tmp_path: Path) -> None:
    """A file that does not say that its texts came with a dictionary, which was in another order than the rows."""
    rng, levels = np.random.default_rng(0), ["never", "c", "a", "b"]
    codes = np.concatenate([[3, 2, 1], rng.integers(1, 4, 200)]).astype(np.int32)
    made = pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes), pyarrow.array(levels))
    table = pyarrow.table({"word": made, "value": rng.normal(size=len(codes))})
    parquet.write_table(table, tmp_path / "a.parquet", store_schema=False, row_group_size=50)
    require_equal(tmp_path / "a.parquet")
    file = [columnar_tables.opened(tmp_path / "a.parquet")]
    (word, _) = columnar_streams.ColumnsOfFiles("a", file, ["word", "value"])
    assert isinstance(word, TextColumn) and word.levels == ["b", "a", "c"]
    assert [word.levels[code] for code in word.codes] == [levels[code] for code in codes]


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for number in range(3):
        write(mixed(60 + number, seed=number), tmp_path / f"part-{number}.parquet", 25)
    require_equal(tmp_path)


@pytest.mark.parametrize("said", [{}, {"condition": ("levels",)}], ids=["alone", "under a condition"])
def test_a_run_has_the_weights_that_it_has_in_memory(tmp_path: Path, said: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    write(mixed(), path, 33)
    found = []
    for large in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columnar, "BYTES_OF_CELL", LARGE if large else 0)
            if large:
                patch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 1000)
            run = tmp_path / f"run-{large}"
            train_run(TrainSettings(data=str(path), steps=4, **said), run)
            found.append(dict(tensors(load_checkpoint(run / "checkpoints" / "latest.pt"))))
    assert found[0].keys() == found[1].keys() and any("generator" in name for name in found[0])
    assert [name for name, value in found[0].items() if not torch.equal(value, found[1][name])] == []


def test_a_table_with_rules_stays_in_memory_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.parquet"
    low = rng.integers(0, 50, 200)
    write(pyarrow.table({"low": low, "high": low + rng.integers(1, 9, 200)}), path, 50)
    (tmp_path / "schema.json").write_text('{"rules": ["low < high"]}')
    monkeypatch.setattr(columnar, "BYTES_OF_CELL", LARGE)
    log: list[str] = []
    source = open_source(path, schema=tmp_path / "schema.json", log=log.append)
    assert isinstance(source.reader, TableReader) and not isinstance(source.reader.rows, RowsOnDisk)
    assert any("rules tie columns together" in each for each in log)
    assert isinstance(source.codec, TableCodec) and source.codec.rules is not None


def test_nothing_is_left_on_the_disk_not_even_of_a_process_that_is_killed(tmp_path: Path) -> None:
    path, scratch = tmp_path / "a.parquet", tmp_path / "scratch"
    scratch.mkdir()
    write(mixed(), path, 33)
    code = f"""
import os, signal
from pathlib import Path
from wassergan.data import open_source
from wassergan.data.readers import columnar
columnar.BYTES_OF_CELL = 2**50
source = open_source({str(path)!r})
held = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
assert any(each.startswith({str(scratch)!r}) for each in held), held
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert not list(scratch.iterdir())
