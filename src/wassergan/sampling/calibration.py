"""Calibration of a table generator: the frequency of each option, and the quantiles of numbers."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from wassergan.data import ColumnConditions, Conditions, TableCodec
from wassergan.data.tables import Stratum
from wassergan.data.tables.hidden import CompletionConditions
from wassergan.networks import TabularGenerator
from wassergan.networks.table_head import SCALE
from wassergan.training.sampling import sample_chunks

ROWS = 2**16
ROWS_OF_A_STRATUM = 2**13  # at least
ROUNDS = 6
EARLY = 4  # all rounds but the last take so many times fewer rows
LARGEST_STEP = 2.0
DAMPING = 0.02  # damping of Newton's steps, as a share of what is drawn
HESSIAN_EVERY = 8  # one in this many chunks is enough for a Hessian
NEVER = -1e4  # added to a logit
FEWEST_ROWS = 200  # whose channel tells the value; quantiles of fewer are mostly chance
SEED = 2**62 + 1  # a seed that nobody draws samples with


def calibrate_marginals(
    generator: TabularGenerator,
    codec: TableCodec,
    *,
    latent_dim: int,
    conditions: ColumnConditions | None = None,
    rows: int = ROWS,
) -> None:
    """Calibrate the margins of a trained generator: first the shares of options, then the quantiles of numbers.

    Rows of frequent conditions have margins of their own: those of the codec's strata.

    Args:
        generator: in evaluation mode.
        codec: knows the margins of the training rows.
        latent_dim: numbers in a latent vector, noise included.
        conditions: the distribution of the conditions, if there are any.
        rows: drawn to measure the generator's own margins, and as many again for all strata together.
    """

    def match(margins: TableCodec | Stratum, under: Conditions | None, rows: int, stratum: int = 0) -> None:
        shares, spread = torch.tensor(margins.shares), torch.tensor(margins.spread)
        for setting_right, wanted in ((match_shares, shares), (match_spread, spread)):
            setting_right(generator, wanted, latent_dim=latent_dim, conditions=under, rows=rows, stratum=stratum)

    generator.stratify(torch.zeros(0, 0))
    if isinstance(conditions, CompletionConditions):
        given = conditions.at_random()
        shares = torch.tensor(codec.shares)
        match_shares(generator, shares, latent_dim=latent_dim, conditions=given, rows=rows // 8)
        pattern = torch.zeros(1, conditions.width)
        pattern[0, conditions.nothing_given_place()] = 1
        generator.stratify(pattern)
        match(codec, conditions, rows, 1)
        return
    match(codec, conditions, rows)
    if conditions is None or not codec.strata:
        return
    patterns = torch.zeros(len(codec.strata), conditions.width)
    for pattern, stratum in zip(patterns, codec.strata, strict=True):
        pattern[list(stratum.options)] = 1
    generator.stratify(patterns)
    for number, stratum in enumerate(codec.strata, 1):
        within = conditions.within(stratum.options)
        if within is not None:
            match(stratum, within, max(rows // len(codec.strata), min(rows, ROWS_OF_A_STRATUM)), number)


def match_shares(
    generator: TabularGenerator,
    shares: Tensor,
    *,
    latent_dim: int,
    conditions: Conditions | None = None,
    rows: int = ROWS,
    rounds: int = ROUNDS,
    stratum: int = 0,
) -> None:
    """Shift the logits of a generator's options until they are drawn with the shares that they have in the data.

    A generator is slow to learn how rare a rare level is, since a critic sees it so seldom. The first half of the
    rounds adds log(wanted / drawn), which would be exact for constant logits; if the latent vector nearly decides the
    option, that is far too little. So the second half takes Newton's steps for each column: shifts s with the wanted
    shares w minimise the convex E log Σ exp(logit + s) - w·s, whose gradient is E p - w and whose Hessian is diag(E p)
    - E p pᵀ, p being the softmax. Shares are not counted from draws but are expectations over the noise that decides
    between options. An option that no row has is never drawn.

    Args:
        generator: in evaluation mode; the `shift` of its head's calibration is set.
        shares: (width,) of every one-hot entry among the training rows; anything for channels.
        latent_dim: numbers in a latent vector, noise included.
        conditions: the distribution of the conditions, if there are any.
        rows: drawn in the last round; a quarter of them in those before.
        rounds: number of rounds.
        stratum: the stratum of all these rows; 0 for none.
    """
    head, spare = generator.head, 0.5 / rows
    shift = head.calibration.shift[stratum]
    if stratum == 0:
        shift.zero_()
    wanted = shares.to(shift).clamp_min(0)
    expected = _Expected(generator).eval()
    for number in range(rounds):
        count = rows if number == rounds - 1 else max(rows // EARLY, FEWEST_ROWS)
        chunks = sample_chunks(expected, count, latent_dim=latent_dim, seed=SEED, conditions=conditions)
        mean, hessians = _moments(chunks, head.options if number >= rounds // 2 else [])
        drawn = mean.to(shift).clamp_min(0)
        step = ((wanted + spare) / (drawn + spare)).log()
        for index, hessian in hessians:
            damping = torch.diag(DAMPING * (drawn[index] + spare))
            step[index] = torch.linalg.solve(hessian.to(step) + damping, (wanted - drawn)[index])
        shift += torch.where(head.is_option, step.clamp(-LARGEST_STEP, LARGEST_STEP), 0.0)
    shift[head.is_option & (wanted == 0)] = NEVER


def _moments(chunks: Iterable[Tensor], places: Sequence[slice]) -> tuple[Tensor, list[tuple[slice, Tensor]]]:
    """The mean E p of expected rows, and diag(E p) - E p pᵀ at the given entries, from a part of the chunks."""
    parts: list[Tensor] = []
    hessians = [torch.zeros(index.stop - index.start, index.stop - index.start) for index in places]
    rows = seen = 0
    for number, chunk in enumerate(chunks):
        parts.append(chunk.sum(0, dtype=torch.float64) / SCALE)
        rows += len(chunk)
        if number % HESSIAN_EVERY == 0:
            seen += len(chunk)
            for hessian, index in zip(hessians, places, strict=True):
                chances = chunk[:, index] / SCALE
                hessian += torch.diag(chances.sum(0)) - chances.T @ chances
    return torch.stack(parts).sum(0) / rows, [
        (index, each / seen) for index, each in zip(places, hessians, strict=True)
    ]


class _Expected(nn.Module):
    """Maps latent vectors to the expected options of a generator."""

    def __init__(self, generator: TabularGenerator) -> None:
        super().__init__()
        self._generator = generator

    def forward(self, latent: Tensor) -> Tensor:
        return self._generator.expected(latent)


def match_spread(
    generator: TabularGenerator,
    spread: Tensor,
    *,
    latent_dim: int,
    conditions: Conditions | None = None,
    rows: int = ROWS,
    stratum: int = 0,
) -> None:
    """Map each channel so that its quantiles equal those of the data; the order of values is kept.

    A generator's margins are slightly wrong while it learns dependencies. A monotone map of each number corrects them
    and keeps every rank correlation.

    Args:
        generator: in evaluation mode.
        spread: (channels, k) quantiles of each channel in the data, from the smallest to the largest.
        latent_dim: numbers in a latent vector, noise included.
        conditions: the distribution of the conditions, if there are any.
        rows: drawn to measure the generator's own quantiles.
        stratum: the stratum of all these rows; 0 for none.
    """
    head = generator.head
    general = {number: head.calibration.quantile_map(number) for number in head.channels}
    head.calibration.reset_quantile_map(stratum)
    if len(spread) == 0:
        return
    chunks = sample_chunks(generator, rows, latent_dim=latent_dim, seed=SEED, conditions=conditions)
    drawn = torch.cat([torch.stack([head.told(number, chunk) for number in head.channels]) for chunk in chunks], 1)
    for number, places, wanted in zip(head.channels, drawn, spread, strict=True):
        told = places[~places.isnan()]
        bend = _knots(told, wanted) if len(told) >= FEWEST_ROWS else general[number] if stratum else None
        if bend is not None:
            head.calibration.set_quantile_map(number, *bend, stratum=stratum)


def _knots(told: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The quantiles of a channel, without repetition except of the last, and their targets."""
    have = torch.quantile(told.double(), torch.linspace(0, 1, len(wanted), dtype=torch.float64)).float()
    distinct, group = torch.unique_consecutive(have, return_inverse=True)
    if len(distinct) < 2:
        distinct, group = torch.stack([have[0], have[0] + 1e-6]), torch.zeros(len(have), dtype=torch.int64)
    counts = torch.zeros(len(distinct)).index_add_(0, group, torch.ones(len(group)))
    total = torch.zeros(len(distinct)).index_add_(0, group, wanted.float())
    targets, spare = total / counts.clamp_min(1), len(wanted) - len(distinct)
    return torch.cat([distinct, distinct[-1:].expand(spare)]), torch.cat([targets, targets[-1:].expand(spare)])
