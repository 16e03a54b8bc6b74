import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wassergan.networks import ConvCritic, ConvGenerator
from wassergan.networks.conv import halvings, norm_layer


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(("norm", "normalised"), [("layer", 2), ("none", 0)])
def test_critic_for_32_pixels_has_64_128_256_maps_of_4x4_kernels_with_stride_2(norm: str, normalised: int) -> None:
    critic = ConvCritic((3, 32, 32), norm=norm)
    assert [c.out_channels for c in convolutions(critic)] == [64, 128, 256]
    assert {(c.kernel_size, c.stride) for c in convolutions(critic)} == {((4, 4), (2, 2))}
    assert sum(isinstance(module, nn.GroupNorm) for module in critic.modules()) == normalised
    last = [module for module in critic.modules() if isinstance(module, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in last] == [(256 * 4 * 4, 1)]


def test_generator_for_32_pixels_mirrors_the_critic() -> None:
    generator = ConvGenerator(128, (3, 32, 32), head=nn.Tanh())
    ups = [module for module in generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [(u.in_channels, u.out_channels) for u in ups] == [(256, 128), (128, 64), (64, 3)]
    assert generator.project.out_features == 256 * 4 * 4


@given(height=st.integers(4, 300), width=st.integers(4, 300))
def test_halvings_round_up_and_stop_at_a_shorter_side_of_4_to_7(height: int, width: int) -> None:
    grids = halvings(height, width)
    assert grids[0] == (height, width)
    assert 4 <= min(grids[-1]) < 7
    for (tall, wide), (half_tall, half_wide) in zip(grids, grids[1:], strict=False):
        assert (half_tall, half_wide) == (-(-tall // 2), -(-wide // 2))


def test_layer_norm_normalises_each_sample_over_channels_and_pixels() -> None:
    values = 3 + 2 * torch.randn(4, 6, 5, 3, generator=torch.Generator().manual_seed(0))
    normalised = norm_layer("layer", 6)(values)
    flat = values.flatten(1)
    expected = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(normalised.flatten(1), expected, rtol=1e-4, atol=1e-4)
