import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wassergan.errors import UserError
from wassergan.training import OptimizerSettings, rate_schedule


def test_adam_and_rmsprop_get_their_settings() -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    adam = OptimizerSettings("adam", rate=0.1, beta1=0.5, beta2=0.7).build(weights)
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (0.1, (0.5, 0.7))
    rmsprop = OptimizerSettings("rmsprop", rate=0.2).build(weights)
    assert isinstance(rmsprop, torch.optim.RMSprop) and rmsprop.defaults["lr"] == 0.2


def test_the_first_adam_step_moves_by_the_rate() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = OptimizerSettings("adam", rate=0.1).build([weight])
    (weight * torch.tensor([3.0, -0.2])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, -0.9]), rtol=1e-4, atol=1e-4)


def test_unknown_optimizers_and_schedules_name_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown optimizer: 'adamw'. Did you mean 'adam'\? Known: adam, rmsprop"):
        OptimizerSettings("adamw").build([])
    with pytest.raises(UserError, match=r"Unknown schedule: 'liner'. Did you mean 'linear'\?"):
        rate_schedule("liner", horizon_steps=5)


@given(step=st.integers(0, 10_000), horizon=st.integers(1, 5_000))
def test_schedules_have_their_closed_forms(step: int, horizon: int) -> None:
    assert rate_schedule("constant", horizon_steps=horizon)(step) == 1
    expected = 1.0 if step <= horizon else (horizon / step) ** 0.5
    assert rate_schedule("inverse_sqrt", horizon_steps=horizon)(step) == pytest.approx(expected)
    assert rate_schedule("linear", horizon_steps=horizon)(step) == pytest.approx(max(0, (horizon - step) / horizon))
