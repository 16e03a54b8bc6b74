"""A run touches nothing but what it made itself: no files of others, nothing through a link, nothing outside."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from wassergan.callbacks import Callback
from wassergan.cli.main import VERBS, cli
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.files import is_temporary
from wassergan.storage.run_folder import MARK_NAME, RunFolder
from wassergan.storage.run_log import RunLog, read_log
from wassergan.training import DistributedContext

pytestmark = pytest.mark.usefixtures("quick_figures")
TOKEN = "0" * 32


@pytest.fixture
def settings(points_file: Path) -> TrainSettings:
    return TrainSettings(
        data=str(points_file),
        steps=3,
        latent_dim=3,
        generator_widths=(8,),
        critic_widths=(8,),
        batch_size=8,
        critic_steps=1,
        previews=False,
        tensorboard=False,
    )


def contents(folder: Path) -> dict[str, Any]:
    """Every entry below a folder: the bytes of files, where links lead, and names alone of all else."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = path.readlink()
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def of_another_tool(folder: Path) -> None:
    """Entries with the names of a run's, written by somebody else."""
    (folder / "samples").mkdir(parents=True)
    (folder / "tensorboard").mkdir()
    (folder / "checkpoints").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1.host").write_text("months of training")
    (folder / "checkpoints" / "step-000000000.pt").write_text("weights")
    (folder / "settings.json").write_text('{"theirs": 1}')
    (folder / "environment.json").write_text("{}")
    (folder / "log.jsonl").write_text('{"step": 0}\n')


MARKS = ["", "wassergan run\n", f"wassergan run {TOKEN}\n", f"wassergan run {'1' * 32}\n", "x" * 1000]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "names",
    [
        ["settings.json", "environment.json", "log.jsonl", "samples", "tensorboard", "checkpoints"],
        ["log.jsonl"],
        ["tensorboard"],
        ["environment.json", "log.jsonl"],
        ["checkpoints"],
        ["settings.json"],
        ["samples"],
    ],
)
def test_a_folder_with_the_names_of_a_run_s_files_is_not_ours(
    tmp_path: Path, settings: TrainSettings, names: list[str], mark: str
) -> None:
    folder = tmp_path / "theirs"
    of_another_tool(tmp_path / "all")
    folder.mkdir()
    for name in names:
        shutil.move(tmp_path / "all" / name, folder / name)
    if mark:
        (folder / MARK_NAME).write_text(mark)
    before = contents(folder)
    with pytest.raises(UserError, match="holds a run already|is not an empty folder"):
        train_run(settings, folder)
    assert contents(folder) == before


def test_a_file_of_the_name_of_the_launch_note_opens_no_folder(tmp_path: Path, settings: TrainSettings) -> None:
    of_another_tool(tmp_path / "theirs")
    for launch in ("", "a"):
        (tmp_path / "theirs" / "launch.txt").write_text(launch)
        before = contents(tmp_path / "theirs")
        with pytest.raises(UserError, match="holds a run already"):
            train_run(settings, tmp_path / "theirs", processes=DistributedContext(launch=launch))
        assert contents(tmp_path / "theirs") == before


def lost_start(folder: Path, settings: TrainSettings) -> None:
    """What a run leaves that is killed before its first checkpoint."""
    train_run(replace(settings, tensorboard=True, previews=True), folder)
    for name in ("curves.png", "report.html"):
        (folder / name).unlink()
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    (folder / "log.jsonl").write_text((folder / "log.jsonl").read_text().splitlines(keepends=True)[0] + '{"st')


def test_a_lost_start_under_its_mark_is_begun_again(tmp_path: Path, settings: TrainSettings) -> None:
    folder = tmp_path / "run"
    lost_start(folder, settings)
    (folder / f".wassergan-{2**22 + 1}-0123456789abcdef.tmp").write_text("half a file")
    token = (folder / MARK_NAME).read_text()
    assert json.loads((folder / "settings.json").read_text())["mark"] in token
    train_run(settings, folder)
    assert [each["step"] for each in read_log(folder / "log.jsonl")] == [0, 3]
    assert (folder / MARK_NAME).read_text() == token
    assert not list((folder / "tensorboard").iterdir()) and not [p for p in folder.iterdir() if is_temporary(p)]


def test_a_start_that_was_lost_after_its_mark_is_begun_again(tmp_path: Path, settings: TrainSettings) -> None:
    (tmp_path / MARK_NAME).write_text(f"wassergan run {TOKEN}\n")
    train_run(settings, tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["mark"] == TOKEN


@pytest.mark.parametrize(
    "name",
    [
        *("thesis.txt", "samples/mine.png", "tensorboard/notes.txt", "tensorboard/plugins/x", "checkpoints/mine.pt"),
        *("samples/step-000000000.png/deep.txt", "checkpoints/latest.pt", "visualization/x.png"),
    ],
)
def test_a_lost_start_that_somebody_put_something_into_is_left_alone(
    tmp_path: Path, settings: TrainSettings, name: str
) -> None:
    folder = tmp_path / "run"
    lost_start(folder, settings)
    if (folder / name).parent.suffix == ".png":
        (folder / name).parent.unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("keep")
    before = contents(folder)
    with pytest.raises(UserError, match="holds a run already"):
        train_run(settings, folder)
    assert contents(folder) == before


def test_a_lost_start_whose_log_is_longer_than_a_start_s_is_left_alone(tmp_path: Path, settings: TrainSettings) -> None:
    for log in ('{"step": 0}\n{"step": 5}\n', '{"step": 0}\n' * 6000):
        lost_start(tmp_path / "run", settings)
        (tmp_path / "run" / "log.jsonl").write_text(log)
        before = contents(tmp_path / "run")
        with pytest.raises(UserError, match="holds a run already"):
            train_run(settings, tmp_path / "run")
        assert contents(tmp_path / "run") == before
        shutil.rmtree(tmp_path / "run")


SUBFOLDERS = ("checkpoints", "samples", "tensorboard", "evaluation", "visualization")
FILES = ("settings.json", "environment.json", "log.jsonl", "metrics.json", "report.html", "curves.png", MARK_NAME)
PARTS = (
    *SUBFOLDERS,
    *FILES,
    *(
        "samples/step-000000099.png",
        "checkpoints/step-000000099.pt",
        "checkpoints/best.pt",
        "evaluation/neighbours.png",
    ),
    *("tensorboard/events.out.tfevents.9", "visualization/pairs.png"),
)


def verbs(run: Path, out: Path) -> list[list[object]]:
    return [
        ["train", "digits", "--out", run, "--steps", 2],
        ["resume", run, "--steps", 9],
        ["sample", run],
        ["evaluate", run],
        ["visualize", run],
        ["report", run],
        ["report", run, "--out", out / "page.html"],
        ["export", run, "--format", "pt2"],
        ["compare", run, run, "--out", out / "compared"],
        ["info", run],
    ]


@pytest.fixture(scope="module")
def run_to_link(tmp_path_factory: pytest.TempPathFactory, points_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("linked") / "run"
    settings = TrainSettings(
        data=str(points_file), steps=3, latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8
    )
    train_run(settings, folder)
    for name in ("evaluation", "visualization"):
        (folder / name).mkdir()
    (folder / "metrics.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("part", "kind"),
    [*((part, "elsewhere") for part in PARTS), ("samples", "nowhere"), ("log.jsonl", "nowhere"), (PARTS[12], "pipe")],
)
def test_a_run_of_which_a_part_is_a_link_or_a_pipe_is_refused_by_every_verb(
    tmp_path: Path, run_to_link: Path, refused: Callable[..., str], part: str, kind: str
) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(run_to_link, run)
    shutil.copytree(run_to_link, outside)
    (outside / "thesis.txt").write_text("keep")
    place = run / part
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        target = outside / ("gone" if kind == "nowhere" else "thesis.txt" if Path(part).suffix else part)
        place.symlink_to(target)
    before, inside = contents(outside), contents(run)
    for argv in verbs(run, tmp_path / "out"):
        said = refused(*argv)
        if not (argv[0] == "info" and part == "settings.json"):  # without settings it may be data
            assert str(place) in said and ("a link" in said or "a pipe" in said), argv
    assert contents(outside) == before and contents(run) == inside and not (tmp_path / "out").exists()


def test_a_part_that_becomes_a_link_while_the_run_is_trained_ends_it(tmp_path: Path, settings: TrainSettings) -> None:
    victim, run = tmp_path / "victim", tmp_path / "run"
    train_run(settings, victim)
    before = contents(victim)

    def swap(trainer: Any) -> None:
        if trainer.step == 2:
            shutil.move(run / "checkpoints", tmp_path / "moved")
            (run / "checkpoints").symlink_to(victim / "checkpoints")

    callback = Callback()
    callback.on_step_end = swap  # type: ignore[method-assign]
    with pytest.raises(UserError, match="checkpoints is no part of the run: a link"):
        train_run(replace(settings, keep=1), run, callback=callback)
    assert contents(victim) == before


def test_a_run_without_a_mark_is_resumed_and_its_leftovers_stay(tmp_path: Path, settings: TrainSettings) -> None:
    train_run(settings, tmp_path / "run")
    (tmp_path / "run" / MARK_NAME).unlink()
    leftovers = [".log.77.tmp.jsonl", "samples/.a.7.tmp.png", "checkpoints/.step-000000009.7.tmp.pt", "mine.txt"]
    for name in leftovers:
        (tmp_path / "run" / name).write_text("keep")
    resume_run(tmp_path / "run", {"steps": 5})
    assert all((tmp_path / "run" / name).read_text() == "keep" for name in leftovers)
    mark = (tmp_path / "run" / MARK_NAME).read_text()
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["mark"] in mark


@pytest.mark.parametrize(
    "name",
    ["settings.json", "log.jsonl", "metrics.json", ".wassergan", "checkpoints/latest.pt", "tensorboard/x", ".lock"],
)
def test_no_verb_writes_over_a_part_of_a_run(finished_run: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (tmp_path / "link").symlink_to(run)
    for path in (run / name, tmp_path / "link" / name, run / "samples" / ".." / name):
        with pytest.raises(UserError, match="is a part of a run"):
            RunFolder(run).require_target(path)
    RunFolder(run).require_target(run / "page.html")


def test_folders_of_others_that_have_a_name_of_ours_are_no_parts_of_a_run(tmp_path: Path) -> None:
    # As projects with other libraries have them.
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "samples").mkdir()
    for folder in (tmp_path / "checkpoints" / "ours", tmp_path / "samples", tmp_path / "samples" / "deep"):
        assert RunFolder(folder).require_folder(folder) == folder
        assert RunFolder(folder).require_target(folder / "metrics.json")
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "settings.json").write_text("{}")
    assert RunFolder(tmp_path).require_folder(tmp_path / "samples")


@pytest.mark.parametrize("part", ["checkpoints/a", "samples/a/b", "tensorboard/a", "evaluation/a", "refinement/a"])
def test_no_run_begins_within_another(
    refused: Callable[..., str], finished_run: Path, points_file: Path, tmp_path: Path, part: str
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path / "run" / part, tmp_path / "link" / part):
        assert f"is a part of a run: the run in {tmp_path / 'run'}" in refused("train", points_file, "--out", folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_does_not_go_to_standard_output(
    refused: Callable[..., str], points_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "A folder cannot go to standard output" in refused("train", points_file, "--out", "-")
    assert not Path("-").exists()


PLACES = ("--out", "--page", "--state")


def flags_that_name_places() -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        for name, each in getattr(command, "commands", {verb: command}).items():
            words: tuple[str, ...] = (verb,) if name == verb else (verb, name)
            found += [(words, flag) for parameter in each.params for flag in parameter.opts if flag in PLACES]
    return found


@pytest.mark.parametrize(("words", "flag"), flags_that_name_places())
def test_no_flag_of_any_verb_writes_over_a_part_of_a_run(
    refused: Callable[..., str],
    finished_run: Path,
    points_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    flag: str,
) -> None:
    for name in ("read_rows", "run"):
        monkeypatch.setattr(f"wassergan.benchmark.w1.{name}", lambda *args, **options: ["a row"])
    monkeypatch.setattr("wassergan.benchmark.w1.markdown", lambda *args: "a table")
    monkeypatch.setattr("wassergan.session.throughput.measure", lambda *args, **options: [])
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    given: dict[str, list[Any]] = {
        "train": [points_file],
        "watch": [points_file, points_file, "--permutations", "9", "--rows", "8"],
        "compare": [run, run],
        "complete": [run, points_file],
        "table": [tmp_path / "rows.json"],
        **{name: [] for name in ("lines", "w1", "speed")},
    }
    arguments = given.get(words[-1], [run])
    itself = [""] if words[-1] in ("train", "sample", "watch") else []  # others add results to their run
    deep = ("checkpoints/new", "tensorboard/a/b/c", "refinement/new/new.png")
    for name in (*itself, "settings.json", "log.jsonl", "checkpoints/latest.pt", "checkpoints", *deep):
        refused(*words, *arguments, flag, run / name)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


# --- going on from an earlier checkpoint, killed at any of its file calls


def agree(folder: Path, *, steps: set[int]) -> None:
    """`latest` loads, is no later than the log, and the log up to it has no holes; `best` is no later than a save."""
    latest = load_checkpoint(folder / "checkpoints" / "latest.pt")["trainer"]["step"]
    logged = [each["step"] for each in read_log(folder / "log.jsonl")]
    assert logged == sorted(set(logged)) and {each for each in steps if each <= latest} <= set(logged)
    for path in (folder / "checkpoints").glob("[!.]*.pt"):
        load_checkpoint(path)


class KilledError(BaseException):
    """Stands for SIGKILL, at a call that changes files."""


def die_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """Raise at the `number`-th call that changes files, and at all that follow, as a dead process makes none."""
    seen = 0

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen >= number:
                raise KilledError
            return call(*args, **options)

        return counted

    for name in ("fsync", "replace", "link", "unlink", "mkdir", "rename"):
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    return lambda: seen


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory, points_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("long") / "run"
    settings = TrainSettings(
        data=str(points_file),
        steps=8,
        tick_steps=2,
        keep=3,
        latent_dim=3,
        generator_widths=(8,),
        critic_widths=(8,),
        batch_size=8,
        critic_steps=1,
        previews=False,
        tensorboard=False,
    )
    train_run(settings, folder)
    return folder


@pytest.mark.parametrize("number", [*range(1, 24, 3)])
@pytest.mark.parametrize("checkpoint", ["4", "best"])
def test_going_back_to_a_checkpoint_and_dying_leaves_latest_and_log_in_agreement(
    tmp_path: Path, long_run: Path, monkeypatch: pytest.MonkeyPatch, number: int, checkpoint: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(long_run, run)
    logged = {each["step"] for each in read_log(run / "log.jsonl")}
    with monkeypatch.context() as patched:
        die_at(patched, number)
        try:
            resume_run(run, {"steps": 10, "keep": 2}, checkpoint=checkpoint)
        except KilledError:
            pass
    (run / ".lock").unlink(missing_ok=True)  # a process that lives on; the kernel drops a dead one's
    agree(run, steps=logged)
    resume_run(run, {"steps": 10, "keep": 2})
    assert {each["step"] for each in read_log(run / "log.jsonl")} >= {0, 2, 4, 6, 8, 10}
    agree(run, steps={0, 2, 4, 6, 8, 10})


def test_best_never_comes_from_steps_that_were_dropped(tmp_path: Path, long_run: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(long_run, run)
    checkpoints = Checkpoints(run / "checkpoints", keep=3)
    late = load_checkpoint(checkpoints.path("8"))
    for best_step in (4, 0):  # of which the checkpoint is there, and is gone
        shutil.rmtree(run)
        shutil.copytree(long_run, run)
        late["best"] = {"sliced_w1": -1.0, "step": 8}
        checkpoints.save(late, step=8, best=True)
        state = load_checkpoint(checkpoints.path("6"))
        state["best"] = {"sliced_w1": 1e-9, "step": best_step}
        checkpoints.save(state, step=6, best=False)
        os.utime(checkpoints.path("6"), (1, 1))
        resume_run(run, {"steps": 7}, checkpoint="6")
        best = load_checkpoint(checkpoints.path("best"))
        assert best["trainer"]["step"] == (4 if best_step else 7)
        assert load_checkpoint(checkpoints.path("latest"))["best"]["step"] == best["trainer"]["step"]


def test_a_rollback_that_is_killed_leaves_latest_and_log_in_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, log = Checkpoints(tmp_path / "checkpoints", keep=1), RunLog(tmp_path / "log.jsonl")
    for step in (2, 4):
        log.append({"step": step})
        Checkpoints(tmp_path / "checkpoints", keep=2).save({"trainer": {"step": step}}, step=step, best=False)
    checkpoints.save({"trainer": {"step": 2}, "again": 1}, step=2, best=False, drop_later=True)
    assert checkpoints.steps() == [2] and load_checkpoint(checkpoints.path("latest"))["again"] == 1


def test_a_log_line_never_reaches_a_copy_by_hard_links(tmp_path: Path, settings: TrainSettings) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"

    def back_up(trainer: Any) -> None:
        if trainer.step == 2:
            shutil.copytree(run, copy, copy_function=os.link, ignore=lambda *_: [".lock"])

    callback = Callback()
    callback.on_step_end = back_up  # type: ignore[method-assign]
    train_run(replace(settings, tick_steps=1), run, callback=callback)
    assert [each["step"] for each in read_log(copy / "log.jsonl")] == [0, 1]
    assert load_checkpoint(copy / "checkpoints" / "latest.pt")["trainer"]["step"] == 1
