"""Pictures that a run drew are no data where they lie among others, and data where they lie alone."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch
from PIL import Image

from wassergan.data import open_source
from wassergan.data.drawn import is_drawn
from wassergan.plots import save_figure, save_picture, write_png16

pytestmark = pytest.mark.usefixtures("real_figures")


def _figure(path: Path) -> None:
    save_figure(matplotlib.figure.Figure(figsize=(1, 1)), path)


def _sixteen(path: Path) -> None:
    write_png16(np.arange(36, dtype=np.uint16).reshape(6, 6), path)


def _grid(path: Path) -> None:
    save_picture(Image.new("RGB", (30, 30), 5), path)


WRITERS = {"grid": _grid, "16 bits": _sixteen, "figure": _figure}


def _photos(folder: Path, count: int = 20) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).save(folder / f"p{number:02d}.png")


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_a_run_drew_into_its_data_is_passed_over(write: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _photos(folder)
    before = open_source(folder)
    said: list[str] = []
    (folder / "drawn").mkdir()
    for name in ("a.png", "q.PNG", "drawn/0.png"):
        write(folder / "temporary.png")
        (folder / "temporary.png").rename(folder / name)
    after = open_source(folder, log=said.append)
    assert said == ["Passed over in data: 3 pictures that wassergan drew (a.png, drawn/0.png, q.PNG)."]
    assert after.shape == before.shape
    rows = torch.arange(20)
    assert torch.equal(after.values(rows), before.values(rows))


def test_labels_go_with_the_pictures_that_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _photos(folder)
    for name in ("a.png", "p03b.png", "z.png"):
        _grid(folder / name)
    (tmp_path / "labels.csv").write_text("file,y\n" + "".join(f"p{row:02d}.png,{row % 2}\n" for row in range(20)))
    source = open_source(folder, labels=tmp_path / "labels.csv", condition=["y"])
    assert len(source) == 20
    assert source.names is not None and source.names.found() == [f"p{row:02d}.png" for row in range(20)]


def test_pictures_drawn_alone_are_data(tmp_path: Path) -> None:
    for number in range(20):
        save_picture(Image.new("L", (6, 6), number), tmp_path / f"{number}.png")
    said: list[str] = []
    assert len(open_source(tmp_path, log=said.append)) == 20
    assert said == []


def test_other_files_bear_no_mark(tmp_path: Path) -> None:
    save_picture(Image.new("L", (6, 6)), tmp_path / "mine.png")
    assert is_drawn(tmp_path / "mine.png")
    (tmp_path / "short.png").write_bytes(b"\x89PNG")
    (tmp_path / "text.png").write_bytes(b"x" * 40 + b"tEXtSoftware\0wassergan")
    (tmp_path / "jpeg.jpg").write_bytes((tmp_path / "mine.png").read_bytes())
    Image.new("L", (6, 6)).save(tmp_path / "plain.png")
    names = ("short.png", "text.png", "jpeg.jpg", "plain.png", "absent.png")
    assert [is_drawn(tmp_path / name) for name in names] == [False] * len(names)
