"""Channels judged by themselves, in their own units."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from wassergan.evaluation.channels import channel_rows, far_sentence
from wassergan.evaluation.verdict import FAILED, Verdict, with_channels

VARIES = np.ones((2, 3, 4), bool)


def fields(seed: int, *, humidity: float = 0.008) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([280 + 10 * rng.normal(size=(90, 3, 4)), humidity + 0.002 * rng.normal(size=(90, 3, 4))], 1)


def test_each_channel_has_its_own_w1_mean_and_deviation() -> None:
    generated, real, training = fields(0), fields(1), fields(2)
    for index, row in enumerate(channel_rows(generated, real, training, names=("t", "q"), varies=VARIES)):
        of = [each[:, index].ravel() for each in (generated, real, training)]
        assert row.name == "tq"[index] and not row.far and row.missing == row.missing_real == 0
        assert row.w1 == pytest.approx(wasserstein_distance(of[0], of[1]))
        assert row.floor == pytest.approx(wasserstein_distance(of[2], of[1]))
        assert (row.mean, row.mean_real, row.deviation, row.deviation_real) == pytest.approx(
            (of[0].mean(), of[1].mean(), of[0].std(), of[1].std())
        )


# One channel's unit must not drown the others.
def test_a_channel_that_is_far_is_named_and_fails_the_verdict() -> None:
    rows = channel_rows(fields(0, humidity=0.325), fields(1), fields(2), names=("t", "q"), varies=VARIES)
    assert [row.far for row in rows] == [False, True]
    assert far_sentence(rows).startswith("Far from the data by itself: q (mean 0.325, really 0.008")
    judged = with_channels(Verdict("Fine.", (), "good"), rows)
    assert (judged.level, judged.flags) == (FAILED, ("far",)) and "q (mean" in judged.sentence
    untouched = Verdict("Fine.", (), "good")
    assert with_channels(untouched, channel_rows(fields(0), fields(1), fields(2), names=("t", "q"), varies=VARIES)) is (
        untouched
    )


def test_missing_values_are_left_out_and_counted_and_fixed_places_too() -> None:
    generated, real, training = fields(0), fields(1), fields(2)
    generated[:45, 0, 0, 0], real[:, 1] = np.nan, np.nan
    varies = VARIES.copy()
    varies[0, 1:], generated[:, 0, 1:] = False, 1e20
    rows = channel_rows(generated, real, training, names=("t", "q"), varies=varies)
    there = generated[:, 0, 0][~np.isnan(generated[:, 0, 0])]
    assert rows[0].w1 == pytest.approx(wasserstein_distance(there, real[:, 0, 0].ravel()))
    assert rows[0].missing == pytest.approx(45 / (90 * 4)) and rows[0].missing_real == 0
    assert rows[1].w1 is None and rows[1].missing_real == 1 and rows[1].far
    assert "q (missing in 0 %, really 100 %)" in far_sentence(rows)
