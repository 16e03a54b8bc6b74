"""What a file says of its generator, in JSON: how to draw latents, what comes out, how to decode it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wassergan import __version__
from wassergan.data import AnyCodec, Codec, TableCodec
from wassergan.data.parts import Parts, no_parts
from wassergan.errors import UserError
from wassergan.sampling.sampler import Sampler
from wassergan.session.state import CheckpointState

VERSION = 1
PLACE = "place"  # of a table's column in a row
_AXES = {
    "N": "drop axis 1",
    "NHW": "drop axis 1",
    "NHWC": "move axis 1 to the end",
    "ND": "leave the axes as they are",
    "NCHW": "leave the axes as they are",
}


def describe(state: CheckpointState, sampler: Sampler) -> dict[str, Any]:
    """The description of a checkpoint's generator, complete for whoever has neither the run nor this library.

    Args:
        state: of the checkpoint.
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
    settings = asdict(state.settings)
    data = _name(settings["data"])
    usage, decoder = _way_back(sampler, list(state.shape))
    return {
        "version": VERSION,
        "wassergan": __version__,
        "usage": usage,
        "latent": {"shape": ["count", sampler.latent_dim], "dtype": "float32", "law": "independent standard normal"},
        "sample": {"shape": ["count", *state.shape], "dtype": "float32", "kind": sampler.kind},
        "decoder": decoder,
        "network": str(sampler.generator),
        "run": {"data": data, "preset": settings["preset"], "step": state.step},
        "settings": {**settings, "data": data, **{name: _name(settings.get(name)) for name in ("labels", "schema")}},
    }


def _name(path: str | None) -> str | None:
    """What a file is called, for others: where it lies here is no concern of theirs."""
    return path and Path(path).name


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
    offset, scale, low, high = (
        torch.tensor(decoder[name], dtype=torch.float64) for name in ("offset", "scale", "low", "high")
    )
    return Codec(
        decoder["layout"],
        decoder["dtype"],
        offset,
        scale,
        low,
        high,
        whole=decoder["whole"],
        base=decoder.get("base", 0),
        parts=_parts_of(decoder),
        channels=tuple(decoder.get("channels", ())),
    )


def _decoder(codec: Codec) -> dict[str, Any]:
    rounded, parts = _rounded(codec), codec.parts
    bounds = [(bound * codec.scale + codec.offset).tolist() for bound in (codec.low, codec.high)]
    return {
        "layout": codec.layout,
        "shape": None if parts is None else list(parts.fixed.shape),
        "dtype": codec.dtype,
        "whole": codec.whole,
        **{name: getattr(codec, name).tolist() for name in ("offset", "scale", "low", "high")},
        "round": rounded,
        "clip": bounds if rounded else None,
        "base": codec.base,
        "channels": list(codec.channels),
        "constants": None if codec.parts is None else _constants(codec.parts, codec.dtype),
        "missing": None if codec.parts is None else _missing(codec.parts),
    }


def _constants(parts: Parts, dtype: str) -> dict[str, Any] | None:
    """Positions that have one value in every sample, counted through a sample, channels first, and those values."""
    values = np.frombuffer(parts.values.numpy().tobytes(), dtype).tolist()
    if not values:
        return None
    return {"positions": parts.fixed.flatten().nonzero().flatten().tolist(), "values": values, "silent": parts.silent}


def _missing(parts: Parts) -> dict[str, Any] | None:
    """Where values are missing always, and where they may be, by the channel that tells it."""
    if parts.code is None:
        return None
    nan = parts.code != parts.code
    return {
        "shape": list(parts.gappy.shape),
        "always": parts.absent.flatten().nonzero().flatten().tolist(),
        "sometimes": parts.gappy.flatten().nonzero().flatten().tolist(),
        "mask_channel": [len(parts.gates) + gate if gate >= 0 else None for gate in parts.gates.tolist()],
        "rates": parts.rates.tolist(),
        "written": "nan" if nan else parts.code,
        "codes": list(parts.codes),
    }


def _parts_of(decoder: Mapping[str, Any]) -> Parts | None:
    constants, missing = decoder.get("constants"), decoder.get("missing")
    if constants is None and missing is None:
        return None
    shape = tuple(decoder["shape"])

    def mask(positions: list[int]) -> torch.Tensor:
        found = torch.zeros(math.prod(shape), dtype=torch.bool)
        found[positions] = True
        return found.view(shape)

    values = np.array(constants["values"] if constants else [], decoder["dtype"])
    fixed = mask(constants["positions"] if constants else [])
    stored = torch.from_numpy(np.frombuffer(values.tobytes(), np.uint8).copy())
    silent = constants["silent"] if constants else True
    if missing is None:
        return replace(no_parts(shape), fixed=fixed, values=stored, silent=silent)
    gates = [-1 if channel is None else channel - shape[0] for channel in missing["mask_channel"]]
    rates = torch.tensor(missing["rates"]).view(-1, *shape[1:])
    code = float("nan") if missing["written"] == "nan" else missing["written"]
    places = (mask(missing["always"]), mask(missing["sometimes"]))
    return Parts(fixed, stored, *places, torch.tensor(gates), rates, tuple(missing["codes"]), code, silent)


def _rounded(codec: Codec) -> bool:
    return codec.whole or np.dtype(codec.dtype).kind in "iub"


def _table_decoder(codec: TableCodec) -> dict[str, Any]:
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
        "with this library: wassergan.export.codec_of(description).decode(rows)",
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


def _usage(sampler: Sampler, codec: Codec, shape: list[int]) -> list[str]:
    size = ", ".join(map(str, shape))
    rounding = ["round to whole numbers and clip to decoder.clip"] if _rounded(codec) else []
    return [
        f"draw latents of shape (count, {sampler.latent_dim}), float32, independent standard normal",
        f"run the generator: samples of shape (count, {size}), float32, in model units",
        *(
            [f"set the last {masks} channels aside: they tell what is missing, see decoder.missing"]
            if codec.parts and (masks := codec.parts.masks)
            else []
        ),
        "compute values = samples * decoder.scale + decoder.offset in float64",
        *rounding,
        *(["add decoder.base, in whole numbers"] if codec.base else []),
        *_usage_of_parts(codec.parts),
        f"{_AXES[codec.layout]}: layout {codec.layout}",
        f"cast to {codec.dtype}",
    ]


def _usage_of_parts(parts: Parts | None) -> list[str]:
    if parts is None:
        return []
    told = []
    if parts.fixed.any():
        told.append("put decoder.constants.values at decoder.constants.positions, counted through the channels of data")
    if parts.code is not None:
        told.append(
            "put decoder.missing.written at decoder.missing.always, and at those of decoder.missing.sometimes where "
            "the channel that decoder.missing.mask_channel names for theirs is not above 0"
        )
    return told
