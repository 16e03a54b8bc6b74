import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wassergan.data import open_source
from wassergan.data.readers.paths import PICTURE_SUFFIXES, holds_any, index_files

NAMES = (
    "b.png",
    "a/z.JPG",
    "a/b/c.webp",
    "a.png",
    "a-b.png",
    "a b.jpeg",
    ".png",
    "x.txt",
    ".d/e.png",
    "é/ü.png",
    "a.d/f.png",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_the_index_is_the_sorted_list_of_paths(tree: Path) -> None:
    every = (path for path in tree.rglob("[!.]*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    expected = sorted(path for path in every if ".d" not in path.parts)
    index = index_files(tree, PICTURE_SUFFIXES)
    assert list(index) == expected and len(index) == len(expected) == 9
    assert [index[3], index[0]] == [expected[3], expected[0]]
    assert list(index[2:5]) == expected[2:5]
    some = index.subset(np.array([7, 1, 4]))
    assert list(some) == [expected[7], expected[1], expected[4]]
    assert some.places.tolist() == [7, 1, 4] and some.total == 9
    assert list(some.subset(np.array([2, 0]))) == [expected[4], expected[7]]
    with pytest.raises(IndexError):
        _ = some[3]


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png"))).write_bytes(b"x")
    (path,) = index_files(tmp_path, PICTURE_SUFFIXES)
    assert path.read_bytes() == b"x"


def test_whether_there_is_any(tree: Path, tmp_path: Path) -> None:
    assert holds_any(tree, PICTURE_SUFFIXES) and not holds_any(tree, frozenset({".tar"}))


def test_of_very_many_pictures_a_sample_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.data.readers.images.MANY_PICTURES", 100)
    monkeypatch.setattr("wassergan.data.readers.images.LOOKED_AT", 20)
    monkeypatch.setattr("wassergan.data.readers.images.CACHE_LIMIT_BYTES", 10)
    for index in range(120):
        Image.new("L", (5, 4), index).save(tmp_path / f"{index:03}.png")
    opened: list[object] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **how: opened.append(path) or original(path, **how))  # type: ignore[func-returns-value]
    said: list[str] = []
    source = open_source(tmp_path, log=said.append)
    assert len(set(opened[:20])) == 20
    assert len(opened) == 20 + 2 + 16  # two to see that not all are equal, sixteen for the round trip
    assert source.shape == (1, 4, 5) and said == ["Size and colours are those of 20 of the 120 pictures."]


def test_millions_of_pictures_have_no_list_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wassergan.data.split import SparseSplit
    from wassergan.training.batches import BatchStream
    from wassergan.training.order import WindowShuffle

    monkeypatch.setattr("wassergan.data.readers.images.CACHE_LIMIT_BYTES", 10)
    monkeypatch.setattr("wassergan.data.readers.images.LARGEST_SHUFFLE", 100)
    monkeypatch.setattr("wassergan.data.source.LARGEST_SHUFFLE", 100)
    monkeypatch.setattr("wassergan.data.source.LONE_BLOCK", 8)
    monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 10)
    for index in range(250):
        Image.new("L", (5, 4), index).save(tmp_path / f"{index:03}.png")
    source = open_source(tmp_path)
    assert isinstance(source.split, SparseSplit)
    stream = BatchStream(source, 9, seed=0)
    assert isinstance(stream._order, WindowShuffle)
    served = [int(level) for _ in range(25) for level in source.codec.decode(stream.draw().samples)[:, 0, 0]]
    held = source.split.heldout.tolist()
    assert sorted(served + held) == list(range(250))
