"""Refined draws: of K draws in the mean one is kept, each sample under its own condition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.networks import critic_given
from wassergan.sampling.acceptance import Acceptance, Calibration
from wassergan.sampling.components import ComponentMargins, Components
from wassergan.sampling.margins import Margins
from wassergan.training import SAMPLING_CHUNK, under
from wassergan.utils.rng import derived_rng
from wassergan.utils.shard import BatchShard

UNIT = 256  # samples that are drawn together, whatever the number asked for; a part of `SAMPLING_CHUNK`
MOST_AT_ONCE = 8  # draws of a sample at a time, where few samples are left
PATIENCE = 16  # times K draws of a sample, after which the likeliest of them is taken

Finish = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class RatioEstimate:
    """log p / q of samples, where p is the density of the data and q that of a generator.

    Args:
        classifier: samples in model space, and conditions if there are any, to scores; in evaluation mode.
        slope: of the logit of a sample's being real, by its score.
        intercept: of the same.
        auc: of samples that the classifier did not learn from; ½ for draws that cannot be told from data.
        components: what the classifier is given of a sample; None for all of it.
    """

    classifier: nn.Module
    slope: float
    intercept: float
    auc: float
    components: Components | None = None

    def of(self, samples: Tensor, context: Tensor | None) -> Tensor:
        """Samples (n, ...), and their conditions (n, k), to (n,) on the CPU."""
        device = next(self.classifier.parameters()).device
        given = None if context is None else context.to(device)
        samples = samples if self.components is None else self.components.of(samples)
        with torch.no_grad():
            scores = critic_given(self.classifier, given)(samples.to(device))
        return self.slope * scores.flatten().double().cpu() + self.intercept


@dataclass(frozen=True)
class Refinement:
    """What keeps some of a generator's draws.

    Args:
        estimate: of the ratio of densities.
        calibration: draws by which acceptances are set.
        margins: of what is kept, as the data have them; None for none.
        draws: K, per kept sample in the mean.
    """

    estimate: RatioEstimate
    calibration: Calibration = field(repr=False)
    margins: Margins | ComponentMargins | None = field(default=None, repr=False)
    draws: float = 1.0

    @cached_property
    def acceptance(self) -> Acceptance:
        """How likely each draw is kept."""
        return self.calibration.acceptance(self.draws)

    def log_acceptance(self, samples: Tensor, context: Tensor | None) -> Tensor:
        """Of samples in model space, as they are handed out, (n,) float64."""
        cells = None if self.margins is None else self.margins.cells(samples)
        return self.acceptance.log(self.estimate.of(samples, context), context, cells)


def refined_chunks(
    generator: nn.Module,
    count: int,
    refinement: Refinement,
    *,
    finish: Finish,
    latent_dim: int,
    seed: int,
    shard: BatchShard,
    conditions: Conditions | None,
) -> Iterator[Tensor]:
    """Like `training.sample_chunks`, refined: sample i depends on the seed and i alone.

    The condition of a sample is drawn first, and what is refused is drawn again under the same one, so that conditions
    have the shares that they have without.

    Args:
        generator: in evaluation mode.
        count: how many, at least 0.
        refinement: what keeps some of the draws.
        finish: (n, ...) draws of the samples of some numbers (n,) of a unit that begins with some sample, as they are
            handed out: rounded where the data are whole numbers.
        latent_dim: numbers in a latent vector.
        seed: of the draws.
        shard: of the chunks, every `shard.count`-th from `shard.index` on.
        conditions: to draw under, if the generator was trained under some.
    """
    unit = _Unit(generator, refinement, finish, latent_dim, seed, conditions)
    for start in range(shard.index * SAMPLING_CHUNK, count, shard.count * SAMPLING_CHUNK):
        stop = min(start + SAMPLING_CHUNK, count)
        # Whole units: a sample may not depend on how many are asked for.
        yield torch.cat([unit.drawn(first) for first in range(start, stop, UNIT)])[: stop - start]


@dataclass(frozen=True)
class _Unit:
    """Draws consecutive samples together; arguments as of `refined_chunks`."""

    generator: nn.Module
    refinement: Refinement
    finish: Finish
    latent_dim: int
    seed: int
    conditions: Conditions | None

    def drawn(self, first: int) -> Tensor:
        """The samples first..first + UNIT - 1 in model space."""
        rng = derived_rng(self.seed, "refined", first // UNIT)
        context = None if self.conditions is None else self.conditions.vectors(first, UNIT, seed=self.seed)
        kept: Tensor | None = None
        waiting = torch.arange(UNIT)
        least = torch.full((UNIT,), torch.inf, dtype=torch.float64)
        tried, most = 0, PATIENCE * self.refinement.draws
        while len(waiting):
            times = min(MOST_AT_ONCE, UNIT // len(waiting))
            numbers = waiting.repeat(times)
            latent = torch.randn(len(numbers), self.latent_dim, generator=rng)
            chances = torch.rand(len(numbers), generator=rng, dtype=torch.float64)
            given = None if context is None else context[numbers]
            draws = self._of(latent, given)
            log_acceptance = self.refinement.log_acceptance(self.finish(draws, numbers, first), given)
            accepted = (chances.log() < log_acceptance).view(times, -1)
            # The first of exponential clocks to ring, with rates a(x), is one of them with the probability a(x) / Σ a.
            clocks = ((-torch.log1p(-chances)).log() - log_acceptance).view(times, -1)
            tried += times
            chosen = torch.where(accepted.any(0), accepted.int().argmax(0), clocks.argmin(0))
            clock = clocks.gather(0, chosen[None])[0]
            better = accepted.any(0) | (clock < least[waiting])
            found = draws.view(times, len(waiting), *draws.shape[1:])[chosen, torch.arange(len(waiting))]
            kept = torch.empty(UNIT, *draws.shape[1:]) if kept is None else kept
            kept[waiting[better]] = found[better]
            least[waiting[better]] = clock[better]
            waiting = waiting[~accepted.any(0)] if tried < most else waiting[:0]
        assert kept is not None
        return kept

    def _of(self, latent: Tensor, given: Tensor | None) -> Tensor:
        device = next(self.generator.parameters()).device
        with torch.no_grad():
            draws: Tensor = self.generator(under(given, latent).to(device))
        return draws.cpu()
