from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.callbacks import Callback
from wassergan.config.settings import TrainSettings
from wassergan.data import Source
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.session.run_content import run_summary
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.run_log import read_log
from wassergan.training import DistributedContext, DivergedError, Trainer
from wassergan.training.divergence import Recipe, diagnosis
from wassergan.training.step_runner import StepRunner
from wassergan.training.turn import Iteration

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def settings(points_file: Path) -> TrainSettings:
    return TrainSettings(
        data=str(points_file), latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8, critic_steps=2,
        tick_steps=4, steps=16, on_divergence="rollback",
    )  # fmt: skip


class Saboteur(Callback):
    """Breaks a weight of the critic after some steps, each once, as a spike would."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.sentences = list(steps), list[str]()

    def on_message(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step in self.steps:
            self.steps.remove(trainer.step)
            with torch.no_grad():
                next(trainer.critic.parameters()).fill_(torch.inf)


def content(folder: Path) -> dict[str, Any]:
    return load_checkpoint(Checkpoints(folder / "checkpoints").path("latest"))


def test_a_run_that_diverges_goes_back_with_a_quarter_of_the_rates_and_says_so(
    tmp_path: Path, settings: TrainSettings
) -> None:
    callback = Saboteur(10, 14)
    summary = train_run(settings, tmp_path / "run", callback=callback)
    assert summary["steps"] == 16
    notes = summary["rollbacks"]
    assert [(note["step"], note["diverged"], note["lr_scale"]) for note in notes] == [
        (8, 12, 1 / 4),
        (12, 16, 1 / 16),
    ]
    assert all("critic weights" in note["found"] for note in notes)
    back = [sentence for sentence in callback.sentences if sentence.startswith("Went back")]
    assert back[0].startswith("Went back from step 12 to step 8, with 0.25 times the first rates (1 of at most 3)")
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert [record["step"] for record in log] == [0, 4, 8, 12, 16]
    assert [record.get("rollbacks", 0) for record in log] == [0, 0, 0, 1, 2]
    first = log[0]["critic_lr"]
    assert [record["critic_lr"] / first for record in log] == pytest.approx([1, 1, 1, 1 / 4, 1 / 16])
    assert all(weight.isfinite().all() for weight in content(tmp_path / "run")["trainer"]["critic"].values())


def test_a_second_divergence_from_the_same_checkpoint_goes_back_one_further(
    tmp_path: Path, settings: TrainSettings
) -> None:
    callback = Saboteur(10, 10)
    summary = train_run(settings, tmp_path / "run", callback=callback)
    assert [note["step"] for note in summary["rollbacks"]] == [8, 4]
    assert [record["step"] for record in read_log(tmp_path / "run" / "log.jsonl")] == [0, 4, 8, 12, 16]


def test_it_goes_back_no_more_often_than_allowed_over_resumes_too(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    with pytest.raises(DivergedError, match="diverged before step 16"):
        train_run(replace(settings, rollbacks=1), folder, callback=Saboteur(10, 14))
    assert len(run_summary(folder)["rollbacks"]) == 1
    with pytest.raises(DivergedError):
        resume_run(folder, {}, callback=Saboteur(13))
    assert resume_run(folder, {"rollbacks": 2, "steps": 20}, callback=Saboteur(13))["steps"] == 20
    assert content(folder)["trainer"]["lr_scale"] == 1 / 16


def test_a_run_that_went_back_resumes_bit_for_bit(tmp_path: Path, settings: TrainSettings) -> None:
    train_run(settings, tmp_path / "whole", callback=Saboteur(10))
    polls: list[int] = []

    def interrupted() -> bool:
        polls.append(1)
        return len(polls) == 16  # after the rollback, between two ticks

    train_run(settings, tmp_path / "cut", callback=Saboteur(10), interrupted=interrupted)
    assert content(tmp_path / "cut")["trainer"]["step"] < 16
    resume_run(tmp_path / "cut", {})
    one, other = (content(tmp_path / name)["trainer"] for name in ("cut", "whole"))
    for part in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches", "lr_scale"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)


def both(processes: DistributedContext, settings: TrainSettings, folder: Path) -> Any:
    take = StepRunner.take
    done: list[int] = []

    def sabotaged(runner: StepRunner, turn: Iteration, *, step: int, **named: Any) -> None:
        take(runner, turn, step=step, **named)
        if step == 9 and not done:
            done.append(1)
            with torch.no_grad():
                next(runner.critic.parameters()).fill_(torch.inf)

    StepRunner.take = sabotaged  # type: ignore[assignment, method-assign]
    summary = train_run(settings, folder, processes=processes)
    return summary["steps"], [note["step"] for note in summary["rollbacks"]]


@pytest.mark.slow
def test_two_processes_go_back_together(
    tmp_path: Path, settings: TrainSettings, spawn: Callable[..., list[Any]]
) -> None:
    results = spawn(lambda processes: both(processes, settings, tmp_path / "run"))
    assert results == [(16, [8])] * 2


def test_a_huge_rate_stops_with_a_diagnosis_and_what_to_try(tmp_path: Path, settings: TrainSettings) -> None:
    wild = replace(settings, critic_lr=1e30, generator_lr=1e30, on_divergence="stop")
    with pytest.raises(DivergedError) as caught:
        train_run(wild, tmp_path / "run")
    assert "rates 1e+30 (critic), 1e+30 (generator)" in str(caught.value)
    assert "critic_lr=1e+29 generator_lr=1e+29" in str(caught.value)
    assert 'on_divergence="rollback"' in str(caught.value)
    with pytest.raises(DivergedError):
        train_run(replace(wild, on_divergence="rollback"), tmp_path / "again")
    assert len(run_summary(tmp_path / "again")["rollbacks"]) == 3


def test_a_poisoned_sample_is_found_and_no_rollback_is_wasted_on_it(
    make_trainer: Callable[..., Trainer], make_source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source((3,))
    clean = source.train

    def poisoned(self: Source, positions: torch.Tensor) -> torch.Tensor:
        samples = clean(positions).clone()
        samples[positions == 17] = torch.inf
        return samples

    monkeypatch.setattr(Source, "train", poisoned)
    with pytest.raises(DivergedError, match="training sample 17 of array holds values that are not finite") as caught:
        make_trainer(source=source).train(steps=40)
    assert caught.value.by_data and "critic_lr" not in str(caught.value)


def test_an_outlier_reduced_precision_and_a_loose_constraint_are_named(
    make_source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source((2,))
    clean = source.train

    def extreme(self: Source, positions: torch.Tensor) -> torch.Tensor:
        samples = clean(positions).clone()
        samples[positions == 5] = 1e30
        return samples

    recipe = Recipe(1e-3, 2e-3, "bf16", "clip")
    plain = str(diagnosis(7, ["penalty"], source, replace(recipe, precision="float32", constraint="lp")))
    assert "critic_lr=0.0002 generator_lr=0.0001" in plain
    assert not any(word in plain for word in ("float32", "constraint=", "deviations"))
    monkeypatch.setattr(Source, "train", extreme)
    told = str(diagnosis(7, ["penalty"], source, recipe))
    for part in ("before step 7: penalty", "1e+30 deviations", 'precision="float32"', 'constraint="lp"', "outliers"):
        assert part in told


def test_an_unknown_answer_is_refused_before_anything_is_made(tmp_path: Path, settings: TrainSettings) -> None:
    with pytest.raises(UserError, match="Unknown `on_divergence`: 'roll'.*Known: stop, rollback"):
        train_run(replace(settings, on_divergence="roll"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Extreme but legal data train, or are refused clearly.
@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("1e30", None),
        ("1e300", None),
        ("denormal", None),
        ("tiny float32", None),
        ("shifted", None),
        ("duplicates", None),
        ("one constant feature", None),
        ("3 samples", "Too few samples to hold some out"),
        ("heavy tails", None),
    ],
)
def test_extreme_data_train_or_are_refused_clearly(
    tmp_path: Path, settings: TrainSettings, name: str, refusal: str | None
) -> None:
    numbers = np.random.default_rng(0).normal(size=(60, 2))
    data = {
        "1e30": (numbers * 1e30).astype(np.float32),
        "1e300": numbers * 1e300,
        "denormal": numbers * 1e-310,
        "tiny float32": (numbers * 1e-30).astype(np.float32),
        "shifted": 1e9 + numbers,
        "duplicates": np.repeat(numbers[:2], [59, 1], axis=0),
        "one constant feature": np.stack([numbers[:, 0], np.full(60, 3.0)], axis=1),
        "3 samples": numbers[:3],
        "heavy tails": np.tan(numbers * 1.5),
    }[name]
    np.save(tmp_path / "data.npy", data)  # type: ignore[arg-type]
    settings = replace(settings, data=str(tmp_path / "data.npy"), steps=4)
    if refusal is not None:
        with pytest.raises(UserError, match=refusal):
            train_run(settings, tmp_path / "run")
        return
    assert np.isfinite(train_run(settings, tmp_path / "run")["sliced_w1"])
    from wassergan.session.restore import open_sampler

    drawn = open_sampler(tmp_path / "run").draw(50)
    assert drawn.dtype == data.dtype and np.isfinite(drawn).all()  # type: ignore[attr-defined]
    low, high = data.min(0), data.max(0)  # type: ignore[attr-defined]
    assert (drawn >= low - 0.11 * (high - low)).all() and (drawn <= high + 0.11 * (high - low)).all()


def test_three_samples_train_where_one_is_held_out(tmp_path: Path, settings: TrainSettings) -> None:
    np.save(tmp_path / "three.npy", np.array([[0.0, 1.0], [2.0, 5.0], [3.0, 4.0]]))
    three = replace(settings, data=str(tmp_path / "three.npy"), heldout=0.34, steps=2)
    with pytest.raises(UserError, match="batch"):
        train_run(three, tmp_path / "refused")
    assert train_run(replace(three, batch_size=1), tmp_path / "run")["steps"] == 2
