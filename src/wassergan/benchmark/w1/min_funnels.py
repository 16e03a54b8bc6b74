"""Min-funnel pairs: a distribution that slides down the rays of u(x) = min over n of (‖x - a_n‖ + b_n).

Source: Korotin, Kolesov, Burnaev 2022, arXiv 2206.07767, section 4.
"""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from wassergan.benchmark.w1.pair import Pair, Truth
from wassergan.errors import UserError

HALF_WIDTH = 2.5
POWER = 8.0
STANDARD_PAIRS = tuple((dim, count) for dim in (2, 4, 8, 16, 32, 64, 128) for count in (4, 16, 64, 256))
_TRUTH_SAMPLES = 2**16
_BLOCK = 2**16  # numbers in a block of points x funnels: fits into the processor's cache


class Rays(NamedTuple):
    """The positions of points on the rays of u: (n, ...) each.

    Attributes:
        centre: a_n*, where the ray starts, (n, dim).
        direction: the unit vector from there through the point, (n, dim); 0 at a centre.
        travelled: ‖x - a_n*‖, (n,).
        length: of the whole ray, to the box or to another funnel, (n,).
        height: u(x), (n,).
    """

    centre: Tensor
    direction: Tensor
    travelled: Tensor
    length: Tensor
    height: Tensor


class MinFunnels(Pair):
    """Q uniform on the box [-h, h]^D; P its image under x = a + t L v ↦ a + t^p L v, along the rays of u.

    u grows with slope 1 along each ray and the map only slides points along rays, so it is optimal:
    W1(P, Q) = E u(x) - E u(T(x)) = E‖x - T(x)‖, and f* = -u.

    Args:
        centres: a, (N, D) within the box.
        offsets: b, (N,).
        half_width: h.
        power: p ≥ 1; 1 moves nothing.

    Raises:
        UserError: shapes that do not match, a centre outside the box, or a number out of range.
    """

    def __init__(
        self, centres: Tensor, offsets: Tensor, *, half_width: float = HALF_WIDTH, power: float = POWER
    ) -> None:
        if centres.dim() != 2 or offsets.shape != centres.shape[:1] or not len(centres):
            raise UserError(
                "Funnels need centres (N, D) and offsets (N,)",
                found=f"shapes {tuple(centres.shape)} and {tuple(offsets.shape)}",
            )
        if not half_width > 0 or not power >= 1:
            raise UserError(
                "Funnels need a positive half width and a power of at least 1", found=f"{half_width} and {power}"
            )
        self.centres, self.offsets = centres.double(), offsets.double()
        if not (self.centres.abs() <= half_width).all():
            raise UserError("Every centre must lie in the box", found=f"{self.centres.abs().max():.6g} > {half_width}")
        self.half_width, self.power = half_width, power
        self.dim = centres.shape[1]
        self.name = f"funnels-{self.dim}-{len(centres)}"
        self.diameter = 2 * half_width * self.dim**0.5

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Uniform on the box."""
        unit = torch.rand(count, self.dim, generator=rng, dtype=torch.float64, device=rng.device)
        return self.half_width * (2 * unit - 1)

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Moved points."""
        return self.move(self.fake(count, rng=rng))

    def move(self, points: Tensor) -> Tensor:
        """The optimal map T from Q to P, (n, D) to (n, D)."""
        return torch.cat([self._moved(rays) for rays in self.rays(points)])

    def potential(self, points: Tensor) -> Tensor:
        """f* = -u."""
        return torch.cat([-self._nearest(block)[0] for block in self._blocks(points)])

    def potential_gradient(self, points: Tensor) -> Tensor:
        """-v, the unit vector towards the active centre."""
        parts = []
        for block in self._blocks(points):
            away = block - self._at(self.centres, points)[self._nearest(block)[1]]
            parts.append(-torch.nn.functional.normalize(away, dim=1, eps=1e-300))
        return torch.cat(parts)

    @cached_property
    def truth(self) -> Truth:
        """W1 from 65536 rays, see `truth_from`."""
        rng = torch.Generator().manual_seed(0)
        return self.truth_from(self.fake(_TRUTH_SAMPLES, rng=rng))

    def truth_from(self, points: Tensor) -> Truth:
        """W1 = D(p - 1) / ((D + 1)(D + p)) · E L(x), from draws of Q.

        Cells are star-shaped about their centres, so on a ray t is Beta(D, 1) and E[t - t^p | L] is the factor:
        the remaining noise is that of L alone, 2 (D = 2) to 900 times (D = 128) less variance than ‖x - T(x)‖.

        Args:
            points: independent draws of Q, (n, D), n ≥ 2.
        """
        lengths = torch.cat([rays.length for rays in self.rays(points)])
        factor = sliding_share(self.dim, self.power)
        return Truth(factor * lengths.mean().item(), factor * lengths.std().item() / len(lengths) ** 0.5)

    def rays(self, points: Tensor) -> Iterator[Rays]:
        """The rays through points (n, D) of the box, in blocks."""
        yield from map(self._rays, self._blocks(points))

    def _rays(self, points: Tensor) -> Rays:
        centres, offsets = self._at(self.centres, points), self._at(self.offsets, points)
        height, active = self._nearest(points)
        away = points - centres[active]
        travelled = torch.linalg.vector_norm(away, dim=1)
        direction = away / torch.where(travelled > 0, travelled, 1.0)[:, None]
        to_box = (torch.copysign(torch.full_like(points, self.half_width), direction) - points) / direction
        ahead = torch.where(direction != 0, to_box, torch.inf).amin(1)
        # Where the ray meets funnel n: ‖x + r v - a_n‖ = s + r with s = u(x) - b_n, a linear equation in r.
        gap = height[:, None] - offsets
        along = (points * direction).sum(1, keepdim=True) - direction @ centres.T
        squares = (points.square().sum(1, keepdim=True) - 2 * points @ centres.T) + centres.square().sum(1)
        meeting = (squares - gap.square()) / (2 * (gap - along))
        valid = torch.isfinite(meeting) & (meeting > 0) & (meeting > -gap)
        valid.scatter_(1, active[:, None], False)
        ahead = torch.minimum(ahead, torch.where(valid, meeting, torch.inf).amin(1))
        length = torch.where(travelled > 0, travelled + ahead, 0.0)
        return Rays(centres[active], direction, travelled, length, height)

    def _moved(self, rays: Rays) -> Tensor:
        share = rays.travelled / torch.where(rays.length > 0, rays.length, 1.0)
        return rays.centre + (share**self.power * rays.length)[:, None] * rays.direction

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """U and the active funnel: found by matrix products, then u once more by direct differences."""
        centres, offsets = self._at(self.centres, points), self._at(self.offsets, points)
        active = (torch.cdist(points, centres) + offsets).argmin(1)
        height = torch.linalg.vector_norm(points - centres[active], dim=1) + offsets[active]
        return height, active

    def _blocks(self, points: Tensor) -> tuple[Tensor, ...]:
        blocks: tuple[Tensor, ...] = points.double().split(max(1, _BLOCK // (len(self.centres) + self.dim)))
        return blocks

    @staticmethod
    def _at(values: Tensor, points: Tensor) -> Tensor:
        return values.to(points.device)


def min_funnels(dim: int, count: int, *, rng: torch.Generator, power: float = POWER) -> MinFunnels:
    """A random pair: centres uniform on the box, offsets 0.1 N(0, 1).

    Args:
        dim: D ≥ 1.
        count: N ≥ 1 funnels.
        rng: draws the parameters, on the CPU.
        power: p ≥ 1.
    """
    centres = HALF_WIDTH * (2 * torch.rand(count, dim, generator=rng, dtype=torch.float64) - 1)
    offsets = 0.1 * torch.randn(count, generator=rng, dtype=torch.float64)
    return MinFunnels(centres, offsets, power=power)


def standard_pair(dim: int, count: int) -> MinFunnels:
    """One of the 28 pairs of the benchmark, (D, N) in `STANDARD_PAIRS`: the published family, our own parameters.

    Raises:
        UserError: not one of them.
    """
    if (dim, count) not in STANDARD_PAIRS:
        dims, counts = (sorted({pair[axis] for pair in STANDARD_PAIRS}) for axis in (0, 1))
        raise UserError(
            "There is no such standard pair", found=f"({dim}, {count})", hint=f"D is one of {dims}, N one of {counts}"
        )
    return min_funnels(dim, count, rng=torch.Generator().manual_seed(1000 * dim + count))


def parameter_hash(pair: MinFunnels) -> str:
    """SHA-256 of centres and offsets, rounded to 1e-9 so that it does not depend on a machine's last digit."""
    flat = torch.cat([pair.centres.flatten(), pair.offsets]).cpu()
    return hashlib.sha256((flat * 1e9).round().to(torch.int64).numpy().astype("<i8").tobytes()).hexdigest()


def sliding_share(dim: int, power: float) -> float:
    """E[t - t^p] for t ~ Beta(D, 1): D / (D + 1) - D / (D + p) = D(p - 1) / ((D + 1)(D + p))."""
    return dim * (power - 1) / ((dim + 1) * (dim + power))
