"""Draws given conditions: scores against closed forms and brute force, judges calibrated on draws known to be bad."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wassergan.errors import UserError
from wassergan.evaluation.given import Ensembles, GivenResult, fair_crps, judge_ensembles, shuffled, with_conditions
from wassergan.evaluation.given.ensembles import spread_over_error
from wassergan.evaluation.given.fields import interpolated, reliability, spectral_distance
from wassergan.evaluation.given.ranks import rank_histogram
from wassergan.evaluation.given.verdict import faults_of
from wassergan.evaluation.verdict import GOOD, Verdict

CASES, DRAWS, SIDE = 60, 12, 8
NOISE = 0.5  # of a number given its condition


def world(
    *, width: float = 1.0, bias: float = 0.0, ignoring: bool = False, seed: int = 0
) -> tuple[Ensembles, NDArray[np.float64]]:
    """Fields that are their 2 x 2 condition, enlarged, and noise; draws as of a generator with one fault."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(CASES, 1, 2, 2))
    fine = np.repeat(np.repeat(coarse, SIDE // 2, axis=2), SIDE // 2, axis=3)
    truth = fine + NOISE * rng.normal(size=fine.shape)
    told = fine[rng.permutation(CASES)] if ignoring else fine
    draws = told[:, None] + bias + width * NOISE * rng.normal(size=(CASES, DRAWS, 1, SIDE, SIDE))
    return Ensembles(draws, truth), coarse


def judged(ensembles: Ensembles, coarse: NDArray[np.float64]) -> GivenResult:
    on_grid = interpolated(coarse, ensembles.truth.shape[1:])
    assert on_grid is not None
    training = ensembles.draws[:, 0]
    return judge_ensembles(
        ensembles,
        coarse,
        training=training,
        training_conditions=coarse,
        interpolation=(on_grid, on_grid),
        seed=0,
    )


def test_the_fair_score_is_the_mean_over_pairs_of_different_draws() -> None:
    rng = np.random.default_rng(1)
    ensembles = Ensembles(rng.normal(size=(4, 5, 2, 3)), rng.normal(size=(4, 2, 3)))
    for case, found in enumerate(fair_crps(ensembles)):
        x, y = ensembles.draws[case].reshape(5, -1), ensembles.truth[case].reshape(-1)
        pairs = [np.abs(x[i] - x[j]).mean() for i in range(5) for j in range(5) if i != j]
        assert found == pytest.approx(np.abs(x - y).mean() - np.mean(pairs) / 2, rel=1e-12)


@pytest.mark.parametrize("draws", [2, 3, 40])
def test_the_fair_score_does_not_depend_on_the_number_of_draws(draws: int) -> None:
    """For N(0, 1) it is E|x - y| - 1/√π; with y from the same distribution 1/√π."""
    rng = np.random.default_rng(draws)
    ensembles = Ensembles(rng.normal(size=(4, draws, 1, 20_000)), rng.normal(size=(4, 1, 20_000)))
    assert fair_crps(ensembles).mean() == pytest.approx(1 / np.pi**0.5, abs=0.01)


def test_missing_values_take_no_part() -> None:
    ensembles, _ = world()
    whole = fair_crps(Ensembles(ensembles.draws[..., :4], ensembles.truth[..., :4]))
    gone = ensembles.truth.copy()
    gone[..., 4:] = np.nan
    holed = Ensembles(ensembles.draws, gone)
    assert fair_crps(holed) == pytest.approx(whole, rel=1e-12)
    assert rank_histogram(holed, seed=0).shares.sum() == pytest.approx(1)
    with pytest.raises(UserError, match="No value is there"):
        fair_crps(Ensembles(ensembles.draws, np.full_like(gone, np.nan)))


def test_draws_and_truths_must_belong_together() -> None:
    with pytest.raises(UserError, match="do not belong together"):
        Ensembles(np.zeros((4, 1, 2)), np.zeros((4, 2)))
    with pytest.raises(UserError, match="do not belong together"):
        Ensembles(np.zeros((4, 3, 2)), np.zeros((4, 3)))


def test_no_truth_keeps_its_own_condition() -> None:
    draws = np.arange(7.0)[:, None, None] + np.zeros((7, 2, 1))
    found = shuffled(Ensembles(draws, np.arange(7.0)[:, None]), seed=3)
    assert (found.draws[:, 0, 0] != found.truth[:, 0]).all()
    assert sorted(found.draws[:, 0, 0]) == list(range(7))


def test_calibrated_draws_are_found_to_be() -> None:
    result = judged(*world())
    assert faults_of(result) == ([], [])
    assert result.spread_over_error == pytest.approx(1, abs=0.05)
    assert result.crps == pytest.approx(NOISE / np.pi**0.5, rel=0.05)  # of a normal distribution
    assert result.crps == pytest.approx(result.calibrated_crps, rel=0.05)
    assert result.ranks.within >= 0.75
    assert result.reliability < 2 * result.calibrated_reliability
    sentence = with_conditions(Verdict("So far.", (), GOOD), result)
    assert sentence.level == GOOD and "Conditions are used" in sentence.sentence and "calibrated" in sentence.sentence


def test_the_band_holds_at_its_level_although_a_case_is_one_draw_of_a_field() -> None:
    """Numbers of a case that are all equal: the ranks of a case are one rank, many times."""
    rng, within = np.random.default_rng(0), []
    for seed in range(30):
        values = np.repeat(rng.normal(size=(80, 10, 1, 1)), 50, axis=3)
        within.append(rank_histogram(Ensembles(values[:, 1:], values[:, 0]), seed=seed).within)
    assert 0.9 <= np.mean(within) <= 0.99


@pytest.mark.parametrize(
    ("fault", "wrong", "other"),
    [
        ({"width": 0.5}, "narrow", "too narrow"),
        ({"width": 2.0}, "wide", "too wide"),
        ({"bias": 0.3}, "biased", "below them"),
        ({"bias": -0.3}, "biased", "above them"),
        ({"ignoring": True}, "ignored", "conditions are ignored"),
        ({"width": 1e-3}, "deterministic", "one forecast"),
    ],
)
def test_draws_that_are_known_to_be_bad_are_found_out(fault: dict[str, float], wrong: str, other: str) -> None:
    result = judged(*world(**fault))  # type: ignore[arg-type]
    found, _ = faults_of(result)
    assert wrong in found
    sentence = with_conditions(Verdict("So far.", (), GOOD), result)
    assert other in sentence.sentence and wrong in sentence.flags and sentence.level == "failed"
    if wrong != "ignored":
        assert "ignored" not in found
        assert "Conditions are used" in sentence.sentence
    # Each is worse by the scores, too: they are proper.
    assert result.crps > judged(*world()).crps * 1.02


def test_ranks_that_are_even_in_mean_and_variance_alone_are_not_called_calibrated() -> None:
    """Var Φ(s Z) is arcsin(s² / (1 + s²)) / 2π, a twelfth for s = 1, and as much for 0.3 and 2.147, half of each."""
    scales = np.array([0.3, 2.147])
    assert np.arcsin(scales**2 / (1 + scales**2)).mean() / (2 * np.pi) == pytest.approx(1 / 12, rel=1e-3)
    ensembles, coarse = world()
    rng, fine = np.random.default_rng(3), np.repeat(np.repeat(coarse, SIDE // 2, axis=2), SIDE // 2, axis=3)
    noise = NOISE * rng.choice(scales, ensembles.truth.shape) * rng.normal(size=ensembles.truth.shape)
    result = judged(Ensembles(ensembles.draws, fine + noise), coarse)
    assert faults_of(result) == ([], ["uneven"])
    sentence = with_conditions(Verdict("So far.", (), GOOD), result)
    assert sentence.level == "doubtful" and "within their band" in sentence.sentence


def test_interpolation_itself_is_one_forecast() -> None:
    ensembles, coarse = world()
    on_grid = interpolated(coarse, ensembles.truth.shape[1:])
    assert on_grid is not None
    copies = Ensembles(np.repeat(on_grid[:, None], DRAWS, axis=1), ensembles.truth)
    result = judged(copies, coarse)
    assert "deterministic" in faults_of(result)[0]
    assert result.over_interpolation == pytest.approx(1, rel=1e-9)
    assert spread_over_error(copies) < 1e-12


def test_interpolation_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    coarse = np.random.default_rng(0).normal(size=(3, 2, 4, 5))
    found = interpolated(coarse, (2, 9, 17))
    size = {"size": (9, 17), "mode": "bilinear", "align_corners": False}
    assert found == pytest.approx(torch.nn.functional.interpolate(torch.from_numpy(coarse), **size).numpy(), abs=1e-6)
    assert interpolated(coarse, (1, 9, 17)) is None


def test_reliability_of_a_generator_that_is_too_sure() -> None:
    """Draws that are all above or all below: the event happens half the time whatever they say."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 1))
    draws = np.repeat(10 * rng.choice([-1.0, 1.0], size=(4000, 1, 1)), 6, axis=1)
    value, curve = reliability(Ensembles(draws, truth))
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    assert value == pytest.approx(np.mean((levels + (1 - levels)) / 2), abs=0.02)  # |p - o| is 1 - q, or q
    assert curve[:, 2].sum() == pytest.approx(1) and curve[1:-1, 2].sum() == 0


def test_a_spectrum_of_twice_the_amplitude_is_six_decibels_off() -> None:
    fields = np.random.default_rng(0).normal(size=(5, 1, 12, 20))
    assert spectral_distance(2 * fields, fields) == pytest.approx(20 * np.log10(2), rel=1e-6)
    assert spectral_distance(fields, fields) == 0


def test_equal_values_are_ranked_at_random() -> None:
    """As dry places and clipped values are."""
    same = Ensembles(np.zeros((200, 4, 1, 30)), np.zeros((200, 1, 30)))
    assert rank_histogram(same, seed=0).shares == pytest.approx(np.full(5, 0.2), abs=0.02)
