"""Nearest upsampling and a 3×3 convolution, as one transposed convolution."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.errors import UserError
from wassergan.networks import Bounded, ConvGenerator, build_networks
from wassergan.networks.conv import NearestUp
from wassergan.training.analytic.generator import ConvGeneratorPasses


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 7), (1, 5)])
def test_it_is_what_its_two_steps_are(height: int, width: int) -> None:
    layer, values = NearestUp(3, 2).double(), normal(5, 3, height, width)
    # A transposed convolution lays its kernel down as it is, a convolution the other way round.
    kernel = layer.weight.transpose(0, 1).flip(2, 3)
    expected = functional.conv2d(functional.interpolate(values, scale_factor=2), kernel, layer.bias, padding=1)
    torch.testing.assert_close(layer(values), expected)


def test_what_is_flat_stays_flat_within_the_edge() -> None:
    made = NearestUp(3, 2).double()(torch.ones(1, 3, 6, 6).double())[..., 2:-2, 2:-2]
    torch.testing.assert_close(made, made[..., :1, :1].expand_as(made))
    free = nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1).double()(torch.ones(1, 3, 6, 6).double())[..., 2:-2, 2:-2]
    assert (free - free[..., :1, :1]).abs().max() > 0.01


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 13, 22)])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_gradients_without_a_graph_are_those_of_autograd(shape: tuple[int, ...], norm: str) -> None:
    torch.manual_seed(3)
    generator = ConvGenerator(
        5, shape, head=Bounded(-torch.ones(()), torch.ones(())), maps=4, norm=norm, upsampling="nearest"
    ).double()
    latent, pull = normal(6, 5), normal(6, *shape)
    fakes = generator(latent)
    expected = torch.autograd.grad((fakes * pull).sum(), list(generator.parameters()))
    passes = ConvGeneratorPasses.of(generator)
    assert passes is not None
    torch.testing.assert_close(passes.forward(latent, torch.float32), fakes)
    passes.backward(pull)
    for parameter, gradient in zip(generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9)


def test_kernels_begin_at_the_size_of_free_ones() -> None:
    torch.manual_seed(0)
    free, summed = nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), NearestUp(64, 32)
    assert float((summed.kernel().std() / free.weight.std()).detach()) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "shape", "given"),
    [("mlp", (1, 16, 16), ()), ("resnet", (1, 16, 16), ()), ("conv", (2, 20), ()), ("conv", (1, 8, 8, 8), ()),
     ("conv", (1, 16, 16), (1, 4, 4))],
)  # fmt: skip
def test_other_generators_refuse_it(kind: str, shape: tuple[int, ...], given: tuple[int, ...]) -> None:
    made: dict[str, Any] = {"activation": "leaky_relu", "critic_activation": "leaky_relu", "maps": 4, "latent_dim": 6}
    made |= {"generator_widths": (8,), "critic_widths": (8,), "generator_norm": "none", "critic_norm": "none"}
    made |= {"head": Bounded(-torch.ones(()), torch.ones(())), "seed": 0, "context_shape": given}
    with pytest.raises(UserError, match=r"upsampling.*is for conv generators of pictures or fields"):
        build_networks(kind, shape, upsampling="nearest", **made)
    with pytest.raises(UserError, match="upsampling"):
        build_networks(kind, shape, upsampling="bicubic", **made)
