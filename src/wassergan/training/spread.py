"""How far draws under given fields spread: set right on training rows that no step sees."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.data import Batch, Source, random_positions
from wassergan.data.split import Split
from wassergan.networks import GivenGenerator
from wassergan.training.sampling import under
from wassergan.utils.rng import derived_rng

SHARE, FEWEST, MOST = 0.1, 32, 256  # of the training rows that are kept back, and how many they are
DRAWS = 5  # under each of their conditions
NUMBERS, TOGETHER = 2**20, 64  # in all draws, and draws that are computed at a time
NARROWEST, WIDEST, HALVINGS = 0.5, 2.0, 6  # of the factor, and steps by which it is found


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


@torch.no_grad()
def calibrate_spread(generator: GivenGenerator, rows: Batch, *, latent_dim: int, seed: int) -> None:
    """Find the factor on latent vectors by which the truth's ranks among draws spread as those of one more draw would.

    The wider the draws, the less often the truth is at either end of them. Of draws from the distribution of the truth
    all ranks are equally likely (Talagrand et al. 1997; Hamill 2001, doi
    10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2).

    Args:
        generator: in evaluation mode; nothing but its factor changes.
        rows: samples and conditions that it was not trained on; of large ones as many as hold `NUMBERS` with all draws.
        latent_dim: numbers in a latent vector.
        seed: of the latents.
    """
    assert rows.context is not None
    count = max(2, min(len(rows.samples), NUMBERS // (DRAWS * rows.samples[0].numel())))
    truth, device = rows.samples[:count], next(generator.parameters()).device
    latent = torch.randn(count * DRAWS, latent_dim, generator=derived_rng(seed, "spread"))
    inputs = under(rows.context[:count].repeat_interleave(DRAWS, 0), latent).to(device).split(TOGETHER)
    low, high = NARROWEST, WIDEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        generator.spread.fill_(middle)
        draws = torch.cat([generator(each).float().cpu() for each in inputs]).unflatten(0, (count, DRAWS))
        low, high = (middle, high) if rank_spread(draws, truth) > 1 else (low, middle)
    generator.spread.fill_((low * high) ** 0.5)


def rank_spread(draws: Tensor, truth: Tensor) -> float:
    """The variance of the truth's ranks over that of the uniform distribution: above 1 where draws are too narrow.

    Args:
        draws: (n, K, ...).
        truth: (n, ...); of equal values half are below.
    """
    count = draws.shape[1]
    below = (draws < truth[:, None]).sum(1, dtype=torch.float64)
    ranks = below + (draws == truth[:, None]).sum(1, dtype=torch.float64) / 2
    return float((ranks - count / 2).square().mean()) * 12 / ((count + 1) ** 2 - 1)
