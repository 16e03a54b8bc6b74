"""Optimal plans on the line for |x - y|^p, with potentials that prove them."""

import torch
from torch import Tensor

from wassergan.distances.masses import cumulative


def line_plan(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, p: float) -> tuple[Tensor, ...]:
    """The monotone plan and potentials f, g with f_i + g_j ≤ |x_i - y_j|^p, equal where mass goes.

    The plan follows a staircase of n + m - 1 pairs. Along it each step changes one potential so that the next pair is
    tight. For p ≥ 1 the costs of sorted points are a Monge array, and the potentials are feasible everywhere (Hoffman
    1963).

    Args:
        x: points (n,).
        y: points (m,).
        a: weights of x, or None for equal ones.
        b: weights of y.
        p: order, ≥ 1.

    Returns:
        Rows, columns and masses of the plan, f (n,) and g (m,).
    """
    x_order, y_order = x.argsort(stable=True), y.argsort(stable=True)
    n, m = len(x), len(y)
    if a is None and b is None:  # levels as whole numbers: nothing is rounded
        x_ends, y_ends, whole = torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n, float(n * m)
    else:
        a, b = (torch.full((k,), 1 / k, dtype=torch.float64) if w is None else w for w, k in ((a, n), (b, m)))
        x_ends, y_ends, whole = cumulative(a[x_order]), cumulative(b[y_order]), 1.0
    ends, order = torch.cat([x_ends[:-1], y_ends[:-1]]).sort(stable=True)
    steps = order < n - 1
    zero = torch.zeros(1, dtype=torch.int64)
    i, j = (torch.cat([zero, each.long().cumsum(0)]) for each in (steps, ~steps))
    mass = torch.cat([ends, x_ends[-1:]]).diff(prepend=ends.new_zeros(1)).clamp_min(0).double() / whole
    costs = (x[x_order][i] - y[y_order][j]).abs() ** p
    change = costs.diff()
    f, g = (torch.zeros(k, dtype=torch.float64) for k in (n, m))
    f[x_order] = torch.cat([costs[:1], costs[:1] + change[steps].cumsum(0)])
    g[y_order] = torch.cat([costs.new_zeros(1), change[~steps].cumsum(0)])
    used = mass > 0
    return x_order[i[used]], y_order[j[used]], mass[used], f, g
