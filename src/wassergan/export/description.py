"""What a file says of its generator, in JSON: how to draw latents, what comes out, how to decode it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from wassergan import __version__
from wassergan.data import AnyCodec, Codec, TableCodec
from wassergan.errors import UserError
from wassergan.sampling import Sampler

VERSION = 1
PLACE = "place"  # of a table's column in a row
_AXES = {
    "N": "drop axis 1",
    "NHW": "drop axis 1",
    "NHWC": "move axis 1 to the end",
    "ND": "leave the axes as they are",
    "NCHW": "leave the axes as they are",
}


def describe(content: Mapping[str, Any], sampler: Sampler) -> dict[str, Any]:
    """The description of a checkpoint's generator, complete for whoever has neither the run nor this library.

    Args:
        content: of the checkpoint.
        sampler: drawn from it.

    Returns:
        Plain JSON types: `latent`, `sample`, `decoder`, `usage` (the same in words), `network` (the generator's
        modules in words), `run`, `settings` (resolved), `version` and `wassergan`.
    """
    if sampler.conditions is not None:
        raise UserError(
            "wassergan export knows no generators with conditions yet",
            found=", ".join(sampler.conditions.names),
            mend="draw from the run with wassergan sample --given",
        )
    settings = content["settings"]
    usage, decoder = _way_back(sampler, content["shape"])
    return {
        "version": VERSION,
        "wassergan": __version__,
        "usage": usage,
        "latent": {"shape": ["count", sampler.latent_dim], "dtype": "float32", "law": "independent standard normal"},
        "sample": {"shape": ["count", *content["shape"]], "dtype": "float32", "kind": sampler.kind},
        "decoder": decoder,
        "network": str(sampler.generator),
        "run": {"data": settings["data"], "preset": settings["preset"], "step": content["trainer"]["step"]},
        "settings": settings,
    }


def _way_back(sampler: Sampler, shape: list[int]) -> tuple[list[str], dict[str, Any]]:
    """What to do, in words, and the decoder."""
    codec = sampler.codec
    if isinstance(codec, TableCodec):
        return _table_usage(sampler, codec), _table_decoder(codec)
    assert isinstance(codec, Codec)
    return _usage(sampler, codec, shape), _decoder(codec)


def codec_of(description: Mapping[str, Any]) -> AnyCodec:
    """The codec that a description tells of: its `decode` turns what the generator gives into the user's units."""
    decoder = description["decoder"]
    if decoder["layout"] == TableCodec.layout:
        columns = [{name: value for name, value in column.items() if name != PLACE} for column in decoder["columns"]]
        return TableCodec.from_state({**decoder, "columns": columns})
    numbers = {name: torch.tensor(decoder[name], dtype=torch.float64) for name in ("offset", "scale", "low", "high")}
    return Codec(decoder["layout"], decoder["dtype"], **numbers, whole=decoder["whole"])


def _decoder(codec: Codec) -> dict[str, Any]:
    rounded = _rounded(codec)
    bounds = [(bound * codec.scale + codec.offset).tolist() for bound in (codec.low, codec.high)]
    return {
        "layout": codec.layout,
        "dtype": codec.dtype,
        "whole": codec.whole,
        **{name: getattr(codec, name).tolist() for name in ("offset", "scale", "low", "high")},
        "round": rounded,
        "clip": bounds if rounded else None,
    }


def _rounded(codec: Codec) -> bool:
    return codec.whole or np.dtype(codec.dtype).kind in "iub"


def _table_decoder(codec: TableCodec) -> dict[str, Any]:
    """What a codec keeps in a checkpoint, and where each column stands in a sample."""
    state, start = codec.state(), 0
    for column, field in zip(state["columns"], codec.fields, strict=True):
        column[PLACE] = {
            "start": start,
            "options": field.options,
            "open_option": field.open_option,
            "channel": field.channel,
            "digits": field.digits,
            "radix": field.radix,
        }
        start += field.width
    return {"layout": codec.layout, "dtype": codec.dtype, **state}


def _table_usage(sampler: Sampler, codec: TableCodec) -> list[str]:
    return [
        f"draw latents of shape (count, {sampler.latent_dim}), float32, independent standard normal: they hold the "
        "noise by which options are drawn",
        f"run the generator: rows of shape (count, {codec.width}), float32",
        "each column of decoder.columns has, from place.start on, place.options numbers, of which the largest is the "
        "option taken, place.channel numbers, and place.digits times place.radix numbers, of which the largest of each "
        "place.radix is a digit",
        "numbers: option i is coding.frequent[i]; the open option is the place in [-1, 1] that the channel holds, or "
        "atan2(second, first) / pi of its two numbers for an angle: "
        "interpolated from coding.places to coding.knots, or knots[i] where it lies between edges[i-1] and edges[i], "
        "if there are edges; the option after those is a missing value; clip to coding.low and coding.high, and round "
        "to form.decimals",
        "categories: option i is the level coding.frequent[i] of form.levels; the digits of the open option are a "
        "cell, the first digit the highest, which belongs to the last rare level whose coding.bounds entry is not "
        "above it",
        "a column with `since` counts from that column of the same row; dates count units of form.unit microseconds "
        "from the start of 1970",
        "with this library: wassergan.export.codec_of(description).decode(rows)",
    ]


def _usage(sampler: Sampler, codec: Codec, shape: list[int]) -> list[str]:
    size = ", ".join(map(str, shape))
    rounding = ["round to whole numbers and clip to decoder.clip"] if _rounded(codec) else []
    return [
        f"draw latents of shape (count, {sampler.latent_dim}), float32, independent standard normal",
        f"run the generator: samples of shape (count, {size}), float32, in model units",
        "compute values = samples * decoder.scale + decoder.offset in float64",
        *rounding,
        f"{_AXES[codec.layout]}: layout {codec.layout}",
        f"cast to {codec.dtype}",
    ]
