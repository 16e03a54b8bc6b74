import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.errors import UserError
from wassergan.evaluation.neighbours import neighbour_metrics


def brute_force(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """The definitions of Kynkäänniemi et al. 2019 and Naeem et al. 2020, sample by sample."""

    def radius(points: np.ndarray, i: int) -> float:
        return sorted(float(np.linalg.norm(points[i] - points[j])) for j in range(len(points)) if j != i)[k - 1]

    reach_real = [radius(real, i) for i in range(len(real))]
    reach_fake = [radius(fake, j) for j in range(len(fake))]
    near = [[float(np.linalg.norm(x - y)) for y in fake] for x in real]
    inside = [[near[i][j] < reach_real[i] for j in range(len(fake))] for i in range(len(real))]
    precision = np.mean([any(inside[i][j] for i in range(len(real))) for j in range(len(fake))])
    recall = np.mean([any(near[i][j] < reach_fake[j] for j in range(len(fake))) for i in range(len(real))])
    density = np.mean([sum(inside[i][j] for i in range(len(real))) / k for j in range(len(fake))])
    coverage = np.mean([any(row) for row in inside])
    return float(precision), float(recall), float(density), float(coverage)


@given(seed=st.integers(0, 50), k=st.integers(1, 4), shift=st.floats(0, 3))
def test_the_metrics_are_those_of_their_definitions(seed: int, k: int, shift: float) -> None:
    numbers = np.random.default_rng(seed)
    real, fake = numbers.normal(size=(12, 2)), numbers.normal(size=(9, 2)) + shift
    metrics = neighbour_metrics(torch.from_numpy(real), torch.from_numpy(fake), neighbours=k)
    told = (metrics.precision, metrics.recall, metrics.density, metrics.coverage)
    assert told == pytest.approx(brute_force(real, fake, k))


def test_real_is_the_first_argument() -> None:
    # Fakes that sit on one mode of two: all of them are good, half of the real distribution is missing.
    numbers = np.random.default_rng(0)
    real = torch.from_numpy(np.concatenate([numbers.normal(size=(40, 2)), numbers.normal(size=(40, 2)) + 100]))
    fake = torch.from_numpy(numbers.normal(size=(80, 2)) * 0.5)
    metrics = neighbour_metrics(real, fake)
    assert metrics.precision > 0.95 and metrics.recall < 0.55 and metrics.coverage < 0.55


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    real, fake = torch.from_numpy(numbers.normal(size=(30, 3))), torch.from_numpy(numbers.normal(size=(25, 3)))
    whole = neighbour_metrics(real, fake)
    monkeypatch.setattr("wassergan.evaluation.neighbours.BLOCK_BYTES", 7 * 8 * 25)
    assert neighbour_metrics(real, fake) == whole


def test_too_few_samples_and_other_dimensions_are_refused() -> None:
    with pytest.raises(UserError, match=r"k = 5 need more than 5 samples on each side: 5 real and 9 generated"):
        neighbour_metrics(torch.zeros(5, 2), torch.zeros(9, 2))
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\) and \(3,\)"):
        neighbour_metrics(torch.zeros(9, 2), torch.zeros(9, 3))


def test_duplicates_do_not_count_as_closer_than_duplicates() -> None:
    # Every real sample eleven times: its ball has radius 0 and holds nothing, not even an equal fake.
    real = torch.arange(4.0).repeat_interleave(11)[:, None]
    metrics = neighbour_metrics(real, torch.arange(4.0).repeat_interleave(11)[:, None] + 0.0)
    assert (metrics.precision, metrics.recall, metrics.density, metrics.coverage) == (0, 0, 0, 0)


def test_a_collapsed_generator_has_high_precision_and_low_recall() -> None:
    numbers = np.random.default_rng(0)
    real = torch.from_numpy(numbers.normal(size=(400, 2)))
    fake = torch.from_numpy(0.01 * numbers.normal(size=(400, 2)))
    metrics = neighbour_metrics(real, fake)
    assert metrics.precision > 0.95 and metrics.recall < 0.05 and metrics.coverage < 0.1


@pytest.mark.slow
def test_pictures_give_what_slow_distances_give() -> None:
    # The digits have whole grey levels: equal distances are common.
    from wassergan.data import open_source

    source = open_source("digits")
    real, fake = source.train(torch.arange(700)).flatten(1), source.train(torch.arange(700, 1400)).flatten(1)
    metrics = neighbour_metrics(real, fake, neighbours=3)
    expected = brute_force(real.double().numpy(), fake.double().numpy(), 3)
    assert (metrics.precision, metrics.recall, metrics.density, metrics.coverage) == pytest.approx(expected)
