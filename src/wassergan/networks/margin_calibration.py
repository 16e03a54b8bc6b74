"""What sets the margins of a trained head right: shifts of its logits, and monotone maps of its channels."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 1e-7  # float32 knows no number between this much less than 1 and 1


class MarginCalibration(nn.Module):
    """Shifts and bends by which a head draws; none at first. Nothing learns them and no checkpoint keeps them.

    Rows may belong to strata, numbered from 1 on, with shifts and bends of their own; 0 is for all others.

    Args:
        width: numbers in a row.

    Attributes:
        shift: (1 + strata, width), added to the logits.
    """

    shift: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self._bent: set[int] = set()
        self.register_buffer("shift", torch.zeros(1, width), persistent=False)

    def stratify(self, count: int) -> None:
        """Have shifts and bends for so many strata of rows from now on, each those that all rows have now."""
        self.shift = self.shift[:1].repeat(1 + count, 1)
        for number in self._bent:
            for name in (f"knots_{number}", f"targets_{number}"):
                self.register_buffer(name, self.get_buffer(name)[:1].repeat(1 + count, 1), persistent=False)

    def set_quantile_map(self, number: int, knots: Tensor, targets: Tensor, *, stratum: int = 0) -> None:
        """Map a column's channel from now on, piece by piece along straight lines.

        Args:
            number: of the column.
            knots: (k,) ascending, equally many at each call.
            targets: (k,) ascending, where they go.
            stratum: whose rows; 0 for those that belong to none.
        """
        for name, values in ((f"knots_{number}", knots), (f"targets_{number}", targets)):
            if number not in self._bent:
                even = torch.linspace(-1, 1, len(values)).to(self.shift)
                self.register_buffer(name, even.repeat(len(self.shift), 1), persistent=False)
            self.get_buffer(name)[stratum] = values.to(self.shift)
        self._bent.add(number)

    def bends(self, number: int) -> bool:
        """Whether a column's channel is mapped."""
        return number in self._bent

    def quantile_map(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Knots and targets of rows that belong to no stratum, if the column's channel is bent."""
        if number not in self._bent:
            return None
        return self.get_buffer(f"knots_{number}")[0].clone(), self.get_buffer(f"targets_{number}")[0].clone()

    def reset_quantile_map(self, stratum: int = 0) -> None:
        """Draw straight again; of all rows, without strata, for 0."""
        if stratum == 0:
            self._bent.clear()
            self.stratify(0)
        for number in self._bent:
            knots = self.get_buffer(f"knots_{number}")
            knots[stratum] = torch.linspace(-1, 1, knots.shape[1]).to(knots)
            self.get_buffer(f"targets_{number}")[stratum] = knots[stratum]

    def state(self) -> dict[str, Any]:
        """Shifts and bends, tensors by name, on the CPU."""
        names = [f"{name}_{number}" for number in sorted(self._bent) for name in ("knots", "targets")]
        return {name: self.get_buffer(name).detach().cpu().clone() for name in ("shift", *names)}

    def load(self, state: Mapping[str, Tensor], *, channels: Collection[int]) -> None:
        """Draw as a calibration did whose `state` this is.

        Args:
            state: of a head of the same columns.
            channels: the columns that may be bent.

        Raises:
            ValueError: it is of other columns, or holds what no calibration does; nothing has changed then.
        """
        shift, rest = state["shift"], {name: each for name, each in state.items() if name != "shift"}
        bent = {number for number in channels if f"knots_{number}" in rest}
        whole = {f"{name}_{number}" for number in bent for name in ("knots", "targets")}
        if shift.dim() != 2 or shift.shape[1:] != self.shift.shape[1:] or len(shift) == 0 or whole != rest.keys():
            raise ValueError("a calibration of other columns")
        for number in bent:
            knots, targets = (rest[f"{name}_{number}"] for name in ("knots", "targets"))
            if knots.dim() != 2 or knots.shape != targets.shape or len(knots) != len(shift):
                raise ValueError("bends of other strata")
        for each in state.values():
            if each.dtype != self.shift.dtype or not bool(each.isfinite().all()):
                raise ValueError("numbers that no calibration has")
        if any(bool((each.diff() < 0).any()) for each in rest.values()):
            raise ValueError("bends that turn back")
        self._bent = bent
        for name, each in state.items():
            self.register_buffer(name, each.to(self.shift.device), persistent=False)

    def shifted(self, values: Tensor, strata: Tensor | None = None) -> Tensor:
        """Raw values (n, width) with the shifts of their strata (n,), or with those of all rows."""
        return values + (self.shift[0] if strata is None else self.shift[strata])

    def bent(self, number: int, places: Tensor, strata: Tensor | None = None) -> Tensor:
        """Places (n, 1) of a column's channel where its bend leads; as they are if it has none."""
        if number not in self._bent:
            return places
        knots, targets = (getattr(self, f"{name}_{number}") for name in ("knots", "targets"))
        return interpolated(places, *((knots[:1], targets[:1]) if strata is None else (knots[strata], targets[strata])))


def interpolated(values: Tensor, knots: Tensor, targets: Tensor) -> Tensor:
    """Where straight lines between (knots, targets) lead; beyond the ends, the targets there.

    Args:
        values: (n, 1).
        knots: (n, k) or (1, k), ascending; of equal ones the first counts.
        targets: likewise.

    >>> knots, targets = torch.tensor([[0.0, 1, 3, 3]]), torch.tensor([[0.0, 2, 3, 3]])
    >>> interpolated(torch.tensor([[-9.0], [0.5], [2.0]]), knots, targets)
    tensor([[0.0000],
            [1.0000],
            [2.5000]])
    """
    # A sum over all pieces rather than a search for the right one: every exported graph can do that.
    widths = knots.diff().clamp(min=SMALLEST)  # onnxscript 0.2 has no clamp_min of a number
    shares = ((values - knots[:, :-1]) / widths).clamp(0, 1)
    return targets[:, :1] + (shares * targets.diff()).sum(1, keepdim=True)
