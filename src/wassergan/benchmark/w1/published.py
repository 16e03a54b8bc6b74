"""Published results on the funnels, from a CSV of metric, dim, funnels, solver and value."""

import csv
import io
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from wassergan.errors import UserError
from wassergan.storage.files import read_text

CRITICS = ("gradient_penalty", "lipschitz_penalty", "orthogonal_fullsort")
_TRUTH = "truth_monte_carlo_4096"

Values = dict[tuple[str, int, int, str], float]


class Solver(NamedTuple):
    """One solver over all pairs: their number, the mean absolute deviation in per cent, the mean cosine."""

    name: str
    pairs: int
    deviation: float
    cosine: float


def read_published(path: Path) -> Values:
    """Values by metric (cosine, l2, w1), dimension, number of funnels and solver.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        with io.StringIO(read_text(path), newline="") as file:
            return {
                (row["metric"], int(row["dim"]), int(row["funnels"]), row["solver"]): float(row["value"])
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} holds no published results", found=str(error)) from error


def funnel_shape(pair: str) -> tuple[int, int] | None:
    """D and N of a funnel pair's name, `funnels-D-N`; None of another pair."""
    parts = pair.split("-")
    return (int(parts[1]), int(parts[2])) if parts[0] == "funnels" else None


def best_cosine(values: Values, dim: int, count: int) -> float:
    """The best of `CRITICS`."""
    return max(values[("cosine", dim, count, name)] for name in CRITICS)


def deviation(values: Values, dim: int, count: int, solver: str) -> float:
    """100 (estimate - W1) / W1, per cent."""
    return 100 * (values[("w1", dim, count, solver)] / values[("w1", dim, count, _TRUTH)] - 1)


def solvers(values: Values) -> list[Solver]:
    """Every solver's means."""
    shapes = sorted({(dim, count) for _, dim, count, _ in values})
    names = dict.fromkeys(name for metric, _, _, name in values if metric == "w1" and name != _TRUTH)
    return [
        Solver(
            name,
            len(shapes),
            mean(abs(deviation(values, *shape, name)) for shape in shapes),
            mean(values[("cosine", *shape, name)] for shape in shapes),
        )
        for name in names
    ]
