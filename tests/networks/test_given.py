"""Fields given fields: grids, noise, and what a generator is before it has learnt anything."""

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from wassergan.lipschitz import certify
from wassergan.networks import GivenCritic, GivenGenerator, build_networks
from wassergan.networks.given import ensemble_score
from wassergan.networks.resizing import Resize

SHAPES = [((1, 8, 8), (1, 2, 2)), ((2, 17, 9), (3, 5, 30)), ((1, 4, 5), (2, 1, 1)), ((3, 12, 20), (3, 12, 20))]


@pytest.mark.parametrize("kind", ["conv", "resnet"])
@pytest.mark.parametrize(("shape", "given"), SHAPES)
@pytest.mark.parametrize("pack", [1, 2])
def test_conditions_of_any_grid_go_through_both_networks(
    kind: str, shape: tuple[int, ...], given: tuple[int, ...], pack: int
) -> None:
    generator, critic = build_networks(
        kind,
        shape,
        head=nn.Identity(),
        latent_dim=70,
        generator_widths=(),
        critic_widths=(),
        maps=4,
        activation="leaky_relu",
        critic_activation="leaky_relu",
        generator_norm="layer",
        critic_norm="none",
        seed=0,
        context_shape=given,
        pack=pack,
    )
    assert isinstance(generator, GivenGenerator) and isinstance(critic, GivenCritic)
    told, latent = torch.randn(4, *given), torch.randn(4, 70)
    samples = generator(torch.cat([told.flatten(1), latent], 1))
    assert samples.shape == (4, *shape)
    packs = samples.reshape(4 // pack, -1, *shape[1:])
    scores = critic(packs, told.reshape(4 // pack, -1))
    assert scores.shape == (4 // pack,)
    other = critic(packs, 1 + told.reshape(4 // pack, -1))
    assert (scores != other).all()
    assert (samples != generator(torch.cat([1 + told.flatten(1), latent], 1))).flatten(1).any(1).all()
    assert (samples != generator(torch.cat([told.flatten(1), -latent], 1))).flatten(1).any(1).all()


def test_a_generator_begins_as_bilinear_interpolation() -> None:
    torch.manual_seed(0)
    generator = GivenGenerator(8, (2, 16, 24), (2, 4, 6), head=nn.Identity(), maps=8)
    told = torch.randn(5, 2, 4, 6)
    with torch.no_grad():
        generator.outward.weight.zero_()
        generator.outward.bias.zero_()  # type: ignore[union-attr]
        samples = generator(torch.cat([told.flatten(1), torch.randn(5, 8)], 1))
    torch.testing.assert_close(samples, interpolate(told, (16, 24), mode="bilinear", align_corners=False))


def test_noise_of_a_place_stays_near_its_place() -> None:
    torch.manual_seed(0)
    generator = GivenGenerator(64 + 8 * 8, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=4, norm="none")
    assert generator.noise_grid == (8, 8) and generator.shared == 64
    inputs = torch.randn(1, 4 + 128)
    moved = inputs.clone()
    moved[:, 4 + 64 + 8 * 4 + 4] += 1.0  # the place (4, 4)
    change = (generator(moved) - generator(inputs)).detach()[0, 0]
    assert change[4, 4] != 0 and (change[0] == 0).all() and (change[:, 0] == 0).all()


def test_resizing_to_fewer_places_takes_means_of_cells() -> None:
    fields = torch.randn(2, 3, 9, 12)
    means = fields.reshape(2, 3, 3, 3, 4, 3).mean((3, 5))
    torch.testing.assert_close(Resize((9, 12), (3, 4))(fields), means)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (Resize((9, 12), (3, 4)).exactly(fields) - means).abs().max() < 1e-6


def test_a_certified_critic_is_held_for_every_condition() -> None:
    torch.manual_seed(0)
    critic = GivenCritic("conv", (1, 8, 8), (1, 2, 2), further={"maps": 4, "norm": "none", "activation": "maxmin"})
    constant = certify(critic).constant
    x, y, told = torch.randn(50, 1, 8, 8), torch.randn(50, 1, 8, 8), torch.randn(50, 4)
    slopes = (critic(x, told) - critic(y, told)).abs() / (x - y).flatten(1).norm(dim=1)
    assert slopes.max() <= constant


def test_the_score_is_smallest_for_draws_from_the_truth() -> None:
    torch.manual_seed(0)
    size = (400, 1, 8, 8)
    real = torch.randn(size)

    def score(width: float, shift: float = 0.0) -> float:
        return ensemble_score(width * torch.randn(size) + shift, width * torch.randn(size) + shift, real).item()

    assert score(1.0) < min(score(0.6), score(1.6), score(1.0, 0.3))
    size_of_mean = real.abs().mean().item()  # of means over 2 x 2 and 4 x 4 half of it, and a quarter
    assert score(0.0) == pytest.approx(8 * size_of_mean * (1 + 1 / 2 + 1 / 4) / 3, rel=0.05)
