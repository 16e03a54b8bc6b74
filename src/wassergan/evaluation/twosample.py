"""Classifier two-sample test: can a classifier separate generated from real samples?"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wassergan.errors import UserError

FOLDS, TREES = 5, 100
LARGEST_DIM = 64  # features that the trees see; beyond it the leading principal components
CLASSIFIER = "gradient-boosted trees"


@dataclass(frozen=True)
class TwoSampleTest:
    """How well a classifier separates two samples on rows that it was not trained on.

    Attributes:
        auc: area under the receiver operating characteristic; ½ means not at all, 1 always.
        standard_error: from the spread over the folds.
    """

    auc: float
    standard_error: float


def classifier_two_sample(real: Tensor, fake: Tensor, *, seed: int = 0) -> TwoSampleTest:
    """Cross-validated AUC of gradient-boosted trees between real and generated features.

    The trees see the 64 leading principal components of both samples together where there are more features.
    Source: Lopez-Paz and Oquab 2017, arXiv 1610.06545 (there accuracy; an AUC needs no threshold).

    Args:
        real: features (n, d), n ≥ 5.
        fake: features (m, d), m ≥ 5; as many as of the real ones make the easiest reading.
        seed: of the folds.

    Raises:
        UserError: too few samples, or different dimensions.
    """
    if min(len(real), len(fake)) < FOLDS:
        raise UserError(
            f"A test in {FOLDS} folds needs {FOLDS} samples on each side", found=f"{len(real)} and {len(fake)}"
        )
    if real.shape[1:] != fake.shape[1:]:
        raise UserError("Features differ in shape", found=f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}")
    from sklearn.ensemble import HistGradientBoostingClassifier  # a second to import
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    inputs = _leading(torch.cat([real.double().flatten(1), fake.double().flatten(1)])).numpy()
    labels = np.repeat([0, 1], [len(real), len(fake)])
    areas = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(inputs, labels):
        trees = HistGradientBoostingClassifier(max_iter=TREES, random_state=seed % 2**32, early_stopping=False)
        trees.fit(inputs[train], labels[train])
        areas.append(roc_auc_score(labels[test], trees.predict_proba(inputs[test])[:, 1]))
    return TwoSampleTest(float(np.mean(areas)), float(np.std(areas, ddof=1) / FOLDS**0.5))


def _leading(features: Tensor) -> Tensor:
    """The leading principal components; they do not depend on the labels, so nothing leaks between folds."""
    if features.shape[1] <= LARGEST_DIM:
        return features
    centred = features - features.mean(0)
    leading: Tensor = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -LARGEST_DIM:]
    return leading
