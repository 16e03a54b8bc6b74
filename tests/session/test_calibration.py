"""What calibrates a generator of tables or phases is kept beside the checkpoint, and believed only if it is whole."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan import open_sampler
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.runs.train import train_run
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.sampling.phases import match_phases
from wassergan.session import calibration
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.storage.run_folder import RunFolder

COUNT = 1500


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows at every calibration, which here takes few rows."""
    made: list[int] = []

    def counted(*args: Any, **how: Any) -> None:
        made.append(1)
        calibrate_marginals(*args, **how, rows=512)

    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", counted)
    return made


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under a condition, so that there are strata."""
    folder, numbers = tmp_path_factory.mktemp("origin"), np.random.default_rng(0)
    kinds = numbers.choice(["a", "b", "c"], 1500, p=[0.6, 0.3, 0.1])
    lines = [
        f"{kind},{value:.2f},{'xy'[int(value > 0)]}"
        for kind, value in zip(kinds, numbers.normal(size=1500), strict=True)
    ]
    (folder / "rows.csv").write_text("\n".join(["kind,value,sign", *lines]) + "\n")
    settings = TrainSettings(
        data=str(folder / "rows.csv"), steps=20, batch_size=32, generator_widths=(16,), critic_widths=(16,),
        sequence_width=16, likelihood=1.0, condition=("kind",), previews=False, tensorboard=False, keep=3,
    )  # fmt: skip
    train_run(settings, folder / "run")
    return folder / "run"


@pytest.fixture
def run(origin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(origin, tmp_path / "run"))


def drawn(run: Path, **how: Any) -> np.ndarray[Any, Any]:
    return open_sampler(run, device="cpu", **how).draw(COUNT, seed=3)


def kept(run: Path) -> list[Path]:
    folder = RunFolder(run).calibration
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_rows_by_what_was_kept_are_the_same_bit_for_bit(run: Path, calls: list[int]) -> None:
    first = drawn(run)
    assert len(calls) == 1 and len(kept(run)) == 1
    generator = open_sampler(run, device="cpu").generator
    assert len(generator.patterns) and generator.head.calibration.bends(0)  # type: ignore[arg-type, operator, union-attr]
    again = drawn(run)
    assert len(calls) == 1 and again.tobytes() == first.tobytes()
    shutil.rmtree(RunFolder(run).calibration)
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2
    uncalibrated = open_sampler(run, device="cpu")
    uncalibrated.generator.head.calibration.shift.zero_()  # type: ignore[operator, union-attr]
    assert uncalibrated.draw(COUNT, seed=3).tobytes() != first.tobytes()


def test_shifts_of_phases_are_kept_and_believed_if_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(*args: Any, **how: Any) -> None:
        made.append(1)
        match_phases(*args, **how)

    monkeypatch.setattr("wassergan.modality.volumes.match_phases", counted)
    rock = np.random.default_rng(0).random((40, 8, 8, 8)) < np.linspace(0.1, 0.6, 40).reshape(-1, 1, 1, 1)
    np.save(tmp_path / "rock.npy", rock.astype("u1"))
    settings = TrainSettings(
        data=str(tmp_path / "rock.npy"), layout="NDHW", steps=2, batch_size=4, maps=2, generator_maps=2,
        previews=False, tensorboard=False,
    )  # fmt: skip
    run = tmp_path / "run"
    train_run(settings, run)
    shutil.rmtree(RunFolder(run).calibration, ignore_errors=True)
    made.clear()

    def volumes() -> bytes:
        return open_sampler(run, device="cpu").draw(50, seed=3).tobytes()

    first = volumes()
    assert len(made) == 1 and volumes() == first and len(made) == 1
    (file,) = kept(run)
    content = load_checkpoint(file)
    for name, other in (("offsets", torch.full((1, 1, 1, 1), 9.0)), ("pulls", torch.zeros(2, 1, 1, 1))):
        told = {**content["calibration"], name: other}
        save_checkpoint(file, {**content, "calibration": told})  # the seal is another's
        assert volumes() == first
        sealed = {**content, "calibration": told, "seal": calibration._seal(content["of"], told)}
        if name == "pulls":
            save_checkpoint(file, sealed)
            assert volumes() == first
    assert len(made) == 4


def test_every_verb_draws_by_it(run: Path, calls: list[int], tmp_path: Path, cli: Callable[..., Any]) -> None:
    drawn(run)
    assert cli("sample", run, "--count", 20, "--out", tmp_path / "rows.csv").code == 0
    assert cli("evaluate", run, "--count", 200).code == 0
    assert cli("visualize", run, "--count", 200, "--out", tmp_path / "figures").code == 0
    assert len(calls) == 1


def damaged(file: Path) -> dict[str, bytes]:
    whole = file.read_bytes()
    middle = len(whole) // 2
    return {
        "cut off": whole[:middle],
        "empty": b"",
        "other bytes": b"\0" * len(whole),
        "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }


def test_a_damaged_file_is_passed_over_and_replaced(run: Path, calls: list[int]) -> None:
    first = drawn(run)
    (file,) = kept(run)
    for number, content in enumerate(damaged(file).values(), 2):
        file.write_bytes(content)
        assert drawn(run).tobytes() == first.tobytes() and len(calls) == number
        assert load_checkpoint(file)["of"] == calibration.key_of(calibration_state(run), "cpu")
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 5


def calibration_state(run: Path) -> Any:
    from wassergan.session.run_content import load_run

    return load_run(RunFolder(run))


def planted(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """False files: another's numbers, and such as hold a seal that is right and numbers that are not."""
    values = dict(content["calibration"])
    match name:
        case "other numbers":
            return {**content, "calibration": {**values, "shift": values["shift"] + 1}}
        case "of another":
            return {**content, "of": "0" * 64}
        case "no tensors":
            return {**content, "calibration": {"shift": 3}}
        case "nothing":
            return {"of": content["of"], "seal": content["seal"]}
        case "other columns":
            values["shift"] = values["shift"][:, :-1]
        case "not finite":
            values["shift"] = values["shift"] * torch.nan
        case "turned":
            values["knots_0"] = values["knots_0"].flip(1)
        case "more bends":
            values["knots_7"] = values["knots_0"]
        case "fewer strata":
            values["patterns"] = values["patterns"][:-1]
        case "a bend lost":
            del values["targets_0"]
    return {**content, "calibration": values, "seal": calibration._seal(content["of"], values)}


FALSE = ["other numbers", "of another", "no tensors", "nothing", "other columns", "not finite", "turned", "more bends"]


@pytest.mark.parametrize("name", [*FALSE, "fewer strata", "a bend lost"])
def test_a_planted_file_is_not_believed(name: str, run: Path, calls: list[int]) -> None:
    first = drawn(run)
    (file,) = kept(run)
    save_checkpoint(file, planted(name, load_checkpoint(file)))
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2  # it was replaced


def test_other_weights_columns_or_settings_have_a_calibration_of_their_own(run: Path, calls: list[int]) -> None:
    drawn(run)
    (file,) = kept(run)
    path = RunFolder(run).latest
    whole = load_checkpoint(path)
    keys = {calibration.key_of(calibration_state(run), device) for device in ("cpu", "cuda")}
    for change in ("weights", "shares", "settings"):
        content = load_checkpoint(path)
        if change == "weights":
            next(iter(content["trainer"]["average"].values())).add_(0.01)
        elif change == "shares":
            content["codec"]["shares"] = list(reversed(content["codec"]["shares"]))
        else:
            content["settings"]["seed"] += 1
        save_checkpoint(path, content)
        keys.add(calibration.key_of(calibration_state(run), "cpu"))
        save_checkpoint(path, whole)
    assert len(keys) == 5
    content = load_checkpoint(path)
    next(iter(content["trainer"]["average"].values())).add_(0.01)
    save_checkpoint(path, content)
    # A file of the former weights under the name that those of now would have.
    key = calibration.key_of(calibration_state(run), "cpu")
    shutil.copy(file, file.with_name(f"{file.name[:15]}{key[:12]}.pt"))
    drawn(run)
    assert len(calls) == 2
    drawn(run, checkpoint="0")
    assert len(calls) == 3 and len(kept(run)) == 3


def test_few_are_kept(run: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "KEPT_FILES", 1)
    drawn(run)
    drawn(run, checkpoint="0")
    assert [file.name[:14] for file in kept(run)] == ["step-000000000"]


def test_a_run_that_cannot_be_written_to_is_calibrated_every_time(
    run: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn(run)
    shutil.rmtree(RunFolder(run).calibration)
    before, mkdir = sorted(run.rglob("*")), Path.mkdir

    def refuse(path: Path, *args: Any, **how: Any) -> None:
        if path.is_relative_to(run):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *args, **how)

    monkeypatch.setattr(Path, "mkdir", refuse)
    for number in (2, 3):
        assert drawn(run).tobytes() == first.tobytes() and len(calls) == number
    assert sorted(run.rglob("*")) == before


def test_a_full_disk_leaves_nothing(run: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        first = drawn(run)
    assert kept(run) == []
    assert drawn(run).tobytes() == first.tobytes() and len(kept(run)) == 1


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
quiet = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def child(work: Callable[[], object]) -> int:
    number = os.fork()
    if not number:
        code = 70
        try:
            torch.set_num_threads(1)
            work()
            code = 0
        finally:
            os._exit(code)
    return number


def ended(number: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


@forks
@quiet
def test_a_process_that_is_killed_as_it_writes_leaves_no_false_file(
    run: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn(run)
    shutil.rmtree(RunFolder(run).calibration)

    def killed(*moments: str) -> None:
        monkeypatch.setattr(os, "fsync", lambda *given: os.kill(os.getpid(), signal.SIGKILL))
        drawn(run)

    assert ended(child(killed)) == -signal.SIGKILL
    left = kept(run)
    assert [file.name.startswith(".wassergan-") for file in left] == [True]
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2
    assert [file.suffix for file in set(kept(run)) - set(left)] == [".pt"]


@forks
@quiet
def test_processes_that_open_a_run_at_once_draw_the_same(run: Path, calls: list[int]) -> None:
    first = drawn(run)
    shutil.rmtree(RunFolder(run).calibration)

    def open_it() -> None:
        assert drawn(run).tobytes() == first.tobytes()

    assert [ended(number) for number in [child(open_it) for _ in range(4)]] == [0] * 4
    assert len(kept(run)) == 1
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 1


def test_no_output_goes_among_what_is_kept(run: Path, calls: list[int], refused: Callable[..., str]) -> None:
    drawn(run)
    (file,) = kept(run)
    before = file.read_bytes()
    assert "is a part of a run" in refused("sample", run, "--count", 5, "--out", file.with_name("rows.csv"))
    assert file.read_bytes() == before


def test_a_folder_in_its_place_is_passed_over_and_pipes_are_refused(run: Path, calls: list[int]) -> None:
    first = drawn(run)
    (file,) = kept(run)
    file.unlink()
    file.mkdir()
    assert drawn(run).tobytes() == first.tobytes() and len(calls) == 2 and file.is_dir()
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(UserError, match=r"step-.*pt is no part of the run: a pipe, where a file should be"):
        drawn(run)
    assert len(calls) == 2


def test_many_files_beside_it_are_removed_but_for_the_latest_and_those_of_others_stay(
    run: Path, calls: list[int]
) -> None:
    first = drawn(run)
    (file,) = kept(run)
    for number in range(20):
        shutil.copy(file, file.with_name(f"step-{number:09d}-{'0' * 12}.pt"))
    (file.parent / "step-x.pt").mkdir()
    (file.parent / "notes.txt").write_text("mine")
    file.unlink()
    assert drawn(run).tobytes() == first.tobytes()
    names = {each.name for each in kept(run)}
    assert {file.name, "step-x.pt", "notes.txt"} <= names and len(names) <= calibration.KEPT_FILES + 2
