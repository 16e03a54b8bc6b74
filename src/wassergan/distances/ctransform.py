"""Critics that are 1-Lipschitz by their formula: the c-transform of offsets at a set of atoms."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.distances.arguments import check_flag, check_positive
from wassergan.distances.checks import as_points

_CACHED = 2**17  # distances that fit into the processor's cache
_TINY = 1e-12  # added to a distance, so that a point on an atom exerts no pull instead of dividing by 0


class CTransform(nn.Module):
    """f(x) = ∓ min over atoms of (‖x - y_j‖ + b_j), with a soft minimum during training.

    Each ‖x - y_j‖ + b_j has gradient norm 1, so their minimum has gradient norm 1 almost everywhere, for any offsets.
    The gradient of the soft minimum -τ log Σ exp(-(‖x - y_j‖ + b_j) / τ) is a convex mean of unit vectors: its norm is
    at most 1, and every atom gets a share of it. Evaluation mode uses the true minimum.

    Args:
        atoms: y, (k, d).
        peaks: True puts the atoms at peaks of f = -min(...), for atoms where real samples lie; False at the bottoms of
            f = +min(...), for atoms where fake samples lie.
        learned: train the atoms too, not only the offsets.
        spread: initial value of one trained number s that all atoms share: y_j = s c_j for the given points c_j about
            the origin; None fixes the atoms.

    Raises:
        UserError: no atom, or a spread that is not positive.
    """

    peaks: Tensor

    def __init__(
        self, atoms: Tensor, *, peaks: bool = True, learned: bool = False, spread: float | None = None
    ) -> None:
        super().__init__()
        atoms = as_points(atoms, name="atoms")
        peaks, learned = check_flag(peaks, name="peaks"), check_flag(learned, name="learned")
        spread = None if spread is None else check_positive(spread, name="The atoms' spread")
        self.atoms = nn.Parameter(atoms.detach().clone(), requires_grad=learned)
        self.log_spread = nn.Parameter(atoms.new_tensor(math.log(spread or 1.0)), requires_grad=spread is not None)
        self.offsets = nn.Parameter(atoms.new_zeros(len(atoms)))
        self.register_buffer("peaks", torch.tensor(peaks))
        self.temperature = 0.0

    def forward(self, points: Tensor) -> Tensor:
        """(n, d) to (n,)."""
        if self.training and self.temperature > 0:
            heights = soft_minimum(points, self.tips(), self.offsets, temperature=self.temperature)
        else:
            heights = self._minimum(points)
        return torch.where(self.peaks, -heights, heights)

    def tips(self) -> Tensor:
        """The positions of the cones: y = s c, (k, d)."""
        placed: Tensor = self.atoms * self.log_spread.exp()
        return placed

    def lipschitz_proof(self) -> tuple[float, str]:
        """The constant 1, for any weights."""
        return 1.0, "a minimum of cones of slope 1"

    def _minimum(self, points: Tensor) -> Tensor:
        """The active atoms by matrix products; their distances again by differences, without cancellation."""
        tips = self.tips()
        with torch.no_grad():
            rows = points.detach().split(max(1, _CACHED // len(tips)))
            active = torch.cat([(_distances(part, tips) + self.offsets).argmin(1) for part in rows])
        heights: Tensor = torch.linalg.vector_norm(points - tips[active], dim=1) + self.offsets[active]
        return heights


def soft_minimum(points: Tensor, atoms: Tensor, offsets: Tensor, *, temperature: float) -> Tensor:
    """-τ log Σ_j exp(-(‖x_i - y_j‖ + b_j) / τ), (n,), differentiable once in everything but τ.

    Args:
        points: x, (n, d).
        atoms: y, (k, d).
        offsets: b, (k,).
        temperature: τ > 0.
    """
    heights: Tensor = _SoftMinimum.apply(points, atoms, offsets, temperature)  # type: ignore[no-untyped-call]
    return heights


class _SoftMinimum(torch.autograd.Function):
    """-τ log Σ_j exp(-(‖x - y_j‖ + b_j) / τ), block by block of rows; its gradients are matrix products."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, atoms: Tensor, offsets: Tensor, temperature: float) -> Tensor:
        """(n, d), (k, d), (k,) to (n,)."""
        shares = points.new_empty(len(points), len(atoms))
        pulls = torch.empty_like(shares) if any(ctx.needs_input_grad[:2]) else None
        heights = points.new_empty(len(points))
        size = max(1, _CACHED // len(atoms))
        for start in range(0, len(points), size):
            part = slice(start, start + size)
            distances = _distances(points[part], atoms)
            scores = torch.add(distances, offsets, out=shares[part]).div_(-temperature)
            top = scores.amax(1, keepdim=True)
            total = scores.sub_(top).exp_().sum(1, keepdim=True)
            scores.div_(total)
            if pulls is not None:
                torch.div(scores, distances.clamp_min_(_TINY), out=pulls[part])
            heights[part] = -temperature * (top + total.log()).squeeze(1)
        ctx.save_for_backward(points, atoms, shares, pulls)
        return heights

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor, None]:
        """∂/∂b_j = share_j; ∂/∂y_j = -pull_j (x - y_j) with pull = share / distance; ∂/∂x = -Σ_j ∂/∂y_j."""
        points, atoms, shares, pulls = ctx.saved_tensors
        (weights,) = upstream
        for_points = for_atoms = None
        if ctx.needs_input_grad[0]:
            for_points = weights[:, None] * (points * pulls.sum(1, keepdim=True) - pulls @ atoms)
        if ctx.needs_input_grad[1]:
            for_atoms = atoms * (weights @ pulls)[:, None] - pulls.T @ (weights[:, None] * points)
        return for_points, for_atoms, weights @ shares, None


def _distances(points: Tensor, atoms: Tensor) -> Tensor:
    """‖x_i - y_j‖ by one matrix product, (n, k), about the atoms' mean so that less cancels."""
    centre = atoms.mean(0)
    points, atoms = points - centre, atoms - centre
    squares = torch.addmm(atoms.square().sum(1), points, atoms.T, alpha=-2).add_(points.square().sum(1, keepdim=True))
    return squares.clamp_min_(0).sqrt_()
