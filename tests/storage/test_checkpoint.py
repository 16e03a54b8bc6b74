import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from wassergan.errors import UserError, WorkError
from wassergan.storage import memory
from wassergan.storage.archive import read_archive
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from wassergan.storage.files import link_or_copy

CONTENT = {"weights": torch.arange(6.0), "step": 3, "nested": {"name": "x", "pair": (1, 2.5)}}


class Hostile:
    """Unpickling it would create the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (os.mkdir, (str(self.path),))


def test_round_trip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", CONTENT)
    content = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(content["weights"], CONTENT["weights"])  # type: ignore[arg-type]
    assert (content["step"], content["nested"]) == (3, CONTENT["nested"])


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no checkpoint .*gone.pt"):
        load_checkpoint(tmp_path / "gone.pt")


# Resume: a corrupt checkpoint silently restarts from zero.
def test_a_checkpoint_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, CONTENT)
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"is damaged.*[Uu]se another checkpoint"):
            load_checkpoint(path)


def test_a_flipped_bit_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, CONTENT)
    whole, refusals = path.read_bytes(), 0
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            content = load_checkpoint(path)
        except UserError:
            refusals += 1
        else:  # padding between the members, dates, and the like
            assert torch.equal(content["weights"], CONTENT["weights"])  # type: ignore[arg-type]
            assert (content["step"], content["nested"]) == (3, CONTENT["nested"])
    assert refusals > 50


def test_a_flipped_bit_in_the_weights_is_caught_by_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, CONTENT)
    whole = path.read_bytes()
    place = whole.index(torch.arange(6.0).numpy().tobytes()) + 9
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(UserError, match="is damaged: checksum of"):
        load_checkpoint(path)


# Resume: a file that can run code on load.
@pytest.mark.parametrize("how", ["torch", "legacy torch", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path: Path, how: str) -> None:
    path, mark = tmp_path / "a.pt", tmp_path / "ran"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Hostile(mark)))
    else:
        content = {"format": "wassergan checkpoint", "version": 1, "settings": Hostile(mark)}
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(UserError, match="never loaded" if how == "torch" else "damaged or no checkpoint"):
        load_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [{"model": torch.zeros(2)}, [1, 2], torch.zeros(3)])
def test_a_file_of_another_program_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UserError, match="is not a checkpoint of wassergan"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_zip_that_torch_did_not_write_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="damaged or no checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"version": 99})
    with pytest.raises(UserError, match=r"comes from a newer wassergan: format 99\. Update\."):
        load_checkpoint(tmp_path / "a.pt")


def test_latest_and_best_follow_and_old_numbers_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for step, best in ((0, True), (50, True), (100, False), (150, False)):
        checkpoints.save({"step": step}, step=step, best=best)
    files = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert files == ["best.pt", "latest.pt", "step-000000100.pt", "step-000000150.pt"]
    steps = {which: load_checkpoint(checkpoints.path(which))["step"] for which in ("latest", "best", "100")}
    assert steps == {"latest": 150, "best": 50, "100": 100}
    with pytest.raises(UserError, match=r"no checkpoint '50': in .*: best, latest, step-000000100, step-000000150"):
        checkpoints.path("50")


def test_whoever_dies_between_the_names_has_the_new_best_and_goes_on_from_the_old_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save({"step": 0}, step=0, best=True)

    def dies(source: Path, target: Path) -> None:
        if target.name == "latest.pt":
            raise KeyboardInterrupt
        link_or_copy(source, target)

    monkeypatch.setattr("wassergan.storage.checkpoint.link_or_copy", dies)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save({"step": 50}, step=50, best=True)
    assert [load_checkpoint(checkpoints.path(which))["step"] for which in ("latest", "best")] == [0, 50]


def test_a_folder_without_checkpoints_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint 'latest': in .*: none"):
        Checkpoints(tmp_path / "gone").path("latest")


def test_damaging_one_checkpoint_leaves_the_others_whole(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (0, 50):
        checkpoints.save({"step": step}, step=step, best=False)
    checkpoints.path("50").write_bytes(b"")
    assert load_checkpoint(checkpoints.path("0"))["step"] == 0


# No room on the disk: a real one, by a limit on the size of files.
def test_a_full_disk_leaves_the_former_checkpoint_and_no_temporary_file(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
import torch
from wassergan.errors import WorkError
from wassergan.storage.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save({"weights": torch.zeros(10), "step": 1}, step=1, best=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    checkpoints.save({"weights": torch.zeros(500_000), "step": 2}, step=2, best=True)
except WorkError as error:
    print(error)
"""
    assert resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Could not write" in done.stdout and "still valid" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "latest.pt", "step-000000001.pt"]
    for which in ("latest", "best", "1"):
        assert load_checkpoint(Checkpoints(tmp_path).path(which))["step"] == 1


@pytest.mark.parametrize("error", [RuntimeError("[enforce fail] write failed\nstack"), OSError(28, "No space left")])
def test_torch_s_own_report_of_a_full_disk_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"step": 1}, step=1, best=True)

    def fail(content: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr("torch.save", fail)
    with pytest.raises(
        WorkError, match="Could not write .*step-000000002.pt: (.enforce fail. write failed|No space left)"
    ):
        checkpoints.save({"step": 2}, step=2, best=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "latest.pt", "step-000000001.pt"]


def test_numbers_are_held_once_as_they_are_read(tmp_path: Path) -> None:
    import tracemalloc

    values = torch.arange(2**20)
    save_checkpoint(tmp_path / "a.pt", {"values": values})
    read_archive(tmp_path / "a.pt")
    tracemalloc.start()
    try:
        found = read_archive(tmp_path / "a.pt")
        assert tracemalloc.get_traced_memory()[1] < 1.5 * values.nbytes
    finally:
        tracemalloc.stop()
    assert torch.equal(found["values"], values)


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a hole is small on the disk, and as large as it says in memory; its checksum may be right."""
    save_checkpoint(tmp_path / "a.pt", {"values": torch.zeros(2**18)})
    monkeypatch.setenv(memory.VARIABLE, "2")
    assert load_checkpoint(tmp_path / "a.pt")["values"].shape == (2**18,)
    monkeypatch.setenv(memory.VARIABLE, "1")
    monkeypatch.setattr("wassergan.storage.checkpoint.read_archive", lambda path: pytest.fail("it was read"))
    with pytest.raises(UserError, match=r"a\.pt would fill the memory: 1,0\d\d,\d{3} bytes, allowed are 1,048,576"):
        load_checkpoint(tmp_path / "a.pt")
