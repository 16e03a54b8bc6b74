"""POT's network simplex, verified: its result is optimal, or an error is raised."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wassergan.errors import WorkError

Vector = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

_OPTIMAL = 1
DEFAULT_ITERATIONS = 10**9


@dataclass(frozen=True)
class Flow:
    """A plan and the solver's potentials, before anything about them has been verified.

    Attributes:
        rows: index of the source of each piece of mass, shape (k,).
        cols: index of its target, shape (k,).
        mass: of each piece, positive, shape (k,).
        f: potential of each source, shape (n,).
        g: potential of each target, shape (m,).
    """

    rows: Index
    cols: Index
    mass: Vector
    f: Vector
    g: Vector


def solve_dense(cost: Vector, a: Vector, b: Vector, *, iterations: int = DEFAULT_ITERATIONS) -> Flow:
    """Transport of positive weights a onto b over a full cost matrix whose largest entry is near one."""
    plan, f, g = _solve(cost, a, b, iterations)
    rows, cols = np.divmod(np.flatnonzero(plan > 0), plan.shape[1])  # several times as fast as `nonzero` of floats
    return Flow(rows, cols, plan[rows, cols], f, g)


def solve_sparse(
    rows: Index, cols: Index, cost: Vector, a: Vector, b: Vector, *, iterations: int = DEFAULT_ITERATIONS
) -> Flow:
    """Transport over the given arcs only; they must admit a plan."""
    plan, f, g = _solve(sparse.coo_matrix((cost, (rows, cols)), shape=(len(a), len(b))), a, b, iterations)
    used = plan.data > 0
    return Flow(plan.row[used].astype(np.int64), plan.col[used].astype(np.int64), plan.data[used], f, g)


def _solve(cost: Any, a: Vector, b: Vector, iterations: int) -> tuple[Any, Vector, Vector]:
    """POT's plan, dense or sparse like the cost, and its potentials."""
    import ot  # imports scikit-learn and pandas as well: a third of the import time of the whole library

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        plan, log = ot.lp.emd(a, b, cost, numItermax=iterations, log=True, center_dual=False)
    if log["result_code"] != _OPTIMAL:
        found = str(complaints[0].message) if complaints else f"result code {log['result_code']}"
        raise WorkError("The transport solver did not reach an optimum", found=found)
    return plan, log["u"], log["v"]
