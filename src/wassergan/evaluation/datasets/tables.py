"""Distances between tables: of whole rows in a stated ground metric, and of each column separately."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wassergan.data.measured import read_table
from wassergan.data.tables import RawTable, Schema
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.data.tables.matching import Log
from wassergan.data.tables.together import columns_together
from wassergan.distances.arguments import (
    as_generator,
    check_budget,
    check_function,
    check_names,
    check_tolerance,
    shown,
)
from wassergan.distances.exact import exact_w1
from wassergan.distances.interval import w1_interval
from wassergan.distances.one_dimensional import wasserstein_line
from wassergan.errors import UserError, parameter
from wassergan.evaluation.datasets.ground import GroundMetric, Values, check_scale, check_weight, scale_of

EXACT_PAIRS = 25_000_000  # up to here the exact distance takes seconds


@dataclass(frozen=True)
class TableDistance:
    """W1 of two tables' rows.

    Attributes:
        value: the distance, or the best estimate between the bounds.
        lower: certified lower bound.
        upper: certified upper bound.
        metric: between rows.
    """

    value: float
    lower: float
    upper: float
    metric: GroundMetric


@dataclass(frozen=True)
class ColumnDistance:
    """The distance of one column in two samples.

    Attributes:
        name: of the column, feature or channel.
        kind: `number`, `date` or `category`.
        w1: W1 of the values that are there, in the column's own unit; of categories, the total variation. None where
            one of the samples has no values.
        unit: of `w1`: empty for plain numbers, `days` or `seconds` of dates, `share` of rows for categories.
        scaled: `w1` over the scale, or times the weight of a category, plus the weight of missing values times the
            difference of their shares. A missing level is a level.
        scale: of numbers and dates; 1 for categories.
        missing_a: share of the first sample's values that are missing.
        missing_b: of the second's.
    """

    name: str
    kind: str
    w1: float | None
    unit: str
    scaled: float
    scale: float
    missing_a: float
    missing_b: float


def table_distance(
    a: Any,
    b: Any,
    *,
    columns: Sequence[str] = (),
    schema: Schema | None = None,
    scale: str = "std",
    category_weight: float = 1.0,
    missing_weight: float = 1.0,
    tolerance: float = 0.01,
    budget_seconds: float = 60.0,
    rng: Any = 0,
    log: Log = lambda sentence: None,
) -> TableDistance:
    """W1 between the rows of two tables, with its certificate: exact for few rows, else bounds.

    Columns are matched by name and levels by their text; `GroundMetric` says how far two rows are apart.

    Args:
        a: a DataFrame of pandas or polars, an Arrow table, or a file of a table.
        b: the same, with the same columns in any order.
        columns: names of those to compare; all by default.
        schema: what the columns of both are.
        scale: unit of numbers and dates: `std`, `iqr` or `range` of the first table, or `none`.
        category_weight: distance of two levels, above 0.
        missing_weight: distance of a missing number from the median, above 0.
        tolerance: relative width at which bounds of many rows are close enough.
        budget_seconds: time for them.
        rng: of subsamples: a generator or a seed.
        log: receives, in a sentence, what is left out.

    Raises:
        UserError: columns or kinds differ, or a table cannot be read.
    """
    check_scale(scale)
    category_weight = check_weight(parameter("category_weight"), category_weight)
    missing_weight = check_weight(parameter("missing_weight"), missing_weight)
    tolerance, budget_seconds, rng = check_tolerance(tolerance), check_budget(budget_seconds), as_generator(rng)
    common = common_columns(a, b, columns=columns, schema=schema, log=log)
    metric = GroundMetric.of(common, scale=scale, category_weight=category_weight, missing_weight=missing_weight)
    x, y = metric.embed(common)
    if len(x) * len(y) <= EXACT_PAIRS:
        exact = exact_w1(x, y)
        return TableDistance(exact.value.item(), exact.lower, exact.upper, metric)
    bounds = w1_interval(x, y, rng=rng, tolerance=tolerance, budget_seconds=budget_seconds)
    return TableDistance(bounds.estimate, bounds.lower, bounds.upper, metric)


def table_column_distances(
    a: Any,
    b: Any,
    *,
    columns: Sequence[str] = (),
    schema: Schema | None = None,
    scale: str = "std",
    category_weight: float = 1.0,
    missing_weight: float = 1.0,
    log: Log = lambda sentence: None,
) -> list[ColumnDistance]:
    """The distance of each column of two tables, largest first; arguments as for `table_distance`.

    Raises:
        UserError: as `table_distance`.
    """
    check_scale(scale)
    category_weight = check_weight(parameter("category_weight"), category_weight)
    missing_weight = check_weight(parameter("missing_weight"), missing_weight)
    common = common_columns(a, b, columns=columns, schema=schema, log=log)
    return column_distances(common, scale=scale, category_weight=category_weight, missing_weight=missing_weight)


def common_columns(
    a: Any,
    b: Any,
    *,
    columns: Sequence[str] = (),
    schema: Schema | None = None,
    log: Log = lambda sentence: None,
) -> tuple[CommonColumn, ...]:
    """The columns of two tables, read in the same way; arguments as for `table_distance`."""
    columns = check_names(columns, name="Columns")
    check_function(log, "", name="log")
    if schema is not None and not isinstance(schema, Schema):
        raise UserError("schema must be a Schema", found=shown(schema), hint="make one with schema_of({...})")
    tables = [each if isinstance(each, RawTable) else read_table(each, schema=schema, log=log) for each in (a, b)]
    return columns_together(tables[0], tables[1], schema=schema, columns=columns, log=log)


def column_distances(
    columns: Sequence[CommonColumn],
    *,
    scale: str = "std",
    category_weight: float = 1.0,
    missing_weight: float = 1.0,
) -> list[ColumnDistance]:
    """The distance of each column, largest first.

    Args:
        columns: of both samples.
        scale: unit of numbers and dates: `std`, `iqr` or `range` of the first sample, or `none`.
        category_weight: distance of two levels, above 0.
        missing_weight: of a difference in the shares of missing numbers, above 0.

    Raises:
        UserError: an unknown scale, or a weight that is not a finite number above 0.
    """
    check_scale(scale)
    category_weight = check_weight(parameter("category_weight"), category_weight)
    missing_weight = check_weight(parameter("missing_weight"), missing_weight)
    found = [
        _levels_apart(each, category_weight) if each.kind == "category" else _numbers_apart(each, scale, missing_weight)
        for each in columns
    ]
    return sorted(found, key=lambda each: -each.scaled)


def _missing(column: CommonColumn) -> tuple[float, float]:
    return float(np.isnan(column.x).mean()), float(np.isnan(column.y).mean())


def _levels_apart(column: CommonColumn, weight: float) -> ColumnDistance:
    """Total variation: half the sum of |p - q| over levels, missing included."""
    levels = np.concatenate([np.unique(np.concatenate([column.x, column.y])), [np.nan]])
    levels = levels[~np.isnan(levels)]

    def shares(values: Values) -> Values:
        there = values[~np.isnan(values)]
        counts = np.bincount(np.searchsorted(levels, there), minlength=len(levels) + 1)[: len(levels) + 1]
        counts[-1] = len(values) - len(there)
        return np.asarray(counts / len(values), np.float64)

    variation = float(np.abs(shares(column.x) - shares(column.y)).sum() / 2)
    return ColumnDistance(column.name, "category", variation, "share", weight * variation, 1.0, *_missing(column))


def _numbers_apart(column: CommonColumn, scale: str, weight: float) -> ColumnDistance:
    x, y = (values[~np.isnan(values)] for values in (column.x, column.y))
    unit, _ = scale_of(x, y, scale)
    gone = _missing(column)
    own = wasserstein_line(x, y).item() if len(x) and len(y) else None
    scaled = (own or 0.0) / unit + weight * abs(gone[0] - gone[1])
    if not np.isfinite(scaled):
        raise UserError(
            f"The numbers of column {column.name} are too large", hint=f"choose another {parameter('scale')}"
        )
    return ColumnDistance(column.name, column.kind, own, column.unit, scaled, unit, *gone)
