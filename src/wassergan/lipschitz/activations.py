"""Activations that permute their input and so preserve gradient norms: their Jacobian is a permutation."""

import torch
from torch import Tensor, nn

from wassergan.errors import UserError


class GroupSort(nn.Module):
    """Sort the features (axis 1) within groups of neighbours, ascending; exactly 1-Lipschitz.

    If the number of features is not a multiple of the group size, the last ones form a smaller group.

    Args:
        size: features in a group, at least 2.

    Raises:
        UserError: not an integer, or a size under 2, which would sort nothing.

    Source: Anil, Lucas, Grosse 2019, arXiv 1811.05381, section 4.1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if isinstance(size, bool) or not isinstance(size, int):
            raise UserError("The size of a group must be a whole number", found=f"{size!r}")
        if size < 2:
            raise UserError("Groups to sort need at least two features", found=f"{size}")
        self.size = size

    def forward(self, values: Tensor) -> Tensor:
        """(n, features, ...) to the same shape."""
        full = values.shape[1] // self.size * self.size
        ordered = self.sorted_groups(values[:, :full].unflatten(1, (-1, self.size))).flatten(1, 2)
        rest = values[:, full:]
        return ordered if rest.shape[1] == 0 else torch.cat([ordered, rest.sort(dim=1).values], dim=1)

    def sorted_groups(self, groups: Tensor) -> Tensor:
        """(n, groups, size, ...) sorted along axis 2."""
        return groups.sort(dim=2).values

    def extra_repr(self) -> str:
        """The size of a group."""
        return f"{self.size}"


class MaxMin(GroupSort):
    """`GroupSort` in pairs: (a, b) to (min, max), without the cost of a sort."""

    def __init__(self) -> None:
        super().__init__(2)

    def sorted_groups(self, groups: Tensor) -> Tensor:
        """Pairs by comparison alone."""
        first, second = groups.unbind(2)
        return torch.stack([torch.minimum(first, second), torch.maximum(first, second)], dim=2)
