"""A codec of numbers for other programs: in plain JSON types, in words, and back."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from wassergan.data import Codec
from wassergan.data.parts import Parts, no_parts

_AXES = {
    "N": "drop axis 1",
    "NHW": "drop axis 1",
    "NHWC": "move axis 1 to the end",
    "NTC": "move axis 1 to the end",
    "NDHW": "drop axis 1",
    "NDHWC": "move axis 1 to the end",
    "NCDHW": "leave the axes as they are",
    "ND": "leave the axes as they are",
    "NCHW": "leave the axes as they are",
}


def decoder_of(codec: Codec) -> dict[str, Any]:
    """What turns samples in model space into numbers in the user's units, in plain JSON types."""
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


def codec_of(decoder: Mapping[str, Any]) -> Codec:
    """The inverse of `decoder_of`."""
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


def usage_of(codec: Codec, *, latent_dim: int, shape: tuple[int, ...]) -> list[str]:
    """The same in words, for samples of a shape (C, H, W) or (D,)."""
    size = ", ".join(map(str, shape))
    rounding = ["round to whole numbers and clip to decoder.clip"] if _rounded(codec) else []
    return [
        f"draw latents of shape (count, {latent_dim}), float32, independent standard normal",
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
