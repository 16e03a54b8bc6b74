import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind

from wassergan.distances import critic_lower_bound
from wassergan.errors import UserError


def scores(n=50, m=80):
    rng = np.random.default_rng(0)
    return rng.normal(2, 1, n), rng.normal(0, 3, m)


def test_the_margin_is_welch():
    real, fake = scores()
    expected = ttest_ind(real, fake, equal_var=False, alternative="greater").confidence_interval(0.95).low
    assert critic_lower_bound(real, fake) == pytest.approx(expected, abs=1e-12)


def test_a_lipschitz_constant_divides():
    real, fake = scores()
    assert critic_lower_bound(5 * real, 5 * fake, lipschitz=5) == pytest.approx(critic_lower_bound(real, fake))


def test_bernstein_by_hand():
    real, fake = np.tile([0.0, 1.0], 500), np.zeros(1000)
    log = np.log(2 / 0.025)
    variance = 0.25 * 1000 / 999
    margin = np.sqrt(2 * variance * log / 1000) + 2 * 7 * log / (3 * 999)
    assert critic_lower_bound(real, fake, diameter=1.0) == pytest.approx(0.5 - margin, abs=1e-12)


def test_real_minus_fake_is_the_sign_and_zero_the_floor():
    real, fake = scores()
    assert critic_lower_bound(real, fake) > 0
    assert critic_lower_bound(fake, real) == 0


def test_scores_without_spread():
    assert critic_lower_bound(torch.ones(3), torch.zeros(3)) == 1


def test_more_confidence_asks_for_more():
    real, fake = scores()
    assert critic_lower_bound(real, fake, confidence=0.99) < critic_lower_bound(real, fake, confidence=0.9)


def test_coverage_at_any_size_for_a_known_diameter():
    # Bernoulli scores with small means: where Welch fails at n = 20, Bernstein must not.
    rng = np.random.default_rng(0)
    for n in (5, 20, 200):
        bounds = [critic_lower_bound(rng.random(n) < 0.1, rng.random(n) < 0.05, diameter=1.0) for _ in range(300)]
        assert np.mean(np.array(bounds) <= 0.05) >= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lipschitz": 0.0}, "Lipschitz constant must be positive and finite: 0.0"),
        ({"lipschitz": np.inf}, "Lipschitz constant must be positive and finite: inf"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1: 1.0"),
        ({"diameter": -1.0}, "diameter must be positive and finite: -1.0"),
        ({"diameter": 0.5}, "scores spread further than the diameter and the Lipschitz constant allow: 1 over 0.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        critic_lower_bound(np.array([0.0, 1.0]), np.array([0.0, 1.0]), **arguments)


def test_bad_scores_are_refused():
    with pytest.raises(UserError, match="fake_scores must hold at least two scores: 1"):
        critic_lower_bound(np.zeros(2), np.zeros(1))
    with pytest.raises(UserError, match=r"real_scores must be finite: nan at \[1\]"):
        critic_lower_bound(np.array([0, np.nan]), np.zeros(2))
