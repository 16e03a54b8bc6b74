"""The rules of what a resumed run may change, without a run."""

from dataclasses import asdict, fields, replace

import pytest

from wassergan.callbacks import Callback
from wassergan.config.presets import resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.errors import UserError, written_as_flags
from wassergan.runs.changes import changes_of, on_this_machine, say_what_differs, with_changes

# What a run is stays; how long it goes on, where its data lie, what it writes and how fast it is may change.
MAY_CHANGE = {
    *("steps", "budget", "data", "labels", "schema", "tick_steps", "w1_every", "keep", "previews", "tensorboard"),
    "condition_array",
    *("on_divergence", "rollbacks", "cuda_graphs"),
    *("device", "threads", "precision", "batch_size", "generator_lr", "critic_lr"),
}
OTHER = {"steps": 9, "budget": 7.0, "threads": 3, "w1_every": 5, "tensorboard": False, "labels": "l.npy", "schema": "s"}


class Heard(Callback):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def on_message(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture
def settings() -> ResolvedSettings:
    return resolve(TrainSettings(data="a.npy", steps=4, budget=60.0), shape=(2,), train_count=900)


def another(settings: ResolvedSettings, name: str) -> object:
    value = getattr(settings, name)
    if name in OTHER or value is None:
        return OTHER.get(name, "another")
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return (value or 1) * 2
    return f"{value}-" if isinstance(value, str) else (7, 7)


def test_every_setting_may_change_or_is_refused_with_a_reason(settings: ResolvedSettings) -> None:
    for name in (each.name for each in fields(TrainSettings)):
        asked = another(settings, name)
        assert asked != getattr(settings, name)
        if name in MAY_CHANGE:
            assert getattr(with_changes(settings, {name: asked}), name) == asked
        else:
            with pytest.raises(
                UserError, match=rf"{name}: the run has .*, asked for .* \(.+\)\. Leave those out \(only"
            ):
                with_changes(settings, {name: asked})


def test_what_is_asked_for_as_it_is_changes_nothing(settings: ResolvedSettings) -> None:
    same = {name: value for name, value in asdict(settings).items() if name not in ("steps", "budget")}
    assert with_changes(settings, same) == settings


@pytest.mark.parametrize(
    ("changes", "steps", "budget"),
    [
        ({"steps": 9}, 9, None),
        ({"budget": 7.0}, None, 7.0),
        ({"steps": 9, "budget": 7.0}, 9, 7.0),
        ({"keep": 5}, 4, 60.0),
    ],
)
def test_a_new_end_replaces_the_old_one(
    settings: ResolvedSettings, changes: dict[str, object], steps: int | None, budget: float | None
) -> None:
    changed = with_changes(settings, changes)
    assert (changed.steps, changed.budget) == (steps, budget)


def test_a_change_is_held_to_the_rule_of_its_setting(settings: ResolvedSettings) -> None:
    with pytest.raises(UserError, match="keep"):
        with_changes(settings, {"keep": 0})
    assert changes_of(TrainSettings(steps=9, on_divergence="stop")) == {"steps": 9}


def test_a_refusal_speaks_python_or_flags(settings: ResolvedSettings) -> None:
    with pytest.raises(UserError, match=r"Leave those out \(only `steps`, `budget`, .*`batch_size`"):
        with_changes(settings, {"seed": 1})
    with written_as_flags(), pytest.raises(UserError, match=r"Leave those flags out \(only --steps, .*--batch-size"):
        with_changes(settings, {"seed": 1})


def test_a_device_that_is_not_here_gives_way_unless_it_is_asked_for(settings: ResolvedSettings) -> None:
    away, heard = replace(settings, device="cuda:77"), Heard()
    assert on_this_machine(away, {}, heard).device == "auto" and len(heard.sentences) == 1
    assert on_this_machine(away, {"device": "cuda:77"}, heard).device == "cuda:77"
    assert on_this_machine(replace(settings, device="cpu"), {}, heard).device == "cpu" and len(heard.sentences) == 1


def test_changes_of_the_numbers_are_said_in_one_line_and_others_not_at_all(settings: ResolvedSettings) -> None:
    heard = Heard()
    say_what_differs(settings, replace(settings, keep=9, tick_steps=7), heard, same_streams=True)
    assert not heard.sentences
    faster = replace(settings, threads=3, batch_size=2 * settings.batch_size)
    say_what_differs(settings, faster, heard, same_streams=False)
    (sentence,) = heard.sentences
    assert "`threads` None is now 3; `batch_size`" in sentence and sentence.endswith("cannot go on here.")
