"""Every pair of points whose distance is little longer than its potentials allow, found in single precision first."""

import numpy as np
import torch
from torch import Tensor

from wassergan.distances.simplex import Index, Vector

_ROWS = 32  # of a block: its distances stay in the processor's cache
_WORD = 8  # marks read at once
_UNIT = 2.0**-24  # half a unit in the last place of float32
_TINY = 1e-37  # squares of coordinates below √ of this may vanish in float32


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
    columns, there = y.T.float().contiguous(), g.float()
    slack = _single_error(x, y, f, g)
    tight = (f + slack).float()[:, None]
    reach = tight if margins is None else (f + slack + margins[0]).float()[:, None]
    wider = None if margins is None else margins[1].float()
    marks = torch.zeros(_ROWS, -(-len(y) // _WORD) * _WORD, dtype=torch.bool)
    squares, apart = torch.empty(2, _ROWS, len(y))
    rows, cols, count = [], [], 0
    for start, block in zip(range(0, len(x), _ROWS), x.float().split(_ROWS), strict=True):
        heights, marked = _heights(block, columns, there, squares, apart), marks[: len(block)]
        torch.le(heights, reach[start : start + _ROWS], out=marked[:, : len(y)])
        if wider is not None:
            marked[:, : len(y)] |= heights.sub_(tight[start : start + _ROWS]) <= wider
        row, col = np.divmod(_true(marked), marks.shape[1])
        count += len(row)
        if count > most:
            return None
        rows.append(row + start)
        cols.append(col)
    return np.concatenate(rows), np.concatenate(cols)


def _heights(block: Tensor, columns: Tensor, g: Tensor, squares: Tensor, apart: Tensor) -> Tensor:
    """‖row_i - column_j‖ - g_j for rows (k, d) and columns (d, m), in memory that is used again."""
    squares, apart = squares[: len(block)], apart[: len(block)]
    torch.sub(block[:, :1], columns[0], out=squares).square_()
    for coordinate in range(1, len(columns)):
        torch.sub(block[:, coordinate : coordinate + 1], columns[coordinate], out=apart)
        squares.addcmul_(apart, apart)
    return squares.sqrt_().sub_(g)


def _single_error(x: Tensor, y: Tensor, f: Tensor, g: Tensor) -> float:
    """By how much ‖x_i - y_j‖ - g_j - f_i may come out too large in float32, twice over.

    With coordinates up to c, a rounded difference is within 4 c u, so that a length is within 4 c u √d; its square, sum
    and root add (d + 3) u of itself. Potentials and the three differences are rounded once each.
    """
    dim = x.shape[1]
    reach = max(x.abs().max().item(), y.abs().max().item()) * dim**0.5
    potentials = f.abs().max().item() + g.abs().max().item()
    return 2 * _UNIT * (4 * reach + (dim + 6) * 2 * reach + 4 * potentials) + _TINY**0.5


def _true(marks: Tensor) -> Index:
    """The places of the few marks that are set, (k,): words of eight are read first."""
    flat = marks.numpy().reshape(-1, _WORD)
    words = np.flatnonzero(flat.view(np.int64))
    index = np.flatnonzero(flat[words])
    result: Index = words[index // _WORD] * _WORD + index % _WORD
    return result


def reaches(x: Tensor, y: Tensor, g: Tensor, share: int, rank: int) -> Tensor:
    """The `rank`-th smallest ‖x_i - y_j‖ - g_j over one column in `share`, (n,), in float32: a typical value."""
    chosen = torch.arange(0, len(y), share)
    columns, there, near = y[chosen].T.float().contiguous(), g[chosen].float(), x.float()
    rank = min(rank, len(chosen))
    squares, apart = torch.empty(2, _ROWS * share, len(chosen))
    values = [
        _heights(block, columns, there, squares, apart).topk(rank, dim=1, largest=False, sorted=False).values.amax(1)
        for block in near.split(len(squares))
    ]
    return torch.cat(values).double()


def between(x: Tensor, y: Tensor, rows: Index, cols: Index) -> Vector:
    """‖x_row - y_col‖ by direct differences, (k,)."""
    squares = np.zeros(len(rows))
    for here, there in zip(x.numpy().T, y.numpy().T, strict=True):
        squares += np.square(here[rows] - there[cols])
    result: Vector = np.sqrt(squares)
    return result
