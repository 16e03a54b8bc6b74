import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve1d

from wassergan.distances.pyramid import laplacian_pyramid, pyramid_sizes

FILTER = np.array([1, 4, 6, 4, 1]) / 16


def reduced(picture: np.ndarray, axis: int) -> np.ndarray:
    """With SciPy's own convolution and mirrored edges."""
    if picture.shape[axis] < 8:
        return picture
    smooth = convolve1d(picture, FILTER, axis=axis, mode="mirror")
    return smooth.take(np.arange(0, picture.shape[axis], 2), axis=axis)


def expanded(picture: np.ndarray, axis: int, size: int) -> np.ndarray:
    if size < 8:
        return picture
    spread = np.zeros([*picture.shape[:axis], size, *picture.shape[axis + 1 :]])
    spread[(slice(None),) * axis + (slice(0, None, 2),)] = picture
    return convolve1d(spread, 2 * FILTER, axis=axis, mode="mirror")


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_levels_are_scipy_s_and_add_up_to_the_picture(height: int, width: int, seed: int) -> None:
    pictures = np.random.default_rng(seed).standard_normal((2, 3, height, width))
    levels = [level.numpy() for level in laplacian_pyramid(torch.from_numpy(pictures))]
    assert [level.shape[2:] for level in levels] == pyramid_sizes(height, width)
    rest = pictures
    for level in levels[:-1]:
        smaller = reduced(reduced(rest, 2), 3)
        back = expanded(expanded(smaller, 2, rest.shape[2]), 3, rest.shape[3])
        np.testing.assert_allclose(level, rest - back, atol=1e-12)
        rest = smaller
    np.testing.assert_allclose(levels[-1], rest, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "sides"),
    [(7, [7]), (8, [8, 4]), (12, [12, 6]), (20, [20, 10]), (23, [23, 12]), (28, [28, 14]), (32, [32, 16]),
     (48, [48, 24, 12]), (64, [64, 32, 16]), (128, [128, 64, 32, 16])],
)  # fmt: skip
def test_pictures_have_two_levels_at_least_and_stop_at_twelve(size: int, sides: list[int]) -> None:
    assert pyramid_sizes(size, size) == [(side, side) for side in sides]


def test_a_short_axis_keeps_its_length() -> None:
    assert pyramid_sizes(3, 100) == [(3, 100), (3, 50), (3, 25), (3, 13)]


def test_constants_are_smooth_at_every_scale() -> None:
    *bands, rest = laplacian_pyramid(torch.full((1, 1, 61, 64), 2.5))
    assert all(band.abs().max() < 1e-6 for band in bands)
    torch.testing.assert_close(rest, torch.full_like(rest, 2.5))
