"""Autocorrelation, cross-correlation, spectrum and increments of series, each as W1 beside its floor."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """Series (n, C, T) in their own units, NaN where a value is missing.

    Args:
        generated: series.
        training: series.
        heldout: real ones that were not trained on.
        lengths: steps of each of the three kinds, (n, 1) each; None where all are of one length.
    """

    generated: Series
    training: Series
    heldout: Series
    lengths: tuple[Series, Series, Series] | None = None


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
    found = [(each, tuple(each.describe(side, unit) for side in (fake, seen, real))) for each in DYNAMICS]
    if populations.lengths is not None:
        own, trained, heldout = populations.lengths
        found.append((LENGTH, (own, trained[: len(own)], heldout)))
    rows = (_row(each, *sides, counts=(len(fake), len(real))) for each, sides in found)
    return [row for row in rows if row is not None]


def _row(each: Dynamics, own: Series, seen: Series, real: Series, *, counts: tuple[int, int]) -> MetricRow | None:
    """A metric of described samples; None where they have no such statistic."""
    value, floor = mean_w1(own, real), mean_w1(seen, real)
    if np.isnan(value) or np.isnan(floor):
        return None
    return MetricRow(
        *(each.name, each.label, value, None, floor, None, "lower", FEATURES, *counts),
        note=f"W1 of each, averaged; {each.unit}",
        floor_spread=_floor_spread(seen, real),
    )


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
        kept: Series = rows[np.arange(len(rows)) % JACKKNIFE != part]
        return kept

    found = np.array([mean_w1(without(seen, part), without(real, part)) for part in range(JACKKNIFE)])
    return float(np.sqrt((JACKKNIFE - 1) * found.var()))


def spread(series: Series) -> Series:
    """The standard deviation of each channel, (C,); 1 where it does not vary."""
    with _quiet():
        found = np.nanstd(series, axis=(0, 2))
    return np.where(found > 0, found, 1.0)


def autocorrelations(series: Series, unit: Series | None = None) -> Series:
    """Of each series and channel at the lags from 1 on, (n, C, L); NaN for series that do not vary.

    About the mean of what is there, over its variance. Sums are over all steps, so that the few products at long lags
    weigh little, as is usual.
    """
    steps = series.shape[2]
    lags = range(1, min(MOST_LAGS, max(1, steps // 2)) + 1) if steps > 2 else range(0)
    found = np.zeros((*series.shape[:2], len(lags)))
    with _quiet():
        centred = series - np.nanmean(series, axis=2, keepdims=True)
        variance = np.nanmean(centred**2, axis=2)
        # A series that moves by rounding alone does not vary.
        scale = np.nanmax(np.abs(series), axis=2)
        variance = np.where(variance > (1e-9 * scale) ** 2, variance, np.nan)
        for index, lag in enumerate(lags):
            products = centred[:, :, lag:] * centred[:, :, : steps - lag]
            found[:, :, index] = np.nansum(products, axis=2) / steps / variance
    return found


def cross_correlations(series: Series, unit: Series) -> Series:
    """Of each series for every pair of channels at one time, (n, P); NaN where one of them does not vary."""
    pairs = list(combinations(range(series.shape[1]), 2))[:MOST_PAIRS] if series.shape[2] > 2 else []
    found = np.zeros((len(series), len(pairs)))
    with _quiet():
        centred = series - np.nanmean(series, axis=2, keepdims=True)
        deviation = np.nanstd(series, axis=2)
        deviation = np.where(deviation > 1e-9 * unit, deviation, np.nan)
        for index, (a, b) in enumerate(pairs):
            together = np.nanmean(centred[:, a] * centred[:, b], axis=1)
            found[:, index] = together / (deviation[:, a] * deviation[:, b])
    return found


def amplitudes(series: Series, unit: Series) -> Series:
    """Of each series and channel at the frequencies above 0, (n, C, F), in deviations of the channel.

    |Σ x e^(-iωt)| / √T over the channel's deviation: white noise has a root mean square of 1 at every frequency.
    Missing values count as the mean of their series.
    """
    steps = series.shape[2]
    with _quiet():
        centred = np.nan_to_num(series - np.nanmean(series, axis=2, keepdims=True), nan=0.0)
    spectrum = np.abs(np.fft.rfft(centred, axis=2))[:, :, 1 : MOST_FREQUENCIES + 1]
    found: Series = spectrum / steps**0.5 / unit[:, None]
    return found


def increments(series: Series, unit: Series) -> Series:
    """All changes from step to step as rows, (n (T - 1), C), in deviations of the channel."""
    found: Series = np.moveaxis(np.diff(series, axis=2), 1, 2).reshape(-1, series.shape[1]) / unit
    return found


def _flat(describe: Callable[[Series, Series], Series]) -> Callable[[Series, Series], Series]:
    return lambda series, unit: describe(series, unit).reshape(len(series), -1)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is missing throughout
        yield


DYNAMICS = (
    Dynamics("autocorrelation_w1", "Autocorrelation, W1", "correlations of single series", _flat(autocorrelations)),
    Dynamics("cross_correlation_w1", "Cross-correlation, W1", "correlations of single series", cross_correlations),
    Dynamics("spectrum_w1", "Spectrum, W1", "amplitudes in deviations of the channel", _flat(amplitudes)),
    Dynamics("increments_w1", "Increments, W1", "deviations of the channel", increments),
)
LENGTH = Dynamics("length_w1", "Length, W1", "steps", lambda lengths, unit: lengths)
