"""Named settings: the published recipes and our own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.errors import unknown_name

Values = Mapping[str, Any]

# What no recipe needs to say: the values of settings that its constraint, network or schedule does not use.
_COMMON: Values = {
    "objective": "wasserstein",
    "clip": 0.01,
    "penalty_weight": 10.0,
    "penalty_every": 1,
    "penalty_on": "samples",
    "critic_condition": "concat",
    "upsampling": "transposed",
    "generator_widths": (256, 512, 1024),
    "critic_widths": (1024, 512, 256),
    "maps": 64,
    "sequence_width": 0,
    "likelihood": 0.0,
    "likelihood_steps": 0,
    "two_point": 0.0,
    "past_noise": 0.0,
    "activation": "leaky_relu",
    "augment": "none",
    "mirror": False,
    "pack": 1,
    "latent_dim": 128,
    "batch_size": 64,
    "critic_steps": 5,
    "share_fakes": False,
    "optimizer": "adam",
    "beta1": 0.0,
    "beta2": 0.9,
    "overshoot": 1.0,
    "match_margins": False,
    "equalized_lr": False,
    "schedule": "constant",
    "schedule_steps": 10_000,
    "average_half_life": 0.0,
    "average_ramp": 0.05,
    "precision": "float32",
}


# Numbers in a sample, up to which the recipe for points, the one for small pictures, and fully connected networks
# are the better choice.
LARGEST_NARROW_VECTOR = 16
LARGEST_SMALL_SAMPLE = 256
LARGEST_MLP_SAMPLE = 4096
DEFAULT_BUDGET = 300.0  # seconds, for those who give neither steps nor a budget


@dataclass(frozen=True)
class Preset:
    """Settings by the shape of the sample and the number of training samples."""

    name: str
    summary: str
    values: Callable[[tuple[int, ...], int], Values]


def _wgan(shape: tuple[int, ...], count: int) -> Values:
    """Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1, on the widely used MLPs of 2017."""
    return {
        "network": "mlp",
        "constraint": "clip",
        "latent_dim": 100,
        "optimizer": "rmsprop",
        "generator_lr": 5e-5,
        "critic_lr": 5e-5,
    }


def _wgan_gp(shape: tuple[int, ...], count: int) -> Values:
    """Gulrajani et al. 2017, arXiv 1704.00028, algorithm 1; three layers of 512 for vectors, as in its toy data."""
    return {
        "network": _convolutional(shape),
        "constraint": "gp",
        "generator_widths": (512, 512, 512),
        "critic_widths": (512, 512, 512),
        "generator_lr": 1e-4,
        "critic_lr": 1e-4,
    }


def _sn_wgan(shape: tuple[int, ...], count: int) -> Values:
    """Miyato et al. 2018, arXiv 1802.05957, setting C of table 1, with the Wasserstein objective."""
    return {
        "network": _convolutional(shape),
        "constraint": "sn",
        "critic_norm": "none",
        "generator_widths": (512, 512, 512),
        "critic_widths": (512, 512, 512),
        "generator_lr": 2e-4,
        "critic_lr": 2e-4,
    }


def _default(shape: tuple[int, ...], count: int) -> Values:
    """Our own, from the measurements in docs/lab-notes.md: by the numbers in a sample."""
    common = {"network": "mlp", "constraint": "lp", "average_half_life": 500_000.0, "average_ramp": 0.02}
    if len(shape) == 1 and shape[0] <= LARGEST_NARROW_VECTOR:
        return {
            **common,
            "average_ramp": 0.05,
            "penalty_weight": 1.0,
            "latent_dim": 8,
            "generator_widths": (128, 128, 128),
            "critic_widths": (128, 128, 128),
            "batch_size": 128 if count >= 256 else 64,
            "critic_steps": 3,
            "generator_lr": 1e-3,
            "critic_lr": 1e-3,
        }
    if math.prod(shape) <= LARGEST_SMALL_SAMPLE:
        return {
            **common,
            "average_ramp": 0.1,
            "penalty_weight": 3.0,
            "penalty_every": 2,
            "latent_dim": 32,
            "generator_widths": (256, 256),
            "critic_widths": (256, 256),
            "generator_norm": "layer",
            "generator_lr": 1e-3,
            "critic_lr": 3e-3,
        }
    if len(shape) == 3 and math.prod(shape) > LARGEST_MLP_SAMPLE:
        return {
            **common,
            "network": "conv",
            "generator_lr": 5e-4,
            "critic_lr": 1e-3,
        }
    return {
        **common,
        "penalty_every": 2,
        "latent_dim": 64,
        "generator_widths": (512, 512),
        "critic_widths": (256, 256),
        "generator_lr": 7e-4,
        "critic_lr": 2e-3,
    }


def _convolutional(shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return "conv" if max(shape[1:]) >= 4 else "mlp"
    return "conv" if len(shape) == 2 or (len(shape) == 3 and min(shape[1:]) >= 4) else "mlp"


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("default", "our best recipe for the shape of the data", _default),
        Preset("wgan", "weight clipping, MLP, RMSprop (Arjovsky et al. 2017)", _wgan),
        Preset("wgan-gp", "gradient penalty, convolutions with LayerNorm (Gulrajani et al. 2017)", _wgan_gp),
        Preset("sn-wgan", "spectral norm (Miyato et al. 2018) with the Wasserstein objective", _sn_wgan),
    )
}


def fitting_batch(usual: int, train_count: int, *, pack: int = 1) -> int:
    """The usual size of a batch, or, of few training samples, at most half of them; whole packs, at least one.

    >>> fitting_batch(64, 1000), fitting_batch(64, 37), fitting_batch(64, 37, pack=4)
    (64, 18, 16)
    """
    return max(pack, min(usual, train_count // 2) // pack * pack)


def resolve(
    settings: TrainSettings, *, shape: tuple[int, ...], train_count: int, recipe: Values | None = None
) -> ResolvedSettings:
    """Fill in from the preset what the user left open.

    Args:
        settings: as given.
        shape: one sample in model space.
        train_count: training samples.
        recipe: of a class of data that has one of its own, in place of the preset `default`.

    Raises:
        UserError: the preset is not known.
    """
    if settings.preset not in PRESETS:
        raise unknown_name("preset", settings.preset, PRESETS)
    own = recipe if settings.preset == "default" else None
    values = PRESETS[settings.preset].values(shape, train_count) if own is None else own
    resolved = settings.with_defaults({**_COMMON, **values})
    # Batch normalisation is the convolutional generator's of DCGAN; the MLPs of the papers have none.
    resolved = resolved.with_defaults(
        {"generator_norm": "none" if resolved.network in ("mlp", "residual") else "batch"}
    )
    # Layer normalisation helps a penalised critic and would undo spectral normalisation or a certificate.
    resolved = resolved.with_defaults(
        {"critic_norm": "none" if resolved.constraint in ("sn", "orthogonal") else "layer"}
    )
    if resolved.steps is None and resolved.budget is None:
        resolved = resolved.with_defaults({"budget": DEFAULT_BUDGET})
    return ResolvedSettings.of(resolved)
