"""The interface of every pair of distributions with a known W1."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Truth:
    """A known W1 and its standard error, which is 0 if W1 is known in closed form."""

    w1: float
    standard_error: float = 0.0


class Pair(ABC):
    """Two distributions P (real) and Q (fake) with known W1 and optimal critic f*.

    f* maximises E_P f - E_Q f among the 1-Lipschitz functions, with value W1(P, Q). All points are float64.

    Attributes:
        name: short, for tables and file names.
        dim: dimension of the space.
        diameter: bounds the distance between any two points of either distribution; None if one of them is unbounded.
    """

    name: str
    dim: int
    diameter: float | None

    @abstractmethod
    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Independent draws of P, (count, dim) on the generator's device."""

    @abstractmethod
    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Independent draws of Q, (count, dim) on the generator's device."""

    @abstractmethod
    def potential(self, points: Tensor) -> Tensor:
        """f* at points (n, dim), up to a constant: (n,)."""

    def potential_gradient(self, points: Tensor) -> Tensor:
        """∇f* at points (n, dim), where f* is differentiable: (n, dim)."""
        with torch.enable_grad():
            points = points.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.potential(points).sum(), points)
        return gradient

    def gauge(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Points at which a critic's direction is compared with that of f*: draws of P, where f* has a gradient."""
        return self.real(count, rng=rng)

    @cached_property
    @abstractmethod
    def truth(self) -> Truth:
        """W1(P, Q)."""


def uniform_in_ball(count: int, dim: int, *, rng: torch.Generator) -> Tensor:
    """Independent uniform draws from the unit ball, (count, dim): a random direction times U^(1/dim)."""
    radius = torch.rand(count, 1, generator=rng, dtype=torch.float64, device=rng.device) ** (1 / dim)
    return radius * uniform_on_sphere(count, dim, rng=rng)


def uniform_on_sphere(count: int, dim: int, *, rng: torch.Generator) -> Tensor:
    """Independent uniform draws from the unit sphere, (count, dim)."""
    normal = torch.randn(count, dim, generator=rng, dtype=torch.float64, device=rng.device)
    points: Tensor = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return points
