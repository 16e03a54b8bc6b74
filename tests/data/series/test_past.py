"""Pasts that series go on from: read like the data, and refused where no series of the data begins so."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wassergan.data import open_source
from wassergan.data.series import SeriesCodec
from wassergan.data.series.past import opened_past
from wassergan.errors import UserError

STEPS, CHANNELS = 6, 3


def series(seed: int = 0, *, gaps: bool = False, constant: bool = False) -> NDArray[np.float64]:
    numbers = np.random.default_rng(seed)
    found = numbers.normal([5.0, -2.0, 300.0], [1.0, 0.1, 40.0], (60, STEPS, CHANNELS))
    if constant:
        found[:, 1, 0], found[:, :, 1] = 4.0, 7.0
    if gaps:
        found[numbers.random(found.shape[:2]) < 0.3, 2] = np.nan
        found[:, 4, 2] = np.nan
    return found


def opened(past: Any, values: NDArray[Any] | None = None, **options: Any) -> Any:
    source = open_source(series() if values is None else values, layout="NTC")
    codec = cast(SeriesCodec, source.codec)
    return opened_past(past, codec, channels=source.shape[0], steps=source.shape[1], **options)


@given(
    seed=st.integers(0, 50),
    gaps=st.booleans(),
    constant=st.booleans(),
    known=st.integers(1, STEPS - 1),
    draws=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_a_past_is_in_model_space_what_the_whole_series_is_there(
    seed: int, gaps: bool, constant: bool, known: int, draws: int
) -> None:
    values = series(seed, gaps=gaps, constant=constant)
    source = open_source(values, layout="NTC")
    codec = cast(SeriesCodec, source.codec)
    whole = codec.encode(torch.from_numpy(values[:5]))
    own: dict[str, Any] = {"channels": source.shape[0], "steps": source.shape[1], "draws": draws}
    found = opened_past(values[:5, :known], codec, **own)
    assert found.count == 5 * draws and found.steps == known and found.names == ("`given_past`",)
    vectors = found.vectors(0, 5 * draws, seed=0).unflatten(1, (source.shape[0], known))
    torch.testing.assert_close(vectors, whole[:, :, :known].repeat_interleave(draws, 0), atol=0, rtol=0)
    shown = found.codec.decode_numpy(vectors[::draws])
    np.testing.assert_allclose(shown, values[:5, :known], rtol=1e-6)


@pytest.mark.parametrize("known", [1, 2, 5])
def test_scales_of_every_step_are_cut_with_the_steps(known: int) -> None:
    source = open_source(series(), layout="NTC")
    offset, scale = (torch.rand(CHANNELS, STEPS, dtype=torch.float64) + each for each in (0, 1))
    codec = replace(cast(SeriesCodec, source.codec), offset=offset, scale=scale)
    past = torch.from_numpy(series()[:2])
    torch.testing.assert_close(codec.until(known).encode(past[:, :known]), codec.encode(past)[:, :, :known])


def test_one_series_needs_no_axis_and_a_table_has_its_channels_as_columns(tmp_path: Path) -> None:
    values = series()[0, :4]
    wanted = opened(values[None]).vectors(0, 1, seed=0)
    frame = pd.DataFrame(values, columns=["channel 0", "channel 1", "channel 2"])
    mixed = frame[["channel 2", "channel 0", "channel 1"]].assign(note="spring")
    mixed.to_csv(tmp_path / "past.csv", index=False)
    mixed.to_parquet(tmp_path / "past.parquet")
    np.save(tmp_path / "past.npy", values)
    for past in (values, torch.from_numpy(values), frame, mixed, *map(str, tmp_path.iterdir())):
        torch.testing.assert_close(opened(past).vectors(0, 1, seed=0), wanted, atol=1e-6, rtol=0)
    single = opened(series()[0, :4, 0], series()[:, :, :1])
    assert single.steps == 4 and single.count == 1


@pytest.mark.parametrize(
    ("past", "message"),
    [
        (series()[:3, :0], "holds no steps"),
        (series()[:3], "leaves nothing to draw: 6 steps, where a series of the run has 6. Give 1 to 5 steps"),
        (np.zeros((3, 9, CHANNELS)), "leaves nothing to draw: 9 steps"),
        (series()[:3, :2, :2], r"other series than those of the training: shape \(3, 2, 2\)"),
        (series()[:0, :2], "holds no conditions"),
        (np.zeros((2, 3, CHANNELS, 1)), "other series"),
        (np.float64(3), "other series"),
        (np.full((1, 2, CHANNELS), np.nan), "missing values, and the series of the training had none"),
        (np.full((1, 2, CHANNELS), np.inf), "infinite"),
        (np.full((1, 2, CHANNELS), "x"), "no numbers|numbers"),
        (pd.DataFrame({"channel 0": [1.0], "channel 2": [2.0]}), "lacks channels of the run's series: channel 1"),
        (pd.DataFrame({f"channel {n}": ["a", "b"] for n in range(3)}), "numbers"),
        ("nowhere.npy", "nowhere.npy"),
        ("nowhere.csv", "nowhere.csv"),
    ],
)
def test_what_no_series_begins_with_is_refused_in_a_sentence(past: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(past)


def test_values_are_missing_only_where_they_were(tmp_path: Path) -> None:
    values = series(gaps=True)
    past = values[:2, :3].copy()
    past[0, 1, 2] = np.nan
    found = opened(past, values)
    assert found.vectors(0, 1, seed=0).unflatten(1, (CHANNELS + 1, 3))[0, CHANNELS].tolist()[1] == -1
    past[0, 1, 0] = np.nan
    with pytest.raises(UserError, match="A value is missing where none of the samples"):
        opened(past, values)


def test_values_out_of_the_range_of_the_training_are_said() -> None:
    said: list[str] = []
    opened(series()[:2, :2], log=said.append)
    assert not said
    past = series()[:2, :2].copy()
    past[0, 0, 0] = 1e4
    opened(past, log=said.append)
    assert said and "8.33% of the values of given_past lie outside the range of the series of the training" in said[0]
