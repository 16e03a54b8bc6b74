import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import open_source
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError

pyarrow = pytest.importorskip("pyarrow")
parquet, feather, ipc = (
    pytest.importorskip("pyarrow.parquet"),
    pytest.importorskip("pyarrow.feather"),
    pytest.importorskip("pyarrow.ipc"),
)


def table(count: int = 40, **columns: object) -> object:
    numbers = np.random.default_rng(0)
    usual = {"x": numbers.normal(size=count).astype("f4"), "y": numbers.normal(size=count).astype("f4")}
    return pyarrow.table(usual | columns)


def values_of(path: Path) -> np.ndarray:
    source = open_source(path)
    return source.values(torch.arange(len(source))).numpy()


def write_ipc(content: object, path: Path) -> None:
    with ipc.new_file(str(path), content.schema) as file:  # type: ignore[attr-defined]
        file.write_table(content, max_chunksize=7)


WRITERS: dict[str, Callable[[object, Path], object]] = {
    "parquet": lambda content, path: parquet.write_table(content, path, row_group_size=7),
    "feather": lambda content, path: feather.write_feather(content, path, compression="lz4"),
    "arrow": write_ipc,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_small_tables_train_like_the_same_array(tmp_path: Path, kind: str) -> None:
    content = table()
    path = tmp_path / f"a.{kind}"
    WRITERS[kind](content, path)
    rows = np.stack([content["x"].to_numpy(), content["y"].to_numpy()], axis=1)  # type: ignore[index]
    source, array = open_source(path), array_source(rows)
    assert (source.name, source.kind, source.shape, source.columns) == (f"a.{kind}", "vector", (2,), ("x", "y"))
    assert source.codec.dtype == "float32"
    assert torch.equal(source.train(torch.arange(36)), array.train(torch.arange(36)))
    assert torch.equal(source.heldout(torch.arange(4)), array.heldout(torch.arange(4)))


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("int32", "int64"), "int64"),
        (("uint8", "uint8"), "int16"),
        (("float32", "int64"), "float64"),
        (("float32", "int16"), "float32"),
        (("float64", "float32"), "float64"),
    ],
)
def test_columns_come_in_the_type_that_holds_them_all(tmp_path: Path, types: tuple[str, str], expected: str) -> None:
    columns = [np.arange(40, dtype=kind) + np.arange(2, dtype=kind)[i] for i, kind in enumerate(types)]
    parquet.write_table(pyarrow.table(columns, names=["a", "b"]), tmp_path / "a.parquet")
    values = values_of(tmp_path / "a.parquet")
    assert values.dtype == expected
    np.testing.assert_array_equal(values, np.stack(columns, axis=1).astype(expected))


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    whole = table(60)
    parquet.write_table(whole.slice(0, 20), tmp_path / "a.parquet")  # type: ignore[attr-defined]
    feather.write_feather(whole.slice(20, 30), tmp_path / "b.feather")  # type: ignore[attr-defined]
    parquet.write_table(whole.slice(50), tmp_path / "c.parquet")  # type: ignore[attr-defined]
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden.parquet").write_text("")
    assert (values_of(tmp_path)[:, 0] == whole["x"].to_numpy()).all()  # type: ignore[index]
    assert (values_of(tmp_path / "[ac].parquet")[:, 0] == np.delete(whole["x"].to_numpy(), slice(20, 50))).all()  # type: ignore[index]


def test_columns_that_are_no_numbers_make_a_table_and_are_no_array(tmp_path: Path) -> None:
    content = table(name=["a", "b"] * 20, when=pyarrow.array([0] * 40, pyarrow.timestamp("s")), yes=[True, False] * 20)
    parquet.write_table(content, tmp_path / "a.parquet")
    assert open_source(tmp_path / "a.parquet").kind == "table"
    with pytest.raises(
        UserError,
        match=r"a.parquet has columns that are not numbers: name \(string\), when \(timestamp\[.*\]\), yes \(bool\)\. "
        "Leave them out, or read a table",
    ):
        open_source(tmp_path / "a.parquet", layout="ND")


@pytest.mark.parametrize("kind", WRITERS)
def test_missing_values_make_a_table_and_no_array(tmp_path: Path, kind: str) -> None:
    holes = [None if row in (23, 31) else float(row) for row in range(40)]
    WRITERS[kind](table(z=holes), tmp_path / f"a.{kind}")
    source = open_source(tmp_path / f"a.{kind}")
    assert source.kind == "table"
    assert source.values(torch.arange(40))[:, 2].isnan().nonzero().flatten().tolist() == [23, 31]
    with pytest.raises(UserError, match=rf"a.{kind} holds missing values: the first in row 23, column z\. Fill them"):
        open_source(tmp_path / f"a.{kind}", layout="ND")


@pytest.mark.parametrize("kind", WRITERS)
def test_numbers_without_holes_are_a_table_where_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](table(), tmp_path / f"a.{kind}")
    assert open_source(tmp_path / f"a.{kind}").kind == "vector"
    source = open_source(tmp_path / f"a.{kind}", layout="table")
    assert (source.kind, source.columns, len(source)) == ("table", ("x", "y"), 40)


def test_not_finite_values_and_constant_columns_are_named(tmp_path: Path) -> None:
    parquet.write_table(table(z=[float("inf") if row == 11 else row for row in range(40)]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="infinite values: the first in row 11, column z"):
        open_source(tmp_path / "a.parquet")
    parquet.write_table(table(z=[3.0] * 40), tmp_path / "a.parquet")
    said: list[str] = []
    open_source(tmp_path / "a.parquet", log=said.append)
    assert said == [
        "z of a.parquet has the same value in every sample: it comes back exactly and takes no part in training."
    ]


def test_files_that_differ_are_named_with_the_difference(tmp_path: Path) -> None:
    parquet.write_table(table(), tmp_path / "a.parquet")
    parquet.write_table(table(z=np.arange(40)), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b.parquet has other columns than .*a.parquet: with z \(int64\)"):
        open_source(tmp_path)
    parquet.write_table(table().select(["y", "x"]), tmp_path / "b.parquet")  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="another order of columns"):
        open_source(tmp_path)


def test_empty_tables_repeated_names_and_layouts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(table(0), path)
    with pytest.raises(UserError, match=r"a.parquet holds no rows"):
        open_source(path)
    feather_path = tmp_path / "a.arrow"
    write_ipc(pyarrow.table([np.arange(40.0)] * 2, names=["x", "x"]), feather_path)
    with pytest.raises(UserError, match="columns of the same name: x, x"):
        open_source(feather_path)
    parquet.write_table(table(), path)
    with pytest.raises(UserError, match="Layout NHW does not fit a.parquet: a table"):
        open_source(path, layout="NHW")


def test_an_index_that_pandas_wrote_is_left_out(tmp_path: Path) -> None:
    content = table(when=np.arange(40))
    meta = {b"pandas": json.dumps({"index_columns": ["when"], "columns": [], "pandas_version": "2"}).encode()}
    parquet.write_table(content.replace_schema_metadata(meta), tmp_path / "a.parquet")  # type: ignore[attr-defined]
    said: list[str] = []
    assert open_source(tmp_path / "a.parquet", log=said.append).columns == ("x", "y")
    assert said == ["Left out the index of a.parquet: when."]


@pytest.mark.parametrize("kind", WRITERS)
def test_damaged_files_are_refused_whatever_byte_is_hit(tmp_path: Path, kind: str) -> None:
    good, bad = tmp_path / f"good.{kind}", tmp_path / f"bad.{kind}"
    WRITERS[kind](table(24), good)
    content = good.read_bytes()
    for length in range(0, len(content), 61):
        bad.write_bytes(content[:length])
        with pytest.raises(UserError):
            open_source(bad)
    for place in range(0, len(content), 17):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        try:  # numbers have no checksum: a flipped one is another number
            assert len(open_source(bad)) > 0
        except UserError:
            pass


def test_a_stream_is_told_from_a_file(tmp_path: Path) -> None:
    content = table()
    with ipc.new_stream(str(tmp_path / "a.arrow"), content.schema) as stream:  # type: ignore[attr-defined]
        stream.write_table(content)
    with pytest.raises(UserError, match=r"a.arrow cannot be read as an Arrow or Feather file"):
        open_source(tmp_path / "a.arrow")


def test_without_pyarrow_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(table(), tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"needs pyarrow, .* pip install 'wassergan\[tables\]'"):
        open_source(tmp_path / "a.parquet")


def test_info_lists_the_columns(tmp_path: Path, cli: Callable[..., Any]) -> None:
    parquet.write_table(table(), tmp_path / "a.parquet")
    facts = json.loads(cli("info", tmp_path / "a.parquet", "--json").out)  # type: ignore[attr-defined]
    assert (facts["columns"], facts["samples"], facts["shape"]) == (["x", "y"], 40, [2])


def test_a_table_trains_and_resumes_from_the_command_line(
    tmp_path: Path,
    cli: Callable[..., Any],
    tiny: tuple[str, ...],
    quick_figures: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 2**12)  # streamed
    parquet.write_table(table(2000), tmp_path / "a.parquet", row_group_size=100)
    run = tmp_path / "run"
    said = cli("train", tmp_path / "a.parquet", "--out", run, "--steps", "3", *tiny)
    assert said.code == 0 and "larger than memory" in said.err, said  # type: ignore[attr-defined]
    assert cli("resume", run, "--steps", "5").code == 0  # type: ignore[attr-defined]
    whole = tmp_path / "whole"
    assert cli("train", tmp_path / "a.parquet", "--out", whole, "--steps", "5", *tiny).code == 0  # type: ignore[attr-defined]
    for each in (run, whole):
        cli("sample", each, "--count", "50", "--out", each / "samples.npy")
    assert (np.load(run / "samples.npy") == np.load(whole / "samples.npy")).all()
    parquet.write_table(table(2000, x=np.arange(2000.0, dtype="f4")), tmp_path / "a.parquet", row_group_size=100)
    said = cli("resume", run, "--steps", "7")
    assert said.code == 2 and "is not the data that the run was trained on" in said.err  # type: ignore[attr-defined]


def test_feather_of_version_1_is_read_too(tmp_path: Path) -> None:
    feather = pytest.importorskip("pyarrow.feather")
    table = pyarrow.table({"x": [float(i % 7) for i in range(60)], "y": list(range(0, 120, 2))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        feather.write_feather(table, tmp_path / "old.feather", version=1)
    assert (tmp_path / "old.feather").read_bytes().startswith(b"FEA1")
    source = open_source(tmp_path / "old.feather")
    assert source.columns == ("x", "y")
    np.testing.assert_array_equal(source.values(torch.arange(60)).numpy()[:, 1], np.arange(0, 120, 2))
    (tmp_path / "cut.feather").write_bytes(b"FEA1" + bytes(40))
    with pytest.raises(UserError, match=r"cut.feather cannot be read"):
        open_source(tmp_path / "cut.feather")
