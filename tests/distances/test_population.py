import itertools
import math
import zlib
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest, ttest_ind

from wassergan.distances import critic_lower_bound, mean_bounds, population
from wassergan.distances.mean_bounds import betting_lower_bounds
from wassergan.distances.orders import keyed
from wassergan.distances.population import upper_margin
from wassergan.errors import UserError


def scores(n=50, m=80):
    rng = np.random.default_rng(0)
    return rng.normal(2, 1, n), rng.normal(0, 3, m)


def test_the_asymptotic_margin_is_welch():
    real, fake = scores()
    expected = ttest_ind(real, fake, equal_var=False, alternative="greater").confidence_interval(0.95).low
    assert critic_lower_bound(real, fake, method="asymptotic") == pytest.approx(expected, abs=1e-12)


def test_the_asymptotic_bound_claims_nothing_where_no_spread_was_seen():
    assert critic_lower_bound(np.ones(9), np.zeros(9), method="asymptotic") == 0


def any_order(*_: object) -> torch.Generator:
    """The same order of ranks whatever the unit is, which the values decide otherwise."""
    return torch.Generator().manual_seed(0)


def test_a_lipschitz_constant_divides(monkeypatch):
    monkeypatch.setattr(population, "keyed", any_order)
    real, fake = scores()
    assert critic_lower_bound(5 * real, 5 * fake, lipschitz=5) == pytest.approx(critic_lower_bound(real, fake))


def test_real_minus_fake_is_the_sign_and_zero_the_floor():
    real, fake = scores()
    assert critic_lower_bound(real, fake) > 0
    assert critic_lower_bound(fake, real) == 0


def test_scores_without_spread_leave_room_for_what_was_not_seen():
    # Any point of P may lie at 0 with probability q where (1 - q)^n > risk: no bound above (risk)^(1/n) can hold.
    for n in (1, 2, 3, 8, 40, 400):
        for confidence in (0.9, 0.999, 0.999999):
            bound = critic_lower_bound(torch.ones(n), torch.zeros(10 * n), confidence=confidence)
            assert bound <= (1 - confidence) ** (1 / n)
    assert critic_lower_bound(torch.ones(400), torch.zeros(400)) > 0.99
    assert critic_lower_bound(np.zeros(2), -np.ones(2), confidence=0.999999) == 0


def test_more_confidence_asks_for_more():
    real, fake = scores()
    assert critic_lower_bound(real, fake, confidence=0.99) < critic_lower_bound(real, fake, confidence=0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lipschitz": 0.0}, "Lipschitz constant must be positive and finite: 0.0"),
        ({"lipschitz": np.inf}, "Lipschitz constant must be positive and finite: inf"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1: 1.0"),
        ({"diameter": -1.0}, "diameter must be positive and finite: -1.0"),
        ({"diameter": np.nan}, "diameter must be positive and finite: nan"),
        ({"confidence": 1.5}, "confidence must lie between 0 and 1: 1.5"),
        ({"confidence": np.nan}, "confidence must lie between 0 and 1: nan"),
        ({"confidence": "much"}, "confidence must be a number: 'much'"),
        ({"method": "welch"}, "Unknown method of bounds: 'welch'"),
        ({"method": "asymptotic", "diameter": 2.0}, "A diameter serves finite-sample bounds alone"),
        ({"diameter": 0.5}, "scores spread further than the diameter and the Lipschitz constant allow: 1 over 0.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        critic_lower_bound(np.array([0.0, 1.0]), np.array([0.0, 1.0]), **arguments)


def test_bad_scores_are_refused():
    with pytest.raises(UserError, match="fake_scores must hold at least two scores: 1"):
        critic_lower_bound(np.zeros(2), np.zeros(1), method="asymptotic")
    with pytest.raises(UserError, match="fake_scores must hold at least one score: 0"):
        critic_lower_bound(np.zeros(2), np.zeros(0))
    with pytest.raises(UserError, match=r"real_scores must be finite: nan at \[1\]"):
        critic_lower_bound(np.array([0, np.nan]), np.zeros(2))


def test_one_bet_by_hand():
    # Tuned on 0 and 1 a side, then one block: levels, centres and stake follow from the formulas of the concepts page.
    tuning = np.array([[0.0, 1.0]])
    real, fake = np.array([[1.0]]), np.array([[0.0]])
    (bound,) = betting_lower_bounds(real, fake, confidence=0.2, real_tuning=tuning, fake_tuning=tuning)
    deviation = np.sqrt(0.5 * (1 + mean_bounds.PRIOR_COUNT / 2))
    reach = mean_bounds.REACH_DEVIATIONS * deviation
    # The levels lie outside 0 and 1, so the centres are the means, and the largest bet is what may be lost there.
    stake = mean_bounds.LARGEST_BET / reach
    assert stake < mean_bounds.BOLDNESS * np.sqrt(2 * np.log(1 / 0.8)) / (np.sqrt(2) * deviation)
    growth = 2 * np.log(1 + stake * 0.5)
    assert bound == pytest.approx(max(0, (growth - np.log(1 / 0.8)) / stake), rel=1e-12)
    assert bound > 0


def test_the_capital_of_a_true_value_is_a_fair_game():
    # Brute force: over all outcomes of coins, the expected capital at w = E_P f - E_Q f is at most 1 at every moment.
    p, q, n = 0.7, 0.4, 4
    outcomes = np.array(list(itertools.product((0.0, 1.0), repeat=2 * n)))
    chances = np.prod(np.where(outcomes[:, :n] == 1, p, 1 - p), 1) * np.prod(
        np.where(outcomes[:, n:] == 1, q, 1 - q), 1
    )
    tuning = np.tile([[0.0, 1.0, 1.0, 0.0]], (len(outcomes), 1))
    for confidence in (0.5, 0.95, 0.999):
        bounds = betting_lower_bounds(
            outcomes[:, :n], outcomes[:, n:], confidence=confidence, real_tuning=tuning, fake_tuning=tuning
        )
        assert chances[bounds > p - q].sum() <= 1 - confidence


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_no_coin_breaks_the_bound_exactly(n):
    # Every outcome weighed with its probability, first bets tuned within the scores: no sampling error to hide behind.
    m = 7 - n
    outcomes = np.array(list(itertools.product((0.0, 1.0), repeat=n + m)))
    for p, q in itertools.product((0.02, 0.3, 0.5, 0.9), (0.01, 0.3, 0.6)):
        chances = np.prod(np.where(outcomes[:, :n] == 1, p, 1 - p), 1)
        chances = chances * np.prod(np.where(outcomes[:, n:] == 1, q, 1 - q), 1)
        for confidence in (0.3, 0.6, 0.9, 0.99):
            bounds = betting_lower_bounds(outcomes[:, :n], outcomes[:, n:], confidence=confidence)
            assert chances[bounds > max(0, p - q)].sum() <= 1 - confidence


def test_bets_see_only_what_came_before(monkeypatch):
    events = []
    tuned, growth = mean_bounds._tuned, mean_bounds._growth

    def recorded_tuned(x, y, *more):
        events.append(("tuned", x.shape[1], y.shape[1]))
        return tuned(x, y, *more)

    def recorded_growth(bets, x, y, x_ends, y_ends, *more):
        events.append(("bet", int(x_ends[0]), int(y_ends[0])))
        return growth(bets, x, y, x_ends, y_ends, *more)

    monkeypatch.setattr(mean_bounds, "_tuned", recorded_tuned)
    monkeypatch.setattr(mean_bounds, "_growth", recorded_growth)
    critic_lower_bound(*scores(200, 900))
    assert len(events) > 6
    for (what, *past), (then, *start) in zip(events[::2], events[1::2], strict=True):
        assert (what, then) == ("tuned", "bet") and past == start


def test_the_bound_is_close_to_the_best_possible_for_flags():
    # Clopper and Pearson's exact lower bound of a rate, against a side that is known to be 0 at 100 000 points.
    real = np.zeros(400)
    real[:200] = 1
    exact = beta.ppf(0.05, 200, 201)
    assert 0.95 * exact < critic_lower_bound(real, np.zeros(100_000)) <= exact


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_normal_samples_cost_at_most_sixty_per_cent_more_margin_than_welch(shift, confidence):
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(shift, 1, 400), rng.normal(0, 1, 400)) for _ in range(60)]
    below = {
        method: np.median([shift - critic_lower_bound(*pair, confidence=confidence, method=method) for pair in pairs])
        for method in ("finite-sample", "asymptotic")
    }
    assert below["finite-sample"] <= 1.6 * below["asymptotic"]


REPORTED = {  # sizes, confidence, draws of both sides: W1 = 0
    "rare flags, few against many": (40, 4000, 0.999, lambda rng, n: rng.random(n) < 0.01),
    "flags of 2 %": (50, 5000, 0.95, lambda rng, n: rng.random(n) < 0.02),
    "lognormal": (50, 2000, 0.95, lambda rng, n: rng.lognormal(10, 1.5, n)),
    "Pareto": (30, 3000, 0.9, lambda rng, n: 1 + rng.pareto(1.5, n)),
}


@pytest.mark.parametrize("name", REPORTED)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_hold_as_often_as_stated_where_the_asymptotic_one_does_not(name, ordered, sign):
    n, m, confidence, draw = REPORTED[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    above = 0
    for _ in range(150):
        real, fake = (sign * np.array(draw(rng, count), dtype=float) for count in (n, m))
        if ordered:
            real, fake = np.sort(real), np.sort(fake)
        above += critic_lower_bound(real, fake, confidence=confidence) > 0
    assert binom.sf(above - 1, 150, 1 - confidence) > 1e-4


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2.0**-400, 0.25, 2.0**30, 2.0**400]),
)
def test_scale_moves_the_bound_and_order_of_confidence_and_sides_stays(n, m, seed, scale):
    rng = np.random.default_rng(seed)
    real, fake = np.round(rng.normal(4, 1, n), 2), np.round(rng.standard_t(2, m), 2)
    with patch.object(population, "keyed", any_order):
        bounds = [critic_lower_bound(real, fake, confidence=confidence) for confidence in (0.5, 0.9, 0.99, 0.9999)]
        scaled = critic_lower_bound(scale * real, scale * fake, confidence=0.5)
        moved = critic_lower_bound(real + 64, fake + 64, confidence=0.5)
    assert all(more <= less * (1 + 1e-3) + 1e-12 for less, more in itertools.pairwise(bounds))
    assert scaled == pytest.approx(scale * bounds[0], rel=1e-9)
    assert moved == pytest.approx(bounds[0], rel=1e-6, abs=1e-9)
    assert bounds[0] <= max(real.max(), fake.max()) - min(real.min(), fake.min())


def test_extreme_scores_neither_overflow_nor_vanish():
    real, fake = np.ones(400), np.zeros(400)
    plain = critic_lower_bound(real, fake)
    for scale in (1e300, 1e-300, 5e-324):
        assert critic_lower_bound(scale * real, scale * fake) == pytest.approx(scale * plain, rel=1e-9, abs=1e-323)
    assert critic_lower_bound(1e300 * real, -1e300 * real) == pytest.approx(2e300 * plain, rel=1e-9)


def test_tuning_scores_and_a_diameter_tighten_and_never_decide():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(1, 1, 60), rng.normal(0, 1, 60)
    tuned = critic_lower_bound(real, fake, tuning=(rng.normal(1, 1, 400), rng.normal(0, 1, 400)))
    assert critic_lower_bound(real, fake) < tuned < 1
    # However misleading the tuning scores, P = Q is not told apart more often than stated.
    misled = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 30))
        misled.append(critic_lower_bound(x, y, confidence=0.9, tuning=(np.full(9, 5.0), np.full(9, -5.0))) > 0)
    assert sum(misled) <= 33  # probability 2e-3 at a rate of 10 %
    far, near = np.ones(30), np.zeros(30)
    far[:3] = 0.2
    assert critic_lower_bound(far, near, diameter=1.0) >= critic_lower_bound(far, near)


def test_shuffling_is_by_the_given_generator():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(1, 1, 50), rng.normal(0, 1, 50)
    first, same, other = (critic_lower_bound(real, fake, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == same != other


def test_upper_margins_hold_for_coins_at_every_size():
    # W1 of two samples of coins is the difference of their rates; the margin makes it a bound on |p - q|.
    rng = np.random.default_rng(0)
    for n, m in ((1, 1), (8, 8), (40, 400)):
        margin = upper_margin(n, m, diameter=1.0, confidence=0.9)
        sampled = abs(rng.binomial(n, 0.9, 4000) / n - rng.binomial(m, 0.2, 4000) / m)
        assert (sampled + margin < 0.7).mean() <= 0.1
    # McDiarmid by hand: two sides of 200 points move W1 by at most 1/200 each.
    assert upper_margin(200, 200, diameter=3.0, confidence=0.95) == pytest.approx(3 * np.sqrt(np.log(20) / 200))


@pytest.mark.parametrize("seed", [None, 0])
def test_sorted_scores_are_as_good_as_any(seed: int | None) -> None:
    # One fixed order of ranks made the bounds of 43 and 129 sorted normals fail in 96 % of all draws, at 80 %.
    random = np.random.default_rng(0)
    failed, trials = 0, 40
    for n, m in [(43, 129), (81, 243), (67, 67)]:
        for _ in range(trials):
            real, fake = (np.sort(random.normal(size=count)) for count in (n, m))
            failed += critic_lower_bound(real, fake, confidence=0.8, rng=seed) > 0
    assert binomtest(failed, 3 * trials, 0.2, alternative="greater").pvalue > 1e-3


def test_the_order_is_a_matter_of_the_rows_and_not_of_their_arrangement() -> None:
    rows = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [2.0, 2.0]])
    orders = [
        torch.randperm(50, generator=keyed(None, sample)).tolist()
        for sample in (rows, rows.flip(0), rows[[2, 0, 3, 1]], rows.double() * -1 * -1)
    ]
    assert all(order == orders[0] for order in orders)
    for other in (rows + 1, rows[:, [1, 0]], rows[:3], torch.cat([rows, rows[:1]])):
        assert torch.randperm(50, generator=keyed(None, other)).tolist() != orders[0]
    drawn = [keyed(torch.Generator().manual_seed(seed), rows).initial_seed() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("tuning", [3, (np.zeros(2),), (np.zeros(2),) * 3])
def test_tuning_scores_come_in_pairs(tuning: object) -> None:
    with pytest.raises(UserError, match="tuning must be a pair of real and fake scores"):
        critic_lower_bound(np.zeros(3), np.zeros(3), tuning=tuning)  # type: ignore[arg-type]


def test_tuning_scores_keep_to_the_diameter_too() -> None:
    zeros = np.zeros(2)
    with pytest.raises(UserError, match="scores spread further than the diameter and the Lipschitz constant allow: 3"):
        critic_lower_bound(zeros, zeros, diameter=2.0, tuning=(np.array([0.0, 3.0]), zeros))
    assert critic_lower_bound(zeros, zeros, diameter=3.0, tuning=(np.array([0.0, 3.0]), zeros)) == 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_levels_that_meet_or_cross_are_no_bets_at_all(data: st.DataObject) -> None:
    # Means of equal numbers differ from them by rounding: no bet may then lose more than there is. Warnings are errors.
    value = data.draw(st.sampled_from([0.1, 1 / 3, 1e16, 1e-300, 7.7e300, 5e-324]))
    n, m, few, others = (data.draw(st.sampled_from([1, 2, 3, 7, 49, 100])) for _ in range(4))
    factors = [data.draw(st.sampled_from([1.0, 1 + 2.3e-16, 5.0])) for _ in range(4)]
    sides = [np.full((1, n), value), np.full((1, m), value)]
    tuning = [np.resize([value, value * factor], (1, k)) for factor, k in zip(factors, (few, others), strict=False)]
    spread = data.draw(st.sampled_from([0.0, 1e-300, 1e-9, 0.1, math.inf]))
    for confidence in (0.01, 0.9, 1 - 1e-9):
        (bound,) = betting_lower_bounds(
            *sides, confidence=confidence, real_tuning=tuning[0], fake_tuning=tuning[1], spread=spread
        )
        assert bound == 0
        diameter = max(spread, 1e-300) if math.isfinite(spread) else None
        assert critic_lower_bound(*(side[0] for side in sides), confidence=confidence, diameter=diameter) == 0
