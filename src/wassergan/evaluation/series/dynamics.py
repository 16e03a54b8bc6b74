"""Autocorrelation, cross-correlation, spectrum and increments of series, each as W1 beside its floor."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wassergan.evaluation.evaluate import JACKKNIFE, MetricRow

FEATURES = "series"
MOST_LAGS, MOST_FREQUENCIES, MOST_PAIRS = 64, 64, 120
Series = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesPopulations:
    """Generated, training and held-out series (n, C, T) in their own units, NaN where a value is missing."""

    generated: Series
    training: Series
    heldout: Series


@dataclass(frozen=True)
class Dynamics:
    """One metric: statistics of each series, (n, K) of (n, C, T), whose distributions are compared one by one.

    Args:
        name: for programs.
        label: for people.
        unit: of the statistics.
        describe: the statistics of series; the second argument is the deviation of each channel of the real ones.
    """

    name: str
    label: str
    unit: str
    describe: Callable[[Series, Series], Series]


def dynamics_rows(populations: SeriesPopulations) -> list[MetricRow]:
    """Every metric that the series admit: W1 of each statistic between two samples, averaged over the statistics."""
    real, unit = populations.heldout, spread(populations.heldout)
    fake, seen = populations.generated, populations.training[: len(populations.generated)]
    rows = []
    for each in DYNAMICS:
        described = [each.describe(side, unit) for side in (fake, real, seen)]
        if not described[0].shape[1]:
            continue
        value, floor = mean_w1(described[0], described[1]), mean_w1(described[2], described[1])
        if np.isnan(value) or np.isnan(floor):
            continue
        rows.append(
            MetricRow(
                *(each.name, each.label, value, None, floor, None, "lower", FEATURES, len(fake), len(real)),
                note=f"W1 of each, averaged; {each.unit}",
                floor_spread=_floor_spread(described[2], described[1]),
            )
        )
    return rows


def mean_w1(left: Series, right: Series) -> float:
    """W1 between the columns of two samples (n, K) and (m, K), averaged over the columns that both have; NaN if none.

    W1 on the line is the area between quantile functions; values that are NaN are left out, column by column.
    """
    found = [_w1(each[~np.isnan(each)], other[~np.isnan(other)]) for each, other in zip(left.T, right.T, strict=True)]
    there = [each for each in found if each is not None]
    return float(np.mean(there)) if there else float("nan")


def _w1(left: Series, right: Series) -> float | None:
    if not left.size or not right.size:
        return None
    left, right = np.sort(left), np.sort(right)
    if len(left) == len(right):
        return float(np.abs(left - right).mean())
    places = np.sort(np.concatenate([left, right]))
    shares = (np.searchsorted(each, places[:-1], side="right") / len(each) for each in (left, right))
    return float((np.abs(np.subtract(*shares)) * np.diff(places)).sum())


def _floor_spread(seen: Series, real: Series) -> float:
    """The standard error of a floor over draws of the data: delete-a-tenth jackknife of both samples."""

    def without(rows: Series, part: int) -> Series:
        return rows[np.arange(len(rows)) % JACKKNIFE != part]

    found = np.array([mean_w1(without(seen, part), without(real, part)) for part in range(JACKKNIFE)])
    return float(np.sqrt((JACKKNIFE - 1) * found.var()))


def spread(series: Series) -> Series:
    """The standard deviation of each channel, (C,); 1 where it does not vary."""
    found = _quietly(lambda: np.nanstd(series, axis=(0, 2)))
    return np.where(found > 0, found, 1.0)


def autocorrelations(series: Series, unit: Series | None = None) -> Series:
    """Of each series and channel at the lags from 1 on, (n, C, L); NaN for series that do not vary.

    Of what is left of a series on both sides of a lag: about its mean, over its variance.
    """
    steps = series.shape[2]
    centred = series - _quietly(lambda: np.nanmean(series, axis=2, keepdims=True))
    variance = _quietly(lambda: np.nanmean(centred**2, axis=2))
    # A series that moves by rounding alone does not vary.
    scale = _quietly(lambda: np.nanmax(np.abs(series), axis=2))
    variance = np.where(variance > (1e-9 * scale) ** 2, variance, np.nan)
    lags = range(1, min(MOST_LAGS, max(1, steps // 2)) + 1) if steps > 2 else range(0)
    # Over all steps, so that few products at long lags weigh little, as is usual.
    found = [
        _quietly(lambda lag=lag: np.nansum(centred[:, :, lag:] * centred[:, :, : steps - lag], axis=2) / steps)
        / variance
        for lag in lags
    ]
    return np.stack(found, 2) if found else np.zeros((*series.shape[:2], 0))


def cross_correlations(series: Series, unit: Series) -> Series:
    """Of each series for every pair of channels at one time, (n, P); NaN where one of them does not vary."""
    pairs = list(combinations(range(series.shape[1]), 2))[:MOST_PAIRS]
    if not pairs or series.shape[2] < 3:
        return np.zeros((len(series), 0))
    centred = series - _quietly(lambda: np.nanmean(series, axis=2, keepdims=True))
    deviation = _quietly(lambda: np.nanstd(series, axis=2))
    deviation = np.where(deviation > 1e-9 * unit, deviation, np.nan)
    found = [
        _quietly(lambda a=a, b=b: np.nanmean(centred[:, a] * centred[:, b], axis=1))
        / (deviation[:, a] * deviation[:, b])
        for a, b in pairs
    ]
    return np.stack(found, 1)


def amplitudes(series: Series, unit: Series) -> Series:
    """Of each series and channel at the frequencies above 0, (n, C, F), in deviations of the channel.

    |Σ x e^(-iωt)| / √T over the channel's deviation: white noise has a root mean square of 1 at every frequency.
    Missing values count as the mean of their series.
    """
    steps = series.shape[2]
    centred = series - _quietly(lambda: np.nanmean(series, axis=2, keepdims=True))
    spectrum = np.abs(np.fft.rfft(np.nan_to_num(centred, nan=0.0), axis=2))[:, :, 1 : MOST_FREQUENCIES + 1]
    return spectrum / steps**0.5 / unit[:, None]


def increments(series: Series, unit: Series) -> Series:
    """All changes from step to step as rows, (n (T - 1), C), in deviations of the channel."""
    return np.moveaxis(np.diff(series, axis=2), 1, 2).reshape(-1, series.shape[1]) / unit


def _flat(describe: Callable[[Series, Series], Series]) -> Callable[[Series, Series], Series]:
    return lambda series, unit: describe(series, unit).reshape(len(series), -1)


def _quietly(compute: Callable[[], Series]) -> Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is missing throughout
        return compute()


DYNAMICS = (
    Dynamics("autocorrelation_w1", "Autocorrelation, W1", "correlations of single series", _flat(autocorrelations)),
    Dynamics("cross_correlation_w1", "Cross-correlation, W1", "correlations of single series", cross_correlations),
    Dynamics("spectrum_w1", "Spectrum, W1", "amplitudes in deviations of the channel", _flat(amplitudes)),
    Dynamics("increments_w1", "Increments, W1", "deviations of the channel", increments),
)
