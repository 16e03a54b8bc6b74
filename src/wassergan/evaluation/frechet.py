"""Fréchet distance between the Gaussians that have the means and covariances of two samples of features."""

import torch
from torch import Tensor

from wassergan.errors import UserError


class Moments:
    """Mean and covariance of features in batches of any size.

    Args:
        dim: of the features.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Add features (n, d).

        Raises:
            UserError: another dimension than before.
        """
        if features.dim() != 2 or features.shape[1] != len(self.mean):
            raise UserError("Features differ in shape", found=f"{tuple(features.shape[1:])} and ({len(self.mean)},)")
        if not len(features):
            return
        batch = features.detach().cpu().double()
        mean, total = batch.mean(0), self.count + len(batch)
        step = mean - self.mean
        # Sums of squares about each batch's own mean: nothing cancels, however far the features lie from 0.
        batch = batch - mean
        self._scatter += batch.T @ batch + torch.outer(step, step) * (self.count * len(batch) / total)
        self.mean += step * (len(batch) / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """Unbiased, (d, d).

        Raises:
            UserError: fewer than two samples.
        """
        if self.count < 2:
            raise UserError("A covariance needs at least two samples", found=f"{self.count}")
        return self._scatter / (self.count - 1)


def moments_of(features: Tensor) -> Moments:
    """The moments of features (n, d)."""
    moments = Moments(features.shape[1])
    moments.add(features)
    return moments


def frechet_of_features(real: Tensor, fake: Tensor) -> float:
    """The Fréchet distance of features themselves, which a few samples of many dimensions have in a moment.

    With X and Y the centred features over √(n - 1), A = XᵀX, B = YᵀY, and the last trace of `frechet_distance` is the
    sum of the singular values of X Yᵀ, (n, m): no matrix has the size of the features.

    Args:
        real: (n, d).
        fake: (m, d).

    Raises:
        UserError: different dimensions, fewer than two samples, or values that are not finite.
    """
    if real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 2 or len(real) + len(fake) > real.shape[1]:
        return frechet_distance(moments_of(real), moments_of(fake))
    (first, mean), (second, other) = _centred(real), _centred(fake)
    if not all(torch.isfinite(each).all() for each in (first, second)):
        raise UserError("Features hold values that are not finite")
    overlap = torch.linalg.svdvals(first @ second.T).sum()
    square = (mean - other).square().sum() + first.square().sum() + second.square().sum() - 2 * overlap
    return max(float(square), 0.0)


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    features = features.detach().cpu().double()
    mean = features.mean(0)
    return (features - mean) / (len(features) - 1) ** 0.5, mean


def frechet_distance(real: Moments, fake: Moments) -> float:
    """Squared Fréchet distance |m - n|² + tr A + tr B - 2 tr (A^½ B A^½)^½ of two Gaussians, in float64.

    Singular covariances are allowed: the last trace is the sum of the singular values of A^½ B^½, so that no
    root is taken of a rounding error. The value falls as samples are added: compare equal counts only.
    Source: Heusel et al. 2017, arXiv 1706.08500 (on features of the Inception network).

    Args:
        real: moments of the real features.
        fake: moments of the generated ones.

    Raises:
        UserError: different dimensions, fewer than two samples, or values that are not finite.
    """
    if real.mean.shape != fake.mean.shape:
        raise UserError("Features differ in shape", found=f"({len(real.mean)},) and ({len(fake.mean)},)")
    first, second = real.covariance, fake.covariance
    if not all(torch.isfinite(each).all() for each in (first, second, real.mean, fake.mean)):
        raise UserError("Features hold values that are not finite")
    overlap = torch.linalg.svdvals(_root(first) @ _root(second)).sum()
    square = (real.mean - fake.mean).square().sum() + first.trace() + second.trace() - 2 * overlap
    return max(float(square), 0.0)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    # Values below the rounding error of the largest are zero; their roots would not be small.
    noise = len(values) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
    root: Tensor = (vectors * torch.where(values > noise, values, 0).sqrt()) @ vectors.T
    return root
