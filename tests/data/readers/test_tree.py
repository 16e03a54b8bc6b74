"""What of a folder is data, and what is passed over and counted."""

import inspect
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.data.readers.tree import PassedOver, files_under
from wassergan.errors import UserError


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 6), level).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        picture(tmp_path / "data" / ("cat", "dog")[number % 2] / f"{number}.png", 10 * number)
    return tmp_path / "data"


def said_of(folder: Path, count: int) -> str:
    said: list[str] = []
    assert len(open_source(folder, log=said.append)) == count
    return " ".join(said)


def run_folder(path: Path) -> None:
    (path / "checkpoints").mkdir(parents=True)
    (path / "settings.json").write_text(TrainSettings(data="x").to_json())
    picture(path / "samples" / "step-000000001.png", 3)
    picture(path / "curves.png", 4)


def test_what_is_no_data_is_counted_and_named(folder: Path) -> None:
    for number in range(5):
        picture(folder / "cat" / ".ipynb_checkpoints" / f"{number}-checkpoint.png", number)
    picture(folder / "__MACOSX" / "dog" / "1.png", 1)
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._1.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "README").write_text("x")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")  # opening it would wait for ever
    run_folder(folder / "out")
    assert said_of(folder, 20) == (
        "Passed over in data: 6 hidden files (._1.png, cat/.ipynb_checkpoints, ...), 1 without a suffix (README), "
        "2 files of the operating system (Thumbs.db, __MACOSX), 1 link that leads nowhere (gone.png), 1 of .txt "
        "(notes.txt), 1 run folder of wassergan (out), 1 entry that is no file (pipe.png)."
    )
    source = open_source(folder, condition=["folder"])
    assert source.conditions is not None and source.conditions.state()["codec"]["columns"]
    assert source.context is not None and source.context.width == 2


def test_a_run_folder_is_known_by_what_it_holds(folder: Path) -> None:
    run_folder(folder / "runs" / "a")
    assert "1 run folder of wassergan (runs/a)" in said_of(folder, 20)
    (folder / "runs" / "a" / "settings.json").write_text(json.dumps({"mine": 1}))
    assert "run folder" not in said_of(folder, 22)
    with pytest.raises(UserError, match="is the folder of a run, not data"):
        run_folder(folder.parent / "b")
        open_source(folder.parent / "b")
    for number in range(20):
        picture(folder.parent / "b" / "samples" / f"{number}.png", number)
    assert "lies in the run folder" in said_of(folder.parent / "b" / "samples", 21)


def test_links_are_followed_once_and_never_in_circles(folder: Path) -> None:
    for number in range(10):
        picture(folder.parent / "elsewhere" / "deep" / f"{number}.png", 100 + number)
    (folder / "bird").symlink_to(folder.parent / "elsewhere")
    (folder.parent / "elsewhere" / "up").symlink_to(folder)
    (folder.parent / "elsewhere" / "self").symlink_to(folder.parent / "elsewhere")
    (folder / "again").symlink_to(folder / "cat")
    (folder / "zebra").symlink_to(folder.parent / "elsewhere" / "deep")
    said = said_of(folder, 30)
    assert "links to folders that are read anyway (again, bird/up, bird/self, ...)" in said, said


def test_a_lattice_of_links_is_no_endless_tree(tmp_path: Path) -> None:
    for level in range(30):  # two links each: two to the thirtieth ways
        (tmp_path / "x" / str(level)).mkdir(parents=True)
        for side in "ab":
            (tmp_path / "x" / str(level) / side).symlink_to(tmp_path / "x" / str(level + 1))
    picture(tmp_path / "x" / "30" / "p.png", 1)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "in").symlink_to(tmp_path / "x" / "0")
    found = list(files_under(tmp_path / "root", {".png"}))
    assert [name.rpartition("/")[2] for name in found] == ["p.png"]


def test_links_into_hidden_folders_are_followed(folder: Path) -> None:
    picture(folder / ".store" / "5" / "x.png", 9)
    (folder / "linked").symlink_to(folder / ".store" / "5")
    assert len(open_source(folder)) == 21


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 200)
    picture(deep / "a.png", 1)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        found = list(files_under(tmp_path, {".png"}))
    finally:
        sys.setrecursionlimit(before)
    assert found == [f"{'d/' * 200}a.png"]


def test_equal_pictures_are_refused_as_equal_arrays_are(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / f"{number}.png", 7)
    with pytest.raises(UserError, match=r"All pictures of .* are equal: 20 of them"):
        open_source(tmp_path)


def test_counts_and_names_of_what_is_passed_over() -> None:
    passed = PassedOver({"used.csv"})
    assert passed.sentence("x") == ""
    for name in ("a.txt", "b.TXT", "c.txt", "d.txt", "used.csv"):
        passed.add_file(name)
    assert passed.sentence("x") == "Passed over in x: 4 of .txt (a.txt, b.TXT, c.txt, ...)."
    passed.forget(".txt")
    assert passed.sentence("x") == ""
