"""Labels find their pictures by name, whatever the order and the way in which a table calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from wassergan.data import ColumnConditions, Source, open_source
from wassergan.data.joining import row_order
from wassergan.data.tables import raw_array
from wassergan.errors import UserError

NAMES = [f"img{number}.png" for number in range(24)]
LABELS = ["dark" if number < 12 else "bright" for number in range(24)]


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 6), level).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures whose grey tells their label: dark below 120."""
    for number, name in enumerate(NAMES):
        picture(tmp_path / "data" / name, 10 * number)
    return tmp_path / "data"


def levels_of(source: Source) -> list[str]:
    """The label of each row, from the vectors."""
    assert source.context is not None and isinstance(source.conditions, ColumnConditions)
    names = source.conditions.codec.columns[0].names
    return [names[place] for place in source.context.at(torch.arange(len(source))).argmax(1).tolist()]


def is_right(source: Source) -> bool:
    greys = source.values(torch.arange(len(source)))[:, 0, 0].tolist()
    return levels_of(source) == ["dark" if grey < 120 else "bright" for grey in greys]


def write(path: Path, names: list[str], labels: list[str]) -> Path:
    frame = pandas.DataFrame({"which": names, "label": labels})
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path)
        case ".feather":
            frame.to_feather(path)
        case ".jsonl":
            path.write_text(frame.to_json(orient="records", lines=True))
        case _:
            path.write_text(json.dumps({"labels": list(zip(names, labels, strict=True))}))
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "jsonl", "json"])
def test_tables_of_every_kind_are_joined_by_name(folder: Path, tmp_path: Path, suffix: str) -> None:
    said: list[str] = []
    file = write(tmp_path / f"labels.{suffix}", NAMES[::-1], LABELS[::-1])
    source = open_source(folder, labels=file, condition=["label"], log=said.append)
    assert is_right(source)
    assert any("joined by name" in sentence for sentence in said)
    frame = pandas.DataFrame({"label": LABELS[::-1], "n": NAMES[::-1]})
    assert is_right(open_source(folder, labels=frame))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet", "dataset.json", "labels.csv"])
def test_tables_in_the_folder_are_found(folder: Path, name: str) -> None:
    write(folder / name, NAMES[::-1], LABELS[::-1])
    said: list[str] = []
    assert is_right(open_source(folder, condition=["label"], log=said.append))
    assert not any("Passed over" in sentence for sentence in said)
    open_source(folder, log=said.append)
    assert f"Passed over in data: 1 of {Path(name).suffix} ({name})." in said


def test_each_folder_may_have_its_own_table(tmp_path: Path) -> None:
    for part, numbers in (("train", range(0, 24, 2)), ("more/deep", range(1, 24, 2))):
        for number in numbers:
            picture(tmp_path / part / f"{number}.png", 10 * number)
        rows = [f"{number}.png,{LABELS[number]}" for number in reversed(numbers)]
        (tmp_path / part / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    assert is_right(open_source(tmp_path, condition=["label"]))
    picture(tmp_path / "stray.png", 7)
    with pytest.raises(UserError, match=r"1 of 25 pictures lie beside no table of labels: stray.png"):
        open_source(tmp_path, condition=["label"])


SUFFIXES = (".png", ".PNG", ".jpg")


@given(st.data())
def test_names_join_in_any_order_and_dress(data: st.DataObject) -> None:
    parts = st.text("abC1 _-.é", min_size=1, max_size=4).filter(lambda text: text.strip(". ") == text and text != "")
    stems = data.draw(
        st.lists(st.lists(parts, min_size=1, max_size=3).map("/".join), min_size=2, max_size=12, unique=True)
    )
    assume(len({stem.casefold() for stem in stems}) == len(stems))
    found = [stem + data.draw(st.sampled_from(SUFFIXES)) for stem in stems]
    order = data.draw(st.permutations(range(len(stems))))
    dress = data.draw(
        st.sampled_from(
            [
                lambda path: path,
                lambda path: f"./{path}",
                lambda path: f"/home/me/{path}",
                lambda path: f"C:\\x\\{path}".replace("/", "\\"),
                lambda path: path.rsplit(".", 1)[0],
                lambda path: f" {path} ",
                lambda path: path.upper(),
            ]
        )
    )
    table = raw_array(
        {
            "label": np.array([str(place % 2) for place in order]),
            "x": np.array([dress(found[place]) for place in order]),
        },
        "labels",
    )
    try:
        rows = row_order(table, found, log=lambda sentence: None)
    except UserError as error:
        # "a" and "b/a", or "a.b" cut at another dot: refused, never guessed.
        assert dress(found[0]) != found[0], error
        return
    assert rows.column == "x"
    assert [order[row] for row in rows.rows] == list(range(len(found)))


@given(st.data())
def test_a_name_too_few_too_many_or_twice_is_refused(data: st.DataObject) -> None:
    found = [f"{place % 3}/img{place}.png" for place in range(data.draw(st.integers(4, 12)))]
    names = list(data.draw(st.permutations(found)))
    fault = data.draw(st.sampled_from(["missing", "unknown", "twice"]))
    place = data.draw(st.integers(0, len(names) - 1))
    if fault == "missing":
        gone = names.pop(place)
    elif fault == "unknown":
        names.insert(place, "0/other.png")
    else:
        names.insert(data.draw(st.integers(0, len(names))), names[place])
    table = raw_array({"label": np.arange(len(names)) % 2, "f": np.array(names)}, "labels")
    with pytest.raises(UserError) as raised:
        row_order(table, found, log=lambda sentence: None)
    expected = {
        "missing": lambda: f"1 file of {len(found)} has no row in labels: {gone}",
        "unknown": lambda: "1 row of labels names no file of the data: 0/other.png",
        "twice": lambda: "1 file is named more than once",
    }
    assert expected[fault]() in str(raised.value)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(UserError) as raised:
        open_source(folder, **options)
    return str(raised.value)


def test_names_of_several_files_are_refused(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / "a" / f"{number}.png", 10 * number)
        picture(tmp_path / "b" / f"{number}.png", 5 * number)
    told = pandas.DataFrame({"file": [f"{number}.png" for number in range(12)] * 2, "label": [0, 1] * 12})
    assert "12 names in column file of" in refusal(tmp_path, labels=told)
    assert "0.png of a/0.png and b/0.png" in refusal(tmp_path, labels=told)


def test_tables_that_name_other_files_are_refused(folder: Path) -> None:
    told = pandas.DataFrame({"file": [f"x{number}.png" for number in range(24)], "label": LABELS})
    assert "names files, but not those of the data: x0.png" in refusal(folder, labels=told)
    headless = folder.parent / "a.csv"
    headless.write_text("".join(f"{name},{label}\n" for name, label in zip(NAMES, LABELS, strict=True)))
    assert "write a header above it" in refusal(folder, labels=headless)


def test_without_names_the_order_is_told_and_must_fit(folder: Path) -> None:
    said: list[str] = []
    by_path = [label for _, label in sorted(zip(NAMES, LABELS, strict=True))]
    assert is_right(open_source(folder, labels=pandas.DataFrame({"label": by_path}), log=said.append))
    assert is_right(open_source(folder, labels=by_path))
    assert any("taken in the order of the sorted paths, img0.png, img1.png, img10.png ... img9.png" in s for s in said)
    assert "does not hold one row per sample: 23 rows for 24 samples" in refusal(folder, labels=by_path[1:])


@pytest.mark.parametrize("named", [True, False])
def test_labels_of_unreadable_pictures_are_left_out_with_them(folder: Path, named: bool) -> None:
    (folder / "img3.png").write_bytes(b"no picture")
    frame = pandas.DataFrame({"file": NAMES, "label": LABELS}).sort_values("file")
    told = frame.sample(frac=1, random_state=0) if named else frame[["label"]]
    source = open_source(folder, labels=told, condition=["label"], skip_unreadable=True)
    assert len(source) == 23 and is_right(source)


def test_numbers_name_pictures_only_if_all_of_them_do(tmp_path: Path) -> None:
    for number in range(24):
        picture(tmp_path / f"{number:03}.png", 10 * number)
    ids = np.random.default_rng(0).permutation(24)
    told = pandas.DataFrame({"id": ids, "label": [LABELS[each] for each in ids]})
    assert is_right(open_source(tmp_path, labels=told, condition=["label"]))
    digits = pandas.DataFrame({"label": [number % 10 for number in range(24)]})  # as some pictures are called
    source = open_source(tmp_path, labels=digits)
    assert levels_of(source) == [str(number % 10) for number in range(24)]


def test_folders_go_together_with_a_table(tmp_path: Path) -> None:
    for number in range(24):
        picture(tmp_path / "cd"[number % 2] / f"{number}.png", 10 * number)
    rows = [f"{number}.png,{LABELS[number]}" for number in range(24)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    source = open_source(tmp_path, condition=["label", "folder"])
    assert isinstance(source.conditions, ColumnConditions)
    assert source.conditions.names == ("label", "folder")
    assert is_right(open_source(tmp_path, condition=["label"]))
