"""Pages of Parquet files, and the summary that need not be true of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from wassergan.data.readers.columnar import whole_table
from wassergan.data.readers.columnar_tables import ParquetTable
from wassergan.data.readers.parquet_pages import chunks_of, survey_pages
from wassergan.errors import UserError
from wassergan.storage import memory

FIXED = pyarrow.binary(1).id


def surveyed(path: Path) -> Any:
    with path.open("rb") as file:
        return survey_pages(file, chunks_of(file, parquet.read_metadata(path), path), path)


def varint(number: int) -> bytes:
    """A signed number as Thrift's compact protocol has it."""
    number, found = 2 * number, b""
    while True:
        found += bytes([number & 127 | (128 if number > 127 else 0)])
        number >>= 7
        if not number:
            return found


def belittled(path: Path) -> None:
    """Let the summary of a file say that everything in it takes one byte unpacked."""
    group = parquet.read_metadata(path).row_group(0)
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    summary = content[start:]
    for size in {group.total_byte_size, *(group.column(at).total_uncompressed_size for at in range(group.num_columns))}:
        said = varint(size)
        assert len(said) > 2 and said in summary
        summary = summary.replace(said, b"\x82" + b"\x80" * (len(said) - 2) + b"\x00")
    path.write_bytes(content[:start] + summary)
    assert parquet.read_metadata(path).row_group(0).total_byte_size == 1


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "lz4", "zstd", "brotli"])
@pytest.mark.parametrize("encoding", [None, "PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_texts_of_every_encoding_are_read(tmp_path: Path, version: str, codec: str, encoding: str | None) -> None:
    texts = [f"text {number // 3}" for number in range(3000)]
    options = {"column_encoding": {"a": encoding, "b": "PLAIN"}} if encoding else {}
    parquet.write_table(
        pyarrow.table({"a": texts, "b": np.arange(3000)}),
        tmp_path / "a.parquet",
        compression=codec,
        data_page_version=version,
        use_dictionary=encoding is None,
        data_page_size=2000,
        row_group_size=1100,
        **options,
    )
    table = whole_table([tmp_path / "a.parquet"], "a")
    assert table.arrow["a"].to_pylist() == texts and table.arrow["b"].to_pylist() == [*range(3000)]
    groups = surveyed(tmp_path / "a.parquet")
    assert len(groups) == 3
    for text, _ in groups:
        assert text.in_dictionary == (encoding in (None, "PLAIN"))
        assert 800 < text.held <= 1100 * (4 + len("text 999"))  # all texts of a group, with their lengths
        assert bool(text.longest) == (encoding in (None, "DELTA_BYTE_ARRAY"))


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("kind", ["text", "numbers"])
def test_a_page_that_is_larger_than_the_summary_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, kind: str
) -> None:
    monkeypatch.setenv(memory.VARIABLE, "4")
    path = tmp_path / "a.parquet"
    values = {"a": ["x" * 2**23]} if kind == "text" else {"a": np.zeros(2**20)}
    parquet.write_table(
        pyarrow.table(values),
        path,
        compression=codec,
        use_dictionary=False,
        data_page_size=2**30,
        **({"max_rows_per_page": 2**21} if int(pyarrow.__version__.split(".")[0]) >= 24 else {}),  # no limit before
    )
    belittled(path)
    with pytest.raises(UserError, match="would fill too much memory"):
        ParquetTable(path)


def test_texts_that_share_their_beginnings_are_read_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(
        pyarrow.table({"a": ["x" * 2**19] * 200}), path, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"
    )
    assert path.stat().st_size < 2**16
    table = ParquetTable(path)
    assert max(len(batch) for batch in table.batches(0, ["a"], 65536)) <= 16
    assert sum(len(batch) for batch in table.batches(0, ["a"], 65536)) == 200
    monkeypatch.setenv(memory.VARIABLE, "16")
    with pytest.raises(UserError, match="would fill too much memory"):
        whole_table([path], "a")


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.large_binary(), pyarrow.binary(2**18)])
def test_one_long_value_that_is_meant_often_is_never_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setenv(memory.VARIABLE, "16")
    path, value = tmp_path / "a.parquet", b"x" * 2**18
    text = value.decode() if kind == pyarrow.large_string() else value
    parquet.write_table(pyarrow.table({"a": pyarrow.array([text] * 200, kind)}), path)
    assert path.stat().st_size < 2**20
    with pytest.raises(UserError, match="would fill too much memory"):
        whole_table([path], "a")
    if kind.id == FIXED:
        assert max(len(batch) for batch in ParquetTable(path).batches(0, ["a"], 65536)) <= 32


def test_a_page_without_a_head_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": ["x", "y"]}), path, compression="none", use_dictionary=False)
    sound = path.read_bytes()
    place = parquet.read_metadata(path).row_group(0).column(0).data_page_offset
    for spoilt in (
        b"\x1f" * 20,
        b"\xff" * 20,
        b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x15\x00\x15\x01\x15\x01\x00",
    ):
        path.write_bytes(sound[:place] + spoilt + sound[place + len(spoilt) :])
        with pytest.raises(UserError, match="cannot be read as a Parquet file: a page at byte"):
            ParquetTable(path)


CODECS = {"UNCOMPRESSED": 0, "SNAPPY": 1, "GZIP": 2, "BROTLI": 4, "ZSTD": 6, "LZ4": 7}  # of the format's definition
KINDS = {"BOOLEAN": 0, "INT32": 1, "INT64": 2, "FLOAT": 4, "DOUBLE": 5, "BYTE_ARRAY": 6, "FIXED_LEN_BYTE_ARRAY": 7}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_the_summary_is_read_as_arrow_reads_it(tmp_path: Path, codec: str, columns: int) -> None:
    path = tmp_path / "a.parquet"
    made: list[Any] = [
        np.arange(50.0),
        [f"word {each % 7}" for each in range(50)],
        [bool(each % 2) for each in range(50)],
    ]
    table = pyarrow.table({f"c{number}": made[number % 3] for number in range(columns)})
    parquet.write_table(table, path, compression=codec.lower().replace("uncompressed", "none"), row_group_size=20)
    metadata = parquet.read_metadata(path)
    with path.open("rb") as file:
        found = chunks_of(file, metadata, path)
    assert len(found) == 3
    for number, group in enumerate(found):
        for at, chunk in enumerate(group):
            told = metadata.row_group(number).column(at)
            sizes = (
                told.num_values,
                told.total_compressed_size,
                told.data_page_offset,
                told.dictionary_page_offset or 0,
            )
            assert chunk == (KINDS[told.physical_type], CODECS[told.compression], *sizes)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [0x01, 0x41, 0xFF])
def test_whatever_byte_of_the_summary_is_hit_the_process_lives(tmp_path: Path, bits: int) -> None:
    # Arrow ended it: codecs and histograms of sizes that do not fit raise where nothing catches.
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"x": np.arange(24.0), "y": ["a", "b"] * 12}), path)
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for at in range(start, len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :])
        try:
            ParquetTable(path)
        except (UserError, pyarrow.ArrowException, OSError, ValueError):  # which open_source makes sentences of
            pass


def test_one_text_that_is_meant_often_is_refused_before_it_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"a": ["x" * 2**18, "y" * 2**18] * 200}), path)
    assert path.stat().st_size < 2**21
    monkeypatch.setenv(memory.VARIABLE, "64")
    with pytest.raises(UserError, match="too much memory: 104,857,600 bytes unpacked, allowed are 67,108,864"):
        list(ParquetTable(path).batches(0, ["a"], 65536))
