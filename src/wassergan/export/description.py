"""What a file says of its generator, in JSON: how to draw latents, what comes out, how to decode it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from wassergan import __version__
from wassergan.data import Codec, number_codec
from wassergan.errors import UserError
from wassergan.sampling import Sampler

VERSION = 1
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
    settings, codec = content["settings"], number_codec(sampler.codec, "wassergan export")
    if sampler.conditions is not None:
        raise UserError(
            "wassergan export knows no generators with conditions yet",
            found=", ".join(sampler.conditions.names),
            mend="draw from the run with wassergan sample --given",
        )
    return {
        "version": VERSION,
        "wassergan": __version__,
        "usage": _usage(sampler, codec, content["shape"]),
        "latent": {"shape": ["count", sampler.latent_dim], "dtype": "float32", "law": "independent standard normal"},
        "sample": {"shape": ["count", *content["shape"]], "dtype": "float32", "kind": sampler.kind},
        "decoder": _decoder(codec),
        "network": str(sampler.generator),
        "run": {"data": settings["data"], "preset": settings["preset"], "step": content["trainer"]["step"]},
        "settings": settings,
    }


def codec_of(description: Mapping[str, Any]) -> Codec:
    """The codec that a description tells of."""
    decoder = description["decoder"]
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
