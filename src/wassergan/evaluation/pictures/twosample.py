"""Convolutional classifier two-sample test: can a small network separate generated from real pictures?"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.evaluation.evaluate import MetricRow
from wassergan.evaluation.pictures.convnet import in_chunks, trained_classifier
from wassergan.evaluation.pictures.populations import PicturePopulations
from wassergan.evaluation.twosample import TwoSampleTest

STEPS = 250  # of each network
NAME = "conv_c2st_auc"
NOTE = f"a network of three convolutions, at most {STEPS} steps, halves by turns; 0.5: nobody can tell; DeLong error"


def convolutional_two_sample(real: Tensor, fake: Tensor, *, seed: int, steps: int = STEPS) -> TwoSampleTest:
    """AUC, on the half that it was not trained on, of a small convolutional network; both halves by turns.

    Sources: Lopez-Paz and Oquab 2017, arXiv 1610.06545; the error is DeLong's (1988), halves taken as independent.

    Args:
        real: pictures (n, C, H, W), n ≥ 4.
        fake: pictures (m, C, H, W), m ≥ 4.
        seed: of the halves, the weights and the batches.
        steps: of each network.
    """
    rng = torch.Generator().manual_seed(seed)
    halves = [torch.randperm(len(each), generator=rng) % 2 for each in (real, fake)]
    areas, variances = [], []
    for half in (0, 1):
        seen = [each[own != half] for each, own in zip((real, fake), halves, strict=True)]
        unseen = [each[own == half] for each, own in zip((real, fake), halves, strict=True)]
        labels = torch.repeat_interleave(torch.arange(2), torch.tensor([len(each) for each in seen]))
        net = trained_classifier(torch.cat(seen), labels, 2, steps=steps, rng=rng)
        scores = [in_chunks(net, each).diff(dim=1)[:, 0].double().numpy() for each in unseen]
        area, variance = area_under_curve(*scores)
        areas.append(area)
        variances.append(variance)
    return TwoSampleTest(float(np.mean(areas)), math.sqrt(sum(variances)) / 2)


def area_under_curve(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> tuple[float, float]:
    """P(lower < upper) + P(lower = upper) / 2 of independent scores, and its variance (DeLong et al. 1988)."""
    from scipy.stats import rankdata  # half a second to import

    n, m = len(lower), len(upper)
    ranks = rankdata(np.concatenate([lower, upper]))
    placed_lower = 1 - (ranks[:n] - rankdata(lower)) / m
    placed_upper = (ranks[n:] - rankdata(upper)) / n
    variance = placed_lower.var(ddof=1) / n + placed_upper.var(ddof=1) / m
    return float(placed_upper.mean()), float(variance)


def two_sample_row(populations: PicturePopulations, *, seed: int) -> MetricRow:
    """Generated against held-out pictures, and training pictures against the same; equal counts."""
    every = (populations.generated, populations.training, populations.heldout)
    count = min(len(each.samples) for each in every)
    fake, seen, real = (each.samples[:count] for each in every)
    found, floor = (convolutional_two_sample(real, each, seed=seed) for each in (fake, seen))
    return MetricRow(
        name=NAME,
        label="Convolutional two-sample test, AUC",
        value=found.auc,
        error=found.standard_error,
        floor=floor.auc,
        floor_error=floor.standard_error,
        better="lower",
        features="pictures",
        generated=count,
        reference=count,
        note=NOTE,
    )
