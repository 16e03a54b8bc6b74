"""Matrices with orthonormal rows or columns, as a differentiable function of free matrices."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wassergan.errors import unknown_name


def by_qr(weight: Tensor) -> Tensor:
    """Q of weight = QR with the signs that make R's diagonal positive, so that Q follows the weight smoothly.

    Args:
        weight: (m, n) with m ≥ n.

    Returns:
        (m, n) with orthonormal columns.
    """
    q, r = torch.linalg.qr(safely_scaled(weight))
    signs = torch.where(r.diagonal() < 0, -1.0, 1.0).to(q.dtype)
    orthonormal: Tensor = q * signs
    return orthonormal


def by_cayley(weight: Tensor) -> Tensor:
    """Cayley map of the skew part: with weight = [U; V], A = U - Uᵀ + VᵀV: [(I - A)(I + A)⁻¹; -2V(I + A)⁻¹].

    I + A has the positive definite symmetric part I + VᵀV, so the inverse exists for every weight. Args and
    returns as `by_qr`. Source: Trockman, Kolter 2021, arXiv 2104.07167, section 4.3 (the semi-orthogonal case).
    """
    upper, lower = weight[: weight.shape[1]], weight[weight.shape[1] :]
    skewed = upper - upper.mT + lower.mT @ lower
    eye = torch.eye(len(upper), dtype=weight.dtype, device=weight.device)
    inverse = torch.linalg.inv(eye + skewed)
    return torch.cat([(eye - skewed) @ inverse, -2 * lower @ inverse])


def by_exponential(weight: Tensor) -> Tensor:
    """The first n columns of exp(A) for the skew A = [[U - Uᵀ, -Vᵀ], [V, 0]]; args and returns as `by_qr`.

    Source: Lezcano-Casado, Martínez-Rubio 2019, arXiv 1901.08428, section 3.
    """
    rows, columns = weight.shape
    upper, lower = weight[:columns], weight[columns:]
    top = torch.cat([upper - upper.mT, -lower.mT], dim=1)
    bottom = torch.cat([lower, lower.new_zeros(rows - columns, rows - columns)], dim=1)
    orthonormal: Tensor = torch.linalg.matrix_exp(torch.cat([top, bottom]))[:, :columns]
    return orthonormal


ORTHOGONALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "qr": by_qr,
    "cayley": by_cayley,
    "exponential": by_exponential,
}


def safely_scaled(weight: Tensor) -> Tensor:
    """Weight / √(‖W‖₁ ‖W‖∞), which is at least the largest singular value and needs no power iteration.

    A scale does not change Q, so no gradient goes through it; it keeps squares of huge or tiny weights in range.
    """
    sizes = weight.detach().abs()
    scale = sizes.sum(0).max().sqrt() * sizes.sum(1).max().sqrt()
    return weight / torch.where(scale > 0, scale, 1.0)


class Orthogonal(nn.Module):
    """Parametrisation of a matrix (out, in): orthonormal columns if out ≥ in, orthonormal rows otherwise.

    Every singular value is 1 up to rounding. A linear layer with more inputs than outputs still loses gradients in the
    directions that it drops; no 1-Lipschitz matrix can keep them.

    Args:
        method: `qr`, `cayley` or `exponential`.

    Raises:
        UserError: the method is not known.
    """

    def __init__(self, method: str = "qr") -> None:
        super().__init__()
        if not isinstance(method, str) or method not in ORTHOGONALISERS:
            raise unknown_name("orthogonal parametrisation", str(method), ORTHOGONALISERS)
        self.method = method

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) to the same shape; in at least float32 whatever autocast asks for."""
        with torch.autocast(weight.device.type, enabled=False):
            tall = weight.shape[0] >= weight.shape[1]
            orthonormal = ORTHOGONALISERS[self.method](weight if tall else weight.mT)
            return orthonormal if tall else orthonormal.mT

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a matrix stores it unchanged."""
        return weight

    def extra_repr(self) -> str:
        """The method."""
        return self.method


def orthogonalise(layer: nn.Linear, *, method: str = "qr") -> None:
    """Parametrise a linear layer's weight as `Orthogonal`, in place.

    Raises:
        UserError: the method is not known.
    """
    parametrize.register_parametrization(layer, "weight", Orthogonal(method), unsafe=layer.weight.is_meta)
