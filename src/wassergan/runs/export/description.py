"""The description of an exported generator in JSON: how to draw latents, its output, and how to decode it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wassergan.data import AnyCodec, ArrayConditions
from wassergan.errors import UserError, flag
from wassergan.modality import modality_of
from wassergan.sampling.sampler import Sampler
from wassergan.session.state import CheckpointState
from wassergan.utils.version import __version__

VERSION = 1


def describe(state: CheckpointState, sampler: Sampler) -> dict[str, Any]:
    """The description of a checkpoint's generator, complete for readers who have neither the run nor this library.

    Args:
        state: of the checkpoint.
        sampler: drawn from it.

    Returns:
        Plain JSON types: `latent`, `sample`, `decoder`, `usage` (the same in words), `network` (the generator's
        modules in words), `run`, `settings` (resolved), `version` and `wassergan`.
    """
    if sampler.conditions is not None:
        given = "condition_array" if isinstance(sampler.conditions, ArrayConditions) else "given"
        raise UserError(
            "wassergan export knows no generators with conditions yet",
            found=", ".join(sampler.conditions.names),
            hint=f"draw from the run with wassergan sample {flag(given)}",
        )
    settings = asdict(state.settings)
    data, files = _name(settings["data"]), ("labels", "schema", "condition_array")
    modality = modality_of(sampler.kind)
    codec = modality.own(sampler.codec)
    return {
        "version": VERSION,
        "wassergan": __version__,
        "usage": modality.usage(codec, latent_dim=sampler.latent_dim, shape=state.shape),
        "latent": {"shape": ["count", sampler.latent_dim], "dtype": "float32", "law": "independent standard normal"},
        "sample": {"shape": ["count", *state.shape], "dtype": "float32", "kind": sampler.kind},
        "decoder": modality.decoder(codec),
        "network": str(sampler.generator),
        "run": {"data": data, "preset": settings["preset"], "step": state.step},
        "settings": {
            **settings,
            "data": data,
            **{name: _name(settings.get(name)) for name in files},
        },
    }


def _name(path: str | None) -> str | None:
    """The name of a file without its local path, for other people."""
    return path and Path(path).name


def codec_of(description: Mapping[str, Any]) -> AnyCodec:
    """The codec in a description: its `decode` converts the generator's output to the user's units."""
    codec: AnyCodec = modality_of(description["sample"]["kind"]).codec_of(description["decoder"])
    return codec
