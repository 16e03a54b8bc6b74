"""Every pair of points whose distance is little longer than its potentials allow, found in single precision first."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wassergan.distances.simplex import Index, Vector

_BLOCK = 160_000  # distances of a block: they stay in the processor's cache
_WORD = 8  # marks read at once
_UNIT = 2.0**-24  # half a unit in the last place of float32
_TINY = 1e-18  # differences below this may vanish when they are squared in float32
_Single = npt.NDArray[np.float32]


def screened(
    x: Tensor, y: Tensor, f: Tensor, g: Tensor, most: int, *, margins: tuple[Tensor, Tensor] | None = None
) -> tuple[Index, Index] | None:
    """All pairs with ‖x_i - y_j‖ ≤ f_i + g_j, and some that are longer by no more than the rounding of float32.

    Args:
        x: points, (n, d), float64.
        y: points, (m, d).
        f: (n,).
        g: (m,).
        most: number of pairs beyond which the search is given up.
        margins: (n,) and (m,): pairs that are longer than f_i + g_j by the larger of the two count as well.

    Returns:
        Their rows and columns, sorted; None if there are more than `most`.
    """
    slack = single_error(x, y, f, g)
    tight = _single(f + slack)[:, None]
    reach, wider = (tight, None) if margins is None else (_single(f + slack + margins[0])[:, None], _single(margins[1]))
    size = max(1, _BLOCK // len(y))
    heights = _Heights(y, g, size)
    # NumPy compares an order of magnitude faster than Torch, and finds the few marks by words of eight.
    marks = np.zeros((size, -(-len(y) // _WORD) * _WORD), dtype=bool)
    rows, cols, count = [], [], 0
    for start in range(0, len(x), size):
        here = slice(start, start + size)
        values = heights.over(_single(x[here]))
        marked = marks[: len(values)]
        np.less_equal(values, reach[here], out=marked[:, : len(y)])
        if wider is not None:
            marked[:, : len(y)] |= np.subtract(values, tight[here], out=values) <= wider
        row, col = np.divmod(_true(marked), marks.shape[1])
        count += len(row)
        if count > most:
            return None
        rows.append(row + start)
        cols.append(col)
    return np.concatenate(rows), np.concatenate(cols)


def single_error(x: Tensor, y: Tensor, f: Tensor, g: Tensor) -> float:
    """By how much ‖x_i - y_j‖ - g_j - f_i may come out too large in float32, twice over.

    With u = 2⁻²⁴ and coordinates up to c, a rounded difference is within 4 c u, so that a length is within 4 c u √d;
    its squares, their sum and the root add (d + 3) u of itself. Potentials and sums with them are rounded once each.
    """
    dim = x.shape[1]
    reach = max(x.abs().max().item(), y.abs().max().item()) * dim**0.5
    potentials = f.abs().max().item() + g.abs().max().item()
    error: float = 2 * _UNIT * (4 * reach + (dim + 6) * 2 * reach + 4 * potentials) + _TINY
    return error


class _Heights:
    """‖row_i - y_j‖ - g_j in float32, in memory that is used again."""

    def __init__(self, y: Tensor, g: Tensor, rows: int) -> None:
        self._columns, self._g = np.ascontiguousarray(_single(y).T), _single(g)
        self._squares, self._apart = np.empty((2, rows, len(y)), dtype=np.float32)

    def over(self, rows: _Single) -> _Single:
        """For rows (k, d), (k, m); overwritten by the next call."""
        squares, apart = self._squares[: len(rows)], self._apart[: len(rows)]
        for coordinate, columns in enumerate(self._columns):
            out = apart if coordinate else squares
            np.subtract(rows[:, coordinate, None], columns, out=out)
            np.multiply(out, out, out=out)
            if coordinate:
                np.add(squares, apart, out=squares)
        np.sqrt(squares, out=squares)
        result: _Single = np.subtract(squares, self._g, out=squares)
        return result


def reaches(x: Tensor, y: Tensor, g: Tensor, *, share: int = 1, rank: int = 1) -> Tensor:
    """The `rank`-th smallest ‖x_i - y_j‖ - g_j over every `share`-th column, (n,), in float32: a typical value."""
    columns = y[::share]
    size = max(1, _BLOCK // len(columns))
    heights, rank = _Heights(columns, g[::share], size), min(rank, len(columns))
    values = []
    for start in range(0, len(x), size):
        block = torch.from_numpy(heights.over(_single(x[start : start + size])))
        values.append(
            block.topk(rank, dim=1, largest=False, sorted=False).values.amax(1) if rank > 1 else block.amin(1)
        )
    return torch.cat(values).double()


def between(x: Tensor, y: Tensor, rows: Index, cols: Index) -> Vector:
    """‖x_row - y_col‖ by direct differences, (k,)."""
    squares = np.zeros(len(rows))
    for here, there in zip(x.numpy().T, y.numpy().T, strict=True):
        squares += np.square(here[rows] - there[cols])
    result: Vector = np.sqrt(squares)
    return result


def _single(values: Tensor) -> _Single:
    result: _Single = values.numpy().astype(np.float32)
    return result


def _true(marks: npt.NDArray[np.bool_]) -> Index:
    """The places of the few marks that are set, (k,)."""
    flat = marks.reshape(-1, _WORD)
    words = np.flatnonzero(flat.view(np.int64) != 0)
    index = np.flatnonzero(flat[words])
    result: Index = words[index // _WORD] * _WORD + index % _WORD
    return result
