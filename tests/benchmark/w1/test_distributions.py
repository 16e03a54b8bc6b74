import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from wassergan.benchmark.w1 import (
    PAIRS,
    Balls,
    Gaussians,
    LineNormals,
    Pair,
    Shells,
    Squares,
    Translation,
    cones,
    pair_names,
)
from wassergan.distances import exact_w1, wasserstein_line
from wassergan.errors import UserError

OTHERS = pair_names("other")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["cones", "shells-128-1", "squares-64-35", "translation-16"])
def test_the_potential_attains_the_closed_form_exactly(name: str) -> None:
    # Here every optimal path has the same length, or both distributions are one distribution moved: paired draws carry
    # no noise.
    pair = PAIRS[name]()
    real, fake = (draw(300, rng=seeded(1)) for draw in (pair.real, pair.fake))
    gap = (pair.potential(real).mean() - pair.potential(fake).mean()).item()
    assert gap == pytest.approx(pair.truth.w1, abs=1e-12 * pair.truth.w1)


@pytest.mark.parametrize("name", OTHERS)
def test_the_potential_s_gap_is_w1_within_sampling_error(name: str) -> None:
    pair = PAIRS[name]()
    real, fake = pair.potential(pair.real(20_000, rng=seeded(1))), pair.potential(pair.fake(20_000, rng=seeded(2)))
    error = math.sqrt((real.var() + fake.var()).item() / 20_000)
    assert abs((real.mean() - fake.mean()).item() - pair.truth.w1) <= 4 * error + 1e-12


@pytest.mark.parametrize("name", OTHERS)
def test_potentials_are_1_lipschitz_and_diameters_hold(name: str) -> None:
    pair = PAIRS[name]()
    points = torch.cat([pair.real(150, rng=seeded(1)), pair.fake(150, rng=seeded(2))])
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    heights = pair.potential(points)
    assert ((heights[:, None] - heights).abs() <= apart + 1e-6).all()
    assert pair.diameter is None or apart.max() <= pair.diameter * (1 + 1e-12)
    assert points.shape == (300, pair.dim) and points.dtype == torch.float64


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_have_norm_one_where_directions_are_compared(name: str) -> None:
    pair = PAIRS[name]()
    gradients = pair.potential_gradient(pair.gauge(100, rng=seeded(1)))
    torch.testing.assert_close(gradients.norm(dim=1), torch.ones(100, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_ball_mixture_weighs_its_radii() -> None:
    # D (p - 1) / ((D + 1)(D + p)) = 2 · 7 / (3 · 10); radii 1 and 2 with weights ¼ and ¾ average 1.75.
    pair = Balls(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), torch.tensor([1.0, 2.0]), torch.tensor([0.25, 0.75]))
    assert pair.truth.w1 == pytest.approx(1.75 * 14 / 30, rel=1e-12)
    assert pair.truth.standard_error == 0
    # The exact transport between samples agrees, from above by its bias.
    sampled = exact_w1(pair.real(1500, rng=seeded(1)), pair.fake(1500, rng=seeded(2))).value.item()
    assert sampled == pytest.approx(pair.truth.w1, rel=0.1)


@pytest.mark.parametrize(
    "parameters", [(0.0, 2.0, 0.5, 1.0), (1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 0.0, 3.0), (-1.0, 0.5, 2.0, 0.7)]
)
def test_normal_laws_on_the_line_agree_with_the_integral_of_their_quantiles(
    parameters: tuple[float, float, float, float],
) -> None:
    pair = LineNormals(*parameters)
    m1, s1, m2, s2 = parameters
    p, q = stats.norm(m1, s1), stats.norm(m2, s2)
    turn = [] if s1 == s2 else [p.cdf(m1 - s1 * (m1 - m2) / (s1 - s2))]
    w1 = integrate.quad(lambda x: abs(p.cdf(x) - q.cdf(x)), -40, 40, limit=500, points=[0.0])[0]
    assert pair.truth.w1 == pytest.approx(w1, abs=1e-7), turn
    real, fake = pair.real(20_000, rng=seeded(1)), pair.fake(20_000, rng=seeded(2))
    assert wasserstein_line(real[:, 0], fake[:, 0]).item() == pytest.approx(w1, abs=0.05)


def test_gaussians_have_the_covariance_of_their_factor() -> None:
    factor = torch.tensor([[2.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    pair = Gaussians(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]), factor)
    assert pair.truth.w1 == 5
    draws = pair.real(100_000, rng=seeded(1))
    np.testing.assert_allclose(np.cov(draws.numpy().T), (factor @ factor.T).numpy(), atol=0.05)
    np.testing.assert_allclose(draws.mean(0).numpy(), [3, 0], atol=0.03)


def test_squares_at_the_published_size() -> None:
    pair = Squares()
    real = pair.real(50, rng=seeded(0))
    assert (pair.truth.w1, pair.dim) == (35, 64 * 64)
    assert set(real.sum(1).tolist()) == {1225.0, -1225.0}
    assert torch.equal(pair.fake(3, rng=seeded(0)), torch.zeros(3, 4096, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Balls(torch.eye(2), torch.ones(2), torch.ones(2) / 2), "in the cell of its own centre"),
        (lambda: Balls(3 * torch.eye(2), torch.ones(2), torch.ones(2)), "Weights must be at least 0 with sum 1: sum 2"),
        (lambda: Shells(torch.eye(2), radius=0.8), "at most half the distance of two centres: 0.8"),
        (lambda: Squares(size=4, side=5), "The square must fit the picture: side 5 in 4"),
        (lambda: Translation(torch.zeros(2)), "The shift must not be 0"),
        (lambda: Gaussians(torch.ones(2), torch.ones(2), torch.eye(2)), "The means must differ"),
        (lambda: LineNormals(0, 1, 0, 1), "The two distributions must differ"),
        (lambda: LineNormals(0, 0, 0, 1), "Scales must be positive"),
    ],
)
def test_laws_whose_w1_would_not_be_known_are_refused(make: "type[Pair]", message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_groups_and_names_of_pairs() -> None:
    assert len(pair_names("funnels")) == 28
    assert set(pair_names("all")) == set(PAIRS)
    assert pair_names("cones, quick") == ("cones", "funnels-2-4", "funnels-16-16")
    assert cones().name == "cones"
    with pytest.raises(UserError, match=r"Unknown pair: 'cone'. Did you mean 'cones'\?"):
        pair_names("cone")
