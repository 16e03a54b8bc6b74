"""Samples by their leading principal components: what a classifier and margins of arrays go by.

A network that sees all pixels soon tells every draw from data by its texture; what it says then ranks draws by their
texture alone, and pays for that with everything else (docs/lab-notes.md). The leading components have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MOST = 48
MARGINS = 16  # of them have margins
PARTS = 8
ROWS = 1024  # by which components are found, where samples have more numbers


@dataclass(frozen=True)
class Components:
    """An affine map to uncorrelated numbers of variance 1.

    Args:
        mean: (D,) of flattened samples.
        directions: (D, k), each divided by the deviation along it.
    """

    mean: Tensor
    directions: Tensor

    @classmethod
    def fit(cls, samples: Tensor) -> "Components":
        """The leading ones of some samples (n, ...), fewer where they vary in fewer directions."""
        rows = samples.flatten(1).double()
        mean = rows.mean(0)
        if rows.shape[1] <= ROWS:
            centred = rows - mean
            values, directions = torch.linalg.eigh(centred.T @ centred / len(rows))
        else:
            centred = rows[:ROWS] - mean
            values, combinations = torch.linalg.eigh(centred @ centred.T / len(centred))
            directions = centred.T @ combinations / (len(centred) * values.clamp_min(1e-30)).sqrt()
        leading = slice(max(0, len(values) - MOST), len(values))
        values, directions = values[leading].flip(0), directions[:, leading].flip(1)
        there = values > 1e-9 * values[0].clamp_min(1e-30)
        there[0] = True  # of samples that are all alike too
        scaled = directions[:, there] / values[there].clamp_min(1e-30).sqrt()
        return cls(mean.float(), scaled.float())

    def of(self, samples: Tensor) -> Tensor:
        """(n, ...) to (n, k) float32."""
        return (samples.flatten(1) - self.mean.to(samples)) @ self.directions.to(samples)

    def state(self) -> dict[str, Any]:
        """Tensors, for a file."""
        return {"mean": self.mean, "directions": self.directions}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, numbers: int) -> "Components":
        """The inverse of `state`, for samples of so many numbers.

        Raises:
            ValueError: tensors of other samples.
        """
        found = cls(state["mean"], state["directions"])
        fits = found.mean.shape == (numbers,) and found.directions.shape[:-1] == (numbers,)
        if not fits or not all(bool(each.isfinite().all()) for each in (found.mean, found.directions)):
            raise ValueError("components of other samples")
        return found


@dataclass(frozen=True)
class ComponentMargins:
    """Into which part of its range each sample falls in each of the leading components.

    Args:
        components: of the samples.
        edges: (parts - 1, columns) where one part ends and the next one begins, ascending.
    """

    components: Components
    edges: Tensor

    @classmethod
    def fit(cls, components: Components, samples: Tensor) -> "ComponentMargins":
        """With parts that hold equally many of some samples."""
        shares = torch.linspace(0, 1, PARTS + 1, dtype=torch.float64)[1:-1]
        return cls(components, torch.quantile(components.of(samples)[:, :MARGINS].double(), shares, dim=0).float())

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many parts each column has."""
        return (len(self.edges) + 1,) * self.edges.shape[1]

    def cells(self, samples: Tensor) -> Tensor:
        """The part of each sample (n, ...) in each column, (n, columns) int64."""
        values = self.components.of(samples)[:, : self.edges.shape[1]]
        return torch.searchsorted(self.edges.T.contiguous(), values.T.contiguous()).T

    def state(self) -> dict[str, Any]:
        """Tensors, for a file."""
        return {"edges": self.edges, **self.components.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], *, numbers: int) -> "ComponentMargins":
        """The inverse of `state`, for samples of so many numbers.

        Raises:
            ValueError: edges of other columns, or components of other samples.
        """
        components, edges = Components.from_state(state, numbers=numbers), state["edges"]
        wanted = min(MARGINS, components.directions.shape[1])
        if edges.dim() != 2 or edges.shape[1] != wanted or not bool(edges.isfinite().all()):
            raise ValueError("margins of other components")
        return cls(components, edges)
