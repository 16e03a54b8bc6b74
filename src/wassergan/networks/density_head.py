"""The head of a table's generator whose columns have densities: each is drawn given those before it."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from wassergan.networks.column_lookup import ColumnLookup, Drawn
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
        draws = [_draws(layout) for layout in self._layouts]
        starts = itertools.accumulate(self._noises, initial=0)
        self._draw_counts = [len(each) for each in draws]
        self.draws = [start + at for start, each in zip(starts, draws, strict=False) for at in each]
        self._looked_up: ColumnLookup | None = None
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

    def log_likelihood(self, values: Tensor, real: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(n,) logarithms of the density of real rows, each column given the true ones before it.

        The measure is that of places for numbers and counts for options, and bins have the width 1.

        Args:
            values: (n, raw_width), of a body whose latent vectors do not depend on the rows.
            real: rows (n, width) in model space.
            hidden: (n, width), 0 at the cells that are given to the body, which take no part; None if none are.
        """
        columns = real.split(self._widths, 1)
        parts_taken = None if hidden is None else hidden.split(self._widths, 1)
        raws = self._raws_of_all(values, columns)
        total = torch.zeros(len(real), device=real.device)
        parts = {number: self._parts(number, raw) for number, raw in raws.items()}
        for number, (options, _, digits) in parts.items():
            of_options = self._log_options(self._layouts[number], options, digits, columns[number])
            total = total + (of_options if parts_taken is None else parts_taken[number][:, 0] * of_options)
        told = [number for number in parts if self._layouts[number].channel]
        if not told:
            return total
        chances = self._bins(torch.stack([parts[number][1] for number in told], 1))
        places = torch.cat([self._place(self._layouts[number], columns[number]) for number in told], 1)
        index = ((places + 1) * (BINS / 2)).long().clamp(0, BINS - 1)
        is_open = torch.stack([self._is_open(self._layouts[number], columns[number]) for number in told], 1)
        if parts_taken is not None:
            is_open = is_open * torch.stack([parts_taken[number][:, 0] for number in told], 1)
        return total + (is_open * chances.gather(2, index[:, :, None])[:, :, 0]).sum(1)

    def _raws_of_all(self, values: Tensor, columns: Sequence[Tensor]) -> dict[int, Tensor]:
        """Raw values of every column that varies, by the true columns before it: of all groups together.

        What the true columns tell needs no gradient, and few large products take less time than many small ones.
        """
        before = [
            self._hidden_now_and_then(self._told(number, columns[number]))
            for number in itertools.chain.from_iterable(self._groups[:-1])
        ]
        told = torch.cat([values[:, :0].detach(), *before], 1)
        weights = [read.weight for read in self._linear(self.reads)]
        said = nn.functional.linear(
            values,
            torch.cat([weight[:, :CODE] for weight in weights]),
            torch.cat([read.bias for read in self._linear(self.reads)]),
        ).unflatten(1, (len(weights), -1))
        hidden = torch.stack(
            [
                torch.addmm(own, told[:, : weight.shape[1] - CODE], weight[:, CODE:].T)
                if weight.shape[1] > CODE
                else own
                for own, weight in zip(said.unbind(1), weights, strict=True)
            ]
        )
        hidden = self._normed_and_mixed(hidden, dropout=DROPOUT * self.training)
        raws: dict[int, Tensor] = {}
        for numbers, out, own in zip(self._groups, self.outs, hidden, strict=True):
            raw = out(own).to(self.edges)
            raws |= zip(numbers, _cut(raw, [self._drawn_width(number) for number in numbers]), strict=True)
        return raws

    def _normed_and_mixed(self, hidden: Tensor, *, dropout: float) -> Tensor:
        """What `_raws` does with the hidden numbers of one group, of all groups (groups, n, width) at once."""
        norms = [norm for norm in self.norms if isinstance(norm, nn.LayerNorm)]
        scale, shift = (torch.stack([getattr(norm, name) for norm in norms])[:, None] for name in ("weight", "bias"))
        # Dropout's scale comes before the rectifier, which keeps it: on the small numbers, not on the many.
        scaled = 1 / (1 - dropout)
        hidden = nn.functional.layer_norm(hidden, hidden.shape[2:], eps=norms[0].eps)
        hidden = _dropped(torch.relu(torch.addcmul(shift * scaled, hidden, scale * scaled)), dropout)
        mixes = self._linear(self.mixes)
        weight, bias = (torch.stack([getattr(mix, name) for mix in mixes]) * scaled for name in ("weight", "bias"))
        mixed = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
        return hidden + _dropped(torch.relu(mixed), dropout)

    @staticmethod
    def _linear(layers: nn.ModuleList) -> list[nn.Linear]:
        return [layer for layer in layers if isinstance(layer, nn.Linear)]

    def _hidden_now_and_then(self, told: Tensor) -> Tensor:
        """What a column tells (n, ...), in training without some of the rows, so that no column is relied on alone."""
        return told * (torch.rand(len(told), 1, device=told.device) >= HIDDEN) if self.training else told

    def _columns(
        self, values: Tensor, noise: Tensor, strata: Tensor | None, given: Given | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        evens = self._evens(noise)
        constant = dict(self._constant(values))
        drawn = {number: Drawn(each, each, each, each) for number, each in constant.items()}
        shifts = self.calibration.shifted(values.new_zeros(1, sum(self._widths)), strata).split(self._widths, 1)
        is_plain = values.device.type == "cpu" and not (self.training or torch.is_grad_enabled() or given)
        looked_up = self._lookup().begin(values) if is_plain else None
        told = [values]
        for group, numbers in enumerate(self._groups):
            hidden = self.reads[group](torch.cat(told, 1)) if looked_up is None else looked_up.hidden(group)
            for number, raw in zip(numbers, self._raws(group, hidden), strict=True):
                found = self._placed(number, raw, shifts[number], evens[number])
                drawn[number] = found._replace(column=self._with_given(number, found.column, given))
                if looked_up is not None:
                    looked_up.hear(number, found)
            told += [self._told(number, drawn[number].column) for number in numbers] if looked_up is None else []
        for number in range(len(self._layouts)):
            yield drawn[number].placed, drawn[number].column

    def _lookup(self) -> ColumnLookup:
        """Of the weights as they are now."""
        reads = self._linear(self.reads)
        if self._looked_up is None or not self._looked_up.is_of(reads):
            places = [
                getattr(self, f"places_{number}") * SCALE
                if layout.options and layout.places
                else torch.zeros(layout.options, 0)
                for number, layout in enumerate(self._layouts)
            ]
            self._looked_up = ColumnLookup(
                self._layouts, places, self._groups, reads, said=CODE, edges=self.edges, scale=SCALE
            )
        return self._looked_up

    def _constant(self, values: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Columns without a number, (n, 0)."""
        return ((number, values[:, :0]) for number, width in enumerate(self._widths) if not width)

    def _raws(self, group: int, hidden: Tensor) -> tuple[Tensor, ...]:
        """Raw values of each column of a group, by what it was told (n, width)."""
        hidden = torch.relu(self.norms[group](hidden))
        hidden = hidden + torch.relu(self.mixes[group](hidden))
        raw: Tensor = self.outs[group](hidden).to(self.edges)
        return _cut(raw, [self._drawn_width(number) for number in self._groups[group]])

    def _evens(self, noise: Tensor) -> tuple[Tensor, ...]:
        """What each column is drawn by, even in (0, 1): its noise in training, in evaluation a number for each draw."""
        own, counts = (noise, self._noises) if self.training else (noise[:, self.draws], self._draw_counts)
        parts: tuple[Tensor, ...] = (
            torch.special.ndtr(own.to(self.edges)).clamp(SMALLEST, 1 - SMALLEST).split(counts, 1)
        )
        return parts

    def _placed(self, number: int, raw: Tensor, shift: Tensor, even: Tensor) -> Drawn:
        """A column by its raw values and the even numbers of `_evens`."""
        layout = self._layouts[number]
        options, density, digits = self._parts(number, raw)
        options, digits = options + shift[:, : layout.options], digits + shift[:, layout.options + layout.channel :]
        own = (
            (layout.options, layout.digits * layout.radix) if self.training else (min(layout.options, 1), layout.digits)
        )
        of_options, of_place, of_digits = even.split([own[0], int(bool(layout.channel)), own[1]], 1)
        place = self._drawn_place(density, of_place) if layout.channel else of_place
        placed = torch.cat([options, on_circle(place) if layout.circle else place, digits], 1)
        if self.training:
            gumbel = -torch.log(-torch.log(torch.cat([of_options, of_digits], 1)))
            return Drawn(placed, self._draw(number, placed, gumbel), place, placed[:, :0])
        options, option = _at_quantile(options, of_options) if layout.options else (options, of_options)
        told, digit = digits.unflatten(1, (layout.digits, layout.radix)) if layout.digits else digits, of_digits
        if layout.digits:
            told, digit = _at_quantile(told, of_digits[:, :, None])
            digit = digit[:, :, 0]
        return Drawn(placed, self._joined(number, placed, options, told), place, torch.cat([option, digit], 1))

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
        """(..., BINS + 2) raw values to logarithms of the chances of the bins (..., BINS)."""
        free, bump = density.split([BINS, BUMP], -1)
        middle, steep = bump.split(1, -1)
        away = ((self.edges[:, 1:] + self.edges[:, :-1]) / 2 - middle) * steep.clamp(max=STEEPEST).exp()
        return torch.log_softmax(free - (away.square() / 2).clamp(max=LARGEST_FALL), -1)

    @staticmethod
    def _log_options(layout: ColumnLayout, options: Tensor, digits: Tensor, column: Tensor) -> Tensor:
        """(n,) of the options and digits of a real column (n, its width)."""
        total = options.new_zeros(len(options))
        if layout.options:
            total = total + (torch.log_softmax(options, 1) * column[:, : layout.options]).sum(1) / SCALE
        if layout.digits:
            cut = (layout.digits, layout.radix)
            taken = column[:, layout.options :].unflatten(1, cut)
            total = total + (torch.log_softmax(digits.unflatten(1, cut), 2) * taken).sum((1, 2)) / SCALE
        return total

    @staticmethod
    def _is_open(layout: ColumnLayout, column: Tensor) -> Tensor:
        """(n,) whether a real column's channel tells the value, 0 or 1."""
        return column[:, layout.open_option] / SCALE if layout.options else column.new_ones(len(column))

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


def _at_quantile(logits: Tensor, even: Tensor) -> tuple[Tensor, Tensor]:
    """The option at a quantile (..., 1) in (0, 1) of the softmax of logits: one-hots (..., k), and numbers (..., 1).

    An option without a chance is never drawn, and neither is one past the last that has one.
    """
    upper = (logits - logits.amax(-1, keepdim=True)).exp().cumsum(-1)
    option = (upper[..., :-1] < even * upper[..., -1:]).sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter_(-1, option, SCALE), option


def _draws(layout: ColumnLayout) -> list[int]:
    """Those of a column's noise by which it is drawn in evaluation: one for its options, its place and each digit."""
    place = layout.options + bool(layout.channel)
    starts = [0] * bool(layout.options) + [layout.options] * bool(layout.channel)
    return starts + [place + number * layout.radix for number in range(layout.digits)]


def _cut(raw: Tensor, widths: Sequence[int]) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = raw.split(widths, 1)
    return parts


def _dropped(hidden: Tensor, share: float) -> Tensor:
    """Zeros in place of a share of numbers, a multiple of 1/256: a byte decides, a tenth of the cost of Bernoulli."""
    if not share:
        return hidden
    words = torch.empty(-(-hidden.numel() // 8), dtype=torch.int64, device=hidden.device).random_(-(2**63), None)
    drawn = words.view(torch.uint8)[: hidden.numel()].view(hidden.shape)
    return hidden * torch.ge(drawn, round(256 * share), out=torch.empty_like(hidden, requires_grad=False))


def _groups(numbers: Sequence[int]) -> list[list[int]]:
    """Columns in their order, in at most 32 groups of nearly one size."""
    count = min(MOST_GROUPS, len(numbers))
    cuts = [round(len(numbers) * each / max(count, 1)) for each in range(count + 1)]
    return [list(numbers[first:end]) for first, end in itertools.pairwise(cuts)]
