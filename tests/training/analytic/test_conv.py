from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import CONSTRAINTS, Constraint, get_constraint
from wassergan.networks import ConvCritic, MLPCritic, ProjectionCritic
from wassergan.objectives import OBJECTIVES
from wassergan.training.analytic.conv import ConvCriticGradients
from wassergan.training.analytic.mlp import Loss


def loss_of(name: str, *, objective: str = "wasserstein", factor: float = 1.0, dtype: Any = torch.float32) -> Loss:
    return Loss(OBJECTIVES[objective], get_constraint(name), factor, torch.Generator().manual_seed(5), dtype)


def critic_of(shape: tuple[int, ...], *, maps: int = 3, norm: str = "layer", std: float = 0.5) -> ConvCritic:
    torch.manual_seed(0)
    critic = ConvCritic(shape, maps=maps, norm=norm).double()
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=std)  # scores and slopes of some size, and slopes on both sides of 1
    return critic


def form_of(critic: nn.Module, name: str = "gp") -> ConvCriticGradients:
    form = ConvCriticGradients.of(critic, get_constraint(name))
    assert form is not None
    return form


def by_autograd(critic: nn.Module, real: Tensor, fake: Tensor, loss: Loss) -> list[Tensor]:
    """The gradient written out with nothing but autograd: one point, one slope at a time."""
    total = loss.objective.critic_loss(critic(real), critic(fake))
    if loss.penalty_factor > 0 and loss.constraint.name in ("gp", "lp", "r1r2"):
        mix = torch.rand(len(real), 1, 1, 1, generator=loss.rng, dtype=real.dtype)
        costs = []
        zero_centred = loss.constraint.name == "r1r2"
        for point in torch.cat([real, fake]) if zero_centred else mix * real + (1 - mix) * fake:
            point = point[None].detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
            excess = slope.norm() - (0 if zero_centred else 1)
            costs.append(excess.clamp_min(0) ** 2 if loss.constraint.name == "lp" else excess**2)
        total = total + loss.penalty_factor * 10 * torch.stack(costs).mean()
    return list(torch.autograd.grad(total, list(critic.parameters())))


# All ways of convolving: Winograd's from 64 maps on, the library's from eight on, and patches below.
@pytest.mark.parametrize(
    ("name", "factor"), [("gp", 1.0), ("lp", 2.5), ("gp", 0.0), ("r1r2", 2.5), ("clip", 1.0), ("none", 1.0)]
)
@pytest.mark.parametrize("norm", ["layer", "none"])
@pytest.mark.parametrize(
    ("shape", "maps"), [((3, 16, 12), 3), ((2, 9, 13), 3), ((1, 17, 14), 8), ((1, 4, 5), 2), ((1, 16, 8), 64)]
)
def test_gradients_are_those_of_autograd(
    name: str, factor: float, norm: str, shape: tuple[int, ...], maps: int
) -> None:
    critic = critic_of(shape, maps=maps, norm=norm)
    real, fake = torch.randn(7, *shape).double(), 2 * torch.randn(7, *shape).double() + 1
    expected = by_autograd(critic, real, fake, loss_of(name, factor=factor))
    statistics = form_of(critic, name).backward(real, fake, loss_of(name, factor=factor))
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        assert parameter.grad is not None and parameter.grad.is_contiguous()
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9)
    assert statistics["real_mean"].item() == pytest.approx(critic(real).mean().item())
    assert statistics["fake_mean"].item() == pytest.approx(critic(fake).mean().item())
    penalised = name in ("gp", "lp", "r1r2") and factor > 0
    assert ("penalty" in statistics) == penalised
    if penalised:
        penalty = get_constraint(name).penalty(critic, real, fake, torch.Generator().manual_seed(5))
        assert statistics["penalty"].item() == pytest.approx(penalty.item(), rel=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_s_slopes_reach_the_weights(objective: str) -> None:
    critic, real, fake = (
        critic_of((1, 8, 8), std=0.2),
        torch.randn(5, 1, 8, 8).double(),
        torch.ones(5, 1, 8, 8).double(),
    )
    expected = by_autograd(critic, real, fake, loss_of("gp", objective=objective))
    form_of(critic).backward(real, fake, loss_of("gp", objective=objective))
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["layer", "none"])
@pytest.mark.parametrize(("shape", "maps"), [((3, 16, 12), 3), ((2, 9, 13), 8), ((1, 4, 5), 2), ((1, 8, 16), 64)])
def test_the_generator_s_loss_and_its_gradient_by_the_fakes_are_those_of_autograd(
    norm: str, shape: tuple[int, ...], maps: int
) -> None:
    critic = critic_of(shape, maps=maps, norm=norm, std=0.2)
    fake, objective = torch.randn(7, *shape).double().requires_grad_(True), OBJECTIVES["nonsaturating"]
    expected = objective.generator_loss(critic(fake))
    (by_fake,) = torch.autograd.grad(expected, fake)
    loss, gradient = form_of(critic).generator_loss(fake.detach(), objective, torch.float32)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, by_fake, rtol=1e-9, atol=1e-12)
    assert all(parameter.grad is None for parameter in critic.parameters())


@pytest.mark.parametrize("maps", [8, 64])
def test_bfloat16_rounds_and_no_more(maps: int) -> None:
    critic = critic_of((3, 16, 16), maps=maps, std=0.1 if maps == 8 else 0.05).float()
    real, fake = torch.randn(32, 3, 16, 16), torch.randn(32, 3, 16, 16) + 1
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        form_of(critic).backward(real, fake, loss_of("gp", dtype=precision))
        gradients.append([parameter.grad for parameter in critic.parameters() if parameter.grad is not None])
    assert all(gradient.dtype == torch.float32 for gradient in gradients[1])
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).norm() <= 0.05 * exact.norm()
    assert not torch.equal(gradients[0][0], gradients[1][0])


def test_a_critic_of_slope_zero_has_finite_gradients() -> None:
    critic = critic_of((1, 8, 8), std=0.0)
    form_of(critic).backward(torch.randn(5, 1, 8, 8).double(), torch.randn(5, 1, 8, 8).double(), loss_of("gp"))
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in critic.parameters())


def no_form(critic: nn.Module, constraint: Constraint) -> bool:
    constraint.prepare(critic)
    return ConvCriticGradients.of(critic, constraint) is None


def test_other_critics_are_left_to_autograd() -> None:
    class Own(ConvCritic):
        def forward(self, samples: Tensor) -> Tensor:
            return super().forward(samples) ** 2

    gp, shape = get_constraint("gp"), (1, 8, 8)
    assert no_form(ConvCritic(shape, maps=2, activation="silu"), gp)
    assert no_form(ConvCritic(shape, maps=2, activation="maxmin"), gp)
    assert no_form(ConvCritic((1, 16, 16), maps=2, norm="batch"), get_constraint("clip"))
    assert no_form(Own(shape, maps=2), gp)
    assert no_form(MLPCritic((4,)), gp)
    covered = {n for n in CONSTRAINTS if not no_form(ConvCritic(shape, maps=2, norm="none"), get_constraint(n))}
    assert covered == {"gp", "lp", "r1r2", "clip", "none"}
    hooked: Any = ConvCritic((1, 16, 16), maps=2)
    hooked.body[3].register_forward_hook(lambda *_: None)
    assert no_form(hooked, gp)
    for index, layer in (
        (0, nn.Conv2d(1, 2, 3, stride=2, padding=1)),
        (3, nn.GroupNorm(2, 4)),
        (4, nn.LeakyReLU(-1.0)),
    ):
        changed: Any = ConvCritic((1, 16, 16), maps=2)
        changed.body[index] = layer
        assert no_form(changed, gp)


# Under conditions: the last layer's weights are those of a network of the condition, one set for each sample.


def told_critic(shape: tuple[int, ...], *, maps: int = 3, norm: str = "layer", std: float = 0.3) -> ProjectionCritic:
    critic = ProjectionCritic(critic_of(shape, maps=maps, norm=norm, std=std), 4).double()
    for parameter in critic.told.parameters():
        nn.init.normal_(parameter, std=std)
    return critic


@pytest.mark.parametrize(("name", "factor"), [("gp", 1.0), ("lp", 2.5), ("gp", 0.0), ("r1r2", 2.5), ("clip", 1.0)])
@pytest.mark.parametrize("norm", ["layer", "none"])
@pytest.mark.parametrize(("shape", "maps"), [((3, 16, 12), 3), ((2, 9, 13), 3), ((1, 17, 14), 8), ((1, 4, 5), 2)])
def test_gradients_under_conditions_are_those_of_autograd(
    name: str, factor: float, norm: str, shape: tuple[int, ...], maps: int
) -> None:
    critic, context = told_critic(shape, maps=maps, norm=norm), torch.randn(7, 4).double()
    real, fake = torch.randn(7, *shape).double(), 2 * torch.randn(7, *shape).double() + 1
    loss = loss_of(name, factor=factor)
    total = loss.objective.critic_loss(critic(real, context), critic(fake, context))
    total = total + factor * loss.constraint.penalty(lambda x: critic(x, context), real, fake, loss.rng)
    expected = torch.autograd.grad(total, list(critic.parameters()))
    statistics = told_form(critic, name).backward(real, fake, loss_of(name, factor=factor), context)
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-9)
    assert statistics["real_mean"].item() == pytest.approx(critic(real, context).mean().item())
    assert statistics["fake_mean"].item() == pytest.approx(critic(fake, context).mean().item())


def told_form(critic: nn.Module, name: str = "gp") -> ConvCriticGradients:
    form = ConvCriticGradients.of(critic, get_constraint(name), conditional=True)
    assert form is not None
    return form


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_generator_s_loss_under_conditions_is_that_of_autograd(objective: str) -> None:
    critic, context = told_critic((2, 9, 13)), torch.randn(5, 4).double()
    fake, own = torch.randn(5, 2, 9, 13).double().requires_grad_(True), OBJECTIVES[objective]
    expected = own.generator_loss(critic(fake, context))
    (by_fake,) = torch.autograd.grad(expected, fake)
    loss, gradient = told_form(critic).generator_loss(fake.detach(), own, torch.float32, context)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, by_fake, rtol=1e-9, atol=1e-12)


def test_bfloat16_rounds_and_no_more_under_conditions() -> None:
    critic, context = told_critic((3, 16, 16), maps=8, std=0.1).float(), torch.randn(32, 4)
    real, fake = torch.randn(32, 3, 16, 16), torch.randn(32, 3, 16, 16) + 1
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        told_form(critic).backward(real, fake, loss_of("gp", dtype=precision), context)
        gradients.append([parameter.grad for parameter in critic.parameters() if parameter.grad is not None])
    for exact, rounded in zip(*gradients, strict=True):
        assert rounded.dtype == torch.float32 and (exact - rounded).norm() <= 0.05 * exact.norm()


def test_conditions_have_a_form_where_the_last_layer_is_told_them_alone() -> None:
    gp = get_constraint("gp")
    projected, plain = told_critic((1, 8, 8)), ConvCritic((1, 8, 8), maps=2, context_dim=4)
    assert ConvCriticGradients.of(plain, gp, conditional=True) is None
    assert ConvCriticGradients.of(projected, gp) is None
    projected.told[0].weight.requires_grad_(False)
    assert ConvCriticGradients.of(projected, gp, conditional=True) is None
