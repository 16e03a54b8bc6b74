import json
from collections.abc import Callable
from dataclasses import asdict, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.config.parsing import (
    fraction,
    not_negative,
    parse_budget,
    parse_size,
    parse_widths,
    positive_float,
    positive_int,
    whole_number,
)
from wassergan.config.presets import resolve
from wassergan.config.recipe import Recipe, RecipeChoices
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.errors import UserError


@given(number=st.integers(1, 10_000), unit=st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_budgets_are_durations(number: int, unit: tuple[str, int]) -> None:
    assert parse_budget(f"{number}{unit[0]}") == number * unit[1]
    assert parse_budget(f" {number}.5 {unit[0]} ") == (number + 0.5) * unit[1]


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_sizes_are_one_number_or_height_by_width(height: int, width: int) -> None:
    assert parse_size(f"{height}x{width}") == (height, width)
    assert parse_size(f"{height}") == (height, height)


@given(widths=st.lists(st.integers(1, 9999), min_size=1, max_size=5))
def test_widths_are_a_list(widths: list[int]) -> None:
    assert parse_widths(", ".join(map(str, widths))) == tuple(widths)


@pytest.mark.parametrize(
    ("parse", "texts", "message"),
    [
        (
            parse_budget,
            ["", "0s", "-5s", "10 minutes", "1e3", "s", "nan"],
            "A budget is a positive duration: .*20s, 10m or 2h",
        ),
        (parse_budget, ["3", "20", "1.5"], "A budget needs a unit: .*Write [0-9.]+s, [0-9.]+m or [0-9.]+h"),
        (parse_size, ["", "0", "4x0", "4x", "axb", "-4", "4x5x6"], "A size is a whole number or HEIGHTxWIDTH"),
        (parse_widths, ["", "0", "4,,5", "4;5", "-1", "4.5"], "Widths are whole numbers"),
        (positive_int, ["", "0", "-1", "1.5", "x", "²"], "Expected a whole number above 0"),
        (whole_number, ["", "-1", "1.5", "x"], "Expected a whole number from 0"),
        (positive_float, ["", "0", "-1", "inf", "nan", "x"], "Expected a number above 0"),
        (fraction, ["", "1", "-0.1", "nan", "x"], "Expected a number from 0 up to, not including, 1"),
        (not_negative, ["", "-1", "inf", "nan", "x"], "Expected a number from 0"),
    ],
)
def test_every_parser_refuses_what_it_cannot_read(parse: Callable[[str], Any], texts: list[str], message: str) -> None:
    for text in texts:
        with pytest.raises(UserError, match=message) as told:
            parse(text)
        assert f"'{text}'" in str(told.value)


def test_numbers_in_range_are_read() -> None:
    assert (positive_int(" 7 "), whole_number("0"), positive_float("1e-4")) == (7, 0, 1e-4)
    assert fraction("0") == not_negative("0") == 0


@given(number=st.integers(0, 10**6), power=st.integers(0, 25), sign=st.sampled_from(["e", "E", "e+"]))
def test_whole_numbers_may_be_written_with_a_power_of_ten(number: int, power: int, sign: str) -> None:
    for places in range(4):
        whole, rest = divmod(number, 10**places)
        text = (f"{whole}.{rest:0{places}}" if places else f"{whole}") + f"{sign}{power}"
        expected = Fraction(number) * 10**power / 10**places
        if expected.denominator == 1 and expected < 2**63:
            assert whole_number(text) == expected
        else:
            with pytest.raises(UserError, match="Expected a whole number from 0"):
                whole_number(text)


def test_numbers_with_another_power_are_no_whole_ones() -> None:
    assert (positive_int("1e5"), positive_int("2.5e6"), parse_widths("1e2,64")) == (100_000, 2_500_000, (100, 64))
    for text in ("1e-3", "1e", "e5", "1.5e0", "1e1000", "1e99", "0e5", "1.e3", ".5e3", "-1e3", "1e3.0", "١e3"):
        with pytest.raises(UserError, match="Expected a whole number above 0"):
            positive_int(text)


def test_settings_go_to_json_and_back() -> None:
    settings = TrainSettings(data="digits", generator_widths=(4, 5), size=(8, 9), previews=False, steps=7)
    assert TrainSettings.from_mapping(json.loads(settings.to_json())) == settings
    assert TrainSettings.from_mapping(asdict(settings)) == settings


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown setting: 'critic_step'. Did you mean 'critic_steps'\?"):
        TrainSettings.from_mapping({"critic_step": 4})


def test_defaults_fill_holes_only() -> None:
    settings = TrainSettings(clip=0.5).with_defaults({"clip": 0.1, "maps": 3})
    assert (settings.clip, settings.maps) == (0.5, 3)


def test_settings_of_older_runs_have_generators_of_the_critics_maps() -> None:
    older = asdict(resolve(TrainSettings(preset="wgan-gp"), shape=(1, 16, 16), train_count=99))
    assert older.pop("generator_maps") == 64
    assert ResolvedSettings.from_mapping(older | {"maps": 7}).generator_maps == 7


def test_every_setting_has_a_help_text_and_a_group() -> None:
    for each in fields(TrainSettings):
        if each.name != "data":
            assert each.metadata["text"], each.name
            assert each.metadata["group"] in ("Recipe", "Run", "Data")


@pytest.mark.parametrize(
    "values",
    [
        {"steps": np.int64(7), "critic_lr": np.float32(0.5), "data": Path("a.npy")},
        {"generator_widths": [np.int32(3), 4], "size": (5, 6), "budget": 1e-5, "clip": 1},
        {"condition": ["a,b", "c"], "channels": ("a,b", "c"), "missing": (-9999, 1e20), "seed": 2**63 - 1},
        {},
    ],
    ids=["numpy", "lists", "texts", "none"],
)
def test_settings_in_python_become_plain_types_that_a_file_gives_back(values: dict[str, Any]) -> None:
    once = TrainSettings(**values).checked()
    plain = json.loads(json.dumps(asdict(once)))
    again = TrainSettings.from_mapping(plain)
    assert again == once and asdict(again) == asdict(once)
    for name, value in values.items():
        found = getattr(once, name)
        assert found == (tuple(value) if isinstance(value, list) else str(value) if isinstance(value, Path) else value)
        assert type(found) in (int, float, str, tuple)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0}, {"steps": True}, {"steps": "3"}, {"steps": 2.5}, {"critic_steps": -3}, {"seed": 2**80},
        {"seed": -1},
        {"clip": float("nan")}, {"generator_lr": float("inf")}, {"previews": 1}, {"previews": "yes"}, {"data": 3},
        {"generator_widths": (0,)}, {"generator_widths": (8,) * 1001}, {"generator_widths": 8.5}, {"condition": "a"},
        {"condition": (3,)}, {"network": b"mlp"}, {"heldout": 1}, {"budget": -1.0}, {"keep": 10**5000},
        {"threads": [1, 2]},
    ],
    ids=lambda values: f"{values}"[:40] if "keep" not in values else "keep",
)  # fmt: skip
def test_settings_that_no_flag_would_take_are_refused_by_name(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(UserError, match=f"^{name}: "):
        TrainSettings(**values).checked()


@pytest.mark.parametrize("parse", [positive_int, whole_number, positive_float, parse_widths, parse_size, parse_budget])
def test_numbers_of_thousands_of_digits_are_refused_in_a_short_sentence(parse: Callable[[str], Any]) -> None:
    with pytest.raises(UserError) as error:
        parse("9" * 5000)
    assert len(str(error.value)) < 300 and "5000 characters" in str(error.value)


def resolved() -> ResolvedSettings:
    return resolve(TrainSettings(seed=7, budget=2.5, condition=("a", "b")), shape=(3,), train_count=100)


# A setting added to one of the two classes alone would have no flag, or would never reach a run.
def test_a_recipe_and_what_is_said_of_it_have_the_same_settings() -> None:
    said, complete = get_type_hints(RecipeChoices), get_type_hints(Recipe)
    assert list(said) == list(complete)
    assert {name: kind for name, kind in said.items() if name != "preset"} == {
        name: kind | None for name, kind in complete.items() if name != "preset"
    }
    assert [each.name for each in fields(TrainSettings)] == [each.name for each in fields(ResolvedSettings)]


OPEN_IN_OLDER_RUNS = (
    *("critic_activation", "generator_maps", "sequence_width", "augment", "mirror", "share_fakes"),
    *("penalty_on", "critic_condition", "upsampling", "equalized_lr", "likelihood", "likelihood_steps", "overshoot"),
    *("past_noise", "two_point", "match_margins"),
)


@pytest.mark.parametrize("name", [each.name for each in fields(Recipe)])
def test_resolved_settings_have_no_holes(name: str) -> None:
    values = {**asdict(resolved()), name: None}
    if name in OPEN_IN_OLDER_RUNS:
        assert ResolvedSettings.from_mapping(values) == resolved()
        return
    with pytest.raises(UserError, match=name):
        ResolvedSettings.from_mapping(values)


def test_resolved_settings_are_read_back_from_json_as_they_were() -> None:
    assert ResolvedSettings.from_mapping(json.loads(json.dumps(asdict(resolved())))) == resolved()
