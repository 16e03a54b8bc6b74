"""The Laplacian pyramid of pictures: what each scale holds that the next coarser one lacks."""

from functools import lru_cache

import torch
from torch import Tensor

LEAST_HALVED = 8  # numbers along an axis that is halved; a shorter one keeps its length
COARSEST = 12  # the longest axis is halved as long as this many numbers are left of it, and at least once
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def pyramid_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of all levels, the finest first; grids with no axis of eight numbers have one level."""
    sizes = [(height, width)]
    while max(sizes[-1]) >= (LEAST_HALVED if len(sizes) == 1 else 2 * COARSEST):
        sizes.append((_halved(sizes[-1][0]), _halved(sizes[-1][1])))
    return sizes


def laplacian_pyramid(pictures: Tensor) -> list[Tensor]:
    """The levels of pictures: each less its own smooth part, and at last what is left.

    Every level is the picture filtered by (1, 4, 6, 4, 1)/16 along each axis and halved; of all but the last, the
    next one is subtracted, expanded by the same filter. Edges are mirrored. The levels, expanded and added, are the
    picture again. Source: Burt and Adelson 1983.

    Args:
        pictures: (n, C, H, W).

    Returns:
        (n, C, h, w) for each of `pyramid_sizes`.
    """
    levels = []
    for _ in pyramid_sizes(*pictures.shape[2:])[1:]:
        height, width = pictures.shape[2:]
        smaller = _along(pictures, _reducing(height), _reducing(width))
        levels.append(pictures - _along(smaller, _expanding(height), _expanding(width)))
        pictures = smaller
    return [*levels, pictures]


def _halved(size: int) -> int:
    return -(-size // 2) if size >= LEAST_HALVED else size


def _along(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Linear maps of both axes, each given as a matrix (new, old)."""
    rows, columns = (each.to(pictures) for each in (rows, columns))
    return torch.matmul(rows, torch.matmul(pictures, columns.T))


@lru_cache(maxsize=64)
def _reducing(size: int) -> Tensor:
    """The filter at every second position, (halved, size)."""
    if size < LEAST_HALVED:
        return torch.eye(size, dtype=torch.float64)
    matrix = torch.zeros(_halved(size), size, dtype=torch.float64)
    for row in range(len(matrix)):
        for offset, weight in enumerate(_BINOMIAL, -2):
            matrix[row, _mirrored(2 * row + offset, size)] += weight
    return matrix


@lru_cache(maxsize=64)
def _expanding(size: int) -> Tensor:
    """Twice the filter over values with zeros between them, (size, halved); constants stay as they are."""
    if size < LEAST_HALVED:
        return torch.eye(size, dtype=torch.float64)
    matrix = torch.zeros(size, _halved(size), dtype=torch.float64)
    for row in range(size):
        for offset, weight in enumerate(_BINOMIAL, -2):
            source = _mirrored(row + offset, size)
            if source % 2 == 0:
                matrix[row, source // 2] += 2 * weight
    return matrix


def _mirrored(index: int, size: int) -> int:
    index = abs(index)
    return index if index < size else 2 * (size - 1) - index
