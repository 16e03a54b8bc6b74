import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.networks import Bounded, ConvGenerator, MLPGenerator
from wassergan.training.analytic.generator import ConvGeneratorPasses

BOUNDED = Bounded(torch.tensor(-1.0), torch.tensor(3.0))
REACHING = Bounded(torch.tensor(-1.0), torch.tensor(3.0), overshoot=2.0)  # a fifth of all values are at an end
SHAPES = [(1, 28, 28), (3, 16, 16), (2, 9, 13), (1, 4, 5), (9, 17, 14), (1, 33, 20)]


def generator_of(
    shape: tuple[int, ...], *, norm: str = "batch", maps: int = 3, head: nn.Module = BOUNDED
) -> ConvGenerator:
    torch.manual_seed(0)
    generator = ConvGenerator(5, shape, head=copy.deepcopy(head), maps=maps, norm=norm).double()
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.3)
    return generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def passes_of(generator: nn.Module) -> ConvGeneratorPasses:
    passes = ConvGeneratorPasses.of(generator)
    assert passes is not None
    return passes


def gradients(generator: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in generator.parameters() if parameter.grad is not None]
    assert len(found) == len(list(generator.parameters()))
    return found


class Curved(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.sin() * values.flip(3)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", [BOUNDED, REACHING, nn.Identity(), nn.Tanh(), Curved()])
def test_both_passes_are_those_of_autograd(norm: str, shape: tuple[int, ...], head: nn.Module) -> None:
    ours, theirs = (generator_of(shape, norm=norm, head=head) for _ in range(2))
    passes = passes_of(ours)
    for _ in range(2):  # running statistics go on from those of the first time
        latent = torch.randn(7, 5).double()
        found, expected = passes.forward(latent, torch.float32), theirs(latent)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        assert not found.requires_grad
        by_fake = torch.randn(expected.shape).double()
        theirs.zero_grad()
        (expected * by_fake).sum().backward()
        passes.backward(by_fake)
        for got, wanted in zip(gradients(ours), gradients(theirs), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_nothing_of_a_pass_is_kept_once_it_is_done() -> None:
    """Activations of large pictures take more memory than all weights."""
    passes = passes_of(generator_of((1, 28, 28), norm="layer"))
    parts = (passes, *passes._norms, *passes._stages)
    before = [set(vars(part)) for part in parts]
    made = passes.forward(torch.randn(4, 5).double(), torch.float32)
    assert [set(vars(part)) for part in parts] != before
    passes.forget()
    assert [set(vars(part)) for part in parts] == before
    made = passes.forward(torch.randn(4, 5).double(), torch.float32)
    passes.backward(torch.ones_like(made))
    assert [set(vars(part)) for part in parts] == before


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 14, 14)])
def test_gradients_lie_in_memory_as_their_weights_do(shape: tuple[int, ...]) -> None:
    """A fused optimiser walks through both as they lie."""
    generator = generator_of(shape, maps=8)
    passes = passes_of(generator)
    passes.backward(torch.randn(passes.forward(torch.randn(4, 5).double(), torch.float32).shape).double())
    for parameter, gradient in zip(generator.parameters(), gradients(generator), strict=True):
        assert (gradient.stride(), gradient.dtype) == (parameter.stride(), parameter.dtype)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_bfloat16_rounds_as_much_as_under_autocast(norm: str, shape: tuple[int, ...]) -> None:
    exact, autocast, ours = (generator_of(shape, maps=8, norm=norm).float() for _ in range(3))
    latent, by_fake = torch.randn(32, 5), torch.randn(32, *shape)
    passes = passes_of(ours)
    expected, found = exact(latent), passes.forward(latent, torch.bfloat16)
    assert (found - expected).norm() <= 0.02 * expected.norm()
    assert not torch.equal(found, expected)
    (expected * by_fake).sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = autocast(latent)
    (rounded.float() * by_fake).sum().backward()
    passes.backward(by_fake)
    for got, usual, wanted in zip(*map(gradients, (ours, autocast, exact)), strict=True):
        # In front of a batch normalisation a shift has no effect: what is left of its gradient is rounding alone.
        if wanted.norm() > 1e-3:
            assert (got - wanted).norm() <= 1.5 * (usual - wanted).norm() + 0.01 * wanted.norm()


def test_other_generators_are_left_to_autograd() -> None:
    class Own(ConvGenerator):
        pass

    def none(generator: nn.Module) -> bool:
        return ConvGeneratorPasses.of(generator) is None

    shape = (1, 8, 8)
    assert none(MLPGenerator(5, (4,), head=nn.Identity()))
    assert none(Own(5, shape, head=nn.Identity(), maps=2))
    changed: Any = generator_of(shape)
    assert not none(changed)
    for change in (
        lambda each: each.project.register_forward_hook(lambda *_: None),
        lambda each: each.stages[0].requires_grad_(False),
        lambda each: setattr(each, "first", nn.Sequential(nn.GroupNorm(2, 6), nn.ReLU())),
        lambda each: setattr(each, "first", nn.Sequential(nn.BatchNorm2d(6, momentum=None), nn.ReLU())),
        lambda each: setattr(each, "first", nn.Sequential(nn.BatchNorm2d(6), nn.ELU())),
        lambda each: setattr(each.stages, "0", nn.ConvTranspose2d(3, 1, 4, stride=2, padding=1, output_padding=1)),
        lambda each: setattr(each, "first", nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.ReLU())),
        lambda each: each.first.register_forward_hook(lambda *_: None),
        lambda each: each.eval(),
    ):
        changed = generator_of(shape)
        change(changed)
        assert none(changed)
