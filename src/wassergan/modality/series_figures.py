"""Series as figures take them, and the figures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wassergan.data import Codec, channels_first
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Rows

LEAST_STEPS = 4  # of series whose autocorrelation and spectrum are drawn


def in_channels(samples: Rows, codec: Codec) -> NDArray[np.float64]:
    """Series as (n, C, T) in their own units, with NaN where a value is missing."""
    return channels_first(without_missing(samples, codec), codec.layout)


def save_series(generated: Rows, real: Rows | None, names: tuple[str, ...], path: Path) -> None:
    """Some series, real ones beside them, and the fans of both."""
    from wassergan.plots import save_figure, series_figure

    save_figure(series_figure(generated, real, names=names), path)


def save_forecast(past: Rows, draws: Rows, names: tuple[str, ...], path: Path) -> None:
    """Pasts (n, C, P), and the fan of the draws (n, K, C, H) behind each."""
    from wassergan.plots import forecast_figure, save_figure

    save_figure(forecast_figure(past, draws, names=names), path)


def save_autocorrelation(generated: Rows, real: Rows, names: tuple[str, ...], path: Path) -> None:
    """The autocorrelation of each channel over the lags."""
    from wassergan.evaluation.series.dynamics import autocorrelations
    from wassergan.plots import curves_by_channel_figure, save_figure

    own, other = autocorrelations(generated), autocorrelations(real)
    lags = np.arange(1, own.shape[2] + 1, dtype=float)
    figure = curves_by_channel_figure(lags, own, other, names=names, across="lag", up="autocorrelation")
    save_figure(figure, path)


def save_spectrum(generated: Rows, real: Rows, names: tuple[str, ...], path: Path) -> None:
    """The amplitude of each channel over the frequencies."""
    from wassergan.evaluation.series.dynamics import amplitudes, spread
    from wassergan.plots import curves_by_channel_figure, save_figure

    unit = spread(real)
    own, other = amplitudes(generated, unit), amplitudes(real, unit)
    places = np.arange(1, own.shape[2] + 1) / generated.shape[2]
    figure = curves_by_channel_figure(
        places, own, other, names=names, across="cycles per step", up="amplitude (deviations)", log=True
    )
    save_figure(figure, path)
