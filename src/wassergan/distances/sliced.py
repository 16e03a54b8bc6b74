"""Sliced Wasserstein distances: exact one-dimensional transport along each direction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.arguments import Randomness, as_generator, check_count, check_flag, shown
from wassergan.distances.arrays import Array, paired
from wassergan.distances.checks import as_points, as_weights, same_dimension
from wassergan.distances.masses import cumulative
from wassergan.distances.one_dimensional import equal_coupling
from wassergan.errors import UserError

# Working memory for one block of directions, in addition to the inputs.
_BLOCK_BYTES = 192 * 2**20
# Per projected value: its projection, its float64 copy, and its share of the differences.
_BYTES_PER_VALUE = 32
_NUMBERS = 2**22  # coordinates converted to float64 together
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class SlicedEstimate:
    """A sliced distance and the uncertainty from the choice of directions.

    Attributes:
        value: the mean over the directions, float64 scalar.
        standard_error: standard deviation over the directions / √count; it covers only the directions, not the samples.
            With orthogonal directions it is conservative. NaN for one direction.
        per_direction: the distance along each direction, float64, shape (count,).
    """

    value: Tensor
    standard_error: float
    per_direction: Tensor


def random_directions(dim: int, count: int, *, rng: Randomness, orthogonal: bool = False) -> Tensor:
    """Directions uniform on the unit sphere, float64, shape (count, dim), on the device of `rng`.

    Args:
        dim: dimension of the space, ≥ 1.
        count: how many directions, ≥ 1.
        rng: a generator of torch or NumPy, or a seed.
        orthogonal: make each successive block of `dim` directions a uniform orthonormal basis; each direction
            stays uniform, and the mean over a block varies less (Rowland et al. 2019, arXiv 1903.03784).
    """
    dim, count, rng = (
        check_count(dim, name="dim", least=1),
        check_count(count, name="count", least=1),
        as_generator(rng),
    )
    if not check_flag(orthogonal, name="orthogonal"):
        return _unit(_normal(count, dim, rng))
    bases = [_random_basis(dim, rng) for _ in range(-(-count // dim))]
    return torch.cat(bases)[:count]


def sliced_w1(
    x: Array | Iterable[Array],
    y: Array | Iterable[Array],
    *,
    projections: int = 256,
    rng: Randomness,
    orthogonal: bool = False,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
) -> Tensor:
    """Sliced Wasserstein-1 distance of two samples: the mean over random directions of exact 1-D distances.

    SW1(P, Q) = E_u W1(u·P, u·Q), u uniform on the unit sphere; SW1 ≤ W1 (Bonneel et al. 2015).

    Args:
        x: points, shape (n, d), or an iterable of blocks of rows that can be read again and again, for
            data that do not fit in memory.
        y: points, shape (m, d), or blocks of rows; n and m may differ.
        projections: how many directions, ≥ 1.
        rng: source of the directions: a generator of torch or NumPy, or a seed.
        orthogonal: see `random_directions`.
        x_weights: shape (n,), of all rows in their order, summing to one; equal when None.
        y_weights: shape (m,).
        normalize: divide the weights by their sums.

    Returns:
        A float64 scalar, differentiable in points and weights; points are centred and projected in float64, whatever
        their type.

    Raises:
        UserError: a sample is empty or not finite, the dimensions differ, blocks can be read only once, or the weights
            are no weights.
    """
    weights: dict[str, Any] = {"x_weights": x_weights, "y_weights": y_weights, "normalize": normalize}
    return sliced_w1_estimate(x, y, projections=projections, rng=rng, orthogonal=orthogonal, **weights).value


def sliced_w1_estimate(
    x: Array | Iterable[Array],
    y: Array | Iterable[Array],
    *,
    projections: int = 256,
    rng: Randomness,
    orthogonal: bool = False,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    normalize: bool = False,
) -> SlicedEstimate:
    """`sliced_w1` with its standard error and the distance along each direction; same arguments."""
    projections = check_count(projections, name="projections", least=1)
    rng, orthogonal = as_generator(rng), check_flag(orthogonal, name="orthogonal")
    x, y = paired(x, y) if is_one_array(x) and is_one_array(y) else (x, y)
    left, right = Rows(x, name="x"), Rows(y, name="y")
    same_dimension(left.head, right.head)
    normalize = check_flag(normalize, name="normalize")
    masses = None
    if x_weights is not None or y_weights is not None:
        masses = (
            as_weights(x_weights, left.count, like=left.head, name="x_weights", normalize=normalize),
            as_weights(y_weights, right.count, like=left.head, name="y_weights", normalize=normalize),
        )
    directions = random_directions(left.head.shape[1], projections, rng=rng, orthogonal=orthogonal)
    values = w1_along(left, right, directions.to(left.head.device), masses)
    spread = values.detach().std().item() if projections > 1 else float("nan")
    return SlicedEstimate(values.mean(), spread / projections**0.5, values)


def max_sliced_w1(
    x: Array, y: Array, *, rng: Randomness, projections: int = 64, steps: int = 50
) -> tuple[Tensor, Tensor]:
    """The largest one-dimensional W1 found over directions: a lower bound on W1.

    sup_u W1(u·P, u·Q) ≤ W1(P, Q), u on the unit sphere (Deshpande et al. 2019, arXiv 1904.05877). Each step
    moves to the direction that is best for the current coupling and signs; the best direction found is kept, so more
    steps never decrease the bound.

    Args:
        x: points, shape (n, d).
        y: points, shape (m, d).
        rng: source of the starting directions: a generator of torch or NumPy, or a seed.
        projections: number of random starting directions, in addition to the difference of the means.
        steps: number of improvement steps.

    Returns:
        The bound minus its possible rounding error, float64 scalar, differentiable in the points; and its direction,
        float64, shape (d,).

    Raises:
        UserError: a sample is empty or not finite, the dimensions differ, or `steps` is negative.
    """
    steps, projections = (
        check_count(steps, name="steps", least=0),
        check_count(projections, name="projections", least=1),
    )
    x, y = paired(x, y)
    left, right = as_points(x, name="x").double(), as_points(y, name="y").double()
    same_dimension(left, right)
    still_x, still_y = Rows(left.detach(), name="x"), Rows(right.detach(), name="y")
    starts = random_directions(left.shape[1], projections, rng=rng).to(left.device)
    centre = middle_of(left, right)
    drift = (left.detach() - centre).mean(0) - (right.detach() - centre).mean(0)
    # A zero difference is not a direction; any other direction beats it.
    starts = torch.cat([_unit(drift[None]), starts])
    values = w1_along(still_x, still_y, starts)
    best, direction = values.max(), starts[values.argmax()]
    moving = direction
    for _ in range(steps + 1):
        moving = moving.clone().requires_grad_()
        value = w1_along(still_x, still_y, moving[None])[0]
        if value > best:
            best, direction = value.detach(), moving.detach()
        (slope,) = torch.autograd.grad(value, moving)
        # W1 along u is <u, slope> for this coupling and these signs: its largest value is along the slope.
        moving = _unit(slope[None])[0]
    value = w1_along(Rows(left, name="x"), Rows(right, name="y"), direction[None])[0]
    return value - _rounding(left, right, centre, value), direction


def _rounding(x: Tensor, y: Tensor, centre: Tensor, value: Tensor) -> Tensor:
    """The possible rounding error: (d + 2) ε of the length for a projection and for a unit vector."""
    left, right, dim = x.detach() - centre, y.detach() - centre, x.shape[1]
    mean_length = left.norm(dim=1).mean() + right.norm(dim=1).mean()
    slack = (dim + 4) * _EPS * mean_length + (dim + 64) * _EPS * value.detach()
    return torch.minimum(slack, value.detach())


def middle_of(x: Tensor, y: Tensor) -> Tensor:
    """The middle of each column's range over both clouds, float64, shape (d,); it is subtracted before projecting."""
    low, high = (
        torch.stack([getattr(side.detach(), which)(0).double() for side in (x, y)]) for which in ("amin", "amax")
    )
    return low.amin(0) / 2 + high.amax(0) / 2


def w1_along(x: "Rows", y: "Rows", directions: Tensor, masses: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Exact W1 between the projections of two samples on each direction, float64, shape (count,).

    `masses`, of all rows of both, each summing to one, are equal when None.
    """
    at_once = max(1, _BLOCK_BYTES // (_BYTES_PER_VALUE * (x.count + y.count)))
    centre = middle_of(x.head, y.head)
    blocks = torch.split(directions, at_once)
    if masses is None:
        return torch.cat([_equal(x, y, block, centre) for block in blocks])
    return torch.cat([_weighted(x, y, block, centre, *masses) for block in blocks])


def _equal(x: "Rows", y: "Rows", directions: Tensor, centre: Tensor) -> Tensor:
    i, j, mass = equal_coupling(x.count, y.count, device=directions.device)
    gaps = _sorted(x.project(directions, centre))[:, i] - _sorted(y.project(directions, centre))[:, j]
    return gaps.abs() @ mass


def _weighted(x: "Rows", y: "Rows", directions: Tensor, centre: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """∫ |F - G| along each direction: the pooled points sorted, with masses that count for x and against y."""
    signed = torch.cat([a, -b])
    found = []
    for u, v in zip(x.project(directions, centre), y.project(directions, centre), strict=True):
        points, order = torch.cat([u, v]).sort()
        # The exact sums have no derivative; the plain ones bring it.
        levels, moving = cumulative(signed.detach()[order]), signed[order].cumsum(0)
        found.append(((levels + moving - moving.detach())[:-1].abs() * points.diff()).sum())
    return torch.stack(found)


class Rows:
    """Rows of one sample: a tensor, or blocks that are reread for every group of directions.

    Attributes:
        count: number of rows.
        head: the first block, for its dimension and device.
    """

    def __init__(self, rows: Array | Iterable[Array], *, name: str) -> None:
        self.name = name
        self._blocks: Iterable[Array]
        self._whole: Tensor | None = None
        if is_one_array(rows):
            self.head = self._whole = as_points(rows, name=name)
            self._blocks, self.count = [self.head], len(self.head)
            return
        if isinstance(rows, Iterator):
            raise UserError(
                f"{name} is read once for every group of directions",
                found="an iterator, which can be read only once",
                hint="pass a list of blocks, a data loader, or any iterable that starts anew",
            )
        if not isinstance(rows, Iterable) or isinstance(rows, str | bytes):
            raise UserError(
                f"{name} must be an array of points, or blocks of them that can be read again", found=shown(rows)
            )
        self._blocks, self.count = rows, 0
        for block in self._tensors():
            self.head = block if self.count == 0 else self.head
            same_dimension(self.head, block)
            self.count += len(block)
        if self.count == 0:
            raise UserError(f"{name} must hold at least one point", found="no block")

    def project(self, directions: Tensor, centre: Tensor) -> Tensor:
        """The inner products of the rows minus `centre` with each direction, float64, shape (directions, rows)."""
        parts = [
            directions @ (part.double() - centre).T
            for block in self._tensors()
            for part in block.split(max(1, _NUMBERS // block.shape[1]))
        ]
        projected = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        if projected.shape[1] != self.count:
            raise UserError(
                f"{self.name} must give the same rows every time it is read",
                found=f"{self.count} rows, then {projected.shape[1]}",
            )
        if not torch.isfinite(projected).all():
            raise UserError(f"Projections of {self.name} overflow", hint="rescale the points")
        return projected

    def _tensors(self) -> Iterator[Tensor]:
        if self._whole is not None:
            yield self._whole
            return
        for block in self._blocks:
            yield as_points(block, name=f"a block of {self.name}")


def is_one_array(rows: Any) -> TypeGuard[Array]:
    """Whether these are the rows themselves (an array, a data frame or a nested list), not a series of blocks."""
    if isinstance(rows, list | tuple):
        return len(rows) > 0 and _axes(rows[0]) < 2
    return isinstance(rows, Tensor | np.ndarray) or hasattr(rows, "__array__")


def _axes(row: Any) -> int:
    if hasattr(row, "ndim"):
        return int(row.ndim)
    return 1 + _axes(row[0]) if isinstance(row, list | tuple) and row else int(isinstance(row, list | tuple))


def _sorted(values: Tensor) -> Tensor:
    """Each row in ascending order; overwrites `values` if no gradient is needed."""
    if values.requires_grad or values.device.type != "cpu":
        return values.sort(dim=1).values
    values.numpy().sort(axis=1)  # vectorised: an order of magnitude faster than torch.sort on a CPU
    return values


def _normal(count: int, dim: int, rng: torch.Generator) -> Tensor:
    return torch.randn(count, dim, generator=rng, device=rng.device, dtype=torch.float64)


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)


def _random_basis(dim: int, rng: torch.Generator) -> Tensor:
    q, r = torch.linalg.qr(_normal(dim, dim, rng))
    # Without r's signs the distribution of q depends on the algorithm (Mezzadri 2007, math-ph/0609050).
    basis: Tensor = q * r.diagonal().sign()
    return basis
