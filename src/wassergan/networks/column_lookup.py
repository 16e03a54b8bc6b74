"""What columns that were drawn tell the next ones, looked up: a product with a one-hot is a column of the weight."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wassergan.utils.column_layout import ColumnLayout


class Drawn(NamedTuple):
    """A column of some rows.

    Args:
        placed: (n, width) logits, place and logits of digits, by which it was drawn.
        column: (n, width) in model space.
        place: (n, 1) in [-1, 1]; (n, 0) of columns without a channel.
        chosen: (n, k) the option, if there are options, and each digit; (n, 0) where columns are not looked up.
    """

    placed: Tensor
    column: Tensor
    place: Tensor
    chosen: Tensor


class ColumnLookup:
    """The first layer's weights of all groups as tables with a row for everything that a column can tell.

    A number in a bin is between what it would tell at both edges of the bin, as both its place and how far it fills the
    bin are linear there. So a sum of few rows, two for a number and one for an option, stands for a product with
    hundreds of numbers that are mostly 0: an eighth of the time, and the same but for rounding.

    Args:
        layouts: of the columns.
        places: of each column, what its channel holds under each option (options, channel); (options, 0) without one.
        groups: columns that are drawn together, of which each follows those of the groups before.
        reads: of each group, what the body says, and then what columns before tell, to hidden numbers.
        said: numbers that the body says.
        edges: (1, bins + 1) of a number's bins.
        scale: of a one-hot.
    """

    def __init__(
        self,
        layouts: Sequence[ColumnLayout],
        places: Sequence[Tensor],
        groups: Sequence[Sequence[int]],
        reads: Sequence[nn.Linear],
        *,
        said: int,
        edges: Tensor,
        scale: float,
    ) -> None:
        self.layouts, self.bins = layouts, edges.shape[1] - 1
        self._made_of = [each.weight.detach().clone() for each in reads]
        self.weight = torch.cat([each[:, :said] for each in self._made_of])
        self.bias = torch.cat([each.bias for each in reads])
        self.starts: dict[int, int] = {}
        self.entries = 0
        rows = 0
        for number in itertools.chain.from_iterable(groups[:-1]):
            self.starts[number] = rows
            rows += _rows_of(layouts[number], self.bins)
            self.entries += entries_of(layouts[number])
        self.tables = [reads[0].weight.new_zeros(0, reads[0].out_features)]
        for group in range(1, len(groups)):
            numbers = list(itertools.chain.from_iterable(groups[:group]))
            widths = [layouts[each].width + bool(layouts[each].channel) * self.bins for each in numbers]
            parts = self._made_of[group][:, said:].T.split(widths)
            self.tables.append(
                torch.cat(
                    [
                        _table(layouts[each], part, places[each], edges[0], scale)
                        for each, part in zip(numbers, parts, strict=True)
                    ]
                )
            )

    def is_of(self, reads: Sequence[nn.Linear]) -> bool:
        """Whether it was made from these weights as they are now: compared, as fused optimisers count no changes."""
        bias = torch.cat([each.bias for each in reads])
        return torch.equal(bias, self.bias) and all(
            torch.equal(each.weight, kept) for each, kept in zip(reads, self._made_of, strict=True)
        )

    def begin(self, values: Tensor) -> "LookedUp":
        """Nothing is drawn yet; (n, said) values of the body."""
        return LookedUp(self, values)


class LookedUp:
    """The columns of some rows that were drawn so far, as places in the tables of a `ColumnLookup`."""

    def __init__(self, lookup: ColumnLookup, values: Tensor) -> None:
        self._lookup = lookup
        groups = len(lookup.tables)
        self._said = nn.functional.linear(values, lookup.weight, lookup.bias).unflatten(1, (groups, -1))
        self._indices = torch.zeros(len(values), lookup.entries, dtype=torch.int64)
        self._weights = values.new_ones(len(values), lookup.entries)
        self._count = 0

    def hidden(self, group: int) -> Tensor:
        """(n, width) what a group is told, before its norm."""
        said: Tensor = self._said[:, group]
        if group == 0:
            return said
        indices, weights = (each[:, : self._count].contiguous() for each in (self._indices, self._weights))
        table = self._lookup.tables[group]
        told: Tensor = nn.functional.embedding_bag(indices, table, mode="sum", per_sample_weights=weights)
        return said + told

    def hear(self, number: int, drawn: Drawn) -> None:
        """Take up a column; those of the last group tell nothing."""
        lookup, layout = self._lookup, self._lookup.layouts[number]
        if number not in lookup.starts:
            return
        at, row = self._count, lookup.starts[number]
        self._count += entries_of(layout)
        is_open: Tensor | float = 1.0
        if layout.options:
            self._indices[:, at] = drawn.chosen[:, 0] + row
            is_open = (drawn.chosen[:, 0] == layout.open_option).to(self._weights)
            at, row = at + 1, row + layout.options
        if layout.channel:
            filled = ((drawn.place[:, 0] + 1) * (lookup.bins / 2)).clamp(0, lookup.bins)
            full = filled.floor().clamp_(max=lookup.bins - 1)
            self._indices[:, at] = full.long() + row
            self._indices[:, at + 1] = self._indices[:, at] + 1
            self._weights[:, at + 1] = (filled - full) * is_open
            self._weights[:, at] = is_open - self._weights[:, at + 1]
            at, row = at + 2, row + lookup.bins + 1
        if layout.circle:
            for axis in range(layout.channel):
                self._indices[:, at + axis] = row + axis
                self._weights[:, at + axis] = drawn.column[:, layout.options + axis] * is_open
            at, row = at + layout.channel, row + layout.channel
        for digit in range(layout.digits):
            self._indices[:, at + digit] = drawn.chosen[:, digit - layout.digits] + (row + digit * layout.radix)
            self._weights[:, at + digit] = is_open


def entries_of(layout: ColumnLayout) -> int:
    """How many rows of a table stand for what a column tells."""
    return bool(layout.options) + bool(layout.channel) * 2 + layout.circle * layout.channel + layout.digits


def _rows_of(layout: ColumnLayout, bins: int) -> int:
    return layout.entries + bool(layout.channel) * (bins + 1) + layout.circle * layout.channel


def _table(layout: ColumnLayout, weight: Tensor, places: Tensor, edges: Tensor, scale: float) -> Tensor:
    """(what a column tells, width) to (rows, width), in the order of `LookedUp.hear`."""
    options, channel, digits, fills = weight.split(
        [layout.options, layout.channel, layout.digits * layout.radix, len(weight) - layout.width]
    )
    parts = [scale * options + places @ channel if layout.options else options]
    if layout.channel:
        full = torch.cat([torch.zeros_like(fills[:1]), fills.cumsum(0)])
        parts.append(full if layout.circle else full + edges[:, None] * channel)
    if layout.circle:
        parts.append(channel)
    return torch.cat([*parts, scale * digits])
