import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wassergan.data.codec import Codec, from_channels_first, pixel_codec, standard_codec, to_channels_first, torch_dtype
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError

SHAPES = {"N": (6,), "ND": (6, 5), "NHW": (6, 4, 3), "NHWC": (6, 4, 3, 2), "NCHW": (6, 2, 4, 3)}


@given(levels=hnp.arrays(np.uint8, (3, 4, 5, 3)), layout=st.sampled_from(["NHWC", "NCHW"]))
def test_grey_levels_come_back_bit_for_bit(levels: np.ndarray, layout: str) -> None:
    codec = pixel_codec(layout)
    encoded = codec.encode(torch.from_numpy(levels))
    assert encoded.dtype == torch.float32
    back = codec.decode_numpy(encoded)
    assert back.dtype == np.uint8 and (back == levels).all()


def test_grey_levels_span_minus_one_to_one() -> None:
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None]
    torch.testing.assert_close(pixel_codec("NHW").encode(levels).flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_every_grey_level_survives_and_values_outside_are_clamped() -> None:
    codec = pixel_codec("NHW")
    every = torch.arange(256).to(torch.uint8)[:, None, None]
    assert torch.equal(codec.decode(codec.encode(every)), every)
    assert codec.decode(torch.tensor([-7.0, 7.0])[:, None, None, None]).flatten().tolist() == [0, 255]


@pytest.mark.parametrize("layout", SHAPES)
def test_layouts_put_channels_first_and_come_back(layout: str) -> None:
    values = torch.arange(np.prod(SHAPES[layout])).reshape(SHAPES[layout])  # type: ignore[call-overload]
    first = to_channels_first(values, layout)
    expected = {"N": (6, 1), "ND": (6, 5), "NHW": (6, 1, 4, 3), "NHWC": (6, 2, 4, 3), "NCHW": (6, 2, 4, 3)}
    assert first.shape == expected[layout]
    assert torch.equal(from_channels_first(first, layout), values)
    if layout == "NHWC":
        assert first[1, 1, 2, 0] == values[1, 2, 0, 1]


@given(
    values=hnp.arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3), unique=True),
    offset=st.floats(-1e5, 1e5),
    unit=st.floats(1e-3, 1e3),
    layout=st.sampled_from(["feature", "array"]),
)
def test_floats_come_back_to_a_millionth(values: np.ndarray, offset: float, unit: float, layout: str) -> None:
    user = values * unit + offset
    if (np.ptp(user[:, :], axis=0) == 0).any() or (user.std(axis=0) < 1e-9 * abs(offset)).any():
        return
    try:
        source = array_source(user, scale=layout)
    except UserError:  # the ten training rows happen to be constant
        return
    rows = torch.arange(12)
    back = source.codec.decode_numpy(source.codec.encode(source.values(rows)))
    assert back.dtype == np.float64
    spread = np.abs(user) + np.ptp(user, axis=0)
    assert (np.abs(back - user) <= 1e-6 * spread).all()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint16", "uint32", "bool", "<i4", ">i2"])
def test_whole_numbers_come_back_exactly_in_their_own_type(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (40, 3)).astype(dtype)
    source = array_source(values)
    back = source.codec.decode_numpy(source.codec.encode(source.values(torch.arange(40))))
    assert back.dtype == np.dtype(dtype) and (back == values).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_keep_their_type(dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(dtype)
    source = array_source(values)
    back = source.codec.decode_numpy(source.codec.encode(source.values(torch.arange(40))))
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_allclose(back.astype("f8"), values.astype("f8"), rtol=1e-6, atol=2e-6)


def test_standardised_values_have_mean_zero_and_deviation_one_per_feature_over_training_rows() -> None:
    values = np.random.default_rng(0).normal([5, -300], [2, 40], (200, 2))
    source = array_source(values)
    train = source.train(torch.arange(source.train_count)).double()
    torch.testing.assert_close(train.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_generated_floats_may_leave_the_observed_range_by_a_tenth_and_whole_numbers_not_at_all() -> None:
    def bounds(dtype: str) -> tuple[float, float]:
        zero, ten, three = (torch.tensor(v, dtype=torch.float64) for v in (0.0, 10.0, 3.0))
        codec = standard_codec("ND", dtype, mean=three, deviation=three, smallest=zero, largest=ten)
        return (codec.low * 3 + 3).item(), (codec.high * 3 + 3).item()

    assert bounds("float32") == pytest.approx((-1.0, 11.0))
    assert bounds("int32") == pytest.approx((0.0, 10.0))


def test_state_holds_everything_that_decoding_needs() -> None:
    source = array_source(np.random.default_rng(0).normal(size=(20, 4, 4)))
    again = Codec.from_state(source.codec.state())
    samples = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.decode(samples), source.codec.decode(samples))


def test_types_that_are_no_numbers_have_no_tensor() -> None:
    with pytest.raises(UserError, match="must be numbers: type <U3"):
        torch_dtype(np.dtype("<U3"))


def test_decoding_leaves_its_samples_alone() -> None:
    for dtype in (torch.float32, torch.float64):
        samples = torch.linspace(-1, 1, 12, dtype=dtype).view(2, 1, 2, 3)
        before = samples.clone()
        pixel_codec("NHW").decode(samples)
        assert torch.equal(samples, before)
