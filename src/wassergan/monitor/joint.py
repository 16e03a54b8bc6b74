"""One exact p-value from several statistics of whole rows."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wassergan.monitor.pairwise import Energy
from wassergan.monitor.permutation import Floats, MeanOfLines, RankProducts, generator, random_labels
from wassergan.monitor.two_sample import principal_axes, projected, unit_vectors

MOST_AXES, MOST_PAIRS, MOST_PRINCIPAL = 32, 16, 4
MOST_PRODUCTS, MOST_COLUMNS = 512, 64  # of more columns nearly all pairs would be left out
_NEAR = 1e-9  # values that differ by less are equal


@dataclass(frozen=True)
class JointTest:
    """The result of `joint_test`.

    Attributes:
        p_value: exact; at least 1 / (1 + permutations).
        sliced: p-value of the mean of W1 along random directions by itself, which is exact too.
        largest: of the largest change: W1 along columns, pairs of columns, principal axes and random directions, and
            the mean product of the ranks of two columns, each standardised over the assignments.
        energy: of the energy statistic.
    """

    p_value: float
    sliced: float
    largest: float
    energy: float


def joint_test(rows: Floats, n: int, *, permutations: int, projections: int, seed: tuple[int, ...]) -> JointTest:
    """Test whether the first n of the pooled rows (N, d) have the distribution of the others.

    Sliced W1 sees broad changes, the largest change sees those of single columns, of tails and of how two columns go
    together, the energy distance what is left. The smallest of their p-values is compared with the smallest for every
    assignment, so that the choice among them is paid for exactly (Westfall and Young 1993).
    """
    directions, first_random = _directions(rows, projections, seed)
    lines, energy = MeanOfLines(projected(rows, directions)), Energy(rows)
    products = RankProducts(rows, _product_pairs(rows.shape[1], generator(*seed, 2)))
    first = (np.arange(len(rows)) < n)[None]
    along, together, energies = [lines.along(first)], [products.along(first)], [energy.of(first)]
    for labels in random_labels(n, len(rows) - n, permutations, generator(*seed, 0)):
        along.append(lines.along(labels))
        together.append(products.along(labels))
        energies.append(energy.of(labels))
    w1 = np.concatenate(along)
    changes = np.concatenate([_standardised(w1, lines.rounding(0.0)), _standardised(np.concatenate(together), 0.0)], 1)
    largest = changes.max(axis=1) if changes.size else np.zeros(len(w1))
    values = np.stack([w1[:, first_random:].mean(axis=1), largest, np.concatenate(energies)])
    floors = np.array([lines.rounding(0.0), _NEAR, energy.rounding(0.0)])
    ranks = np.stack([_p_values(each, floor) for each, floor in zip(values, floors, strict=True)])
    smallest = ranks.min(axis=0)
    p_value = float(np.mean(smallest <= smallest[0] * (1 + _NEAR)))
    return JointTest(p_value, *(float(each) for each in ranks[:, 0]))


def _standardised(values: Floats, rounding: float) -> Floats:
    """Each column of (B + 1, k) less its mean over its standard deviation, without those that no assignment changes."""
    means, deviations = values.mean(axis=0), values.std(axis=0)
    used = deviations > _NEAR * np.maximum(means, rounding)
    return np.asarray((values - means)[:, used] / deviations[used])


def _p_values(values: Floats, floor: float) -> Floats:
    """For each of B + 1 values the share of all that are at least as large, equal ones included."""
    ascending = np.sort(values)
    below = np.searchsorted(ascending, values - _NEAR * np.abs(values) - floor, side="left")
    return np.asarray((len(values) - below) / len(values), np.float64)


def _directions(rows: Floats, projections: int, seed: tuple[int, ...]) -> tuple[Floats, int]:
    """Unit vectors (k, d) that do not depend on what row is in which sample, and where the random ones begin."""
    dim = rows.shape[1]
    if dim == 1:
        return np.ones((1, 1)), 0
    rng = generator(*seed, 1)
    pairs = list(combinations(range(dim), 2)) if dim <= 64 else []
    picked = rng.permutation(len(pairs))[: MOST_PAIRS // 2]
    slanted = np.zeros((2 * len(picked), dim))
    for place, (one, other) in enumerate(pairs[k] for k in picked):
        slanted[2 * place : 2 * place + 2, one] = 1.0
        slanted[2 * place : 2 * place + 2, other] = 1.0, -1.0
    axes = np.eye(dim)[rng.permutation(dim)[:MOST_AXES]]
    parts = [axes, unit_vectors(slanted), principal_axes(rows)[:MOST_PRINCIPAL]]
    chosen = np.concatenate([*parts, unit_vectors(rng.standard_normal((projections, dim)))])
    return chosen, len(chosen) - projections


def _product_pairs(dim: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pairs of columns, (k, 2): all of them, or as many as fit, drawn at random; none of very many columns."""
    few = range(dim if dim <= MOST_COLUMNS else 0)
    pairs = np.array(list(combinations(few, 2)), np.int64).reshape(-1, 2)
    return pairs[rng.permutation(len(pairs))[:MOST_PRODUCTS]]
