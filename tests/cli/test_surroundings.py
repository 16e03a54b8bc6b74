"""What a program finds around it: names that are no UTF-8, streams that take nothing, limits, a folder that is gone."""

import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wassergan.cli.main import main
from wassergan.storage.arrays import save_tensors
from wassergan.storage.files import replacing

sys.path.insert(0, str(Path(__file__).parents[1]))
import forked

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes, /dev/full and /proc"),
    pytest.mark.usefixtures("real_figures"),  # of which no disk holds all
]
NAME = os.fsdecode(b"caf\xe9")


def limited(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def started(*argv: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return forked.run(["wassergan", *argv], text=True, **options)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A finished run of its own, under a name that is no UTF-8."""
    return shutil.copytree(finished_run, tmp_path / f"{NAME} run")


def test_a_run_and_its_data_bear_names_that_are_no_utf8(
    cli: Callable[..., Any], points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    data = shutil.copy(points_file, tmp_path / f"{NAME}.npy")
    folder = tmp_path / NAME
    done = cli("train", data, "--out", folder, "--steps", "3", *tiny)
    assert done.code == 0 and "No TensorBoard files are written" in done.err
    assert not (folder / "tensorboard").exists() and (folder / "report.html").exists()
    assert cli("resume", folder, "--steps", "5").code == 0
    assert cli("evaluate", folder).code == 0
    done = cli("compare", folder, folder, "--out", tmp_path / f"{NAME} table")
    assert done.code == 0
    assert "caf\\udce9" in (tmp_path / f"{NAME} table" / "comparison.txt").read_text(encoding="utf-8")
    for verb in ("visualize", "report", "info"):
        assert cli(verb, folder).code == 0
    for suffix in (".npy", ".png"):
        assert cli("sample", folder, "--out", tmp_path / f"{NAME}out{suffix}").code == 0


def test_folders_of_pictures_that_are_no_utf8_are_classes_like_others(
    cli: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    for name in (NAME, "plain"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(20):
            picture = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            picture.save(tmp_path / "data" / name / f"{index}.png")
    out, drawn = tmp_path / "run", tmp_path / "drawn.npy"
    assert cli("train", tmp_path / "data", "--condition", "folder", "--out", out, "--steps", "2", *tiny).code == 0
    assert cli("sample", out, "--out", drawn, "--count", "40").code == 0
    rows = (tmp_path / "drawn.conditions.csv").read_text(encoding="utf-8").split("\n")
    assert rows[0] == "folder" and set(rows[1:-1]) == {"plain", "caf\\udce9"}
    # As they were written, so they are asked for.
    assert cli("sample", out, "--out", drawn, "--given", "folder=caf\\udce9").code == 0
    assert cli("sample", out, "--out", drawn, "--given-rows", tmp_path / "drawn.conditions.csv").code == 0


@pytest.fixture(params=["full", "unread"])
def deaf(request: pytest.FixtureRequest) -> Iterator[io.TextIOWrapper]:
    """A stream whose disk is full, or whose reader is gone."""
    if request.param == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    stream = io.TextIOWrapper(os.fdopen(descriptor, "wb", buffering=0), write_through=True)
    yield stream
    with suppress(OSError):  # of what it still holds
        stream.close()


def test_work_goes_on_where_standard_error_takes_nothing(
    points_file: Path, tmp_path: Path, tiny: tuple[str, ...], deaf: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    for argv, code in (
        (["train", str(points_file), "--out", str(tmp_path / "run"), "--steps", "2", *tiny], 0),
        (["no-such-verb"], 2),
    ):
        monkeypatch.setattr(sys, "stderr", deaf)
        assert main(argv) == code
        assert sys.stderr is not deaf  # whose flush at the end of the process would fail, and be its exit code
        sys.stderr.close()
    assert (tmp_path / "run" / "report.html").exists()


def test_a_judgement_is_kept_where_standard_output_takes_nothing(
    run: Path, deaf: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", deaf)
    try:
        assert main(["evaluate", str(run)]) == 1
    except SystemExit as end:  # as click ends where nobody reads
        assert end.code == 1
    assert (run / "metrics.json").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "koi8-r"])
def test_a_stream_escapes_what_its_encoding_does_not_have(
    encoding: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["train", "☃ …"]) == 2
    assert b"There is no \\u2603" in held.getvalue()


def test_closed_descriptors_are_held_so_that_no_file_of_ours_gets_what_libraries_print() -> None:
    program = (
        "import os, sys; from wassergan.cli.main import main; main(['--version']); "
        "sys.exit(any(os.readlink(f'/proc/self/fd/{each}') != os.devnull for each in range(3)))"
    )
    done = subprocess.run([sys.executable, "-c", program], preexec_fn=lambda: os.closerange(0, 3), timeout=60)
    assert done.returncode == 0


def test_a_folder_that_is_gone_is_told(cli: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    before = Path.cwd()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    try:
        (tmp_path / "gone").rmdir()
        done = cli("info", run)
    finally:
        os.chdir(before)
    assert done.code == 2
    assert done.err == "wassergan: The folder that this was called in is gone. Change into one that is there.\n"


def test_files_that_may_not_grow_end_a_run_in_a_sentence_and_it_can_begin_again(
    cli: Callable[..., Any], points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    argv = ("train", points_file, "--out", tmp_path / "run", "--steps", "2", "--no-tensorboard", *tiny)
    done = started(*argv, preexec_fn=limited(resource.RLIMIT_FSIZE, 15_000))  # a checkpoint has more
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("wassergan: Could not write") and ".cc" not in last and "may not grow" in last
    assert cli(*argv).code == 0


def test_a_program_that_does_not_fit_is_no_crash(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "generator.pt2"
    done = subprocess.run(
        [sys.executable, "-m", "wassergan", "export", run, "--out", out],
        preexec_fn=limited(resource.RLIMIT_FSIZE, 1000), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"wassergan: Could not write {tmp_path}") and done.stderr.count("\n") == 1
    assert not out.exists()


def test_other_failures_of_torch_s_writer_keep_their_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*ignored: Any) -> None:
        raise RuntimeError("cannot be pickled\nat line 7")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(Exception, match="cannot be pickled"), replacing(tmp_path / "file") as temporary:
        save_tensors(temporary, {})
