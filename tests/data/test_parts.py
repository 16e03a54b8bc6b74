"""Constants, masks and fill values of arrays, and one scale for each channel."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import Codec, Source, open_source
from wassergan.data.codec import channels_first
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError


def drawn(source: Source, count: int = 40, *, seed: int = 0) -> Any:
    """What a generator that knows nothing would draw."""
    noise = 3 * torch.randn(count, *source.shape, generator=torch.Generator().manual_seed(seed))
    return source.codec.decode_numpy(noise)


def back(source: Source) -> Any:
    """All rows to model space and back."""
    return source.codec.decode_numpy(source.codec.encode(source.values(torch.arange(len(source)))))


def two_units(layout: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.stack([280 + 10 * rng.normal(size=(60, 5, 6)), 0.008 + 0.002 * rng.normal(size=(60, 5, 6))], 1)
    return values if layout == "NCHW" else np.moveaxis(values, 1, 3)


# One mean and deviation for channels of different units.
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("scale", ["auto", "channel"])
def test_each_channel_is_standardised_and_bounded_by_itself(layout: str, scale: str) -> None:
    values = two_units(layout)
    source = array_source(values, layout=layout, scale=scale, channels=("t", "q"))
    codec = source.codec
    assert isinstance(codec, Codec) and codec.named(2) == ("t", "q")
    train = channels_first(values[source.split.train.numpy()], layout)
    model = source.train(torch.arange(source.train_count)).double()
    torch.testing.assert_close(model.mean((0, 2, 3)), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(model.std((0, 2, 3), correction=0), torch.ones(2, dtype=torch.float64))
    for channel in (0, 1):
        low, high = train[:, channel].min(), train[:, channel].max()
        room = 0.1 * (high - low)
        assert codec.range_of(channel) == pytest.approx((low - room, high + room))
        assert codec.range_of(channel, margin=False) == pytest.approx((low, high))


def test_one_scale_for_all_is_there_where_it_is_asked_for() -> None:
    values = two_units("NCHW")
    source = array_source(values, scale="array")
    assert source.codec.offset.shape == ()  # type: ignore[attr-defined, union-attr]
    assert float(source.codec.offset) == pytest.approx(values[source.split.train.numpy()].mean())  # type: ignore[attr-defined, union-attr]


FILLS = [
    ("f4", -9999),
    ("f4", 1e20),
    ("f4", 9.969209968386869e36),
    ("f8", 0.1),
    ("f8", -1e300),
    ("f2", -999),
    ("i2", -32768),
]


# Constant pixels in the user's type: bit for bit.
@pytest.mark.parametrize(("dtype", "fill"), FILLS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_constant_places_come_back_bit_for_bit_and_disturb_nothing(dtype: str, fill: float, order: str) -> None:
    rng = np.random.default_rng(0)
    values = (50 * rng.normal(size=(80, 2, 5, 6)) + 100).astype(order + dtype)
    values[:, 1, :2, :3] = fill
    source = array_source(values, layout="NCHW")
    samples = drawn(source)
    assert samples.dtype == values.dtype
    assert samples[:, 1, :2, :3].tobytes() == np.broadcast_to(values[0, 1, :2, :3], (40, 2, 3)).tobytes()
    rest = np.ones((5, 6), bool)
    rest[:2, :3] = False
    train = values[source.split.train.numpy(), 1][:, rest].astype("f8")
    codec = source.codec
    assert isinstance(codec, Codec)
    assert float(codec.offset[1]) == pytest.approx(train.mean()) and float(codec.scale[1]) == pytest.approx(train.std())
    assert codec.range_of(1, margin=False) == pytest.approx((train.min(), train.max()))
    assert (source.train(torch.arange(9))[:, 1, :2, :3] == 0).all()


def test_a_constant_channel_and_constant_features_come_back() -> None:
    values = two_units("NCHW")
    values[:, 1] = 0.1
    assert (drawn(array_source(values))[:, 1] == 0.1).all()
    rows = np.random.default_rng(0).normal(size=(50, 3))
    rows[:, 1] = 1e20
    assert (drawn(array_source(rows))[:, 1] == 1e20).all()
    grey = np.random.default_rng(0).integers(0, 200, (50, 4, 4), np.uint8)
    grey[:, 0] = 255
    assert (drawn(array_source(grey))[:, 0] == 255).all()


def test_what_is_constant_in_training_rows_alone_is_not_flattened() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    rows[:, 1] = 7
    held = int(array_source(rows).split.heldout[0])
    rows[held, 1] = 8
    source = array_source(rows)
    np.testing.assert_allclose(back(source)[[held, 0], 1], [8, 7], rtol=1e-6)


def test_nan_is_a_part_of_the_sample_at_fixed_and_at_varying_places() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(90, 2, 5, 6)).astype("f4")
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, :, :2] = np.nan
    values[:, 0, 2, 0] = 3.5  # constant, and never missing
    values[::2, 0, 3, 0], values[1::2, 0, 3, 0] = 4.5, np.nan  # constant where it is there
    source = array_source(values, layout="NCHW")
    assert source.shape == (4, 5, 6)  # either channel has a mask of its own
    np.testing.assert_allclose(back(source), values, rtol=1e-5, atol=1e-6)
    samples = drawn(source)
    assert np.isnan(samples[:, :, :2]).all() and not np.isnan(samples[:, :, 2:]).all()
    assert (samples[:, 0, 2, 0] == 3.5).all()
    assert set(samples[:, 0, 3, 0][~np.isnan(samples[:, 0, 3, 0])].tolist()) == {4.5}
    np.testing.assert_allclose(
        source.codec.parts.rates[0],  # type: ignore[attr-defined]
        np.where(  # type: ignore[union-attr]
            np.isnan(values[:, 0]).any(0), np.isnan(values[:, 0]).mean(0), 0
        ),
        rtol=1e-6,
    )


def test_channels_that_miss_the_same_share_a_mask_and_features_of_vectors_have_theirs() -> None:
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(60, 2, 4, 4))
    fields[np.broadcast_to(rng.random((60, 1, 4, 4)) < 0.3, fields.shape)] = np.nan
    assert array_source(fields, layout="NCHW").shape == (3, 4, 4)
    rows = rng.normal(size=(60, 4))
    rows[rng.random(60) < 0.3, :2] = np.nan
    rows[rng.random(60) < 0.3, 3] = np.nan
    source = array_source(rows)
    assert source.shape == (6,)
    np.testing.assert_allclose(back(source), rows, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "code"), [("f4", -9999), ("f4", 1e20), ("f8", 9.96921e36), ("i2", -32768), ("u1", 255)]
)
def test_a_value_that_means_missing_is_taken_so_and_written_back(dtype: str, code: float) -> None:
    rng = np.random.default_rng(0)
    written = 9.969209968386869e36 if code == 9.96921e36 else code
    values = rng.integers(0, 100, (60, 5, 6)).astype(dtype)
    missing = rng.random(values.shape) < 0.1
    values[missing] = written
    source = array_source(values, missing=[code])
    assert source.shape == (2, 5, 6)
    assert ((back(source) == values.dtype.type(written)) == missing).all()
    train = values[source.split.train.numpy()][~missing[source.split.train.numpy()]]
    if dtype != "u1":
        assert float(source.codec.offset) == pytest.approx(train.mean(dtype="f8"))  # type: ignore[attr-defined, union-attr]


@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "<i2", ">u2", "?", "i8"])
def test_masked_arrays_keep_their_mask(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2 if dtype == "?" else 256, (60, 5, 6)).astype(dtype)
    masked = np.ma.masked_array(values, rng.random(values.shape) < 0.2)
    source = open_source(masked)
    codec = source.codec
    assert isinstance(codec, Codec)
    rows = source.values(torch.arange(60)).numpy()
    assert (codec.missing(rows) == masked.mask).all()
    decoded = codec.decode_numpy(codec.encode(torch.from_numpy(rows)))
    train = source.split.train.numpy()
    assert (codec.missing(decoded) == masked.mask).all()
    there = ~masked.mask[train]
    np.testing.assert_allclose(decoded[train][there], values[train][there], rtol=1e-6, atol=1e-5)
    if values.dtype.kind != "f":
        assert (decoded == values)[train][there].all()


# A repeated extreme value is pointed out, with its share and what to do.
@pytest.mark.parametrize("value", [-9999.0, 1e20, 9.969209968386869e36, 1e36, -32768.0, 12345678.0])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_repeated_extreme_is_pointed_out_with_its_share(value: float, fixed: bool) -> None:
    rng = np.random.default_rng(0)
    values = 280 + 10 * rng.normal(size=(200, 8, 12))
    if fixed:
        values[:, :2, :4] = value
    else:
        values[rng.random(values.shape) < 1 / 12] = value
    said: list[str] = []
    array_source(values, log=said.append)
    (sentence,) = [each for each in said if "missing=(" in each]
    told = sentence.partition("missing=(")[2].partition(",)")[0]
    assert sentence.startswith(f"{told} stands in 8.") and float(told) == value
    low, high = re.search(r"far from the rest, ([\d.]+) to ([\d.]+)", sentence).groups()  # type: ignore[union-attr]
    assert float(low) < float(high)
    missing: list[str] = []
    array_source(values, missing=(float(told),), log=missing.append)  # what the sentence says is of use
    assert "are missing" in " ".join(missing) and "No value" not in " ".join(missing)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=(100, 20)).clip(-1, 1),
        np.maximum(np.random.default_rng(0).gamma(0.5, size=(100, 20)) - 1, 0),  # rain
        np.random.default_rng(0).integers(0, 2, (100, 20)),
        np.random.default_rng(0).integers(0, 65536, (100, 4, 5)).clip(0, 60000),
        np.random.default_rng(0).standard_cauchy(size=(100, 20)),
    ],
)
def test_limits_zeros_and_outliers_are_not_pointed_out(values: np.ndarray) -> None:
    said: list[str] = []
    array_source(values, log=said.append)
    assert said == []


def test_whole_numbers_beyond_2_53_are_exact_where_their_spread_is_small() -> None:
    for first in (2**53, 2**62, -(2**63), 2**63 - 10_000):
        values = first + np.random.default_rng(0).integers(0, 9_999, (200, 3))
        source = array_source(values)
        train = source.split.train.numpy()
        assert (back(source)[train] == values[train]).all()


def test_whole_numbers_of_a_large_spread_are_said_to_lose_steps() -> None:
    said: list[str] = []
    values = np.random.default_rng(0).integers(0, 2**40, (200, 3))
    source = array_source(values, log=said.append)
    assert len(said) == 1 and "come back to the nearest 131072" in said[0]
    assert np.abs(back(source) - values)[source.split.train.numpy()].max() <= 131072 / 2
    said.clear()
    array_source(np.random.default_rng(0).integers(0, 2**22, (200, 3)), log=said.append)
    assert said == []


def test_half_precision_does_not_overflow_and_a_large_offset_loses_nothing_of_the_spread() -> None:
    half = np.linspace(-65504, 65504, 600, dtype="f2").reshape(200, 3)
    assert np.isfinite(drawn(array_source(half))).all()
    offset = 1e9 + 1e-3 * np.random.default_rng(0).normal(size=(200, 3))
    source = array_source(offset)
    assert np.abs(back(source) - offset).max() < 1e-3 * 1e-6 * 4


def test_tiny_and_huge_numbers_have_a_deviation() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    for unit in (1e-200, 1e200):
        codec = array_source(unit * values).codec
        torch.testing.assert_close(codec.scale / unit, array_source(values).codec.scale)  # type: ignore[attr-defined, union-attr]


def test_names_must_fit_and_come_from_a_npz_too(tmp_path: Any) -> None:
    with pytest.raises(UserError, match=r"array has 2 channels: 3 names: a, b, c. Give each a name"):
        array_source(two_units("NCHW"), channels=("a", "b", "c"))
    with pytest.raises(UserError, match="array has 2 channels: 2 names"):
        array_source(two_units("NCHW"), channels=("a", "a"))
    np.savez(tmp_path / "a.npz", x=two_units("NCHW"), names=np.array(["t", "q"]), units=np.array(["K", "kg/kg", "?"]))
    assert open_source(tmp_path / "a.npz").codec.channels == ("t", "q")  # type: ignore[attr-defined, union-attr]


def test_a_value_missing_where_none_was_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    rows[::3, 1] = np.nan
    codec = array_source(rows).codec
    rows[1, 2] = np.nan
    with pytest.raises(UserError, match=r"missing where none of the samples .*: at \(2,\) of a sample"):
        codec.encode(torch.from_numpy(rows))


def test_an_array_without_a_value_is_refused() -> None:
    with pytest.raises(UserError, match="All values of array are missing"):
        array_source(np.full((30, 4), np.nan))
    with pytest.raises(UserError, match="All values of the array are masked"):
        array_source(np.ma.masked_array(np.arange(90).reshape(30, 3), True))


def test_state_round_trip_and_states_of_older_releases() -> None:
    values = two_units("NCHW")
    values[::3, 0, 1, 1], values[:, 1, 0] = np.nan, 3.25
    source = array_source(values, channels=("t", "q"))
    codec = source.codec
    assert isinstance(codec, Codec)
    noise = torch.randn(5, *source.shape)
    again = Codec.from_state(codec.state())
    np.testing.assert_array_equal(again.decode_numpy(noise), codec.decode_numpy(noise))
    assert again.named(2) == ("t", "q")
    older = {name: value for name, value in codec.state().items() if name not in ("base", "parts", "channels")}
    assert Codec.from_state(older).parts is None
