"""Output layers whose numbers come to be distributed, one by one, as those of the data are."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter
from wassergan.networks.heads import Bounded, Partial
from wassergan.networks.margin_calibration import SMALLEST

KNOTS, TOGETHER = 129, 16  # of a number's map, and pieces between knots that are added at once
TAILS = (0, 1 / 2048, 1 / 1024, 1 / 512)  # shares of what lies beyond further knots at either end: of rare values
MOST_NUMBERS = 3072  # in a sample: 32 x 32 pixels in colour


class QuantileMapped(nn.Module):
    """Numbers that, once a trained generator is matched, go through a monotone map each.

    `aim` says how the numbers of the data are distributed, and is kept with the weights; `match` finds the map. None of
    this is there before `hold`.
    """

    knots: Tensor
    mapped: Tensor
    targets: Tensor
    tails: Tensor
    later: ClassVar = ("tails",)  # buffers that older checkpoints lack
    is_held = False

    def hold(self, shape: tuple[int, ...]) -> None:
        """Be able to map numbers of a shape."""
        self.is_held = True
        self.register_buffer("targets", torch.zeros(KNOTS, *shape))
        self.register_buffer("tails", torch.zeros(2 * len(TAILS), *shape))
        for name in ("knots", "mapped"):
            self.register_buffer(name, torch.zeros(0, *shape), persistent=False)

    @property
    def is_matched(self) -> bool:
        """Whether there is a map."""
        return self.is_held and len(self.knots) > 0

    def led(self, reached: Tensor) -> Tensor:
        """(n, *shape) to the same shape, by the map that was found."""
        found = self.mapped[0].expand_as(reached)
        # A sum over all pieces rather than a search for the right one: every exported graph can do that.
        widths, rises = self.knots.diff(dim=0).clamp(min=SMALLEST), self.mapped.diff(dim=0)
        for start in range(0, len(widths), TOGETHER):
            some = slice(start, start + TOGETHER)
            shares = ((reached[:, None] - self.knots[:-1][some]) / widths[some]).clamp(0, 1)
            found = found + (shares * rises[some]).sum(1)
        return found.maximum(self.mapped[0]).minimum(self.mapped[-1])  # sums are rounded

    def aim(self, real: Tensor) -> None:
        """Keep quantiles of real samples (n, *shape) in model space; NaN counts for nothing."""
        quantiles = _quantiles(real)
        self.targets.copy_(quantiles[len(TAILS) : -len(TAILS)])
        self.tails.copy_(torch.cat([quantiles[: len(TAILS)], quantiles[-len(TAILS) :]]))

    def match(self, reached: Tensor) -> None:
        """From now on, bring the quantiles of what was reached, (n, *shape), to those of the data, number by number."""
        self._map(_quantiles(reached).to(self.targets))

    def unmatch(self) -> None:
        """Go through no map again."""
        self.knots, self.mapped = self.knots[:0], self.mapped[:0]

    def calibration_state(self) -> dict[str, Tensor]:
        """The knots, by name."""
        return {"knots": self.knots.detach().cpu().clone()}

    def load_calibration(self, state: Mapping[str, Tensor]) -> None:
        """Draw as after the `match` whose `calibration_state` this is.

        Raises:
            KeyError, ValueError: it is of another generator, or holds what no match does.
        """
        knots = state["knots"]
        aims = self._aims()
        fits = knots.shape == aims.shape and knots.dtype == aims.dtype
        if not fits or not bool(knots.isfinite().all()) or bool((knots.diff(dim=0) < 0).any()):
            raise ValueError("margins of another generator")
        self._map(knots.to(self.targets.device))

    def _aims(self) -> Tensor:
        """All quantiles of the data, ascending."""
        low, high = self.tails.chunk(2)
        return torch.cat([low, self.targets, high])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *further: Any) -> None:
        """Also of checkpoints that know no tails: nothing is drawn beyond the outermost targets there, as before."""
        targets = state_dict.get(f"{prefix}targets")
        if self.is_held and isinstance(targets, Tensor) and targets.shape == self.targets.shape:
            ends = [targets[end].expand(len(TAILS), *targets.shape[1:]) for end in (slice(1), slice(-1, None))]
            state_dict.setdefault(f"{prefix}tails", torch.cat(ends))
        super()._load_from_state_dict(state_dict, prefix, *further)

    def _map(self, knots: Tensor) -> None:
        """Where knots go: of equal ones, as at an end that many draws reach, all to the target of the middle one."""
        lines, aims = (each.flatten(1).T.contiguous() for each in (knots, self._aims()))
        first = torch.searchsorted(lines, lines)
        last = torch.searchsorted(lines, lines, right=True) - 1
        mapped = aims.gather(1, (first + last) // 2)
        self.knots, self.mapped = knots, mapped.T.reshape(knots.shape).contiguous()


class Matched(Bounded, QuantileMapped):
    """A bounded map, and behind it, once a trained generator is matched, a monotone one for each number of a sample.

    What lies beyond an end in training, by an overshoot, is told apart by it: so an end may become rarer, too.

    Args:
        bounded: the map to go on from.
        shape: of a sample.
    """

    def __init__(self, bounded: Bounded, shape: tuple[int, ...]) -> None:
        low, high = bounded.middle - bounded.half_width, bounded.middle + bounded.half_width
        super().__init__(low, high, overshoot=bounded.overshoot)
        self.hold(shape)

    def forward(self, values: Tensor) -> Tensor:
        """(n, *shape) to the same shape."""
        if self.training or not self.is_matched:
            return super().forward(values)
        return self.led(self.reached(values))

    def reached(self, values: Tensor) -> Tensor:
        """M + s h t, which is not held to the range yet."""
        return self.middle + self.half_width * self.overshoot * self.squashed(values)


def _quantiles(rows: Tensor) -> Tensor:
    """Of each number of (n, ...), (KNOTS + 2 tails, ...), ascending: values that there are, the extremes included.

    NaN counts for nothing; a number that is nowhere has zeros.
    """
    order = rows.sort(0).values  # NaN comes last
    counts = (~order.isnan()).sum(0)
    last = (counts - 1).clamp(min=0)
    shares = (torch.arange(KNOTS).double() + 0.5) / KNOTS
    below, inner = (
        (each.to(rows.device).view(-1, *[1] * counts.dim()) * counts).long().minimum(last)
        for each in (torch.tensor(TAILS).double(), shares)
    )
    return order.gather(0, torch.cat([below, inner, last - below.flip(0)])).nan_to_num(0)


def matched(head: nn.Module, shape: tuple[int, ...], *, by_channel: bool = False) -> nn.Module:
    """An output layer whose numbers can be matched, in place of one that is or holds a `Bounded`.

    Args:
        head: of a generator.
        shape: of a sample in model space.
        by_channel: the generator has a map for each channel of a series, and values may be missing.

    Raises:
        UserError: another output layer, numbers that may be missing, or too many of them.
    """
    bounded = head.bounded if isinstance(head, Partial) else head
    if not isinstance(bounded, Bounded):
        raise UserError(
            f"{parameter('match_margins', True)} is for arrays of numbers and for pictures",
            hint="leave it out: margins of tables and phases of volumes are set right anyway",
        )
    if isinstance(head, Partial) and head.masks and not by_channel:
        raise UserError(
            f"{parameter('match_margins', True)} is for samples in which nothing is missing",
            hint="leave it out, or fill the missing values in the data",
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
