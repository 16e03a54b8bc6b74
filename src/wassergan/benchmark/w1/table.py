"""The comparison as Markdown: certified bounds pair by pair, and the published solvers."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from wassergan.benchmark.w1.published import (
    CRITICS,
    Values,
    best_cosine,
    deviation,
    funnel_shape,
    read_published,
    solvers,
)
from wassergan.benchmark.w1.registry import GROUPS, PAIRS
from wassergan.benchmark.w1.runner import Effort, Row
from wassergan.distances import FAMILIES
from wassergan.errors import flag

# The results of `W1Estimator` with these families: the fit with the best validation value. The first set has no family
# that contains the exact solution of the funnels.
ESTIMATORS = {
    "estimator, fixed atoms": ("atoms", "orthogonal"),
    "estimator, all": ("atoms", "orthogonal", "learned-atoms"),
}
_ABOUT = """\
The bound is the 99.9 % lower confidence bound ({bound}) on fresh points that had no part in training or choice; \
*valid* counts the runs in which it lies at or below the true W1 (three standard errors of a truth that is itself \
sampled allowed for). Deviations are 100 (bound - W1) / W1, in per cent; the estimate is the bound's centre. The \
cosine is the mean between the critic's gradient and that of the optimal critic over draws of P (of Q for shells and \
cones, whose P is the tips). Cells are means ± standard deviations over seeds. Budgets are seconds of training on the \
clock, so another machine takes other numbers of steps; the last table has both.

`learned-atoms` are minima of cones, as the funnels' own potentials are: there it is the class that holds the truth, \
and the distributions of other shapes are what tells how good it is."""
_PUBLISHED = """\
Korotin, Kolesov, Burnaev 2022 (arXiv 2206.07767), from the paper's results files: one seed, other parameters of the \
same family of pairs, a truth by Monte Carlo on 4096 samples. Their numbers are estimates; only orthogonal weights, \
spectral norm and the batch c-transform are bounds from below."""

_BOUNDS = {  # by whether a row has a separate asymptotic bound
    True: "finite-sample: it holds at every size; the asymptotic one is Welch's t on the same scores",
    False: "Welch's t, asymptotic: these runs are of a release that had no other",
}

Groups = dict[tuple[str, str], list[Row]]


def markdown(rows: Sequence[Row], published: Path | None = None) -> str:
    """A report of a benchmark: means ± standard deviations over seeds.

    Args:
        rows: of any efforts; the report names the commands that make them.
        published: CSV with the columns metric, dim, funnels, solver, value; None leaves the comparison out.

    Raises:
        UserError: the CSV is missing or holds something else.
    """
    values = None if published is None else read_published(published)
    rows = sorted(rows, key=_place)
    groups: Groups = {}
    for row in [*rows, *(row for name in ESTIMATORS for row in chosen(rows, name))]:
        groups.setdefault((row.pair, row.solver), []).append(row)
    funnels = {key: group for key, group in groups.items() if funnel_shape(key[0])}
    others = {key: group for key, group in groups.items() if not funnel_shape(key[0])}
    parts = [
        "# Certified lower bounds of W1 on distributions whose W1 is known",
        _commands(rows),
        _about(rows),
        _choices(rows),
    ]
    if funnels:
        parts += ["## Funnels", _summary(funnels, values), _by_dimension(funnels), *_by_pair(funnels, values)]
    if others:
        parts += ["## Distributions of other shapes", _summary(others, None), *_by_pair(others, None)]
    if values is not None:
        parts += ["## Published", _PUBLISHED, _published(values)]
    parts += ["## Every pair and family", _details(groups)]
    return "\n\n".join(parts) + "\n"


def _about(rows: Iterable[Row]) -> str:
    finite = {row.asymptotic_deviation is not None for row in rows}
    return _ABOUT.format(bound="; or ".join(words for known, words in _BOUNDS.items() if known in finite))


def chosen(rows: Iterable[Row], name: str) -> list[Row]:
    """For each pair and seed, among the families of an estimator that ran, the row of the best validation value.

    Runs without the first of its families offer no choice.
    """
    families = ESTIMATORS[name]
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.solver in families:
            groups.setdefault((row.pair, row.seed), []).append(row)
    complete = [group for group in groups.values() if any(row.solver == families[0] for row in group)]
    best = [max(group, key=lambda row: row.validation) for group in complete]
    return [Row(**{**vars(row), "solver": name}) for row in best]


def _place(row: Row) -> tuple[int, str, int, str, int]:
    """Pairs and families in the order of their registries, names that these lack at the end; then seeds."""
    pairs, families = list(PAIRS), list(FAMILIES)
    pair = pairs.index(row.pair) if row.pair in PAIRS else len(pairs)
    family = families.index(row.solver) if row.solver in FAMILIES else len(families)
    return pair, row.pair, family, row.solver, row.seed


def _choices(rows: Sequence[Row]) -> str:
    lines = []
    for name, families in ESTIMATORS.items():
        picks = {(row.pair, row.seed): row.validation for row in chosen(rows, name)}
        told = []
        for family in families:
            own = [row for row in rows if row.solver == family and (row.pair, row.seed) in picks]
            won = sum(row.validation == picks[row.pair, row.seed] for row in own)
            told.append(f"`{family}` ran in {len(own)} and won {won}")
        lines.append(
            f"*{name}*: per pair and seed, the fit with the best validation value; of {len(picks)} choices "
            f"{', '.join(told)}."
        )
    return "\n\n".join(lines)


def _commands(rows: Sequence[Row]) -> str:
    """The calls that make these rows, in the order of their first."""
    seeds: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (json.dumps(row.effort), row.pair, row.solver)
        seeds[key] = max(seeds.get(key, 0), row.seed + 1)
    solvers_of: dict[tuple[str, str, int], list[str]] = {}
    for (effort, pair, solver), count in seeds.items():
        solvers_of.setdefault((effort, pair, count), []).append(solver)
    pairs: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
    for (effort, pair, count), names in solvers_of.items():
        pairs.setdefault((effort, count, tuple(names)), []).append(pair)
    calls = [
        _call(Effort(**json.loads(effort)), count, families, names)
        for (effort, count, families), names in pairs.items()
    ]
    return "\n".join(["Made by", "", "```", *calls, "```"])


def _call(effort: Effort, seeds: int, families: Sequence[str], pairs: Sequence[str]) -> str:
    group = next((name for name, members in GROUPS.items() if set(members) == set(pairs)), None)
    words = ["wassergan benchmark w1", flag("pairs", group or ",".join(pairs)), flag("solvers", ",".join(families))]
    words.append(flag("seeds", seeds))
    if effort.steps is not None:
        words.append(flag("steps", effort.steps))
    if effort.seconds is not None:
        words.append(flag("budget", f"{effort.seconds:g}s"))
    if effort.test_count != Effort().test_count:
        words.append(flag("test_count", effort.test_count))
    return " ".join([*words, flag("out", "w1.json")])


def _summary(groups: Groups, values: Values | None) -> str:
    """One row a family: over pairs, of means over seeds."""
    columns = ["family", "pairs", "runs", "valid", "mean abs. bound %", "mean abs. estimate %", "worst pair, bound %"]
    compared = any(row.asymptotic_deviation is not None for group in groups.values() for row in group)
    columns += ["mean abs. asymptotic bound %", "cosine"] if compared else ["cosine"]
    if values is not None:
        columns.append("cosine at least the best published (gp, lp, orthogonal)")
    lines = []
    for family in dict.fromkeys(family for _, family in groups):
        own = [group for (_, name), group in groups.items() if name == family]
        runs = [row for group in own for row in group]
        bounds = [mean(abs(row.lower_deviation) for row in group) for group in own]
        cosines = {group[0].pair: mean(row.cosine for row in group) for group in own}
        cells = [family, str(len(own)), str(len(runs)), f"{sum(row.valid for row in runs)} of {len(runs)}"]
        cells += [f"{mean(bounds):.1f}", f"{mean(mean(abs(row.deviation) for row in group) for group in own):.1f}"]
        cells.append(f"{max(bounds):.1f}")
        if compared:
            welch = [row.asymptotic_deviation for row in runs if row.asymptotic_deviation is not None]
            cells.append(f"{mean(map(abs, welch)):.1f}" if welch else "")
        cells.append(f"{mean(cosines.values()):.3f}")
        if values is not None:
            better = sum(cosine >= best_cosine(values, *_shape(pair)) for pair, cosine in cosines.items())
            cells.append(f"{better} of {len(own)} pairs")
        lines.append(cells)
    return _table(columns, lines)


def _by_dimension(groups: Groups) -> str:
    dims = sorted({_shape(pair)[0] for pair, _ in groups})
    lines = []
    for family in dict.fromkeys(family for _, family in groups):
        cells = [family]
        for dim in dims:
            own = [group for (pair, name), group in groups.items() if name == family and _shape(pair)[0] == dim]
            cells.append(f"{mean(mean(abs(row.lower_deviation) for row in group) for group in own):.1f}" if own else "")
        lines.append(cells)
    told = "Mean absolute deviation of the bound, per cent, by dimension:"
    return f"{told}\n\n{_table(['family', *(f'D = {dim}' for dim in dims)], lines)}"


def _by_pair(groups: Groups, values: Values | None) -> tuple[str, str]:
    """Two tables, one row a pair and one column a family: deviations of the bound, and cosines."""
    more: tuple[list[str], list[str]] = ([], [])
    if values is not None:
        more = ([f"published {name}" for name in CRITICS], ["best published (gp, lp, orthogonal)"])
    bounds = _wide(groups, lambda row: row.lower_deviation, "+.1f", more[0])
    cosines = _wide(groups, lambda row: row.cosine, ".3f", more[1])
    if values is not None:
        for line in bounds[1]:
            line += [f"{deviation(values, *_shape(line[0]), name):+.1f}" for name in CRITICS]
        for line in cosines[1]:
            line.append(f"{best_cosine(values, *_shape(line[0])):.3f}")
    return f"Deviation of the bound, per cent:\n\n{_table(*bounds)}", f"Cosine:\n\n{_table(*cosines)}"


def _wide(
    groups: Groups, value: Callable[[Row], float], form: str, more: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    families = list(dict.fromkeys(family for _, family in groups))
    lines = []
    for pair in dict.fromkeys(pair for pair, _ in groups):
        own = [groups.get((pair, family)) for family in families]
        truth = next(group[0].w1 for group in own if group)
        cells = [_spread([value(row) for row in group], form) if group else "" for group in own]
        lines.append([pair, f"{truth:.4f}", *cells])
    return ["pair", "W1", *families, *more], lines


def _published(values: Values) -> str:
    columns = ("solver", "pairs", "mean abs. deviation %", "mean cosine")
    return _table(
        columns,
        [(each.name, str(each.pairs), f"{each.deviation:.1f}", f"{each.cosine:.3f}") for each in solvers(values)],
    )


def _details(groups: Groups) -> str:
    columns = ("pair", "family", "runs", "W1", "estimate %", "bound %", "valid", "cosine", "L2", "s", "steps")
    lines = []
    for (pair, family), group in groups.items():
        cells = [pair, family, str(len(group)), f"{group[0].w1:.4f}"]
        cells += [_spread([row.deviation for row in group], "+.1f")]
        cells += [_spread([row.lower_deviation for row in group], "+.1f")]
        cells += [f"{sum(row.valid for row in group)} of {len(group)}"]
        cells += [_spread([row.cosine for row in group], ".3f"), _spread([row.l2 for row in group], ".3f")]
        cells += [_spread([row.seconds for row in group], ".0f"), _spread([row.steps for row in group], ".0f")]
        lines.append(cells)
    return _table(columns, lines)


def _shape(pair: str) -> tuple[int, int]:
    shape = funnel_shape(pair)
    assert shape is not None
    return shape


def _spread(values: Sequence[float], form: str) -> str:
    centre = format(mean(values), form)
    return centre if len(values) == 1 else f"{centre} ± {stdev(values):{form.lstrip('+')}}"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *lines))
