"""Arrays that lie in files: the same rows as NumPy gives, and an error instead of a dead process when files change."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.callbacks import Callback
from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.data.readers.arrays import array_source
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.marks import DataChangedError, FileMark, Watch
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage.checkpoint import load_checkpoint


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    dtype=st.sampled_from(["u1", "<f4", ">f8", "<i2", "?"]),
    order=st.sampled_from("CF"),
    numbers=st.lists(st.integers(0, 4), max_size=9),
    ends=st.tuples(st.integers(-6, 6), st.integers(-6, 6)),
)
def test_rows_are_those_that_numpy_gives(
    tmp_path_factory: pytest.TempPathFactory,
    shape: list[int],
    dtype: str,
    order: Any,
    numbers: list[int],
    ends: tuple[int, int],
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.npy"
    values = np.asarray(np.random.default_rng(0).integers(0, 100, shape).astype(dtype), order=order)
    np.save(path, values)
    for found in (FileArray.open(path), FileArray.under(np.load(path, mmap_mode="r"))):
        assert found is not None and found.shape == values.shape and found.dtype == values.dtype
        chosen = np.array([number % len(values) for number in numbers], np.int64)
        for key in (chosen, slice(*ends), slice(None, 1), slice(None)):
            np.testing.assert_array_equal(found[key], values[key])
        np.testing.assert_array_equal(np.asarray(found), values)


def test_a_file_that_holds_less_than_it_says_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 3)))
    os.truncate(path, 1000)
    with pytest.raises(UserError, match=r"a.npy holds less than its header says: shape \(100, 3\) of float64, and 872"):
        FileArray.open(path)


def _shorter(path: Path) -> None:
    os.truncate(path, 200)


def _rewritten(path: Path) -> None:
    np.save(path, np.ones((400, 3), "f4"))


def _replaced(path: Path) -> None:
    np.save(path.with_name("b.npy"), np.ones((400, 3), "f4"))
    path.with_name("b.npy").replace(path)


def _gone(path: Path) -> None:
    path.unlink()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES = (_shorter, _rewritten, _replaced, _gone, _a_folder)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_file_that_changes_is_never_read_on(tmp_path: Path, change: Callable[[Path], None], mapped: bool) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).normal(size=(400, 3)).astype("f4"))
    os.utime(path, (1, 1))
    source = array_source(np.load(path, mmap_mode="r")) if mapped else open_source(path)
    change(path)
    with pytest.raises(DataChangedError, match=r"a\.npy changed while it was in use: .*resume the run"):
        source.values(torch.arange(300))
    with pytest.raises(DataChangedError):
        source.watch.require_same()


def test_all_of_many_files_are_looked_at_in_turn(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}" for number in range(50)]
    for path in paths:
        path.touch()
    watch = Watch(map(FileMark.of, paths))
    for _ in range(10):
        watch.require_same()
    paths[33].unlink()
    with pytest.raises(DataChangedError, match="33 changed"):
        for _ in range(4):
            watch.require_same()


class _AtStep(Callback):
    """Does something once, after a step."""

    def __init__(self, step: int, work: Callable[[], None]) -> None:
        self._step, self._work = step, work

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self._step:
            self._work()


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_whose_data_change_is_saved_and_goes_on_when_they_are_back(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path, kept, run = tmp_path / "a.npy", tmp_path / "kept.npy", tmp_path / "run"
    np.save(kept, np.random.default_rng(0).normal(size=(400, 3)).astype("f4"))
    os.utime(kept, (1, 1))
    path.write_bytes(kept.read_bytes())
    os.utime(path, (1, 1))
    settings = TrainSettings(
        data=str(path), steps=9, batch_size=16, generator_widths=(8,), critic_widths=(8,), previews=False
    )
    with pytest.raises(DataChangedError, match="changed while it was in use"):
        train_run(settings, run, callback=_AtStep(5, lambda: change(path)))
    assert load_checkpoint(run / "checkpoints" / "latest.pt")["trainer"]["step"] == 5
    if path.is_dir():
        path.rmdir()
    path.write_bytes(kept.read_bytes())
    assert resume_run(run, {"steps": 9})["steps"] == 9
