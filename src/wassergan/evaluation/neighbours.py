"""Fidelity and diversity from nearest neighbours: precision, recall, density, coverage."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wassergan.errors import UserError
from wassergan.evaluation.nearest import BLOCK_BYTES, Cloud, closer, nearest, screened


@dataclass(frozen=True)
class NeighbourMetrics:
    """Four metrics, from balls around each sample that reach to its k-th neighbour within its own set.

    Attributes:
        precision: fakes that lie in the ball of some real sample.
        recall: real samples that lie in the ball of some fake; low when the generator lacks variety.
        density: balls of real samples around a fake, divided by k, averaged over fakes; may exceed 1.
        coverage: real samples whose ball holds some fake.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_metrics(real: Tensor, fake: Tensor, *, neighbours: int = 5) -> NeighbourMetrics:
    """Precision, recall, density and coverage of generated features, in float64.

    Sources: Kynkäänniemi et al. 2019, arXiv 1904.06991; Naeem et al. 2020, arXiv 2002.09797.

    Args:
        real: features (n, d), n > neighbours.
        fake: features (m, d), m > neighbours.
        neighbours: k; a sample is not its own neighbour.

    Raises:
        UserError: too few samples, or different dimensions.
    """
    if min(len(real), len(fake)) <= neighbours:
        raise UserError(
            f"Neighbour metrics with k = {neighbours} need more than {neighbours} samples on each side",
            found=f"{len(real)} real and {len(fake)} generated",
        )
    if real.shape[1:] != fake.shape[1:]:
        raise UserError("Features differ in shape", found=f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}")
    real, fake = real.flatten(1), fake.flatten(1)
    real_radius, fake_radius = (nearest(each, each, count=neighbours + 1)[0][:, -1] for each in (real, fake))
    fakes = Cloud(fake)
    in_some_real = torch.zeros(len(fake), dtype=torch.bool)
    in_reals = torch.zeros(len(fake), dtype=torch.int64)
    recalled, covered = [], []
    size = max(1, BLOCK_BYTES // (8 * len(fakes)))
    for rows, radius in zip(Cloud(real).split(size), real_radius.split(size), strict=True):
        squares = screened(rows, fakes)
        inside = closer(squares, radius[:, None], rows, fakes)
        in_some_real |= inside.any(0)
        in_reals += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append(closer(squares, fake_radius[None], rows, fakes).any(1))
    return NeighbourMetrics(
        precision=_share(in_some_real),
        recall=_share(torch.cat(recalled)),
        density=in_reals.double().mean().item() / neighbours,
        coverage=_share(torch.cat(covered)),
    )


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()
