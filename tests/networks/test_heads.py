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


def overshooting(overshoot: float = 1.25) -> Bounded:
    return Bounded(torch.tensor(1.0), torch.tensor(5.0), overshoot=overshoot).double()


def test_with_an_overshoot_both_ends_are_reached_and_the_middle_has_slope_one() -> None:
    head = overshooting().eval()
    values = torch.linspace(-20, 20, 401).double()
    made = head(values)
    assert made.min() == 1 and made.max() == 5
    # s tanh(x / (s h)) is 1 at x = s h artanh(1 / s): here 2.5 artanh(0.8) = 2.5 ln 3.
    edge = 3 + 2.5 * torch.tensor(3.0).double().log()
    assert ((made == 5) == (values >= edge)).all()
    assert ((made == 1) == (values <= 6 - edge)).all()
    inside = (made > 1) & (made < 5)
    torch.testing.assert_close(made[inside], 3 + 2 * 1.25 * ((values[inside] - 3) / 2.5).tanh())
    torch.testing.assert_close(head(torch.tensor(3.001).double()) - 3, torch.tensor(0.001).double())


@pytest.mark.parametrize("overshoot", [1.05, 1.25, 3.0])
def test_gradients_beyond_an_end_lead_back_and_never_further_out(overshoot: float) -> None:
    """A step of descent from an end: along the gradient where it leads inwards, not at all where it leads outwards."""
    for sign in (-1.0, 1.0):
        for pull in (-1.0, 1.0):  # of the loss: it falls where the result goes against its pull
            values = torch.tensor([3 + sign * 4.0]).double().requires_grad_()
            (overshooting(overshoot)(values) * pull).sum().backward()
            assert values.grad is not None
            assert (values.grad != 0).item() == (pull * sign > 0)


def test_inside_the_range_gradients_are_those_of_the_map() -> None:
    head = overshooting()
    values = torch.linspace(1.2, 4.8, 9).double().requires_grad_()
    assert torch.autograd.gradcheck(head, (values,))
    torch.testing.assert_close(head.eval()(values), head.train()(values))


def test_a_value_that_is_beyond_an_end_for_all_inputs_comes_back() -> None:
    """With the derivative of a clamp, which is 0, it would stay for good."""
    head, bias = overshooting(), torch.tensor([30.0]).double().requires_grad_()
    descent = torch.optim.Adam([bias], lr=0.1)
    for _ in range(600):
        descent.zero_grad()
        (head(bias) - 2).square().sum().backward()
        descent.step()
    assert head(bias).item() == pytest.approx(2, abs=0.05)
