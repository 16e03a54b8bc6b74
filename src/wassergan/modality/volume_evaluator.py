"""Judging volumes: by vectors of features, and by what they are like inside."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from wassergan.data import Batch
from wassergan.data.volumes import VolumeCodec
from wassergan.evaluation.evaluate import LEAST, MetricRow
from wassergan.evaluation.verdict import Verdict
from wassergan.evaluation.volumes import VolumePatches, VolumePopulations, inside_rows, with_inside
from wassergan.modality.evaluator import Picture
from wassergan.modality.feature_evaluator import FeatureEvaluator
from wassergan.modality.volume_figures import FIGURES, in_channels
from wassergan.storage.tick_distance import LABELS, PATCHES

MOST_NUMBERS = 2**23  # of the volumes of each kind that are looked into
MOST_DESCRIBED = 2**27  # numbers of the volumes of each kind that are described by features
NOTE = "5 x 5 x 5 patches of volumes averaged over cubes; deviations of each scale; the error is that of the directions"


class VolumeEvaluator(FeatureEvaluator):
    """Adds to the features what is measured on the volumes themselves, on process 0."""

    _populations: VolumePopulations
    _rows: list[MetricRow]

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Also the inside, which may turn the verdict; with figures of it."""
        found = super().measure(picture)
        judged = found["verdict"]
        own = Verdict(judged["sentence"], tuple(judged["flags"]), judged["level"])
        sides = (self._populations.generated, self._populations.heldout)

        def drawn(draw: Any) -> Any:
            def save(path: Path) -> None:
                draw(*sides, self._codec, path)

            return save

        figures = [{"picture": picture(name, drawn(draw)), "caption": caption} for name, draw, caption in FIGURES]
        return {**found, "verdict": with_inside(own, self._rows).as_dict(), "figures": figures}

    def _most(self, count: int) -> int:
        size = math.prod(self.evaluation.source.shape)
        return min(count, max(LEAST, MOST_DESCRIBED // size))

    def _further_rows(self) -> list[MetricRow]:
        log = self.evaluation.log
        log("Patches of every scale")
        batches = self._batches(max(LEAST, MOST_NUMBERS // math.prod(self.evaluation.source.shape)))
        rows = patch_rows(*batches, seed=self.evaluation.settings.seed)
        log("Shares, two-point curves and chord lengths")
        codec = cast(VolumeCodec, self._codec)
        generated, training, heldout = (in_channels(codec.decode_numpy(each.samples), codec) for each in batches)
        self._populations = VolumePopulations(generated, training, heldout, codec.phases)
        self._rows = inside_rows(self._populations)
        return [*rows, *self._rows]


def patch_rows(generated: Batch, training: Batch, heldout: Batch, *, seed: int) -> list[MetricRow]:
    """Patch-sliced W1 of generated against held-out volumes, and of as many training ones; then each scale."""
    with_context = all(each.context is not None for each in (generated, training, heldout))
    contexts = [each.context if with_context else None for each in (generated, training, heldout)]
    reference = VolumePatches(heldout.samples, rng=torch.Generator().manual_seed(seed), context=contexts[2])
    count = min(len(generated.samples), len(training.samples))
    own, seen = (None if each is None else each[:count] for each in contexts[:2])
    found = reference.distance(generated.samples[:count], context=own)
    floor = reference.distance(training.samples[:count], context=seen, with_spread=True)

    def row(name: str, label: str, value: float, least: float, note: str) -> MetricRow:
        counts = (count, len(heldout.samples))
        return MetricRow(name, label, value, None, least, None, "lower", "patches", *counts, note)

    mean = replace(
        row(PATCHES, f"{LABELS[PATCHES]}, mean over scales", found.value, floor.value, NOTE),
        error=found.standard_error,
        floor_error=floor.standard_error,
        floor_spread=floor.spread,
    )
    return [
        mean,
        *(
            row(f"{PATCHES}_{side}", f"{LABELS[PATCHES]}, scale {side}", value, floor.scales[side], "one scale")
            for side, value in found.scales.items()
        ),
    ]
