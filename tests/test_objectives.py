import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.errors import UserError
from wassergan.objectives import (
    OBJECTIVES,
    critic_gap,
    critic_loss,
    generator_loss,
    get_objective,
    hinge_critic_loss,
    minimax_critic_loss,
    minimax_generator_loss,
    nonsaturating_generator_loss,
)

SCORES = st.lists(st.floats(-30, 30), min_size=1, max_size=9)


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def test_critic_loss_is_fake_minus_real_and_the_gap_its_negative() -> None:
    real, fake = tensor([3.0, 5.0]), tensor([1.0, 0.0, 2.0])
    assert critic_loss(real, fake) == -3.0  # mean(fake) 1 minus mean(real) 4
    assert critic_gap(real, fake) == 3.0


def test_the_generator_wants_high_scores() -> None:
    fake = tensor([1.0, 2.0]).requires_grad_()
    generator_loss(fake).backward()
    assert generator_loss(fake) == -1.5
    assert fake.grad is not None and torch.equal(fake.grad, tensor([-0.5, -0.5]))


@given(real=SCORES, fake=SCORES)
def test_minimax_losses_are_the_logarithms_of_the_2014_paper(real: list[float], fake: list[float]) -> None:
    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    critic = -mean([math.log(sigmoid(s)) for s in real]) - mean([math.log(sigmoid(-s)) for s in fake])
    assert minimax_critic_loss(tensor(real), tensor(fake)).item() == pytest.approx(critic, abs=1e-8)
    assert minimax_generator_loss(tensor(fake)).item() == pytest.approx(
        mean([math.log(sigmoid(-s)) for s in fake]), abs=1e-8
    )
    assert nonsaturating_generator_loss(tensor(fake)).item() == pytest.approx(
        -mean([math.log(sigmoid(s)) for s in fake]), abs=1e-8
    )


@given(real=SCORES, fake=SCORES)
def test_hinge_counts_only_scores_within_the_margin(real: list[float], fake: list[float]) -> None:
    expected = sum(max(0, 1 - s) for s in real) / len(real) + sum(max(0, 1 + s) for s in fake) / len(fake)
    assert hinge_critic_loss(tensor(real), tensor(fake)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_finite_and_differentiable_for_extreme_scores(name: str) -> None:
    real, fake = tensor([-1e4, 0, 1e4]).requires_grad_(), tensor([1e4, 0, -1e4]).requires_grad_()
    objective = get_objective(name)
    (objective.critic_loss(real, fake) + objective.generator_loss(fake)).backward()
    assert real.grad is not None and real.grad.isfinite().all()
    assert fake.grad is not None and fake.grad.isfinite().all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_critic_is_rewarded_for_scoring_real_above_fake(name: str) -> None:
    loss = get_objective(name).critic_loss
    assert loss(tensor([0.5]), tensor([-0.5])) < loss(tensor([-0.5]), tensor([0.5]))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_do_not_depend_on_batch_size(name: str) -> None:
    real, fake, objective = tensor([0.3, -0.7]), tensor([0.2, 0.9]), get_objective(name)
    once, thrice = objective.critic_loss(real, fake), objective.critic_loss(real.repeat(3), fake.repeat(3))
    torch.testing.assert_close(once, thrice)
    torch.testing.assert_close(objective.generator_loss(fake), objective.generator_loss(fake.repeat(3)))


def test_only_the_wasserstein_objective_needs_a_constraint() -> None:
    assert [name for name, each in OBJECTIVES.items() if each.needs_lipschitz] == ["wasserstein"]


def test_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown objective: 'wassertein'. Did you mean 'wasserstein'\?"):
        get_objective("wassertein")
