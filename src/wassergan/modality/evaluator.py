"""How a run is judged, whatever its data are: what is opened for it, and the steps that a class of data fills in."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source
from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.evaluation.memorisation import Memorisation
from wassergan.sampling.sampler import Sampler
from wassergan.training import DistributedContext

Picture = Callable[[str, Callable[[Path], object]], str]


@dataclass(frozen=True)
class Evaluation:
    """A run that is judged, with its data.

    Args:
        settings: as given by the user.
        sampler: of the averaged generator.
        source: the run's data, with its codec.
        others: real samples that take the place of the held-out ones, as `Modality.others` read them; None for none.
        identify: what tells data apart, in plain JSON types.
        cache: of features.
        device: where features are computed.
        processes: that judge together.
        log: receives, in a few words, what is done next.
    """

    settings: EvaluateSettings
    sampler: Sampler
    source: Source
    others: Any
    identify: Callable[[Source], dict[str, Any]]
    cache: FeatureCache
    device: torch.device
    processes: DistributedContext
    log: Callable[[str], None]


class Evaluator(ABC):
    """Evaluates the samples of one generator; made by `Modality.evaluator`, and asked in the order of its methods.

    Args:
        evaluation: what is judged.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    @abstractmethod
    def collect(self) -> None:
        """Draw and read all samples that are judged; all processes call this.

        Raises:
            UserError: too few samples, or some that do not suit.
        """

    @abstractmethod
    def measure(self, picture: Picture) -> dict[str, Any]:
        """Compute everything, on process 0.

        Args:
            picture: notes a picture that is to be drawn, by its name and what draws it; gives its path.

        Returns:
            Entries of `metrics.json` from `metrics` on, in plain JSON types.

        Raises:
            UserError: too few samples.
        """

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """Entries of the protocol that tell what was judged and how; known once it was measured."""


def copies_found(memory: Memorisation, positions: torch.Tensor, **more: Any) -> dict[str, Any]:
    """A memorisation check as `metrics.json` holds it.

    Args:
        memory: of samples that were looked up among training ones.
        positions: of these in the training data.
        more: entries that stand before the sentence.
    """
    closest = [
        {"generated": sample, "training": int(positions[row]), "distance": distance}
        for sample, row, distance in memory.closest
    ]
    return {**asdict(memory), "closest": closest, **more, "sentence": memory.sentence}
