"""Codecs of every class of data, from what a checkpoint holds of them."""

from collections.abc import Mapping
from typing import Any

from wassergan.data.codec import AnyCodec, Codec
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.tables.codec import TableCodec


def codec_from_state(state: Mapping[str, Any]) -> AnyCodec:
    """The codec of a checkpoint, of a table, of series or of other numbers."""
    if "columns" in state:
        return TableCodec.from_state(state)
    return SeriesCodec.from_state(state) if "form" in state else Codec.from_state(state)
