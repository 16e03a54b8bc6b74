"""Codecs and conditions of every class of data, from what a checkpoint holds of them."""

from collections.abc import Mapping
from typing import Any

from wassergan.data.codec import AnyCodec, Codec
from wassergan.data.paired import ArrayConditions
from wassergan.data.series.codec import SeriesCodec
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.conditions import ColumnConditions
from wassergan.data.tables.hidden import conditions_of_state
from wassergan.data.volumes.codec import VolumeCodec

AnyConditions = ColumnConditions | ArrayConditions


def conditions_from_state(state: Mapping[str, Any]) -> AnyConditions:
    """The conditions of a checkpoint, which are columns or arrays."""
    return ArrayConditions.from_state(state) if "array" in state else conditions_of_state(state)


def codec_from_state(state: Mapping[str, Any]) -> AnyCodec:
    """The codec of a checkpoint, of a table, of volumes, of series or of other numbers."""
    if "columns" in state:
        return TableCodec.from_state(state)
    if "phases" in state:
        return VolumeCodec.from_state(state)
    return SeriesCodec.from_state(state) if "form" in state else Codec.from_state(state)
