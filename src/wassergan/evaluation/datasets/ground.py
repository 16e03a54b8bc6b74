"""The ground metric of tables: rows as points of a Euclidean space in which their distances are kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.common_columns import CommonColumn
from wassergan.distances.arguments import check_number, shown
from wassergan.errors import UserError, flag, parameter, unknown_name, worded

SCALES = ("std", "iqr", "range", "none")
LARGEST_BYTES = 2**32
COLUMNS_SHOWN = 30

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnMetric:
    """The role of a column in the metric.

    Args:
        name: of the column.
        kind: `number`, `date` or `category`.
        unit: of its values; empty for plain numbers.
        scale: values this far apart are at distance 1; 1 for categories.
        rests_on: the source of the scale.
        centre: of numbers and dates: a missing value lies `missing` beside it.
        weight: distance of two levels of a category.
        missing: distance of a missing value from the centre, or from each level; None if none is missing.
        dim: coordinates that the column takes.
    """

    name: str
    kind: str
    unit: str
    scale: float
    rests_on: str
    centre: float
    weight: float
    missing: float | None
    dim: int

    def words(self) -> str:
        """In a few words."""
        if self.kind == "category":
            text = f"{self.weight:g} between two levels"
            return f"{self.name}: {text}" + (", missing is a level" if self.missing is not None else "")
        unit = f" {self.unit}" if self.unit else ""
        text = f"{self.name}: 1 per {self.scale:.6g}{unit} ({self.rests_on})"
        if self.missing is None:
            return text
        return f"{text}, missing {self.missing:g} beside the median"


@dataclass(frozen=True)
class GroundMetric:
    """d(r, s)² = Σ d_c(r_c, s_c)² over columns c: numbers |r - s| / scale, levels 0 or a weight.

    A missing number lies at right angles beside the centre: d(missing, v)² = missing² + (|v - centre| / scale)², so
    that the triangle inequality holds. A missing level is one more level.

    Args:
        columns: in the order of the first table.
    """

    columns: tuple[ColumnMetric, ...]

    @classmethod
    def of(
        cls,
        columns: Sequence[CommonColumn],
        *,
        scale: str = "std",
        category_weight: float = 1.0,
        missing_weight: float = 1.0,
    ) -> "GroundMetric":
        """The metric of two tables' columns.

        Args:
            columns: of both tables.
            scale: unit of numbers and dates: `std`, `iqr` or `range` of the first table, or `none` for their own.
            category_weight: distance of two levels, above 0.
            missing_weight: distance of a missing number from the median of the first table, above 0.

        Raises:
            UserError: an unknown scale, or a weight that is not a finite number above 0.
        """
        check_scale(scale)
        category_weight = check_weight(parameter("category_weight"), category_weight)
        missing_weight = check_weight(parameter("missing_weight"), missing_weight)
        return cls(tuple(_metric(each, scale, category_weight, missing_weight) for each in columns))

    @property
    def dim(self) -> int:
        """Coordinates of a row."""
        return sum(each.dim for each in self.columns)

    def embed(self, columns: Sequence[CommonColumn]) -> tuple[Values, Values]:
        """Rows of both tables as points (n, dim) and (m, dim) whose Euclidean distances are those of the metric.

        Raises:
            UserError: there are too many levels for this, or a number is too large for its scale.
        """
        n, m = len(columns[0].x), len(columns[0].y)
        if (n + m) * self.dim * 8 > LARGEST_BYTES:
            most = max(self.columns, key=lambda each: each.dim)
            raise UserError(
                "The tables have too many rows and levels to be compared as a whole",
                found=f"{n + m} rows in {self.dim} coordinates, {most.dim} of them for {most.name}",
                hint=f"leave that column out with {parameter('columns')}, or "
                + worded(command_line=f"compare {flag('by_column')}", python="call column_distances"),
            )
        sides = []
        for side in ("x", "y"):
            parts = [_points(getattr(column, side), column, metric)
                     for column, metric in zip(columns, self.columns, strict=True)]  # fmt: skip
            sides.append(np.concatenate(parts, axis=1))
        return sides[0], sides[1]

    def words(self) -> list[str]:
        """A description, one line per column."""
        lines = ["Ground metric: Euclidean over columns.", *(f"  {each.words()}" for each in self.columns)]
        if len(lines) > COLUMNS_SHOWN:
            whole = worded(command_line=f" ({flag('json')} lists all)", python="")
            return [*lines[:COLUMNS_SHOWN], f"  ... and {len(lines) - COLUMNS_SHOWN} more columns{whole}"]
        return lines

    def facts(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {"norm": "Euclidean over columns", "columns": [dict(vars(each)) for each in self.columns]}


def check_scale(scale: str) -> None:
    """Refuse an unknown scale.

    Raises:
        UserError: with the nearest name.
    """
    if not isinstance(scale, str) or scale not in SCALES:
        raise unknown_name("scale", scale if isinstance(scale, str) else shown(scale), SCALES)


def check_weight(name: str, weight: Any) -> float:
    """A finite number above 0.

    Raises:
        UserError: it is not.
    """
    value = check_number(weight, name=f"The weight {name}")
    if not (math.isfinite(value) and value > 0):
        raise UserError("A weight must be a finite number above 0", found=f"{name} {shown(weight)}")
    return value


def scale_of(x: Values, y: Values, scale: str) -> tuple[float, str]:
    """The unit of a column and its source; if the first sample has no spread, that of both together.

    Args:
        x: (n,) numbers of the first sample, finite.
        y: (m,) of the second.
        scale: one of `SCALES`.
    """
    if scale == "none":
        return 1.0, "its own unit"
    both = np.concatenate([x, y])
    tries = [
        (scale, x, f"{scale} of A"),
        ("std", x, f"std of A, whose {scale} is 0"),
        ("std", both, "std of both, as A is constant"),
    ]
    for name, values, words in tries:
        spread = _spread(values, name)
        if spread > 0:
            return spread, words
    return 1.0, "constant"


def _spread(values: Values, name: str) -> float:
    if len(values) == 0 or values.min() == values.max():
        return 0.0
    largest = float(np.abs(values).max())
    shrunk = values / largest  # squares and ranges of the largest numbers overflow
    if name == "std":
        spread = float(np.std(shrunk - shrunk.mean()))
    else:
        low, high = (0.25, 0.75) if name == "iqr" else (0.0, 1.0)
        spread = float(np.quantile(shrunk, high) - np.quantile(shrunk, low))
    return min(spread * largest, float(np.finfo(np.float64).max))


def _metric(column: CommonColumn, scale: str, weight: float, missing: float) -> ColumnMetric:
    x, y = (values[~np.isnan(values)] for values in (column.x, column.y))
    gone = len(x) < len(column.x) or len(y) < len(column.y)
    if column.kind == "category":
        levels = len(np.unique(np.concatenate([x, y]))) + gone
        dim = levels if levels > 2 else levels - 1
        return ColumnMetric(column.name, "category", "", 1.0, "levels", 0.0, weight, weight if gone else None, dim)
    unit, rests_on = scale_of(x, y, scale)
    there = x if len(x) else y
    centre = float(np.sort(there)[len(there) // 2]) if len(there) else 0.0
    return ColumnMetric(
        column.name, column.kind, column.unit, unit, rests_on, centre, 1.0, missing if gone else None, 1 + gone
    )


def _points(values: Values, column: CommonColumn, metric: ColumnMetric) -> Values:
    """(n,) values as (n, dim) coordinates."""
    gone = np.isnan(values)
    if column.kind == "category":
        return _corners(values, gone, column, metric)
    with np.errstate(over="ignore"):
        along = np.where(gone, 0.0, (values - metric.centre) / metric.scale)
    if not np.isfinite(along).all():
        raise UserError(
            f"A number of column {column.name} is too large for its scale",
            found=f"{values[~np.isfinite(along)][0]:g} over {metric.scale:g}",
            hint=f"choose another {parameter('scale')}",
        )
    if metric.missing is None:
        return along[:, None]
    return np.stack([along, np.where(gone, metric.missing, 0.0)], axis=1)


def _corners(values: Values, gone: NDArray[np.bool_], column: CommonColumn, metric: ColumnMetric) -> Values:
    """Levels as corners of a regular simplex whose edges are the weight; for two levels, the ends of an edge."""
    there = np.unique(np.concatenate([each[~np.isnan(each)] for each in (column.x, column.y)]))
    index = np.where(gone, len(there), np.searchsorted(there, np.where(gone, 0, values)))
    if metric.dim < 2:
        return (index * metric.weight).astype(np.float64)[:, None][:, : metric.dim]
    corners = np.zeros((len(values), metric.dim))
    corners[np.arange(len(values)), index.astype(np.int64)] = metric.weight / math.sqrt(2)
    return corners
