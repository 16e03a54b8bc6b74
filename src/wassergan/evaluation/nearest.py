"""Exact nearest neighbours, screened by one matrix product: fast, and still sure about duplicates and ties."""

import torch
from torch import Tensor

BLOCK_BYTES = 16 * 2**20  # of screened distances at a time; larger blocks leave the cache and are slower
SPARE = 8  # candidates beyond those asked for
AMBIGUOUS_SHARE = 0.05  # of a block; beyond it all distances are computed the slow way


def nearest(rows: Tensor, points: Tensor, *, count: int) -> tuple[Tensor, Tensor]:
    """Distances and indices of the `count` nearest points of each row, ascending, in float64.

    Args:
        rows: (n, d).
        points: (m, d), m ≥ count; a row that is one of them has itself at distance 0.
        count: how many.

    Returns:
        Distances (n, count) and indices (n, count).
    """
    points = points.double()
    found = [_nearest(block.double(), points, count) for block in rows.split(block_rows(points))]
    return torch.cat([distances for distances, _ in found]), torch.cat([indices for _, indices in found])


def block_rows(points: Tensor) -> int:
    """How many rows are held against all points at a time."""
    return max(1, BLOCK_BYTES // (8 * len(points)))


def closer(squares: Tensor, radius: Tensor, rows: Tensor, points: Tensor) -> Tensor:
    """Whether each row is closer to each point than a radius, (n, m) bool, as exact distances would say.

    Args:
        squares: `screened(rows, points)`.
        radius: float64, broadcast against (n, m).
        rows: (n, d) float64.
        points: (m, d) float64.
    """
    margin = squares - radius.square()
    inside = margin < 0
    pairs = (margin.abs() <= uncertainty(rows, points)).nonzero()
    if len(pairs) > AMBIGUOUS_SHARE * margin.numel():
        return exact(rows, points) < radius
    if len(pairs):
        i, j = pairs.unbind(1)
        inside[i, j] = _paired(rows, points, i, j) < radius.expand_as(squares)[i, j]
    return inside


def screened(rows: Tensor, points: Tensor) -> Tensor:
    """Squared distances as |x|² + |y|² - 2xy: fast, and off by no more than `uncertainty`."""
    norms = rows.square().sum(1, keepdim=True)
    return torch.addmm(norms + points.square().sum(1), rows, points.T, alpha=-2)


def uncertainty(rows: Tensor, points: Tensor) -> float:
    """A bound on the rounding errors of `screened` and of a radius' square."""
    largest = torch.linalg.vector_norm(rows, dim=1).max() + torch.linalg.vector_norm(points, dim=1).max()
    return float(2 * (rows.shape[1] + 8) * torch.finfo(torch.float64).eps * largest.square())


def exact(rows: Tensor, points: Tensor) -> Tensor:
    """Distances from differences, which tell duplicates from neighbours."""
    return torch.cdist(rows, points, compute_mode="donot_use_mm_for_euclid_dist")


def _nearest(rows: Tensor, points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    wanted = min(count + SPARE, len(points))
    squares, candidates = screened(rows, points).topk(wanted, largest=False)
    i = torch.arange(len(rows)).repeat_interleave(wanted)
    distances = _paired(rows, points, i, candidates.flatten()).view(len(rows), wanted)
    distances, order = distances.sort(dim=1, stable=True)
    distances, indices = distances[:, :count], candidates.gather(1, order)[:, :count]
    if wanted < len(points):
        # A point that was left out might be nearer than the last of those kept.
        unsure = (squares[:, -1] <= distances[:, -1].square() + 2 * uncertainty(rows, points)).nonzero().flatten()
        for part in unsure.split(64):
            distances[part], indices[part] = exact(rows[part], points).topk(count, largest=False)
    return distances, indices


def _paired(rows: Tensor, points: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The distance of row i to point j, pair by pair, with the arithmetic of `exact`."""
    size = max(1, BLOCK_BYTES // (16 * rows.shape[1]))
    parts = [
        exact(rows[a][:, None], points[b][:, None]).flatten() for a, b in zip(i.split(size), j.split(size), strict=True)
    ]
    return torch.cat(parts)
