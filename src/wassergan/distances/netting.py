"""A smaller transport that has the same large-scale excesses: both sides summed over common cells, and netted."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from wassergan.distances.boxes import Cells
from wassergan.distances.cells import paired_order
from wassergan.distances.problem import Problem, Side

NETTED_DIM = 4  # dimensions up to which a cell of a few points is small
_CELL = 16  # points of both sides per cell
_NOTHING = 1e-9  # fraction of a cell's mass below which its two sides are equal
_Vector = npt.NDArray[np.float64]


def netted(problem: Problem) -> Problem | None:
    """The transport from the cells that hold more of x than of y to those that hold less, None if all are equal.

    What both sides hold in the same cell stays: W1 depends on the difference of two distributions only. Every point
    moves by at most the diameter of its cell, so W1 changes by at most their mean; a subset of the points of each side
    would have the differences of its own draw instead.
    """
    points = torch.cat([problem.x.cells.points, problem.y.cells.points]).numpy()
    mass = torch.cat([problem.x.mass, problem.y.mass]).numpy()
    cell = _cells(points)
    total = np.bincount(cell, mass)
    centres = np.stack([np.bincount(cell, mass * column) for column in points.T], axis=1) / total[:, None]
    excess = np.bincount(cell, np.concatenate([mass[: len(problem.x)], -mass[len(problem.x) :]]))
    more, less = (np.flatnonzero(sign * excess > _NOTHING * total) for sign in (1, -1))
    if not len(more) or not len(less):
        return None
    (x, a), (y, b) = (_weighted(centres[index], np.abs(excess[index])) for index in (more, less))
    i, j = paired_order(x, y, a, b)
    return replace(problem, x=Side(Cells(x[i]), a[i], i), y=Side(Cells(y[j]), b[j], j))


def _weighted(points: _Vector, mass: _Vector) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(points), torch.from_numpy(mass / mass.sum())


def _cells(points: _Vector) -> npt.NDArray[np.int64]:
    """The cell of each point: cut at the median of the widest coordinate until at most `_CELL` points are left."""
    cell = np.empty(len(points), dtype=np.int64)
    stack, count = [np.arange(len(points))], 0
    while stack:
        index = stack.pop()
        if len(index) <= _CELL:
            cell[index] = count
            count += 1
            continue
        axis = int(np.argmax(np.ptp(points[index], axis=0)))
        middle = len(index) // 2
        order = np.argpartition(points[index, axis], middle)
        stack += [index[order[:middle]], index[order[middle:]]]
    return cell
