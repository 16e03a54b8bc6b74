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

    def peek(self) -> dict[str, Tensor]:
        """The sums so far, on the device."""
        return dict(self._sums)

    def average(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Replace all sums at once, (k,) in float64, by their mean over processes."""
        if self._sums:
            means = mean(torch.stack([total.double() for total in self._sums.values()]))
            self._sums = {
                name: value.to(total.dtype) for (name, total), value in zip(self._sums.items(), means, strict=True)
            }

    def read(self) -> dict[str, float]:
        """Means since the last reading."""
        names = list(self._sums)
        totals = torch.stack([self._sums[name].double() for name in names]).tolist() if names else []
        means = {name: total / self._counts[name] for name, total in zip(names, totals, strict=True)}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts so far."""
        return {"sums": {name: value.clone() for name, value in self._sums.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from saved sums."""
        self._sums = {name: value.clone() for name, value in state["sums"].items()}
        self._counts = dict(state["counts"])
