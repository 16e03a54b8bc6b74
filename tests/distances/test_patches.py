from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from wassergan.distances import PatchEstimate, PatchReference, patch_sliced_w1, sliced_w1
from wassergan.distances import patches as module
from wassergan.distances.pyramid import laplacian_pyramid
from wassergan.errors import UserError
from wassergan.evaluation.heldout import PROJECTIONS

Pictures = torch.Tensor
COUNTS = (300, pytest.param(2000, marks=pytest.mark.slow))
KINDS = ((1, 28), (3, 32))


def strokes(count: int, channels: int, size: int, *, seed: int, kinds: int = 6) -> tuple[Pictures, torch.Tensor]:
    """Textured pictures of some kinds: a frequency and an orientation each, in a window, with a colour and grain."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(kinds, size=count)
    rows, columns = np.mgrid[:size, :size] - size / 2
    angle = np.pi * kind / kinds + rng.normal(0, 0.1, count)
    phase, width = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.2, 0.35, count) * size
    along = np.cos(angle)[:, None, None] * rows + np.sin(angle)[:, None, None] * columns
    wave = np.sign(np.sin(along * (0.9 + 0.1 * kind)[:, None, None] + phase[:, None, None]))
    window = np.exp(-(rows**2 + columns**2) / (2 * width[:, None, None] ** 2))
    tint = rng.uniform(0.5, 1, (count, channels, 1, 1))
    grain = rng.normal(0, 0.05, (count, channels, size, size))
    pictures = np.clip(1.8 * tint * (wave * window)[:, None] * 0.5 + grain, -1, 1)
    return torch.from_numpy(pictures).float(), torch.from_numpy(kind)


def scenes(count: int, channels: int, size: int, *, seed: int) -> Pictures:
    """Large smooth shapes, as most of a photograph is, under a fine texture."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(count, channels, size, size)), (0, 0, 6, 6))
    fine = gaussian_filter(rng.normal(size=smooth.shape), (0, 0, 0.5, 0.5))
    return torch.from_numpy(0.4 * smooth / smooth.std() + 0.08 * fine / fine.std()).float()


def blurred(pictures: Pictures, width: float) -> Pictures:
    return torch.from_numpy(gaussian_filter(pictures.numpy(), (0, 0, width, width)))


def noised(pictures: Pictures, deviation: float) -> Pictures:
    rng = torch.Generator().manual_seed(5)
    return (pictures + deviation * torch.randn(pictures.shape, generator=rng)).clamp(-1, 1)


def shifted(pictures: Pictures, by: float) -> Pictures:
    channels = pictures.shape[1]
    return (pictures + by * torch.linspace(1, -1, max(2, channels))[:channels].view(1, -1, 1, 1)).clamp(-1, 1)


def test_it_is_scipy_s_w1_of_the_same_patches_along_the_same_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATCHES", 50)
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 2, (11, 2, 9, 12)), rng.normal(0, 3, (7, 2, 9, 12))
    found = PatchReference(y, rng=3, projections=4)
    value, directions = found.distance(x), [level.directions.numpy() for level in found._levels]
    levels = [[level.numpy() for level in laplacian_pyramid(torch.from_numpy(each))] for each in (x, y)]
    for index, (side, distance) in enumerate(value.scales.items()):
        real = levels[1][index]
        mean, deviation = real.mean((0, 2, 3), keepdims=True), real.std((0, 2, 3), keepdims=True)
        rows = []
        for level in (levels[0][index], real):
            scaled, own = (level - mean) / deviation, []
            for number, (top, left) in enumerate(found._levels[index].positions.tolist()):
                height, width = found._levels[index].patch
                own.append(scaled[number % len(level), :, top : top + height, left : left + width].ravel())
            rows.append(np.array(own) @ directions[index].T)
        expected = np.mean([wasserstein_distance(a, b) for a, b in zip(rows[0].T, rows[1].T, strict=True)])
        assert distance == pytest.approx(expected, rel=1e-4), side
    assert value.value == pytest.approx(np.mean(list(value.scales.values())))
    assert list(value.scales) == [12, 6]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("channels", "size"), KINDS)
def test_bad_copies_rank_behind_real_pictures_and_by_how_bad_they_are(count: int, channels: int, size: int) -> None:
    held, _ = strokes(count, channels, size, seed=0)
    real, kinds = strokes(count, channels, size, seed=1)
    reference = PatchReference(held, rng=0, projections=32)
    floor = reference.distance(real).value
    worsened: dict[str, tuple[Callable[[float], Pictures], tuple[float, ...]]] = {
        "blurred": (lambda width: blurred(real, width), (0.6, 1.0, 2.0)),
        "noise": (lambda deviation: noised(real, deviation), (0.1, 0.2, 0.4)),
        "fewer kinds": (lambda left: real[(kinds < left).nonzero().flatten().repeat(20)[:count]], (4, 2, 1)),
        "colours": (lambda by: shifted(real, by), (0.1, 0.2, 0.4)),
        "memorised, with noise": (lambda noise: noised(real[:20].repeat(count // 20, 1, 1, 1), noise), (0.1, 0.2, 0.4)),
    }
    for name, (make, strengths) in worsened.items():
        values = [reference.distance(make(strength)).value for strength in strengths]
        assert floor * 1.2 < values[0] < values[1] < values[2], (name, floor, values)


@pytest.mark.parametrize(("channels", "size"), KINDS)
def test_blobs_are_far_off_where_the_pixels_call_them_good(channels: int, size: int) -> None:
    held, real = (scenes(300, channels, size, seed=seed) for seed in (0, 1))
    blobs = blurred(real, 1.0)
    reference = PatchReference(held, rng=0)
    assert reference.distance(blobs).value > 4 * reference.distance(real).value
    pixels = [sliced_w1(each.flatten(1), held.flatten(1), projections=PROJECTIONS, rng=0) for each in (blobs, real)]
    assert pixels[0] < 1.5 * pixels[1]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 100), (2, 7, 8), (12, 12, 12), (1, 128, 128)])
def test_grids_of_any_shape_are_at_no_distance_from_themselves(shape: tuple[int, ...]) -> None:
    pictures = torch.randn(20, *shape, generator=torch.Generator().manual_seed(0))
    found = patch_sliced_w1(pictures, pictures, rng=0, projections=8)
    assert found.value == 0 and all(value == 0 for value in found.scales.values())
    assert patch_sliced_w1(pictures + 1, pictures, rng=0, projections=8).value > 0


def test_units_do_not_matter_channel_by_channel() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.2, 1, (40, 2, 16, 16)), rng.normal(0, 1, (50, 2, 16, 16))
    unit = np.array([1e-3, 250]).reshape(1, 2, 1, 1)
    other = patch_sliced_w1(x * unit + 3 * unit, y * unit + 3 * unit, rng=0, projections=16)
    assert patch_sliced_w1(x, y, rng=0, projections=16).value == pytest.approx(other.value, rel=1e-3)


def test_a_constant_channel_weighs_nothing_unless_it_varies() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(0, 1, (40, 2, 16, 16)) for _ in range(2))
    x[:, 1] = y[:, 1] = 1000.3
    floor = patch_sliced_w1(x, y, rng=0).value
    x[:, 1] += 1000
    assert floor < 0.1 and patch_sliced_w1(x, y, rng=0).value > 2 * floor


def test_the_same_seed_gives_the_same_number_and_draws_nothing_from_the_global_state() -> None:
    x, y = (torch.randn(9, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    outside = torch.get_rng_state()
    assert patch_sliced_w1(x, y, rng=1) == patch_sliced_w1(x.numpy()[:, 0], y, rng=1) != patch_sliced_w1(x, y, rng=2)
    assert torch.equal(outside, torch.get_rng_state())


def test_how_pictures_are_divided_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (torch.randn(90, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    whole = patch_sliced_w1(x, y, rng=1, projections=8)
    monkeypatch.setattr(module, "_PICTURES_AT_ONCE", 7 * 144)
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", 1000)
    assert patch_sliced_w1(x, y, rng=1, projections=8).value == pytest.approx(whole.value, rel=1e-5)


def test_labels_that_do_not_go_with_the_pictures_are_seen() -> None:
    held, kinds = strokes(500, 1, 28, seed=0)
    real, own = strokes(500, 1, 28, seed=1)
    vectors = [torch.nn.functional.one_hot(each, 6).float() for each in (kinds, own)]
    reference = PatchReference(held, rng=0, context=vectors[0], projections=32)
    floor = reference.distance(real, context=vectors[1]).value
    assert reference.distance(real, context=vectors[1].roll(1, 1)).value > 1.5 * floor


def spread_of(x: Pictures, y: Pictures) -> PatchEstimate:
    return patch_sliced_w1(x, y, rng=0, projections=8, with_spread=True)


def test_the_spread_is_about_the_deviation_over_draws_of_the_data() -> None:
    found = [spread_of(*(strokes(60, 1, 16, seed=seed + side)[0] for side in (0, 1))) for seed in range(0, 20, 2)]
    actual = np.std([each.value for each in found], ddof=1)
    assert 0.5 * actual < np.mean([each.spread or 0.0 for each in found]) < 4 * actual


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((3, 5)), r"x must hold pictures, .* \(3, 5\)"),
        (np.zeros((0, 1, 5, 5)), r"x must hold pictures"),
        (np.full((3, 1, 5, 5), np.nan), r"x must be finite"),
        (np.zeros((3, 1, 5, 6)), r"x and y must hold pictures of one size"),
    ],
)
def test_what_cannot_be_compared_is_refused(x: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=said):
        patch_sliced_w1(x, np.zeros((3, 1, 5, 5)), rng=0)
