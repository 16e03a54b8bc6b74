import errno
import os
from pathlib import Path

import pytest

from wassergan import files
from wassergan.errors import WorkError
from wassergan.files import link_or_copy, remove_lost_temporaries, remove_temporaries, replacing, write_text


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

    monkeypatch.setattr("wassergan.files.os.fsync", full)
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
    folder = tmp_path / "deep"
    folder.mkdir()
    beyond = 2**22 + 1  # above the highest number that Linux gives to a process
    for name in (f".a.{os.getpid()}.tmp.png", f".b.{beyond}.tmp.pt", f".c.{2**80}.tmp", "mine.7.tmp", ".hidden"):
        (folder / name).touch()
    remove_lost_temporaries(tmp_path)
    assert names(folder) == [f".a.{os.getpid()}.tmp.png", ".hidden", "mine.7.tmp"]
    monkeypatch.setattr(files, "LONGEST_WRITE_SECONDS", -1.0)  # so old that the number is another's by now
    remove_lost_temporaries(tmp_path)
    assert names(folder) == [".hidden", "mine.7.tmp"]
    (folder / f".a.{os.getpid()}.tmp.png").touch()
    remove_temporaries(tmp_path)
    assert names(folder) == [".hidden", "mine.7.tmp"]
