"""Pipes, devices, folders and links as targets and inputs; standard output; folders that cannot be written."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan.storage import files

sys.path.insert(0, str(Path(__file__).parent))
import forked

KINDS = ("pipe", "folder", "link", "device")


def special(path: Path, kind: str) -> None:
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            (path.parent / "thesis.txt").write_text("keep")
            path.symlink_to(path.parent / "thesis.txt")
        case "device":
            path.symlink_to("/dev/null")


TARGETS = {
    "sample npy": ("sample", "RUN", "--out", "s.npy"),
    "sample png": ("sample", "RUN", "--out", "s.png"),
    "report": ("report", "RUN", "--out", "page.html"),
    "export": ("export", "RUN", "--out", "g.pt2"),
    "compare": ("compare", "RUN", "RUN", "--out", "c.png"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", TARGETS)
def test_targets_that_are_no_regular_files_are_refused_before_any_work(
    tmp_path: Path, finished_run: Path, refused: Callable[..., str], what: str, kind: str
) -> None:
    *argv, name = TARGETS[what]
    out = tmp_path / name
    special(out, kind)
    before = out.lstat()
    said = refused(*(finished_run if each == "RUN" else each for each in argv), out)
    assert str(out) in said and {"device": "link"}.get(kind, kind) in said
    assert os.path.samestat(before, out.lstat())
    assert kind != "link" or (tmp_path / "thesis.txt").read_text() == "keep"


@pytest.mark.parametrize("name", ["report", "compare", "export"])
def test_only_samples_go_to_standard_output(finished_run: Path, refused: Callable[..., str], name: str) -> None:
    runs = [finished_run] * (1 + (name == "compare"))
    form = ["--format", "pt2"] if name == "export" else []
    said = "'-'" if name == "export" else "standard output"  # an export's suffix is asked for first
    assert said in refused(name, *runs, *form, "--out", "-") and not Path("-").exists()


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
@pytest.mark.parametrize("what", TARGETS)
def test_no_verb_replaces_a_device(finished_run: Path, refused: Callable[..., str], what: str) -> None:
    *argv, _ = TARGETS[what]
    before = os.lstat("/dev/null")
    if what == "report":  # the others ask for a suffix
        assert "a device" in refused(*(finished_run if each == "RUN" else each for each in argv), "/dev/null")
    assert os.path.samestat(before, os.lstat("/dev/null"))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "a.csv.gz", "a.parquet", "a.tar", "a.gz", "a.xlsx", "a"])
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_data_that_are_no_regular_file_are_refused_and_not_waited_for(
    tmp_path: Path, refused: Callable[..., str], name: str, kind: str
) -> None:
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for argv in (["train", path, "--out", tmp_path / "run"], ["info", path]):
        said = refused(*argv)
        assert ("a pipe" if kind == "pipe" else "a device") in said and str(path) in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--schema", "--labels"])
def test_files_beside_the_data_that_are_pipes_are_refused(
    tmp_path: Path, points_file: Path, refused: Callable[..., str], flag: str
) -> None:
    os.mkfifo(tmp_path / "beside.csv")
    data = points_file
    if flag == "--schema":
        data = tmp_path / "table.csv"
        data.write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(60)))
    assert "a pipe" in refused("train", data, flag, tmp_path / "beside.csv", "--out", tmp_path / "run")


def piped(*argv: object) -> subprocess.CompletedProcess[bytes]:
    return forked.run(["wassergan", *argv])


def test_an_array_on_standard_output_is_the_array_of_a_file(
    tmp_path: Path, finished_run: Path, cli: Callable[..., Any]
) -> None:
    done = piped("sample", finished_run, "--count", 1500, "--out", "-")
    assert done.returncode == 0, done.stderr
    assert cli("sample", finished_run, "--count", 1500, "--out", tmp_path / "s.npy").code == 0
    expected = np.load(tmp_path / "s.npy")
    found = np.load(io.BytesIO(done.stdout))
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    assert b"Wrote 1500 samples to standard output" in done.stderr and not Path("-").exists()


def test_whoever_stops_to_read_is_told_in_a_sentence(finished_run: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    argv = [sys.executable, "-m", "wassergan", "sample", str(finished_run), "--count", "50000", "--out", "-"]
    with open(writing, "wb") as out:  # noqa: PTH123
        done = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "wassergan: Could not write to standard output: Broken pipe. What reads it must read all of it."
    ]


def test_formats_of_standard_output(finished_run: Path, refused: Callable[..., str]) -> None:
    assert "go to standard output as npy: 'csv'" in refused("sample", finished_run, "--out", "-", "--format", "csv")
    assert "--format is for standard output" in refused("sample", finished_run, "--format", "npy")
    assert "leave out --json" in refused("sample", finished_run, "--out", "-", "--json").lower()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder read-only for this process, as a file system that is mounted so is for root, too."""

    def make(folder: Path) -> None:
        opened, mkdir = os.open, Path.mkdir

        def refuse(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and Path(path).is_relative_to(folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return opened(path, flags, *rest, **options)

        def refuse_folder(path: Path, *rest: Any, **options: Any) -> None:
            if path.is_relative_to(folder) and not path.is_dir():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            mkdir(path, *rest, **options)

        monkeypatch.setattr("wassergan.storage.files.os.open", refuse)
        monkeypatch.setattr(Path, "mkdir", refuse_folder)

    return make


def test_an_evaluation_of_a_folder_that_cannot_be_written_is_said_first_and_printed(
    tmp_path: Path, finished_run: Path, cli: Callable[..., Any], read_only: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = sorted(run.rglob("*"))
    read_only(run)
    said = cli("evaluate", run, "--count", 50, "--json")
    assert said.code == 0 and json.loads(said.out)["protocol"]["generated"] == 50
    assert said.err.splitlines()[0] == (
        f"{run} cannot be written to: the result is printed alone; --out FOLDER keeps it."
    )
    assert "Wrote" not in said.err and sorted(run.rglob("*")) == before
    said = cli("evaluate", run, "--count", 50, "--out", tmp_path / "judged")
    assert said.code == 0 and f"Wrote {tmp_path / 'judged' / 'metrics.json'}" in said.err
    assert {path.name for path in (tmp_path / "judged").iterdir()} >= {"metrics.json", "report.html"}
    assert sorted(run.rglob("*")) == before
    assert cli("evaluate", run, "--count", 50, "--out", run / "deep").code == 1


def test_a_disk_that_is_full_at_the_end_of_an_evaluation_loses_nothing(
    tmp_path: Path, finished_run: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "fill", full)
    said = cli("evaluate", run, "--count", 50, "--json")
    assert said.code == 1 and json.loads(said.out)["protocol"]["generated"] == 50
    assert "Could not write" in said.err.splitlines()[-1] and not list(run.rglob("*.tmp*"))


def test_an_evaluation_goes_into_no_other_run(tmp_path: Path, finished_run: Path, refused: Callable[..., str]) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished_run, other)
    assert "holds another run" in refused("evaluate", finished_run, "--out", other)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "evaluation").symlink_to(other)
    assert "a link" in refused("evaluate", finished_run, "--out", tmp_path / "linked")
    (tmp_path / "file").write_text("keep")
    assert "is no folder" in refused("evaluate", finished_run, "--out", tmp_path / "file")
