"""How often each option of a table's columns is taken, and where its channels lie: what drawn rows are brought to."""

import numpy as np
import torch
from numpy.typing import NDArray

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
    rows: Values,
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
    trained = rows[train]
    counted = np.ones(len(trained)) if weights is None else weights[train]
    codec.shares, codec.spread = _shares(codec, trained, counted), _spreads(codec, trained, counted)
    if context is not None:
        codec.strata = _strata(codec, context.codec, context.rows[train], trained, counted)


def _strata(
    codec: TableCodec, context: TableCodec, conditions: Values, rows: Values, counted: Weights
) -> tuple[Stratum, ...]:
    """Margins of the rows under each frequent combination of those conditions that are options alone."""
    is_option = np.concatenate([np.full(each.width, each.options == each.width) for each in context.column_layouts])
    taken = (context.encode(torch.from_numpy(conditions)).numpy() > 0) & is_option
    kinds, kind, counts = np.unique(taken, axis=0, return_inverse=True, return_counts=True)
    fewest = max(STRATUM_ROWS, STRATUM_SHARE * len(rows))
    frequent = [each for each in np.argsort(-counts, kind="stable") if counts[each] >= fewest][:MOST_STRATA]
    if not is_option.any() or len(kinds) == 1:
        return ()
    found = []
    for each in frequent:
        here = kind.ravel() == each
        options = tuple(np.flatnonzero(kinds[each]).tolist())
        own = codec, rows[here], counted[here]
        found.append(Stratum(options, _shares(*own), _spreads(*own)))
    return tuple(found)


def _shares(codec: TableCodec, rows: Values, counted: Weights) -> tuple[float, ...]:
    total = np.zeros(codec.width)
    for start in range(0, len(rows), SUMMED_ROWS):
        block = codec.encode(torch.from_numpy(rows[start : start + SUMMED_ROWS])).numpy()
        total += counted[start : start + SUMMED_ROWS] @ (block > 0)
    is_channel = ~np.array([is_entry for layout in codec.column_layouts for is_entry in layout.is_entry])
    return tuple(np.where(is_channel, 0.0, total / counted.sum()).tolist())


def _spreads(codec: TableCodec, rows: Values, counted: Weights) -> tuple[tuple[float, ...], ...]:
    """Quantiles of each channel where it tells the value."""
    if are_equal(counted):
        some = rows[np.linspace(0, len(rows) - 1, min(LOOKED_AT_ROWS, len(rows))).astype(np.int64)]
    else:
        some = rows[proportional_positions(counted, LOOKED_AT_ROWS, rng=torch.Generator().manual_seed(0)).numpy()]
    vectors, start, found = codec.encode(torch.from_numpy(some)).numpy(), 0, []
    for coding in codec.codings:
        layout = coding.layout
        if layout.channel:
            assert isinstance(coding, NumberCoding)
            is_open = np.ones(len(some), bool) if not layout.options else vectors[:, start + layout.open_option] > 0
            block = vectors[is_open, start : start + layout.width]
            told = coding.placed(block) if is_open.any() else np.zeros(1)
            found.append(tuple(np.quantile(told, np.linspace(0, 1, QUANTILES)).tolist()))
        start += layout.width
    return tuple(found)
