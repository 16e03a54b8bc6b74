"""Penalties by samples alone, and by samples and conditions together."""

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import Clipping, GradientPenalty, LipschitzPenalty, ZeroCentredPenalty
from wassergan.errors import UserError
from wassergan.training.joint import penalised, require_penalty_on


class Linear(nn.Module):
    """f(x, y) = w·x + v·y."""

    def __init__(self, shape: tuple[int, ...], given: int) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(given))

    def forward(self, samples: Tensor, context: Tensor) -> Tensor:
        return (samples * self.w).flatten(1).sum(1) + context @ self.v


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_the_gradient_is_by_what_was_said(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    critic = Linear(shape, 6)
    real, fake, told = torch.randn(7, *shape), torch.randn(7, *shape), torch.randn(7, 6)
    w, v = critic.w.norm().item(), critic.v.norm().item()
    for name, norm in (("samples", w), ("both", (w**2 + v**2) ** 0.5)):
        for constraint, cost in (
            (GradientPenalty(1.0), (norm - 1) ** 2),
            (LipschitzPenalty(1.0), max(norm - 1, 0) ** 2),
            (ZeroCentredPenalty(1.0), norm**2),
        ):
            found = constraint.penalty(*penalised(critic, told, name, real, fake), torch.Generator().manual_seed(0))
            assert found.item() == pytest.approx(cost, rel=1e-5)
            found.backward()  # type: ignore[no-untyped-call]
    assert critic.v.grad is not None and critic.v.grad.norm() > 0


def test_points_between_have_their_own_condition() -> None:
    told, real, fake = torch.randn(3, 4), torch.randn(3, 2), torch.randn(3, 2)
    _, one, other = penalised(Linear((2,), 4), told, "both", real, fake)
    assert torch.equal(one[:, 2:], told) and torch.equal(other[:, 2:], told)


def test_both_needs_conditions_and_a_penalty() -> None:
    require_penalty_on("both", LipschitzPenalty(), conditional=True)
    with pytest.raises(UserError, match="drawn under conditions"):
        require_penalty_on("both", LipschitzPenalty(), conditional=False)
    with pytest.raises(UserError, match="penalise gradient norms.*clip"):
        require_penalty_on("both", Clipping(), conditional=True)
    with pytest.raises(UserError, match="Did you mean 'both'"):
        require_penalty_on("bot", LipschitzPenalty(), conditional=True)
