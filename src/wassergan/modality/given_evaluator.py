"""Judging samples whose conditions are arrays: all that is measured of samples, and the draws under each condition."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data import ArrayConditions, ArrayContext, Codec, Source, channels_first, random_positions
from wassergan.data.readers.arrays import ArrayReader
from wassergan.errors import UserError, parameter
from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.given import Ensembles, GivenResult, judge_ensembles, with_conditions
from wassergan.evaluation.given.ensembles import Values
from wassergan.evaluation.given.fields import interpolated
from wassergan.evaluation.verdict import Verdict
from wassergan.modality.evaluator import Evaluation, Picture
from wassergan.modality.feature_evaluator import FeatureEvaluator
from wassergan.modality.grid_evaluator import GridEvaluator
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Modality
from wassergan.modality.series_evaluator import SeriesEvaluator
from wassergan.sampling.sampler import Sampler

DRAWS, FEWEST_DRAWS = 20, 5  # for each condition; fewer of large samples
MOST_CASES, MOST_NUMBERS = 300, 2**25  # of all draws together
SHOWN_CASES, SHOWN_DRAWS = 4, 3


def given_evaluator(evaluation: Evaluation, modality: Modality[Codec]) -> FeatureEvaluator:
    """What judges samples under arrays, with all that judges such samples without conditions.

    Raises:
        UserError: other samples take the place of the held-out ones, without their conditions.
    """
    others = evaluation.others
    if others is not None and not isinstance(others.context, ArrayContext):
        raise UserError(
            "The run's conditions are an array, and those of the other samples are not given",
            found=parameter("against", evaluation.settings.against),
            hint=f"give their conditions, one row each: {parameter('condition_array')}",
        )
    kinds = {3: GivenGrids, 2: GivenSeries}
    return kinds.get(modality.axes, GivenVectors)(evaluation, modality)


class _Given(FeatureEvaluator):
    """Adds what is measured of several draws under each held-out condition, on process 0."""

    _result: GivenResult
    _ensembles: Ensembles
    _conditions: Values

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Also the draws under each condition, which may turn the verdict; with pictures of them."""
        found = super().measure(picture)
        judged = found["verdict"]
        own = Verdict(judged["sentence"], tuple(judged["flags"]), judged["level"])
        verdict = with_conditions(own, self._result).as_dict()
        figures = [*self._figures(picture), *found.get("figures", ())]
        return {**found, "given": self._result.as_dict(), "verdict": verdict, "figures": figures}

    def _further_rows(self) -> list[MetricRow]:
        self.evaluation.log("Draws under held-out conditions")
        self._ensembles, self._conditions, self._result = self._judged()
        return [*self._result.rows(), *super()._further_rows()]

    def _looked_up(self) -> tuple[Tensor, Sampler]:
        """One draw under each held-out condition: under a training condition, it is near the sample that had it."""
        sampler = self.evaluation.sampler
        assert isinstance(sampler.conditions, ArrayConditions)
        _, given = self._real(len(self._heldout), heldout=True)
        own = replace(sampler, conditions=replace(sampler.conditions, wanted=ArrayReader(given)))
        drawn = own.vectors(len(given), seed=self.evaluation.settings.seed)
        return self._features.of(own.codec.encode(own.codec.decode(chunk)) for chunk in drawn), own

    def _judged(self) -> tuple[Ensembles, Values, GivenResult]:
        evaluation, codec = self.evaluation, self._codec
        seed, sampler = evaluation.settings.seed, evaluation.sampler
        conditions = sampler.conditions
        assert isinstance(conditions, ArrayConditions)
        numbers = math.prod(codec.without_masks(evaluation.source.shape))
        draws = max(FEWEST_DRAWS, min(DRAWS, MOST_NUMBERS // max(1, 10 * numbers)))
        cases = max(2, min(MOST_CASES, MOST_NUMBERS // (draws * numbers)))
        truth, given = self._real(cases, heldout=True)
        training, training_given = self._real(max(cases, draws), heldout=False)
        asked = replace(conditions, wanted=ArrayReader(given), draws=draws, is_ensemble=True)
        drawn = replace(sampler, conditions=asked).draw_ensembles(seed=seed)
        made = self._values(drawn.reshape(-1, *drawn.shape[2:])).reshape(*drawn.shape[:2], *truth.shape[1:])
        told, told_training = (_told(each, conditions.codec) for each in (given, training_given))
        unit, word = self._unit(training)
        on_grid = [interpolated(each, truth.shape[1:]) for each in (told, told_training)]
        shape = (-1, *[1] * (truth.ndim - 2))
        scale = unit.reshape(shape)
        both = None if on_grid[0] is None or on_grid[1] is None else (on_grid[0] / scale, on_grid[1] / scale)
        result = judge_ensembles(
            Ensembles(made, truth).in_units_of(unit),
            told,
            training=training / scale,
            training_conditions=told_training,
            interpolation=both,
            unit=word,
            seed=seed,
        )
        return Ensembles(made, truth), told, result

    def _real(self, count: int, *, heldout: bool) -> tuple[Values, NDArray[Any]]:
        """Real samples, channels first, and their conditions in the user's units, by seed."""
        source, seed = self.evaluation.source, self.evaluation.settings.seed
        if heldout and self.evaluation.others is not None:
            source = self.evaluation.others
            rows = random_positions(count, len(source), seed=seed)
        elif heldout:
            rows = source.split.heldout[random_positions(count, source.heldout_count, seed=seed)]
        else:
            rows = source.split.train_rows(random_positions(count, source.train_count, seed=seed))
        return self._values(_own(source, rows), source.codec), _conditions_of(source, rows).numpy()

    def _values(self, rows: NDArray[Any], codec: Any = None) -> Values:
        own = self._codec if codec is None else self._modality.own(codec)
        return channels_first(without_missing(rows, own), own.layout)

    def _unit(self, training: Values) -> tuple[Values, str]:
        """What errors are counted in: the samples' own unit; of several channels the deviation of each."""
        channels = training.shape[1]
        if channels == 1:
            return np.ones(1), "the unit of the samples"
        with np.errstate(invalid="ignore"):
            deviation = np.nanstd(np.moveaxis(training, 1, 0).reshape(channels, -1), axis=1)
        return np.where(deviation > 0, deviation, 1.0), "deviations of each channel"

    def _figures(self, picture: Picture) -> list[dict[str, str]]:
        from wassergan.plots import calibration_figure, given_figure, save_figure

        result, ensembles = self._result, self._ensembles

        def calibration(path: Any) -> None:
            ranks = result.ranks
            save_figure(calibration_figure(ranks.shares, ranks.low, ranks.high, result.curve), path)

        told = "Ranks of the truth among its draws, and how often events happen by their probability among the draws."
        found = [{"picture": picture("calibration.png", calibration), "caption": told}]
        if self._conditions.ndim != 4 or ensembles.truth.ndim != 4:
            return found

        def beside(path: Any) -> None:
            name = self._codec.named(ensembles.truth.shape[1])[0]
            name = name if ensembles.truth.shape[1] > 1 or self._codec.channels else ""
            save_figure(given_figure(_lines(ensembles, self._conditions), name=name), path)

        told = "Condition, truth, and draws under it; of held-out samples."
        return [{"picture": picture("given.png", beside), "caption": told}, *found]


class GivenGrids(_Given, GridEvaluator):
    """Pictures and fields under arrays."""


class GivenSeries(_Given, SeriesEvaluator):
    """Series under arrays."""


class GivenVectors(_Given):
    """Vectors under arrays."""


def _own(source: Source, rows: Tensor) -> NDArray[Any]:
    """Real samples in the user's units and type."""
    return source.values(rows).numpy().astype(source.codec.dtype, copy=False)


def _conditions_of(source: Source, rows: Tensor) -> Tensor:
    context = source.context
    assert isinstance(context, ArrayContext)
    return context.values(rows)


def _told(values: NDArray[Any], codec: Codec) -> Values:
    """Conditions, channels first, NaN where one is missing."""
    return channels_first(without_missing(values.astype(codec.dtype, copy=False), codec), codec.layout)


def _lines(ensembles: Ensembles, conditions: Values) -> list[list[tuple[str, Values]]]:
    """For some cases the maps of the first channel."""
    chosen = torch.linspace(0, len(conditions) - 1, min(SHOWN_CASES, len(conditions))).round().int().tolist()
    draws = range(min(SHOWN_DRAWS, ensembles.count))
    return [
        [
            ("condition", conditions[case, 0]),
            ("truth", ensembles.truth[case, 0]),
            *((f"draw {draw + 1}", ensembles.draws[case, draw, 0]) for draw in draws),
            ("mean of draws", ensembles.draws[case, :, 0].mean(0)),
        ]
        for case in chosen
    ]
