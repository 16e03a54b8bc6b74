"""Windows of one long series: no step is on both sides."""

from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import Codec, open_source
from wassergan.data.series.windows import PIECE_NUMBERS, WindowReader, Windows, cut
from wassergan.errors import UserError


@given(
    steps=st.integers(10, 3000),
    length=st.integers(1, 60),
    stride=st.integers(1, 40),
    heldout=st.floats(0.02, 0.6),
    seed=st.integers(0, 2**40),
)
def test_no_step_is_on_both_sides(steps: int, length: int, stride: int, heldout: float, seed: int) -> None:
    try:
        starts, train, held = cut(steps, Windows(length, stride), heldout=heldout, seed=seed)
    except UserError as error:
        assert "Too few" in str(error)
        return
    assert sorted([*train, *held]) == list(range(len(starts))) and len(train) and len(held)
    assert starts.min() >= 0 and starts.max() + length <= steps and (starts % stride == 0).all()
    covered = [set((starts[side][:, None] + np.arange(length)).ravel().tolist()) for side in (train, held)]
    assert not covered[0] & covered[1]
    assert len(covered[1]) <= heldout * steps + 1


def test_most_of_a_long_series_is_used_and_held_out_all_over() -> None:
    starts, train, held = cut(10_000, Windows(24), heldout=0.1, seed=0)
    assert len(train) > 8000 and 500 < len(held) <= 1000
    tenths = np.unique(starts[held] // 1000)
    assert len(tenths) == 10


def test_windows_are_pieces_of_the_series_in_its_own_type() -> None:
    series = np.arange(600, dtype="i2").reshape(300, 2)
    source = open_source(series, window=7, stride=3)
    assert source.kind == "series" and source.shape == (2, 7) and source.codec.dtype == "int16"
    rows = source.values(torch.arange(len(source))).numpy()
    assert (np.diff(rows[:, :, 0], axis=1) == 2).all() and (rows[:, 0, 0] % 6 == 0).all()
    back = source.codec.decode_numpy(source.train(torch.arange(source.train_count)))
    np.testing.assert_array_equal(back, rows[source.split.train.numpy()])
    flat = open_source(series[:, 0], window=7)
    assert flat.shape == (1, 7) and any("windows of 7 steps to train on" in note for note in flat.notes)


def test_a_table_is_cut_in_the_order_of_its_time(tmp_path: Path) -> None:
    count = 200
    times = pandas.date_range("2024-01-01", periods=count, freq="h")
    frame = pandas.DataFrame({"at": times, "load": np.arange(count) * 0.5, "heat": np.sin(np.arange(count)).round(3)})
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "a.csv", index=False)
    source = open_source(tmp_path / "a.csv", window=5, time="at")
    rows = source.values(torch.arange(len(source))).numpy()
    assert isinstance(source.codec, Codec) and source.codec.channels == ("load", "heat")
    np.testing.assert_allclose(np.diff(rows[:, :, 0], axis=1), 0.5)
    with pytest.raises(UserError, match="Column at of a.csv is no number at every step: a date. Name the column of"):
        open_source(tmp_path / "a.csv", window=5)
    with pytest.raises(UserError, match=r"Unknown column of a.csv: 'att'. Did you mean 'at'\?"):
        open_source(tmp_path / "a.csv", window=5, time="att")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"window": 5, "series": "a", "time": "t"}, "A long table of series is not cut into windows"),
        ({"stride": 5}, ".stride. says nothing by itself"),
        ({"time": "t"}, ".time. says nothing by itself"),
        ({"series": "t"}, "A long table has a column of time. Name it with"),
        ({"window": 2**20}, "The windows are too long: 1048576"),
        ({"window": 90}, "Too few steps to hold some windows out: 100 steps, windows of 90"),
        ({"window": 5, "time": "t"}, "An array has no columns that name series or time"),
        ({"window": 5, "layout": "NHW"}, "Series have the layout NTC: NHW"),
        ({"window": 5, "labels": [1]}, ".labels. is not for series in time yet"),
        ({"window": 5, "scale": "chanel"}, r"Unknown scale: 'chanel'. Did you mean 'channel'\?"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(np.arange(100.0), **asked)  # type: ignore[arg-type]


def test_what_is_no_long_series_is_refused() -> None:
    with pytest.raises(UserError, match="array is no long series: float64 numbers of shape"):
        open_source(np.zeros((5, 4, 3)), window=2)
    with pytest.raises(UserError, match="array is no long series: a single number"):
        open_source(np.zeros(()), window=2)


def test_long_windows_are_read_a_few_at_a_time() -> None:
    series = np.arange(30_000.0).reshape(-1, 3)
    for length, most in ((9000, 38), (4, 4000), (10_000, 34)):
        reader = WindowReader(series, np.zeros(4000, np.int64), length)
        pieces = reader.pieces(np.arange(4000))
        first, second = next(pieces), next(pieces, np.zeros(0))
        assert len(first) == most and first.size <= max(PIECE_NUMBERS, length * 3)
        assert len(second) in (0, most)
    reader = WindowReader(series, np.arange(100), 9000)
    assert np.concatenate(list(reader.pieces(np.arange(100))))[:, 0, 0].tolist() == [3 * k for k in range(100)]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        ([*range(20), *range(60, 110)], "1 of 69 steps differ from the usual one, the longest is 41 times that"),
        ([0, *range(60)], "1 rows have the time of the one before"),
        ([hour * 1.2 for hour in range(60)], ""),
    ],
)
def test_gaps_and_doubled_times_are_said(hours: list[float], told: str, tmp_path: Path) -> None:
    """Windows take rows as steps: two that lie two days apart look like any others."""
    times = pandas.Timestamp("2024-10-26") + pandas.to_timedelta(hours, unit="h")
    frame = pandas.DataFrame({"when": times, "load": np.random.default_rng(0).normal(size=len(hours)).round(2)})
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "a.csv", index=False)
    said: list[str] = []
    open_source(tmp_path / "a.csv", window=4, time="when", log=said.append)
    assert [each for each in said if "uneven" in each] == (
        [f"The times of a.csv are uneven: {told}. Rows are steps of the windows all the same."] if told else []
    )
