"""The comparison as Markdown: ours pair by pair, and the published solvers beside it."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from wassergan.benchmarks.runner import Row
from wassergan.errors import UserError

# Families that may be called on without having the benchmark's own truth among their functions.
WITHOUT_TRUTH = ("atoms", "orthogonal")
CHOSEN = "chosen: atoms, orthogonal"
_COLUMNS = ("pair", "solver", "runs", "W1", "deviation %", "lower bound %", "valid", "cosine", "L2", "s", "steps")


def markdown(rows: Sequence[Row], published: Path | None = None) -> str:
    """Tables of a benchmark: means ± standard deviations over seeds.

    Args:
        rows: of one effort.
        published: CSV with the columns metric, dim, funnels, solver, value; None leaves the comparison out.

    Raises:
        UserError: the CSV is missing or holds something else.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in [*rows, *chosen(rows, WITHOUT_TRUTH, CHOSEN)]:
        groups.setdefault((row.pair, row.solver), []).append(row)
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *(_line(_cells(group)) for group in groups.values())]
    text = "\n".join(lines) + "\n\n" + _summary(list(groups.values()))
    return text if published is None else text + "\n" + _published(list(groups.values()), published)


def chosen(rows: Iterable[Row], families: Sequence[str], name: str) -> list[Row]:
    """For each pair and seed with all of the families, the row of the best validation value, renamed."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.solver in families:
            groups.setdefault((row.pair, row.seed), []).append(row)
    best = [max(group, key=lambda row: row.validation) for group in groups.values() if len(group) == len(families)]
    return [Row(**{**vars(row), "solver": name}) for row in best]


def read_published(path: Path) -> dict[tuple[str, int, int, str], float]:
    """Values by metric (cosine, l2, w1), dimension, number of funnels and solver.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                (row["metric"], int(row["dim"]), int(row["funnels"]), row["solver"]): float(row["value"])
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} holds no published results", found=str(error)) from error


def _cells(group: Sequence[Row]) -> list[str]:
    first = group[0]
    return [
        first.pair,
        first.solver,
        str(len(group)),
        f"{first.w1:.4f}",
        _spread([row.deviation for row in group], "+.1f"),
        _spread([row.lower_deviation for row in group], "+.1f"),
        f"{sum(row.valid for row in group)} of {len(group)}",
        _spread([row.cosine for row in group], ".3f"),
        _spread([row.l2 for row in group], ".3f"),
        _spread([row.seconds for row in group], ".0f"),
        _spread([row.steps for row in group], ".0f"),
    ]


def _summary(groups: Sequence[Sequence[Row]]) -> str:
    columns = ("solver", "pairs", "mean abs. deviation of the estimate %", "of the lower bound %", "worst lower %")
    lines = [_line(columns), _line(["---"] * len(columns))]
    for solver in dict.fromkeys(group[0].solver for group in groups):
        own = [group for group in groups if group[0].solver == solver]
        lower = [mean(abs(row.lower_deviation) for row in group) for group in own]
        estimates = [mean(abs(row.deviation) for row in group) for group in own]
        cells = [solver, str(len(own)), f"{mean(estimates):.1f}", f"{mean(lower):.1f}", f"{max(lower):.1f}"]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _published(groups: Sequence[Sequence[Row]], path: Path) -> str:
    """Cosine of each funnel pair against the best published of gp, lp and orthogonal; W1 is of other parameters."""
    values = read_published(path)
    solvers = ("gradient_penalty", "lipschitz_penalty", "orthogonal_fullsort")
    lines = [_line(("pair", "solver", "cosine", "best published cosine (gp, lp, orthogonal)", "at least as good"))]
    lines.append(_line(["---"] * 5))
    better = total = 0
    for group in groups:
        parts = group[0].pair.split("-")
        if parts[0] != "funnels":
            continue
        dim, count = int(parts[1]), int(parts[2])
        best = max(values[("cosine", dim, count, name)] for name in solvers)
        ours = mean(row.cosine for row in group)
        better, total = better + (ours >= best), total + 1
        lines.append(
            _line((group[0].pair, group[0].solver, f"{ours:.3f}", f"{best:.3f}", "yes" if ours >= best else "no"))
        )
    return "\n".join(lines) + f"\n\nAt least the best published cosine: {better} of {total} rows.\n"


def _spread(values: Sequence[float], form: str) -> str:
    centre = format(mean(values), form)
    return centre if len(values) == 1 else f"{centre} ± {stdev(values):{form.lstrip('+')}}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
