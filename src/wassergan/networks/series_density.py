"""Generators of series (C, T) that are drawn step by step from densities, so that real series have a likelihood."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.errors import UserError, parameter
from wassergan.networks.heads import STEEPNESS, Bounded, Partial, float32_products
from wassergan.networks.logistic_mixture import SMALLEST, drawn, log_density
from wassergan.networks.margins import Matched, QuantileMapped
from wassergan.networks.series import CausalStack, series_shape

COMPONENTS = 8  # of the mixture of each number; half of them move with the number's last value
WIDTH = 64  # hidden numbers of each channel
FINEST, WIDEST = 3e-4, 3.0  # scales of a mixture's components, in deviations of a channel
CHANGES = (0.3, 0.03, 0.003)  # changes are told at these sizes, in the same unit
LINEAR = 4.0  # times its weights is a linear relation between channels: it may be one to one, and is learnt soon
TELLS = 1 + len(CHANGES)  # numbers that say so
NOISE = 0.02  # of a change, added to the past that a likelihood is given: draws are not as exact as real series
MEASURED = 8  # one series in so many of a batch says how much densities leave open
ROOM = 4.13  # √(2πe), the width of an even distribution with the entropy of a normal one of deviation 1


class Step(NamedTuple):
    """What the numbers of a step are drawn given; leading axes are those of series, and of steps if there are several.

    Args:
        hidden: (..., maps), of all earlier steps.
        last: (..., C) the last known value of each channel; 0 before the first.
        change: (..., C) from the one before; 0 where there is none.
    """

    hidden: Tensor
    last: Tensor
    change: Tensor


class SeriesDensityGenerator(QuantileMapped):
    """Draws a series step by step, and the channels of a step one after another, from densities.

    Causal convolutions see all earlier steps. Which values are missing is drawn first at each step. A number has a
    mixture of logistic distributions, given the past and the channels before it; half of the components move with its
    last value. Where its head asks for it, whole draws go through a monotone map of each channel, the same at all steps
    (`match`); what goes on from a past does not. Sources: van den Oord et al. 2016, arXiv 1609.03499, for the
    convolutions; Salimans, Karpathy, Chen, Kingma 2017, arXiv 1701.05517, for the mixtures and for channels in
    sequence.

    Args:
        latent_dim: numbers of a latent vector that all steps share, conditions first.
        shape: (channels, steps).
        head: bounds of the data, constants, and what may be missing.
        maps: of the convolutions.
        norm: `layer` or `none`.

    Attributes:
        noise_dim: further numbers of a latent vector, standard normal, by which steps are drawn.
        past_noise: in training, noise on the past that a likelihood is given, in deviations of normal distributions of
            as much entropy as each channel's densities have: draws go on from what no real series is exactly. 0 for
            none, but for a small share of every change.

    Raises:
        UserError: batch normalisation.
    """

    low: Tensor
    high: Tensor
    numbers_vary: Tensor
    masks_vary: Tensor
    gappy: Tensor
    gates: Tensor

    def __init__(
        self, latent_dim: int, shape: tuple[int, ...], *, head: nn.Module, maps: int = 64, norm: str = "layer"
    ) -> None:
        super().__init__()
        channels, self.steps = series_shape(shape, "conv")
        if norm == "batch":
            raise UserError(
                "Series that are drawn step by step cannot be normalised over a batch",
                found=parameter("generator_norm", norm),
                hint=f"use {parameter('generator_norm', 'layer')}, or {parameter('likelihood', 0)}",
            )
        bounded = head.bounded if isinstance(head, Partial) else head
        assert isinstance(bounded, Bounded)
        if bounded.overshoot > 1:
            raise UserError(
                "Series that are drawn step by step have densities within their range",
                found=parameter("overshoot", bounded.overshoot),
                hint=f"leave it out, or use {parameter('likelihood', 0)}",
            )
        self.past_noise = 0.0
        masks = head.masks if isinstance(head, Partial) else 0
        self.sizes, self.own = [channels - masks, masks], latent_dim
        self.noises = 2 * self.sizes[0] + masks
        self.noise_dim = self.steps * self.noises
        varying = head.active.mT if isinstance(head, Partial) else torch.ones(self.steps, channels)
        kept = {
            "low": (bounded.middle - bounded.half_width).flatten().expand(self.sizes[0]),
            "high": (bounded.middle + bounded.half_width).flatten().expand(self.sizes[0]),
            "numbers_vary": varying[:, : self.sizes[0]],
            "masks_vary": varying[:, self.sizes[0] :],
        }
        if isinstance(head, Partial):
            kept |= {"gappy": head.gappy.mT, "gates": head.gates}
        self.is_partial = isinstance(head, Partial)
        for name, values in kept.items():
            # Exports cannot hold a view, nor what is strided like one.
            self.register_buffer(name, values.clone(memory_format=torch.contiguous_format), persistent=False)
        if isinstance(bounded, Matched):
            self.hold((self.sizes[0],))
        self.shared = nn.Linear(latent_dim, maps)
        nn.init.zeros_(self.shared.weight)  # latent numbers have no part in a likelihood, and may not disturb it
        self.places = nn.Parameter(torch.randn(maps, self.steps) / maps**0.5)
        self.given = nn.Linear(TELLS * self.sizes[0] + masks, maps)
        self.stack = CausalStack(self.steps, maps, norm=norm)
        self.last = nn.LayerNorm(maps) if norm == "layer" else nn.Identity()
        self.density = StepDensity(self.sizes[0], masks, maps)

    def forward(self, latent: Tensor, past: Tensor | None = None) -> Tensor:
        """(n, latent_dim + noise_dim) to (n, C, T), of which the first steps are those of a past (n, C, P), if given.

        Every step is drawn given all before it, so what follows a past is drawn from the density of the future given
        that past.
        """
        shared, noise = latent.split([self.own, self.noise_dim], 1)
        even = torch.special.ndtr(noise.float()).clamp(SMALLEST, 1 - SMALLEST).unflatten(1, (self.steps, self.noises))
        start, memory = self._start(shared), self.stack.memory()
        last = change = even.new_zeros(latent.shape[0], self.sizes[0])
        masks, drawn_steps = even.new_zeros(latent.shape[0], self.sizes[1]), []
        given = 0 if past is None else past.shape[2]
        for step in range(self.steps):
            hidden = self.stack.step(start[:, :, step] + self._told(last, change, masks), memory)
            if past is not None and step < given:
                numbers, masks = past[:, :, step].to(last).split(self.sizes, 1)
                there = self._there(masks, step)
                known = torch.where(there > 0, numbers, last) if self.is_partial else numbers
            else:
                place, evens = Step(self._hidden(hidden), last, change), even[:, step]
                with float32_products(latent):
                    known, there, masks = self._drawn_step(place, evens, step)
            change = known - last if step else change
            last = known
            drawn_steps.append(torch.cat([known * there, masks], 1))
        series = torch.stack(drawn_steps, 2)
        return series if self.training or given or not self.is_matched else self._led_steps(series)

    def _led_steps(self, series: Tensor) -> Tensor:
        """Series (n, C + M, T) with each number that is there where the map of its channel leads."""
        numbers, masks = series.mT.split(self.sizes, 2)
        led = self.led(numbers.flatten(0, 1)).view_as(numbers) * self._there(masks, slice(None))
        return torch.cat([led, masks], 2).mT

    def aim(self, real: Tensor) -> None:
        """Keep quantiles of each channel, over all steps of real series (n, C + M, T)."""
        super().aim(self._rows(real))

    def match(self, reached: Tensor) -> None:
        """Bring those of drawn series (n, C + M, T), which went through no map, to those of the data."""
        super().match(self._rows(reached))

    def _rows(self, series: Tensor) -> Tensor:
        """(n T, C) numbers of all steps, NaN where one is missing or constant."""
        numbers, masks = series.to(self.low.device).mT.split(self.sizes, 2)
        rows: Tensor = numbers.where(self._there(masks, slice(None)) > 0, torch.nan).flatten(0, 1)
        return rows

    def _drawn_step(self, place: Step, evens: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers (n, C) as later steps know them, whether each is there, and masks (n, M); by even numbers."""
        masks = evens[:, :0]
        if self.density.masks is not None:
            vary = self.masks_vary[step]
            masks = self.density.masks.drawn(place.hidden, evens[:, -len(vary) :], vary, soft=self.training)
        there, pairs = self._there(masks, step), evens[:, : 2 * self.sizes[0]].unflatten(1, (-1, 2))
        return self.density.drawn(place, masks, there, pairs, self._within), there, masks

    def log_likelihood(self, latent: Tensor, real: Tensor) -> Tensor:
        """(n,) logarithms of the density of real series (n, C, T) under the latents' conditions, each given its past.

        The measure is that of model space for numbers that are there, and counts for what is missing.

        Args:
            latent: (n, latent_dim + noise_dim), drawn independently of the series; its noise is not used.
            real: series under the same conditions.
        """
        numbers, masks = real.mT.split(self.sizes, 2)  # (n, T, ...)
        there = self._there(masks, slice(None))
        known = _carried(numbers, there) if self.is_partial else numbers
        if self.training:
            known = known + self._noise(latent, numbers, masks, known, there)
        each, of_masks = self._log_densities(latent, numbers, masks, known)
        found: Tensor = (each * there).sum((1, 2)) + (of_masks * self.masks_vary).sum((1, 2))
        return found

    def _log_densities(self, latent: Tensor, numbers: Tensor, masks: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(n, T, C) of numbers and (n, T, M) of masks, given what is known of the numbers before them."""
        last = functional.pad(known, (0, 0, 1, 0))[:, :-1]
        change = functional.pad(known.diff(dim=1), (0, 0, 2, 0))[:, : self.steps]
        # No `pad`: in torch 2.6 it refuses what has no numbers, and most series have no masks.
        told = self._told(last, change, torch.cat([torch.zeros_like(masks[:, :1]), masks[:, :-1]], 1))
        hidden = self.stack(self._start(latent[:, : self.own]) + told.mT)
        with float32_products(latent):
            place = Step(self._hidden(hidden.mT), last, change)
            flat = Step(*(each.flatten(0, 1) for each in place))
            each = self.density.log_density(flat, masks.flatten(0, 1), numbers.flatten(0, 1), known.flatten(0, 1))
            of_masks = masks if self.density.masks is None else self.density.masks.log_density(place.hidden, masks)
        return each.unflatten(0, masks.shape[:2]), of_masks

    @torch.no_grad()
    def _noise(self, latent: Tensor, numbers: Tensor, masks: Tensor, known: Tensor, there: Tensor) -> Tensor:
        """Noise for the past (n, T, C): a share of every change, and of what is not known of it.

        The latter is the width of an even distribution of as much entropy as a channel's densities have, in the mean
        over some of the series, in units of each one's usual change: nothing where the next number follows from the
        past, and so no relation is blurred that holds exactly.
        """
        change = functional.pad(known.diff(dim=1), (0, 0, 1, 0))
        noise = NOISE * change * torch.randn_like(known)
        if not self.past_noise:
            return noise
        usual = change.square().mean(1, keepdim=True).sqrt()
        some = slice(0, -(-len(known) // MEASURED))
        each, _ = self._log_densities(latent[some], numbers[some], masks[some], known[some])
        each = each + usual[some].clamp_min(SMALLEST).log()
        entropy = -(each * there[some]).sum((0, 1)) / there[some].sum((0, 1)).clamp_min(1)
        unknown = entropy.exp().clamp_max(ROOM)
        return noise + self.past_noise / ROOM * unknown * usual * torch.randn_like(known)

    def _start(self, shared: Tensor) -> Tensor:
        """(n, latent_dim) to what every step is given, (n, maps, T)."""
        with float32_products(shared):
            start: Tensor = self.shared(shared)[:, :, None] + self.places
        return start

    def _told(self, last: Tensor, change: Tensor, masks: Tensor) -> Tensor:
        """The step before, to (..., maps); in full precision, for small changes decide what comes next."""
        with float32_products(last):
            told: Tensor = self.given(torch.cat([_told(last, change), masks], -1))
        return told

    def _hidden(self, hidden: Tensor) -> Tensor:
        return functional.silu(self.last(hidden.float()))

    def _there(self, masks: Tensor, steps: int | slice) -> Tensor:
        """(..., M) of some steps to (..., C): 1 for each number that is drawn, 0 where it is constant or missing."""
        vary = self.numbers_vary[steps]
        if not self.sizes[1]:
            return vary.expand(*masks.shape[:-1], -1)
        gate = (1 + masks.index_select(-1, self.gates)) / 2
        return vary * (1 - self.gappy[steps] * (1 - gate))

    def _within(self, numbers: Tensor, channels: slice) -> Tensor:
        """Within the bounds of the data."""
        return numbers.maximum(self.low[channels]).minimum(self.high[channels])


class Continued(nn.Module):
    """Draws series that go on from given pasts: a past in model space stands before a latent vector.

    Args:
        generator: of whole series.
        channels: numbers and masks of a step.
        steps: of a past.
    """

    def __init__(self, generator: SeriesDensityGenerator, *, channels: int, steps: int) -> None:
        super().__init__()
        self.generator, self.shape = generator, (channels, steps)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels steps + latent_dim + noise_dim) to (n, channels, T), the past included."""
        past, latent = inputs.tensor_split([math.prod(self.shape)], 1)
        series: Tensor = self.generator(latent, past.unflatten(1, self.shape))
        return series


class StepDensity(nn.Module):
    """The density of a step's numbers, one channel after another, given what is known of earlier steps.

    Each channel has two layers of hidden numbers of its own.

    Args:
        channels: numbers of a step.
        masks: of a step.
        maps: hidden numbers of the past.
    """

    moving: Tensor
    is_before: Tensor

    def __init__(self, channels: int, masks: int, maps: int) -> None:
        super().__init__()
        self.masks = MaskDensity(masks, maps) if masks else None
        self.from_last, self.from_change, self.from_step = (
            nn.Parameter(torch.zeros(channels, channels)) for _ in range(3)
        )
        self.given = maps + masks
        inputs, raws = self.given + TELLS * channels, 3 * COMPONENTS + 1 + channels
        self.read, self.read_bias = _drawn(channels, inputs, WIDTH)
        self.norm, self.norm_bias = nn.Parameter(torch.ones(channels, 1, WIDTH)), _zeros(channels, 1, WIDTH)
        self.mix, self.mix_bias = _drawn(channels, WIDTH, WIDTH)
        self.out, self.out_bias = _zeros(channels, WIDTH, raws), _zeros(channels, 1, raws)
        half = COMPONENTS // 2
        with torch.no_grad():
            self.out_bias[..., COMPONENTS + half : 2 * COMPONENTS] = torch.linspace(-1.5, 1.5, COMPONENTS - half)
            self.out_bias[..., 2 * COMPONENTS : 2 * COMPONENTS + half] = torch.linspace(-6, -2, half)
            self.out_bias[..., 2 * COMPONENTS + half : 3 * COMPONENTS] = -2.0
        self.register_buffer("moving", (torch.arange(COMPONENTS) < half).float(), persistent=False)
        is_before = torch.ones(channels, channels).tril(-1)
        self.register_buffer("is_before", is_before[..., None], persistent=False)

    def log_density(self, step: Step, masks: Tensor, numbers: Tensor, known: Tensor) -> Tensor:
        """(n, C) of the numbers of steps, each given the true ones before it; see `SeriesDensityGenerator`.

        Args:
            step: what is given.
            masks: (n, M).
            numbers: (n, C).
            known: (n, C) the same as later channels are told them, with the last value where there is none.
        """
        changes = known - step.last
        told = torch.cat([step.hidden, masks, _told(known, changes)], 1)
        # One channel after another: what is hidden of all together is ten times what a processor keeps near itself.
        raws = [self._raw(channel, told[:, : self.given + TELLS * channel]).T for channel in range(len(self.read))]
        mixture, own, before = torch.stack(raws).split([3 * COMPONENTS, 1, len(raws)], 1)  # (C, ..., n)
        base = self._base(step).T + own[:, 0] * step.change.T
        before = (before + LINEAR * self.from_step[:, :, None]) * self.is_before
        base = base + (before * changes.T).sum(1)
        return log_density(numbers.T, *self._mixture(mixture.mT, base)).T

    def drawn(
        self, step: Step, masks: Tensor, there: Tensor, even: Tensor, within: Callable[[Tensor, slice], Tensor]
    ) -> Tensor:
        """Numbers (n, C) by even ones (n, C, 2) in (0, 1), each within bounds; those that are missing are the last."""
        base, told = self._base(step), torch.cat([step.hidden, masks], 1)
        changes, known = told[:, :0], []
        for channel in range(len(self.read)):
            own = slice(channel, channel + 1)
            raw = self._raw(channel, told)
            before = raw[:, 3 * COMPONENTS + 1 :][:, :channel] + LINEAR * self.from_step[channel, :channel]
            place = base[:, channel] + raw[:, 3 * COMPONENTS] * step.change[:, channel] + (before * changes).sum(1)
            value = within(drawn(even[:, channel], *self._mixture(raw, place))[:, None], own)
            change = there[:, own] * (value - step.last[:, own])
            known.append(step.last[:, own] + change)
            told = torch.cat([told, _told(known[-1], change)], 1)
            changes = torch.cat([changes, change], 1)
        return torch.cat(known, 1)

    def _raw(self, channel: int, told: Tensor) -> Tensor:
        """(n, 3 COMPONENTS + 1 + C) of a channel, given (n, ...) the past and the channels before it."""
        read = self.read[channel, : told.shape[1]]
        hidden = torch.addmm(self.read_bias[channel], told, read)
        hidden = functional.layer_norm(hidden, (WIDTH,), self.norm[channel, 0], self.norm_bias[channel, 0]).relu()
        hidden = hidden + torch.addmm(self.mix_bias[channel], hidden, self.mix[channel]).relu()
        return torch.addmm(self.out_bias[channel], hidden, self.out[channel])

    def _base(self, step: Step) -> Tensor:
        """(n, C) where half of each mixture moves to, but for what depends on the channels before."""
        return step.last + LINEAR * (step.last @ self.from_last.T + step.change @ self.from_change.T)

    def _mixture(self, raw: Tensor, base: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, places and scales (..., COMPONENTS) of raw values (..., at least 3 COMPONENTS) and bases (...)."""
        logits, places, scales = raw[..., : 3 * COMPONENTS].chunk(3, -1)
        return logits, places + self.moving * base[..., None], FINEST + WIDEST * torch.sigmoid(scales)


class MaskDensity(nn.Module):
    """Which values of a step are there, one after another, given the past: 1, or -1 for one that is missing.

    Args:
        masks: of a step.
        maps: hidden numbers of the past.
    """

    def __init__(self, masks: int, maps: int) -> None:
        super().__init__()
        self.by_past = nn.Linear(maps, masks)
        self.by_others = nn.Parameter(torch.zeros(masks, masks))

    def log_density(self, hidden: Tensor, masks: Tensor) -> Tensor:
        """(..., M) of masks (..., M), given the past (..., maps), each given those before it."""
        return functional.logsigmoid(masks * self._logits(hidden, masks))

    def drawn(self, hidden: Tensor, even: Tensor, vary: Tensor, *, soft: bool) -> Tensor:
        """(n, M) by even numbers in (0, 1), times `vary` (M,); with a gradient as of less hard ones, where asked."""
        masks = even[:, :0]
        for number in range(even.shape[1]):
            own, filled = slice(number, number + 1), functional.pad(masks, (0, even.shape[1] - number))
            told = self._logits(hidden, filled)[:, own] + torch.logit(even[:, own])
            hard = torch.where(told > 0, 1.0, -1.0)
            if soft:
                less_hard = torch.tanh(STEEPNESS * told)
                hard = hard + less_hard - less_hard.detach()
            masks = torch.cat([masks, hard * vary[own]], 1)
        return masks

    def _logits(self, hidden: Tensor, masks: Tensor) -> Tensor:
        logits: Tensor = self.by_past(hidden) + masks @ self.by_others.tril(-1).T
        return logits


def _told(values: Tensor, changes: Tensor) -> Tensor:
    """Values (..., k) and their changes at several sizes, (..., k TELLS): small ones are not lost beside large ones."""
    return torch.stack([values, *(torch.tanh(changes / size) for size in CHANGES)], -1).flatten(-2)


def _carried(numbers: Tensor, there: Tensor) -> Tensor:
    """Numbers (n, T, C) with the last one that is there where one is not; 0 before the first."""
    steps = torch.arange(numbers.shape[1], device=numbers.device)[:, None]
    latest = torch.where(there > 0, steps, -1).cummax(1).values
    return torch.where(latest >= 0, numbers.gather(1, latest.clamp(min=0)), 0.0)


def _drawn(count: int, inputs: int, outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights (count, inputs, outputs) and offsets (count, 1, outputs) of layers side by side."""
    weight, bias = torch.empty(count, inputs, outputs), torch.empty(count, 1, outputs)
    for each in (weight, bias):
        nn.init.uniform_(each, -(inputs**-0.5), inputs**-0.5)
    return nn.Parameter(weight), nn.Parameter(bias)


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
