"""Running means of logged values, kept on the device and read once per tick."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Statistics:
    """Sums of scalars by name; `read` returns their means and starts afresh."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Add detached scalars; nothing is copied to the host."""
        for name, value in values.items():
            if name in self._sums:
                self._sums[name].add_(value)
            else:
                self._sums[name] = value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    @property
    def counts(self) -> dict[str, int]:
        """How often each name was added."""
        return dict(self._counts)

    def count(self, more: dict[str, int]) -> None:
        """Count values that were added to the sums by replaying work in which `add` had been recorded."""
        for name, count in more.items():
            self._counts[name] = self._counts.get(name, 0) + count

    def recount(self, counts: dict[str, int]) -> None:
        """Forget what was counted since `counts` was read."""
        self._counts = dict(counts)

    def peek(self) -> dict[str, Tensor]:
        """The sums so far, on the device."""
        return {name: self._sums[name] for name in self._counts}

    def average(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Replace all sums at once, (k,) in float64, by their mean over processes."""
        totals = list(self.peek().values())
        if totals:
            for total, value in zip(totals, mean(torch.stack([each.double() for each in totals])), strict=True):
                total.copy_(value)

    def read(self) -> dict[str, float]:
        """Means since the last reading."""
        names = list(self._counts)
        totals = torch.stack([self._sums[name].double() for name in names]).tolist() if names else []
        means = {name: total / self._counts[name] for name, total in zip(names, totals, strict=True)}
        for total in self._sums.values():
            total.zero_()  # in its place: recorded work may add to it
        self._counts = {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts so far."""
        return {"sums": {name: value.clone() for name, value in self.peek().items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any], *, device: torch.device | str = "cpu") -> None:
        """Go on from saved sums, on the device where values will be added."""
        self._sums = {name: value.to(device, copy=True) for name, value in state["sums"].items()}
        self._counts = dict(state["counts"])
