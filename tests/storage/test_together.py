"""Files that belong together: whatever strikes at any of the calls that write them, all are old or all are new."""

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from wassergan.errors import UserError, WorkError
from wassergan.storage import files
from wassergan.storage.files import content_of, make_folder, write_bytes, write_text
from wassergan.storage.run_folder import RunFolder, is_result
from wassergan.storage.together import finish, together

sys.path.insert(0, str(Path(__file__).parents[2] / "fuzz"))

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

OURS = {"a.txt", "b.png", "sub/c.txt", "old.txt"}.__contains__
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


def write_all(folder: Path, content: str) -> None:
    """Three files in two folders, and one of an earlier call that goes."""
    with together(folder, ours=OURS) as group:
        write_text(folder / "a.txt", content)
        write_bytes(folder / "b.png", content.encode())
        make_folder(folder / "sub")
        write_text(folder / "sub" / "c.txt", content)
        group.remove(folder / "old.txt")


def held_by(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


NEW = {"a.txt": "new", "b.png": "new", "sub/c.txt": "new"}
OLD = {"a.txt": "old", "b.png": "old", "sub/c.txt": "old", "old.txt": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "set"
    path.mkdir()
    write_all(path, "old")
    (path / "old.txt").write_text("x")
    assert held_by(path) == OLD
    return path


def in_child(work: Callable[[], object]) -> int:
    return ended(forked(work))


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if not child:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started this behind it
            os.close(2)  # what is said of an interrupt is expected
            work()
            code = 0
        except KeyboardInterrupt:
            code = 130
        except WorkError:
            code = 1
        finally:
            if code in (1, 130):
                files._discard_unfinished()  # what the interpreter does at its end
            os._exit(code)
    return child


def struck(folder: Path, kind: str, number: int, detail: str = "") -> int:
    from faults import Fault

    def work() -> None:
        Fault(kind, number, detail).install(folder, os.open(os.devnull, os.O_WRONLY))
        write_all(folder, "new")

    return in_child(work)


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "detail"),
    [("kill", ""), ("refuse", "EIO"), ("refuse", "EDQUOT"), ("signal", "SIGINT"), ("hide", "EACCES")],
)
def test_at_every_call_all_files_are_old_or_all_are_new(folder: Path, kind: str, detail: str) -> None:
    from faults import EVENTS, counted

    codes, seen = set(), set()
    with counted(folder) as met:
        write_all(folder, "counted")
    for number in range(1, met[EVENTS[kind]] + 1):
        for path in [each for each in folder.rglob("*") if each.is_file()]:
            path.unlink()
        write_all(folder, "old")
        (folder / "old.txt").write_text("x")
        code = struck(folder, kind, number, detail)
        codes.add(code)
        finish(folder, OURS)
        found = held_by(folder)
        left = {name for name in found if ".wassergan-" in name}
        assert not left or code == -signal.SIGKILL, (number, left)
        found = {name: each for name, each in found.items() if name not in left}
        assert found in (OLD, NEW), f"{kind} at call {number} left {found}"
        seen.add(found["a.txt"])
        write_all(folder, "newer")  # whatever is left does not stand in the way
        assert {name: each for name, each in held_by(folder).items() if name not in left} == dict.fromkeys(NEW, "newer")
    if kind != "hide":
        assert met["change"] > 20 and seen == {"old", "new"} and codes - {0}


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_call_that_was_killed_before_its_moves_is_finished_by_the_next(folder: Path) -> None:
    def work() -> None:
        files.move = None  # type: ignore[assignment]
        from wassergan.storage import together as module

        module.move = lambda source, path: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment, attr-defined]
        write_all(folder, "new")

    assert in_child(work) == -signal.SIGKILL
    journal = next(path for path in folder.iterdir() if path.suffix == ".moves")
    assert sorted(to for _, to in json.loads(journal.read_text())["moved"]) == ["a.txt", "b.png", "sub/c.txt"]
    assert (folder / "a.txt").read_text() == "old"
    finish(folder, OURS)
    assert held_by(folder) == NEW


def test_content_that_waits_is_found(folder: Path) -> None:
    with together(folder, ours=OURS):
        write_text(folder / "a.txt", "first")
        write_text(folder / "a.txt", "second")
        assert (folder / "a.txt").read_text() == "old" and content_of(folder / "a.txt").read_text() == "second"
    assert (folder / "a.txt").read_text() == "second" == content_of(folder / "a.txt").read_text()
    assert not list(folder.rglob(".*"))


def test_an_error_leaves_the_old_files(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), together(folder, ours=OURS) as group:
        write_text(folder / "a.txt", "new")
        group.remove(folder / "old.txt")
        raise ZeroDivisionError
    assert held_by(folder) == OLD


def test_a_link_in_the_place_of_one_leaves_all(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    with pytest.raises(UserError, match="no regular file: a link"), together(folder, ours=OURS):
        write_text(folder / "a.txt", "new")
        write_text(folder / "b.png", "new")
        (folder / "a.txt").unlink()
        (folder / "a.txt").symlink_to(tmp_path / "thesis")
    assert (tmp_path / "thesis").read_text() == "mine" and (folder / "b.png").read_text() == "old"
    assert not list(folder.rglob(".*"))


def refuse_moves(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    from wassergan.storage import together as module

    seen = 0

    def move(source: Path, path: Path) -> None:
        nonlocal seen
        seen += 1
        if seen > after:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        files.move(source, path)

    monkeypatch.setattr(module, "move", move)


def test_moves_that_are_refused_are_named_and_made_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_moves(monkeypatch, after=1)
    with pytest.raises(WorkError, match=r"not in their places yet: a\.txt, b\.png, old\.txt, sub/c\.txt: Read-only"):
        write_all(folder, "new")
    with pytest.raises(WorkError, match="not in their places"):
        finish(folder, OURS)
    monkeypatch.undo()
    finish(folder, OURS)
    assert held_by(folder) == NEW


TEMPORARY = ".wassergan-1-0123456789abcdef.tmp"
FALSE = {
    "of no verb": {"moved": [[f"{TEMPORARY}.txt", "thesis.txt"]], "removed": []},
    "removes others": {"moved": [], "removed": ["thesis.txt", "old.txt"]},
    "from above": {"moved": [["../thesis.txt", "a.txt"]], "removed": []},
    "to above": {"moved": [[f"{TEMPORARY}.txt", "../thesis.txt"]], "removed": []},
    "of anywhere": {"moved": [["/etc/hostname", "a.txt"]], "removed": []},
    "no temporary file": {"moved": [["thesis.txt", "a.txt"]], "removed": []},
    "from another folder": {"moved": [[f"sub/{TEMPORARY}.txt", "a.txt"]], "removed": []},
    "through a link": {"moved": [[f"linked/{TEMPORARY}.txt", "linked/c.txt"]], "removed": []},
    "no names": {"moved": [[1, None]], "removed": [{}]},
    "no pairs": {"moved": ["ab"], "removed": 3},
    "a list": [1],
}


@pytest.mark.parametrize("content", FALSE.values(), ids=FALSE)
def test_a_journal_of_a_stranger_moves_and_removes_nothing_of_others(folder: Path, content: object) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    for path in (folder, folder / "sub", folder / "linked", folder.parent):
        (path / f"{TEMPORARY}.txt").write_text("false")
        (path / "thesis.txt").write_text("mine")
    journal = folder / ".wassergan-1-0123456789abcdef.moves"
    journal.write_text(json.dumps(content))
    before = [held_by(folder.parent), (folder.parent / "elsewhere" / f"{TEMPORARY}.txt").read_text()]
    # `linked/c.txt` and others would be this verb's own.
    finish(folder, lambda name: OURS(name) or name in ("linked/c.txt", "../thesis.txt"))
    assert [held_by(folder.parent), (folder.parent / "elsewhere" / f"{TEMPORARY}.txt").read_text()] == before


def test_a_journal_that_is_a_link_or_a_pipe_is_left_alone(folder: Path) -> None:
    os.mkfifo(folder / ".wassergan-1-0123456789abcdef.moves")
    (folder / ".wassergan-2-0123456789abcdef.moves").symlink_to("a.txt")
    finish(folder, OURS)
    assert (folder / "a.txt").read_text() == "old"


def _write_often(folder: Path, content: str) -> None:
    for _ in range(30):
        write_all(folder, content)


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_that_write_the_same_files_at_once_leave_those_of_one(folder: Path) -> None:
    for _ in range(3):
        children = [forked(partial(_write_often, folder, content)) for content in ("one", "two")]
        assert [ended(child) for child in children] == [0, 0]
        assert len(set(held_by(folder).values())) == 1 and set(held_by(folder)) == set(NEW)


@pytest.mark.skipif(fcntl is None, reason="locks no folders")
def test_moves_are_made_by_one_process_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wassergan.storage import together as module

    make, made = module._make, []

    def alone(*arguments: Any) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        made.append(arguments[-1])
        if len(made) > 1:
            make(*arguments)

    monkeypatch.setattr(module, "_make", alone)
    write_all(folder, "new")
    finish(folder, OURS)
    assert len(made) == 2 and made[0] == made[1] and held_by(folder) == NEW


@pytest.mark.skipif(fcntl is None, reason="locks no folders")
def test_one_that_hangs_stops_nobody_for_ever(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_WAIT_SECONDS", 0.05)
    with files.alone_in(folder):
        write_all(folder, "new")
    assert held_by(folder) == NEW


def test_results_of_a_killed_evaluation_come_into_their_places(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "evaluation").mkdir()
    names = {"metrics.json": TEMPORARY + ".json", "evaluation/pair-1.png": f"evaluation/{TEMPORARY}.png"}
    for name, temporary in names.items():
        (tmp_path / name).write_text("old")
        (tmp_path / temporary).write_text("new")
    journal = {"moved": [[temporary, name] for name, temporary in names.items()], "removed": ["evaluation/pair-2.png"]}
    (tmp_path / ".wassergan-1-0123456789abcdef.moves").write_text(json.dumps(journal))
    run.remove_temporaries()  # not before they are in their places
    assert held_by(tmp_path) == dict.fromkeys(names, "new")
    assert not is_result("settings.json") and not is_result("checkpoints/latest.pt") and is_result("report.html")
