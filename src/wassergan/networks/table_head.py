"""The head of a table's generator: one-hots that are hard forwards and soft backwards, and numeric channels."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.networks.column_sequence import ColumnSequence
from wassergan.networks.kept_cells import Given, KeptCells
from wassergan.networks.margin_calibration import SMALLEST, MarginCalibration
from wassergan.utils.column_layout import ColumnLayout

TEMPERATURE = 0.7
SCALE = 1 / math.sqrt(2)  # of a one-hot: two options are 1 apart
RADIUS = 1 / math.sqrt(3)  # of the circle of an angle
SHORTEST = 0.1  # a raw vector shorter than this is not projected onto the circle: its gradient would be too large


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
    def layouts(self) -> tuple[ColumnLayout, ...]:
        """Of each column, in order."""
        return self._layouts

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
        return RADIUS * raw / length.clamp(min=SHORTEST)

    def _draw(self, number: int, raw: Tensor, gumbel: Tensor) -> Tensor:
        """(n, width of the column) raw values to the column."""
        layout = self._layouts[number]
        options = raw[:, : layout.options]
        if layout.options:
            options = self._one_hot(options + gumbel[:, : layout.options])
        digits = raw[:, layout.options + layout.channel :]
        if layout.digits:
            digits = self._one_hot((digits + gumbel[:, layout.options :]).unflatten(1, (layout.digits, layout.radix)))
        return self._joined(number, raw, options, digits)

    def _joined(self, number: int, raw: Tensor, options: Tensor, digits: Tensor) -> Tensor:
        """The column of drawn one-hots: options (n, k) and digits (n, digits, radix), where it has some."""
        layout = self._layouts[number]
        parts: list[Tensor] = []
        is_open: Tensor | None = None
        if layout.options:
            parts.append(options)
            is_open = options[:, layout.open_option, None] / SCALE
        if layout.channel:
            channel = self._channel(number, raw[:, layout.options : layout.options + layout.channel])
            if is_open is not None:
                channel = is_open * channel + options @ getattr(self, f"places_{number}")
            parts.append(channel)
        if layout.digits:
            assert is_open is not None
            parts.append((digits * is_open[:, None]).flatten(1))
        return torch.cat(parts, 1) if parts else raw  # of constant columns, without a number

    def _channel(self, number: int, raw: Tensor) -> Tensor:
        """(n, channel) raw values to a place, or to a point of the circle in the direction of the raw arrow."""
        if not self._layouts[number].circle:
            return torch.tanh(raw)
        length: Tensor = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
        return RADIUS * raw / length.clamp(min=SHORTEST)

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
