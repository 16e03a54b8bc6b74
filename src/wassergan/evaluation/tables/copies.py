"""Exact copies of training rows."""

from collections.abc import Sequence

import numpy as np

from wassergan.data.context import Rows as RowsAnywhere
from wassergan.evaluation.tables.columns import Rows, Weights

CHUNK = 2**16  # training rows at a time


def exact_copies(rows: Rows, training: RowsAnywhere, weights: Weights | None = None) -> float:
    """The share of rows that equal a training row that is unique among the training rows.

    A frequent row is no secret, and any good generator draws it; a unique row may identify a person.

    Args:
        rows: (n, columns), NaN where missing, which equals itself here.
        training: (m, columns), in memory or on disk.
        weights: with which the rows count; None for one each.
    """
    found = _plain(rows)
    counts = dict.fromkeys(found, 0)
    for start in range(0, len(training), CHUNK):
        for row in _plain(training[start : start + CHUNK]):
            if row in counts:
                counts[row] += 1
    return float(np.average([counts[row] == 1 for row in found], weights=weights))


def _plain(rows: Rows) -> Sequence[bytes]:
    # Adding zero turns -0.0 into the equal 0.0; every NaN becomes the same one.
    even = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0))
    return [row.tobytes() for row in even]
