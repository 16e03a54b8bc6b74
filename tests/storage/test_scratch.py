import gc
import os
from pathlib import Path

import numpy as np
import pytest

from wassergan.errors import WorkError
from wassergan.storage.scratch import ScratchFile


def held() -> list[str]:
    """Where the descriptors of this process lead."""
    return [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_is_written_comes_back_from_any_place(folder: Path) -> None:
    file = ScratchFile("a table")
    numbers = np.arange(1000, dtype=np.int32)
    assert (file.append(numbers[:600]), file.append(numbers[600:]), file.size) == (0, 2400, 4000)
    found = np.empty(5, np.int32)
    file.into(found, 4 * 598)
    assert found.tolist() == [598, 599, 600, 601, 602]


def test_it_has_no_name_and_goes_with_its_object(folder: Path) -> None:
    file = ScratchFile("a table")
    file.append(b"12")
    assert not list(folder.iterdir()) and any(each.startswith(str(folder)) for each in held())
    del file
    gc.collect()
    assert not any(each.startswith(str(folder)) for each in held())


def test_a_full_disk_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ScratchFile("a table")

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(WorkError, match="a table cannot be kept in a temporary file") as caught:
        file.append(b"12")
    assert "No space left" in str(caught.value) and "TMPDIR" in str(caught.value)


def test_more_than_there_is_cannot_be_read(folder: Path) -> None:
    file = ScratchFile("a table")
    file.append(b"12")
    with pytest.raises(WorkError, match="became shorter"):
        file.into(bytearray(3), 0)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(WorkError, match="TMPDIR"):
        ScratchFile("a table")
