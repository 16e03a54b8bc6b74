"""Samples judged against real ones without a run: those of a fit, or of two data sets."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source
from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.modality.evaluator import Evaluation
from wassergan.modality.modality import Modality
from wassergan.sampling.sampler import Sampler
from wassergan.storage.files import make_folder
from wassergan.training import SINGLE_PROCESS
from wassergan.utils.version import __version__

HALF = 0.5  # of the real samples, which gives the floors


def judged(
    settings: EvaluateSettings,
    sampler: Sampler,
    source: Source,
    *,
    modality: Modality[Any],
    device: torch.device,
    folder: Path,
    log: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Every metric of a sampler's samples against the held-out samples of a source; floors from its training samples.

    Args:
        settings: count, features, target and seed.
        sampler: of what is judged.
        source: the real samples, split in two.
        modality: of both.
        device: where features are computed.
        folder: an empty one, where pictures are written below `evaluation/`.
        log: receives, in a few words, what is done next.

    Returns:
        What `metrics.json` of a run holds, with a shorter protocol.

    Raises:
        UserError: too few samples, or settings that are for other data.
    """
    started = time.perf_counter()
    modality.require_askable(settings)
    evaluator = modality.evaluator(
        Evaluation(
            settings=settings,
            sampler=sampler,
            source=source,
            others=None,
            identify=lambda source: {},  # the folder is new: no features of other data lie in it
            cache=FeatureCache(folder / "features"),
            device=device,
            processes=SINGLE_PROCESS,
            log=log,
        )
    )
    evaluator.collect()

    def picture(name: str, draw: Callable[[Path], object]) -> str:
        make_folder(folder / "evaluation")
        draw(folder / "evaluation" / name)
        return f"evaluation/{name}"

    measured = evaluator.measure(picture)
    protocol = {
        **evaluator.protocol(),
        "seed": settings.seed,
        "data": source.name,
        "seconds": round(time.perf_counter() - started, 3),
        "wassergan": __version__,
    }
    return {"protocol": protocol, **measured}
