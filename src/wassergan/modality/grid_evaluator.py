"""Judging pictures and fields: by vectors of features, and as pictures."""

import math
from dataclasses import replace

from wassergan.evaluation.evaluate import LEAST, METRICS, MetricRow, Populations, measured
from wassergan.evaluation.pictures.labels import classes_of, label_rows
from wassergan.evaluation.pictures.learnt import learnt_features
from wassergan.evaluation.pictures.patches import patch_rows
from wassergan.evaluation.pictures.populations import PicturePopulations
from wassergan.evaluation.pictures.twosample import two_sample_row
from wassergan.modality.feature_evaluator import FeatureEvaluator

LEARNT, LEARNT_METRICS = "learnt features", ("frechet_distance", "precision")  # the first row of each metric
MOST_PICTURES, MOST_NUMBERS = 2000, 2**26  # of each population


class GridEvaluator(FeatureEvaluator):
    """Adds to the features what is measured on the pictures themselves, on process 0."""

    def _further_rows(self) -> list[MetricRow]:
        log, seed = self.evaluation.log, self.evaluation.settings.seed
        log("Patches of every scale")
        populations = self._populations()
        rows = patch_rows(populations, seed=seed)
        log("Convolutional two-sample test")
        rows.append(two_sample_row(populations, seed=seed))
        log("Features that learn from the training pictures")
        rows += self._learnt_rows(populations)
        log("Classes of the samples")
        return rows + label_rows(populations, seed=seed)

    def _learnt_rows(self, populations: PicturePopulations) -> list[MetricRow]:
        """Fréchet distance, precision, recall, density and coverage on learnt features."""
        evaluation, pictures, classes = self.evaluation, populations.training.samples, classes_of(populations)
        describe = learnt_features(
            pictures,
            None if classes is None else classes[1],
            seed=evaluation.settings.seed,
            cache=evaluation.cache,
            origin=[evaluation.identify(evaluation.source), self._codec.offset.tolist(), self._codec.scale.tolist()],
        )
        every = (populations.generated, populations.training, populations.heldout)
        described = Populations(*(describe(each.samples) for each in every))
        rows = [
            row
            for metric in METRICS
            if metric.rows[0][0] in LEARNT_METRICS
            for row in measured(metric, described, LEARNT, evaluation.settings.seed)
        ]
        return [replace(row, name=f"learnt_{row.name}", label=f"{row.label}, {LEARNT}") for row in rows]

    def _populations(self) -> PicturePopulations:
        """As many pictures of each kind as memory has room for."""
        most = max(LEAST, min(MOST_PICTURES, MOST_NUMBERS // math.prod(self.evaluation.source.shape)))
        return PicturePopulations(*self._batches(most))
