"""Whole samples given their conditions: probabilities of events, spectra, and both together along directions."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wassergan.distances import sliced_w1
from wassergan.evaluation.given.ensembles import Ensembles, Values

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the truths, above which an event lies
PROJECTIONS = 256
TINY = 1e-12  # of the mean power: what rounding leaves is no power


def interpolated(conditions: Values, shape: tuple[int, ...]) -> Values | None:
    """Conditions (n, C, h, w) on the grid of samples (C, H, W), bilinearly; None where they are no fields like them."""
    if conditions.ndim != 4 or len(shape) != 3 or conditions.shape[1] != shape[0]:
        return None
    fields, (height, width) = torch.from_numpy(conditions), shape[1:]
    smaller = (min(height, fields.shape[2]), min(width, fields.shape[3]))
    fields = functional.adaptive_avg_pool2d(fields, smaller)  # means over cells to fewer rows or columns
    on_grid = functional.interpolate(fields, (height, width), mode="bilinear", align_corners=False)
    found: Values = on_grid.numpy()
    return found


def reliability(ensembles: Ensembles) -> tuple[float, NDArray[np.float64]]:
    """How far the frequency of events is from their probability among the draws, and the curve.

    Events are values above quantiles of the truths, of each channel by itself.

    Returns:
        The mean of |probability - frequency| over all forecasts; and (K + 1, 3) for each number of draws above: the
        probability, the frequency of the event, and the share of the forecasts.
    """
    draws, truth, count = ensembles.draws, ensembles.truth, ensembles.count
    channels = truth.shape[1]
    flat_draws, flat_truth = draws.reshape(*draws.shape[:3], -1), truth.reshape(len(truth), channels, -1)
    hits, cases = np.zeros(count + 1), np.zeros(count + 1)
    for channel in range(channels):
        own, real = flat_draws[:, :, channel], flat_truth[:, channel]
        there = ~(np.isnan(own).any(1) | np.isnan(real))
        if not there.any():
            continue
        for level in np.quantile(real[there], QUANTILES):
            above = (own > level).sum(1)[there]
            cases += np.bincount(above, minlength=count + 1)
            hits += np.bincount(above, weights=(real > level)[there], minlength=count + 1)
    chances = np.arange(count + 1) / count
    frequency = np.divide(hits, cases, out=chances.copy(), where=cases > 0)
    shares = cases / max(cases.sum(), 1)
    return float(shares @ np.abs(chances - frequency)), np.stack([chances, frequency, shares], axis=1)


def spectra(fields: Values) -> Values:
    """The mean power of fields (n, C, H, W) at whole wave numbers from 1 on, (C, W'), about the mean of each field."""
    fields = np.nan_to_num(fields - np.nanmean(fields, axis=(2, 3), keepdims=True))
    power = np.square(np.abs(np.fft.rfft2(fields))).mean(0)
    height, width = fields.shape[2:]
    down, across = np.fft.fftfreq(height) * height, np.arange(power.shape[2])
    shorter = min(height, width)
    radius = np.hypot(down[:, None] * shorter / height, across[None] * shorter / width).round().astype(np.int64)
    last = shorter // 2
    found = [power[:, radius == each].mean(1) for each in range(1, last + 1)]
    stacked: Values = np.stack(found, axis=1) if found else np.zeros((fields.shape[1], 0))
    return stacked


def spectral_distance(fields: Values, real: Values) -> float:
    """The mean of |10 log10(power / power of real ones)| over wave numbers and channels, in decibels."""
    own, other = spectra(fields), spectra(real)
    floor = TINY * max(float(other.mean()), 1e-300) if other.size else 0.0
    return float(np.abs(10 * np.log10((own + floor) / (other + floor))).mean()) if other.size else 0.0


def joint_distance(samples: Values, conditions: Values, real: Values, real_conditions: Values, *, seed: int) -> float:
    """Sliced W1 of samples and conditions together from real pairs, each divided by its real deviation.

    Both sides weigh alike in a random direction, whatever their numbers. Samples (n, ...) are taken less what their
    conditions say by interpolation, where that is known.
    """
    scales = [float(np.nanstd(each)) or 1.0 for each in (real, real_conditions)]

    def both(own: Values, given: Values) -> torch.Tensor:
        parts = [np.nan_to_num(each.reshape(len(each), -1)) for each in (own, given)]
        scaled = [part / scale / part.shape[1] ** 0.5 for part, scale in zip(parts, scales, strict=True)]
        return torch.from_numpy(np.concatenate(scaled, axis=1))

    rng = torch.Generator().manual_seed(seed)
    sides = (both(samples, conditions), both(real, real_conditions))
    # Directions of both parts of length 1 each, so that a projection has the size of one standard deviation.
    found: float = sliced_w1(*sides, projections=PROJECTIONS, rng=rng).item() * sides[0].shape[1] ** 0.5
    return found
