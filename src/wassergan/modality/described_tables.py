"""A table's codec for other programs: in plain JSON types, in words, and back."""

from collections.abc import Mapping
from typing import Any

from wassergan.data import TableCodec

PLACE = "place"  # of a table's column in a row


def decoder_of(codec: TableCodec) -> dict[str, Any]:
    """What a codec keeps in a checkpoint, and where each column stands in a sample."""
    state, start = codec.state(), 0
    columns = {column["name"]: column for column in state["columns"]}
    for slot in codec.slots:
        layout = slot.layout
        told = {
            "start": start,
            "options": layout.options,
            "open_option": layout.open_option,
            "channel": layout.channel,
            "digits": layout.digits,
            "radix": layout.radix,
        }
        columns[slot.names[0]].setdefault(PLACE, told)
        start += layout.width
    return {"layout": codec.layout, "dtype": codec.dtype, **state}


def codec_of(decoder: Mapping[str, Any]) -> TableCodec:
    """The inverse of `decoder_of`."""
    columns = [{name: value for name, value in column.items() if name != PLACE} for column in decoder["columns"]]
    return TableCodec.from_state({**decoder, "columns": columns})


def usage_of(codec: TableCodec, *, latent_dim: int) -> list[str]:
    """The same in words."""
    return [
        f"draw latents of shape (count, {latent_dim}), float32, independent standard normal: they hold the "
        "noise by which options are drawn",
        f"run the generator: rows of shape (count, {codec.width}), float32",
        "each column of decoder.columns has, from place.start on, place.options numbers, of which the largest is the "
        "option taken, place.channel numbers, and place.digits times place.radix numbers, of which the largest of each "
        "place.radix is a digit",
        "numbers: option i is coding.frequent[i]; the open option is the place in [-1, 1] that the channel holds, or "
        "atan2(second, first) / pi of its two numbers for an angle: "
        "interpolated from coding.places to coding.knots, or knots[i] where it lies between edges[i-1] and edges[i], "
        "if there are edges; the option after those is a missing value; clip to coding.low and coding.high, and round "
        "to form.decimals; where form.grid is no null, numbers and dates are the nearest grid.offset + k * grid.step "
        "within the bounds, in units of the last decimal or of form.unit; with grid.months, dates are day grid.day (-1 "
        "for the last) of each month that is grid.first modulo grid.months, counted from January 1970",
        "categories: option i is the level coding.frequent[i] of form.levels; the digits of the open option are a "
        "cell, the first digit the highest, which belongs to the last rare level whose coding.bounds entry is not "
        "above it",
        "a column with `since` counts from that column of the same row; dates count units of form.unit microseconds "
        "from the start of 1970",
        *_ruled_usage(codec),
        *[f"{each.name} is an identifier: it is written fresh, {each.told()}" for each in codec.identifiers],
        "with this library: wassergan.runs.export.codec_of(description).decode(rows)",
    ]


def _ruled_usage(codec: TableCodec) -> list[str]:
    """How rules change what is decoded."""
    if codec.rules is None:
        return []
    return [
        "decoder.rules.slots are what has a place, in their order, each with a coding that stands for that of its "
        "column: columns that go together are one slot (decoder.rules.groups has their combinations), a column with a "
        "base counts from it, and a computed column has no place",
        f"computed: {', '.join(codec.rules.determined) or 'none'}; rules: {'; '.join(codec.rules.texts)}",
    ]
