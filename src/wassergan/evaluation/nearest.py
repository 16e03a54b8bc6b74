"""Exact nearest neighbours, screened by one matrix product: fast, and still exact for duplicates and ties."""

import torch
from torch import Tensor

BLOCK_BYTES = 16 * 2**20  # of screened distances at a time; larger blocks leave the cache and are slower
TILE_POINTS = 8192  # points that a block of rows is compared with at a time
SPARE = 8  # candidates beyond the requested number
AMBIGUOUS_SHARE = 0.05  # of a block; beyond it all distances are computed the slow way


class Cloud:
    """Points, float64 (n, d), with what every screen needs of them.

    Attributes:
        points: the points.
        squares: their squared norms, (n,).
        reach: the largest norm.
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points.double()
        self.squares = torch.linalg.vecdot(self.points, self.points)
        self.reach = float(self.squares.max().sqrt())

    def __len__(self) -> int:
        return len(self.points)

    def split(self, size: int) -> list["Cloud"]:
        """The same points in pieces; views, which share their memory."""
        return [self._piece(slice(start, start + size)) for start in range(0, len(self), size)]

    def _piece(self, rows: slice) -> "Cloud":
        piece = Cloud.__new__(Cloud)
        piece.points, piece.squares, piece.reach = self.points[rows], self.squares[rows], self.reach
        return piece


def nearest(rows: Tensor, points: Tensor, *, count: int) -> tuple[Tensor, Tensor]:
    """Distances and indices of the `count` nearest points of each row, ascending, in float64.

    Args:
        rows: (n, d).
        points: (m, d), m ≥ count; a row that is one of them has itself at distance 0.
        count: how many.

    Returns:
        Distances (n, count) and indices (n, count).
    """
    there = Cloud(points)
    found = [_nearest(block, there, count) for block in Cloud(rows).split(block_rows(there))]
    return torch.cat([distances for distances, _ in found]), torch.cat([indices for _, indices in found])


def block_rows(points: Cloud) -> int:
    """The number of rows compared with all points, or a tile of them, at a time."""
    return max(1, BLOCK_BYTES // (8 * min(len(points), TILE_POINTS)))


def closer(squares: Tensor, radius: Tensor, rows: Cloud, points: Cloud) -> Tensor:
    """Whether each row is closer to each point than a radius, (n, m) bool, as exact distances would say.

    Args:
        squares: `screened(rows, points)`.
        radius: float64, broadcast against (n, m).
        rows: n of them.
        points: m of them.
    """
    margin = squares - radius.square()
    inside = margin < 0
    pairs = (margin.abs_() <= uncertainty(rows, points)).nonzero()
    if len(pairs) > AMBIGUOUS_SHARE * margin.numel():
        return exact(rows.points, points.points) < radius
    if len(pairs):
        i, j = pairs.unbind(1)
        inside[i, j] = _paired(rows.points, points.points, i, j) < radius.expand_as(squares)[i, j]
    return inside


def screened(rows: Cloud, points: Cloud) -> Tensor:
    """Squared distances as |x|² + |y|² - 2xy: fast, with an error of at most `uncertainty`."""
    return torch.addmm(rows.squares[:, None] + points.squares, rows.points, points.points.T, alpha=-2)


def uncertainty(rows: Cloud, points: Cloud) -> float:
    """A bound on the rounding errors of `screened` and of a radius' square."""
    return 2 * (rows.points.shape[1] + 8) * torch.finfo(torch.float64).eps * (rows.reach + points.reach) ** 2


def exact(rows: Tensor, points: Tensor) -> Tensor:
    """Distances from differences, which separate duplicates from neighbours."""
    return torch.cdist(rows, points, compute_mode="donot_use_mm_for_euclid_dist")


def _nearest(rows: Cloud, points: Cloud, count: int) -> tuple[Tensor, Tensor]:
    squares, candidates = _candidates(rows, points, min(count + SPARE, len(points)))
    wanted = candidates.shape[1]
    i = torch.arange(len(rows)).repeat_interleave(wanted)
    distances = _paired(rows.points, points.points, i, candidates.flatten()).view(len(rows), wanted)
    distances, order = distances.sort(dim=1, stable=True)
    distances, indices = distances[:, :count], candidates.gather(1, order)[:, :count]
    if wanted < len(points):
        # A point that was left out might be nearer than the last of those kept.
        unsure = squares[:, -1] <= distances[:, -1].square() + 2 * uncertainty(rows, points)
        for part in unsure.nonzero().flatten().split(64):
            distances[part], indices[part] = exact(rows.points[part], points.points).topk(count, largest=False)
    return distances, indices


def _candidates(rows: Cloud, points: Cloud, wanted: int) -> tuple[Tensor, Tensor]:
    """The `wanted` nearest points by the screen, ascending: squared distances and indices."""
    found, indices = [], []
    for number, tile in enumerate(points.split(TILE_POINTS)):
        squares, near = screened(rows, tile).topk(min(wanted, len(tile)), largest=False)
        found.append(squares)
        indices.append(near + number * TILE_POINTS)
    squares, order = torch.cat(found, dim=1).topk(wanted, largest=False)
    return squares, torch.cat(indices, dim=1).gather(1, order)


def _paired(rows: Tensor, points: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The distance of row i to point j, pair by pair, with the arithmetic of `exact`."""
    size = max(1, BLOCK_BYTES // (16 * rows.shape[1]))
    pieces = zip(i.split(size), j.split(size), strict=True)
    return torch.cat([exact(rows[a][:, None], points[b][:, None]).flatten() for a, b in pieces])
