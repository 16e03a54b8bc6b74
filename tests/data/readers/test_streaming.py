import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import Source, open_source
from wassergan.data.readers.arrays import ArrayBlocks, array_source
from wassergan.data.readers.blocks import BlockReader
from wassergan.data.readers.marks import DataChangedError, FileMark
from wassergan.data.readers.streaming import StreamedSource, probe
from wassergan.data.split import SparseSplit, sparse_split
from wassergan.errors import UserError
from wassergan.training.batches import BatchStream

ROWS = 20_000


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of more than 64 KiB are streamed: blocks of 128 bytes, a buffer of 32 KiB."""
    monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 2**16)


def numbered(count: int = ROWS) -> np.ndarray:
    """Three columns; the first is the row's number, exact in float32."""
    rows = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    rows[:, 0] = np.arange(count)
    return rows


def row_numbers(source: Source, samples: torch.Tensor) -> list[int]:
    return source.codec.decode(samples)[:, 0].round().long().tolist()


def as_parquet(rows: np.ndarray, path: Path, *, groups: int = 700) -> Path:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({name: rows[:, i] for i, name in enumerate("abc")})
    parquet.write_table(table, path, row_group_size=groups)
    return path


def as_feather(rows: np.ndarray, path: Path) -> Path:
    import pyarrow
    from pyarrow import feather

    feather.write_feather(
        pyarrow.table({name: rows[:, i] for i, name in enumerate("abc")}), path, chunksize=900, compression="lz4"
    )
    return path


def as_folder(rows: np.ndarray, path: Path) -> Path:
    path.mkdir()
    as_parquet(rows[:7000], path / "part-0.parquet")
    as_parquet(rows[7000:7100], path / "part-1.parquet")
    as_feather(rows[7100:], path / "part-2.feather")
    return path


def as_mapping(rows: np.ndarray, path: Path) -> Path:
    np.save(path, rows)
    return path


WAYS: dict[str, Callable[[np.ndarray, Path], object]] = {
    "array": lambda rows, folder: rows,
    "columns first": lambda rows, folder: np.asfortranarray(rows),
    "npy": lambda rows, folder: as_mapping(rows, folder / "a.npy"),
    "npy, columns first": lambda rows, folder: as_mapping(np.asfortranarray(rows), folder / "a.npy"),
    "view of a mapping": lambda rows, folder: np.load(
        as_mapping(np.concatenate([rows[:5] - 9, rows]), folder / "a.npy"), mmap_mode="r"
    )[5:],
    "parquet": lambda rows, folder: as_parquet(rows, folder / "a.parquet"),
    "one large row group": lambda rows, folder: as_parquet(rows, folder / "a.parquet", groups=ROWS),
    "feather": lambda rows, folder: as_feather(rows, folder / "a.feather"),
    "folder of tables": lambda rows, folder: as_folder(rows, folder / "tables"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_row_is_served_once_per_epoch_or_held_out_and_comes_as_it_is(tmp_path: Path, way: str) -> None:
    rows = numbered()
    source = open_source(WAYS[way](rows, tmp_path), heldout=0.05)  # type: ignore[arg-type]
    assert isinstance(source, StreamedSource) and (len(source), source.heldout_count) == (ROWS, 1000)
    stream = BatchStream(source, 50, seed=3)
    held = row_numbers(source, source.heldout(torch.arange(1000)))
    epochs = []
    for _ in range(2):
        batches = torch.cat([stream.draw().samples for _ in range(19_000 // 50)])
        numbers = row_numbers(source, batches)
        assert sorted(numbers + held) == list(range(ROWS))
        np.testing.assert_allclose(source.codec.decode(batches).numpy(), rows[numbers], rtol=1e-4, atol=1e-3)
        epochs.append(numbers)
    assert epochs[0] != epochs[1]
    assert torch.equal(source.values(source.split.heldout)[:, 0].long(), torch.tensor(held))
    few = source.values(torch.tensor([ROWS - 1, 0, 12_345, 0]))
    assert few[:, 0].tolist() == [ROWS - 1, 0, 12_345, 0]


@pytest.mark.parametrize("way", ["npy", "parquet", "one large row group"])
@pytest.mark.parametrize("before", [0, 1, 37, 380, 391])
def test_a_resumed_stream_continues_bit_for_bit(tmp_path: Path, way: str, before: int) -> None:
    data = WAYS[way](numbered(), tmp_path)
    stream = BatchStream(open_source(data, heldout=0.05), 50, seed=1)  # type: ignore[arg-type]
    for _ in range(before):
        stream.draw()
    state = stream.state_dict()
    rest = [stream.draw().samples for _ in range(60)]
    again = BatchStream(open_source(data, heldout=0.05), 50, seed=1)  # type: ignore[arg-type]
    for _ in range(5):
        again.draw()
    again.load_state_dict(state)
    assert all(torch.equal(a, again.draw().samples) for a in rest)


def test_every_process_can_compute_all_positions_and_read_only_its_own() -> None:
    source = array_source(numbered())
    whole, part = BatchStream(source, 60, seed=2), BatchStream(source, 60, seed=2)
    for first in (0, 60, 17_940, 17_980, 50_000):  # within windows, and across the end of an epoch
        positions = part._positions(first)
        assert torch.equal(source.train(positions[20:40]), whole._read(first).samples[20:40])


def test_rows_are_mixed_across_many_blocks() -> None:
    source = array_source(numbered())
    numbers = np.array(row_numbers(source, BatchStream(source, 200, seed=0).draw().samples))
    assert len(set(numbers // 10)) > 100  # rows of a block are together in the file
    assert numbers.min() < ROWS / 5 and numbers.max() > 4 * ROWS / 5


def test_memory_holds_at_most_two_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    load = BlockReader.load

    def counting(self: BlockReader, blocks: list[int]) -> np.ndarray:
        rows = load(self, blocks)
        assert rows.nbytes <= 2**15
        alive.append(rows.nbytes)
        return rows

    source = array_source(numbered())
    monkeypatch.setattr(BlockReader, "load", counting)
    stream = BatchStream(source, 50, seed=0)
    for _ in range(400):
        stream.draw()
        assert len(source._windows.coming) <= 2  # type: ignore[attr-defined]
    assert len(alive) > 6  # several windows to an epoch


@given(count=st.integers(2, 60), data=st.data())
def test_positions_number_the_rows_that_are_not_held_out(count: int, data: st.DataObject) -> None:
    held = data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=count - 1))
    split = SparseSplit(count, torch.tensor(held, dtype=torch.int64))
    others = [row for row in range(count) if row not in held]
    assert split.train_rows(torch.arange(split.train_count)).tolist() == others
    assert split.train_positions(torch.tensor(others)).tolist() == list(range(len(others)))
    assert [row for row in range(count) if split.holds_out(row)] == sorted(held)
    assert split.train_positions(torch.tensor([0, count])).tolist() == [0, len(others)]


def test_a_sparse_split_holds_out_the_share_up_to_a_bound() -> None:
    assert len(sparse_split(1000, heldout=0.1, seed=0).heldout) == 100
    split = sparse_split(10**9, heldout=0.1, seed=0)
    assert len(split.heldout) == 2**16 == len(split.heldout.unique()) and split.train_count == 10**9 - 2**16
    assert not torch.equal(split.heldout, sparse_split(10**9, heldout=0.1, seed=1).heldout)
    positions = split.sample_positions(100)
    assert len(positions.unique()) == 100 and positions.min() >= 0 and positions.max() < split.train_count


def test_held_out_rows_and_the_sample_come_from_many_blocks_and_never_overlap() -> None:
    found = probe(ArrayBlocks(numbered(), "numbers"), heldout=0.1, seed=0)
    held, seen = found.heldout[:, 0].astype(int), found.sample[:, 0].astype(int)
    assert held.tolist() == found.split.heldout.tolist()
    assert len(held) == 2**14 // 12 and not set(held) & set(seen)  # a tenth would be 2000: a quarter of the limit
    assert len(seen) == 2**14 // 12
    assert len(set(np.concatenate([held, seen]) // 10)) >= 8
    assert set(found.kept[:, 0].astype(int)) <= set(seen) and len(found.kept) == len(held)
    early = np.median(held[:500])
    assert 4000 < early < 16_000  # the first held-out rows are as good as any


def test_statistics_are_those_of_the_sample() -> None:
    rows = numbered()
    found = probe(ArrayBlocks(rows, "numbers"), heldout=0.1, seed=0)
    codec = array_source(rows).codec
    np.testing.assert_allclose(codec.offset.numpy(), found.sample.astype(float).mean(0), rtol=1e-9)  # type: ignore[attr-defined]
    np.testing.assert_allclose(codec.scale.numpy(), found.sample.astype(float).std(0), rtol=1e-9)  # type: ignore[attr-defined]


def test_pictures_and_fields_are_streamed_too() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (600, 12, 12), dtype=np.uint8)
    source = array_source(levels, heldout=0.1)
    assert (source.kind, source.shape, source.fits_in_memory) == ("image", (1, 12, 12), False)
    drawn = torch.cat([BatchStream(source, 20, seed=0).draw().samples for _ in range(1)])
    assert drawn.min() >= -1 and drawn.max() <= 1
    field = array_source(levels.astype(np.float32), heldout=0.1)
    assert (field.kind, field.shape) == ("field", (1, 12, 12))
    back = field.codec.decode(field.train(torch.arange(3)))
    assert torch.equal(back.round().byte(), field.values(field.split.train_rows(torch.arange(3))).byte())


def test_what_is_done_is_told() -> None:
    said: list[str] = []
    array_source(numbered(), log=said.append)
    assert said == [
        "array is larger than memory should hold: its 20000 rows are read in 2000 blocks, 273 of them, 2730 rows "
        "(0 MiB), are mixed at a time, and 1365 rows are held out."
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("way", ["npy", "parquet"])
def test_a_bad_value_in_the_middle_is_named_when_it_is_read(tmp_path: Path, way: str, value: float) -> None:
    rows = numbered()
    source = open_source(WAYS[way](rows, tmp_path))  # type: ignore[arg-type]
    bad = next(row for row in range(12_000, ROWS) if not source.split.holds_out(row))
    rows[bad, 1] = value
    source = open_source(WAYS[way](rows, tmp_path)) if way == "npy" else source  # type: ignore[arg-type]
    if way == "parquet":
        as_parquet(rows, tmp_path / "a.parquet")
        table = source.reader._tables[0]  # type: ignore[attr-defined]
        table.mark = FileMark.of(table.path)  # as if it had been so all along
    where = rf"at index \({bad}, 1\)" if way == "npy" else rf"in row {bad}, column b"
    stream = BatchStream(source, 50, seed=0)
    what = "missing values where the rows looked at had none" if np.isnan(value) else "infinite values"
    with pytest.raises(UserError, match=rf"holds {what}: the first {where}"):
        for _ in range(ROWS // 50):
            stream.draw()


def test_whole_numbers_beyond_64_signed_bits_are_refused_when_read() -> None:
    values = np.random.default_rng(0).integers(0, 1000, (ROWS, 3)).astype(np.uint64)
    values[:] |= np.uint64(2**63)
    with pytest.raises(UserError, match="whole numbers that are too large"):
        array_source(values)


def test_a_file_that_was_cut_is_noticed(tmp_path: Path) -> None:
    path = as_mapping(numbered(), tmp_path / "a.npy")
    source = open_source(path)
    path.write_bytes(path.read_bytes()[:1000])
    stream = BatchStream(source, 50, seed=0)
    with pytest.raises(DataChangedError, match=r"a.npy changed while it was in use: it was written to"):
        stream.draw()
    path.unlink()
    with pytest.raises(DataChangedError, match=r"a.npy changed while it was in use: No such file"):
        source.values(torch.tensor([3]))


def test_what_is_constant_in_the_sample_is_looked_for_in_all_rows() -> None:
    rows, said = numbered(), []  # type: ignore[var-annotated]
    rows[:, 2] = 4
    source = array_source(rows, log=said.append)
    assert source.codec.parts.fixed.tolist() == [False, False, True]  # type: ignore[attr-defined, union-attr]
    assert any(sentence.startswith(f"Looking through all {ROWS} rows") for sentence in said)
    seen = set(source.sample_rows[:, 0].astype(int)) | set(source.heldout_rows[:, 0].astype(int))  # type: ignore[attr-defined]
    rare = next(row for row in range(ROWS) if row not in seen)
    rows[rare, 2] = 5
    varying = array_source(rows)
    assert varying.codec.parts is None  # type: ignore[attr-defined, union-attr]
    at = varying.split.train_positions(torch.tensor([rare]))  # type: ignore[union-attr]
    back = varying.codec.decode_numpy(varying.train(at))
    assert back[0, 2] == 5


MEASURE = """
import sys
from pathlib import Path

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

import torch
import wassergan.data.source as limits
from wassergan.data import open_source
from wassergan.data.readers.arrays import array_source
from wassergan.training.batches import BatchStream
import pyarrow.parquet
try:
    import pandas  # pyarrow would import it on the way
except ImportError:
    pass

limits.RESIDENT_LIMIT_BYTES = int(sys.argv[2])
stream = BatchStream(array_source(torch.randn(1000, 25).numpy()), 64, seed=0)
stream.draw()
before = peak()
stream = BatchStream(open_source(Path(sys.argv[1])), 2560, seed=0)
for _ in range(int(sys.argv[3])):
    stream.draw()
print(peak() - before)
"""


def peak_mib_above_a_small_array(path: Path, *, limit: int, draws: int) -> float:
    argv = [sys.executable, "-c", MEASURE, str(path), str(limit), str(draws)]
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_an_epoch_of_a_large_file_stays_within_the_limit(tmp_path: Path, kind: str) -> None:
    rows = np.random.default_rng(0).normal(size=(1_000_000, 25)).astype(np.float32)  # 95 MiB
    path = tmp_path / f"large.{kind}"
    if kind == "npy":
        np.save(path, rows)
    else:
        write_parquet(path, [rows], group=30_000)
    # Two buffers of 8 MiB, held-out rows, a sample, row numbers, and what the decoder works with.
    assert peak_mib_above_a_small_array(path, limit=16 * 2**20, draws=360) < 80


def write_parquet(path: Path, parts: list[np.ndarray], *, group: int) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(f"c{i}", pyarrow.float32()) for i in range(parts[0].shape[1])])
    with parquet.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for rows in parts:
            columns = [np.ascontiguousarray(column) for column in rows.T]
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=group)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_twenty_million_rows_stay_within_a_gibibyte(tmp_path: Path, kind: str) -> None:
    path, part = tmp_path / f"large.{kind}", np.random.default_rng(0).normal(size=(10**6, 27)).astype(np.float32)
    if kind == "npy":
        large = np.lib.format.open_memmap(path, "w+", np.float32, (20 * 10**6, 27))
        for start in range(0, len(large), len(part)):
            large[start : start + len(part)] = part
        del large
    else:
        write_parquet(path, [part] * 20, group=10**6)
    assert path.stat().st_size > 2 * 2**30
    # Beyond the first window of 2.4 million rows: the next is kept beside it. Of more windows the test above tells.
    assert peak_mib_above_a_small_array(path, limit=2**29, draws=1200) < 1024
    path.unlink()
