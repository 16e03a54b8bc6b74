"""Arrays on mapped files: the values that NumPy gives, and an error instead of a dead process when the file is cut."""

import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import wassergan
from wassergan.data import open_source
from wassergan.data.readers import mapped
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.mapped import in_memory, unmapped
from wassergan.data.readers.marks import DataChangedError

pytestmark = pytest.mark.skipif(not mapped.MAPS.exists(), reason="this system does not tell what is mapped")

slices = st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([1, 2, 3, -1, -2])).map(
    lambda each: slice(*each)
)


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    keys=st.lists(slices, max_size=4),
    dtype=st.sampled_from(["u1", "<f4", ">f8", "<i2"]),
    order=st.sampled_from("CF"),
    mode=st.sampled_from(["r", "r+", "c"]),
    turned=st.booleans(),
    span=st.sampled_from([2**24, 16]),
)
@example(shape=[9, 3], keys=[np.s_[4:8]], dtype="<f4", order="C", mode="r", turned=False, span=16)
@example(shape=[3, 9], keys=[np.s_[:], np.s_[4:8]], dtype="<i2", order="F", mode="r+", turned=True, span=16)
def test_views_of_mapped_files_have_the_values_that_numpy_gives(
    tmp_path_factory: pytest.TempPathFactory,
    shape: list[int],
    keys: list[slice],
    dtype: str,
    order: Any,
    mode: Any,
    turned: bool,
    span: int,
) -> None:
    path = tmp_path_factory.mktemp("mapped") / "a.npy"
    np.save(path, np.asarray(np.random.default_rng(0).integers(0, 100, shape).astype(dtype), order=order))
    array = np.load(path, mmap_mode=mode)
    if mode == "c":  # these values are not in the file
        array[:1] = 7
    view = np.asarray(array[tuple(keys[: len(shape)])])
    view = view.T if turned else view
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_SPAN_BYTES", span)
        found = unmapped(view)
    assert found.shape == view.shape and found.dtype == view.dtype
    assert view.size == 0 or isinstance(found, FileArray) or not np.shares_memory(found, view)
    np.testing.assert_array_equal(np.asarray(found), view)


def test_what_is_in_memory_is_not_copied() -> None:
    array, tensor = np.arange(6.0), torch.arange(6.0)
    assert unmapped(array) is array
    assert np.shares_memory(in_memory(tensor.numpy()), tensor.numpy())
    with mmap.mmap(-1, 80) as anonymous:
        array = np.frombuffer(anonymous)
        assert unmapped(array) is array
        del array


def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    former, later = np.arange(900.0).reshape(300, 3), np.ones((300, 3))
    np.save(path, former)
    array = np.load(path, mmap_mode="r")
    np.save(tmp_path / "b.npy", later)
    (tmp_path / "b.npy").replace(path)
    np.testing.assert_array_equal(np.asarray(unmapped(array)), former)
    # What the system calls the former file since then.
    np.save(tmp_path / "b.npy", later)
    (tmp_path / "b.npy").rename(tmp_path / "a.npy (deleted)")
    np.testing.assert_array_equal(np.asarray(unmapped(array)), former)


@pytest.mark.parametrize("key", [np.s_[:], np.s_[3:], np.s_[::2], np.s_[:, 1:]])
@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_mapped_file_that_is_short_already_is_told(tmp_path: Path, key: Any, mode: Any) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4000, 3)))
    array = np.load(path, mmap_mode=mode)[key]
    os.truncate(path, 5000)
    with pytest.raises(DataChangedError, match=r"a\.npy changed while it was in use: it became shorter"):
        in_memory(array)


def test_masks_and_labels_of_mapped_arrays_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 2)))
    np.save(tmp_path / "labels.npy", np.arange(60) % 3)
    array = np.ma.masked_greater(np.load(path, mmap_mode="r"), 1)
    found = unmapped(array)
    assert isinstance(found, np.ma.MaskedArray) and found.mask.any()
    np.testing.assert_array_equal(found.filled(9), array.filled(9))
    source = open_source(np.load(path, mmap_mode="r"), labels=np.load(tmp_path / "labels.npy", mmap_mode="r"))
    os.truncate(tmp_path / "labels.npy", 130)
    assert source.context is not None and source.context.width == 3


# In a process of its own, which such a signal would end.
PROGRAM = """
import os, sys, warnings
import numpy as np, pandas as pd, torch, wassergan
from wassergan.callbacks import Callback
from wassergan.errors import WasserganError
warnings.simplefilter("ignore")
path, kind = sys.argv[1:]
np.save(path, np.random.default_rng(0).normal(size=(60_000, 3)).astype("f4"))
class Cut(Callback):
    def on_tick(self, *ignored):
        os.truncate(path, 5000)
def fit(rows, labels=None, resume=False):
    model = wassergan.WassersteinGAN(
        steps=30, batch_size=16, latent_dim=2, generator_widths=(8,), critic_widths=(8,), critic_steps=1, random_state=0
    )
    model.callbacks = [Cut()]
    try:
        model.fit(rows, labels)
        print(kind, "went on")
    except WasserganError as error:
        print(kind, error)
load = lambda mode: np.load(path, mmap_mode=mode)
match kind:
    case "whole": fit(load("r"))
    case "fortran":
        np.save(path, np.asfortranarray(np.load(path)))
        fit(load("r"))
    case "written": fit(load("r+"))
    case "private": fit(load("c"))
    case "rows": fit(load("r")[100:])
    case "columns": fit(load("r")[:, 1:])
    case "plain view": fit(np.asarray(load("r")))
    case "tensor": fit(torch.from_numpy(load("r+")))
    case "labelled": fit(np.load(path), np.asarray(load("r")[:, 0] > 0).astype(int))
    case "cut frame":
        frame = pd.DataFrame(load("r"), columns=list("abc"), copy=False)
        os.truncate(path, 5000)
        fit(frame)
    case "frame": fit(pd.DataFrame(load("r"), columns=list("abc"), copy=False))
    case "scored":
        model = wassergan.WassersteinGAN(steps=2, batch_size=16, generator_widths=(8,), critic_widths=(8,))
        model.fit(np.load(path)[:500])
        rows = load("r")
        os.truncate(path, 5000)
        try:
            model.score(rows)
        except WasserganError as error:
            print(kind, error)
"""
SAID = {"whole": "changed while", "fortran": "changed while", "written": "changed while", "rows": "changed while"}
SAID |= {"plain view": "changed while", "scored": "became shorter", "tensor": "changed while"}
SAID |= {"cut frame": "became shorter", **dict.fromkeys(("private", "columns", "labelled", "frame"), "went on")}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that torch is imported once")
def test_no_fit_dies_of_a_mapped_file_that_is_cut(tmp_path: Path) -> None:
    children = f"""
import os, sys
import torch, wassergan, wassergan.estimator, sklearn.utils
torch.set_num_threads(1)
program = {PROGRAM!r}
for kind in {list(SAID)!r}:
    child = os.fork()
    if not child:
        sys.argv = ["", sys.argv[1] + "/" + kind.replace(" ", "") + ".npy", kind]
        exec(program, {{}})
        sys.stdout.flush()
        os._exit(0)
    print(kind, "ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(wassergan.__file__).parents[1])}
    command = [sys.executable, "-c", children, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    for kind, said in SAID.items():
        assert f"{kind} ended with 0" in done.stdout, done.stdout + done.stderr
        assert [line for line in done.stdout.splitlines() if line.startswith(f"{kind} ") and said in line], done.stdout
