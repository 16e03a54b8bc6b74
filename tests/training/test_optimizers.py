import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wassergan.errors import UserError
from wassergan.training import OptimizerSettings, lr_schedule
from wassergan.training.optimizers import FusedAdam


def test_adam_and_rmsprop_get_their_settings() -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    adam = OptimizerSettings("adam", lr=0.1, beta1=0.5, beta2=0.7).build(weights)
    assert (adam.lr, adam.betas) == (0.1, (0.5, 0.7))
    assert OptimizerSettings("rmsprop", lr=0.2).build(weights).lr == 0.2


def test_states_are_those_of_pytorch_s_adam() -> None:
    rng = torch.Generator().manual_seed(0)
    theirs = [nn.Parameter(torch.randn(3, generator=rng)), nn.Parameter(torch.randn(2, 2, generator=rng))]
    ours = [nn.Parameter(each.detach().clone()) for each in theirs]
    reference = torch.optim.Adam(theirs, lr=0.1, betas=(0.5, 0.9))
    optimizer = OptimizerSettings("adam", lr=7.0).build(ours)
    for step in range(6):
        if step == 3:  # from here on ours goes on from their state
            optimizer.load_state_dict(reference.state_dict())
            with torch.no_grad():
                for one, other in zip(ours, theirs, strict=True):
                    one.copy_(other)
        for one, other in zip(ours, theirs, strict=True):
            other.grad = torch.randn(other.shape, generator=rng)
            one.grad = other.grad.clone() if step >= 3 else None
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(optimizer.state_dict()["state"], reference.state_dict()["state"], rtol=1e-6, atol=1e-7)


def test_states_of_other_parameters_are_refused() -> None:
    def built(*shapes: int) -> FusedAdam:
        return OptimizerSettings().build([nn.Parameter(torch.zeros(shape)) for shape in shapes])

    for other in (built(3), built(3, 5), built(3, 4, 1)):
        with pytest.raises(ValueError, match="the state is of"):
            built(3, 4).load_state_dict(other.state_dict())
    state = built(3, 4).state_dict()
    del state["state"][1]["exp_avg"]
    with pytest.raises(KeyError):
        built(3, 4).load_state_dict(state)


def test_parameters_without_a_gradient_stay_and_do_not_count() -> None:
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    optimizer = OptimizerSettings("adam", lr=0.1).build(weights)
    optimizer.step()
    weights[1].grad = torch.tensor([2.0, -3.0])
    optimizer.step()
    assert [state["step"].item() for state in optimizer.state_dict()["state"].values()] == [0, 1]
    torch.testing.assert_close(weights, [torch.ones(2), torch.tensor([0.9, 1.1])])


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
@pytest.mark.parametrize("saved_at", [None, 0, 7])
def test_updates_are_those_of_pytorch_s_own_optimiser(name: str, saved_at: int | None) -> None:
    rng = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 2, generator=rng).double(), torch.randn(4, generator=rng).double()]
    ours, theirs = ([nn.Parameter(each.clone()) for each in start] for _ in range(2))
    settings = OptimizerSettings(name, lr=0.05, beta1=0.5, beta2=0.9)
    optimizer = settings.build(ours)
    reference: torch.optim.Optimizer = torch.optim.RMSprop(theirs, lr=0.05, foreach=False)
    if name == "adam":
        reference = torch.optim.Adam(theirs, lr=0.05, betas=(0.5, 0.9), foreach=False)
    for step in range(20):
        if step == saved_at:
            state, optimizer = optimizer.state_dict(), settings.build(ours)
            optimizer.load_state_dict(state)
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=rng).double() if step % 5 else torch.zeros_like(one)
            other.grad = one.grad.clone()
        optimizer.step()
        reference.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in ours)


def test_the_first_adam_step_moves_by_the_rate() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = OptimizerSettings("adam", lr=0.1).build([weight])
    (weight * torch.tensor([3.0, -0.2])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, -0.9]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_equalized_rates_are_those_of_weights_at_unit_scale(name: str) -> None:
    """The definition: weights w = c v with v of unit scale, all v moved at one rate; biases are as they are."""
    rng = torch.Generator().manual_seed(0)
    shapes = {"linear": (3, 25), "kernel": (5, 2, 4, 4), "volume": (2, 3, 2, 2, 2), "bias": (7,)}
    fans = {"linear": 25, "kernel": 32, "volume": 24}
    start = {key: torch.randn(shape, generator=rng).double() for key, shape in shapes.items()}
    ours = {key: nn.Parameter(value.clone()) for key, value in start.items()}
    scales = {key: 16 / fans[key] ** 0.5 if key in fans else 1.0 for key in shapes}
    unit = {key: nn.Parameter(value / scales[key]) for key, value in start.items()}
    optimizer = OptimizerSettings(name, lr=0.01, beta1=0.5, beta2=0.9, equalized=True).build(ours.values())
    reference: torch.optim.Optimizer = torch.optim.RMSprop(unit.values(), lr=0.01)
    if name == "adam":
        reference = torch.optim.Adam(unit.values(), lr=0.01, betas=(0.5, 0.9))
    for _ in range(10):
        for key, weight in ours.items():
            weight.grad = torch.randn(weight.shape, generator=rng).double()
            unit[key].grad = scales[key] * weight.grad
        optimizer.step()
        reference.step()
    for key, weight in ours.items():
        torch.testing.assert_close(weight, scales[key] * unit[key], rtol=1e-4, atol=1e-4)


def test_equalized_rates_move_what_has_a_gradient_alone() -> None:
    weights = [nn.Parameter(torch.ones(2, 64)), nn.Parameter(torch.ones(2, 4)), nn.Parameter(torch.ones(3))]
    optimizer = OptimizerSettings("adam", lr=0.01, equalized=True).build(weights)
    weights[1].grad, weights[2].grad = torch.ones(2, 4), torch.ones(3)
    optimizer.step()
    assert torch.equal(weights[0], torch.ones(2, 64))
    torch.testing.assert_close(weights[1], torch.full((2, 4), 1 - 0.01 * 16 / 2))
    torch.testing.assert_close(weights[2], torch.full((3,), 1 - 0.01))
    assert [state["step"].item() for state in optimizer.state_dict()["state"].values()] == [0, 1, 1]


def test_unknown_optimizers_and_schedules_name_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown optimizer: 'adamw'. Did you mean 'adam'\? Known: adam, rmsprop"):
        OptimizerSettings("adamw").build([])
    with pytest.raises(UserError, match=r"Unknown schedule: 'liner'. Did you mean 'linear'\?"):
        lr_schedule("liner", horizon_steps=5)


@given(step=st.integers(0, 10_000), horizon=st.integers(1, 5_000))
def test_schedules_have_their_closed_forms(step: int, horizon: int) -> None:
    assert lr_schedule("constant", horizon_steps=horizon)(step) == 1
    expected = 1.0 if step <= horizon else (horizon / step) ** 0.5
    assert lr_schedule("inverse_sqrt", horizon_steps=horizon)(step) == pytest.approx(expected)
    assert lr_schedule("linear", horizon_steps=horizon)(step) == pytest.approx(max(0, (horizon - step) / horizon))
