"""Generators that draw categories: one-hots that are hard forwards and soft backwards, and numeric channels."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.networks.column_sequence import ColumnSequence
from wassergan.networks.margin_calibration import SMALLEST, MarginCalibration
from wassergan.utils.column_layout import ColumnLayout

TEMPERATURE = 0.7
ROWS = 256  # are computed together where samples are drawn, whatever the number asked for
SCALE = 1 / math.sqrt(2)  # of a one-hot: two options are 1 apart
RADIUS = 1 / math.sqrt(3)  # of the circle of an angle
Given = tuple[Tensor, Tensor]  # which cells of rows are given, and these
SHORTEST = 0.1  # a raw vector shorter than this is not projected onto the circle: its gradient would be too large


class KeptCells(nn.Module):
    """Puts cells that are given in a generator's input where they belong in its rows.

    Args:
        entries: for each number of a row, where it stands in the input and what tells whether it is given; (-1, -1)
            where it does not stand there.
        given: numbers in an input that say what is given; they come first.
    """

    sources: Tensor
    bits: Tensor
    there: Tensor

    def __init__(self, entries: Sequence[tuple[int, int]], *, given: int) -> None:
        super().__init__()
        self.given = given
        self.register_buffer("sources", torch.tensor([max(each, 0) for each, _ in entries]), persistent=False)
        self.register_buffer("bits", torch.tensor([max(each, 0) for _, each in entries]), persistent=False)
        self.register_buffer("there", torch.tensor([each >= 0 for each, _ in entries]), persistent=False)

    def cells(self, inputs: Tensor) -> Given:
        """Of inputs (n, latent_dim): which cells are given, and these, both (n, width)."""
        is_given = self.there & (inputs.index_select(1, self.bits) > 0.5)
        return is_given, inputs.index_select(1, self.sources)

    def forward(self, rows: Tensor, inputs: Tensor) -> Tensor:
        """Rows (n, width) with the given cells of inputs (n, latent_dim)."""
        is_given, cells = self.cells(inputs)
        return torch.where(is_given, cells.to(rows), rows)

    def hidden(self, inputs: Tensor) -> Tensor:
        """(n, width), 1 where a cell is not given, else 0."""
        return 1 - (self.there & (inputs.index_select(1, self.bits) > 0.5)).to(inputs)


class TableHead(nn.Module):
    """Draws a row: every one-hot by the Gumbel-max trick, forwards hard, backwards as the softmax at a temperature.

    An option is argmax(logit + g) with Gumbel noise g, so that its probability is the softmax of the logits; the
    gradient is that of softmax((logit + g) / temperature). Source: Jang, Gu, Poole 2017, arXiv 1611.01144, section 2.
    The noise is handed in, as standard normal numbers: a row is a function of its latent vector alone. What sets its
    margins right after training is `calibration`.

    Args:
        layouts: of each column, in order.
        temperature: of the soft one-hots.
        kept: cells that are given in a generator's input and stay as they are; None for none.

    Attributes:
        sequence: what columns drawn earlier tell about later ones; None if all are drawn at once.
    """

    is_option: Tensor

    def __init__(
        self, layouts: Sequence[ColumnLayout], *, temperature: float = TEMPERATURE, kept: KeptCells | None = None
    ) -> None:
        super().__init__()
        self._layouts = tuple(layouts)
        self._temperature = temperature
        self._widths = [layout.width for layout in self._layouts]
        self._starts = [sum(self._widths[:number]) for number in range(len(self._layouts))]
        self._noises = [layout.entries for layout in self._layouts]
        self.noise_dim = sum(self._noises)
        is_option = [each for layout in self._layouts for each in layout.is_entry]
        self.calibration = MarginCalibration(sum(self._widths))
        self.sequence: ColumnSequence | None = None
        self.kept = kept
        self.register_buffer("is_option", torch.tensor(is_option), persistent=False)
        for number, layout in enumerate(self._layouts):
            if layout.options and layout.places:
                places = torch.tensor(layout.places)[:, None]
                places = (on_circle(places) if layout.circle else places) / SCALE
                places[layout.open_option] = 0.0
                self.register_buffer(f"places_{number}", places, persistent=False)

    def draw_in_sequence(self, width: int) -> None:
        """From now on, have columns follow those before them; the state of that takes so many raw values more."""
        if sum(each > 0 for each in self._widths) > 1:
            self.sequence = ColumnSequence(self._widths, width=width)

    @property
    def raw_width(self) -> int:
        """Raw values that a row is drawn from."""
        return sum(self._widths) + (self.sequence.width if self.sequence else 0)

    @property
    def channels(self) -> list[int]:
        """The numbers of the columns that have a channel."""
        return [number for number, layout in enumerate(self._layouts) if layout.channel]

    @property
    def options(self) -> list[slice]:
        """The positions of each column's options in a row."""
        return [
            slice(start, start + layout.options)
            for layout, start in zip(self._layouts, self._starts, strict=True)
            if layout.options
        ]

    def told(self, number: int, rows: Tensor) -> Tensor:
        """(n, width) to (n,), the positions in [-1, 1] of a column's channel; NaN in rows with a closed option."""
        layout, start = self._layouts[number], self._starts[number]
        channel = rows[:, start + layout.options : start + layout.options + layout.channel]
        places = half_turns(channel)[:, 0] if layout.circle else channel[:, 0]
        return places.where(rows[:, start + layout.open_option] > 0, torch.nan) if layout.options else places

    def forward(
        self, values: Tensor, noise: Tensor, strata: Tensor | None = None, given: Given | None = None
    ) -> Tensor:
        """(n, raw_width) raw values and (n, noise_dim) normal noise to rows (n, width); (n,) strata, if any.

        Given cells are what later columns follow; their own bends are undone by whoever gives them.
        """
        drawn = self._columns(values, noise, strata, given)
        return torch.cat([self._calibrated(number, part, strata) for number, (_, part) in enumerate(drawn)], 1)

    def expected(
        self, values: Tensor, noise: Tensor, strata: Tensor | None = None, given: Given | None = None
    ) -> Tensor:
        """The mean of each column over the noise of its own, (n, width), at the entries of one-hots; 0 in channels."""
        parts: list[Tensor] = []
        for layout, (raw, _) in zip(self._layouts, self._columns(values, noise, strata, given), strict=True):
            options = torch.softmax(raw[:, : layout.options], 1) * SCALE
            parts.append(options)
            if layout.channel:
                parts.append(torch.zeros_like(raw[:, : layout.channel]))
            if layout.digits:
                digits = raw[:, layout.options :].unflatten(1, (layout.digits, layout.radix))
                is_open = options[:, layout.open_option, None, None]
                parts.append((torch.softmax(digits, 2) * is_open).flatten(1))
        return torch.cat(parts, 1)

    def scored(self, values: Tensor, noise: Tensor, given: Given, real: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (n, width), and the energy score of two draws (2n, ...), one behind the other, of real rows (n, width).

        Args:
            values: (2n, raw_width) raw values.
            noise: (2n, noise_dim).
            given: of 2n rows.
            real: under the same conditions.
        """
        raws, parts = zip(*self._columns(values, noise, None, given), strict=True)
        raw, other = torch.cat(raws, 1).chunk(2)
        return torch.cat(parts, 1)[: len(real)], self.energy(raw, other, real, 1 - given[0][: len(real)].to(real))

    def _columns(
        self, values: Tensor, noise: Tensor, strata: Tensor | None, given: Given | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Each column's raw values, shifted, and what they draw, both (n, its width), without bends."""
        even = torch.special.ndtr(noise.float()).clamp(SMALLEST, 1 - SMALLEST)
        gumbels = (-torch.log(-torch.log(even))).split(self._noises, 1)
        width = sum(self._widths)
        raws = self.calibration.shifted(values[:, :width], strata)
        if self.sequence is None:
            for number, raw in enumerate(raws.split(self._widths, 1)):
                yield raw, self._with_given(number, self._draw(number, raw, gumbels[number]), given)
            return
        state = values[:, width:]
        for group, (first, last) in enumerate(self.sequence.groups):
            of_group = raws[:, self._starts[first] : self._starts[last] + self._widths[last]]
            of_group = of_group + self.sequence.read(group, state)
            drawn: list[Tensor] = []
            for number, raw in enumerate(of_group.split(self._widths[first : last + 1], 1), first):
                drawn.append(self._with_given(number, self._draw(number, raw, gumbels[number]), given))
                yield raw, drawn[-1]
            state = self.sequence.add(group, state, torch.cat(drawn, 1))

    def _with_given(self, number: int, column: Tensor, given: Given | None) -> Tensor:
        """A column with the cells that are given in their place."""
        if given is None:
            return column
        place = slice(self._starts[number], self._starts[number] + self._widths[number])
        return torch.where(given[0][:, place], given[1][:, place].to(column), column)

    def energy(self, raw: Tensor, other: Tensor, real: Tensor, hidden: Tensor) -> Tensor:
        """The mean over rows of the energy scores of their hidden cells; smallest for the conditional distributions.

        E|X - y| - E|X - X'| / 2 of a cell, X and X' being independent draws: of one-hots in expectation over the head's
        noise (the Brier score), of a channel where the real row has one. Source: Gneiting, Raftery 2007, section 4.2.

        Args:
            raw: (n, width) raw values.
            other: the same under the same conditions from another latent vector.
            real: rows (n, width).
            hidden: (n, width), 0 at the cells that are given.
        """
        total = raw.new_zeros(())
        for layout, start, a, b in zip(
            self._layouts, self._starts, raw.split(self._widths, 1), other.split(self._widths, 1), strict=True
        ):
            if not layout.width:
                continue
            truth, weight = real[:, start : start + layout.width], hidden[:, start]
            is_open = weight
            if layout.options:
                told = truth[:, : layout.options] / SCALE
                total = total + (weight * _brier(a[:, : layout.options], b[:, : layout.options], told)).sum()
                is_open = weight * told[:, layout.open_option]
            if layout.channel:
                channels = slice(layout.options, layout.options + layout.channel)
                x, y = (self._channel_raw(layout, each[:, channels]) for each in (a, b))
                z = truth[:, channels]
                gaps = _length(x - z) / 2 + _length(y - z) / 2 - _length(x - y) / 2
                total = total + (is_open * gaps).sum()
            if layout.digits:
                cut = (layout.digits, layout.radix)
                first, second = (each[:, layout.options :].unflatten(1, cut) for each in (a, b))
                told = truth[:, layout.options :].unflatten(1, cut) / SCALE
                total = total + (is_open * _brier(first, second, told).sum(1)).sum()
        return total / len(raw)

    @staticmethod
    def _channel_raw(layout: ColumnLayout, raw: Tensor) -> Tensor:
        """A channel before it is bent."""
        if not layout.circle:
            return torch.tanh(raw)
        length: Tensor = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
        return RADIUS * raw / length.clamp_min(SHORTEST)

    def _draw(self, number: int, raw: Tensor, gumbel: Tensor) -> Tensor:
        """(n, width of the column) raw values to the column."""
        layout = self._layouts[number]
        parts: list[Tensor] = []
        is_open: Tensor | None = None
        if layout.options:
            options = self._one_hot(raw[:, : layout.options] + gumbel[:, : layout.options])
            parts.append(options)
            is_open = options[:, layout.open_option, None] / SCALE
        if layout.channel:
            channel = self._channel(number, raw[:, layout.options : layout.options + layout.channel])
            if is_open is not None:
                channel = is_open * channel + options @ getattr(self, f"places_{number}")
            parts.append(channel)
        if layout.digits:
            assert is_open is not None
            digits = (raw[:, layout.options :] + gumbel[:, layout.options :]).unflatten(
                1, (layout.digits, layout.radix)
            )
            parts.append((self._one_hot(digits) * is_open[:, None]).flatten(1))
        return torch.cat(parts, 1) if parts else raw  # of constant columns, without a number

    def _channel(self, number: int, raw: Tensor) -> Tensor:
        """(n, channel) raw values to a place, or to a point of the circle in the direction of the raw arrow."""
        if not self._layouts[number].circle:
            return torch.tanh(raw)
        length: Tensor = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
        return RADIUS * raw / length.clamp_min(SHORTEST)

    def _calibrated(self, number: int, column: Tensor, strata: Tensor | None) -> Tensor:
        """The drawn column with its channel bent in the rows that are open, if it has a bend."""
        if not self.calibration.bends(number):
            return column
        layout = self._layouts[number]
        before, channel = column[:, : layout.options], column[:, layout.options : layout.options + layout.channel]
        places = half_turns(channel) if layout.circle else channel
        bent = self.calibration.bent(number, places, strata)
        bent = on_circle(bent) if layout.circle else bent
        if layout.options:
            bent = torch.where(before[:, layout.open_option, None] > 0, bent, channel)
        return torch.cat([before, bent, column[:, layout.options + layout.channel :]], 1)

    def _one_hot(self, noisy: Tensor) -> Tensor:
        """One-hot of the largest along the last axis, times the scale; differentiable as a softmax."""
        if not noisy.requires_grad:
            return _one_hot(noisy)
        drawn: Tensor = _StraightThrough.apply(noisy, self._temperature)  # type: ignore[no-untyped-call]
        return drawn


def _one_hot(noisy: Tensor) -> Tensor:
    return torch.zeros_like(noisy).scatter_(-1, noisy.argmax(-1, keepdim=True), SCALE)


class _StraightThrough(torch.autograd.Function):
    """The one-hot of the largest; the gradient is that of softmax(noisy / temperature), times the same scale."""

    @staticmethod
    def forward(ctx: Any, noisy: Tensor, temperature: float) -> Tensor:
        ctx.save_for_backward(noisy)
        ctx.temperature = temperature
        return _one_hot(noisy)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (noisy,) = ctx.saved_tensors
        soft = torch.softmax(noisy / ctx.temperature, -1)
        mean = (soft * gradient).sum(-1, keepdim=True)
        return soft * (gradient - mean) * (SCALE / ctx.temperature), None


def _brier(a: Tensor, b: Tensor, told: Tensor) -> Tensor:
    """(..., k) logits of two draws and a one-hot to (...,): 1 - p·y + p·q / 2 in the mean of both draws."""
    p, q = torch.softmax(a, -1), torch.softmax(b, -1)
    return ((p * q).sum(-1) - ((p + q) * told).sum(-1)) / 2


def _length(differences: Tensor) -> Tensor:
    """(n, k) to (n,), differentiable at 0."""
    return (differences.square().sum(1) + SMALLEST).sqrt()


def on_circle(places: Tensor) -> Tensor:
    """(n, 1) half turns to (n, 2) points."""
    return RADIUS * torch.cat([torch.cos(math.pi * places), torch.sin(math.pi * places)], 1)


def half_turns(points: Tensor) -> Tensor:
    """(n, 2) points to (n, 1) half turns in [-1, 1]."""
    return torch.atan2(points[:, 1:], points[:, :1]) / math.pi


class TabularGenerator(nn.Module):
    """A generator whose head draws options: the last numbers of a latent vector are the head's noise.

    In evaluation mode rows are computed in chunks of a fixed size: matrix products of another size round differently,
    and rounding may change an option. A row then depends only on its own latent vector, to the last bit.

    Args:
        body: (n, latent_dim) to raw values (n, raw_width of the head).
        head: raw values and noise to rows.
    """

    patterns: Tensor

    def __init__(self, body: nn.Module, head: TableHead) -> None:
        super().__init__()
        self.body, self.head, self.kept = body, head, head.kept
        self.register_buffer("patterns", torch.zeros(0, 0), persistent=False)

    def stratify(self, patterns: Tensor) -> None:
        """From now on, calibrate rows by the stratum of their condition.

        Args:
            patterns: (strata, numbers of a condition), 1 where a condition of the stratum is positive; no row's
                conditions match two strata.
        """
        self.register_buffer("patterns", patterns.to(self.head.calibration.shift), persistent=False)
        self.head.calibration.stratify(len(patterns))

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim + noise_dim) to rows (n, width)."""
        if self.training or len(latent) == 0:
            return self.rows(latent)
        padded = nn.functional.pad(latent, (0, 0, 0, -len(latent) % ROWS))
        return torch.cat([self.rows(part) for part in padded.split(ROWS)])[: len(latent)]

    def rows(self, latent: Tensor) -> Tensor:
        """The same in one chunk, in any mode; equal up to rounding."""
        values, noise = self._raw(latent)
        given = None if self.kept is None else self.kept.cells(latent)
        with _float32_products(latent):
            rows: Tensor = self.head(values, noise, self._strata(latent), given)
        return rows if self.kept is None else self.kept(rows, latent)

    def scored(self, latent: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Rows, and how far what is drawn cell by cell is from real rows under the same conditions.

        Args:
            latent: (n, latent_dim + noise_dim + k), the last k numbers being another latent vector, noise included,
                for the same conditions.
            real: (n, width).

        Returns:
            Rows (n, width), and the mean energy score of their hidden cells, a number.
        """
        assert self.kept is not None
        own = (latent.shape[1] - self.kept.given) // 2
        conditions, first, second = latent.split([self.kept.given, own, own], 1)
        both = torch.cat([torch.cat([conditions, each], 1) for each in (first, second)])
        values, noise = self._raw(both)
        with _float32_products(latent):
            return self.head.scored(values, noise, self.kept.cells(both), real)

    def expected(self, latent: Tensor) -> Tensor:
        """Rows with the mean of each column over its own noise at every entry of a one-hot; 0 in channels."""
        given = None if self.kept is None else self.kept.cells(latent)
        rows = self.head.expected(*self._raw(latent), self._strata(latent), given)
        return rows if self.kept is None else self.kept(rows, latent)

    def _strata(self, latent: Tensor) -> Tensor | None:
        """The number of each row's stratum, from 1 on, or 0; None if there are no strata."""
        if len(self.patterns) == 0:
            return None
        hits = (latent[:, : self.patterns.shape[1]] > 0).to(self.patterns) @ self.patterns.T
        fits = hits > self.patterns.sum(1) - 0.5
        return torch.where(fits.any(1), 1 + fits.int().argmax(1), 0)

    def _raw(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        own = latent.shape[1] - self.head.noise_dim
        return self.body(latent[:, :own]).float(), latent[:, own:]


def _float32_products(values: Tensor) -> AbstractContextManager[Any]:
    """No bf16 in a head: its products are too small to gain from it, and the places of options are exact."""
    device = values.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
