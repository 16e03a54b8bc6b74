"""Judging pictures and fields: by vectors of features, and as pictures."""

import math

import torch

from wassergan.data import Batch, random_positions
from wassergan.evaluation.evaluate import LEAST, MetricRow
from wassergan.evaluation.pictures.patches import patch_rows
from wassergan.evaluation.pictures.populations import PicturePopulations
from wassergan.modality.feature_evaluator import FeatureEvaluator
from wassergan.utils.shard import WHOLE

MOST_PICTURES, MOST_NUMBERS = 2000, 2**26  # of each population


class GridEvaluator(FeatureEvaluator):
    """Adds to the features what is measured on the pictures themselves, on process 0."""

    def _further_rows(self) -> list[MetricRow]:
        log, seed = self.evaluation.log, self.evaluation.settings.seed
        log("Patches of every scale")
        populations = self._populations()
        return patch_rows(populations, seed=seed)

    def _populations(self) -> PicturePopulations:
        """Pictures by seed, as many of each kind as memory has room for."""
        source, sampler, settings = self.evaluation.source, self.evaluation.sampler, self.evaluation.settings
        most = max(LEAST, min(MOST_PICTURES, MOST_NUMBERS // math.prod(source.shape)))
        count = min(most, settings.count or most, source.train_count)
        drawn = torch.cat(list(self._drawn(count)(WHOLE)))
        conditions = sampler.conditions
        context = None if conditions is None else conditions.vectors(0, count, seed=settings.seed)
        places = random_positions(most, self._unseen.count, seed=settings.seed)
        heldout = (
            source.heldout_batch(places) if self.evaluation.others is None else Batch(self._unseen.read(places), None)
        )
        return PicturePopulations(
            Batch(drawn, context),
            source.train_batch(random_positions(most, source.train_count, seed=settings.seed)),
            heldout,
        )
