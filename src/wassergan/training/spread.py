"""How far draws under given fields spread: set right on training rows that no step sees."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from wassergan.data import AnyCodec, Batch, Codec, Source, random_positions
from wassergan.data.split import Split
from wassergan.networks import GivenGenerator
from wassergan.training.sampling import under
from wassergan.utils.rng import derived_rng

SHARE, FEWEST, MOST = 0.1, 32, 256  # of the training rows that are kept back, and how many they are
FEW_DRAWS, DRAWS = 5, 20  # under each of their conditions: for the first factor, and for the last
NUMBERS, TOGETHER = 2**22, 64  # in all draws, and draws that are computed at a time
NARROWEST, WIDEST, HALVINGS = 0.5, 2.0, 8  # of the first factor, and steps by which it is found
FACTORS = (1.0, 0.95, 1.05, 0.9, 1.1, 0.85, 1.15)  # on that, the likeliest first
TAILS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # deviations of the logarithm of the factor

Ranked = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class KeptBack:
    """Some training rows, apart from the others.

    Args:
        source: the same without them.
        rows: the samples in model space and their conditions.
    """

    source: Source
    rows: Batch


def kept_back(source: Source, generator: nn.Module, *, batch_size: int, seed: int) -> KeptBack | None:
    """A tenth of the training rows by seed, at most 256; None where there are too few, or nothing needs them.

    Errors on rows that a generator was trained on are smaller than on others, and so is the spread that it learns.
    Rows with weights are left as they are, and so are data that do not fit in memory, which are too many to be learnt
    by heart.

    Args:
        source: training and held-out rows.
        generator: has a spread if it refines given fields.
        batch_size: of which the rest must hold two.
        seed: of the choice.
    """
    count = min(MOST, int(SHARE * source.train_count))
    is_plain = source.fits_in_memory and source.weights is None and isinstance(source.split, Split)
    has_rest = count >= FEWEST and source.train_count - count >= 2 * batch_size
    if not (isinstance(generator, GivenGenerator) and is_plain and has_rest):
        return None
    rows = source.split.train_rows(random_positions(count, source.train_count, seed=seed))
    aside = source.holding_out(source.split.holding_out(rows))
    rest = source.holding_out(source.split.holding_out(torch.cat([rows, source.split.heldout])))
    return KeptBack(rest, aside.heldout_batch(torch.arange(count)))


def ranked_by(codec: AnyCodec) -> Ranked | None:
    """What brings samples (n, ...) in model space to the numbers that are ranked: as they are written, NaN if missing.

    None where that would change no rank: for values that are no whole numbers, none of which is missing.
    """
    own = cast(Codec, codec)  # what refines given fields makes arrays of numbers
    if own.parts is None and not (own.whole or np.dtype(own.dtype).kind in "iub"):
        return None

    def ranked(samples: Tensor) -> Tensor:
        rows = own.decode_numpy(samples)
        return torch.from_numpy(rows.astype(np.float64)).masked_fill(torch.from_numpy(own.missing(rows)), math.nan)

    return ranked


@torch.no_grad()
def calibrate_spread(
    generator: GivenGenerator,
    rows: Batch,
    *,
    latent_dim: int,
    seed: int,
    ranked: Ranked | None = None,
) -> None:
    """Find the factor on latent vectors, and how it varies, by which the truth's ranks among draws are even.

    The wider the draws, the less often the truth is at either end of them; the heavier their tails at the same width,
    the less often it is at either end and in the middle. Of draws from the distribution of the truth all ranks are
    equally likely (Talagrand et al. 1997; Hamill 2001, doi 10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2).

    A factor on latents is taken to move draws about their mean by the same factor, except that those at an end of what
    a place can hold, such as hours without rain, stay there where it narrows. So few draws are computed, those of the
    factors that are tried are not, and the first factor is found twice, the second time from near.

    Args:
        generator: in evaluation mode; nothing but its factor and its tails change.
        rows: samples and conditions that it was not trained on; of large ones as many as hold `NUMBERS` with all draws.
        latent_dim: numbers in a latent vector.
        seed: of the latents.
        ranked: see `ranked_by`; None ranks numbers in model space.
    """
    generator.tails.fill_(0.0)
    generator.spread.fill_(1.0)
    for _ in range(2):
        few = _Trials.of(generator, rows, FEW_DRAWS, latent_dim=latent_dim, seed=seed, ranked=ranked)
        factor = few.factor()
        generator.spread.fill_(min(max(float(generator.spread) * factor, NARROWEST), WIDEST))
    many = _Trials.of(generator, rows, DRAWS, latent_dim=latent_dim, seed=seed, ranked=ranked)
    factor, tails = many.evenest()
    generator.spread.mul_(factor)
    generator.tails.fill_(tails)


@dataclass(frozen=True)
class _Trials:
    """Draws under some conditions, and what they would be with other factors.

    Attributes:
        centre: (n, 1, ...), the mean of the draws of a condition.
        about: (n, K, ...), the draws less that.
        sizes: (n, K), the standard normal numbers by which factors vary from draw to draw.
        truth: (n, ...), as it is ranked.
        ties: (n, ...) of U[0, 1), by which the truth is ranked among equal draws.
        ranked: what brings draws (n K, ...) to numbers that are ranked; None of numbers in model space.
        ends: the draws as they are ranked where they are at an end, NaN elsewhere; None where `ranked` is.
    """

    centre: Tensor
    about: Tensor
    sizes: Tensor
    truth: Tensor
    ties: Tensor
    ranked: Ranked | None = None
    ends: Tensor | None = None

    @classmethod
    def of(
        cls,
        generator: GivenGenerator,
        rows: Batch,
        draws: int,
        *,
        latent_dim: int,
        seed: int,
        ranked: Ranked | None = None,
    ) -> "_Trials":
        assert rows.context is not None
        count = max(2, min(len(rows.samples), NUMBERS // (draws * rows.samples[0].numel())))
        truth, device = rows.samples[:count], next(generator.parameters()).device
        rng = derived_rng(seed, "spread")
        latent = torch.randn(count * draws, latent_dim, generator=rng)
        inputs = under(rows.context[:count].repeat_interleave(draws, 0), latent).to(device).split(TOGETHER)
        drawn = torch.cat([generator(each).float().cpu() for each in inputs])
        ends = None
        if ranked is not None:
            truth = ranked(truth)
            ends = _at_ends(ranked(drawn).unflatten(0, (count, draws)), truth)
        drawn = drawn.unflatten(0, (count, draws))
        centre = drawn.mean(1, keepdim=True)
        sizes = generator.sizes(latent[:, : generator.shared]).view(count, draws)
        return cls(centre, drawn - centre, sizes, truth, torch.rand(truth.shape, generator=rng), ranked, ends)

    def ranks(self, factor: float, tails: float) -> Tensor:
        """(n, K + 1): how many numbers of a case, of those that are there, have each rank among its draws."""
        cases, draws = self.sizes.shape
        factors = factor * torch.exp(tails * self.sizes)
        drawn = self.centre + self.about * factors[(..., *(None,) * (self.about.dim() - 2))]
        if self.ranked is not None and self.ends is not None:
            drawn = self.ranked(drawn.flatten(0, 1)).unflatten(0, (cases, draws))
            widens = factors[(..., *(None,) * (drawn.dim() - 2))] >= 1
            drawn = torch.where(self.ends.isnan() | widens, drawn, self.ends)
        own = self.truth[:, None]
        equal = (drawn == own).sum(1)
        ranks = (drawn < own).sum(1) + ((equal + 1) * self.ties).long()
        rows = torch.arange(cases).view(-1, *(1,) * (ranks.dim() - 1)) * (draws + 1)
        there = (ranks + rows)[~self.truth.isnan()]
        return torch.bincount(there, minlength=cases * (draws + 1)).view(cases, draws + 1)

    def factor(self) -> float:
        """By which the variance of all ranks is that of the uniform distribution; 1 where nothing is ranked."""
        if not self.ranks(1.0, 0.0).any():
            return 1.0
        low, high = math.log(NARROWEST), math.log(WIDEST)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if rank_variance(self.ranks(math.exp(middle), 0.0).sum(0)) > 1 else (low, middle)
        return math.exp((low + high) / 2)

    def evenest(self) -> tuple[float, float]:
        """The factor and the tails with the most even ranks.

        The tails are the lighter ones of two halves of the cases, so that those of chance are small.
        """
        found = {(factor, tails): self.ranks(factor, tails) for tails in TAILS for factor in FACTORS}
        halves = [slice(0, None, 2), slice(1, None, 2)]
        tails = min(min(found, key=lambda each: unevenness(found[each][half].sum(0)))[1] for half in halves)
        factor = min(FACTORS, key=lambda each: unevenness(found[each, tails].sum(0)))
        return factor, tails


def _at_ends(drawn: Tensor, truth: Tensor) -> Tensor:
    """The draws (n, K, ...) that are the least or largest of all, truths too, at their place; NaN for others."""
    every = torch.cat([drawn.flatten(0, 1), truth])
    least, largest = (torch.where(every.isnan(), far, every) for far in (math.inf, -math.inf))
    is_end = (drawn == least.amin(0)) | (drawn == largest.amax(0))
    return drawn.masked_fill(~is_end, math.nan)


def rank_variance(counts: Tensor) -> float:
    """The variance of ranks about the middle over that of the uniform distribution: above 1 if draws are too narrow.

    Args:
        counts: (K + 1,), how often the truth had each rank among K draws.
    """
    last = len(counts) - 1
    apart = (torch.arange(last + 1, dtype=torch.float64) - last / 2).square()
    return float((counts * apart).sum() / counts.sum()) * 12 / ((last + 1) ** 2 - 1)


def unevenness(counts: Tensor) -> float:
    """The mean square by which ranks differ from equally likely ones, both ends taken together.

    Args:
        counts: (K + 1,), how often the truth had each rank among K draws; 0 if it had none.
    """
    if not counts.any():
        return 0.0
    shares = (counts + counts.flip(0)) * (len(counts) / (2 * float(counts.sum())))
    return float((shares - 1).square().mean())
