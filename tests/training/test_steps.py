from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import Clipping, Constraint, GradientPenalty, Unconstrained
from wassergan.objectives import Objective, get_objective
from wassergan.training.steps import critic_step, draw_fakes, fakes_to_follow, frozen, generator_step, score_both

WASSERSTEIN = get_objective("wasserstein")


class Line(nn.Module):
    """f(x) = w x + b on numbers: everything about it is known."""

    def __init__(self, weight: float, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.tensor(weight)), nn.Parameter(torch.tensor(bias))

    def forward(self, values: Tensor) -> Tensor:
        return self.weight * values[:, :1] + self.bias


class CountingOptimizer(torch.optim.SGD):
    steps = 0

    def step(self, closure=None):  # type: ignore[no-untyped-def]
        self.steps += 1
        return super().step(closure)


def one_critic_step(
    generator: nn.Module,
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    constraint: Constraint | None = None,
    objective: Objective = WASSERSTEIN,
    real: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    penalty_factor: float = 1.0,
) -> dict[str, Tensor]:
    (fake,) = draw_fakes(generator, [torch.ones(8, 1)], dtype=torch.float32, precision=precision)
    return critic_step(
        critic,
        optimizer,
        real=torch.ones(8, 1) if real is None else real,
        fake=fake,
        objective=objective,
        constraint=constraint or Unconstrained(),
        rng=torch.Generator().manual_seed(0),
        precision=precision,
        penalty_factor=penalty_factor,
    )


def one_generator_step(generator: nn.Module, critic: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    made = fakes_to_follow(generator, torch.ones(8, 1), precision=torch.float32)
    return generator_step(generator, critic, optimizer, made=made, objective=WASSERSTEIN, precision=torch.float32)


# Loop: "critic loss" logged with the penalty folded in; the sign of the gap.
@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (2.0, 10.0), (0.5, 2.5)])
def test_scores_are_raw_with_real_above_fake_and_the_penalty_is_apart(slope: float, penalty: float) -> None:
    critic = Line(slope)
    told = one_critic_step(
        Line(-1.0), critic, CountingOptimizer(critic.parameters(), lr=0.0), constraint=GradientPenalty()
    )
    # Real samples at +1, fake ones at -1.
    assert {name: value.item() for name, value in told.items()} == pytest.approx(
        {"penalty": penalty, "real_mean": slope, "fake_mean": -slope}
    )


@pytest.mark.parametrize("name", ["wasserstein", "minimax", "nonsaturating", "hinge"])
def test_a_critic_step_widens_the_gap_on_a_separable_toy(name: str) -> None:
    critic, generator = Line(0.1), Line(-1.0)
    optimizer = CountingOptimizer(critic.parameters(), lr=0.05)
    told = [one_critic_step(generator, critic, optimizer, objective=get_objective(name)) for _ in range(5)]
    gaps = [each["real_mean"] - each["fake_mean"] for each in told]
    assert all(later > earlier for earlier, later in zip(gaps, gaps[1:], strict=False))


def test_a_generator_step_moves_the_fakes_to_higher_scores() -> None:
    critic, generator = Line(1.0), Line(-1.0)
    optimizer = CountingOptimizer(generator.parameters(), lr=0.05)
    losses = [one_generator_step(generator, critic, optimizer)["generator_loss"].item() for _ in range(3)]
    assert losses[0] == 1.0 and losses == sorted(losses, reverse=True)


# Penalty: fakes not detached. Loop: generator graph built in the critic step.
def test_a_critic_step_builds_no_graph_through_the_generator() -> None:
    seen: list[bool] = []
    generator, critic = Line(-1.0), Line(1.0)
    generator.register_forward_hook(lambda module, given, out: seen.append(out.requires_grad))
    one_critic_step(generator, critic, CountingOptimizer(critic.parameters(), lr=0.1), constraint=GradientPenalty())
    assert seen == [False]
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.requires_grad for parameter in generator.parameters())


class Coupling(nn.Module):
    """Takes the batch's mean off."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, values: Tensor) -> Tensor:
        return self.norm(values)


def test_fakes_of_one_pass_are_those_of_one_each() -> None:
    latents = [torch.randn(6, 1, generator=torch.Generator().manual_seed(seed)) + seed for seed in range(3)]
    for generator in (Line(2.0, 1.0), Coupling()):
        fakes = draw_fakes(generator, latents, dtype=torch.float64, precision=torch.float32)
        assert all(fake.dtype == torch.float64 and not fake.requires_grad for fake in fakes)
        for fake, latent in zip(fakes, latents, strict=True):
            torch.testing.assert_close(fake, generator(latent).double())


# Loop: critic weights left trainable in the generator step.
def test_a_generator_step_gives_the_critic_no_gradient_and_leaves_it_trainable() -> None:
    generator, critic = Line(-1.0), Line(1.0)
    critic.bias.requires_grad_(False)
    before = [parameter.clone() for parameter in critic.parameters()]
    one_generator_step(generator, critic, CountingOptimizer(generator.parameters(), lr=0.1))
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, critic.parameters(), strict=True))
    assert critic.weight.requires_grad and not critic.bias.requires_grad


def test_freezing_ends_with_an_error_too() -> None:
    critic = Line(1.0)
    with pytest.raises(ZeroDivisionError), frozen(critic):
        assert not critic.weight.requires_grad
        raise ZeroDivisionError
    assert critic.weight.requires_grad


# Penalty stepped on its own, as a second optimiser step.
def test_each_critic_step_is_exactly_one_update_of_loss_and_penalty_together() -> None:
    critic = Line(3.0)
    optimizer = CountingOptimizer(critic.parameters(), lr=0.01)
    one_critic_step(Line(-1.0), critic, optimizer, constraint=GradientPenalty())
    assert optimizer.steps == 1
    # d/dw of (fake - real) = -2, of 10 (w - 1)² at 3 = 40; the bias cancels.
    assert critic.weight.item() == pytest.approx(3.0 - 0.01 * 38)
    assert critic.bias.item() == pytest.approx(0.0)


def test_a_penalty_on_every_second_step_counts_twice() -> None:
    critic = Line(3.0)
    optimizer = CountingOptimizer(critic.parameters(), lr=0.01)
    told = one_critic_step(Line(-1.0), critic, optimizer, constraint=GradientPenalty(), penalty_factor=2.0)
    assert told["penalty"].item() == pytest.approx(40)  # logged as it is: 10 (3 - 1)²
    assert critic.weight.item() == pytest.approx(3.0 - 0.01 * (2 * 40 - 2))
    critic = Line(3.0)
    optimizer = CountingOptimizer(critic.parameters(), lr=0.01)
    told = one_critic_step(Line(-1.0), critic, optimizer, constraint=GradientPenalty(), penalty_factor=0.0)
    assert "penalty" not in told
    assert critic.weight.item() == pytest.approx(3.0 + 0.01 * 2)


def test_gradients_of_the_step_before_are_forgotten() -> None:
    critic, generator = Line(3.0), Line(-1.0)
    for network, step in ((critic, one_critic_step), (generator, one_generator_step)):
        for parameter in network.parameters():
            parameter.grad = torch.tensor(1e6)
        step(generator, critic, CountingOptimizer(network.parameters(), lr=0.01))
        assert all(parameter.abs() < 10 for parameter in network.parameters())


# Clipping: after the optimiser's step, so that the generator meets a clipped critic.
def test_the_critic_is_clipped_when_the_step_ends() -> None:
    critic = Line(0.005)
    one_critic_step(Line(-1.0), critic, CountingOptimizer(critic.parameters(), lr=100.0), constraint=Clipping(0.01))
    assert critic.weight.item() == pytest.approx(0.01) and critic.bias.abs() <= 0.01


# Loop: `.item()` in every step.
@pytest.mark.parametrize("constraint", [Clipping(), GradientPenalty()])
def test_no_value_is_read_from_the_device_within_a_step(
    monkeypatch: pytest.MonkeyPatch, constraint: Constraint
) -> None:
    networks = [nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)) for _ in range(2)]
    generator, critic = networks
    critic_optimizer, generator_optimizer = (
        torch.optim.SGD(network.parameters(), lr=1e-3, foreach=True) for network in (critic, generator)
    )
    for name in ("item", "tolist", "numpy", "cpu", "__float__", "__bool__", "__int__"):

        def refuse(self: Tensor, *rest: object, name: str = name) -> None:
            raise AssertionError(f"Tensor.{name} in a step waits for the device")

        monkeypatch.setattr(Tensor, name, refuse)
    one_critic_step(generator, critic, critic_optimizer, constraint=constraint)
    one_generator_step(generator, critic, generator_optimizer)


def test_statistics_carry_no_graph() -> None:
    critic, generator = Line(1.0), Line(-1.0)
    told = one_critic_step(
        generator, critic, CountingOptimizer(critic.parameters(), lr=0.1), constraint=GradientPenalty()
    )
    told |= one_generator_step(generator, critic, CountingOptimizer(generator.parameters(), lr=0.1))
    assert not any(value.requires_grad for value in told.values())


def test_scores_of_one_pass_are_those_of_two_and_batch_norm_never_mixes_real_with_fake() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = nn.Sequential(nn.Linear(2, 5), nn.LeakyReLU(), nn.Linear(5, 1))
        coupled = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    real, fake = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    for critic in (plain, coupled):
        both = score_both(critic, real, 3 + fake)
        torch.testing.assert_close(both[0], critic(real))
        torch.testing.assert_close(both[1], critic(3 + fake))


def test_a_step_in_bfloat16_keeps_losses_and_weights_in_float32() -> None:
    seen: list[torch.dtype] = []
    critic, generator = nn.Linear(1, 1), nn.Linear(1, 1)
    critic.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    told = one_critic_step(
        generator,
        critic,
        CountingOptimizer(critic.parameters(), lr=0.01),
        constraint=GradientPenalty(),
        precision=torch.bfloat16,
    )
    assert seen == [torch.bfloat16, torch.bfloat16]  # the scores, then the penalty's
    assert {value.dtype for value in told.values()} == {torch.float32}
    assert critic.weight.dtype == torch.float32


# Penalty: half precision turns NaN.
@pytest.mark.slow
@pytest.mark.parametrize("constraint", ["gp", "lp"])
def test_two_thousand_steps_in_bfloat16_stay_finite(make_trainer: Callable[..., object], constraint: str) -> None:
    trainer = make_trainer(constraint=constraint, precision="bf16", critic_steps=1)
    trainer.train(steps=2000, tick_due=lambda step: False)  # type: ignore[attr-defined]
    for network in (trainer.generator, trainer.critic):  # type: ignore[attr-defined]
        assert all(parameter.isfinite().all() for parameter in network.parameters())


class Pull(Constraint):
    """A penalty of known gradient: 3 times the critic's weight, whatever the samples."""

    lipschitz = True

    def __init__(self) -> None:
        self.calls = 0

    def penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        self.calls += 1
        return 3 * critic.weight  # type: ignore[return-value]


@pytest.mark.parametrize("factor", [0.0, 1.0, 4.0])
def test_the_penalty_enters_the_loss_by_its_factor_and_is_reported_without_it(factor: float) -> None:
    critic, pull = Line(1.0), Pull()
    told = critic_step(
        critic,
        torch.optim.SGD(critic.parameters(), lr=0.5),
        real=torch.ones(8, 1),
        fake=-torch.ones(8, 1),
        objective=WASSERSTEIN,
        constraint=pull,
        rng=torch.Generator().manual_seed(0),
        precision=torch.float32,
        penalty_factor=factor,
    )
    # d/dw (E f(fake) - E f(real)) = -1 - 1 = -2, and the penalty adds 3 times the factor.
    assert critic.weight.item() == pytest.approx(1.0 - 0.5 * (-2 + 3 * factor))
    assert pull.calls == (factor > 0) and ("penalty" in told) == (factor > 0)
    assert factor == 0 or told["penalty"].item() == 3.0
