"""The quality score of SDMetrics, if that package is installed; it does all the computing."""

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from wassergan.evaluation.tables.columns import Rows, TableColumn

PACKAGE = "sdmetrics"
TABLE = "table"


def quality_version() -> str | None:
    """The version of SDMetrics; None if it is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    from importlib.metadata import version

    return version(PACKAGE)


def quality_score(columns: Sequence[TableColumn], real: Rows, fake: Rows) -> float:
    """SDMetrics' overall quality of fake against real rows: the mean of column shapes and pair trends, 0 to 1.

    Raises:
        ImportError: SDMetrics, or something that it needs, is not installed.
    """
    log = logging.getLogger(PACKAGE)
    level = log.level
    tables = {"real_data": {TABLE: _frame(columns, real)}, "synthetic_data": {TABLE: _frame(columns, fake)}}
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # It warns about its own internals and about constant columns.
            warnings.simplefilter("ignore")
            from sdmetrics.reports import QualityReport

            report = QualityReport()
            report.generate(**tables, metadata=_metadata(columns), verbose=False)
            return float(report.get_score())
    finally:
        log.setLevel(level)


def _metadata(columns: Sequence[TableColumn]) -> dict[str, Any]:
    kinds = {column.name: {"sdtype": "categorical" if column.levels else "numerical"} for column in columns}
    return {"tables": {TABLE: {"columns": kinds}}}


def _frame(columns: Sequence[TableColumn], rows: Rows) -> Any:
    """Levels by name, dates as numbers, which are compared alike."""
    import pandas

    found = {}
    for index, column in enumerate(columns):
        values: Any = rows[:, index]
        if column.levels:
            values = np.array([*column.levels, None, "no such level"], object)[column.level_codes(values)]
        found[column.name] = values
    return pandas.DataFrame(found)
