from typing import Any

import pytest

from wassergan.config.presets import PRESETS, resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.errors import UserError

SHAPES = [(2,), (1, 8, 8), (3, 32, 32), (1, 33, 49), (1, 3, 3)]


def resolved(preset: str, shape: tuple[int, ...] = (3, 32, 32), **given: Any) -> ResolvedSettings:
    return resolve(TrainSettings(preset=preset, **given), shape=shape, train_count=1000)


def values(settings: ResolvedSettings, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(settings, name) for name in names)


def test_wgan_is_algorithm_1_of_its_paper() -> None:
    # Arjovsky et al. 2017: α = 0.00005, c = 0.01, m = 64, n_critic = 5, RMSProp.
    settings = resolved("wgan")
    assert values(settings, "constraint", "clip", "optimizer", "generator_lr", "critic_lr") == (
        "clip",
        0.01,
        "rmsprop",
        5e-5,
        5e-5,
    )
    assert values(settings, "critic_steps", "batch_size", "network", "average_half_life") == (5, 64, "mlp", 0)
    assert values(settings, "latent_dim", "generator_widths", "critic_widths") == (
        100,
        (256, 512, 1024),
        (1024, 512, 256),
    )


def test_wgan_gp_is_algorithm_1_of_its_paper() -> None:
    # Gulrajani et al. 2017: λ = 10, n_critic = 5, α = 0.0001, β1 = 0, β2 = 0.9, batch 64, layer normalisation.
    settings = resolved("wgan-gp")
    assert values(settings, "constraint", "penalty_weight", "critic_steps", "batch_size") == ("gp", 10.0, 5, 64)
    assert values(settings, "optimizer", "generator_lr", "critic_lr", "beta1", "beta2") == (
        "adam",
        1e-4,
        1e-4,
        0.0,
        0.9,
    )
    assert values(settings, "network", "critic_norm", "generator_norm", "maps") == ("conv", "layer", "batch", 64)


def test_sn_wgan_is_spectral_norm_with_the_wasserstein_objective() -> None:
    settings = resolved("sn-wgan")
    assert values(settings, "constraint", "critic_norm", "objective", "network") == (
        "sn",
        "none",
        "wasserstein",
        "conv",
    )
    assert values(settings, "generator_lr", "critic_lr") == (2e-4, 2e-4)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_preset_resolves_for_every_shape_without_a_hole(preset: str, shape: tuple[int, ...]) -> None:
    settings = resolved(preset, shape)
    optional = {
        "steps",
        "threads",
        "w1_every",
        "size",
        "key",
        "sample_dim",
        "sheet",
        "missing",
        "channels",
        "heldout",
        "schema",
        "condition",
        "labels",
        "condition_array",
        "weight",
        "series",
        "time",
        "window",
        "stride",
        "crop",
        "init_from",
        "tensorboard",
    }
    assert [name for name in vars(settings) if getattr(settings, name) is None and name not in optional] == []
    assert settings.budget == 300.0
    if len(shape) == 1 or min(shape[1:]) < 4:
        assert settings.network == "mlp"


@pytest.mark.parametrize("preset", PRESETS)
def test_what_the_user_says_wins(preset: str) -> None:
    settings = resolved(preset, batch_size=7, constraint="clip", clip=0.5, steps=3)
    assert values(settings, "batch_size", "constraint", "clip", "steps", "budget") == (7, "clip", 0.5, 3, None)


def test_layer_normalisation_follows_the_constraint_and_batch_normalisation_the_network() -> None:
    assert resolved("wgan-gp", constraint="sn").critic_norm == "none"
    assert resolved("wgan-gp", network="mlp").generator_norm == "none"


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"Unknown preset: 'wgan_gp'. Did you mean 'wgan-gp'\? Known: default, wgan, wgan-gp, sn-wgan"
    ):
        resolved("wgan_gp")
