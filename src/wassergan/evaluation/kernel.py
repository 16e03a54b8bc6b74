"""Kernel distance: the squared maximum mean discrepancy of two samples under a cubic kernel, without bias."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wassergan.errors import UserError

BLOCK_ROWS = 256


@dataclass(frozen=True)
class KernelDistance:
    """An estimate and its uncertainty.

    Attributes:
        value: unbiased, hence at times below 0.
        standard_error: of the delete-one jackknife over both samples; for nearly equal distributions it is somewhat too
            large.
    """

    value: float
    standard_error: float


def kernel_distance(real: Tensor, fake: Tensor) -> KernelDistance:
    """Unbiased MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y) with k(x, y) = (x·y / d + 1)³, in float64.

    All pairs of distinct samples are used, so no subset is drawn and no seed needed.
    Source: Bińkowski et al. 2018, arXiv 1801.01401 (on features of the Inception network).

    Args:
        real: features (n, d), n > 2.
        fake: features (m, d), m > 2.

    Raises:
        UserError: too few samples, or different dimensions.
    """
    if min(len(real), len(fake)) <= 2:
        raise UserError("A kernel distance needs more than two samples on each side", found=f"{len(real)}, {len(fake)}")
    if real.shape[1:] != fake.shape[1:]:
        raise UserError("Features differ in shape", found=f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}")
    real, fake = real.double().flatten(1), fake.double().flatten(1)
    within_real, within_fake = _sums_within(real), _sums_within(fake)
    real_across, fake_across = _sums_across(real, fake)
    n, m = len(real), len(fake)
    sums = within_real.sum(), within_fake.sum(), real_across.sum()
    value = _mmd(*sums, n, m)
    # Every term that a left-out sample takes with it; within one sample each pair is counted twice.
    without_real = _mmd(sums[0] - 2 * within_real, sums[1], sums[2] - real_across, n - 1, m)
    without_fake = _mmd(sums[0], sums[1] - 2 * within_fake, sums[2] - fake_across, n, m - 1)
    variance = _jackknife(without_real) + _jackknife(without_fake)
    return KernelDistance(value.item(), variance.sqrt().item())


def _mmd(real: Tensor, fake: Tensor, across: Tensor, n: int, m: int) -> Tensor:
    return real / (n * (n - 1)) + fake / (m * (m - 1)) - 2 * across / (n * m)


def _jackknife(values: Tensor) -> Tensor:
    return (len(values) - 1) * (values - values.mean()).square().mean()


def _sums_across(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the kernel over `right` for each of `left`, and over `left` for each of `right`."""
    rows, columns = [], torch.zeros(len(right), dtype=torch.float64)
    for block in left.split(BLOCK_ROWS):
        values = _kernel(block, right)
        rows.append(values.sum(1))
        columns += values.sum(0)
    return torch.cat(rows), columns


def _sums_within(points: Tensor) -> Tensor:
    """Sums of the kernel over all other points, for each; every pair is computed once."""
    sums = torch.zeros(len(points), dtype=torch.float64)
    for start in range(0, len(points), BLOCK_ROWS):
        own = slice(start, start + BLOCK_ROWS)
        square = _kernel(points[own], points[own])
        sums[own] += square.sum(1) - square.diagonal()
        later = points[own.stop :]
        if len(later):
            values = _kernel(points[own], later)
            sums[own] += values.sum(1)
            sums[own.stop :] += values.sum(0)
    return sums


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    base = (left @ right.T).div_(left.shape[1]).add_(1)
    return base.square().mul_(base)
