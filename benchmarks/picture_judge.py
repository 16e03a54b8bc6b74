"""A judge of pictures that sees texture: features of a small classifier of real pictures, and numbers on them.

The classifier learns the labels of a data set once; its last hidden layer has 128 numbers. On these features stand
the Fréchet distance (Heusel et al. 2017, arXiv 1706.08500), the AUC of a logistic classifier two-sample test on rows
that it did not learn (0.5: not told apart), and precision, recall and coverage (k = 5; Kynkäänniemi et al. 2019,
arXiv 1904.06991; Naeem et al. 2020, arXiv 2002.09797). Fréchet distances of different data sets, or of classifiers
that were trained otherwise, do not compare: the row of real pictures gives each its scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from wassergan.distances import patch_sliced_w1, sliced_w1
from wassergan.evaluation import neighbour_metrics

FEATURES = 128
EPOCHS = 4
BATCH = 128
ROWS_AT_ONCE = 500


class Classifier(nn.Module):
    """Two convolutions of 3 x 3 with maxima over 2 x 2, a hidden layer of features, and one score per class."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(64 * (height // 4) * (width // 4), FEATURES), nn.ReLU()),
        )
        self.score = nn.Linear(FEATURES, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) to (n, classes)."""
        scores: Tensor = self.score(self.body(pictures))
        return scores

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) to (n, 128)."""
        return torch.cat([self.body(some) for some in pictures.split(ROWS_AT_ONCE)])

    @torch.no_grad()
    def labels(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) to the most likely class of each."""
        return self.score(self.features(pictures)).argmax(1)


def trained_classifier(
    pictures: Tensor, labels: Tensor, cache: Path | None = None, *, steps: int | None = None
) -> Classifier:
    """A classifier of pictures in [-1, 1], from `cache` if it was trained before."""
    torch.manual_seed(0)
    classifier = Classifier(tuple(pictures.shape[1:]), int(labels.max()) + 1)
    if cache is not None and cache.exists():
        classifier.load_state_dict(torch.load(cache, weights_only=True))
        return classifier.eval()
    steps = steps or max(2000, EPOCHS * len(pictures) // BATCH)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(pictures), (BATCH,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(classifier(pictures[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        torch.save(classifier.state_dict(), cache)
    return classifier.eval()


def accuracy_of(pictures: Tensor, labels: Tensor, tested: Tensor, tested_labels: Tensor) -> float:
    """The share of tested pictures whose labels a classifier of some others finds."""
    found = trained_classifier(pictures, labels).labels(tested)
    return float((found == tested_labels).double().mean())


def frechet_distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """‖m - n‖² + tr(A + B - 2 (AB)^½) of the means and covariances of two sets of rows."""
    first, second = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0)).sum()
    apart = left.mean(0) - right.mean(0)
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * cross)


def told_apart(real: NDArray[np.float64], drawn: NDArray[np.float64], *, seed: int = 0) -> float:
    """AUC of a logistic regression that learnt from half of the rows, on the other half."""
    rows = np.concatenate([real, drawn])
    rows = (rows - rows.mean(0)) / (rows.std(0) + 1e-6)
    labels = np.repeat([0, 1], [len(real), len(drawn)])
    order = np.random.default_rng(seed).permutation(len(rows))
    learn, test = order[: len(rows) // 2], order[len(rows) // 2 :]
    model = LogisticRegression(C=0.1, max_iter=300).fit(rows[learn], labels[learn])
    return float(roc_auc_score(labels[test], model.decision_function(rows[test])))


@dataclass(frozen=True)
class Verdict:
    """What the judge says of some pictures."""

    fid: float
    c2st_auc: float
    precision: float
    recall: float
    coverage: float
    sliced_w1: float
    patches: Mapping[str, float]  # by the longer side of each scale


class Judge:
    """Holds pictures in [-1, 1] against real ones that the classifier did not learn from.

    Args:
        classifier: gives the features.
        real: (n, C, H, W).
    """

    def __init__(self, classifier: Classifier, real: Tensor) -> None:
        self._classifier, self._real = classifier, real
        self._features = classifier.features(real)

    def verdict(self, drawn: Tensor) -> Verdict:
        """Of pictures (m, C, H, W); as many of each as there are of the fewer."""
        count = min(len(drawn), len(self._real))
        real, features = self._features[:count], self._classifier.features(drawn[:count])
        near = neighbour_metrics(real, features)
        rng = torch.Generator().manual_seed(0)
        pixels = sliced_w1(drawn.flatten(1), self._real.flatten(1), projections=256, rng=rng)
        patches = patch_sliced_w1(drawn, self._real, rng=0)
        sides = real.double().numpy(), features.double().numpy()
        return Verdict(
            fid=frechet_distance(*sides),
            c2st_auc=told_apart(*sides),
            precision=near.precision,
            recall=near.recall,
            coverage=near.coverage,
            sliced_w1=pixels.item(),
            patches={str(side): value for side, value in patches.scales.items()},
        )


def mean_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Each number averaged over sets of samples."""
    numbers = {
        each.name: float(np.mean([getattr(verdict, each.name) for verdict in verdicts]))
        for each in fields(Verdict)
        if each.name != "patches"
    }
    sides = {side: float(np.mean([each.patches[side] for each in verdicts])) for side in verdicts[0].patches}
    return Verdict(**numbers, patches=sides)
