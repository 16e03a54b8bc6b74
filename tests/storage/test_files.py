import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wassergan.errors import UserError, WorkError
from wassergan.storage import files
from wassergan.storage.files import (
    appending,
    can_write,
    link_or_copy,
    make_folder,
    read_text,
    remove,
    remove_lost_temporaries,
    remove_temporaries,
    replacing,
    require_target,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        write_text(path, text)
        assert path.read_text() == text and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_what_was_there_stays_if_writing_stops_half_way(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "one"
        raise error
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_and_nothing_temporary_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with pytest.raises(WorkError, match=r"Could not write .*a.txt: No space left on device\. Free some space") as told:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "what was there before is still valid" in str(told.value)
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_that_shows_only_on_flushing_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wassergan.storage.files.os.fsync", full)
    with pytest.raises(WorkError, match="No space left"):
        write_text(path, "two")
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_another_name_holds_the_same_content_and_outlives_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda self, other: (_ for _ in ()).throw(OSError("no links")))
    write_text(tmp_path / "a", "one")
    write_text(tmp_path / "b", "old")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").unlink()
    assert (tmp_path / "b").read_text() == "one" and names(tmp_path) == ["b"]


def test_what_a_lost_process_left_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beyond, token = 2**22 + 1, "0123456789abcdef"  # above the highest number that Linux gives to a process
    living = f".wassergan-{os.getpid()}-{token}.tmp.png"
    others = [".hidden", f".wassergan-{beyond}-x.tmp", f".x.{beyond}.tmp.pt", "mine.7.tmp"]
    lost = [f".wassergan-{beyond}-{token}.tmp.pt", f".wassergan-{2**80}-{token}.tmp"]
    for name in (living, *others, *lost):
        (tmp_path / name).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("keep")
    linked = f".wassergan-{beyond}-{token[::-1]}.tmp"
    (tmp_path / linked).symlink_to(elsewhere)
    others += ["elsewhere", linked]
    remove_lost_temporaries(tmp_path)
    assert names(tmp_path) == sorted([living, *others])
    monkeypatch.setattr(files, "LONGEST_WRITE_SECONDS", -1.0)  # so old that the number is another's by now
    remove_lost_temporaries(tmp_path)
    assert names(tmp_path) == sorted(others)
    (tmp_path / living).touch()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == sorted(others) and elsewhere.read_text() == "keep"


def special(path: Path, kind: str) -> None:
    """Something at a path that is no regular file."""
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_text("keep")
    match kind:
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "a link":
            path.symlink_to(elsewhere)
        case "a device":
            path.symlink_to("/dev/zero")


KINDS = ["a pipe", "a folder", "a socket", "a link"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_replaced_and_links_are_not_followed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    special(path, kind)
    before = path.lstat()
    with pytest.raises(UserError, match=rf"a is no regular file: {kind}\. Name a new file"):
        write_text(path, "lost")
    with pytest.raises(UserError, match=kind):
        with appending(path):
            pass
    remove(path)
    assert os.path.samestat(path.lstat(), before) and (tmp_path / "elsewhere").read_text() == "keep"
    assert names(tmp_path) == ["a", "elsewhere"]


@pytest.mark.parametrize("kind", [*KINDS, "a device"])
def test_only_regular_files_are_read_and_none_is_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    special(path, kind)
    for follow in (True, False):
        if kind == "a link" and follow:
            assert read_text(path) == "keep"
            continue
        found = "a link" if kind == "a device" and not follow else kind
        with pytest.raises(UserError, match=rf"a is no regular file: {found}"):
            read_text(path, follow=follow)


@pytest.mark.parametrize("kind", ["a pipe", "a link"])
def test_what_becomes_no_regular_file_between_the_look_and_the_opening_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    special(tmp_path / "a", kind)
    monkeypatch.setattr(files, "require_regular", lambda path, *, follow: path)
    with pytest.raises(UserError, match=rf"a is no regular file: {kind}"):
        read_text(tmp_path / "a", follow=False)


def test_temporary_names_are_unforeseeable_and_exclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thesis").write_text("keep")
    found = set()
    for _ in range(20):
        with replacing(tmp_path / "a.png") as temporary:
            found.add(temporary.name)
            assert temporary.parent == tmp_path and temporary.suffix == ".png"
    assert len(found) == 20
    monkeypatch.setattr(files, "token_hex", lambda count: "0123456789abcdef")
    foreseen = tmp_path / f".wassergan-{os.getpid()}-0123456789abcdef.tmp.png"
    foreseen.symlink_to(tmp_path / "thesis")
    with pytest.raises(WorkError, match="File exists"):
        write_text(tmp_path / "a.png", "lost")
    assert (tmp_path / "thesis").read_text() == "keep" and foreseen.is_symlink()


@pytest.mark.parametrize("name", ["a" * 255, "a" * 250 + ".png", "a." + "b" * 253, "ä" * 127])
def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "one")
    assert names(tmp_path) == [name]


def test_appending_leaves_other_names_of_a_file_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\n")
    (tmp_path / "copy").hardlink_to(tmp_path / "log")
    with appending(tmp_path / "log") as file:
        assert file.tell() == 4
        file.write(b"two\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n" and (tmp_path / "copy").read_text() == "one\n"


def test_standard_output_and_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Only samples go to standard output"):
        require_target(Path("-"))
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "deep"):
        with pytest.raises(UserError, match="is no folder"):
            make_folder(path)


def test_whether_a_folder_can_be_written_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_write(tmp_path / "not" / "yet") and names(tmp_path) == []

    def refuse(*ignored: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("wassergan.storage.files.os.open", refuse)
    before = set(files._unfinished)  # of tests in which a process dies
    assert not can_write(tmp_path) and files._unfinished == before


HALF = """
import os, sys, time
from pathlib import Path
from wassergan.cli.interrupts import terminating_like_ctrl_c
from wassergan.storage.files import replacing
try:
    with terminating_like_ctrl_c(), replacing(Path(sys.argv[1]) / "a.npy") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        while True:  # a signal between Python's last look and the system call does not end that one sleep
            time.sleep(0.05)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGXCPU", "SIGALRM"])
def test_no_signal_leaves_a_temporary_file(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # the suite may run where it is ignored
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    assert len(names(tmp_path)) == 1
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    process.stdout.close()
    assert names(tmp_path) == []
