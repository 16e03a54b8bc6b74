"""Blocks that join branches and keep the Lipschitz constant at the largest of theirs."""

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
        mixed: Tensor = (1 - share) * values + share * self.branch(values)
        return mixed


class Concatenated(nn.Module):
    """All branches of one input, side by side along axis 1, over √(their number): ‖h‖² = Σ ‖h_i‖² / count.

    The constant is at most the largest of the branches'.

    Args:
        branches: maps of one input, with outputs that differ in axis 1 at most.

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
