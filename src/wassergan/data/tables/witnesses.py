"""Rows that show how the texts of a column are written: the first one of each different text."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.columns import AnyColumn, TextColumn
from wassergan.data.tables.formats import Values

MOST_TEXTS = 2**15  # of each column


@dataclass(frozen=True)
class Witnesses:
    """Numbers of rows (k,) of a column, and the texts that stand there."""

    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    texts: tuple[str, ...] = ()


def witnesses_of(raw: AnyColumn, values: Values) -> Witnesses:
    """Those of a column of text whose levels its file does not declare; none of others.

    Args:
        raw: as it stands in the file.
        values: (n,) what was found in it; NaN where missing.
    """
    if not isinstance(raw, TextColumn) or raw.declared:
        return Witnesses()
    there = np.flatnonzero((raw.codes >= 0) & ~np.isnan(values))[::-1]
    first = np.full(len(raw.levels), -1, np.int64)
    first[raw.codes[there]] = there  # of several the last one stays, which is the first row
    codes = np.flatnonzero(first >= 0)
    codes = codes[:: max(1, len(codes) // MOST_TEXTS)]
    return Witnesses(first[codes], tuple(raw.levels[code] for code in codes.tolist()))
