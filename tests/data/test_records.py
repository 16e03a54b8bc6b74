"""Labels in JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from wassergan.data.records import read_records
from wassergan.data.tables import TextColumn, TypedColumn
from wassergan.errors import UserError


def written(tmp_path: Path, content: str, name: str = "a.json") -> Path:
    (tmp_path / name).write_text(content)
    return tmp_path / name


@pytest.mark.parametrize(
    "value",
    [
        {"labels": [["a.png", 3], ["b.png", 4]]},
        {"a.png": 3, "b.png": 4},
        [["a.png", 3], ["b.png", 4]],
        [{"file_name": "a.png", "label": 3}, {"file_name": "b.png", "label": 4}],
        {"labels": [["a.png", [0, 0, 0, 1, 0]], ["b.png", [0, 0, 0, 0, 1]]]},
    ],
)
def test_every_form_of_labels(tmp_path: Path, value: object) -> None:
    table = read_records(written(tmp_path, json.dumps(value)))
    files, labels = table.columns
    assert isinstance(files, TextColumn) and isinstance(labels, TextColumn)
    assert [files.levels[code] for code in files.codes] == ["a.png", "b.png"]
    assert [labels.values[code] for code in labels.codes] == [3, 4]


def test_columns_are_of_the_type_that_their_values_have(tmp_path: Path) -> None:
    first = '{"b": true, "f": 1.5, "t": "x", "n": 7, "m": 1, "o": {"x": 1}}'
    second = '{"b": false, "f": 2, "t": null, "n": null, "m": "x"}'
    table = read_records(written(tmp_path, f"{first}\n\n{second}\n", "a.jsonl"))
    columns = {column.name: column for column in table.columns}
    assert isinstance(columns["b"], TypedColumn) and columns["b"].kind == "boolean"
    assert isinstance(columns["f"], TypedColumn) and columns["f"].values.tolist() == [1.5, 2]
    assert isinstance(columns["t"], TextColumn) and columns["t"].codes.tolist() == [0, -1]
    assert isinstance(columns["n"], TypedColumn) and columns["n"].whole and np.isnan(columns["n"].values[1])
    assert isinstance(columns["m"], TextColumn) and columns["m"].levels == ["1", "x"]
    assert "o" not in columns and table.notes == ("Left out of a.jsonl, as they hold lists or objects: o.",)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("[" * 100_000, "a.json", "nested too deep"),
        ("[1, 2]", "a.json", "Entry 0 of"),
        ("3", "a.json", "holds no labels: a number or a boolean"),
        ('{"labels": null}', "a.json", "holds no labels"),
        ("[]", "a.json", "holds no labels"),
        ('{"a": 1}\n[2]\n', "a.jsonl", r"Line 2 of .*a.jsonl is no JSON object: a list"),
        ('{"a": 1}\n{"a"\n', "a.jsonl", r"Line 2 of .*a.jsonl is no JSON"),
        ('{"a": 1' + "0" * 10_000 + "}", "a.jsonl", "is no JSON"),
        (json.dumps({str(place): 1 for place in range(2000)}), "a.jsonl", "too many fields"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, content: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_records(written(tmp_path, content, name))


def test_a_file_larger_than_memory_should_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    with pytest.raises(UserError, match="would fill too much memory"):
        read_records(written(tmp_path, "[" + "1," * 100_000 + "1]"))
