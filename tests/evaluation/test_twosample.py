import math

import numpy as np
import pytest
import torch

from wassergan.errors import UserError
from wassergan.evaluation.twosample import classifier_two_sample


def normal(mean: float, count: int = 300, dim: int = 1, *, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, size=(count, dim)))


def test_normals_apart_are_told_by_the_area_of_the_best_threshold() -> None:
    # For N(0, 1) and N(1, 1) no classifier exceeds an AUC of Φ(1 / √2); trees on few rows fall a little short.
    best = 0.5 * (1 + math.erf(0.5))
    found = classifier_two_sample(normal(0, 2000, seed=0), normal(1, 2000, seed=1))
    assert best - 0.05 < found.auc < best + 0.02
    assert 0 < found.standard_error < 0.03


def test_samples_of_one_law_cannot_be_told_apart_and_disjoint_ones_always() -> None:
    found = classifier_two_sample(normal(0, seed=0), normal(0, seed=1))
    assert abs(found.auc - 0.5) < 0.1
    assert classifier_two_sample(normal(0, seed=0), normal(50, seed=1)).auc > 0.98


def test_many_features_are_judged_on_their_leading_components() -> None:
    # The difference lies in one direction of large variance, which the components keep.
    real, fake = normal(0, 200, 100, seed=0), normal(0, 200, 100, seed=1)
    fake += 20
    assert classifier_two_sample(real, fake).auc > 0.98


def test_the_seed_decides_the_folds() -> None:
    real, fake = normal(0, 60, 2, seed=0), normal(0.5, 60, 2, seed=1)
    assert classifier_two_sample(real, fake, seed=3) == classifier_two_sample(real, fake, seed=3)
    assert classifier_two_sample(real, fake, seed=3) != classifier_two_sample(real, fake, seed=4)


def test_wrong_features_are_refused() -> None:
    with pytest.raises(UserError, match="in 5 folds needs 5 samples on each side: 4 and 9"):
        classifier_two_sample(torch.zeros(4, 2), torch.zeros(9, 2))
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\) and \(3,\)"):
        classifier_two_sample(torch.zeros(9, 2), torch.zeros(9, 3))
