"""All that is measured of ensembles: beside interpolation, draws without conditions, and calibrated draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.given.ensembles import (
    Ensembles,
    Values,
    fair_crps,
    mean_of_cases,
    shuffled,
    spread_over_error,
    standard_error,
)
from wassergan.evaluation.given.fields import joint_distance, reliability, spectral_distance
from wassergan.evaluation.given.ranks import LEVEL, RankHistogram, rank_histogram

OWN_TRUTHS = 5  # draws that stand in the truth's place, one after the other, for a floor
FEATURES = "given"


@dataclass(frozen=True)
class GivenResult:
    """What was found of the draws under each condition.

    Attributes:
        crps: fair, in the mean over all cases; in the unit of the samples, or in deviations of the channels of several.
        crps_error: its standard error over cases.
        calibrated_crps: the same with draws in the truth's place: what these draws would get if they were calibrated.
        climatology_crps: of training samples in the draws' place, whatever the condition.
        interpolation_error: mean absolute error of the condition, interpolated bilinearly; None where it is no field.
        shuffled_ratio: CRPS of draws for other conditions over that of those for the right one.
        shuffled_excess: standard errors by which it is above 1.
        spread_over_error: 1 for calibrated draws, less for too narrow ones.
        ranks: the rank histogram.
        reliability: mean distance of the frequency of events from their probability.
        calibrated_reliability: the same with draws in the truth's place.
        curve: (K + 1, 3) of probabilities, frequencies and shares.
        spectrum: of fields: decibels from the truths' spectrum; `spectrum_floor` of as many training samples.
        joint: sliced W1 of samples and conditions together; `joint_floor` of training pairs.
        draws: for each condition.
        cases: conditions.
        unit: of errors.
    """

    crps: float
    crps_error: float
    calibrated_crps: float
    climatology_crps: float
    interpolation_error: float | None
    shuffled_ratio: float
    shuffled_excess: float
    spread_over_error: float
    ranks: RankHistogram
    reliability: float
    calibrated_reliability: float
    curve: Values
    spectrum: float | None
    spectrum_floor: float | None
    joint: float
    joint_floor: float
    draws: int
    cases: int
    unit: str

    @property
    def over_interpolation(self) -> float | None:
        """CRPS over the absolute error of interpolation."""
        error = self.interpolation_error
        return None if error is None or error <= 0 else self.crps / error

    def rows(self) -> list[MetricRow]:
        """As rows of the table of metrics."""
        crps = (
            f"fair, in {self.unit}; {self.draws} draws for each of {self.cases} held-out conditions; floor: draws "
            f"in the truth's place; {self.climatology_crps:.3g} of training samples whatever the condition"
        )
        error = f"bilinear interpolation of the condition errs by {self.interpolation_error or 0:.3g}, in {self.unit}"
        others = "CRPS under the conditions of others over CRPS; floor: as where conditions are ignored"
        within = f"share of the ranks of the truth among its draws that are in the band of {LEVEL:.0%}"
        spread = "deviation of the draws over the error of their mean; 1 for calibrated draws"
        events = "|probability - frequency| of values above quantiles; floor: draws in the truth's place"
        power = "decibels from the mean power of held-out fields, in the mean over wave numbers"
        both = "samples and conditions together, both alike in weight; floor: training pairs"
        found: list[tuple[str, str, float | None, float | None, str, str]] = [
            ("crps", "CRPS", self.crps, self.calibrated_crps, "near_floor", crps),
            ("crps_over_bilinear", "CRPS / error of interpolation", self.over_interpolation, 1.0, "lower", error),
            ("shuffled_ratio", "Shuffled conditions", self.shuffled_ratio, 1.0, "higher", others),
            ("ranks_within", "Rank histogram", self.ranks.within, LEVEL, "higher", within),
            ("spread_over_error", "Spread over error", self.spread_over_error, 1.0, "near_floor", spread),
            ("reliability", "Reliability", self.reliability, self.calibrated_reliability, "lower", events),
            ("spectrum_given", "Spectrum given the condition", self.spectrum, self.spectrum_floor, "lower", power),
            ("joint_w1", "Sliced W1 with conditions", self.joint, self.joint_floor, "lower", both),
        ]
        sizes = (self.draws * self.cases, self.cases)
        return [
            MetricRow(
                *(name, label, value, self.crps_error if name == "crps" else None, floor, None, better, FEATURES),
                *(*sizes, note),
            )
            for name, label, value, floor, better, note in found
            if value is not None
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, for `metrics.json`."""
        own = {name: value for name, value in vars(self).items() if name not in ("ranks", "curve")}
        return {
            **own,
            "over_interpolation": self.over_interpolation,
            "ranks": self.ranks.as_dict(),
            "reliability_curve": self.curve.tolist(),
        }


def judge_ensembles(
    ensembles: Ensembles,
    conditions: Values,
    *,
    training: Values,
    training_conditions: Values,
    interpolation: tuple[Values, Values] | None = None,
    unit: str = "their unit",
    seed: int,
) -> GivenResult:
    """Measure draws against truths.

    Args:
        ensembles: draws under held-out conditions, and truths.
        conditions: those, (n, ...), NaN where a value is missing.
        training: samples (m, C, ...), m at least the number of draws.
        training_conditions: theirs, (m, ...).
        interpolation: the held-out and the training conditions on the grid of the samples, (n, C, ...) and (m, C, ...).
        unit: of the numbers, in words.
        seed: of shuffles, ties and directions.
    """
    crps = fair_crps(ensembles)
    excess, ratio = _shuffled(ensembles, crps, seed)
    own = [ensembles.with_draw_as_truth(member) for member in _members(ensembles)] if ensembles.count > 2 else []
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(training), (len(ensembles.truth), ensembles.count))
    value, curve = reliability(ensembles)
    first, given, are_fields = ensembles.draws[:, 0], interpolation or (0.0, 0.0), ensembles.truth.ndim == 4
    some = rng.permutation(len(training))[: max(len(first), 2)]
    return GivenResult(
        crps=float(crps.mean()),
        crps_error=standard_error(crps),
        calibrated_crps=float(np.mean([fair_crps(each).mean() for each in own])) if own else 0.0,
        climatology_crps=float(fair_crps(Ensembles(training[chosen], ensembles.truth)).mean()),
        interpolation_error=None if interpolation is None else mean_error(interpolation[0], ensembles.truth),
        shuffled_ratio=ratio,
        shuffled_excess=excess,
        spread_over_error=spread_over_error(ensembles),
        ranks=rank_histogram(ensembles, seed=seed),
        reliability=value,
        calibrated_reliability=float(np.mean([reliability(each)[0] for each in own])) if own else 0.0,
        curve=curve,
        spectrum=spectral_distance(first, ensembles.truth) if are_fields else None,
        spectrum_floor=spectral_distance(training[some], ensembles.truth) if are_fields else None,
        joint=joint_distance(first - given[0], conditions, ensembles.truth - given[0], conditions, seed=seed),
        joint_floor=joint_distance(
            (training - given[1])[some],
            training_conditions[some],
            ensembles.truth - given[0],
            conditions,
            seed=seed,
        ),
        draws=ensembles.count,
        cases=len(ensembles.truth),
        unit=unit,
    )


def mean_error(values: Values, truth: Values) -> float:
    """Mean absolute error of a single forecast of each case, over cases as the CRPS is."""
    return float(mean_of_cases(np.abs(values - truth).reshape(len(truth), -1)).mean())


def _members(ensembles: Ensembles) -> range:
    return range(min(OWN_TRUTHS, ensembles.count))


def _shuffled(ensembles: Ensembles, crps: Values, seed: int) -> tuple[float, float]:
    """Standard errors by which shuffled conditions are worse, and the ratio of both scores."""
    if len(ensembles.truth) < 2:
        return 0.0, 1.0
    other = fair_crps(shuffled(ensembles, seed=seed))
    own = float(crps.mean())
    ratio = float(other.mean()) / own if own > 0 else np.inf
    if len(other) != len(crps):
        return 0.0, ratio
    difference = other - crps
    error = standard_error(difference)
    return (float(difference.mean()) / error if error > 0 else np.inf * float(np.sign(difference.mean()))), ratio
