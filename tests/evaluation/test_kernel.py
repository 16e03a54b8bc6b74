from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from wassergan.errors import UserError
from wassergan.evaluation.kernel import kernel_distance


def brute_force(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate of Gretton et al. 2012, pair by pair."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    n, m = len(real), len(fake)
    within_real = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_fake = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_real + within_fake - 2 * sum(kernel(x, y) for x in real for y in fake) / (n * m)


def pair(n: int = 9, m: int = 13) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(n, 4)), numbers.normal(size=(m, 4)) + 0.3


def test_it_is_the_mean_over_pairs_of_distinct_samples() -> None:
    real, fake = pair()
    found = kernel_distance(torch.from_numpy(real), torch.from_numpy(fake))
    assert found.value == pytest.approx(brute_force(real, fake), rel=1e-12)


def test_its_error_is_that_of_leaving_out_each_sample_in_turn() -> None:
    real, fake = pair()
    without_real = [brute_force(np.delete(real, i, 0), fake) for i in range(len(real))]
    without_fake = [brute_force(real, np.delete(fake, j, 0)) for j in range(len(fake))]
    variance = sum((len(each) - 1) * np.var(each) for each in (without_real, without_fake))
    found = kernel_distance(torch.from_numpy(real), torch.from_numpy(fake))
    assert found.standard_error == pytest.approx(variance**0.5, rel=1e-10)


def test_its_error_is_the_spread_over_fresh_samples() -> None:
    numbers = np.random.default_rng(1)
    found = [
        kernel_distance(*(torch.from_numpy(numbers.normal(mean, size=(60, 3))) for mean in (0, 0.5)))
        for _ in range(200)
    ]
    spread = np.std([each.value for each in found])
    assert np.mean([each.standard_error for each in found]) == pytest.approx(spread, rel=0.15)


def test_without_bias_equal_laws_score_zero_on_average() -> None:
    numbers = np.random.default_rng(2)
    values = [
        kernel_distance(*(torch.from_numpy(numbers.normal(size=(30, 3))) for _ in range(2))).value for _ in range(400)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20
    assert min(values) < 0


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = map(torch.from_numpy, pair(40, 33))
    whole = kernel_distance(real, fake)
    monkeypatch.setattr("wassergan.evaluation.kernel.BLOCK_ROWS", 7)
    pieces = kernel_distance(real, fake)
    assert (pieces.value, pieces.standard_error) == pytest.approx((whole.value, whole.standard_error), rel=1e-9)


def test_it_agrees_with_torchmetrics(torchmetrics_image: Callable[[str], ModuleType]) -> None:
    real, fake = map(torch.from_numpy, pair(50, 50))
    theirs = torchmetrics_image("kid").poly_mmd(real, fake)
    assert kernel_distance(real, fake).value == pytest.approx(theirs.item(), rel=1e-4)


def test_wrong_features_are_refused() -> None:
    with pytest.raises(UserError, match="more than two samples on each side: 2, 9"):
        kernel_distance(torch.zeros(2, 2), torch.zeros(9, 2))
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\) and \(3,\)"):
        kernel_distance(torch.zeros(9, 2), torch.zeros(9, 3))
