"""Every argument of the distances meets values that it was not made for, and answers in one sentence or works."""

import inspect
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan import distances
from wassergan.distances.arguments import check_flag, check_number, shown
from wassergan.errors import UserError, WorkError


class Stubborn:
    """Raises whatever is asked of it."""

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __index__(self) -> int:
        raise OSError

    def __array__(self, *args: Any, **more: Any) -> Any:
        raise KeyError("no")

    def __repr__(self) -> str:
        raise RuntimeError


ODD = [
    *(None, True, 0, -1, 2.5, math.nan, math.inf, -math.inf, "", "much", b"x", [], [0.5], (1, 2), {}, {1}, 1j),
    *(10**400, 10**5000, -(10**400), 2**64, Decimal("0.5"), Decimal("sNaN"), Fraction(1, 2), Fraction(10**400, 3)),
    *(
        np.float32(0.5),
        np.int64(3),
        np.bool_(True),
        np.complex128(1),
        np.datetime64("2020"),
        np.ma.masked,
        np.void(b"a"),
    ),
    *(np.array([0.5]), np.array([]), np.array(["a"]), np.zeros((2, 3, 4)), np.full((4, 2), np.nan)),
    *(torch.tensor(0.5), torch.tensor(True), torch.tensor(1j), torch.zeros(2, 2), torch.zeros(1, device="meta")),
    *(torch.zeros(2, 2).to_sparse(), object(), len, int, ..., iter([1]), slice(1), Stubborn(), "x" * 10_000),
]
RNG = np.random.default_rng(0)
X, Y, LAW = RNG.normal(size=(24, 2)), RNG.normal(size=(24, 2)) + 1, np.full(4, 0.25)
SOUND: dict[str, dict[str, Any]] = {
    "critic_lower_bound": {"real_scores": X[:, 0], "fake_scores": Y[:, 0]},
    "w1_interval": {"x": X, "y": Y, "rng": 0, "budget_seconds": 0.1},
    "W1Estimator": {},
    "exact_w1": {"x": X, "y": Y},
    "exact_transport": {"cost": abs(X)},
    "sliced_w1": {"x": X, "y": Y, "rng": 0, "projections": 4},
    "sliced_w1_estimate": {"x": X, "y": Y, "rng": 0, "projections": 4},
    "max_sliced_w1": {"x": X, "y": Y, "rng": 0, "projections": 4, "steps": 2},
    "random_directions": {"dim": 2, "count": 3, "rng": 0},
    "wasserstein_line": {"x": X[:, 0], "y": Y[:, 0]},
    "energy_distance": {"x": X, "y": Y},
    "total_variation": {"p": LAW, "q": LAW},
    "kl_divergence": {"p": LAW, "q": LAW},
    "js_divergence": {"p": LAW, "q": LAW},
    "CTransform": {"atoms": torch.zeros(3, 2)},
    "get_family": {"name": "atoms"},
}
ARGUMENTS = [(name, each) for name in SOUND for each in inspect.signature(getattr(distances, name)).parameters]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ARGUMENTS), st.sampled_from(range(len(ODD))))
def test_an_odd_value_works_or_is_refused_in_a_sentence(argument: tuple[str, str], place: int) -> None:
    name, parameter = argument
    try:
        getattr(distances, name)(**{**SOUND[name], parameter: ODD[place]})
    except WorkError:
        assert parameter in ("max_iterations", "tolerance")
    except UserError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 600


@pytest.mark.parametrize("value", [1j, np.complex128(1), "1", True, np.bool_(True), np.array([0.5]), np.ma.masked])
def test_what_only_converts_to_a_number_is_none(value: object) -> None:
    with pytest.raises(UserError, match="It must be a number"):
        check_number(value, name="It")


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), Decimal("0.5"), Fraction(1, 2), np.array(0.5), torch.tensor(0.5)]
)
def test_numbers_of_every_type_are_taken(value: object) -> None:
    assert check_number(value, name="It") == 0.5


@pytest.mark.parametrize("value", [0, 1, "no", None, [], np.zeros(2)])
def test_truth_values_are_true_or_false(value: object) -> None:
    with pytest.raises(UserError, match="It must be True or False"):
        check_flag(value, name="It")


def test_values_are_shown_in_short() -> None:
    assert shown(10**5000) == "a whole number of 16610 bits"
    assert shown(Stubborn()) == "a Stubborn"
    assert len(shown("x" * 1000)) == 80


def test_scores_are_one_a_sample() -> None:
    for scores in (np.zeros((2, 3)), np.array(0.5)):
        with pytest.raises(UserError, match=r"real_scores must have shape \(n,\), one score a sample"):
            distances.critic_lower_bound(scores, np.zeros(3))
    assert distances.critic_lower_bound(np.ones((400, 1)), np.zeros(400)) > 0.9
