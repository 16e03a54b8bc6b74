"""Conditions that are arrays: what belongs to what, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wassergan.data import ArrayConditions, ArrayContext, Source, open_source
from wassergan.errors import UserError

N = 60
FINE = np.random.default_rng(0).normal(size=(N, 8, 12)).astype("float32")
COARSE = 100 + np.arange(N)[:, None, None] + np.random.default_rng(1).normal(size=(N, 2, 3))


def context_of(source: Source) -> ArrayContext:
    assert isinstance(source.context, ArrayContext)
    return source.context


def conditions_of(source: Source) -> ArrayConditions:
    assert isinstance(source.conditions, ArrayConditions)
    return source.conditions


@pytest.mark.parametrize("in_file", [False, True])
def test_samples_keep_their_conditions_on_both_sides_of_the_split(in_file: bool, tmp_path: Path) -> None:
    given: Any = COARSE
    if in_file:
        np.savez(tmp_path / "pairs.npz", other=FINE, coarse=COARSE)
        given = f"{tmp_path}/pairs.npz::coarse"
    source = open_source(FINE, condition_array=given)
    context = context_of(source)
    assert context.shape == (1, 2, 3) and source.conditions is not None
    for batch, rows in (
        (
            source.train_batch(torch.arange(source.train_count)),
            source.split.train_rows(torch.arange(source.train_count)),
        ),
        (source.heldout_batch(torch.arange(source.heldout_count)), source.split.heldout),
    ):
        assert batch.context is not None
        back = context.codec.decode_numpy(batch.context.unflatten(1, context.shape))
        assert back == pytest.approx(COARSE[rows.numpy()], abs=1e-4)
        assert source.codec.decode_numpy(batch.samples) == pytest.approx(FINE[rows.numpy()], abs=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (COARSE[:-1], "does not hold one condition for each sample.*59 for 60"),
        (np.ones((N, 2, 3)), "Of the conditions: .*equal"),
        (np.where(np.arange(N)[:, None, None] == 5, np.inf, COARSE), "Of the conditions: .*infinite"),
        (COARSE.astype(complex), "does not hold real numbers"),
        (np.array(3.0), "one condition for each sample"),
        (COARSE[:, :, :, None, None], "Say `condition_layout` N, ND, NHW, NHWC, NCHW"),
        (np.random.default_rng(0).normal(size=(N, 20, 4)), "may be one picture.*Say `condition_layout` N, ND"),
        ("none.npy", "none.npy"),
    ],
)
def test_arrays_that_are_no_conditions_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(FINE, condition_array=given)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("a,b\n" + "1,2\n3,4\n" * 30)
    with pytest.raises(UserError, match="conditions of a table are columns"):
        open_source(tmp_path / "people.csv", condition_array=COARSE)
    with pytest.raises(UserError, match="an array or labels, not both"):
        open_source(FINE, condition_array=COARSE, labels=np.arange(N))
    with pytest.raises(UserError, match="is for conditions that are an array"):
        open_source(FINE, condition_layout="NHW")
    with pytest.raises(UserError, match="not for series in time"):
        open_source(FINE[:, 0, 0], window=5, condition_array=COARSE)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float64", "bool"])
def test_conditions_of_any_type_come_back_as_they_were(dtype: str) -> None:
    given = (np.random.default_rng(2).random((N, 2, 3)) * 2).round().astype(dtype)
    found = conditions_of(open_source(FINE, condition_array=given))
    rows = found.rows(0, 20, seed=0)
    assert rows.dtype == given.dtype
    assert all((row == given).all((1, 2)).any() for row in rows)
    assert torch.isfinite(found.vectors(0, 20, seed=0)).all()


def test_missing_values_of_conditions_are_told_to_the_network() -> None:
    given = COARSE.copy()
    given[::3, 0, 0] = np.nan
    source = open_source(FINE, condition_array=given)
    context, found = context_of(source), conditions_of(source)
    assert context.shape == (2, 2, 3)
    assert torch.isfinite(context.at(torch.arange(N))).all()
    asked = found.given(given[:3])
    assert torch.isfinite(asked.vectors(0, 3, seed=0)).all()
    given[1, 1, 1] = np.nan
    with pytest.raises(UserError, match="missing"):
        found.given(given[:3])


def test_new_conditions_are_held_to_those_of_the_training() -> None:
    found, said = conditions_of(open_source(FINE, condition_array=COARSE)), list[str]()
    holed: NDArray[Any] = COARSE[:4].copy()
    holed[2, 0, 0] = np.nan
    for given, message in (
        (COARSE[:4, :1], "does not have the axes"),
        (COARSE[0], "does not have the axes"),
        (holed, "missing values.*row 2"),
        (COARSE[:0], "holds no conditions"),
    ):
        with pytest.raises(UserError, match=message):
            found.given(given)
    assert found.given(COARSE[:4], draws=3, log=said.append).count == 12 and not said
    found.given(COARSE[:4] + 1e4, log=said.append)
    assert said and "100.00% of the values" in said[0]


def test_draws_of_a_condition_follow_one_another() -> None:
    asked = conditions_of(open_source(FINE, condition_array=COARSE)).given(COARSE[:4], draws=3)
    rows = asked.rows(0, 12, seed=0)
    assert rows == pytest.approx(np.repeat(COARSE[:4], 3, axis=0))
    assert asked.rows(5, 4, seed=0) == pytest.approx(rows[5:9])


def test_vectors_are_conditions_of_fields_and_fields_of_vectors() -> None:
    vectors = np.random.default_rng(3).normal(size=(N, 5))
    assert context_of(open_source(FINE, condition_array=vectors)).shape == (5,)
    assert context_of(open_source(vectors, condition_array=FINE)).shape == (1, 8, 12)


def test_conditions_follow_pictures_that_were_left_out(tmp_path: Path) -> None:
    from PIL import Image

    numbers = np.random.default_rng(0)
    for index in range(30):
        Image.fromarray(numbers.integers(0, 256, (9, 9), dtype=np.uint8)).save(tmp_path / f"{index:02d}.png")
    (tmp_path / "05.png").write_bytes(b"no picture")
    given = np.arange(30.0)[:, None, None] + np.zeros((30, 2, 2)) + numbers.random((30, 2, 2)) / 10
    source = open_source(tmp_path, condition_array=given, skip_unreadable=True)
    assert len(source) == 29
    found = context_of(source).values(torch.arange(29)).floor()[:, 0, 0]
    assert found.tolist() == [float(index) for index in range(30) if index != 5]
    with pytest.raises(UserError, match="29 for 30 samples"):
        open_source(tmp_path, condition_array=given[1:], skip_unreadable=True)


def test_conditions_with_codes_for_missing_values_are_refused_where_floats_of_them_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(0).integers(0, 100, (N, 400, 50)).astype("u1")
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("x", data=values).attrs["_FillValue"] = np.uint8(3)
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "10")
    source = context_of(open_source(FINE, condition_array=f"{tmp_path}/a.nc")).source
    assert np.array_equal(source.values(torch.arange(N)).numpy(), np.where(values == 3, np.nan, values), equal_nan=True)
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "9")
    with pytest.raises(UserError, match=r"a.nc:x would fill too much memory: 9,600,000 bytes unpacked"):
        open_source(FINE, condition_array=f"{tmp_path}/a.nc")
