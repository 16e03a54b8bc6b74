"""Pairs whose W1 is known in closed form."""

import math
from functools import cached_property

import torch
from torch import Tensor

from wassergan.benchmark.w1.min_funnels import POWER, sliding_share
from wassergan.benchmark.w1.pair import Pair, Truth, uniform_in_ball, uniform_on_sphere
from wassergan.errors import UserError


class Balls(Pair):
    """Q a mixture of uniform balls that do not overlap; P slides each towards its own centre, as in `MinFunnels`.

    Every ball lies in the cell of its own centre, so u(x) = min over n of ‖x - a_n‖ slides optimally and
    W1 = D(p - 1) / ((D + 1)(D + p)) · Σ w_n R_n.

    Args:
        centres: (N, D).
        radii: R, (N,), positive; two balls may touch, not overlap.
        weights: w, (N,), with sum 1.
        power: p ≥ 1.

    Raises:
        UserError: overlapping balls, or invalid weights.
    """

    def __init__(self, centres: Tensor, radii: Tensor, weights: Tensor, *, power: float = POWER) -> None:
        self.centres, self.radii, self.weights = centres.double(), radii.double(), weights.double()
        self.power, self.dim = power, centres.shape[1]
        self.name = f"balls-{self.dim}-{len(centres)}"
        apart = _apart(self.centres, self.centres)
        apart.fill_diagonal_(torch.inf)
        # A ball stays in its cell if it reaches no further than half way to any other centre.
        if not (self.radii <= apart.amin(1) / 2).all():
            raise UserError("Each ball must lie in the cell of its own centre", found="balls larger than that")
        if (self.weights < 0).any() or abs(self.weights.sum().item() - 1) > 1e-9:
            raise UserError("Weights must be at least 0 with sum 1", found=f"sum {self.weights.sum().item():.9g}")
        apart.fill_diagonal_(0.0)
        self.diameter = (apart + self.radii + self.radii[:, None]).max().item()

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Uniform in the balls."""
        return self._drawn(count, 1.0, rng)

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """The same with the distance t R to the centre turned into t^p R."""
        return self._drawn(count, self.power, rng)

    def potential(self, points: Tensor) -> Tensor:
        """f* = -min over n of ‖x - a_n‖."""
        return -_apart(points.double(), self.centres.to(points.device)).amin(1)

    @cached_property
    def truth(self) -> Truth:
        """D(p - 1) / ((D + 1)(D + p)) · Σ w_n R_n."""
        return Truth(sliding_share(self.dim, self.power) * (self.weights @ self.radii).item())

    def _drawn(self, count: int, power: float, rng: torch.Generator) -> Tensor:
        which = torch.multinomial(self.weights.to(rng.device), count, replacement=True, generator=rng)
        inside = uniform_in_ball(count, self.dim, rng=rng)
        distance = torch.linalg.vector_norm(inside, dim=1, keepdim=True)
        slid = inside * distance ** (power - 1)
        points: Tensor = self.centres.to(rng.device)[which] + self.radii.to(rng.device)[which, None] * slid
        return points


class Shells(Pair):
    """Q on spheres of one radius about several centres, P on the centres themselves: W1 = the radius.

    Mass leaves each sphere for its own centre, which is optimal while no sphere reaches over half way to another
    centre: f* = -min over n of ‖x - c_n‖ attains the radius. One centre gives a point against a sphere.

    Args:
        centres: (N, D), each with the same weight.
        radius: of every sphere.

    Raises:
        UserError: spheres that reach too far.
    """

    def __init__(self, centres: Tensor, *, radius: float = 1.0) -> None:
        self.centres, self.radius, self.dim = centres.double(), radius, centres.shape[1]
        self.name = f"shells-{self.dim}-{len(centres)}"
        apart = _apart(self.centres, self.centres)
        self.diameter = apart.max().item() + 2 * radius
        apart.fill_diagonal_(torch.inf)
        if not radius > 0 or apart.min().item() < 2 * radius:
            raise UserError(
                "Spheres must have a positive radius of at most half the distance of two centres", found=f"{radius}"
            )

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """The centres."""
        return self._chosen(count, rng)

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """The spheres."""
        return self._chosen(count, rng) + self.radius * uniform_on_sphere(count, self.dim, rng=rng)

    def gauge(self, count: int, *, rng: torch.Generator) -> Tensor:
        """The spheres: f* has its tips on P."""
        return self.fake(count, rng=rng)

    def potential(self, points: Tensor) -> Tensor:
        """f* = -min over n of ‖x - c_n‖."""
        return -_apart(points.double(), self.centres.to(points.device)).amin(1)

    @cached_property
    def truth(self) -> Truth:
        """The radius."""
        return Truth(self.radius)

    def _chosen(self, count: int, rng: torch.Generator) -> Tensor:
        centres = self.centres.to(rng.device)
        return centres[torch.randint(len(centres), (count,), generator=rng, device=rng.device)]


def cones() -> Shells:
    """Three cones in the plane: centres (-2, 0), (0, 0), (2, 0) against unit circles about them; W1 = 1."""
    pair = Shells(torch.tensor([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]))
    pair.name = "cones"
    return pair


class Squares(Pair):
    """Black pictures (Q) against pictures with a centred square of value +1 or -1 (P): W1 = the square's side.

    Args:
        size: pixels on a side of the picture.
        side: pixels on a side of the square, at most `size`.

    Raises:
        UserError: a square that does not fit.
    """

    def __init__(self, *, size: int = 64, side: int = 35) -> None:
        if not 1 <= side <= size:
            raise UserError("The square must fit the picture", found=f"side {side} in {size}")
        self.size, self.side, self.dim = size, side, size * size
        self.name = f"squares-{size}-{side}"
        self.diameter = 2.0 * side
        start = (size - side) // 2
        picture = torch.zeros(size, size, dtype=torch.float64)
        picture[start : start + side, start : start + side] = 1.0
        self._square = picture.flatten()

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Squares of either sign with probability ½."""
        sign = 2.0 * torch.randint(2, (count, 1), generator=rng, device=rng.device).double() - 1
        return sign * self._square.to(rng.device)

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Black pictures."""
        return torch.zeros(count, self.dim, dtype=torch.float64, device=rng.device)

    def potential(self, points: Tensor) -> Tensor:
        """f*(x) = |<x, s>| / ‖s‖ for the square s."""
        return (points.double() @ self._square.to(points.device)).abs() / self.side

    @cached_property
    def truth(self) -> Truth:
        """The distance from black to either square, √(side²)."""
        return Truth(float(self.side))


class Translation(Pair):
    """Q uniform on [0, 1]^D; P the same, moved by a vector t: W1 = ‖t‖ for any distribution.

    Args:
        shift: t, (D,), not 0.

    Raises:
        UserError: a shift of 0, which leaves f* undefined.
    """

    def __init__(self, shift: Tensor) -> None:
        self.shift, self.dim = shift.double(), len(shift)
        self._length = self.shift.norm().item()
        if self._length == 0:
            raise UserError("The shift must not be 0")
        self.name = f"translation-{self.dim}"
        self.diameter = self.dim**0.5 + self._length

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """Uniform on the unit cube."""
        return torch.rand(count, self.dim, generator=rng, dtype=torch.float64, device=rng.device)

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """The same distribution, moved."""
        return self.fake(count, rng=rng) + self.shift.to(rng.device)

    def potential(self, points: Tensor) -> Tensor:
        """f*(x) = <x, t> / ‖t‖."""
        scores: Tensor = points.double() @ self.shift.to(points.device) / self._length
        return scores

    @cached_property
    def truth(self) -> Truth:
        """‖t‖."""
        return Truth(self._length)


class Gaussians(Pair):
    """Two normal distributions with the same covariance A Aᵀ: W1 = ‖m1 - m2‖.

    Args:
        real_mean: m1, (D,).
        fake_mean: m2, (D,), another point.
        factor: A, (D, D).

    Raises:
        UserError: equal means, which leave f* undefined.
    """

    diameter = None

    def __init__(self, real_mean: Tensor, fake_mean: Tensor, factor: Tensor) -> None:
        self.real_mean, self.fake_mean, self.factor = real_mean.double(), fake_mean.double(), factor.double()
        self.dim = len(real_mean)
        self.name = f"gaussians-{self.dim}"
        self._length = (self.real_mean - self.fake_mean).norm().item()
        if self._length == 0:
            raise UserError("The means must differ")

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """N(m1, A Aᵀ)."""
        return self._drawn(count, self.real_mean, rng)

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """N(m2, A Aᵀ)."""
        return self._drawn(count, self.fake_mean, rng)

    def potential(self, points: Tensor) -> Tensor:
        """f*(x) = <x, m1 - m2> / ‖m1 - m2‖."""
        scores: Tensor = points.double() @ (self.real_mean - self.fake_mean).to(points.device) / self._length
        return scores

    @cached_property
    def truth(self) -> Truth:
        """‖m1 - m2‖."""
        return Truth(self._length)

    def _drawn(self, count: int, mean: Tensor, rng: torch.Generator) -> Tensor:
        normal = torch.randn(count, self.dim, generator=rng, dtype=torch.float64, device=rng.device)
        return mean.to(rng.device) + normal @ self.factor.to(rng.device).T


class LineNormals(Pair):
    """N(m1, s1²) against N(m2, s2²) on the line: W1 = E|m1 - m2 + (s1 - s2) Z|, a folded normal's mean.

    On the line W1 = ∫|F⁻¹_P - F⁻¹_Q|; the quantiles of normal distributions are m + s z.

    Args:
        real_mean: m1.
        real_scale: s1 > 0.
        fake_mean: m2.
        fake_scale: s2 > 0.

    Raises:
        UserError: a scale that is not positive, or two equal distributions.
    """

    dim = 1
    diameter = None

    def __init__(self, real_mean: float, real_scale: float, fake_mean: float, fake_scale: float) -> None:
        if not min(real_scale, fake_scale) > 0:
            raise UserError("Scales must be positive", found=f"{real_scale} and {fake_scale}")
        self._real, self._fake = (real_mean, real_scale), (fake_mean, fake_scale)
        self._drift, self._spread = real_mean - fake_mean, real_scale - fake_scale
        if self._drift == 0 and self._spread == 0:
            raise UserError("The two distributions must differ")
        self.name = "line-normals"

    def real(self, count: int, *, rng: torch.Generator) -> Tensor:
        """N(m1, s1²)."""
        return self._drawn(count, *self._real, rng)

    def fake(self, count: int, *, rng: torch.Generator) -> Tensor:
        """N(m2, s2²)."""
        return self._drawn(count, *self._fake, rng)

    def potential(self, points: Tensor) -> Tensor:
        """f* rises where P's quantile lies above Q's: ±|x - x*| about the fixed point of the map, or ±x."""
        x = points.double().squeeze(1)
        if self._spread == 0:
            return math.copysign(1.0, self._drift) * x
        turn = self._real[0] - self._real[1] * self._drift / self._spread
        return math.copysign(1.0, self._spread) * (x - turn).abs()

    @cached_property
    def truth(self) -> Truth:
        """E|d + s Z| = |s| √(2/π) exp(-d²/2s²) + d erf(d / (√2 |s|)); |d| where s = 0."""
        drift, spread = self._drift, abs(self._spread)
        if spread == 0:
            return Truth(abs(drift))
        folded = spread * math.sqrt(2 / math.pi) * math.exp(-0.5 * (drift / spread) ** 2)
        return Truth(folded + drift * math.erf(drift / (spread * math.sqrt(2))))

    def _drawn(self, count: int, mean: float, scale: float, rng: torch.Generator) -> Tensor:
        return mean + scale * torch.randn(count, 1, generator=rng, dtype=torch.float64, device=rng.device)


def _apart(points: Tensor, centres: Tensor) -> Tensor:
    """Distances by differences: matrix products would lose points that lie close to a centre."""
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
