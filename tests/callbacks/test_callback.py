from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.callbacks import Callback, CallbackList
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage.checkpoint import load_checkpoint
from wassergan.training import DistributedContext

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def settings(points_file: Path) -> TrainSettings:
    return TrainSettings(
        str(points_file),
        latent_dim=3,
        generator_widths=(8,),
        critic_widths=(8,),
        batch_size=8,
        critic_steps=2,
        tick_steps=2,
        steps=4,
        tensorboard=False,
    )


class Recorder(Callback):
    """Notes what it is told, with a name, in a list that others may share."""

    def __init__(self, notes: list[Any], name: str = "") -> None:
        self.notes, self.name = notes, name

    def on_train_begin(self, settings: Any, source: Any, folder: Any, trainer: Any) -> None:
        self.notes.append((self.name, "started", trainer.step))

    def on_message(self, sentence: str) -> None:
        self.notes.append((self.name, "said", sentence))

    def on_step_end(self, trainer: Any) -> None:
        self.notes.append((self.name, "stepped", trainer.step))

    def on_tick(self, record: Mapping[str, Any]) -> None:
        self.notes.append((self.name, "ticked", record["step"]))

    def on_close(self) -> None:
        self.notes.append((self.name, "closed", None))


STORY = [
    *[("started", 0), ("ticked", 0), ("stepped", 1), ("stepped", 2), ("ticked", 2)],
    *[("stepped", 3), ("stepped", 4), ("ticked", 4), ("closed", None)],
]


def test_a_callback_is_told_in_this_order(tmp_path: Path, settings: TrainSettings) -> None:
    notes: list[Any] = []
    train_run(settings, tmp_path / "run", callback=Recorder(notes))
    assert [note[1:] for note in notes if note[1] != "said"] == STORY
    notes.clear()
    resume_run(tmp_path / "run", {"steps": 5}, callback=Recorder(notes))
    assert [note[1:] for note in notes if note[1] != "said"] == [
        *[("started", 4), ("stepped", 5), ("ticked", 5), ("closed", None)]
    ]


def test_several_callbacks_are_each_told_everything_and_closed_in_turn(tmp_path: Path, settings: TrainSettings) -> None:
    notes: list[Any] = []
    train_run(settings, tmp_path / "run", callback=CallbackList(Recorder(notes, "a"), Recorder(notes, "b")))
    for name in "ab":
        assert [note[1:] for note in notes if note[0] == name and note[1] != "said"] == STORY
    assert [note[0] for note in notes if note[1] == "ticked"] == ["a", "b"] * 3
    assert [note[0] for note in notes if note[1] == "closed"] == ["b", "a"]


def test_all_are_closed_even_if_one_fails(tmp_path: Path, settings: TrainSettings) -> None:
    class Failing(Recorder):
        def on_tick(self, record: Mapping[str, Any]) -> None:
            raise ValueError("no connection")

        def on_close(self) -> None:
            super().on_close()
            raise OSError("still none")

    notes: list[Any] = []
    with pytest.raises(OSError, match="still none") as told:
        callbacks = CallbackList(Recorder(notes, "a"), Failing(notes, "b"), Recorder(notes, "c"))
        train_run(settings, tmp_path / "run", callback=callbacks)
    assert isinstance(told.value.__context__, ValueError)
    assert [note[0] for note in notes if note[1] == "closed"] == ["c", "b", "a"]
    # The tick was saved before it was told.
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "latest.pt")["trainer"]["step"] == 0


def test_what_never_starts_is_closed_too(tmp_path: Path, settings: TrainSettings) -> None:
    notes: list[Any] = []
    with pytest.raises(UserError):
        train_run(replace(settings, data="gone.npy"), tmp_path / "run", callback=Recorder(notes))
    with pytest.raises(UserError):
        resume_run(tmp_path / "run", {}, callback=Recorder(notes))
    assert [note[1] for note in notes] == ["closed", "closed"]


# Drawing preview samples shifts the training randomness: callbacks may draw what they like.
def test_a_run_with_callbacks_is_bit_for_bit_the_run_without(tmp_path: Path, settings: TrainSettings) -> None:
    class Drawing(Callback):
        def on_step_end(self, trainer: Any) -> None:
            torch.rand(trainer.step)
            torch.manual_seed(trainer.step)
            np.random.seed(trainer.step)

        def on_tick(self, record: Mapping[str, Any]) -> None:
            torch.rand(7)

    class Sampling(Callback):
        def on_step_end(self, trainer: Any) -> None:
            trainer.sample(3)

    outside = torch.get_rng_state()
    train_run(settings, tmp_path / "alone")
    train_run(replace(settings, tensorboard=True), tmp_path / "seen", callback=CallbackList(Drawing(), Sampling()))
    torch.set_rng_state(outside)
    alone, seen = (load_checkpoint(tmp_path / name / "checkpoints" / "latest.pt") for name in ("alone", "seen"))
    for part in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches"):
        torch.testing.assert_close(alone["trainer"][part], seen["trainer"][part], rtol=0, atol=0)
    for part in ("latent_rng", "penalty_rng"):
        assert torch.equal(alone["trainer"][part], seen["trainer"][part])


def test_of_several_processes_the_first_alone_tells_its_callback(
    tmp_path: Path, settings: TrainSettings, spawn: Callable[..., list[Any]]
) -> None:
    def train(processes: DistributedContext) -> list[str]:
        notes: list[Any] = []
        train_run(replace(settings, tensorboard=True), tmp_path / "run", callback=Recorder(notes), processes=processes)
        return [note[1] for note in notes if note[1] != "said"]

    assert spawn(train) == [[what for what, _ in STORY], []]
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
