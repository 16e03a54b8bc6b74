"""Two data sets compared: columns matched by name, a stated ground metric, and the distance of each column."""

from wassergan.evaluation.datasets.ground import ColumnMetric, GroundMetric
from wassergan.evaluation.datasets.tables import (
    ColumnDistance,
    TableDistance,
    column_distances,
    table_column_distances,
    table_distance,
)

__all__ = [
    "ColumnDistance",
    "ColumnMetric",
    "GroundMetric",
    "TableDistance",
    "column_distances",
    "table_column_distances",
    "table_distance",
]
