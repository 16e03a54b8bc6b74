"""Samples that are learnt flipped come back flipped, or are refused."""

from typing import Any

import numpy as np
import pytest

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for

RNG = np.random.default_rng(0)
ASKED = TrainSettings(steps=1, mirror=True)


def fields(**changes: Any) -> np.ndarray[Any, Any]:
    made = RNG.normal(size=(80, 6, 8)).astype("float32")
    for name, value in changes.items():
        place: Any = {"left": np.s_[:, :, 0], "right": np.s_[:, :, 7], "top": np.s_[:, 0], "some": np.s_[::2, 1, 2]}[
            name
        ]
        made[place] = value
    return made


@pytest.mark.parametrize("changes", [{}, {"top": 5.0}, {"left": 5.0, "right": 5.0}, {"left": np.nan, "right": np.nan}])
@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_what_is_alike_on_both_sides_may_be_flipped(changes: dict[str, Any], layout: str) -> None:
    data = fields(**changes)
    data = data if layout == "NHW" else np.expand_dims(data, layout.index("C"))
    said: list[str] = []
    assert resolve_for(ASKED, open_source(data, layout=layout, seed=0), log=said.append).mirror
    assert not [each for each in said if "flipped" in each]


@pytest.mark.parametrize(
    "changes", [{"left": 5.0}, {"left": np.nan}, {"left": 5.0, "right": 4.0}, {"left": 5.0, "right": np.nan}]
)
def test_fields_whose_sides_differ_in_what_is_constant_or_missing_are_refused(changes: dict[str, Any]) -> None:
    source = open_source(fields(**changes), layout="NHW", seed=0)
    with pytest.raises(UserError, match="cannot be flipped.*numbers that would not come back flipped.*mirror"):
        resolve_for(ASKED, source)
    assert not resolve_for(TrainSettings(steps=1), source).mirror


def test_places_with_a_scale_of_their_own_are_refused() -> None:
    slope = fields() + 10 * np.arange(8, dtype="float32")
    assert resolve_for(ASKED, open_source(slope, layout="NHW", seed=0)).mirror
    with pytest.raises(UserError, match="cannot be flipped"):
        resolve_for(ASKED, open_source(slope, layout="NHW", scale="feature", seed=0))


def test_constant_pixels_on_one_side_are_said() -> None:
    pixels = RNG.integers(0, 200, (80, 6, 8), "u1")
    said: list[str] = []
    pixels[:, :, [0, 7]] = 0
    resolve_for(ASKED, open_source(pixels, layout="NHW", seed=0), log=said.append)
    assert not [each for each in said if "flipped" in each]
    pixels[:, :, 0] = 255
    resolve_for(ASKED, open_source(pixels, layout="NHW", seed=0), log=said.append)
    assert [each for each in said if "12 of 48 numbers are not flipped" in each]
