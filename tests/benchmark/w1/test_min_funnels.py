import hashlib
import math

import pytest
import torch

from wassergan.benchmark.w1 import STANDARD_PAIRS, MinFunnels, min_funnels, parameter_hash, standard_pair
from wassergan.errors import UserError

# SHA-256 of the 28 hashes one after the other.
PINNED = "17b81763248d3d36c07c571d4fa7f392f48d6758fb1bfc33b55183cc84eb5635"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dim", "count"), STANDARD_PAIRS)
def test_duality_holds_point_by_point_and_the_low_noise_truth_agrees_with_monte_carlo(dim: int, count: int) -> None:
    pair = standard_pair(dim, count)
    points = pair.fake(4000, rng=seeded(1))
    moved = pair.move(points)
    distances = (points - moved).norm(dim=1)
    # u(x) - u(Tx) = ‖x - Tx‖ with u = -f*.
    assert (pair.potential(moved) - pair.potential(points) - distances).abs().max() <= 1e-12
    assert (moved.abs() <= pair.half_width).all()
    truth = pair.truth_from(points)
    plain, plain_error = distances.mean().item(), distances.std().item() / math.sqrt(len(points))
    assert abs(plain - truth.w1) <= 3 * math.hypot(plain_error, truth.standard_error)
    assert truth.standard_error < plain_error
    assert abs(pair.truth.w1 - truth.w1) <= 4 * truth.standard_error


def test_the_parameters_of_the_standard_pairs_are_pinned() -> None:
    combined = "".join(parameter_hash(standard_pair(dim, count)) for dim, count in STANDARD_PAIRS)
    assert hashlib.sha256(combined.encode()).hexdigest() == PINNED


def test_other_parameters_have_another_hash() -> None:
    pair = standard_pair(2, 4)
    shifted = MinFunnels(pair.centres, pair.offsets + 1e-6)
    assert parameter_hash(shifted) != parameter_hash(pair)


def test_potential_agrees_with_brute_force_and_is_1_lipschitz() -> None:
    pair = min_funnels(3, 5, rng=seeded(3))
    points = pair.fake(200, rng=seeded(4))
    brute = torch.stack(
        [
            torch.stack([(x - a).norm() + b for a, b in zip(pair.centres, pair.offsets, strict=True)]).min()
            for x in points
        ]
    )
    torch.testing.assert_close(pair.potential(points), -brute, rtol=0, atol=1e-14)
    heights, apart = pair.potential(points), torch.cdist(points, points)
    assert ((heights[:, None] - heights).abs() <= apart + 1e-12).all()


def test_gradient_agrees_with_finite_differences() -> None:
    pair = min_funnels(3, 5, rng=seeded(3))
    points, step = pair.fake(50, rng=seeded(4)), 1e-6
    columns = [
        (pair.potential(points + step * axis) - pair.potential(points - step * axis)) / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    torch.testing.assert_close(pair.potential_gradient(points), torch.stack(columns, 1), rtol=0, atol=1e-6)


def test_rays_end_where_a_fine_walk_along_them_stops_rising_at_slope_one() -> None:
    pair = min_funnels(2, 6, rng=seeded(5))
    points = pair.fake(40, rng=seeded(6))
    (rays,) = pair.rays(points)
    for i in range(len(points)):
        walk = rays.centre[i] + torch.linspace(0, 8, 8001, dtype=torch.float64)[:, None] * rays.direction[i]
        inside = (walk.abs() <= pair.half_width + 1e-12).all(1)
        heights = (
            rays.height[i] - rays.travelled[i] + 1e-3 * torch.arange(8001, dtype=torch.float64)
        )  # slope one from the centre on
        rising = (-pair.potential(walk) - heights).abs() < 1e-9
        stop = (inside & rising).double().cumprod(0).sum() * 1e-3
        assert rays.length[i].item() == pytest.approx(stop.item(), abs=2e-3)


def test_one_funnel_in_the_middle_of_an_interval_has_a_closed_form() -> None:
    # One funnel on [-h, h]: a ball of radius h in D = 1, W1 = h (p - 1) / (2 (p + 1)), with no noise at all.
    pair = MinFunnels(torch.zeros(1, 1), torch.zeros(1), power=8)
    assert pair.truth.w1 == pytest.approx(2.5 * 7 / (2 * 9), rel=1e-12)
    assert pair.truth.standard_error < 1e-12


def test_a_point_on_a_centre_and_a_power_of_one_stay_put() -> None:
    pair = min_funnels(3, 4, rng=seeded(0))
    assert torch.equal(pair.move(pair.centres), pair.centres)
    still = MinFunnels(pair.centres, pair.offsets, power=1)
    points = still.fake(100, rng=seeded(1))
    torch.testing.assert_close(still.move(points), points, rtol=0, atol=1e-12)
    assert still.truth.w1 == 0


def test_equal_generators_draw_equal_points_and_real_ones_are_moved_fakes() -> None:
    pair = standard_pair(4, 16)
    assert torch.equal(pair.real(10, rng=seeded(7)), pair.move(pair.fake(10, rng=seeded(7))))


@pytest.mark.parametrize(
    ("centres", "offsets", "more", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3), {}, r"centres \(N, D\) and offsets \(N,\): shapes \(2, 3\) and \(3,\)"),
        (torch.full((1, 2), 3.0), torch.zeros(1), {}, "Every centre must lie in the box: 3 > 2.5"),
        (torch.zeros(1, 2), torch.zeros(1), {"power": 0.5}, "a power of at least 1: 2.5 and 0.5"),
    ],
)
def test_wrong_parameters_are_refused(
    centres: torch.Tensor, offsets: torch.Tensor, more: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        MinFunnels(centres, offsets, **more)


def test_only_standard_pairs_are_standard() -> None:
    with pytest.raises(UserError, match=r"no such standard pair: \(3, 4\). D is one of \[2, 4, 8"):
        standard_pair(3, 4)
