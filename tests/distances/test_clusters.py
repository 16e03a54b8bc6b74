import math

import pytest
import torch
from torch import Tensor

from wassergan.distances import clusters
from wassergan.distances.clusters import soft_means


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(middles: Tensor, count: int, *, width: float, seed: int = 0) -> Tensor:
    rng = seeded(seed)
    which = torch.randint(len(middles), (count,), generator=rng)
    return middles[which] + width * torch.randn(count, middles.shape[1], generator=rng)


def farthest(middles: Tensor, found: Tensor) -> float:
    """How far the worst of the middles is from its nearest centre."""
    return torch.cdist(middles, found).min(1).values.max().item()


@pytest.mark.parametrize("seed", range(3))
def test_the_middles_of_clusters_are_found_wherever_they_lie(seed: int) -> None:
    middles = torch.tensor([[10.0, 0.0, 3.0], [-5.0, 8.0, 3.0], [-5.0, -8.0, 3.0]])
    points = mixture(middles, 6000, width=0.5, seed=seed)
    # Means of about 2000 points: 0.5 / √2000 = 0.011 a coordinate.
    assert farthest(middles, soft_means(points, 12, rng=seeded(seed))) < 0.06


def test_clusters_that_no_single_point_shows_are_found_in_high_dimension() -> None:
    # Corners ±3 in 64 dimensions of unit noise: a point is 8 from its own corner's middle, 9 from the other's.
    middles = torch.zeros(2, 64)
    middles[:, 0] = torch.tensor([3.0, -3.0])
    found = soft_means(mixture(middles, 20_000, width=1.0), 2, rng=seeded())
    assert farthest(middles, found) < 0.2


def test_one_round_agrees_with_the_formulas_written_out() -> None:
    points, centres, variance = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[0.5], [3.0]]), torch.tensor(2.0)
    weights = torch.tensor([[math.exp(-((x - c) ** 2) / 4) for c in (0.5, 3.0)] for x in (0.0, 1.0, 4.0)])
    shares = weights / weights.sum(1, keepdim=True)
    means = [(shares[:, j] * points[:, 0]).sum().item() / shares[:, j].sum().item() for j in range(2)]
    squares = [shares[i, j].item() * (points[i, 0].item() - means[j]) ** 2 for i in range(3) for j in range(2)]
    found, spread = clusters._round(points, centres, variance)
    assert found[:, 0].tolist() == pytest.approx(means, rel=1e-5)
    assert spread.item() == pytest.approx(sum(squares) / 3, rel=1e-4)


def test_a_shift_of_the_points_shifts_the_centres() -> None:
    points = mixture(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 500, width=0.3)
    shifted = soft_means(points + 7.0, 4, rng=seeded())
    torch.testing.assert_close(shifted, soft_means(points, 4, rng=seeded()) + 7.0, rtol=0, atol=1e-3)


def test_equal_points_and_more_centres_than_points_stay_finite() -> None:
    assert torch.equal(soft_means(torch.ones(9, 2), 3, rng=seeded()), torch.ones(3, 2))
    few = soft_means(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 5, rng=seeded())
    assert few.shape == (5, 2) and few.isfinite().all()


def test_no_more_samples_are_looked_at_than_the_work_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = clusters._round

    def counted(points: Tensor, centres: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        looked.append(len(points))
        return plain(points, centres, variance)

    monkeypatch.setattr(clusters, "_round", counted)
    monkeypatch.setattr(clusters, "SHARES_PER_DIMENSION", 100)
    soft_means(torch.randn(1000, 2, generator=seeded()), 4, rng=seeded(), rounds=1)
    monkeypatch.setattr(clusters, "NUMBERS", 60)
    soft_means(torch.randn(1000, 2, generator=seeded()), 4, rng=seeded(), rounds=1)
    assert looked == [50, 30]
