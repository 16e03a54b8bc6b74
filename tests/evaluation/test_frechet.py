from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from wassergan.errors import UserError
from wassergan.evaluation.frechet import Moments, frechet_distance, frechet_of_features, moments_of


def with_moments(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    moments = Moments(len(mean))
    moments.count, moments.mean = 2, torch.from_numpy(mean)
    moments._scatter = torch.from_numpy(covariance)  # unbiased: divided by 2 - 1
    return moments


def test_of_gaussians_with_one_basis_it_has_its_closed_form() -> None:
    numbers = np.random.default_rng(0)
    basis = np.linalg.qr(numbers.normal(size=(12, 12)))[0]
    a, b = numbers.gamma(1.0, size=12), numbers.gamma(1.0, size=12)
    mean, other = numbers.normal(size=12), numbers.normal(size=12)
    expected = ((mean - other) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(with_moments(mean, basis * a @ basis.T), with_moments(other, basis * b @ basis.T))
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_in_two_dimensions_the_trace_of_the_root_is_that_of_its_determinant() -> None:
    # For 2×2 matrices tr √M = √(tr M + 2 √det M); the covariances do not commute.
    a, b = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([[0.5, -0.3], [-0.3, 3.0]])
    product = a @ b
    cross = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(a) + np.trace(b) - 2 * cross
    found = frechet_distance(with_moments(np.zeros(2), a), with_moments(np.zeros(2), b))
    assert found == pytest.approx(expected, abs=1e-8)


def test_singular_covariances_have_their_closed_form() -> None:
    # Both distributions lie on lines: W2² of N(0, u uᵀ) and N(0, v vᵀ) is |u|² + |v|² - 2 |u·v|.
    numbers = np.random.default_rng(1)
    u, v = numbers.normal(size=30), numbers.normal(size=30)
    expected = u @ u + v @ v - 2 * abs(u @ v)
    zero = np.zeros(30)
    found = frechet_distance(with_moments(zero, np.outer(u, u)), with_moments(zero, np.outer(v, v)))
    assert found == pytest.approx(expected, abs=1e-8)
    assert frechet_distance(with_moments(zero, np.outer(u, u)), with_moments(zero, np.outer(u, u))) < 1e-8


def test_a_singular_and_a_full_covariance() -> None:
    # A = diag(4, 0, ..., 0), B = 1: tr √(A^½ B A^½) = 2.
    a = np.zeros((50, 50))
    a[0, 0] = 4
    found = frechet_distance(with_moments(np.zeros(50), a), with_moments(np.zeros(50), np.eye(50)))
    assert found == pytest.approx(4 + 50 - 2 * 2, abs=1e-8)


def test_covariances_are_unbiased_and_the_sizes_of_batches_do_not_matter() -> None:
    features = torch.randn(101, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1e4
    pieces = Moments(5)
    for part in features.split(7):
        pieces.add(part)
    pieces.add(features[:0])
    torch.testing.assert_close(pieces.covariance.numpy(), np.cov(features.numpy().T), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(pieces.covariance, moments_of(features).covariance, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(pieces.mean, features.mean(0))
    assert pieces.count == 101


class Same(nn.Module):
    num_features = 6

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def test_it_agrees_with_torchmetrics(torchmetrics_image: Callable[[str], ModuleType]) -> None:
    fid = torchmetrics_image("fid")
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(300, 6, generator=rng, dtype=torch.float64)
    fake = 1.3 * torch.randn(200, 6, generator=rng, dtype=torch.float64) + 0.2
    fake[:, 1] += fake[:, 0]
    theirs = fid.FrechetInceptionDistance(feature=Same(), normalize=True, input_img_size=(6,)).double()
    theirs.used_custom_model = True
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = frechet_distance(moments_of(real), moments_of(fake))
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-4)


def test_wrong_features_are_refused() -> None:
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\) and \(3,\)"):
        Moments(3).add(torch.zeros(4, 2))
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\) and \(3,\)"):
        frechet_distance(moments_of(torch.zeros(4, 2)), moments_of(torch.zeros(4, 3)))
    with pytest.raises(UserError, match="A covariance needs at least two samples: 1"):
        _ = moments_of(torch.zeros(1, 2)).covariance
    with pytest.raises(UserError, match="not finite"):
        frechet_distance(moments_of(torch.full((4, 2), torch.nan)), moments_of(torch.zeros(4, 2)))


@pytest.mark.parametrize(("n", "m", "d"), [(7, 5, 12), (2, 2, 40), (6, 6, 12), (30, 20, 9), (5, 30, 12)])
def test_of_features_it_is_that_of_their_moments(n: int, m: int, d: int) -> None:
    rng = torch.Generator().manual_seed(n)
    real, fake = torch.randn(n, d, generator=rng) * 3 + 100, torch.randn(m, d, generator=rng) - 1
    expected = frechet_distance(moments_of(real), moments_of(fake))
    assert frechet_of_features(real, fake) == pytest.approx(expected, rel=1e-10)
    assert frechet_of_features(real, real) == pytest.approx(0, abs=1e-9 * expected)


def test_few_features_of_many_dimensions_take_no_matrix_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.evaluation.frechet.Moments", lambda dim: pytest.fail("a matrix (d, d) is made"))
    far = torch.full((1, 50_000), 2.0)
    features = torch.eye(3, 50_000)
    assert frechet_of_features(features, features + far) == pytest.approx(4 * 50_000, rel=1e-12)


def test_wrong_features_are_refused_before_any_distance() -> None:
    good = torch.zeros(3, 40)
    for wrong, message in ((torch.zeros(3, 41), "differ in shape"), (good[:1], "at least two"), (good / 0, "finite")):
        with pytest.raises(UserError, match=message):
            frechet_of_features(good, wrong)
