"""Columns drawn one after the other: what the columns drawn so far tell about the next."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

MOST_GROUPS = 16  # each costs as much time as a small layer, so wide tables are drawn several columns at a time
LEAK = 0.1


class ColumnSequence(nn.Module):
    """A state that carries the columns drawn so far to the raw values of those that follow.

    Columns are cut into at most 16 groups in their order. With s₁ from the body of the generator, group g has the raw
    values r_g + B_g φ(s_g), and s_{g+1} = s_g + A_g x_g with its drawn columns x_g; φ is a leaky ReLU. So a level that
    was drawn by chance decides what goes with it, which a latent vector alone must foresee. B_g is 0 at first: training
    starts with columns that are independent given the latent vector.

    Args:
        widths: numbers of each column in a row, in order; at least two columns.
        width: numbers of the state.

    Attributes:
        groups: the first and the last column of each group.
    """

    def __init__(self, widths: Sequence[int], *, width: int) -> None:
        super().__init__()
        wide = [number for number, each in enumerate(widths) if each]  # constant columns take no place
        count = min(MOST_GROUPS, len(wide))
        starts = [wide[round(len(wide) * number / count)] for number in range(1, count)]
        cuts = [0, *starts, len(widths)]
        self.width = width
        self.groups = [(first, end - 1) for first, end in itertools.pairwise(cuts)]
        numbers = [sum(widths[first : last + 1]) for first, last in self.groups]
        reads = [nn.Linear(width, each) for each in numbers]
        for read in reads:
            nn.init.zeros_(read.weight)
            nn.init.zeros_(read.bias)
        self.reads = nn.ModuleList(reads)
        self.adds = nn.ModuleList(nn.Linear(each, width, bias=False) for each in numbers[:-1])

    def read(self, group: int, state: Tensor) -> Tensor:
        """(n, width) to what the state adds to the raw values of a group."""
        added: Tensor = self.reads[group](nn.functional.leaky_relu(state, LEAK))
        return added

    def add(self, group: int, state: Tensor, drawn: Tensor) -> Tensor:
        """The state (n, width) after the columns of a group, in model space; unchanged after the last group."""
        return state if group == len(self.adds) else state + self.adds[group](drawn)
