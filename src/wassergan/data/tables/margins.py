"""How often each option of a table's columns is taken, and where its channels lie: what drawn rows are brought to."""

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.context import Rows
from wassergan.data.tables.codec import MOST_STRATA, Stratum, TableCodec
from wassergan.data.tables.conditions import ColumnContext
from wassergan.data.tables.encodings import NumberCoding
from wassergan.data.tables.formats import Values
from wassergan.data.weights import Weights, are_equal, proportional_positions

SUMMED_ROWS = 2**14
LOOKED_AT_ROWS, QUANTILES = 2**16, 257  # of each channel
STRATUM_ROWS, STRATUM_SHARE = 500, 0.01  # of the training rows, at least: fewer tell a distribution badly


def fit_margins(
    codec: TableCodec,
    rows: Rows,
    context: ColumnContext | None,
    train: NDArray[np.int64],
    weights: Weights | None = None,
) -> None:
    """Note the margins of training rows in a codec, those under frequent conditions too.

    Args:
        codec: of the table.
        rows: (n, columns), all of them.
        context: their conditions, if they have any.
        train: (k,) numbers of the training rows.
        weights: (N,) of all rows, with which they count; None for one each.
    """
    counted = None if weights is None else weights[train]
    codec.shares, codec.spread = _shares(codec, rows, train, counted), _spreads(codec, rows, train, counted)
    if context is not None:
        codec.strata = _strata(codec, context, rows, train, counted)


def _strata(
    codec: TableCodec, context: ColumnContext, rows: Rows, train: NDArray[np.int64], counted: Weights | None
) -> tuple[Stratum, ...]:
    """Margins of the rows under each frequent combination of those conditions that are options alone."""
    layouts = context.codec.column_layouts
    is_option = np.concatenate([np.full(each.width, each.options == each.width) for each in layouts])
    parts = [train[start : start + SUMMED_ROWS] for start in range(0, len(train), SUMMED_ROWS)]
    vectors = (context.at(torch.from_numpy(part)).numpy() for part in parts)
    packed = np.concatenate([np.packbits((each > 0) & is_option, axis=1) for each in vectors])
    found_kinds, kind, counts = np.unique(packed, axis=0, return_inverse=True, return_counts=True)
    kinds = np.unpackbits(found_kinds, axis=1, count=len(is_option))
    fewest = max(STRATUM_ROWS, STRATUM_SHARE * len(train))
    frequent = [each for each in np.argsort(-counts, kind="stable") if counts[each] >= fewest][:MOST_STRATA]
    if not is_option.any() or len(kinds) == 1:
        return ()
    found = []
    for each in frequent:
        here = kind.ravel() == each
        options = tuple(np.flatnonzero(kinds[each]).tolist())
        own = codec, rows, train[here], None if counted is None else counted[here]
        found.append(Stratum(options, _shares(*own), _spreads(*own)))
    return tuple(found)


def _shares(codec: TableCodec, rows: Rows, train: NDArray[np.int64], counted: Weights | None) -> tuple[float, ...]:
    is_channel = ~np.array([is_entry for layout in codec.column_layouts for is_entry in layout.is_entry])
    if counted is None and codec.rules is None:
        total, whole = _counts(codec, rows, train), float(len(train))
    else:
        total, weights = np.zeros(codec.width), np.ones(len(train)) if counted is None else counted
        for start in range(0, len(train), SUMMED_ROWS):
            block = codec.encode(torch.from_numpy(rows[train[start : start + SUMMED_ROWS]])).numpy()
            total += weights[start : start + SUMMED_ROWS] @ (block > 0)
        whole = weights.sum()
    return tuple(np.where(is_channel, 0.0, total / whole).tolist())


def _counts(codec: TableCodec, rows: Rows, train: NDArray[np.int64]) -> Values:
    """How many of the training rows take each option and each digit, column by column."""
    places = {column.name: index for index, column in enumerate(codec.columns)}
    found = []
    for column in codec.columns:
        if column.name not in codec.given:
            values = rows[:, places[column.name]][train]
            if column.since:
                values = values - rows[:, places[column.since]][train]
            found.append(column.coding.taken(values))
    return np.concatenate(found).astype(np.float64)


def _spreads(
    codec: TableCodec, rows: Rows, train: NDArray[np.int64], counted: Weights | None
) -> tuple[tuple[float, ...], ...]:
    """Quantiles of each channel where it tells the value."""
    if counted is None or are_equal(counted):
        chosen = np.linspace(0, len(train) - 1, min(LOOKED_AT_ROWS, len(train))).astype(np.int64)
    else:
        chosen = proportional_positions(counted, LOOKED_AT_ROWS, rng=torch.Generator().manual_seed(0)).numpy()
    some = rows[train[chosen]]
    found = []
    for coding, vectors in zip(codec.codings, codec.blocks(some), strict=True):
        layout = coding.layout
        if layout.channel:
            assert isinstance(coding, NumberCoding)
            is_open = np.ones(len(some), bool) if not layout.options else vectors[:, layout.open_option] > 0
            block = vectors[is_open]
            told = coding.placed(block) if is_open.any() else np.zeros(1)
            found.append(tuple(np.quantile(told, np.linspace(0, 1, QUANTILES)).tolist()))
    return tuple(found)
