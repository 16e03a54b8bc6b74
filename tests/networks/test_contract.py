"""What every network of the registry must do, for every kind and shape."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.errors import UserError
from wassergan.lipschitz import MaxMin
from wassergan.networks import NETWORKS, Bounded, build_networks

PICTURES = [(1, 8, 8), (3, 28, 28), (4, 33, 49), (1, 4, 4), (3, 7, 5), (1, 4, 30)]
SERIES = [(1, 1), (3, 5), (2, 24), (1, 4), (5, 2), (1, 100)]
VOLUMES = [(1, 8, 8, 8), (2, 9, 5, 1), (3, 2, 4, 7)]
OF_SERIES = ("mlp", "residual", "conv", "recurrent")
CASES = [
    *((kind, shape) for kind in NETWORKS if kind != "recurrent" for shape in PICTURES),
    *((kind, shape) for kind in ("mlp", "residual") for shape in [(2,), (1,), (17,)]),
    *((kind, shape) for kind in OF_SERIES for shape in SERIES),
    *((kind, shape) for kind in ("mlp", "conv") for shape in VOLUMES),
]
FULLY_CONNECTED = ("mlp", "residual")


def build(
    kind: str,
    shape: tuple[int, ...],
    *,
    seed: int = 0,
    generator_norm: str | None = None,
    critic_norm: str = "layer",
    activation: str = "leaky_relu",
    critic_activation: str | None = None,
) -> tuple[nn.Module, nn.Module]:
    return build_networks(
        kind,
        shape,
        head=Bounded(-torch.ones(()), torch.ones(())),
        latent_dim=6,
        generator_widths=(12, 9),
        critic_widths=(10, 7),
        maps=4,
        activation=activation,
        critic_activation=critic_activation or activation,
        generator_norm=generator_norm or ("none" if kind in FULLY_CONNECTED else "batch"),
        critic_norm=critic_norm,
        seed=seed,
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("count", [2, 7])
def test_any_shape_goes_through_generator_and_critic(kind: str, shape: tuple[int, ...], count: int) -> None:
    generator, critic = build(kind, shape)
    samples = generator(normal(count, 6))
    assert samples.shape == (count, *shape)
    assert (samples > -1).all() and (samples < 1).all()
    scores = critic(samples)
    assert scores.shape == (count,) and scores.isfinite().all()
    assert critic(samples[:1]).shape == (1,)


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("norm", ["layer", "none"])
def test_a_score_does_not_depend_on_the_other_samples(kind: str, shape: tuple[int, ...], norm: str) -> None:
    _, critic = build(kind, shape, critic_norm=norm)
    samples = normal(4, *shape)
    perturbed = samples.clone()
    perturbed[2] = 5 * normal(*shape, seed=1)
    before, after = critic(samples), critic(perturbed)
    others = [0, 1, 3]
    torch.testing.assert_close(before[others], after[others], rtol=0, atol=1e-6)
    assert (before[2] - after[2]).abs() > 1e-4


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_no_squashing_scores_scale_with_the_last_layer(kind: str, shape: tuple[int, ...]) -> None:
    _, critic = build(kind, shape)
    samples = normal(3, *shape)
    before = critic(samples)
    last = [module for module in critic.modules() if not list(module.children())][-1]
    assert isinstance(last, nn.Linear) and last.out_features == 1
    with torch.no_grad():
        last.weight.mul_(1e4)
        last.bias.mul_(1e4)
    torch.testing.assert_close(critic(samples), 1e4 * before, rtol=1e-5, atol=1e-5)
    assert critic(samples).abs().max() > 1


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_the_critic_sees_every_number_of_a_sample(kind: str, shape: tuple[int, ...]) -> None:
    _, critic = build(kind, shape, critic_norm="none")
    samples = normal(8, *shape).requires_grad_()
    critic(samples).sum().backward()
    assert samples.grad is not None and (samples.grad.abs().sum(0) > 0).all()


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_every_generator_weight_learns_and_every_pixel_varies(kind: str, shape: tuple[int, ...], norm: str) -> None:
    if kind in FULLY_CONNECTED and norm == "batch":
        with pytest.raises(UserError, match=r"Unknown norm of an? .*: 'batch'\. Known: none, layer"):
            build(kind, shape, generator_norm=norm)
        return
    generator, _ = build(kind, shape, generator_norm=norm)
    samples = generator(normal(16, 6))
    (samples * normal(16, *shape, seed=1)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
    assert (samples.std(dim=0) > 0).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_same_seed_same_weights_other_seed_other_weights_and_the_global_state_stays(kind: str) -> None:
    outside, shape = torch.get_rng_state(), (1, 8) if kind == "recurrent" else (1, 8, 8)
    first, again, other = (build(kind, shape, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(outside, torch.get_rng_state())
    for one, two, three in zip(first, again, other, strict=True):
        pairs = list(zip(one.parameters(), two.parameters(), three.parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b, _ in pairs)
        assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("kind", ["conv", "resnet"])
@pytest.mark.parametrize("shape", [(1, 3, 8), (2,)])
def test_convolutions_refuse_samples_too_small_for_them(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=rf"Network '{kind}' needs pictures or fields of at least 4x4.*network=\"mlp\""):
        build(kind, shape)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown network: 'con'. Did you mean 'conv'\?"):
        build("con", (1, 8, 8))
    with pytest.raises(UserError, match=r"Unknown norm: 'bach'. Did you mean 'batch'\?"):
        build("conv", (1, 8, 8), generator_norm="bach")
    with pytest.raises(UserError, match=r"Unknown activation: 'silo'. Did you mean 'silu'\?"):
        build("mlp", (2,), activation="silo")


def test_silu_is_the_smooth_activation() -> None:
    generator, critic = build("mlp", (2,), activation="silu")
    for network in (generator, critic):
        assert sum(isinstance(module, nn.SiLU) for module in network.modules()) == 2


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_the_critic_may_have_an_activation_of_its_own(kind: str) -> None:
    generator, critic = build(kind, (1, 8, 8), critic_activation="maxmin")
    assert any(isinstance(module, MaxMin) for module in critic.modules())
    assert not any(isinstance(module, nn.LeakyReLU) for module in critic.modules())
    assert not any(isinstance(module, MaxMin) for module in generator.modules())


@pytest.mark.parametrize("kind", ["conv", "resnet"])
def test_maps_of_the_generator_are_its_own(kind: str) -> None:
    def sizes(**maps: Any) -> list[int]:
        networks = build_networks(
            kind,
            (1, 16, 16),
            head=nn.Tanh(),
            latent_dim=6,
            generator_widths=(),
            critic_widths=(),
            activation="leaky_relu",
            critic_activation="leaky_relu",
            generator_norm="batch",
            critic_norm="none",
            seed=0,
            **maps,
        )
        return [sum(parameter.numel() for parameter in network.parameters()) for network in networks]

    (narrow, critic), (wide, wide_critic) = sizes(maps=4), sizes(maps=8)
    assert sizes(maps=4, generator_maps=8) == [wide, critic]
    assert sizes(maps=8, generator_maps=4) == [narrow, wide_critic]
