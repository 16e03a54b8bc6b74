"""Judging series: by vectors of features, and by what happens from step to step."""

import math
from typing import Any

import numpy as np

from wassergan.data import random_positions
from wassergan.data.series import form_of
from wassergan.evaluation.evaluate import LEAST, MetricRow
from wassergan.evaluation.series import SeriesPopulations, dynamics_rows, score_rows, with_dynamics
from wassergan.evaluation.series.forecasts import forecast_rows
from wassergan.evaluation.verdict import Verdict
from wassergan.modality.evaluator import Picture
from wassergan.modality.feature_evaluator import FeatureEvaluator
from wassergan.modality.series_figures import LEAST_STEPS, in_channels, save_autocorrelation, save_series, save_spectrum

MOST_SERIES, MOST_NUMBERS = 4000, 2**24  # of each kind
DRAWS, MOST_CASES, MOST_FORECAST = 16, 128, 2**20  # for each past; pasts; numbers of all whole series that are drawn
FIGURES = (
    ("series", save_series, "Series, generated beside held-out ones, and the quantiles of all at each step."),
    (
        "autocorrelation",
        save_autocorrelation,
        "Autocorrelation of single series: median and quartiles, generated beside held-out ones.",
    ),
    (
        "spectrum",
        save_spectrum,
        "Amplitudes of single series by frequency: median and quartiles, generated beside held-out ones.",
    ),
)


class SeriesEvaluator(FeatureEvaluator):
    """Adds to the features what is measured on the series themselves, on process 0."""

    _populations: SeriesPopulations
    _rows: list[MetricRow]

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Also the dynamics, which may turn the verdict; with curves over lags and frequencies."""
        found = super().measure(picture)
        judged = found["verdict"]
        own = Verdict(judged["sentence"], tuple(judged["flags"]), judged["level"])
        names = self._codec.named(self._populations.heldout.shape[1])
        sides = (self._populations.generated, self._populations.heldout)

        def curves(draw: Any) -> Any:
            return lambda path: draw(*sides, names, path)

        shown = FIGURES if self._populations.heldout.shape[2] >= LEAST_STEPS else FIGURES[:1]  # no lags
        figures = [
            {"picture": picture(f"{name}.png", curves(draw)), "caption": caption} for name, draw, caption in shown
        ]
        return {**found, "verdict": with_dynamics(own, self._rows).as_dict(), "figures": figures}

    def _further_rows(self) -> list[MetricRow]:
        log, seed = self.evaluation.log, self.evaluation.settings.seed
        log("Autocorrelation, spectrum and increments")
        self._populations = self._drawn_populations()
        self._rows = dynamics_rows(self._populations)
        log("Discriminative and predictive scores")
        each = self._populations
        scores = score_rows(each.generated, each.training, each.heldout, seed=seed)
        return [*self._rows, *scores, *self._forecasts()]

    def _forecasts(self) -> list[MetricRow]:
        """What is drawn after the first half of held-out series, where series can go on from a past."""
        sampler, training = self.evaluation.sampler, self._populations.training
        steps, seed = training.shape[2], self.evaluation.settings.seed
        if steps < LEAST_STEPS or not sampler.can_go_on:
            return []
        self.evaluation.log("Forecasts of the second half from the first")
        cases = max(1, min(MOST_CASES, MOST_FORECAST // (DRAWS * math.prod(training.shape[1:]))))
        real = self._unseen.read(random_positions(cases, self._unseen.count, seed=seed))
        rows, known = self._codec.decode_numpy(real), steps // 2
        drawn = sampler.under_past(rows[:, :known], draws=DRAWS).draw_ensembles(seed=seed)
        made = in_channels(drawn.reshape(-1, *drawn.shape[2:]), self._codec).reshape(
            *drawn.shape[:2], -1, steps - known
        )
        whole = in_channels(rows, self._codec)
        return forecast_rows(made, whole[..., known:], whole[..., :known], training, seed=seed)

    def _drawn_populations(self) -> SeriesPopulations:
        source, settings, codec = self.evaluation.source, self.evaluation.settings, self._codec
        most = max(LEAST, min(MOST_SERIES, MOST_NUMBERS // math.prod(source.shape)))
        count = min(most, settings.count or most, source.train_count)
        training = source.train(random_positions(count, source.train_count, seed=settings.seed))
        real = self._unseen.read(random_positions(most, self._unseen.count, seed=settings.seed))
        drawn = self.evaluation.sampler.draw(count, seed=settings.seed)
        sides = (drawn, codec.decode_numpy(training), codec.decode_numpy(real))
        form = form_of(codec)
        lengths = None
        if form is not None and form.lengths_differ:
            own, seen, held = (form.lengths(each).astype(np.float64)[:, None] for each in sides)
            lengths = (own, seen, held)
        generated, trained, heldout = (in_channels(each, codec) for each in sides)
        return SeriesPopulations(generated, trained, heldout, lengths)
