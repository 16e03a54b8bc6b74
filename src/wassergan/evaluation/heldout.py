"""How far the generated law is from held-out samples, measured the same way at every tick."""

import torch
from torch import Tensor, nn

from wassergan.data import Source
from wassergan.distances import sliced_w1
from wassergan.training import sample_chunks

LARGEST_SAMPLE = 2000
PROJECTIONS = 256


class HeldoutDistance:
    """Sliced W1 between generated and held-out samples in model space, beside its floor.

    The floor is the sliced W1 of as many training samples against the same held-out ones: what a generator that
    drew from the data themselves would score. Latents and directions are fixed, so ticks can be compared; the
    streams are of its own, so that training does not notice.

    Args:
        source: training and held-out samples.
        latent_dim: of the generators to come.
        samples: how many generated ones.
        seed: of latents and directions.
    """

    def __init__(self, source: Source, *, latent_dim: int, samples: int = LARGEST_SAMPLE, seed: int = 0) -> None:
        self._latent_dim, self._samples, self._seed = latent_dim, samples, seed
        self._heldout = source.heldout(torch.arange(min(LARGEST_SAMPLE, source.heldout_count))).flatten(1)
        real = source.train(torch.arange(min(samples, source.train_count))).flatten(1)
        self.floor = self._distance(real)

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """`sliced_w1` of a generator and the `sliced_w1_floor`, both in model units."""
        chunks = sample_chunks(generator, self._samples, latent_dim=self._latent_dim, seed=self._seed)
        fake = torch.cat(list(chunks)).flatten(1)
        return {"sliced_w1": self._distance(fake), "sliced_w1_floor": self.floor}

    def _distance(self, samples: Tensor) -> float:
        rng = torch.Generator().manual_seed(self._seed)
        return sliced_w1(samples, self._heldout, projections=PROJECTIONS, rng=rng).item()
