"""Judges of volumes: known values, and volumes that are wrong in known ways rank as they should."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import wasserstein_distance

from wassergan.evaluation.memorisation import memorisation
from wassergan.evaluation.verdict import FAILED, FAR, GOOD, Verdict
from wassergan.evaluation.volumes import VolumePatches, VolumePopulations, inside_rows, with_inside
from wassergan.evaluation.volumes.patches import levels
from wassergan.evaluation.volumes.statistics import chord_counts, chord_w1, curve, curve_deviation, sets_of, two_point

Volumes = NDArray[np.float64]
SIDE, COUNT = 16, 160
INSIDE = ("share_w1", "share_error", "two_point_error", "chord_length_w1")


def grains(count: int, seed: int) -> Volumes:
    """Two phases, longer along the last axis: 0 in about 30 % of the voxels."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 1.0, 1.0, 2.5), mode="wrap")
    return (smooth > -0.524 * smooth.std()).astype(float)[:, None]


def porosity(values: Volumes) -> float:
    return float((values == 0).mean())


def blurred(volumes: Volumes) -> Volumes:
    smooth = ndimage.uniform_filter(volumes, (0, 0, 5, 5, 5), mode="wrap")
    return (smooth > np.quantile(smooth, porosity(volumes))).astype(float)


def noise(volumes: Volumes) -> Volumes:
    return (np.random.default_rng(1).random(volumes.shape) > porosity(volumes)).astype(float)


def shuffled(volumes: Volumes) -> Volumes:
    return np.random.default_rng(2).permuted(volumes.reshape(len(volumes), -1), axis=1).reshape(volumes.shape)


def transposed(volumes: Volumes) -> Volumes:
    return np.swapaxes(volumes, 2, 4).copy()


def repeated(volumes: Volumes) -> Volumes:
    return np.repeat(volumes[:1], len(volumes), 0)


def filled(volumes: Volumes) -> Volumes:
    return np.maximum(volumes, np.random.default_rng(3).random(volumes.shape) < 0.15)


@pytest.fixture(scope="module")
def real() -> tuple[Volumes, Volumes]:
    return grains(COUNT, 10), grains(COUNT, 11)


@pytest.fixture(scope="module")
def patches(real: tuple[Volumes, Volumes]) -> tuple[VolumePatches, float]:
    reference = VolumePatches(torch.from_numpy(real[1]), rng=torch.Generator().manual_seed(0))
    return reference, reference.distance(torch.from_numpy(real[0])).value


@pytest.mark.parametrize(
    ("wrong", "far"),
    [
        (lambda volumes: volumes, ()),
        (blurred, ("two_point_error", "chord_length_w1")),
        (noise, ("two_point_error", "chord_length_w1", "patches")),
        (shuffled, ("two_point_error", "chord_length_w1", "patches")),
        (transposed, ("two_point_error", "chord_length_w1")),
        (repeated, ("share_w1",)),
        (filled, INSIDE),
    ],
)
def test_what_is_wrong_inside_is_far(
    wrong: Callable[[Volumes], Volumes],
    far: tuple[str, ...],
    real: tuple[Volumes, Volumes],
    patches: tuple[VolumePatches, float],
) -> None:
    made = wrong(grains(COUNT, 12))
    rows = inside_rows(VolumePopulations(made, *real, (0.0, 1.0)))
    assert [row.name for row in rows] == list(INSIDE)
    found = {row.name: row.value / row.floor for row in rows if row.floor}
    found["patches"] = patches[0].distance(torch.from_numpy(made)).value / patches[1]
    assert {name for name, ratio in found.items() if ratio > FAR} >= set(far), found
    if not far:  # the error of a mean may be 0 by chance in the floor alone
        assert all(ratio < 2.5 for name, ratio in found.items() if name != "share_error"), found
    assert (found["patches"] > 1.25) == bool(far), found
    judged = with_inside(Verdict("Close.", (), GOOD), rows)
    assert (judged.level == FAILED and judged.flags == ("far",)) == bool(set(far) & set(INSIDE))
    assert ("Far from the data inside: " in judged.sentence) == bool(set(far) & set(INSIDE))


def test_copies_and_one_volume_again_and_again_are_for_other_judges(real: tuple[Volumes, Volumes]) -> None:
    flat = [torch.from_numpy(each.reshape(COUNT, -1)).float() for each in (real[0], *real, grains(COUNT, 12))]
    assert memorisation(*flat[:3]).flagged and not memorisation(flat[3], *flat[1:3]).flagged


def test_two_point_curves_are_counted_pair_by_pair() -> None:
    volumes = np.random.default_rng(0).random((3, 1, 4, 5, 6)) < 0.4
    own = sets_of(volumes.astype(float), (0.0, 1.0), np.zeros(1))
    np.testing.assert_array_equal(own[1], volumes[:, 0])
    found = two_point(own)
    assert found.shape == (3, 2, 3, 4)
    inside = volumes[2, 0]
    told = np.mean([inside[z, y, x] and inside[z, y + 2, x] for z in range(4) for y in range(3) for x in range(6)])
    assert found[2, 1, 1, 2] == pytest.approx(told)
    assert found[2, 0, 2, 0] == pytest.approx((~inside).mean())
    assert np.isnan(found[:, :, 0, 3]).all() and not np.isnan(found[:, :, 2]).any()
    assert curve_deviation(found, found) == 0 and curve(found).shape == (2, 3, 4)


def test_chords_are_runs_of_voxels() -> None:
    line = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool)
    volumes = np.broadcast_to(line, (2, 1, 2, 9))
    counts = chord_counts([volumes])
    assert counts.shape == (2, 1, 3, 10)
    assert counts[0, 0, 2].tolist() == [0, 2, 2, 2, 0, 0, 0, 0, 0, 0]
    assert counts[1, 0, 1].tolist() == [0, 0, 6, 0, 0, 0, 0, 0, 0, 0][:1] + counts[1, 0, 1].tolist()[1:]
    assert counts[1, 0, 1, 2] == 6 and counts[1, 0, 1].sum() == 6
    numbers = np.random.default_rng(0)
    sides = [numbers.random((40, 6, 7, 8)) < share for share in (0.5, 0.7)]
    left, right = (chord_counts([each]) for each in sides)
    lengths = np.arange(9)
    told = [wasserstein_distance(lengths, lengths, left.sum(0)[0, axis], right.sum(0)[0, axis]) for axis in range(3)]
    assert chord_w1(left, right) == pytest.approx(np.mean(told))


def test_numbers_are_looked_at_above_their_median() -> None:
    values = np.random.default_rng(0).normal(5, 2, (60, 2, 8, 8, 8))
    rows = inside_rows(VolumePopulations(values[:20] + 1, values[20:40], values[40:]))
    assert rows[1].name == "share_error" and rows[1].value == pytest.approx(0.19, abs=0.02)
    nothing = np.full_like(values[:20], np.nan)
    assert all(np.isfinite(row.value) for row in inside_rows(VolumePopulations(nothing, values[20:40], values[40:])))


def test_patches_are_those_of_all_scales_and_know_their_context() -> None:
    volumes = torch.randn(40, 2, 9, 16, 4, generator=torch.Generator().manual_seed(0))
    assert [tuple(each.shape[2:]) for each in levels(volumes)] == [(9, 16, 4), (4, 8, 4), (4, 4, 4)]
    context = torch.eye(2)[torch.arange(40) % 2]
    reference = VolumePatches(volumes, rng=torch.Generator().manual_seed(0), context=context)
    assert reference.distance(volumes, context=context).value == 0
    other = reference.distance(volumes, context=context[:, [1, 0]] * 0 + context[:1], with_spread=True)
    assert other.value > 0.01 and other.spread is not None and other.spread > 0
    assert list(other.scales) == [16, 8, 4] and other.value == pytest.approx(np.mean(list(other.scales.values())))
