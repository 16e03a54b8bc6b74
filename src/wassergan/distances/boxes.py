"""Points in cells of neighbours, with the boxes that hold them."""

import numpy as np
import torch
from torch import Tensor

LOW_DIM = 8  # dimensions up to which cells are small relative to the cloud
DIRECT_DIM = 3  # dimensions up to which direct differences cost less than matrix products and their errors
_EPS = float(np.finfo(np.float64).eps)


class Cells:
    """Points in cells of neighbours with their bounding boxes; the points keep the caller's order."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        # Small cells are skipped more often; if none can be skipped, large ones multiply faster.
        dim = points.shape[1]
        self.size = 64 if dim <= DIRECT_DIM else 128 if dim <= LOW_DIM else 1024
        blocks = torch.split(points, self.size)
        self.low = torch.stack([block.amin(0) for block in blocks])
        self.high = torch.stack([block.amax(0) for block in blocks])
        self.radius = torch.maximum(self.low.amin(0).abs(), self.high.amax(0).abs()).norm().item()

    def members(self, cells: Tensor) -> Tensor:
        """The indices of the points in some cells."""
        index = (cells[:, None] * self.size + torch.arange(self.size)).flatten()
        return index[index < len(self.points)]


def box_distance(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    """A lower bound of the distance between points of two boxes; shapes (..., d) broadcast to (...)."""
    squares = torch.zeros(())
    # Coordinate by coordinate: a reduction over a short last axis is slow.
    for coordinate in range(low.shape[-1]):
        here_low, here_high, there_low, there_high = (t[..., coordinate] for t in (low, high, other_low, other_high))
        squares = squares + torch.maximum(there_low - here_high, here_low - there_high).clamp_(min=0).square_()
    return squares.sqrt() * (1 - _EPS * (low.shape[-1] + 8))
