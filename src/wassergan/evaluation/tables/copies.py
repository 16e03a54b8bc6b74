"""Exact copies of training rows."""

from collections.abc import Sequence

import numpy as np

from wassergan.evaluation.tables.columns import Rows, Weights


def exact_copies(rows: Rows, training: Rows, weights: Weights | None = None) -> float:
    """The share of rows that equal a training row that is unique among the training rows.

    A frequent row is no secret, and any good generator draws it; a unique row may identify a person.

    Args:
        rows: (n, columns), NaN where missing, which equals itself here.
        training: (m, columns).
        weights: with which the rows count; None for one each.
    """
    counts: dict[bytes, int] = {}
    for row in _plain(training):
        counts[row] = counts.get(row, 0) + 1
    return float(np.average([counts.get(row) == 1 for row in _plain(rows)], weights=weights))


def _plain(rows: Rows) -> Sequence[bytes]:
    # Adding zero turns -0.0 into the equal 0.0; every NaN becomes the same one.
    even = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0))
    return [row.tobytes() for row in even]
