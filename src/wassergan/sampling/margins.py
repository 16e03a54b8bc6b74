"""The margins of a table's columns: which level, or which part of its range, each row has in each column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wassergan.utils.column_layout import ColumnLayout

PARTS = 8  # of the range of a number, with equally many rows in each as far as ties allow


@dataclass(frozen=True)
class Margins:
    """How rows in model space fall into the levels of their columns and the parts of their numbers' ranges.

    Args:
        layouts: of the columns.
        edges: of each column: where one part of its channel's range ends and the next one begins, ascending.
    """

    layouts: tuple[ColumnLayout, ...]
    edges: tuple[Tensor, ...]

    @property
    def components(self) -> None:
        """A classifier of rows is given all of them."""
        return None

    @classmethod
    def fit(cls, layouts: Sequence[ColumnLayout], rows: Tensor) -> "Margins":
        """With parts that hold equally many of some rows (n, width)."""
        shares = torch.linspace(0, 1, PARTS + 1, dtype=torch.float64)[1:-1]
        edges = []
        for layout, values in _columns(layouts, rows):
            told = _told(layout, values)
            told = told[~told.isnan()].double()
            edges.append(torch.quantile(told, shares).unique().float() if len(told) else torch.zeros(0))
        return cls(tuple(layouts), tuple(edges))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many cells each column has."""
        return tuple(
            max(layout.options, 1) + len(edges) for layout, edges in zip(self.layouts, self.edges, strict=True)
        )

    def cells(self, rows: Tensor) -> Tensor:
        """The cell of each row (n, width) in each column, (n, columns) int64: first the levels, then further parts."""
        found = []
        for (layout, values), edges in zip(_columns(self.layouts, rows), self.edges, strict=True):
            level = values[:, : layout.options].argmax(1) if layout.options else torch.zeros(len(rows)).long()
            told = _told(layout, values)
            part = torch.bucketize(told.contiguous(), edges.to(told))
            further = ~told.isnan() & (part > 0)
            found.append(torch.where(further, max(layout.options, 1) - 1 + part, level))
        return torch.stack(found, 1)

    def state(self) -> dict[str, Any]:
        """For a file; the layouts are those of the codec."""
        return {"edges": list(self.edges)}

    @classmethod
    def from_state(cls, layouts: Sequence[ColumnLayout], state: Mapping[str, Any]) -> "Margins":
        """The inverse of `state`.

        Raises:
            ValueError: edges of other columns.
        """
        edges = tuple(state["edges"])
        if len(edges) != len(layouts) or any(each.dim() != 1 or not each.isfinite().all() for each in edges):
            raise ValueError("margins of other columns")
        return cls(tuple(layouts), edges)


def _columns(layouts: Sequence[ColumnLayout], rows: Tensor) -> list[tuple[ColumnLayout, Tensor]]:
    parts = rows.split([layout.width for layout in layouts], 1)
    return list(zip(layouts, parts, strict=True))


def _told(layout: ColumnLayout, values: Tensor) -> Tensor:
    """(n, width) to the value of the channel (n,); NaN where the row has none of its own."""
    if not layout.channel:
        return torch.full((len(values),), torch.nan)
    channel = values[:, layout.options : layout.options + layout.channel]
    told = torch.atan2(channel[:, 1], channel[:, 0]) if layout.circle else channel[:, 0]
    return told.where(values[:, layout.open_option] > 0, torch.nan) if layout.options else told
