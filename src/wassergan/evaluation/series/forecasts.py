"""How well draws that go on from the first half of series predict the second."""

from typing import cast

import numpy as np

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.given.ensembles import Ensembles, Values, fair_crps, standard_error
from wassergan.evaluation.given.judge import mean_error
from wassergan.evaluation.given.ranks import LEVEL, rank_histogram
from wassergan.evaluation.series.dynamics import spread

FEATURES = "forecasts"


def forecast_rows(draws: Values, truth: Values, past: Values, training: Values, *, seed: int) -> list[MetricRow]:
    """Rows of the table of metrics: CRPS, its share of that of series without a past, and the rank histogram.

    Args:
        draws: (n, K, C, H) of what follows each past; NaN where a value is missing.
        truth: (n, C, H) what did follow.
        past: (n, C, P).
        training: (m, C, P + H) whole series.
        seed: of ties, and of the training series that are taken for draws.
    """
    unit = spread(training)
    own = Ensembles(draws, truth).in_units_of(unit)
    crps, floor = fair_crps(own), float(fair_crps(own.with_draw_as_truth(0)).mean()) if own.count > 2 else None
    chosen = np.random.default_rng(seed).integers(0, len(training), draws.shape[:2])
    others = Ensembles(training[chosen][..., past.shape[2] :], truth).in_units_of(unit)
    blind = float(fair_crps(others).mean())
    kept = np.broadcast_to(_last(past)[:, :, None], truth.shape) / unit[:, None]
    told = (
        f"fair, in deviations of each channel; {own.count} draws for each of {len(truth)} held-out series, given their "
        f"first {past.shape[2]} steps; floor: a draw in the truth's place; the last value kept errs by "
        f"{mean_error(kept, own.truth):.3g}"
    )
    without = (
        f"climatology: training series in the draws' place, whatever the past ({blind:.3g}); 1: the past does not help"
    )
    within = f"share of the ranks of the truth among its draws that are in the band of {LEVEL:.0%}"
    mean, ranks = float(crps.mean()), rank_histogram(own, seed=seed).within
    ratio = mean / blind if blind > 0 else 1.0
    found: list[tuple[str, str, float, float | None, float | None, str, str]] = [
        ("crps", "CRPS", mean, standard_error(crps), floor, "near_floor", told),
        ("crps_over_climatology", "CRPS over climatology", ratio, None, 1.0, "lower", without),
        ("ranks", "rank histogram", ranks, None, LEVEL, "higher", within),
    ]
    sizes = (own.count * len(truth), len(truth))
    return [
        MetricRow(f"forecast_{name}", f"Forecast, {label}", value, error, least, None, better, FEATURES, *sizes, note)
        for name, label, value, error, least, better, note in found
    ]


def _last(past: Values) -> Values:
    """The last value that is there of pasts (n, C, P), (n, C); NaN where there is none."""
    steps = np.where(np.isnan(past), -1, np.arange(past.shape[2])).max(2)
    last = np.take_along_axis(past, np.maximum(steps, 0)[:, :, None], 2)[:, :, 0]
    return cast(Values, np.where(steps >= 0, last, np.nan))
