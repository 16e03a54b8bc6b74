"""Generators that reach the ends of the range of the data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.config.parsing import overshoot
from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.networks import Bounded, Partial
from wassergan.runs.train import resume_run, train_run
from wassergan.session import build
from wassergan.session.restore import open_sampler


def black_and_white(count: int = 80) -> np.ndarray[Any, Any]:
    """Pictures of which every pixel is black or white."""
    return 255 * np.random.default_rng(0).integers(0, 2, (count, 6, 6), np.uint8)


def built(data: Any, **asked: Any) -> Any:
    source = open_source(data, layout=asked.pop("layout", "auto"))
    return build.build_trainer(resolve_for(TrainSettings(batch_size=8, **asked), source), source).generator


def test_small_pictures_reach_their_ends_and_others_do_not_unless_they_are_asked_to() -> None:
    rng = np.random.default_rng(0)
    assert built(black_and_white()).head.overshoot == 1.3
    assert built(black_and_white(), overshoot=1.0).head.overshoot == 1
    assert built(rng.integers(0, 256, (40, 28, 28), np.uint8)).head.overshoot == 1
    assert built(rng.normal(size=(40, 5)), overshoot=2.0).head.overshoot == 2
    holed = rng.normal(size=(40, 5))
    holed[::3, 2] = np.nan
    head = built(holed, overshoot=2.0).head
    assert isinstance(head, Partial) and isinstance(head.bounded, Bounded) and head.bounded.overshoot == 2


@settings(max_examples=8, deadline=None)
@given(reach=st.sampled_from([1.0, 1.05, 1.3, 4.0]), kind=st.sampled_from(["pixels", "numbers", "holed"]))
def test_samples_stay_within_the_range_of_the_data_whatever_the_overshoot(reach: float, kind: str) -> None:
    data: Any = black_and_white()
    if kind != "pixels":
        data = np.random.default_rng(1).integers(-7, 9, (60, 3)).astype(np.float64 if kind == "holed" else np.int16)
    if kind == "holed":
        data[::4, 1] = np.nan
    source = open_source(data)
    trainer = build.build_trainer(resolve_for(TrainSettings(batch_size=8, overshoot=reach), source), source)
    trainer.train(steps=2)
    made = source.codec.decode_numpy(trainer.sample(50, seed=3))
    width = np.nanmax(data) - np.nanmin(data)
    room = 0.11 * width if kind == "holed" else 0
    assert np.nanmin(made) >= np.nanmin(data) - room and np.nanmax(made) <= np.nanmax(data) + room


def test_columns_and_densities_have_no_ends_to_reach_for(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("colour,size\n" + "".join(f"{'red' if i % 3 else 'blue'},{i * 0.37}\n" for i in range(60)))
    with pytest.raises(UserError, match="overshoot.* is for arrays of numbers and for pictures"):
        train_run(TrainSettings(data=str(table), steps=1, overshoot=1.5), tmp_path / "run")
    series = np.random.default_rng(0).normal(size=(600, 8, 2))
    with pytest.raises(UserError, match="drawn step by step.*overshoot"):
        built(series, layout="NTC", overshoot=1.5)
    assert built(series, layout="NTC", overshoot=1.5, likelihood=0.0).head.overshoot == 1.5


@pytest.mark.parametrize("wrong", ["0.99", "nan", "inf", "17", "-1", "much"])
def test_an_overshoot_is_a_number_from_1_to_16(wrong: str) -> None:
    with pytest.raises(UserError, match="Expected a number"):
        overshoot(wrong)


def test_a_run_keeps_its_overshoot_when_it_goes_on_and_when_it_is_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", black_and_white())
    asked: dict[str, Any] = {"data": str(tmp_path / "a.npy"), "batch_size": 8, "seed": 2, "previews": False}
    train_run(TrainSettings(steps=6, **asked), tmp_path / "whole")
    train_run(TrainSettings(steps=3, **asked), tmp_path / "parts")
    resume_run(tmp_path / "parts", {"steps": 6})
    whole, parts = (open_sampler(tmp_path / name) for name in ("whole", "parts"))
    assert whole.generator.head.overshoot == parts.generator.head.overshoot == 1.3
    assert np.array_equal(whole.draw(30, seed=1), parts.draw(30, seed=1))
