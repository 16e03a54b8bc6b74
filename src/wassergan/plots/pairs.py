"""Pairs of a table's columns, generated and real."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from wassergan.plots.common import GENERATED, REAL, Texts, say_dates, short_text

MOST_LEVELS = 10  # levels of a category that are drawn; all others are grouped into one
CELLS = 24  # of a number's axis in a map of two numbers
LARGEST_SHOWN = 20_000
_OUTER = (0.005, 0.995)  # quantiles between which numbers are drawn: tails would compress the rest
_NAME = 16  # letters of a level
_TITLE = 34  # letters of a name in a title
_MAP, _DIFFERENCE = "Blues", "PuOr"

Rows = NDArray[np.float64]


class PairColumn(NamedTuple):
    """A column to draw: its name, its levels if it has some, and how its values are written if they are dates."""

    name: str
    levels: Sequence[str] = ()
    texts: Texts | None = None


def table_pairs_figure(
    columns: Sequence[PairColumn], pairs: Sequence[tuple[int, int]], samples: Rows, real: Rows | None = None
) -> Figure:
    """Two panels per pair, real and generated: maps of two numbers, boxes of a number by levels, shares of two levels.

    The second panel of two categories holds the differences, generated less real, in percentage points.

    Args:
        columns: of the table.
        pairs: which of them.
        samples: (n, columns), levels as their numbers, NaN where missing.
        real: (m, columns), or None to draw the samples alone.
    """
    per_line = min(2, len(pairs))
    lines = -(-len(pairs) // per_line)
    figure = Figure(figsize=(6.4 * per_line, 3.1 * lines), layout="constrained")
    cells = figure.subfigures(lines, per_line, squeeze=False).flat
    for cell, (i, j) in zip(cells, pairs, strict=False):
        if columns[i].levels and not columns[j].levels:
            i, j = j, i  # a number first
        distributions = [rows[:LARGEST_SHOWN, [i, j]] for rows in ((samples,) if real is None else (real, samples))]
        _draw_pair(cell, columns[i], columns[j], distributions)
    return figure


def _draw_pair(cell: SubFigure, first: PairColumn, second: PairColumn, distributions: list[Rows]) -> None:
    cell.suptitle(f"{short_text(first.name, _TITLE)} and {short_text(second.name, _TITLE)}", fontsize=10)
    titles = ["generated"] if len(distributions) == 1 else ["real", "generated"]
    panels = list(cell.subplots(1, len(distributions), squeeze=False).flat)
    if first.levels:
        _shares(cell, panels, first, second, distributions)
    elif second.levels:
        _boxes(panels, first, second, distributions)
    else:
        _maps(panels, first, second, distributions)
    for axes, name in zip(panels, titles, strict=True):
        axes.set_title(axes.get_title() or name, fontsize=8)
        axes.tick_params(labelsize=7)


def _maps(panels: Sequence[Axes], first: PairColumn, second: PairColumn, distributions: Sequence[Rows]) -> None:
    """Shares of the cells of a grid, on one scale of their roots, which shows rare ones too."""
    there = [rows[~np.isnan(rows).any(1)] for rows in distributions]
    edges = [_edges(np.concatenate([rows[:, side] for rows in there])) for side in (0, 1)]
    roots = []
    for rows in there:
        counts, _, _ = np.histogram2d(rows[:, 0], rows[:, 1], bins=edges)
        roots.append(np.sqrt(counts / max(1, len(rows))))
    highest = max(float(each.max()) for each in roots) or 1.0
    for axes, each in zip(panels, roots, strict=True):
        axes.pcolormesh(edges[0], edges[1], each.T, cmap=_MAP, vmin=0, vmax=highest, rasterized=True)
        for axis, column, ends in ((axes.xaxis, first, edges[0]), (axes.yaxis, second, edges[1])):
            if column.texts is not None:
                say_dates(axis, ends[0], ends[-1], column.texts)


def _edges(values: Rows) -> Rows:
    low, high = np.quantile(values, _OUTER) if len(values) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, CELLS + 1)


def _boxes(panels: Sequence[Axes], number: PairColumn, column: PairColumn, distributions: Sequence[Rows]) -> None:
    """Quartiles of a number for each level, and its 5 % and 95 % quantiles."""
    chosen = _frequent(column, distributions[0][:, 1])
    for axes, rows, colour in zip(panels, distributions, [REAL, GENERATED][-len(panels) :], strict=True):
        groups = [_there(rows[rows[:, 1] == level, 0]) for level in chosen]
        boxes = axes.boxplot(
            groups, orientation="horizontal", whis=(5, 95), showfliers=False, patch_artist=True, widths=0.6
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.45)
        for line in boxes["medians"]:
            line.set(color="black")
        axes.set_yticks(np.arange(len(chosen)) + 1, [_short(column.levels[level]) for level in chosen])
        axes.invert_yaxis()
    ends = np.array([axes.get_xlim() for axes in panels])
    for axes in panels:
        axes.set_xlim(float(ends[:, 0].min()), float(ends[:, 1].max()))
        if number.texts is not None:
            say_dates(axes.xaxis, *axes.get_xlim(), number.texts)
    for axes in panels[1:]:
        axes.set_yticklabels([])


def _there(values: Rows) -> Rows:
    return values[~np.isnan(values)]


def _shares(
    cell: SubFigure, panels: Sequence[Axes], first: PairColumn, second: PairColumn, distributions: Sequence[Rows]
) -> None:
    """Shares of the pairs of levels in per cent, and the differences of generated rows."""
    across, down = _frequent(first, distributions[0][:, 0]), _frequent(second, distributions[0][:, 1])
    tables = [100 * _table(rows, across, down) for rows in distributions]
    rest = [any(table.take(-1, axis=side).any() for table in tables) for side in (0, 1)]
    tables = [table[: len(across) + rest[0], : len(down) + rest[1]] for table in tables]
    shown = [tables[0]] if len(tables) == 1 else [tables[0], tables[1] - tables[0]]
    for number, (axes, table) in enumerate(zip(panels, shown, strict=True)):
        largest = float(np.abs(table).max()) or 1.0
        scale: dict[str, Any] = {"cmap": _DIFFERENCE, "vmin": -largest} if number else {"cmap": _MAP, "vmin": 0}
        image = axes.imshow(table.T, aspect="auto", vmax=largest, **scale)
        names = [*(_short(first.levels[level]) for level in across), *["others"] * rest[0]]
        axes.set_xticks(np.arange(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        names = [*(_short(second.levels[level]) for level in down), *["others"] * rest[1]]
        axes.set_yticks(np.arange(len(names)), [""] * len(names) if number else names)
        cell.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
        if number:
            axes.set_title("generated less real, points")
        elif len(panels) > 1:
            axes.set_title("real, % of rows")


def _table(rows: Rows, across: NDArray[np.int64], down: NDArray[np.int64]) -> Rows:
    """Shares (a + 1, b + 1) of pairs of levels; the last ones are all other levels and missing values."""
    places = [_places(rows[:, side], chosen) for side, chosen in enumerate((across, down))]
    size = (len(across) + 1, len(down) + 1)
    counts = np.bincount(places[0] * size[1] + places[1], minlength=size[0] * size[1]).reshape(size)
    shares: Rows = counts / max(1, len(rows))
    return shares


def _places(values: Rows, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.full(len(values), len(chosen))
    for index, level in enumerate(chosen):
        places[values == level] = index
    return places


def _frequent(column: PairColumn, values: Rows) -> NDArray[np.int64]:
    """The most frequent levels, the frequent ones first."""
    known = values[(values >= 0) & (values < len(column.levels))].astype(np.int64)
    counts = np.bincount(known, minlength=len(column.levels))
    return np.argsort(-counts, kind="stable")[:MOST_LEVELS]


def _short(name: str) -> str:
    return short_text(name, _NAME)
