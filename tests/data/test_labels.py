"""Labels of pictures and arrays as conditions."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from wassergan.data import ColumnConditions, open_source
from wassergan.data.source import Source
from wassergan.errors import UserError


def vectors_of(count: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3))


def levels_of(source: Source) -> list[str]:
    assert isinstance(source.conditions, ColumnConditions)
    return list(source.conditions.codec.columns[0].names)


def given_of(source: Source) -> list[int]:
    """The level of every row, from the vectors."""
    assert source.context is not None
    return source.context.at(torch.arange(len(source))).argmax(1).tolist()


def test_digits_carry_what_they_show() -> None:
    source = open_source("digits", condition=["label"])
    assert levels_of(source) == [str(digit) for digit in range(10)]
    assert given_of(source) == load_digits().target.tolist()


def test_pictures_in_folders_carry_the_name_of_their_folder(tmp_path: Path) -> None:
    for place, name in enumerate(("dogs", "cats")):
        (tmp_path / "all" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (8, 8), 100 * place + number).save(tmp_path / "all" / name / f"{number}.png")
    source = open_source(tmp_path / "all", condition=["folder"])
    shown = source.values(torch.arange(12))[:, 0, 0] >= 100  # cats are the light ones
    assert levels_of(source) == ["cats", "dogs"]
    assert [level == 0 for level in given_of(source)] == shown.tolist()


@pytest.mark.parametrize("form", ["npy", "idx", "csv", "parquet", "list", "tensor", "frame"])
def test_labels_come_in_every_form(tmp_path: Path, form: str) -> None:
    labels = [i % 3 for i in range(60)]
    told: Any = labels
    if form == "npy":
        told = tmp_path / "labels.npy"
        np.save(told, np.array(labels))
    elif form == "idx":
        told = tmp_path / "labels-idx1-ubyte"
        told.write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 60) + bytes(labels))
    elif form == "csv":
        told = tmp_path / "labels.csv"
        told.write_text("kind\n" + "".join(f"k{label}\n" for label in labels))
    elif form in ("parquet", "frame"):
        pandas = pytest.importorskip("pandas")
        told = pandas.DataFrame({"kind": [f"k{label}" for label in labels]})
        if form == "parquet":
            told.to_parquet(tmp_path / "labels.parquet")
            told = tmp_path / "labels.parquet"
    elif form == "tensor":
        told = torch.tensor(labels)
    source = open_source(vectors_of(), labels=told)
    assert given_of(source) == labels
    assert len(levels_of(source)) == 3


def test_other_arrays_of_an_archive_are_conditions(tmp_path: Path) -> None:
    kinds = np.array(["a", "b"] * 30)
    np.savez(tmp_path / "a.npz", points=vectors_of(), kind=kinds, height=np.arange(60) / 7)
    source = open_source(tmp_path / "a.npz", key="points", condition=["kind", "height"])
    assert isinstance(source.conditions, ColumnConditions)
    assert source.conditions.names == ("kind", "height")
    assert source.shape == (3,)
    rows = source.conditions.rows(0, 20, seed=0)
    assert set(rows[:, 0]) <= {0.0, 1.0} and np.isin(rows[:, 1], np.arange(60) / 7).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"condition": ["label"]}, "holds no labels to condition on"),
        ({"labels": [1, 2]}, "does not hold one row per sample, but found: 2 rows for 60 samples"),
        ({"labels": [[1, 2]] * 60}, "is no list of labels"),
        ({"labels": [1j] * 60}, "are no numbers, text or booleans"),
        ({"labels": "none.csv"}, "There is no none.csv"),
        ({"labels": [i % 2 for i in range(60)], "condition": ["lable"]}, "Did you mean 'label'?"),
    ],
)
def test_labels_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        open_source(vectors_of(), **options)
    for part in message.split(", but found: "):
        assert part in str(raised.value)


def test_files_of_another_kind_and_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("1\n")
    with pytest.raises(UserError, match="Unknown kind of labels"):
        open_source(vectors_of(), labels=tmp_path / "labels.txt")
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{i * i},{i % 3}\n" for i in range(60)))
    with pytest.raises(UserError, match="conditions of a table are columns of its own"):
        open_source(tmp_path / "a.csv", labels=[1] * 60)
