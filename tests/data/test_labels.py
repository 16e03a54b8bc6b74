"""Labels of pictures and arrays as conditions."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from wassergan.data import ColumnConditions, frame_beside, open_source
from wassergan.data.source import Source
from wassergan.data.split import keep_classes, sparse_split, split_rows
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


@pytest.mark.parametrize("seed", range(10))
def test_every_class_is_in_training(tmp_path: Path, seed: int) -> None:
    for number in range(60):
        (tmp_path / "cat").mkdir(exist_ok=True)
        Image.new("L", (6, 6), number).save(tmp_path / "cat" / f"{number}.png")
    (tmp_path / "dog").mkdir()
    Image.new("L", (6, 6), 200).save(tmp_path / "dog" / "0.png")
    source = open_source(tmp_path, condition=["folder"], seed=seed, heldout=0.3)
    plain = open_source(tmp_path, seed=seed, heldout=0.3)
    assert source.heldout_count == plain.heldout_count == 18
    assert (source.train(torch.arange(source.train_count)) > 0.5).any()  # the one dog
    if not plain.split.holds_out(60):
        assert torch.equal(source.split.heldout, plain.split.heldout)


@given(st.data())
def test_no_class_is_held_out_whole_and_few_rows_move(data: st.DataObject) -> None:
    count = data.draw(st.integers(4, 60))
    sizes = st.integers(1, max(1, count // 2))
    numbers = np.random.default_rng(data.draw(st.integers(0, 9)))
    classes = {name: numbers.integers(0, data.draw(sizes), count) for name in data.draw(st.sampled_from(["a", "ab"]))}
    share, sparse = data.draw(st.sampled_from([0.3, 0.5])), data.draw(st.booleans())
    split = (sparse_split if sparse else split_rows)(count, heldout=share, seed=3)
    try:
        kept = keep_classes(split, classes, seed=5)
    except UserError as error:
        assert "No row can be held out" in str(error)
        return
    train = kept.train_rows(torch.arange(kept.train_count)).numpy()
    assert sorted([*train.tolist(), *kept.heldout.tolist()]) == list(range(count))
    assert len(kept.heldout) == len(split.heldout)
    for each in classes.values():
        assert set(each[train]) == set(each)
    before = split.train_rows(torch.arange(split.train_count)).numpy()
    lost = sum(len(set(each) - set(each[before])) for each in classes.values())
    assert len(set(train.tolist()) - set(before.tolist())) <= lost and (lost > 0 or kept is split)


@pytest.mark.parametrize("kind", ["table", "array", "estimator", "streamed"])
def test_whatever_the_condition_is_of(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    kinds = np.array(["cat"] * 59 + ["dog"])
    numbers = np.random.default_rng(0)
    if kind == "streamed":
        monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 10)
    for seed in range(6):
        frame = pandas.DataFrame({"x": numbers.normal(size=60), "kind": kinds})
        if kind == "table":
            source = open_source(frame, condition=["kind"], seed=seed, heldout=0.5)
        elif kind == "estimator":
            source = open_source(frame_beside(frame[["x"]], kinds), condition=["label"], seed=seed, heldout=0.5)
        else:
            rows = np.arange(60.0)[:, None] + np.zeros((1, 2))
            source = open_source(rows, labels=kinds, seed=seed, heldout=0.5)
        assert not source.split.holds_out(59) and source.heldout_count == 30
        if kind in ("array", "streamed"):
            held = source.codec.decode(source.heldout(torch.arange(30)))[:, 0].round().long()
            assert torch.equal(held, source.split.heldout)


def test_every_row_a_class_of_its_own_is_refused() -> None:
    with pytest.raises(UserError, match="each is the last of a label in training: 60 different ones in 60 rows"):
        open_source(vectors_of(), labels=list(range(60)))


@pytest.mark.parametrize("kind", ["folder", "table", "number", "digits", "implicit"])
def test_a_condition_that_never_varies_is_refused(tmp_path: Path, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": np.arange(60) ** 2.0, "kind": ["a"] * 60, "one": [7.5] * 60})
    for number in range(60):
        (tmp_path / "only").mkdir(exist_ok=True)
        Image.new("L", (6, 6), number).save(tmp_path / "only" / f"{number}.png")
    options: dict[str, dict[str, Any]] = {
        "folder": {"data": tmp_path / "only", "condition": ["folder"]},
        "table": {"data": frame, "condition": ["kind"]},
        "number": {"data": frame, "condition": ["one"]},
        "digits": {"data": "digits", "labels": [3] * 1797},
        "implicit": {"data": vectors_of(), "labels": frame[["kind", "one"]]},
    }
    with pytest.raises(UserError, match=r"is the same in all \d+ rows"):
        open_source(**options[kind])


def test_of_several_columns_those_that_never_vary_are_left_out() -> None:
    pandas = pytest.importorskip("pandas")
    said: list[str] = []
    told = pandas.DataFrame({"kind": ["a", "b"] * 30, "one": ["x"] * 60})
    source = open_source(vectors_of(), labels=told, log=said.append)
    assert isinstance(source.conditions, ColumnConditions) and source.conditions.names == ("kind",)
    assert any("no conditions: one" in sentence for sentence in said)
