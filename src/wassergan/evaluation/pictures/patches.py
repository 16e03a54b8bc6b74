"""Patch-sliced W1 as rows of the table: the mean over the scales, then each scale."""

from dataclasses import replace

import torch

from wassergan.distances import PatchReference
from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.pictures.populations import PicturePopulations
from wassergan.storage.tick_distance import LABELS, PATCHES

FEATURES = "patches"
NOTE = "7 × 7 patches of a Laplacian pyramid; standard deviations of each scale; the error is that of the directions"


def patch_rows(populations: PicturePopulations, *, seed: int) -> list[MetricRow]:
    """Generated against held-out pictures, and as many training ones against the same.

    Args:
        populations: the pictures.
        seed: of patches and directions.
    """
    own, seen, real = populations.contexts
    heldout, count = populations.heldout.samples, populations.floor_count
    reference = PatchReference(heldout, rng=torch.Generator().manual_seed(seed), context=real, name="held-out samples")
    fake = populations.generated.samples[:count]
    found = reference.distance(fake, context=None if own is None else own[:count], name="generated samples")
    floor = reference.distance(
        populations.training.samples[:count],
        context=None if seen is None else seen[:count],
        with_spread=True,
        name="training samples",
    )

    def row(name: str, label: str, value: float, least: float, note: str) -> MetricRow:
        return MetricRow(
            name=name,
            label=label,
            value=value,
            error=None,
            floor=least,
            floor_error=None,
            better="lower",
            features=FEATURES,
            generated=len(fake),
            reference=len(heldout),
            note=note,
        )

    mean = replace(
        row(PATCHES, f"{LABELS[PATCHES]}, mean over scales", found.value, floor.value, NOTE),
        error=found.standard_error,
        floor_error=floor.standard_error,
        floor_spread=floor.spread,
    )
    note = "the level of so many numbers on its longer side"
    return [
        mean,
        *(
            row(f"{PATCHES}_{side}", f"{LABELS[PATCHES]}, scale {side}", value, floor.scales[side], note)
            for side, value in found.scales.items()
        ),
    ]
