"""Statistics of a permutation test that need the distances between all pairs of rows."""

import numpy as np
import torch

from wassergan.distances.simplex import solve_dense
from wassergan.monitor.permutation import Floats, Labels

_BLOCK = 2**22  # distances held at once


def between(a: Floats, b: Floats) -> Floats:
    """Euclidean distances (len(a), len(b)), by differences: equal rows are at distance 0."""
    points = torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b))
    found: Floats = torch.cdist(*points, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return found


class Energy:
    """The energy statistic 2 E‖X - Y‖ - E‖X - X'‖ - E‖Y - Y'‖, the square of the energy distance.

    It is -vᵀ D v for the matrix D of pairwise distances and v = 1/n on the first sample, -1/m on the second (Székely
    and Rizzo 2013): each block of D is computed once and used for a whole block of assignments.
    """

    def __init__(self, rows: Floats) -> None:
        """Hold the pooled rows, and their distances where these are few.

        Args:
            rows: (N, d).
        """
        self._rows = rows
        self._whole = between(rows, rows) if len(rows) ** 2 <= 4 * _BLOCK else None
        middle = np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean()
        self._size = float(middle)

    def of(self, labels: Labels) -> Floats:
        """The statistic, (b,)."""
        n = int(labels[0].sum())
        masses = np.where(labels, 1 / n, -1 / (labels.shape[1] - n))
        squares = np.zeros(len(labels))
        step = max(1, _BLOCK // len(self._rows))
        for start in range(0, len(self._rows), step):
            part = slice(start, start + step)
            block = between(self._rows[part], self._rows) if self._whole is None else self._whole[part]
            squares -= np.einsum("bi,bi->b", masses[:, part], masses @ block.T)
        return np.maximum(squares, 0.0)

    def rounding(self, value: float) -> float:
        """Of a difference of sums of distances."""
        return 64 * float(np.finfo(np.float64).eps) * float(len(self._rows) ** 0.5 + 64) * self._size


class ExactTransport:
    """Exact W1 in any dimension: one matrix of costs, one transport problem for each assignment."""

    def __init__(self, rows: Floats) -> None:
        """Compute the costs.

        Args:
            rows: (N, d), pooled.
        """
        self._costs = between(rows, rows)
        largest = float(self._costs.max())
        self._unit = 2.0 ** np.frexp(largest)[1] if largest > 0 else 1.0
        self._costs /= self._unit  # the solver needs costs near one

    def of(self, labels: Labels) -> Floats:
        """The distance, (b,)."""
        return np.array([self._solved(each) for each in labels])

    def rounding(self, value: float) -> float:
        """Of a verified optimal plan."""
        return 1e-9 * value + 1e-13 * self._unit

    def _solved(self, labels: Labels) -> float:
        costs = np.ascontiguousarray(self._costs[np.ix_(labels, ~labels)])
        flow = solve_dense(costs, *(np.full(count, 1 / count) for count in costs.shape))
        return float((flow.mass * costs[flow.rows, flow.cols]).sum()) * self._unit
