"""Crops of large volumes: cut as they lie there, on the scale of the whole, and no voxel on both sides."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.data.volumes import crops
from wassergan.data.volumes.codec import VolumeCodec
from wassergan.data.volumes.crops import CropReader
from wassergan.errors import UserError
from wassergan.session.fingerprint import fingerprint


def starts_of(source: Any) -> NDArray[np.int64]:
    assert isinstance(source.reader, CropReader)
    return source.reader.starts


def places(source: Any, which: Any, crop: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels (V, D, H, W) of all crops of one side."""
    found = np.zeros(shape, bool)
    for volume, z, y, x in starts_of(source)[which.numpy()]:
        found[volume, z : z + crop[0], y : y + crop[1], x : x + crop[2]] = True
    return found


@settings(max_examples=15, deadline=None)
@given(
    volumes=some.integers(1, 3),
    sides=some.tuples(*(some.integers(6, 13),) * 3),
    crop=some.tuples(*(some.integers(2, 5),) * 3),
    heldout=some.floats(0.03, 0.4),
    seed=some.integers(0, 5),
)
def test_no_voxel_is_on_both_sides(
    volumes: int, sides: tuple[int, int, int], crop: tuple[int, int, int], heldout: float, seed: int
) -> None:
    values = np.random.default_rng(0).normal(size=(volumes, *sides)).astype("f4")
    try:
        source = open_source(values, layout="NDHW", crop=crop, heldout=heldout, seed=seed)
    except UserError as error:
        assert "is too small to hold crops out" in str(error)
        assert all(side < 2 * own for side, own in zip(sides, crop, strict=True))
        return
    train, held = (places(source, each, crop, values.shape) for each in (source.split.train, source.split.heldout))
    assert train.any() and held.any() and not (train & held).any()
    room = np.prod([min(side, own + 2) for side, own in zip(sides, crop, strict=True)])
    assert 0.3 * heldout * values.size - room <= held.sum() <= 2 * heldout * values.size + room
    for row in (0, len(source) - 1):
        volume, z, y, x = starts_of(source)[row]
        own = values[volume, z : z + crop[0], y : y + crop[1], x : x + crop[2]]
        np.testing.assert_array_equal(source.values(torch.tensor([row]))[0].numpy(), own)
    again = open_source(values, layout="NDHW", crop=crop, heldout=heldout, seed=seed)
    np.testing.assert_array_equal(starts_of(again), starts_of(source))


def test_few_positions_are_all_used_and_many_are_drawn_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(20, 20, 20)).astype("f4")
    source = open_source(values, crop=(4, 4, 4))
    free = {tuple(each) for each in starts_of(source)[source.split.train.numpy()][:, 1:].tolist()}
    held = places(source, source.split.heldout, (4, 4, 4), (1, 20, 20, 20))[0]
    told = {(z, y, x) for z, y, x in product(range(17), repeat=3) if not held[z : z + 4, y : y + 4, x : x + 4].any()}
    assert free == told
    monkeypatch.setattr(crops, "MOST_CROPS", 200)
    few = open_source(values, crop=(4, 4, 4))
    assert few.train_count == 200 and len(np.unique(starts_of(few)[:200], axis=0)) == 200
    assert (starts_of(few)[:200, 1:].min(0) <= 1).all() and (starts_of(few)[:200, 1:].max(0) >= 15).all()


@pytest.mark.parametrize(
    ("shape", "layout", "kept"),
    [
        ((9, 10, 11), "auto", (4, 4, 4)),
        ((9, 10, 11, 3), "auto", (4, 4, 4, 3)),
        ((2, 9, 10, 11), "auto", (2, 4, 4, 4)),
        ((5, 9, 10, 11), "NCDHW", (5, 4, 4, 4)),
        ((9, 10, 11, 7), "NDHWC", (4, 4, 4, 7)),
        ((6, 9, 10, 11), "NDHW", (4, 4, 4)),
        ((2, 3, 9, 10, 11), "auto", (3, 4, 4, 4)),
    ],
)
def test_crops_have_the_axes_of_the_volume(shape: tuple[int, ...], layout: str, kept: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype("f4")
    source = open_source(values, layout=layout, crop=(4, 4, 4))
    rows = source.split.train[:3]
    assert source.values(rows).shape[1:] == kept
    back = source.codec.decode_numpy(source.train(torch.arange(3)))
    np.testing.assert_allclose(back, source.values(rows).numpy(), atol=1e-5)


def test_the_scale_is_that_of_the_whole_volume_and_constant_channels_stay() -> None:
    values = np.random.default_rng(0).normal([100, 5], [10, 1e-3], size=(12, 12, 12, 2)).astype("f4")
    values = np.concatenate([values, np.full((12, 12, 12, 1), 7, "f4")], 3)
    values[0, 0, 0, 0] = values[-1, -1, -1, 0] = 1000  # one of them is trained on
    source = open_source(values, crop=(5, 5, 5), log=lambda sentence: None)
    encoded = source.train(torch.arange(source.train_count))
    assert encoded.shape[1:] == (3, 5, 5, 5) and (encoded[:, 2] == 0).all()
    assert 0.9 < encoded[:, 1].std() < 1.1
    assert isinstance(source.codec, VolumeCodec) and source.codec.range_of(0)[1] > 1000
    made = source.codec.decode_numpy(torch.randn(4, 3, 5, 5, 5))
    assert made.shape == (4, 5, 5, 5, 3) and (made[..., 2] == 7).all()


def test_missing_voxels_are_missing_at_any_place_of_a_crop() -> None:
    values = np.random.default_rng(0).normal(size=(14, 14, 14)).astype("f4")
    values[3:5, 6, 2:9] = np.nan
    source = open_source(values, crop=(5, 5, 5))
    rows = torch.arange(source.train_count)
    told = source.values(source.split.train)
    encoded = source.train(rows)
    assert encoded.shape[1] == 2 and torch.equal(encoded[:, 1] < 0, told.isnan())
    np.testing.assert_array_equal(np.isnan(source.codec.decode_numpy(encoded)), told.isnan().numpy())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((9, 9, 9), {"crop": (4, 10, 4)}, "The crops are larger than array: 4x10x4 of 9x9x9. Give a smaller `crop`"),
        ((9, 9, 9), {"crop": (6, 6, 6)}, "array is too small to hold crops out: 9x9x9, crops of 6x6x6"),
        ((9, 9, 9, 9), {"crop": (3, 3, 3)}, "The axes of array are not clear"),
        ((9, 9), {"crop": (3, 3, 3)}, "array holds no volumes"),
        ((9, 9, 9), {"crop": (3, 3, 3), "layout": "NHW"}, "Volumes have the layouts NDHW"),
        ((9, 9, 9), {"crop": (3, 3, 3), "scale": "feature"}, "Crops have one scale for each channel"),
        ((9, 9, 9), {"crop": (3, 3, 3), "labels": [1]}, "`labels` is not for crops of volumes"),
        ((9, 9, 9), {"crop": (3, 3, 3), "window": 4}, "`crop` is not for series in time"),
        ((9, 9, 9), {"crop": (3, 3, 3), "channels": ("a", "b")}, "array has 1 channels: 2 names"),
        ((0, 9, 9), {"crop": (3, 3, 3)}, "array holds no voxels"),
        ((9, 9, 9), {"crop": (3, 3, 3), "heldout": 1.5}, "held-out share must lie between 0 and 1"),
    ],
)
def test_what_is_no_large_volume_is_refused(shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("`", ".")) as found:
        open_source(np.random.default_rng(0).normal(size=shape), **options)
    assert "Traceback" not in str(found.value)


def test_equal_voxels_and_other_things_are_refused() -> None:
    with pytest.raises(UserError, match="All samples of array are equal"):
        open_source(np.ones((9, 9, 9)), crop=(3, 3, 3))
    with pytest.raises(UserError, match="does not hold real numbers"):
        open_source(np.ones((9, 9, 9), complex), crop=(3, 3, 3))
    with pytest.raises(UserError, match="crops are too large"):
        open_source(np.ones((9, 9, 9)), crop=(2**20, 2**20, 1))


def test_volumes_are_told_apart_by_all_of_their_voxels() -> None:
    values = np.random.default_rng(0).integers(0, 2, (16, 16, 16)).astype("u1")
    other = values.copy()
    other[3, 4, 5] ^= 1
    first, same, changed = (fingerprint(open_source(each, crop=(4, 4, 4))) for each in (values, values.copy(), other))
    assert first == same and first["rows_checksum"] != changed["rows_checksum"]
    assert fingerprint(open_source(values, crop=(4, 4, 4), seed=1)) != first


def test_sides_of_a_crop_are_one_number_or_three() -> None:
    assert TrainSettings(crop=(4, 5, 6)).crop == (4, 5, 6)
    assert isinstance(open_source(np.random.default_rng(0).normal(size=(9, 9, 9)), crop=(2, 3, 4)).reader, CropReader)


def test_volumes_of_which_too_much_is_noted_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 9, (75, 75, 75)).astype("u1")
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "2")
    assert len(open_source(values, crop=(40, 20, 20))) > 100
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    with pytest.raises(UserError, match=r"would fill too much memory: 1,265,625 bytes.*give a smaller volume"):
        open_source(values, crop=(40, 20, 20))
