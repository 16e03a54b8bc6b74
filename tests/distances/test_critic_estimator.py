import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wassergan.distances import (
    CERTIFIED,
    FAMILIES,
    CTransform,
    W1Estimate,
    W1Estimator,
    critic_estimator,
    critic_lower_bound,
    critic_training,
    population,
    w1_interval,
)
from wassergan.distances.critic_estimator import _Units, scores_of
from wassergan.distances.critic_families import Family
from wassergan.errors import UserError, WorkError
from wassergan.lipschitz import certify


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shifted(count: int = 3000, *, by: float = 1.5, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Normal distributions at distance `by`: W1 = by."""
    rng = seeded(seed)
    real, fake = (torch.randn(count, dim, generator=rng, dtype=torch.float64) for _ in range(2))
    return real + torch.tensor([by] + [0.0] * (dim - 1)), fake


@pytest.fixture(scope="module")
def estimate() -> W1Estimate:
    return W1Estimator(families=tuple(FAMILIES), steps=40, batch_size=256).estimate(*shifted(), rng=seeded())


def test_the_lower_bound_holds_and_is_close_for_laws_of_known_distance(estimate: W1Estimate) -> None:
    assert 1.2 < estimate.lower <= 1.5
    assert estimate.confidence == 0.999
    assert estimate.best.family in CERTIFIED


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_contract_of_every_family(estimate: W1Estimate, name: str) -> None:
    fit = estimate.fits[name]
    assert fit.certificate == certify(fit.critic)
    assert fit.value == pytest.approx(fit.gap / fit.certificate.constant)
    assert fit.lower <= max(0, fit.value)
    assert fit.lower_asymptotic <= max(0, fit.value)
    assert fit.lower <= 1.5
    assert 0 < fit.gradient_norm_max <= fit.certificate.constant * (1 + 1e-9)
    assert fit.steps >= 40 and fit.parameters > 0 and len(fit.curve) >= 2
    # The best look is the one that stays.
    assert fit.validation == pytest.approx(max(look.validation for look in fit.curve))
    assert (fit.heuristic is not None) == FAMILIES[name].heuristic
    if fit.heuristic is not None:
        assert fit.heuristic == pytest.approx(fit.gap / fit.gradient_norm_max)
    else:
        assert fit.certificate.constant <= 1.0001


def test_penalty_critics_have_certificates_far_above_their_slopes_so_they_are_not_chosen(estimate: W1Estimate) -> None:
    assert estimate.fits["gp"].certificate.constant > 1.5 * estimate.fits["gp"].gradient_norm_max
    assert estimate.fits["gp"].validation < estimate.best.validation


def test_the_margin_is_that_of_the_held_out_scores() -> None:
    real, fake = shifted(500)
    estimator = W1Estimator(families=["orthogonal"], steps=5, confidence=0.9, method="asymptotic")
    estimate = estimator.estimate(real, fake, rng=seeded())
    fit = estimate.best
    # The test split is 35 % of 500: 175 a side; Welch's margin is near that of a normal distribution.
    assert fit.value - fit.lower == pytest.approx(1.2816 * fit.standard_error, rel=0.02)
    assert fit.lower == fit.lower_asymptotic
    assert estimate.method == "asymptotic" and "asymptotic" in estimate.rests_on


def test_the_default_bound_is_valid_at_every_size_and_near_the_asymptotic_one() -> None:
    estimate = W1Estimator(families="orthogonal", steps=50).estimate(*shifted(3000), rng=seeded())
    fit = estimate.best
    assert estimate.method == "finite-sample" and "every sample size" in estimate.rests_on
    margins = fit.value - fit.lower, fit.value - fit.lower_asymptotic
    assert margins[1] * 0.8 < margins[0] < 1.6 * margins[1]


def test_validation_scores_tune_the_bets_and_test_scores_make_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[tuple[int, ...]]] = {}
    plain = population.betting_lower_bounds  # type: ignore[attr-defined]

    def recorded(real: Any, fake: Any, **more: Any) -> Any:
        seen["test"] = [real.shape, fake.shape]
        seen["tuning"] = [more["real_tuning"].shape, more["fake_tuning"].shape]
        both = [
            (np.concatenate([more[f"{side}_tuning"], scores], axis=1))
            for side, scores in (("real", real), ("fake", fake))
        ]
        assert [len(np.unique(side)) for side in both] == [100, 130]  # no point in both parts
        return plain(real, fake, **more)

    monkeypatch.setattr(population, "betting_lower_bounds", recorded)
    real, fake = shifted(200)[0], shifted(260)[1]
    W1Estimator(families="orthogonal", steps=2, batch_size=16).estimate(real, fake, rng=seeded())
    # Of 200: 100 to fit, 30 to choose, 70 to test; of 260: 130, 39, 91.
    assert seen == {"test": [(1, 70), (1, 91)], "tuning": [(1, 30), (1, 39)]}


@pytest.mark.slow
def test_bounds_hold_in_most_draws_of_equal_laws() -> None:
    # W1 = 0: at 90 % confidence a positive bound comes up in about 10 of 100 draws; 22 has probability 3e-4.
    positive = 0
    for seed in range(100):
        rng = seeded(seed)
        real, fake = (torch.randn(60, 2, generator=rng) for _ in range(2))
        estimator = W1Estimator(families=["atoms"], steps=2, batch_size=16, confidence=0.9)
        positive += estimator.estimate(real, fake, rng=rng).lower > 0
    assert positive < 22


def test_samplers_give_fresh_points_for_every_split() -> None:
    asked: list[int] = []

    def draw(shift: float) -> object:
        def sampler(count: int, *, rng: torch.Generator) -> Tensor:
            asked.append(count)
            return torch.randn(count, 2, generator=rng) + shift

        return sampler

    estimator = W1Estimator(families=["orthogonal"], steps=20, batch_size=128, test_count=5000)
    estimate = estimator.estimate(draw(1.0), draw(0.0), rng=seeded())  # type: ignore[arg-type]
    assert asked == [1, 2**19, 4096, 5000] * 2
    assert estimate.lower <= math.sqrt(2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "seed"), [*(("atoms", seed) for seed in range(5)), *(("orthogonal", seed) for seed in (0, 1))]
)
def test_black_pictures_against_squares_are_reached_as_far_as_their_number_allows(family: str, seed: int) -> None:
    # Two points ±s at distance 25 from black in 32 x 32 numbers: W1 = 25. The test split holds 140 a side: a share of
    # log(1000) / 140 = 4.9 % might lie at 0 unseen, so no bound at 99.9 % comes nearer.
    square = torch.zeros(32, 32)
    square[4:29, 4:29] = 1.0
    signs = 2.0 * torch.randint(2, (400, 1), generator=seeded(seed)) - 1
    real, fake = signs * square.flatten(), torch.zeros(400, 1024)
    best = W1Estimator(families=[family], steps=150, batch_size=64).estimate(real, fake, rng=seeded(seed)).best
    assert 0.99 * 25 <= best.value <= 25 * (1 + 1e-6)
    assert 0.93 * 25 <= best.lower <= 0.951 * 25


def test_units_and_place_of_the_samples_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    # Splits and orders follow from the values; here they are the same.
    for module in (critic_estimator, population):
        monkeypatch.setattr(module, "keyed", lambda *_: seeded())
    real, fake = shifted(400)
    small, large = (
        W1Estimator(families=["orthogonal"], steps=10, batch_size=64).estimate(
            scale * real + moved, scale * fake + moved, rng=seeded()
        )
        for scale, moved in ((1.0, 0.0), (1e6, 1e7))
    )
    assert large.lower == pytest.approx(1e6 * small.lower, rel=1e-2)


def test_equal_seeds_give_equal_bounds_and_the_global_state_stays() -> None:
    outside = torch.get_rng_state()
    bounds = [
        W1Estimator(families=["orthogonal", "atoms"], steps=5, batch_size=64).estimate(*shifted(300), rng=seeded(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(outside, torch.get_rng_state())
    assert bounds[0].lower == bounds[1].lower != bounds[2].lower


def test_both_sides_of_a_law_are_tried() -> None:
    # Fake samples lie on two points with the real ones all about: cones with bottoms on the fake side fit at once.
    rng = seeded()
    real = torch.randn(2000, 2, generator=rng)
    fake = torch.zeros(2000, 2)
    estimate = W1Estimator(families=["atoms"], steps=20, batch_size=256).estimate(real, fake, rng=seeded())
    # E‖z‖ of a standard normal in the plane is √(π/2).
    assert estimate.best.value == pytest.approx(math.sqrt(math.pi / 2), rel=0.05)
    assert not estimate.best.critic.chain[0].peaks  # type: ignore[index,union-attr]


def test_the_critic_of_two_samples_is_scored_by_the_caller() -> None:
    real, fake = shifted(1000)
    critic, certificate = W1Estimator(families=["orthogonal"], steps=30).critic(real, fake, rng=seeded())
    fresh_real, fresh_fake = shifted(1000, seed=1)
    scores = [scores_of(critic, points) for points in (fresh_real, fresh_fake)]
    assert 0.8 < critic_lower_bound(*scores, lipschitz=certificate.constant) <= 1.5


def test_the_best_of_all_starts_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, float]] = []
    plain = critic_training._fitted

    def told(family: Family, critic: CTransform, *args: Any, **more: Any) -> Any:
        made = plain(family, critic, *args, **more)
        tried.append((len(critic.atoms), made.validation))
        return made

    monkeypatch.setattr(critic_training, "_fitted", told)
    W1Estimator(families=["atoms"], steps=20, batch_size=64).estimate(*shifted(dim=16), rng=seeded())
    *trials, (atoms, _) = tried
    # 1500 points to fit: samples and 16 clusters on both sides, 64 clusters on the better one.
    assert [count for count, _ in trials] == [1024, 1024, 16] * 2 + [64]
    assert atoms == max(trials, key=lambda trial: trial[1])[0]


def test_the_pace_is_that_of_the_nearest_neighbours_or_of_the_gap() -> None:
    line = torch.arange(100.0)[:, None]
    # Every point of one side has one of the other at distance 0.2.
    assert critic_training._pace(line, line + 0.2, 0.0) == pytest.approx(0.4, rel=1e-4)
    assert critic_training._pace(line, line + 0.2, 0.3) == pytest.approx(0.6)
    assert critic_training._pace(line, line, -1.0) == pytest.approx(0.1)
    assert critic_training._pace(line, line + 1000.0, 0.0) == 1


def test_units_are_the_mean_and_the_spread_of_both_samples() -> None:
    real, fake = shifted(501, by=4.0)[0], shifted(300)[1]
    both = torch.cat([real, fake])
    units = _Units.of(real, fake)
    torch.testing.assert_close(units.centre, both.mean(0))
    assert units.length == pytest.approx((both - both.mean(0)).square().mean().sqrt().item())


def test_an_interval_for_the_laws_takes_the_best_of_potentials_and_critics() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)), rng.normal(size=(400, 20))
    x[:, 0] *= 4  # no drift, and too many dimensions for the potentials of samples
    without = w1_interval(x, y, rng=seeded(), population=True, budget_seconds=3, tolerance=0.5)
    with_critics = w1_interval(
        x, y, rng=seeded(), population=True, budget_seconds=3, tolerance=0.5, families=["orthogonal"]
    )
    # W1 of N(0, 16) and N(0, 1) on the line: 3 √(2/π).
    assert with_critics.lower <= 3 * math.sqrt(2 / math.pi)
    assert with_critics.lower > without.lower
    with pytest.raises(UserError, match="Critics serve only bounds on the distributions"):
        w1_interval(x, y, rng=seeded(), families=["orthogonal"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"families": []}, "at least one family"),
        ({"families": ["ortogonal"]}, r"Unknown family of critics: 'ortogonal'. Did you mean 'orthogonal'\?"),
        ({"families": "atoms,ortogonal"}, "Unknown family of critics: 'ortogonal'"),
        ({"families": 3}, "Families of critics are given by their names: 3"),
        ({"families": [["atoms"]]}, "Families of critics are given by their names: \\['atoms'\\]"),
        ({"steps": 0}, "number of steps must be a whole number of at least 1: 0"),
        ({"steps": 2.5}, "number of steps must be a whole number of at least 1: 2.5"),
        ({"budget_seconds": 0.0}, "The budget must be positive: 0.0 seconds"),
        ({"budget_seconds": math.nan}, "The budget must be positive: nan seconds"),
        ({"budget_seconds": "soon"}, "The budget must be a number: 'soon'"),
        ({"batch_size": 1}, "The batch size must be a whole number of at least 2: 1"),
        ({"test_count": 0}, "number of test samples must be a whole number of at least 2: 0"),
        ({"test_count": True}, "number of test samples must be a whole number of at least 2: True"),
        ({"confidence": 1.5}, "confidence must lie between 0 and 1: 1.5"),
        ({"confidence": 0}, "confidence must lie between 0 and 1: 0"),
        ({"confidence": math.nan}, "confidence must lie between 0 and 1: nan"),
        ({"confidence": None}, "confidence must be a number: None"),
        ({"diameter": -1}, "diameter must be positive and finite: -1"),
        ({"diameter": math.inf}, "diameter must be positive and finite: inf"),
        ({"method": "exact"}, "Unknown method of bounds: 'exact'"),
    ],
)
def test_wrong_settings_are_refused(more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        W1Estimator(**more)  # type: ignore[arg-type]


def test_families_may_be_one_text() -> None:
    for names in ("atoms", "atoms, orthogonal", ("atoms", "atoms")):
        fits = W1Estimator(families=names, steps=1, batch_size=8).estimate(*shifted(40), rng=seeded()).fits
        assert list(fits) == (["atoms", "orthogonal"] if "," in names else ["atoms"])


def test_wrong_samples_are_refused() -> None:
    estimator = W1Estimator(families=["orthogonal"], steps=1)
    with pytest.raises(UserError, match="real must hold at least 20 points to be split in three: 5"):
        estimator.estimate(torch.zeros(5, 2), torch.zeros(30, 2), rng=seeded())
    with pytest.raises(UserError, match="same dimension: 2 and 3 columns"):
        estimator.estimate(torch.zeros(30, 2), torch.zeros(30, 3), rng=seeded())
    with pytest.raises(UserError, match="real must be finite"):
        estimator.estimate(lambda count, *, rng: torch.full((count, 2), torch.nan), torch.zeros(30, 2), rng=seeded())


def test_a_diverging_training_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.distances.critic_training._validation", lambda *args: math.nan)
    with pytest.raises(WorkError, match="Training 'orthogonal' critics diverged: a value of nan at step"):
        W1Estimator(families=["orthogonal"], steps=1).estimate(*shifted(100), rng=seeded())


def test_two_equal_points_are_at_distance_zero() -> None:
    points = torch.ones(40, 2)
    assert W1Estimator(steps=2, batch_size=4).estimate(points, points, rng=seeded()).lower == 0


def test_every_source_of_randomness_is_taken() -> None:
    x = np.random.default_rng(0).normal(size=(40, 1))
    estimator = W1Estimator(families="atoms", steps=2)

    def value(rng: object) -> float:
        return estimator.estimate(x, x + 3, rng=rng).best.value  # type: ignore[arg-type]

    assert value(3) == value(np.int64(3)) == value(torch.Generator().manual_seed(3))
    assert value(np.random.default_rng(5)) == value(np.random.default_rng(5))
    assert estimator.critic(x, x + 3, rng=0)[1].constant == 1
    for wrong in (None, -1, "a"):
        with pytest.raises(UserError, match="rng must be a torch generator, a NumPy generator or a seed"):
            value(wrong)


def test_a_function_that_is_no_sampler_is_named() -> None:
    with pytest.raises(UserError, match="fake is a function that is no sampler"):
        W1Estimator(families="atoms", steps=2).estimate(np.zeros((20, 1)), lambda count: torch.zeros(count, 1), rng=0)  # type: ignore[arg-type]


def test_sorted_rows_are_split_anew_for_each_data_set() -> None:
    # A seed that picked the same ranks of every sorted sample would split these alike.
    x = torch.arange(40.0)[:, None]
    looks = [
        W1Estimator(families="atoms", steps=1).estimate(x + shift, x + shift + 1e-3 * x, rng=0).best.value
        for shift in (0.0, 64.0, 128.0)
    ]
    assert len({round(look, 6) for look in looks}) == 3
