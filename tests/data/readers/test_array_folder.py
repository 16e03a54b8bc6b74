"""Folders of `.npy` files, each one sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import ArrayContext, open_source
from wassergan.errors import UserError


def saved(folder: Path, rows: Any) -> Path:
    folder.mkdir()
    for index, row in enumerate(rows):
        np.save(folder / f"{index:03d}.npy", row)
    return folder


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (5,)])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "float64"])
def test_a_folder_is_the_array_of_its_files(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    rows = (np.random.default_rng(0).random((30, *shape)) * 200).astype(dtype)
    (tmp_path / "notes.txt").write_text("none")
    source, whole = open_source(saved(tmp_path / "rain", rows)), open_source(rows)
    assert (source.name, source.kind, source.shape) == ("rain", whole.kind, whole.shape)
    assert (source.values(torch.arange(30)).numpy() == rows).all()
    assert torch.equal(source.heldout(torch.arange(3)), whole.heldout(torch.arange(3)))
    pattern = open_source(str(tmp_path / "rain" / "*.npy"))
    assert (pattern.values(torch.arange(30)).numpy() == rows).all()


def test_conditions_may_be_a_folder_too(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 8, 8))
    given = saved(tmp_path / "coarse", rows[:, ::4, ::4])
    source = open_source(saved(tmp_path / "fine", rows), condition_array=str(given))
    assert isinstance(source.context, ArrayContext)
    assert (source.context.values(torch.arange(30)).numpy() == rows[:, ::4, ::4]).all()
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no .npy files"):
        open_source(rows, condition_array=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((6, 8)), r"not alike.*\(6, 8\) of float64 in 030.npy, \(6, 9\)"),
        (np.zeros((6, 9), "float32"), "not alike.*float32"),
        (np.array([{"a": 1}], object), "Python objects"),
    ],
)
def test_files_that_are_not_alike_are_refused(tmp_path: Path, other: Any, message: str) -> None:
    folder = saved(tmp_path / "rain", np.random.default_rng(0).normal(size=(30, 6, 9)))
    np.save(folder / "030.npy", other)
    with pytest.raises(UserError, match=message):
        open_source(folder)


def test_headers_are_held_to_the_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path / "rain", np.random.default_rng(0).normal(size=(30, 200, 200)))
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "5")
    with pytest.raises(UserError, match="would fill too much memory.*9,600,000 bytes"):
        open_source(folder)
    (folder / "007.npy").write_bytes((folder / "007.npy").read_bytes()[:-8])
    with pytest.raises(UserError, match="holds less than its header says"):
        open_source(folder)


def test_a_zip_that_is_named_npy_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "rain", np.random.default_rng(0).normal(size=(30, 6, 9)))
    np.savez(folder / "x.npz", a=np.zeros((6, 9)))
    (folder / "x.npz").rename(folder / "031.npy")
    with pytest.raises(UserError, match=".npz by its content"):
        open_source(folder)
