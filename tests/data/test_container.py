import datetime

import numpy as np
import pytest
import torch

from wassergan.data import Container, TableCodec, as_array, open_source
from wassergan.data.tables.writing import arrow_table
from wassergan.errors import UserError

pyarrow = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")


def test_the_likeness_of_data_is_plain_and_comes_back() -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0], 3: ["x", "y"]})
    expected = {
        "array": np.ones((2, 2)),
        "tensor": torch.ones(2, 2),
        "pandas": frame,
        "arrow": pyarrow.table({"a": [1.0]}),
    }
    for kind, data in expected.items():
        container = Container.of(data)
        assert container.kind == kind and Container.from_state(container.state()) == container
    assert Container.of([[1.0]]) == Container("array")
    assert Container.of(frame).labels == ("a", 3) and Container.of(frame).columns[0]["dtype"] == "float64"
    assert Container.of(torch.ones(1, dtype=torch.bfloat16)).dtypes == ("bfloat16",)


def test_an_enum_of_polars_comes_back_though_arrow_forgets_its_values() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    kept = Container.of(
        polars.DataFrame({"e": polars.Series(["a", "b"], dtype=polars.Enum(["b", "c", "a"])), "n": [1, 2]})
    )
    assert kept.columns == (("e", ["b", "c", "a"]),) and Container.from_state(kept.state()) == kept
    plain = open_source(pyarrow.table({"e": ["a", "b"] * 30, "n": range(60)}))  # text alone, as polars 1.0 reads it
    assert isinstance(plain.codec, TableCodec)
    rows = plain.values(torch.arange(60)).numpy()
    frame = kept.rows(rows, plain.codec)
    assert frame.schema["e"] == polars.Enum(["b", "c", "a"]) and frame["e"].to_list() == ["a", "b"] * 30
    assert kept.rows(rows, plain.codec, without=["e"]).columns == ["n"]


@pytest.mark.parametrize("columns", [["e"], [["e", "ab"]], [["e", [1]]], [["e", ["a", "a"]]], [[1, ["a"]]]])
def test_values_of_an_enum_that_are_none_are_refused(columns: list[object]) -> None:
    with pytest.raises(ValueError, match="values of a column of polars"):
        Container.from_state({"kind": "polars", "columns": columns})


def test_labels_that_cannot_come_back_are_refused() -> None:
    with pytest.raises(UserError, match=r"Columns are named by text or whole numbers: \('a', 1\)\. Rename the column"):
        Container.of(pandas.DataFrame({("a", 1): [1.0], ("a", 2): [1.0]}))
    with pytest.raises(UserError, match=r"The DataFrame has columns of the same name: 1, 1\. Rename them"):
        Container.of(pandas.DataFrame([[1, 2]], columns=[1, "1"]))


def test_tensors_of_any_type_become_arrays() -> None:
    values = torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16, requires_grad=True)
    assert as_array(values).tolist() == [[1.5, -2.0]] and as_array(values).dtype == np.float32
    assert as_array(torch.tensor([[True]])).dtype == bool


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_day_of_any_unit_come_back(unit: str) -> None:
    kind = pyarrow.time32(unit) if unit in ("s", "ms") else pyarrow.time64(unit)
    times = [None if minute % 50 == 7 else datetime.time(minute % 24, minute % 60) for minute in range(200)]
    table = pyarrow.table({"t": pyarrow.array(times, kind)})
    source = open_source(table)
    assert isinstance(source.codec, TableCodec) and source.codec.columns[0].kind == "date"
    back = arrow_table(source.codec, source.values(torch.arange(200)).numpy())
    assert back.equals(table)


@pytest.mark.parametrize("index", ["int8", "uint8", "uint32"])
def test_dictionaries_may_be_counted_with_or_without_signs(index: str) -> None:
    texts = pyarrow.array(["b", "a", None, "b"] * 20).dictionary_encode()
    column = pyarrow.DictionaryArray.from_arrays(texts.indices.cast(index), texts.dictionary)
    table = pyarrow.table({"c": column, "x": np.random.default_rng(0).normal(size=80)})
    source = open_source(table)
    assert isinstance(source.codec, TableCodec)
    back = arrow_table(source.codec, source.values(torch.arange(80)).numpy())
    assert back["c"].to_pylist() == table["c"].to_pylist() and back.schema == table.schema
