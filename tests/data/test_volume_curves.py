"""Two-point curves of training volumes: which pairs of voxels are counted."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wassergan.data import open_source
from wassergan.data.volumes import VolumeCodec, fitting
from wassergan.data.volumes.fitting import curves_of, pair_shares

PHASES = (0, 1, 2)


def counted(volumes: NDArray[Any], there: NDArray[np.bool_], phase: int, axis: int, lag: int) -> float:
    """The share of the pairs, voxel by voxel."""
    both = total = 0
    for number, channel, *place in np.ndindex(volumes.shape):
        other = list(place)
        other[axis] += lag
        if other[axis] >= volumes.shape[2 + axis]:
            continue
        first, second = (number, *place), (number, *other)
        if there[first] and there[second]:
            total += 1
            both += volumes[(number, channel, *place)] == phase == volumes[(number, channel, *other)]
    return both / max(1, total)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 6)] * 3), st.integers(1, 3), st.booleans())
def test_pairs_are_those_of_voxels_that_are_seen_however_the_volume_is_cut(
    seed: int, sides: tuple[int, int, int], layers: int, masked: bool
) -> None:
    numbers = np.random.default_rng(seed)
    volumes = numbers.integers(0, 3, (2, 1, *sides))
    there = numbers.random((2, *sides)) < (0.7 if masked else 1.1)
    behind = sides[0] // 2

    def slabs() -> Any:
        for start in range(0, sides[0], layers):
            part = slice(start, start + layers + behind)
            known = there[:, part] if masked else None
            yield volumes[:, :, part], known, min(layers, sides[0] - start)

    (found,) = pair_shares(slabs(), PHASES, sides)
    for phase in PHASES:
        for axis in range(3):
            expected = [counted(volumes, there, phase, axis, lag) for lag in range(sides[axis] // 2 + 1)]
            assert found[phase][axis] == pytest.approx(expected)


def test_channels_have_curves_of_their_own_in_any_layout() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (5, 4, 6, 3, 2))
    rows[..., 1] = rows[..., :1, 1]  # the second channel does not vary along the last axis
    first, second = curves_of(lambda: iter([rows[:2], rows[2:]]), (0, 1), "NDHWC")
    assert [len(line) for line in first[0]] == [3, 4, 2]
    assert second[1][2][1] == pytest.approx(second[1][2][0]) and first[1][2][1] < first[1][2][0] - 0.1


def test_of_many_volumes_some_at_random_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.repeat(np.tile([0, 1], 400), 64).reshape(800, 1, 4, 4, 4)  # every second volume is full
    monkeypatch.setattr(fitting, "MOST_COUNTED", rows.size // 2)
    (found,) = curves_of(lambda: (rows[at : at + 50] for at in range(0, 800, 50)), (0, 1), "NCDHW")
    assert found[1][0][0] == pytest.approx(0.5, abs=0.1) and found[1][0] == pytest.approx([found[1][0][0]] * 3)


def test_crops_have_the_curves_of_the_voxels_that_are_not_held_out() -> None:
    rock = np.zeros((24, 24, 24), bool)
    rock[::2] = True  # layers
    source = open_source(rock, crop=(8, 8, 8), seed=3)
    codec = source.codec
    assert isinstance(codec, VolumeCodec)
    across, along, _ = codec.curves[0][1]
    share = codec.shares[0][1]
    assert across[0] == pytest.approx(share) and across[1] == 0 and across[2] == pytest.approx(share, abs=0.05)
    assert along == pytest.approx([share] * 5, abs=0.02)
