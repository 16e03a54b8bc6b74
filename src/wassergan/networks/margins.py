"""Output layers whose numbers come to be distributed, one by one, as those of the data are."""

import math

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter
from wassergan.networks.heads import Bounded, Partial
from wassergan.networks.margin_calibration import SMALLEST

KNOTS = 65  # of a number's map
MOST_NUMBERS = 4096  # in a sample


class Matched(Bounded):
    """A bounded map, and in evaluation mode behind it a monotone one for each number of a sample.

    `match` sets the latter. What lies beyond an end in training, by an overshoot, is told apart by it: so an end may
    become rarer, too.

    Args:
        bounded: the map to go on from.
        shape: of a sample.
    """

    knots: Tensor
    targets: Tensor

    def __init__(self, bounded: Bounded, shape: tuple[int, ...]) -> None:
        low, high = bounded.middle - bounded.half_width, bounded.middle + bounded.half_width
        super().__init__(low, high, overshoot=bounded.overshoot)
        even = torch.linspace(-1, 1, KNOTS).view(-1, *(1,) * len(shape))
        start = (self.middle + self.half_width * even).expand(KNOTS, *shape)
        for name in ("knots", "targets"):
            self.register_buffer(name, start.clone(memory_format=torch.contiguous_format))

    def forward(self, values: Tensor) -> Tensor:
        """(n, *shape) to the same shape."""
        if self.training:
            return super().forward(values)
        reached, found = self.reached(values), self.targets[0].expand_as(values)
        # A sum over all pieces rather than a search for the right one: every exported graph can do that.
        for start, width, rise in zip(self.knots, self.knots.diff(dim=0), self.targets.diff(dim=0), strict=False):
            found = found + ((reached - start) / width.clamp(min=SMALLEST)).clamp(0, 1) * rise
        return found

    def reached(self, values: Tensor) -> Tensor:
        """M + s h t, which is not held to the range yet."""
        return self.middle + self.half_width * self.overshoot * self.squashed(values)

    def match(self, reached: Tensor, real: Tensor) -> None:
        """From now on, bring quantiles of what was reached to those of real samples, number by number.

        Args:
            reached: (n, *shape).
            real: (m, *shape) in model space.
        """
        levels = (torch.arange(KNOTS).double() + 0.5) / KNOTS
        for kept, rows in ((self.knots, reached), (self.targets, real)):
            order = rows.double().sort(0).values
            places = (levels * len(order)).long().clamp(max=len(order) - 1)
            kept.copy_(order[places])


def matched(head: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """An output layer whose numbers can be matched, in place of one that is or holds a `Bounded`.

    Args:
        head: of a generator.
        shape: of a sample in model space.

    Raises:
        UserError: another output layer, numbers that may be missing, or too many of them.
    """
    bounded = head.bounded if isinstance(head, Partial) else head
    if not isinstance(bounded, Bounded) or (isinstance(head, Partial) and head.masks):
        raise UserError(
            f"{parameter('match_margins', True)} is for arrays of numbers and pictures of which nothing is missing",
            hint="leave it out: margins of tables and phases of volumes are set right anyway",
        )
    if math.prod(shape) > MOST_NUMBERS:
        raise UserError(
            f"{parameter('match_margins', True)} is for samples of at most {MOST_NUMBERS} numbers",
            found=f"{math.prod(shape)}",
            hint="leave it out",
        )
    own = Matched(bounded, shape)
    if not isinstance(head, Partial):
        return own
    head.bounded = own
    return head
