import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError, WorkError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage import files
from wassergan.storage import lock as locking
from wassergan.storage.lock import LOCK_NAME, Holder, held

HOLDING = """
import sys, time
from pathlib import Path
from wassergan.storage.lock import held
with held(Path(sys.argv[1]), launch=sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(folder: Path, launch: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(folder), launch], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def foreign_lock(folder: Path, *, renewed_seconds_ago: float, **changes: Any) -> Holder:
    """A lock that a process on another machine signed."""
    signed = replace(Holder("elsewhere", "another kernel", 4321, "2026-01-01T00:00:00+00:00", "", "x"), **changes)
    path = folder / LOCK_NAME
    path.write_text(json.dumps(signed.__dict__))
    renewed = time.time() - renewed_seconds_ago
    os.utime(path, (renewed, renewed))
    return signed


def test_a_second_process_is_told_who_holds_the_folder_and_a_killed_one_s_lock_is_taken_over(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError, match=rf"by another process: process {process.pid} on .*, since 20"):
            with held(tmp_path):
                pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    said: list[str] = []
    with held(tmp_path, log=said.append) as lock:
        lock.require_own()
    assert len(said) == 1 and f"the lock of process {process.pid} on" in said[0]
    assert not (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize("flocks", [True, False])
def test_a_lock_of_another_machine_counts_until_it_was_not_renewed_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flocks: bool
) -> None:
    if not flocks:
        monkeypatch.setattr(locking, "fcntl", None)
    foreign_lock(tmp_path, renewed_seconds_ago=locking.LOST_AFTER_SECONDS / 2)
    with pytest.raises(UserError, match=r"process 4321 on elsewhere, since 2026-01-01.*delete .*\.lock"):
        with held(tmp_path):
            pass
    foreign_lock(tmp_path, renewed_seconds_ago=locking.LOST_AFTER_SECONDS + 5)
    with held(tmp_path) as lock:
        lock.require_own()


def test_where_the_file_system_knows_no_locks_a_living_process_of_this_machine_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locking.fcntl, "flock", unsupported)
    with held(tmp_path):
        with pytest.raises(UserError, match="being written"):
            with held(tmp_path):
                pass


def test_a_restarted_torchrun_takes_over_at_once_on_any_machine(tmp_path: Path) -> None:
    foreign_lock(tmp_path, renewed_seconds_ago=0, launch="run7")
    for launch in ("", "run8"):
        with pytest.raises(UserError, match="being written"):
            with held(tmp_path, launch=launch):
                pass
    with held(tmp_path, launch="run7"):
        pass


def test_a_restarted_torchrun_waits_for_its_own_process_that_is_being_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = holder(tmp_path, "run7")
    monkeypatch.setattr(time, "sleep", lambda seconds: process.kill())
    with held(tmp_path, launch="run7"):
        pass
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]


def test_the_time_is_renewed_and_a_lock_that_was_lost_is_noticed_and_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "RENEW_SECONDS", 0.01)
    path = tmp_path / LOCK_NAME
    with held(tmp_path) as lock:
        os.utime(path, (0, 0))
        while path.stat().st_mtime == 0:
            time.sleep(0.01)
        lock.require_own()
        foreign_lock(tmp_path, renewed_seconds_ago=0)
        with pytest.raises(WorkError, match="no longer this process's: its lock was taken over by process 4321 on"):
            lock.require_own()
    assert path.exists()
    path.unlink()
    with held(tmp_path) as lock:
        path.unlink()
        with pytest.raises(WorkError, match="lock was deleted"):
            lock.require_own()


def test_a_full_disk_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*ignored: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(locking.os, "pwrite", full)  # type: ignore[attr-defined]
    with pytest.raises(WorkError, match=r"Could not write .*\.lock: No space left on device"):
        with held(tmp_path / "run"):
            pass
    assert not (tmp_path / "run").exists()


def test_a_lock_that_cannot_be_read_in_the_end_is_removed_if_it_is_still_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any, **more: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    for theirs in (False, True):
        with held(tmp_path / "run"):
            lock = tmp_path / "run" / LOCK_NAME
            if theirs:  # another process has taken over since
                lock.rename(tmp_path / "former")
                lock.write_text("another's")
            monkeypatch.setattr(locking, "read_bytes", failing)
        monkeypatch.undo()
        assert lock.exists() is theirs


def test_a_lock_that_cannot_be_read_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = {"host": "h", "machine": "m", "process": 1, "since": "s"}
    (tmp_path / LOCK_NAME).write_text(json.dumps(holder))

    def failing(*ignored: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(WorkError, match=r"The lock .* cannot be read: Input/output error"), held(tmp_path):
        pass
    assert json.loads((tmp_path / LOCK_NAME).read_text()) == holder
    (tmp_path / LOCK_NAME).unlink()
    with pytest.raises(WorkError, match="cannot be read"), held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())  # its own goes again


def interrupted_once(call: Callable[..., object]) -> Callable[..., object]:
    asked = iter([True])

    def interrupted(*arguments: object) -> object:
        if next(asked, False):
            raise KeyboardInterrupt
        return call(*arguments)

    return interrupted


@pytest.mark.parametrize("name", ["pwrite", "ftruncate", "remove"])
def test_a_signal_as_it_is_taken_or_given_back_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    owner: Any = locking if name == "remove" else os
    monkeypatch.setattr(owner, name, interrupted_once(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt), held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_signal_as_the_time_is_asked_leaves_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = {"host": "h", "machine": "m", "process": 1, "since": "s"}
    (tmp_path / LOCK_NAME).write_text(json.dumps(holder))
    monkeypatch.setattr(files, "remove", interrupted_once(files.remove))
    with pytest.raises(KeyboardInterrupt), held(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


def test_a_lock_torn_while_it_was_signed_is_nobody_s(tmp_path: Path) -> None:
    for torn in ("", '{"ho', '{"host": "a", ', '{"host": 3}'):
        (tmp_path / LOCK_NAME).write_text(torn)
        with held(tmp_path):
            pass


@pytest.mark.parametrize("content", ["[]", '{"hosts": 3}', "my notes", '{"host": ' + " " * 5000 + '"a"}'])
def test_a_file_that_is_no_lock_is_neither_taken_nor_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK_NAME).write_text(content)
    with pytest.raises(UserError, match=r"\.lock was not made by wassergan"):
        with held(tmp_path):
            pass
    assert (tmp_path / LOCK_NAME).read_text() == content


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_lock_that_is_another_file_s_name_is_refused(tmp_path: Path, make: str) -> None:
    (tmp_path / "thesis").write_text("")
    getattr(tmp_path / LOCK_NAME, make)(tmp_path / "thesis")
    with pytest.raises(UserError, match="a link|other names"):
        with held(tmp_path):
            pass
    assert (tmp_path / "thesis").read_text() == "" and (tmp_path / LOCK_NAME).exists()


def test_a_lock_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK_NAME)
    with pytest.raises(UserError, match="a pipe"):
        with held(tmp_path):
            pass


def test_what_was_made_for_the_lock_goes_with_it_and_what_holds_something_stays(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()
    with held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


@pytest.mark.usefixtures("quick_figures")
def test_runs_are_locked_while_they_are_trained_and_only_then(tmp_path: Path, points_file: Path) -> None:
    settings = TrainSettings(
        data=str(points_file), steps=3, latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8
    )
    folder = tmp_path / "run"
    train_run(settings, folder)
    process = holder(folder)
    for work in (lambda: train_run(settings, folder), lambda: resume_run(folder, {"steps": 5})):
        with pytest.raises(UserError, match="being written by another process|holds a run already"):
            work()
    with held(tmp_path / "new"):
        with pytest.raises(UserError, match="being written by another process"):
            train_run(settings, tmp_path / "new")
    process.kill()
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    assert resume_run(folder, {"steps": 5})["steps"] == 5
    assert not (folder / LOCK_NAME).exists()


@pytest.mark.usefixtures("quick_figures")
def test_a_run_whose_lock_was_taken_over_writes_nothing_more(tmp_path: Path, points_file: Path) -> None:
    folder, polls = tmp_path / "run", []  # type: ignore[var-annotated]
    settings = TrainSettings(
        data=str(points_file), steps=8, latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8
    )

    def steal() -> bool:
        polls.append(1)
        if len(polls) == 4:
            foreign_lock(folder, renewed_seconds_ago=0)
        return False

    with pytest.raises(WorkError, match="no longer this process's"):
        train_run(settings, folder, interrupted=steal)
    assert [path.name for path in sorted((folder / "checkpoints").glob("step-*"))] == ["step-000000000.pt"]
    assert len((folder / "log.jsonl").read_text().splitlines()) == 1
