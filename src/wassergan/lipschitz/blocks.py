"""Blocks that combine branches, with a Lipschitz constant derived from those of the branches."""

import torch
from torch import Tensor, nn

from wassergan.errors import UserError


class Averaged(nn.Module):
    """Residual block (1 - α) x + α g(x), with α = σ(a) learned: the constant is at most max(1, that of g).

    The plain sum x + g(x) of two 1-Lipschitz maps has a constant up to 2; their convex mean keeps 1.

    Args:
        branch: g, from a shape to the same shape.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.balance = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        """Any shape that the branch keeps."""
        share = torch.sigmoid(self.balance)
        mixed: Tensor = (1 - share) * values + share * _alike(self.branch(values), values)
        return mixed


class Residual(nn.Module):
    """Residual block s(x) + g(x): the constant is at most the sum of both, which is 1 + that of g if s is the identity.

    Args:
        branch: g.
        shortcut: s, to the output shape of the branch; the identity when None.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, values: Tensor) -> Tensor:
        """(n, ...) to the output shape of both."""
        short = self.shortcut(values)
        total: Tensor = short + _alike(self.branch(values), short)
        return total


class Concatenated(nn.Module):
    """All branches of one input, side by side along axis 1, over √(their number): ‖h‖² = Σ ‖h_i‖² / count.

    The constant is at most the largest of the branches'.

    Args:
        branches: maps of one input, with outputs that differ at most in axis 1.

    Raises:
        UserError: no branch.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        if not branches:
            raise UserError("There is nothing to concatenate")
        self.branches = nn.ModuleList(branches)

    def forward(self, values: Tensor) -> Tensor:
        """(n, ...) to (n, sum of the branches' features, ...)."""
        joined = torch.cat([branch(values) for branch in self.branches], dim=1)
        scaled: Tensor = joined / len(self.branches) ** 0.5
        return scaled


def _alike(values: Tensor, others: Tensor) -> Tensor:
    """`values`, which must not broadcast to the other's shape: that would count them several times."""
    if values.shape != others.shape:
        raise UserError(
            "A residual block adds what has one shape",
            found=f"{tuple(values.shape)} beside {tuple(others.shape)}",
            hint="give the branch the shape of what it is added to",
        )
    return values
