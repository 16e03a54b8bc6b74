"""The distance of generated from held-out samples, measured the same way at every tick."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wassergan.data import Batch, Source
from wassergan.distances import sliced_w1
from wassergan.distances.interval import interval_by_work
from wassergan.distances.patches import PatchReference
from wassergan.evaluation.volumes.patches import VolumePatches
from wassergan.storage.tick_distance import PATCHES, VECTORS, distance_for
from wassergan.training import sample_chunks

LARGEST_SAMPLE = 2000
MOST_PICTURES = 1000  # generated ones: to draw them costs far more than to compare them
LEAST_VOLUMES = 16
MOST_VOXELS = 2**22  # of all volumes that are drawn or compared
PROJECTIONS = 256
INTERVAL_TOLERANCE, INTERVAL_WORK = 0.01, 1e11


class HeldoutDistance:
    """The distance between generated and held-out samples in model space, with its floor.

    Pictures and fields are compared by the patches of their scales (`distances.patch_sliced_w1`), other samples by the
    sliced W1 of whole vectors. Samples drawn under conditions are compared together with them, as concatenated vectors:
    samples that do not fit their conditions are far from the data.

    The floor is the distance of as many training samples against the same held-out ones: the score of a generator that
    drew from the data themselves. Latents and directions are fixed, so ticks can be compared; it uses its own random
    streams, so that training is not affected.

    Args:
        source: training and held-out samples.
        latent_dim: of the generators to come.
        samples: how many generated ones; of pictures and fields at most 1000.
        seed: of latents and directions.
    """

    def __init__(self, source: Source, *, latent_dim: int, samples: int = LARGEST_SAMPLE, seed: int = 0) -> None:
        self._latent_dim, self._samples, self._seed = latent_dim, samples, seed
        self._conditions = source.conditions
        heldout = source.heldout_batch(source.heldout_positions(_most(source.shape, LARGEST_SAMPLE), seed=seed))
        real = source.train_batch_sample(_most(source.shape, samples))
        self._heldout, self._real = _vectors(heldout), _vectors(real)
        self._patches: PatchReference | VolumePatches | None = None
        if distance_for(source.shape) == PATCHES:
            rng = torch.Generator().manual_seed(seed)
            real = source.train_batch_sample(_most(source.shape, min(samples, MOST_PICTURES)))
            self._samples = len(real.samples)
            self._patches = _reference(heldout, rng, name="held-out samples")
        floors = self._distances(real, name="training samples")
        self.floor = floors[distance_for(source.shape)]
        self._floors = {f"{name}_floor": value for name, value in floors.items()}
        self._interval_floor: float | None = None  # costs as much as the bounds themselves: once it is asked for

    def __call__(self, generator: nn.Module) -> dict[str, float]:
        """The distance of a generator, and the floor: `sliced_w1` and `sliced_w1_floor`, in model units.

        For pictures and fields `patch_sliced_w1`, the mean over the scales, and each scale by the longer side of its
        level, such as `patch_sliced_w1_28`; in standard deviations of the held-out values at that scale.
        """
        return self._distances(self._generated(generator, self._samples), name="generated samples") | self._floors

    def interval(self, generator: nn.Module, *, interrupted: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Guaranteed bounds on W1 of equally many generated and held-out samples: `w1_lower`, `w1_upper`; model units.

        `w1_floor` is an upper bound for as many training samples. W1 of samples is above that of their distributions,
        in high dimension far above, so the floor shows how low a good generator gets. After an interruption, the bounds
        are those reached so far, which are as certain but wider.
        """
        lower, upper = self._bounds(_vectors(self._generated(generator, len(self._heldout))), interrupted)
        return {"w1_lower": lower, "w1_upper": upper, "w1_floor": self._upper_of_real(interrupted)}

    def _upper_of_real(self, interrupted: Callable[[], bool]) -> float:
        """The floor of the interval; kept, unless it was interrupted and is wider than it would be."""
        if self._interval_floor is not None:
            return self._interval_floor
        _, upper = self._bounds(self._real[: len(self._heldout)], interrupted)
        if not interrupted():
            self._interval_floor = upper
        return upper

    def _bounds(self, samples: Tensor, interrupted: Callable[[], bool]) -> tuple[float, float]:
        rng = torch.Generator().manual_seed(self._seed)
        return interval_by_work(
            samples,
            self._heldout,
            rng=rng,
            tolerance=INTERVAL_TOLERANCE,
            work=INTERVAL_WORK,
            interrupted=interrupted,
        )

    def _generated(self, generator: nn.Module, count: int) -> Batch:
        chunks = sample_chunks(
            generator, count, latent_dim=self._latent_dim, seed=self._seed, conditions=self._conditions
        )
        context = None if self._conditions is None else self._conditions.vectors(0, count, seed=self._seed)
        return Batch(torch.cat(list(chunks)), context)

    def _distances(self, batch: Batch, *, name: str) -> dict[str, float]:
        if self._patches is not None:
            found = self._patches.distance(batch.samples, context=batch.context, name=name)
            return {PATCHES: found.value, **{f"{PATCHES}_{side}": value for side, value in found.scales.items()}}
        return {VECTORS: _sliced(_vectors(batch), self._heldout, seed=self._seed)}


def sliced_distance(a: Batch, b: Batch, *, seed: int) -> float:
    """The distance of b from a as ticks measure it: of patches where samples are grids, else sliced W1 of vectors.

    Together with their conditions, along fixed directions.
    """
    if distance_for(a.samples.shape[1:]) == PATCHES:
        rng = torch.Generator().manual_seed(seed)
        reference = _reference(a, rng, name="samples")
        return reference.distance(b.samples, context=b.context, name="generated samples").value
    return _sliced(_vectors(a), _vectors(b), seed=seed)


def _reference(batch: Batch, rng: torch.Generator, *, name: str) -> PatchReference | VolumePatches:
    """Patches of pictures and fields, or of volumes."""
    if batch.samples.dim() == 5:
        return VolumePatches(batch.samples, rng=rng, context=batch.context)
    return PatchReference(batch.samples, rng=rng, context=batch.context, name=name)


def _most(shape: Sequence[int], count: int) -> int:
    """So many samples, but of volumes only as many as hold `MOST_VOXELS`."""
    return min(count, max(LEAST_VOLUMES, MOST_VOXELS // math.prod(shape))) if len(shape) == 4 else count


def _sliced(a: Tensor, b: Tensor, *, seed: int) -> float:
    return sliced_w1(a, b, projections=PROJECTIONS, rng=torch.Generator().manual_seed(seed)).item()


def _vectors(batch: Batch) -> Tensor:
    """Samples and their conditions, one behind the other, (n, numbers of both)."""
    samples = batch.samples.flatten(1)
    return samples if batch.context is None else torch.cat([samples, batch.context], 1)
