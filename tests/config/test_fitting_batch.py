"""Of few samples the default recipe takes batches that fit, so that every kind of data trains as it comes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wassergan.config.presets import fitting_batch, resolve
from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.modality.recipes import resolve_for
from wassergan.runs.train import train_run

SHAPES = st.sampled_from([(2,), (30,), (8, 8), (10, 11, 3), (12, 12)])


def resolved(count: int, shape: tuple[int, ...], **how: Any) -> tuple[int, int, list[str]]:
    """The size of a batch, the number of training samples, and what is said."""
    numbers = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype("u1")
    source = open_source(numbers, layout={1: "ND", 2: "NHW", 3: "NHWC"}[len(shape)], seed=0)
    told: list[str] = []
    batch = resolve_for(TrainSettings(**how), source, log=told.append).batch_size
    return batch, source.train_count, [line for line in told if "Batches of" in line]


@settings(max_examples=60, deadline=None)
@given(st.integers(6, 300), st.integers(1, 5), SHAPES, st.sampled_from(["default", "wgan", "sn-wgan"]))
@example(140, 1, (2,), "default")
@example(143, 1, (2,), "default")
def test_two_batches_of_whole_packs_fit(count: int, pack: int, shape: tuple[int, ...], preset: str) -> None:
    usual = resolve(TrainSettings(pack=pack, preset=preset), shape=shape, train_count=10**6).batch_size
    batch, trained, told = resolved(count, shape, pack=pack, preset=preset)
    assert batch % pack == 0 and pack <= batch <= max(usual, 64)
    if trained >= 2 * pack:
        assert 2 * batch <= trained
    assert batch >= 64 // pack * pack or batch > trained // 2 - pack  # no smaller than it must be
    if told:
        assert told == [f"Batches of {batch} instead of 64 samples: there are {trained} training rows."]
    if preset != "default":
        assert bool(told) == (batch < 64)


@settings(max_examples=20, deadline=None)
@given(st.integers(6, 300), st.integers(2, 100), SHAPES)
def test_what_the_user_says_stays(count: int, batch: int, shape: tuple[int, ...]) -> None:
    found, _, told = resolved(count, shape, batch_size=batch)
    assert found == batch and not told


@pytest.mark.parametrize("count", [7, 30, 100])
@pytest.mark.parametrize("kind", ["points", "pictures", "larger", "series", "volumes", "table"])
def test_a_few_samples_of_every_kind_train(kind: str, count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = {"points": (3,), "pictures": (8, 8), "larger": (12, 12), "series": (5, 2), "volumes": (6, 6, 6)}.get(kind)
    how: dict[str, Any] = {"series": {"layout": "NTC"}, "volumes": {"layout": "NDHW"}}.get(kind, {})
    if shape is None:
        path = tmp_path / "few.csv"
        lines = [f"{value:.2f},{'abc'[number % 3]}" for number, value in enumerate(rng.normal(size=count))]
        path.write_text("\n".join(["size,kind", *lines]) + "\n")
    else:
        path = tmp_path / "few.npy"
        whole = kind in ("pictures", "larger")
        np.save(path, rng.integers(0, 256, (count, *shape)).astype("u1") if whole else rng.normal(size=(count, *shape)))
    asked = TrainSettings(data=str(path), steps=2, previews=False, tensorboard=False, **how)
    assert train_run(asked, tmp_path / "run")["steps"] == 2


def test_no_batch_is_smaller_than_a_pack() -> None:
    assert [fitting_batch(64, 3, pack=4), fitting_batch(64, 8, pack=4), fitting_batch(10, 100, pack=4)] == [4, 4, 8]
