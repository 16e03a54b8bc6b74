import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.callbacks import Callback
from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError, WorkError
from wassergan.runs.recorder import write_run_report
from wassergan.runs.train import resume_run, train_run
from wassergan.session.fingerprint import fingerprint
from wassergan.session.restore import open_sampler
from wassergan.session.run_content import run_summary
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from wassergan.storage.run_log import read_log
from wassergan.training import DistributedContext

pytestmark = pytest.mark.usefixtures("quick_figures")

TINY = TrainSettings(
    latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8, critic_steps=2, tick_steps=4, maps=4
)


@pytest.fixture
def settings(points_file: Path) -> TrainSettings:
    return replace(TINY, data=str(points_file))


def trainer_state(folder: Path, which: str = "latest") -> dict[str, Any]:
    return load_checkpoint(Checkpoints(folder / "checkpoints").path(which))["trainer"]


def assert_equal_states(one: dict[str, Any], other: dict[str, Any]) -> None:
    for part in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches", "step"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
    for part in ("latent_rng", "penalty_rng"):
        assert torch.equal(one[part], other[part])


# Resume: 2N steps = N + resume + N, bit for bit, for every constraint, with previews on or off.
@pytest.mark.parametrize("constraint", ["clip", "gp", "lp", "sn", "none"])
@pytest.mark.parametrize("previews", [True, False])
def test_a_resumed_run_ends_where_an_uncut_one_does(
    tmp_path: Path, settings: TrainSettings, constraint: str, previews: bool
) -> None:
    settings = replace(
        settings,
        constraint=constraint,
        objective="nonsaturating" if constraint == "none" else None,
        previews=previews,
        schedule="inverse_sqrt",
        schedule_steps=3,
    )
    train_run(replace(settings, steps=12), tmp_path / "whole")
    train_run(replace(settings, steps=6, previews=True), tmp_path / "cut")
    resume_run(tmp_path / "cut", {"steps": 12, "previews": previews})
    assert_equal_states(trainer_state(tmp_path / "whole"), trainer_state(tmp_path / "cut"))


def test_a_resumed_run_starts_at_its_checkpoint_not_from_zero(tmp_path: Path, settings: TrainSettings) -> None:
    steps: list[int] = []
    callback = Callback()
    callback.on_step_end = lambda trainer: steps.append(trainer.step)  # type: ignore[method-assign]
    train_run(replace(settings, steps=3), tmp_path / "run")
    resume_run(tmp_path / "run", {"steps": 5}, callback=callback)
    assert steps == [4, 5]


@pytest.mark.parametrize("network", ["conv", "resnet"])
def test_a_resumed_run_of_convolutions_ends_where_an_uncut_one_does(tmp_path: Path, network: str) -> None:
    np.save(tmp_path / "p.npy", np.random.default_rng(0).integers(0, 256, (40, 16, 12), dtype=np.uint8))
    settings = replace(TINY, data=str(tmp_path / "p.npy"), network=network, preset="wgan-gp")
    train_run(replace(settings, steps=6), tmp_path / "whole")
    train_run(replace(settings, steps=3), tmp_path / "cut")
    assert any("running_mean" in name for name in trainer_state(tmp_path / "cut")["average"])
    resume_run(tmp_path / "cut", {"steps": 6})
    assert_equal_states(trainer_state(tmp_path / "whole"), trainer_state(tmp_path / "cut"))


def test_previews_do_not_change_the_weights(tmp_path: Path, settings: TrainSettings) -> None:
    for previews in (True, False):
        train_run(replace(settings, steps=9, previews=previews), tmp_path / str(previews))
    assert_equal_states(trainer_state(tmp_path / "True"), trainer_state(tmp_path / "False"))
    assert len(list((tmp_path / "True" / "samples").iterdir())) == 4  # steps 0, 4, 8 and the last
    assert list((tmp_path / "False" / "samples").iterdir()) == []


def test_bounds_on_w1_are_logged_at_the_first_tick_after_every_k_steps(tmp_path: Path, settings: TrainSettings) -> None:
    settings = replace(settings, steps=24, w1_every=7)
    train_run(settings, tmp_path / "bounded")
    log = read_log(tmp_path / "bounded" / "log.jsonl")
    # Ticks come every 4 steps; after 0 the first at or beyond 7 is 8, beyond 15 it is 16, beyond 23 it is 24.
    assert [record["step"] for record in log if "w1_lower" in record] == [0, 8, 16, 24]
    assert all(record["w1_lower"] <= record["w1_upper"] for record in log if "w1_lower" in record)
    train_run(replace(settings, w1_every=None), tmp_path / "plain")
    assert_equal_states(trainer_state(tmp_path / "bounded"), trainer_state(tmp_path / "plain"))
    train_run(replace(settings, steps=12), tmp_path / "cut")
    resume_run(tmp_path / "cut", {"steps": 24})
    again = [record["step"] for record in read_log(tmp_path / "cut" / "log.jsonl") if "w1_lower" in record]
    assert again == [0, 8, 16, 24]


def test_equal_seeds_give_equal_runs_and_other_seeds_others(tmp_path: Path, settings: TrainSettings) -> None:
    outside = torch.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_run(replace(settings, steps=4, seed=seed), tmp_path / name)
    assert torch.equal(outside, torch.get_rng_state())
    assert_equal_states(trainer_state(tmp_path / "a"), trainer_state(tmp_path / "b"))
    different = [trainer_state(tmp_path / name)["generator"]["body.0.weight"] for name in ("a", "c")]
    assert not torch.equal(*different)


def test_the_folder_holds_what_it_promises(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    summary = train_run(replace(settings, steps=9), folder)
    names = sorted(path.name for path in folder.rglob("*"))
    assert {"settings.json", "log.jsonl", "curves.png", "samples", "checkpoints", "latest.pt", "best.pt"} <= set(names)
    assert not [name for name in names if "tmp" in name]
    log = read_log(folder / "log.jsonl")
    assert [record["step"] for record in log] == [0, 4, 8, 9]
    for record in log[1:]:
        assert {
            *(
                "critic_gap",
                "critic_gap_heldout",
                "penalty",
                "gradient_norm_mean",
                "gradient_norm_max",
                "real_mean",
                "fake_mean",
            ),
            *("generator_loss", "sliced_w1", "sliced_w1_floor", "samples_per_second"),
        } <= record.keys()
    stored = json.loads((folder / "settings.json").read_text())
    # No two labels can be swapped: the run stores its resolved settings.
    assert stored["constraint"] == summary["constraint"] == "lp" and stored["generator_widths"] == [8]
    assert len(stored.pop("mark")) == 32
    assert stored == {"notes": []} | json.loads(
        json.dumps(load_checkpoint(folder / "checkpoints" / "latest.pt")["settings"])
    )
    assert {
        "preset",
        "constraint",
        "steps",
        "seconds",
        "steps_per_second",
        "samples_per_second",
        "sliced_w1",
    } <= summary.keys()


# Metrics: the best of a run reported as the final.
def test_the_summary_tells_the_final_from_the_best(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    # Rates so high that the generator gets worse than its start.
    summary = train_run(replace(settings, steps=9, generator_lr=0.5), folder)
    log = read_log(folder / "log.jsonl")
    values = [record["sliced_w1"] for record in log]
    assert min(values) != values[-1]
    assert summary["sliced_w1"] == values[-1]
    assert summary["best_sliced_w1"] == min(values)
    assert summary["best_step"] == log[values.index(min(values))]["step"]
    assert load_checkpoint(folder / "checkpoints" / "best.pt")["trainer"]["step"] == summary["best_step"]
    assert load_checkpoint(folder / "checkpoints" / "latest.pt")["trainer"]["step"] == 9


def test_a_run_that_logs_on_meanwhile_is_told_at_the_step_that_is_named(
    tmp_path: Path, settings: TrainSettings
) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=6), folder)
    before = run_summary(folder)
    later = {**read_log(folder / "log.jsonl")[-1], "step": 9, "sliced_w1": 77.25}
    with (folder / "log.jsonl").open("a") as file:  # as a run does before `latest` moves
        file.write(json.dumps(later) + "\n")
    assert run_summary(folder) == before and before["steps"] == 6
    page = write_run_report(folder).read_text()
    assert "77.25" not in page


def test_the_best_score_survives_a_resume(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    first = train_run(replace(settings, steps=9, generator_lr=0.5), folder)
    second = resume_run(folder, {"steps": 10})
    assert second["best_sliced_w1"] <= first["best_sliced_w1"]
    if second["best_step"] <= 9:
        assert load_checkpoint(folder / "checkpoints" / "best.pt")["trainer"]["step"] == first["best_step"]


def test_resuming_cuts_the_log_to_the_checkpoint_and_goes_on(tmp_path: Path, settings: TrainSettings) -> None:
    folder, said = tmp_path / "run", []  # type: ignore[var-annotated]
    train_run(replace(settings, steps=6), folder)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 400}\n{"step": 5')
    callback = Callback()
    callback.on_message = said.append  # type: ignore[assignment, method-assign]
    resume_run(folder, {"steps": 9}, callback=callback)
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 4, 6, 8, 9]
    assert said == [
        "Dropped 1 log lines that came after the checkpoint.",
        "Dropped 1 torn log line: the run was killed as it wrote.",
    ]


def test_resuming_from_an_older_checkpoint_replays_the_run(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=12, keep=9), folder)
    end = trainer_state(folder)
    resume_run(folder, {"steps": 12}, checkpoint="4")
    assert_equal_states(end, trainer_state(folder))
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 4, 8, 12]


def test_resuming_from_step_0_logs_it_once(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=5, keep=9), folder)
    resume_run(folder, {"steps": 6}, checkpoint="0")
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 4, 6]


# Resume refuses other settings by printing the difference.
def test_other_settings_are_refused_with_the_difference(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3), folder)
    with pytest.raises(UserError) as told:
        resume_run(folder, {"constraint": "gp", "seed": 4, "steps": 9})
    message = str(told.value)
    assert "constraint: the run has lp, asked for gp" in message and "seed: the run has 0, asked for 4" in message
    assert "steps:" not in message and "`steps`" in message
    resume_run(folder, {"constraint": "lp", "steps": 4})


@pytest.mark.parametrize("lost", ["samples/step-000000003.png", "report.html"])
def test_a_run_that_could_not_draw_its_end_is_resumed_to_draw_it(
    tmp_path: Path, settings: TrainSettings, lost: str
) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3, previews=True, keep=3), folder)
    log, drawn = (folder / "log.jsonl").read_bytes(), (folder / lost).read_bytes()
    state = load_checkpoint(folder / "checkpoints" / "latest.pt")["trainer"]
    (folder / lost).unlink()
    for step in (1, 2, 0):  # as if none had been dropped
        older = folder / "checkpoints" / f"step-{step:09d}.pt"
        if not older.exists():
            older.write_bytes((folder / "checkpoints" / "latest.pt").read_bytes())
    assert resume_run(folder, {})["steps"] == 3
    assert Checkpoints(folder / "checkpoints").steps() == [1, 2, 3]
    assert (folder / "log.jsonl").read_bytes() == log and (folder / lost).exists()
    if lost.endswith(".png"):
        assert (folder / lost).read_bytes() == drawn
    again = load_checkpoint(folder / "checkpoints" / "latest.pt")["trainer"]
    assert again["step"] == 3 and all(
        torch.equal(again["generator"][name], value) for name, value in state["generator"].items()
    )
    with pytest.raises(UserError, match="reached its end"):
        resume_run(folder, {})


def test_a_run_at_its_end_says_how_to_go_on(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3), folder)
    with pytest.raises(
        UserError,
        match=r"reached its end: step 3 after .* s\. `steps` and `budget` count from its start\. For that much more: "
        r"resume_run\(.*, {'steps': 6}\)",
    ):
        resume_run(folder, {})
    with pytest.raises(UserError, match=r"resume_run\(.*, {'steps': 5}\)"):  # two more were meant
        resume_run(folder, {"steps": 2})


def test_a_budget_that_is_spent_is_told_with_what_was_asked_for_on_top(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=None, budget=0.5), folder)
    with pytest.raises(UserError) as caught:
        resume_run(folder, {"budget": 0.25})
    found = re.search(r"resume_run\(.*, {'budget': (\d+)}\)", str(caught.value))
    spent = read_log(folder / "log.jsonl")[-1]["elapsed_seconds"]
    assert found is not None and int(found[1]) >= 1 and spent + 0.25 <= int(found[1]) < spent + 2.25


def test_other_data_are_refused_and_moved_data_are_not(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 2))
    data, folder = tmp_path / "a.npy", tmp_path / "run"
    np.save(data, values)
    train_run(replace(TINY, data=str(data), steps=3), folder)
    np.save(data, values + np.arange(60)[:, None])
    with pytest.raises(UserError, match="is not the data that the run was trained on.*[Pp]ut the former data back"):
        resume_run(folder, {"steps": 4})
    np.save(data, values[:50])
    with pytest.raises(UserError, match="is not the data that the run was trained on: 45 training samples"):
        resume_run(folder, {"steps": 4})
    np.save(tmp_path / "moved.npy", values)
    resume_run(folder, {"steps": 4, "data": str(tmp_path / "moved.npy")})


# A corrupt checkpoint silently restarts from zero.
@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_run_stays_as_it_was(
    tmp_path: Path, settings: TrainSettings, damage: str
) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=6, keep=9), folder)
    latest = folder / "checkpoints" / "latest.pt"
    content = latest.read_bytes()
    latest.unlink()  # it may be another name of a numbered one
    if damage == "truncated":
        latest.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        latest.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif damage == "foreign":
        torch.save({"model": torch.zeros(3)}, latest)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="damaged|not a checkpoint of wassergan|no checkpoint 'latest'"):
        resume_run(folder, {"steps": 9})
    with pytest.raises(UserError):
        open_sampler(folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert resume_run(folder, {"steps": 9}, checkpoint="4")["steps"] == 9


# No room on the disk: the previous checkpoint stays valid.
def test_a_write_failure_during_a_run_leaves_the_last_good_checkpoint(
    tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = tmp_path / "run", torch.save

    def full(content: Any, path: Path) -> None:
        save(content, path)
        if content["trainer"]["step"] > 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(WorkError, match="Could not write .*step-000000008.pt: No space left on device"):
        train_run(replace(settings, steps=12), folder)
    monkeypatch.undo()
    assert trainer_state(folder)["step"] == 4
    assert not [path for path in folder.rglob("*") if "tmp" in path.name]
    train_run(replace(settings, steps=12), tmp_path / "whole")
    resume_run(folder, {})
    assert_equal_states(trainer_state(folder), trainer_state(tmp_path / "whole"))


def test_divergence_leaves_the_last_good_checkpoint(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    with pytest.raises(WorkError, match=r"Training diverged before step \d+"):
        train_run(replace(settings, steps=12, critic_lr=1e30, generator_lr=1e30), folder)
    for which in ("latest", "best"):
        state = trainer_state(folder, which)
        assert all(value.isfinite().all() for value in (state["generator"] | state["critic"]).values())


def test_an_interruption_saves_and_can_be_resumed(tmp_path: Path, settings: TrainSettings) -> None:
    folder, asked = tmp_path / "run", []  # type: ignore[var-annotated]

    def interrupted() -> bool:
        asked.append(1)
        return len(asked) > 6

    assert train_run(replace(settings, steps=12), folder, interrupted=interrupted)["steps"] == 6
    train_run(replace(settings, steps=12), tmp_path / "whole")
    resume_run(folder, {})
    assert_equal_states(trainer_state(folder), trainer_state(tmp_path / "whole"))


def test_a_long_stretch_between_ticks_is_saved_on_the_way(
    tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wassergan.runs.recorder.SAVE_EVERY_SECONDS", 0.0)
    train_run(replace(settings, steps=3, tick_steps=1000, keep=3), tmp_path / "run")
    files = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert files == ["step-000000001.pt", "step-000000002.pt", "step-000000003.pt"]


def test_wrong_input_leaves_no_folder_behind(tmp_path: Path, settings: TrainSettings) -> None:
    for wrong in (
        replace(settings, data=str(tmp_path / "gone.npy")),
        replace(settings, batch_size=100),
        replace(settings, network="conv"),
        replace(settings, precision="float8"),
        replace(settings, constraint="none"),
    ):
        with pytest.raises(UserError):
            train_run(replace(wrong, steps=3), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_never_written_to(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3), folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"holds a run already\. Resume it \(wassergan resume .*run\), or name another"):
        train_run(replace(settings, steps=3), folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    for target, said in (("mine", "exists and is not an empty folder"), ("mine/thesis.txt", "is no folder: a file")):
        with pytest.raises(UserError, match=said):
            train_run(replace(settings, steps=3), tmp_path / target)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "keep"


def test_too_little_room_for_checkpoints_is_told_before_training(
    tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wassergan.runs.train.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(UserError, match=r"No room for checkpoints in .*MiB free\. Free some space"):
        train_run(replace(settings, steps=3), tmp_path / "deep" / "run")
    assert not (tmp_path / "deep").exists()


def test_sampling_needs_no_training_data(picture_run: Path) -> None:
    sampler = open_sampler(picture_run)
    samples = sampler.draw(5, seed=1)
    assert samples.shape == (5, 7, 5, 3) and samples.dtype == np.uint8
    assert (sampler.draw(5, seed=1) == samples).all()


def test_samples_come_from_the_averaged_generator_in_evaluation_mode(finished_run: Path) -> None:
    sampler = open_sampler(finished_run)
    average = trainer_state(finished_run)["average"]
    assert all(torch.equal(value, average[name]) for name, value in sampler.generator.state_dict().items())
    live = trainer_state(finished_run)["generator"]
    assert any(not torch.equal(live[name], average[name]) for name in live)
    assert not sampler.generator.training


def test_every_checkpoint_can_be_sampled(finished_run: Path) -> None:
    draws = [open_sampler(finished_run, checkpoint=which).draw(3) for which in ("latest", "best", "0", "5")]
    assert (draws[0] == draws[3]).all() and not (draws[0] == draws[2]).all()
    with pytest.raises(UserError, match="There is no checkpoint '77': in .*best, latest, step-000000000"):
        open_sampler(finished_run, checkpoint="77")


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    for call in (open_sampler, run_summary, lambda folder: resume_run(folder, {})):
        with pytest.raises(UserError, match="There is no run in .*Give the folder"):
            call(tmp_path)


def test_a_newer_setting_in_a_checkpoint_is_refused(finished_run: Path, tmp_path: Path) -> None:
    content = load_checkpoint(finished_run / "checkpoints" / "latest.pt")
    content["settings"]["wormhole"] = 3
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(tmp_path / "checkpoints" / "latest.pt", content)
    with pytest.raises(UserError, match="Unknown setting: 'wormhole'"):
        open_sampler(tmp_path)


def test_fingerprints_tell_data_apart(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 2))
    same, other = values.copy(), values.copy()
    other[::2] += 1
    prints = [fingerprint(open_source(each)) for each in (values, same, other, values[:40])]
    assert prints[0] == prints[1] != prints[2] and prints[0] != prints[3]


Spawn = Callable[..., list[Any]]


def assert_near(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal up to what Adam makes of float32 sums in another order: a small gradient's step may turn round."""
    for part in ("generator", "critic", "average"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=2e-3)
    for part in ("latent_rng", "penalty_rng"):
        assert torch.equal(one[part], other[part])
    assert one["step"] == other["step"] and one["batches"] == other["batches"]


def test_two_processes_make_the_run_of_one_and_only_the_first_writes_and_speaks(
    tmp_path: Path, settings: TrainSettings, spawn: Spawn
) -> None:
    settings = replace(settings, steps=9)

    def train(processes: DistributedContext) -> tuple[dict[str, Any], list[str]]:
        said: list[str] = []
        callback = Callback()
        callback.on_train_begin = lambda *ignored: said.append("started")  # type: ignore[method-assign]
        callback.on_tick = lambda record: said.append("ticked")  # type: ignore[method-assign]
        return train_run(settings, tmp_path / "two", callback=callback, processes=processes), said

    (summary, said), (other_summary, other_said) = spawn(train)
    assert summary == other_summary == run_summary(tmp_path / "two")
    assert said == ["started"] + ["ticked"] * 4 and other_said == []
    train_run(settings, tmp_path / "one")
    assert_near(trainer_state(tmp_path / "two"), trainer_state(tmp_path / "one"))
    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")]
    assert [[record["step"] for record in log] for log in logs] == [[0, 4, 8, 9]] * 2
    for one, two in zip(*logs, strict=True):
        names = {name for name in one if "second" not in name}
        assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, abs=1e-2)
    one, two = (
        # TensorBoard's files are named after the second and the process.
        {str(path.relative_to(tmp_path / run)) for path in (tmp_path / run).rglob("*") if ".tfevents." not in path.name}
        for run in ("one", "two")
    )
    assert two - one == {"launch.txt"} and one <= two


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, settings: TrainSettings, spawn: Spawn, before: int, after: int
) -> None:
    folder = tmp_path / "run"

    def call(count: int, work: Callable[[DistributedContext], Any]) -> None:
        spawn(work, count=count) if count > 1 else work(DistributedContext())

    call(before, lambda processes: train_run(replace(settings, steps=5), folder, processes=processes))
    call(after, lambda processes: resume_run(folder, {"steps": 9}, processes=processes))
    train_run(replace(settings, steps=9), tmp_path / "whole")
    assert_near(trainer_state(folder), trainer_state(tmp_path / "whole"))
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 4, 5, 8, 9]


def test_what_is_refused_is_refused_once_for_all_processes(
    tmp_path: Path, settings: TrainSettings, spawn: Spawn, finished_run: Path
) -> None:
    def refusal(settings: TrainSettings, folder: Path) -> str:
        told = spawn(lambda processes: train_run(settings, folder, processes=processes))
        assert told[1] == ("ElsewhereError", "Process 0 stopped.") and told[0][0] == "UserError"
        return str(told[0][1])

    assert "cannot be shared alike by 2 processes" in refusal(replace(settings, batch_size=9), tmp_path / "run")
    assert "There is no" in refusal(replace(settings, data=str(tmp_path / "gone.npy")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert "holds a run already" in refusal(settings, finished_run)
    told = spawn(lambda processes: resume_run(finished_run, {}, processes=processes))
    assert "reached its end" in told[0][1] and told[1][0] == "ElsewhereError"


def launched(launch: str = "a") -> DistributedContext:
    return DistributedContext(launch=launch)


# A killed worker: torchrun starts the processes anew, and the same command goes on from the checkpoint.
def test_processes_that_were_started_anew_go_on_with_their_own_run(tmp_path: Path, settings: TrainSettings) -> None:
    settings, folder = replace(settings, steps=12), tmp_path / "run"

    class LostError(BaseException):
        pass

    def lose(trainer: Any) -> None:
        if trainer.step == 7:
            raise LostError

    callback, steps = Callback(), []  # type: ignore[var-annotated]
    callback.on_step_end = lose  # type: ignore[method-assign]
    with pytest.raises(LostError):
        train_run(settings, folder, callback=callback, processes=launched())
    (folder / "checkpoints" / ".wassergan-77-0123456789abcdef.tmp.pt").write_text("half a file")
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "sliced')
    callback.on_step_end = lambda trainer: steps.append(trainer.step)  # type: ignore[method-assign]
    train_run(settings, folder, callback=callback, processes=launched())
    assert steps == [5, 6, 7, 8, 9, 10, 11, 12]
    train_run(settings, tmp_path / "whole")
    assert_equal_states(trainer_state(folder), trainer_state(tmp_path / "whole"))
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 4, 8, 12]
    assert not [path for path in folder.rglob("*") if "tmp" in path.name]
    # Lost after the last step: nothing is left to do but to tell.
    before = trainer_state(folder)
    assert train_run(settings, folder, processes=launched())["steps"] == 12
    assert_equal_states(before, trainer_state(folder))


def test_processes_lost_before_the_first_checkpoint_begin_again(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3), folder, processes=launched())
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    train_run(replace(settings, steps=3), folder, processes=launched())
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 3]


def test_a_run_lost_before_its_first_checkpoint_is_started_again_in_its_folder(
    tmp_path: Path, settings: TrainSettings
) -> None:
    settings, folder = replace(settings, steps=3, keep=3), tmp_path / "run"
    train_run(settings, folder, processes=launched())
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    for path in (folder / "curves.png", folder / "report.html"):
        path.unlink()
    (folder / "log.jsonl").write_text((folder / "log.jsonl").read_text().splitlines(keepends=True)[0])
    (folder / "checkpoints" / ".wassergan-7-0123456789abcdef.tmp.pt").write_text("half a file")
    with pytest.raises(UserError, match="no checkpoint 'latest'"):
        resume_run(folder, {})
    train_run(settings, folder)
    assert [record["step"] for record in read_log(folder / "log.jsonl")] == [0, 3]
    assert not (folder / "launch.txt").exists() and not list((folder / "checkpoints").glob(".*"))
    (folder / "log.jsonl").write_text((folder / "log.jsonl").read_text().splitlines(keepends=True)[0])
    for name in ("latest.pt", "step-000000003.pt"):  # lost before the last name of its first checkpoint
        (folder / "checkpoints" / name).unlink()
    for path in (folder / "curves.png", folder / "report.html"):
        path.unlink()
    train_run(settings, folder)
    (folder / "checkpoints" / "latest.pt").unlink()  # whoever did that still has a run here
    with pytest.raises(UserError, match="holds a run already"):
        train_run(settings, folder)


def test_a_torn_log_line_is_dropped_with_a_word(tmp_path: Path, settings: TrainSettings) -> None:
    folder, said = tmp_path / "run", []  # type: ignore[var-annotated]
    train_run(replace(settings, steps=3), folder)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "sli')
    callback = Callback()
    callback.on_message = said.append  # type: ignore[assignment, method-assign]
    resume_run(folder, {"steps": 5}, callback=callback)
    assert said == ["Dropped 1 torn log line: the run was killed as it wrote."]
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [0, 3, 4, 5]


def test_an_interruption_cuts_bounds_on_w1_short(
    tmp_path: Path, settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def interval(*samples: object, interrupted: Any, **options: object) -> Any:
        asked.append(interrupted())
        return 0.0, 1.0

    monkeypatch.setattr("wassergan.evaluation.heldout.interval_by_work", interval)
    train_run(replace(settings, steps=3, w1_every=1), tmp_path / "run", interrupted=lambda: True)
    assert asked and all(asked)


@pytest.mark.parametrize("first_launch", ["", "b"])
def test_a_restart_never_touches_a_run_that_its_torchrun_did_not_start(
    tmp_path: Path, settings: TrainSettings, first_launch: str
) -> None:
    folder = tmp_path / "run"
    train_run(replace(settings, steps=3), folder, processes=launched(first_launch))
    for processes in (launched("a"), DistributedContext()):
        with pytest.raises(UserError, match="holds a run already"):
            train_run(replace(settings, steps=9), folder, processes=processes)
    with pytest.raises(UserError, match="reached its end"):
        resume_run(folder, {})


@pytest.mark.parametrize("settings", ["points.npy", {"data": "points.npy"}])
def test_what_are_no_settings_is_said_with_how_they_are_written(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"Settings must be TrainSettings: (str|dict)\. Write them like TrainSettings\("
    ):
        train_run(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
