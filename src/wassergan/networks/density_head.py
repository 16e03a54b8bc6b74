"""The head of a table's generator whose columns have densities: each is drawn given those before it."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from wassergan.networks.kept_cells import Given, KeptCells
from wassergan.networks.margin_calibration import SMALLEST, interpolated
from wassergan.networks.table_head import SCALE, TableHead, half_turns, on_circle
from wassergan.utils.column_layout import ColumnLayout

MOST_GROUPS = 32  # each costs as much time as some small layers, so wide tables are drawn several columns at a time
CODE = 64  # numbers that the body of the generator says to all columns
DROPOUT = 0.25  # of hidden numbers where a likelihood is learnt: without it, 20 epochs learn the rows by heart
HIDDEN = 0.1  # of the true columns before a column, likewise
BINS = 32  # of a number's place
BUMP = 2  # raw values of the bump: its middle and the logarithm of its width
LARGEST_FALL = 30.0  # of the logarithm of a bump: free values alone tell what lies farther away apart
STEEPEST = 6.0  # bumps are not narrower than exp(-6), a thirteenth of a bin


class DensityHead(TableHead):
    """Draws columns one after the other from densities that can be evaluated, so that real rows have a likelihood.

    Column by column, h = relu(norm(A x)) of what the body says and of the columns before, h ← h + relu(B h), and raw
    values U h, of which U is 0 at first. Options are the softmax of their raw values, drawn by the Gumbel-max trick as
    in `TableHead`. The place of a number has a piecewise constant density on 32 bins of [-1, 1], the softmax of free
    values plus a Gaussian bump, by which neighbouring bins go together; it is drawn by inverting the distribution
    function, which is differentiable, so that a critic's gradient passes. Later columns are told a number by its place
    and by how far it fills each bin. Source of the latter: Gorishniy, Rubachev, Babenko 2022, arXiv 2203.05556,
    section 3.2; of the density: Müller, McWilliams, Rousselle, Gross, Novák 2019, arXiv 1808.03856, section 4.1.

    Args:
        layouts: of each column, in order; at least one of them varies.
        width: hidden numbers of each column.
        kept: cells that are given in a generator's input and stay as they are; None for none.
    """

    edges: Tensor

    def __init__(self, layouts: Sequence[ColumnLayout], *, width: int, kept: KeptCells | None = None) -> None:
        super().__init__(layouts, kept=kept)
        self._noises = [layout.entries + bool(layout.channel) for layout in self._layouts]
        self.noise_dim = sum(self._noises)
        self.register_buffer("edges", torch.linspace(-1, 1, BINS + 1)[None], persistent=False)
        self._groups = _groups([number for number, each in enumerate(self._widths) if each])
        told = [sum(self._told_width(number) for number in group) for group in self._groups]
        before = [CODE + sum(told[:number]) for number in range(len(told))]
        self.reads = nn.ModuleList(nn.Linear(each, width) for each in before)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in before)
        self.mixes = nn.ModuleList(nn.Linear(width, width) for _ in before)
        self.outs = nn.ModuleList(nn.Linear(width, sum(map(self._drawn_width, group))) for group in self._groups)
        for out in self.outs:
            assert isinstance(out, nn.Linear)
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)

    @property
    def raw_width(self) -> int:
        """Numbers that the body says to all columns."""
        return CODE

    def log_likelihood(self, values: Tensor, real: Tensor) -> Tensor:
        """(n,) logarithms of the density of real rows, each column given the true ones before it.

        The measure is that of places for numbers and counts for options, and bins have the width 1.

        Args:
            values: (n, raw_width), of a body whose latent vectors do not depend on the rows.
            real: rows (n, width) in model space.
        """
        columns, total = real.split(self._widths, 1), torch.zeros(len(real), device=real.device)
        told = [values]
        for group, numbers in enumerate(self._groups):
            raws = self._raws(group, torch.cat(told, 1), dropout=DROPOUT * self.training)
            for number, raw in zip(numbers, raws, strict=True):
                total = total + self._log_density(number, raw, columns[number])
            told += [self._hidden_now_and_then(self._told(number, columns[number])) for number in numbers]
        return total

    def _hidden_now_and_then(self, told: Tensor) -> Tensor:
        """What a column tells (n, ...), in training without some of the rows, so that no column is relied on alone."""
        return told * (torch.rand(len(told), 1, device=told.device) >= HIDDEN) if self.training else told

    def _columns(
        self, values: Tensor, noise: Tensor, strata: Tensor | None, given: Given | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        noises = torch.special.ndtr(noise.to(self.edges)).clamp(SMALLEST, 1 - SMALLEST).split(self._noises, 1)
        told, drawn = [values], dict(self._constant(values))
        shifts = self.calibration.shifted(values.new_zeros(1, sum(self._widths)), strata).split(self._widths, 1)
        raws: dict[int, Tensor] = dict(drawn)
        for group, numbers in enumerate(self._groups):
            for number, raw in zip(numbers, self._raws(group, torch.cat(told, 1)), strict=True):
                raws[number], column = self._placed(number, raw, shifts[number], noises[number])
                drawn[number] = self._with_given(number, column, given)
            told += [self._told(number, drawn[number]) for number in numbers]
        for number in range(len(self._layouts)):
            yield raws[number], drawn[number]

    def _constant(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Columns without a number, (n, 0)."""
        return ((number, values[:, :0]) for number, width in enumerate(self._widths) if not width)

    def _raws(self, group: int, told: Tensor, *, dropout: float = 0.0) -> tuple[Tensor, ...]:
        """Raw values of each column of a group, by what was told so far (n, ...)."""
        hidden = _dropped(torch.relu(self.norms[group](self.reads[group](told))), dropout)
        hidden = hidden + _dropped(torch.relu(self.mixes[group](hidden)), dropout)
        raw: Tensor = self.outs[group](hidden).to(self.edges)
        return _cut(raw, [self._drawn_width(number) for number in self._groups[group]])

    def _placed(self, number: int, raw: Tensor, shift: Tensor, even: Tensor) -> tuple[Tensor, Tensor]:
        """A column's logits and place, as `TableHead` has them, and what it draws by even numbers in (0, 1)."""
        layout = self._layouts[number]
        options, density, digits = self._parts(number, raw)
        parts = [options + shift[:, : layout.options]]
        gumbel = -torch.log(-torch.log(even))
        if layout.channel:
            parts.append(self._drawn_place(density, even[:, layout.options, None]))
            gumbel = torch.cat([gumbel[:, : layout.options], gumbel[:, layout.options + 1 :]], 1)
            if layout.circle:
                parts[-1] = on_circle(parts[-1])
        if layout.digits:
            parts.append(digits + shift[:, layout.options + layout.channel :])
        placed = torch.cat(parts, 1)
        return placed, self._draw(number, placed, gumbel)

    def _channel(self, number: int, raw: Tensor) -> Tensor:
        """The place is drawn already."""
        return raw

    @staticmethod
    def _channel_raw(layout: ColumnLayout, raw: Tensor) -> Tensor:
        """The same."""
        return raw

    def _drawn_place(self, density: Tensor, even: Tensor) -> Tensor:
        """(n, BINS + 2) raw values and (n, 1) even numbers in (0, 1) to places (n, 1): quantiles of the density."""
        chances = self._bins(density).exp()
        upper = chances.cumsum(1)
        # The last is 1 up to rounding, and must not be less than an even number.
        knots = torch.cat([torch.zeros_like(even), upper[:, :-1], torch.ones_like(even)], 1)
        return interpolated(even, knots, self.edges)

    def _bins(self, density: Tensor) -> Tensor:
        """(n, BINS + 2) raw values to logarithms of the chances of the bins (n, BINS)."""
        free, bump = density.split([BINS, BUMP], 1)
        middle, steep = bump.split(1, 1)
        away = ((self.edges[:, 1:] + self.edges[:, :-1]) / 2 - middle) * steep.clamp(max=STEEPEST).exp()
        return torch.log_softmax(free - (away.square() / 2).clamp(max=LARGEST_FALL), 1)

    def _log_density(self, number: int, raw: Tensor, column: Tensor) -> Tensor:
        """(n,) of a real column (n, its width)."""
        layout = self._layouts[number]
        options, density, digits = self._parts(number, raw)
        total, is_open = raw.new_zeros(len(raw)), raw.new_ones(len(raw))
        if layout.options:
            taken = column[:, : layout.options] / SCALE
            total = total + (torch.log_softmax(options, 1) * taken).sum(1)
            is_open = taken[:, layout.open_option] if layout.open_option >= 0 else is_open
        if layout.channel:
            index = ((self._place(layout, column)[:, 0] + 1) * (BINS / 2)).long().clamp(0, BINS - 1)
            total = total - is_open * nn.functional.nll_loss(self._bins(density), index, reduction="none")
        if layout.digits:
            cut = (layout.digits, layout.radix)
            taken = column[:, layout.options :].unflatten(1, cut) / SCALE
            total = total + (torch.log_softmax(digits.unflatten(1, cut), 2) * taken).sum((1, 2))
        return total

    def _told(self, number: int, column: Tensor) -> Tensor:
        """A column (n, its width) as later ones are told of it: with how far its place fills each bin."""
        layout = self._layouts[number]
        if not layout.channel:
            return column
        filled = ((self._place(layout, column) - self.edges[:, :-1]) * (BINS / 2)).clamp(0, 1)
        if layout.options:
            filled = filled * (column[:, layout.open_option, None] / SCALE)
        return torch.cat([column, filled], 1)

    @staticmethod
    def _place(layout: ColumnLayout, column: Tensor) -> Tensor:
        """(n, 1) in [-1, 1]."""
        channel = column[:, layout.options : layout.options + layout.channel]
        return half_turns(channel) if layout.circle else channel

    def _parts(self, number: int, raw: Tensor) -> tuple[Tensor, ...]:
        layout = self._layouts[number]
        return _cut(raw, [layout.options, bool(layout.channel) * (BINS + BUMP), layout.digits * layout.radix])

    def _told_width(self, number: int) -> int:
        layout = self._layouts[number]
        return layout.width + bool(layout.channel) * BINS

    def _drawn_width(self, number: int) -> int:
        layout = self._layouts[number]
        return layout.entries + bool(layout.channel) * (BINS + BUMP)


def _cut(raw: Tensor, widths: Sequence[int]) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = raw.split(widths, 1)
    return parts


def _dropped(hidden: Tensor, share: float) -> Tensor:
    return nn.functional.dropout(hidden, share) if share else hidden


def _groups(numbers: Sequence[int]) -> list[list[int]]:
    """Columns in their order, in at most 32 groups of nearly one size."""
    count = min(MOST_GROUPS, len(numbers))
    cuts = [round(len(numbers) * each / max(count, 1)) for each in range(count + 1)]
    return [list(numbers[first:end]) for first, end in itertools.pairwise(cuts)]
