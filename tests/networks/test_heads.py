import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.networks import Bounded


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_for_pictures_the_head_is_tanh() -> None:
    values = torch.linspace(-4, 4, 33)
    torch.testing.assert_close(Bounded(-torch.ones(()), torch.ones(()))(values), values.tanh())


@given(low=st.floats(-50, 50), width=st.floats(0.1, 100), value=st.floats(-1e4, 1e4))
def test_values_stay_within_the_bounds_and_grow_with_slope_one_at_the_middle(
    low: float, width: float, value: float
) -> None:
    head = Bounded(double(low), double(low + width))
    slack = 1e-5 * (abs(low) + width)
    assert low - slack <= head(torch.tensor(value)).item() <= low + width + slack
    middle = torch.tensor(low + width / 2, requires_grad=True)
    head(middle).backward()
    assert middle.grad is not None and middle.grad.item() == pytest.approx(1, abs=1e-3)


def test_each_feature_has_its_own_bounds() -> None:
    head = Bounded(torch.tensor([0.0, -5.0]), torch.tensor([1.0, 5.0]))
    extremes = head(torch.tensor([[-1e6, -1e6], [1e6, 1e6]]))
    torch.testing.assert_close(extremes, torch.tensor([[0.0, -5.0], [1.0, 5.0]]))
