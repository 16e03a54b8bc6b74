from typing import Any

import pytest
import torch
from torch import nn

from wassergan.constraints import CONSTRAINTS, Constraint, get_constraint
from wassergan.networks import ConvCritic, MLPCritic
from wassergan.objectives import OBJECTIVES
from wassergan.training.analytic.mlp import Loss, MLPCriticGradients


def loss_of(constraint: Constraint, *, objective: str = "wasserstein", factor: float = 1.0) -> Loss:
    return Loss(OBJECTIVES[objective], constraint, factor, torch.Generator().manual_seed(5), torch.float32)


def by_autograd(critic: nn.Module, real: torch.Tensor, fake: torch.Tensor, loss: Loss) -> list[torch.Tensor]:
    """The gradient written out with nothing but autograd: one point, one slope at a time."""
    total = loss.objective.critic_loss(critic(real), critic(fake))
    if loss.penalty_factor > 0 and loss.constraint.name in ("gp", "lp", "r1r2"):
        mix = torch.rand(len(real), *[1] * (real.dim() - 1), generator=loss.rng, dtype=real.dtype)
        costs = []
        zero_centred = loss.constraint.name == "r1r2"
        for point in torch.cat([real, fake]) if zero_centred else mix * real + (1 - mix) * fake:
            point = point[None].detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
            excess = slope.norm() - (0 if zero_centred else 1)
            costs.append(excess.clamp_min(0) ** 2 if loss.constraint.name == "lp" else excess**2)
        total = total + loss.penalty_factor * 10 * torch.stack(costs).mean()
    return list(torch.autograd.grad(total, list(critic.parameters())))


@pytest.mark.parametrize("name", ["gp", "lp", "r1r2", "clip", "none"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("widths", [(), (7,), (9, 5, 6)])
@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3, 3)])
@pytest.mark.parametrize("factor", [0.0, 1.0, 2.5])
def test_gradients_are_those_of_autograd(
    name: str, objective: str, widths: tuple[int, ...], shape: tuple[int, ...], factor: float
) -> None:
    torch.manual_seed(0)
    critic = MLPCritic(shape, widths=widths).double()
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.7)  # slopes on both sides of 1
    real, fake = torch.randn(6, *shape).double(), 2 * torch.randn(6, *shape).double() + 1
    constraint = get_constraint(name)
    expected = by_autograd(critic, real, fake, loss_of(constraint, objective=objective, factor=factor))
    closed = MLPCriticGradients.of(critic, constraint)
    assert closed is not None
    statistics = closed.backward(real, fake, loss_of(constraint, objective=objective, factor=factor))
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-12)
    assert statistics["real_mean"].item() == pytest.approx(critic(real).mean().item())
    assert statistics["fake_mean"].item() == pytest.approx(critic(fake).mean().item())
    penalised = name in ("gp", "lp", "r1r2") and factor > 0
    assert ("penalty" in statistics) == penalised
    if penalised:
        assert statistics["penalty"].item() == pytest.approx(
            constraint.penalty(critic, real, fake, torch.Generator().manual_seed(5)).item(), rel=1e-10
        )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("widths", [(), (9, 5, 6)])
@pytest.mark.parametrize(("shape", "context_dim"), [((4,), 0), ((2, 3, 3), 0), ((4,), 3)])
def test_the_generator_s_loss_and_its_gradient_by_the_fakes_are_those_of_autograd(
    objective: str, widths: tuple[int, ...], shape: tuple[int, ...], context_dim: int
) -> None:
    torch.manual_seed(0)
    critic = MLPCritic(shape, widths=widths, context_dim=context_dim).double()
    fake = torch.randn(6, *shape).double().requires_grad_(True)
    context = torch.randn(6, context_dim).double() if context_dim else None
    expected = OBJECTIVES[objective].generator_loss(critic(fake, context))
    (by_fake,) = torch.autograd.grad(expected, fake)
    closed = MLPCriticGradients.of(critic, get_constraint("gp"))
    assert closed is not None
    loss, gradient = closed.generator_loss(fake.detach(), OBJECTIVES[objective], torch.float32, context)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, by_fake, rtol=1e-10, atol=1e-14)
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_a_critic_of_slope_zero_has_finite_gradients() -> None:
    critic = MLPCritic((3,), widths=(4,))
    for parameter in critic.parameters():
        nn.init.zeros_(parameter)
    constraint = get_constraint("gp")
    closed = MLPCriticGradients.of(critic, constraint)
    assert closed is not None
    closed.backward(torch.randn(5, 3), torch.randn(5, 3), loss_of(constraint))
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in critic.parameters())


def test_bfloat16_rounds_and_no_more() -> None:
    torch.manual_seed(0)
    critic = MLPCritic((20,), widths=(64, 64))
    real, fake = torch.randn(64, 20), torch.randn(64, 20) + 1
    constraint = get_constraint("gp")
    closed = MLPCriticGradients.of(critic, constraint)
    assert closed is not None
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        loss = Loss(OBJECTIVES["wasserstein"], constraint, 1.0, torch.Generator().manual_seed(5), precision)
        closed.backward(real, fake, loss)
        gradients.append([parameter.grad for parameter in critic.parameters() if parameter.grad is not None])
    assert all(gradient.dtype == torch.float32 for gradient in gradients[1])
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).norm() <= 0.05 * exact.norm()
    assert not torch.equal(gradients[0][0], gradients[1][0])


def no_form(critic: nn.Module, constraint: Constraint) -> bool:
    constraint.prepare(critic)
    return MLPCriticGradients.of(critic, constraint) is None


def test_other_critics_are_left_to_autograd() -> None:
    class Own(MLPCritic):
        def forward(self, samples: torch.Tensor) -> torch.Tensor:
            return super().forward(samples) ** 2

    gp = get_constraint("gp")
    assert no_form(ConvCritic((1, 8, 8), maps=2), gp)
    assert no_form(MLPCritic((4,), activation="silu"), gp)
    assert no_form(MLPCritic((4,), activation="maxmin"), gp)
    assert no_form(Own((4,)), gp)
    assert no_form(nn.Linear(4, 1), gp)
    covered = {name for name in CONSTRAINTS if not no_form(MLPCritic((4,), widths=(8, 8)), get_constraint(name))}
    assert covered == {"gp", "lp", "r1r2", "clip", "none"}


def test_hooks_and_frozen_weights_are_left_to_autograd() -> None:
    hooked: Any = MLPCritic((4,), widths=(8,))
    hooked.body[0].register_forward_hook(lambda *_: None)
    assert no_form(hooked, get_constraint("gp"))
    watched = MLPCritic((4,), widths=(8,))
    watched.register_forward_hook(lambda *_: None)
    assert no_form(watched, get_constraint("gp"))
    frozen = MLPCritic((4,), widths=(8,))
    frozen.body[0].weight.requires_grad_(False)
    assert no_form(frozen, get_constraint("gp"))
    unbiased: Any = MLPCritic((4,), widths=(8,))
    unbiased.body[0] = nn.Linear(4, 8, bias=False)
    assert no_form(unbiased, get_constraint("gp"))


@pytest.mark.parametrize("name", ["gp", "lp", "r1r2", "clip"])
def test_conditions_are_scored_and_not_perturbed(name: str) -> None:
    torch.manual_seed(0)
    critic = MLPCritic((4,), widths=(9, 5), context_dim=3).double()
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.7)
    real, fake, context = (torch.randn(6, width).double() for width in (4, 4, 3))
    constraint = get_constraint(name)

    def score(points: torch.Tensor) -> torch.Tensor:
        return critic(points, context[: len(points)])

    total = critic(fake, context).mean() - critic(real, context).mean()
    if name != "clip":
        mix = torch.rand(6, 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        costs = []
        zero_centred = name == "r1r2"
        points = torch.cat([real, fake]) if zero_centred else mix * real + (1 - mix) * fake
        for point, given in zip(points, context.repeat(2, 1), strict=False):
            point = point[None].detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(point, given[None]).sum(), point, create_graph=True)
            excess = slope.norm() - (0 if zero_centred else 1)
            costs.append(excess.clamp_min(0) ** 2 if name == "lp" else excess**2)
        total = total + 10 * torch.stack(costs).mean()
        measured = constraint.penalty(score, real, fake, torch.Generator().manual_seed(5))
        assert measured.item() == pytest.approx(10 * torch.stack(costs).mean().item(), rel=1e-10)
    expected = torch.autograd.grad(total, list(critic.parameters()))
    closed = MLPCriticGradients.of(critic, constraint)
    assert closed is not None
    closed.backward(real, fake, loss_of(constraint), context)
    for parameter, gradient in zip(critic.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-12)
