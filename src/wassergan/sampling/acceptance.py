"""How likely a draw is kept, so that one of K is kept in the mean: optimal budgeted rejection.

Of all ways to keep one of K draws of a density q, keeping x with the probability a(x) = min(c r(x), 1), with
r = p / q and c such that E a = 1/K, brings what is kept nearest to p, in every f-divergence. Source: Verine, Pydi,
Negrevergne, Chevaleyre 2023, arXiv 2311.00460, theorem 3.2; the ratio by a classifier as in Azadi, Olsson, Darrell,
Goodfellow, Odena 2018, arXiv 1810.06758.

Here c is one for each frequent condition, so that each keeps one of K, and r has a factor for every level of a table's
columns and for every part of a number's range, so that what is kept has the training rows' shares of them: the margins
of a table are set right before anything is drawn, and a classifier is not exact enough to leave them so. Of arrays and
pictures the margins are those of their leading principal components.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROUNDS = 100
DAMPING = 0.7
LARGEST_SHIFT = 4.0
SPARE = 0.5  # rows, so that a level of which none was drawn has a logarithm
PRECISE = 1e-3  # of a share


@dataclass(frozen=True)
class Calibration:
    """Draws of a generator, by which acceptances are set.

    Args:
        ratios: (n,) log p / q of each, up to a constant.
        groups: (n,) int64, the number of the condition that it was drawn under.
        patterns: (g, k) conditions, and more groups than patterns for all others: the last one.
        cells: (n, columns) int64, where it falls in each column of a table; (n, 0) of all else.
        shares: of each column: the training rows' shares of its cells.
    """

    ratios: Tensor
    groups: Tensor
    patterns: Tensor
    cells: Tensor
    shares: tuple[Tensor, ...] = ()

    def acceptance(self, draws: float) -> "Acceptance":
        """The acceptance that keeps one of so many draws in the mean, under every condition with a number.

        Args:
            draws: per kept one, at least 1.
        """
        ratios, share = self.ratios.double(), 1 / draws
        shifts = [torch.zeros(len(each), dtype=torch.float64) for each in self.shares]
        offsets = self._offsets(ratios, share)
        for _ in range(ROUNDS if shifts else 0):
            worst = self._adjust(shifts, ratios + offsets[self.groups])
            offsets = self._offsets(ratios + self._shift(shifts), share)
            if worst < PRECISE:
                break
        return Acceptance(self.patterns, offsets, tuple(shifts))

    def _shift(self, shifts: Sequence[Tensor]) -> Tensor:
        """The sum of the shifts of each draw's cells."""
        total = torch.zeros(len(self.ratios), dtype=torch.float64)
        for column, shift in enumerate(shifts):
            total += shift[self.cells[:, column]]
        return total

    def _adjust(self, shifts: Sequence[Tensor], unshifted: Tensor) -> float:
        """Move the shifts towards the wanted shares, in place; the largest error that there was.

        One column after the other, each with what the columns before it came to: together, columns that go with each
        other would all mend the same error, and overshoot.
        """
        total, worst = unshifted + self._shift(shifts), 0.0
        for column, (shift, wanted) in enumerate(zip(shifts, self.shares, strict=True)):
            cells, kept = self.cells[:, column], total.clamp(max=0).exp()
            found = torch.zeros_like(shift).index_add_(0, cells, kept) / kept.sum()
            drawn = torch.zeros_like(shift).index_add_(0, cells, torch.ones_like(kept))
            spare = SPARE / len(kept)
            step = DAMPING * ((wanted.double() + spare) / (found + spare)).log()
            former = shift.clone()
            shift += torch.where(drawn > 0, step, 0.0)
            shift.clamp_(-LARGEST_SHIFT, LARGEST_SHIFT)
            total = total + (shift - former)[cells]
            worst = max(worst, float((found - wanted)[drawn > 0].abs().max()))
        return worst

    def _offsets(self, ratios: Tensor, share: float) -> Tensor:
        """Log c of each group; of one without draws that of all."""
        groups = len(self.patterns) + 1
        found = torch.full((groups,), log_factor(ratios, share), dtype=torch.float64)
        for group in range(groups):
            own = ratios[self.groups == group]
            if len(own):
                found[group] = log_factor(own, share)
        return found

    def state(self) -> dict[str, Any]:
        """Tensors and plain types."""
        own = {name: getattr(self, name) for name in ("ratios", "groups", "patterns", "cells")}
        return {**own, "shares": list(self.shares)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Calibration":
        """The inverse of `state`.

        Raises:
            ValueError: tensors that do not belong together.
        """
        ratios, groups, patterns, cells = (state[name] for name in ("ratios", "groups", "patterns", "cells"))
        found = cls(ratios, groups, patterns, cells, tuple(state["shares"]))
        count, sizes = len(found.ratios), [len(each) for each in found.shares]
        sound = (
            count > 0
            and found.ratios.shape == found.groups.shape == (count,)
            and found.patterns.dim() == 2
            and found.cells.shape == (count, len(sizes))
            and bool(found.ratios.isfinite().all())
            and all(each.dim() == 1 and bool((each >= 0).all()) for each in found.shares)
            and _within(found.groups, len(found.patterns) + 1)
            and all(_within(cells, size) for cells, size in zip(found.cells.T, sizes, strict=True))
        )
        if not sound:
            raise ValueError("draws that do not belong together")
        return found


@dataclass(frozen=True)
class Acceptance:
    """The logarithm of a(x); arguments are those of `Calibration`, and what it came to.

    Args:
        patterns: (g, k) conditions.
        offsets: (g + 1,) of each, and of all others.
        shifts: of each column's cells.
    """

    patterns: Tensor
    offsets: Tensor
    shifts: tuple[Tensor, ...] = ()

    def log(self, ratios: Tensor, context: Tensor | None, cells: Tensor | None) -> Tensor:
        """Log a of draws (n,), at most 0, float64.

        Args:
            ratios: (n,) log p / q.
            context: (n, k) conditions, if there are any.
            cells: (n, columns) of a table's rows.
        """
        total = ratios.double() + self.offsets[group_of(self.patterns, context, len(ratios))]
        if cells is not None:
            for column, shift in enumerate(self.shifts):
                total = total + shift[cells[:, column]]
        return total.clamp(max=0)


def group_of(patterns: Tensor, context: Tensor | None, count: int) -> Tensor:
    """The number of each condition (n, k) among some patterns; behind the last for those that are none of them."""
    other = len(patterns)
    if context is None or other == 0:
        return torch.full((count,), other)
    gaps = torch.cdist(context.double(), patterns.double(), compute_mode="donot_use_mm_for_euclid_dist")
    nearest = gaps.min(1)
    return torch.where(nearest.values < 1e-6, nearest.indices, other)


def log_factor(ratios: Tensor, share: float) -> float:
    """Log c, such that min(c exp(ratio), 1) has a given mean over some draws (n,); exact but for rounding.

    With the m largest ratios cut off at 1, c = (n share - m) / Σ of the others; m is the least that cuts no further.
    """
    if share >= 1:
        return math.inf
    ordered = ratios.double().sort(descending=True).values
    rest = torch.logcumsumexp(ordered.flip(0), 0).flip(0)  # log Σ from each one on
    left = len(ordered) * share - torch.arange(len(ordered), dtype=torch.float64)
    factors = torch.where(left > 0, left, torch.nan).log() - rest
    fits = ordered + factors <= 1e-12  # the largest that is left over is not cut
    return float(factors[int(fits.int().argmax())])


def _within(numbers: Tensor, count: int) -> bool:
    is_whole = numbers.dtype == torch.int64
    return is_whole and (len(numbers) == 0 or bool(int(numbers.min()) >= 0 and int(numbers.max()) < count))
