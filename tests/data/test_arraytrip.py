"""Arrays of any type, shape, layout, scale and offset come back as they were, or are refused with a word."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wassergan.data import Codec, Source, open_source
from wassergan.data.arraytrip import round_trip
from wassergan.data.codec import channels_first
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError

DTYPES = [
    "?",
    "u1",
    "i1",
    "<u2",
    ">u2",
    "<i2",
    ">i4",
    "<u4",
    "i8",
    ">i8",
    "u8",
    "f2",
    ">f2",
    "f4",
    ">f4",
    "f8",
    ">f8",
    "g",
]
SHAPES = {"N": (), "ND": (3,), "NHW": (4, 5), "NHWC": (4, 5, 2), "NCHW": (2, 4, 5)}


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray, str, list[float]]:
    """Rows, their layout, and what stands for missing values beside NaN."""
    dtype, layout = np.dtype(draw(st.sampled_from(DTYPES))), draw(st.sampled_from(sorted(SHAPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(20, 60)), *SHAPES[layout])
    unit = draw(st.sampled_from([1.0, 1e-3, 1e3, 1e9, 1e-30, 1e30]))
    offset = draw(st.sampled_from([0.0, 1.0, -300.0, 1e6, 1e9])) * unit
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = (
                (offset + unit * rng.normal(size=shape)).clip(-6e4, 6e4)
                if dtype.itemsize == 2
                else (offset + unit * rng.normal(size=shape))
            )
            values = values.astype(dtype)
    elif dtype.kind == "b":
        values = rng.random(shape) < 0.5
    else:
        limits = np.iinfo(dtype)  # type: ignore[type-var]
        top = min(int(limits.max), 2**63 - 1)
        low = draw(st.sampled_from([max(int(limits.min), -50), int(limits.min), 0, max(0, top - 2**20)]))
        values = rng.integers(
            low, min(top, low + draw(st.sampled_from([3, 200, 2**20, 2**40]))), shape, dtype.newbyteorder("=")
        )
        values = values.astype(dtype)
    first = channels_first(values, layout)
    if first.ndim > 1 and first[0].size > 1 and draw(st.booleans()):
        first[:, 0, ...] = first[0, 0, ...]
    codes: list[float] = []
    if draw(st.booleans()) and first[0].size > 1:
        missing = rng.random(first.shape) < 0.2
        if draw(st.booleans()):
            missing[:, -1] = missing[:1, -1]
        if dtype.kind == "f":
            first[missing] = np.nan
        elif dtype.kind in "iu":
            codes = [int(first.max())]
            first[missing] = codes[0]
    return (np.asfortranarray(values) if draw(st.booleans()) else values), layout, codes


def opened(values: np.ndarray, layout: str, codes: list[float]) -> Source | None:
    try:
        return open_source(values, layout=layout, missing=codes)
    except UserError as error:
        assert "equal" in str(error) or "missing" in str(error)  # all samples are
        return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrays())
def test_rows_come_back_in_value_type_shape_and_byte_order(drawn: tuple[np.ndarray, str, list[float]]) -> None:
    values, layout, codes = drawn
    source = opened(values, layout, codes)
    if source is None:
        return
    codec = source.codec
    assert isinstance(codec, Codec) and source.round_trip is not None
    train = source.split.train_rows(torch.arange(source.train_count))
    before = values[train.numpy()]
    after = codec.decode_numpy(codec.encode(source.values(train)))
    assert (after.dtype, after.shape) == (values.dtype, before.shape)
    old, new = (channels_first(each, layout) for each in (before, after))
    gone = np.isnan(old) if values.dtype.kind == "f" else np.isin(old, codes)
    assert ((np.isnan(new) if values.dtype.kind == "f" else np.isin(new, codes)) == gone).all()
    whole = channels_first(values, layout)
    for place in np.ndindex(whole.shape[1:]):
        there = whole[(slice(None), *place)]
        there = there[~(np.isnan(there) if values.dtype.kind == "f" else np.isin(there, codes))]
        if there.size and (there == there[0]).all():
            own = new[(slice(None), *place)]
            assert (own[~gone[(slice(None), *place)]] == there[0]).all()
    exact, near = old[~gone].astype(np.longdouble), new[~gone].astype(np.longdouble)
    if exact.size == 0:
        return
    spread = exact.max() - exact.min()
    if values.dtype.kind == "f":
        assert (abs(near - exact) <= 1e-6 * spread + 2 * np.spacing(abs(exact).astype(values.dtype))).all()
    elif spread < 2**22:
        assert (near == exact).all()
    else:
        assert (abs(near - exact) <= spread / 2**22).all()


def damaged(source: Source, **changes: Any) -> Source:
    from dataclasses import replace

    return replace(source, codec=replace(source.codec, **changes))  # type: ignore[type-var]


# The guard itself: what would come back as something else is found.
def test_damage_on_the_way_is_refused_with_place_and_value() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3)).astype("f4")
    with pytest.raises(UserError, match="would come back in another form: float64"):
        source = array_source(rows)
        object.__setattr__(source.codec, "_numbers", lambda samples: samples.double().numpy())
        round_trip(source)
    whole = rng.integers(0, 1000, (50, 3))
    source = array_source(whole)
    bounds = {"low": source.codec.low / 2, "high": source.codec.high / 2}  # type: ignore[attr-defined, union-attr]
    with pytest.raises(UserError, match=r"comes back as another value .* as \d+ in row \d+, at \(\d,\) channels first"):
        round_trip(damaged(source, **bounds))
    rows[::3, 1] = np.nan
    source = array_source(rows)
    object.__setattr__(source.codec.parts, "put", lambda rows, missing: None)  # type: ignore[attr-defined, union-attr]
    with pytest.raises(UserError, match="misses values where it had some"):
        round_trip(source)


def test_the_round_trip_is_said(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype("f4")
    trip = open_source(rows).round_trip
    assert trip is not None and trip.words() == "as written: all 3 features"
    wide = np.random.default_rng(0).integers(0, 2**40, (50, 2))
    trip = open_source(wide).round_trip
    assert trip is not None and "2 of 2 features change: feature 0: whole numbers come back within" in trip.words()


def test_pictures_come_back_from_png_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3), np.uint8)
    pixels[0], pixels[1] = 0, 255
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / f"{number:02}.png")
    source = open_source(tmp_path)
    decoded = source.codec.decode_numpy(source.codec.encode(source.values(torch.arange(30))))  # type: ignore[union-attr]
    for number, each in enumerate(decoded):
        Image.fromarray(each).save(tmp_path / f"back-{number:02}.png")
        with Image.open(tmp_path / f"back-{number:02}.png") as picture:
            assert (np.asarray(picture) == pixels[number]).all()
    assert source.round_trip is not None and source.round_trip.words() == "as written: all 3 channels"


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (np.ones((30, 2), dtype=complex), "real and imaginary parts"),
        (np.zeros(30, dtype="datetime64[s]"), "days since a date"),
        (np.zeros(30, dtype="timedelta64[s]"), "for example hours"),
        (np.zeros(30, dtype=[("t", "f4")]), "fields apart"),
        (np.array([[1, None]] * 30, dtype=object), "DataFrame"),
    ],
)
def test_arrays_of_other_kinds_are_refused_with_what_mends_them(values: np.ndarray, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        open_source(values)


# A bound such as -43.99999999999999 loses its fraction after the values were rounded.
def test_the_ends_of_whole_numbers_come_back() -> None:
    for seed in range(60):
        values = np.random.default_rng(seed).integers(-128, 127, 40).astype("i1")
        source = array_source(values)
        train = source.split.train
        after = source.codec.decode_numpy(source.codec.encode(source.values(train)))  # type: ignore[union-attr]
        assert (after == values[train.numpy()]).all()
