"""Partial transport: the cheapest way to move a share of the mass, with its proof."""

from dataclasses import replace

import torch
from torch import Tensor

from wassergan.distances.exact import Plan, Transport, exact_transport


def partial_transport(cost: Tensor, a: Tensor, b: Tensor, share: float, tolerance: float) -> Transport:
    """Least Σ π_ij c_ij over π ≥ 0 with row sums ≤ a, column sums ≤ b and total `share`.

    A point more on each side takes what stays, at no cost; nothing goes from one to the other, which costs more than
    any two ways (Chapel, Alaya and Gasso 2020, arXiv 2002.08276). Its potentials give f, g ≤ 0 and λ with
    f_i + g_j + λ ≤ c_ij, and Σ a f + Σ b g + share λ is the value: no such plan costs less.

    Args:
        cost: (n, m), none negative.
        a: weights (n,), summing to one.
        b: weights (m,).
        share: in (0, 1].
        tolerance: of the solver.

    Returns:
        The transport; its potentials are f + λ and g, its plan has the mass `share`.
    """
    if share == 1:
        return exact_transport(cost, x_weights=a, y_weights=b, tolerance=tolerance)
    n, m = cost.shape
    stays = a.new_tensor([1 - share])
    whole = 2 - share
    wide = cost.new_zeros(n + 1, m + 1)
    wide[:n, :m] = cost
    largest = float(cost.max())
    wide[n, m] = 2.5 * largest if largest > 0 else 1.0
    found = exact_transport(
        wide,
        x_weights=torch.cat([a, stays]) / whole,
        y_weights=torch.cat([b, stays]) / whole,
        normalize=True,
        tolerance=tolerance,
    )
    plan = found.plan
    real = (plan.rows < n) & (plan.cols < m)
    mass = plan.mass[real] * whole
    rows, cols = plan.rows[real], plan.cols[real]
    value = (cost[rows, cols] * mass).sum()
    missing = max(0.0, share - float(mass.sum()))  # mass that rounding sent between the two points
    f, g = found.potentials
    moved = f[:n] + g[m], g[:m] + f[n]
    level = -(f[n] + g[m])
    return replace(
        found,
        value=value,
        lower=min(found.lower * whole, float(value)),
        upper=max(found.upper * whole, float(value)) + missing * largest,
        plan=Plan(rows, cols, mass, (n, m), cost[rows, cols]),
        potentials=(moved[0] + level, moved[1]),
    )
