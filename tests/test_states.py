"""A run folder under kills, faults, links, damage and other processes, in an order that a seed chooses."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import wassergan

ROOT = Path(__file__).parents[1]
EXAMPLES = 25  # of each
LEAST_FIRED = 0.7  # of the faults that were planned


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.parametrize(("script", "steps"), [("states.py", 2), ("state_machine.py", 1)])
def test_whatever_happens_to_a_run_folder_nothing_is_lost(script: str, steps: int) -> None:
    # In a process of its own: what is forked must hold no threads of other tests.
    command = [sys.executable, f"fuzz/{script}", str(EXAMPLES), "--steps", str(steps), "--kinds", "pictures"]
    command += ["--whole-steps"] * (script == "state_machine.py")
    environment = os.environ | {"PYTHONPATH": str(Path(wassergan.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])["all"]
    assert found["runs"] == found["ended bit for bit"] >= EXAMPLES
    assert steps * EXAMPLES <= found["steps"] <= found["verbs"] + found["harmless"]
    assert found["faults fired"] >= LEAST_FIRED * found["faults planned"] > EXAMPLES / 5
    assert found["killed"] + found["interrupted"] > EXAMPLES / 10


@pytest.fixture
def faults() -> object:
    sys.path.insert(0, str(ROOT / "fuzz"))
    import faults

    return faults


def in_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if not child:
        code = 70
        try:
            work()
            code = 0
        except OSError as error:
            code = error.errno or 1
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_three(folder: Path) -> None:
    for name in ("a", "b", "c"):
        with (folder / name).open("wb") as file:
            file.write(b"12345")
        (folder / name).read_bytes()
    (folder / "a").unlink()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "number", "detail", "code", "left"),
    [
        ("kill", 1, "", -signal.SIGKILL, ""),
        ("kill", 4, "", -signal.SIGKILL, "abc"),  # as it removes
        ("kill", 5, "", 0, "bc"),  # there is no fifth
        ("refuse", 2, "EDQUOT", 122, "a"),
        ("hide", 2, "EIO", 5, "ab"),
        ("write", 3, "ENOSPC", 28, "abc"),
        ("read", 1, "EIO", 5, "a"),
        ("signal", 2, "SIGINT", 130, "a"),
        ("torn", 3, "", -signal.SIGXFSZ, "a"),
        ("full", 4, "", 27, "a"),
        ("jump", 1, "9", 0, "bc"),
        ("clock", 9, "", 0, "bc"),
    ],
)
def test_faults_strike_where_they_are_to(
    tmp_path: Path, faults: object, kind: str, number: int, detail: str, code: int, left: str
) -> None:
    def work() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fault = faults.Fault(kind, number, detail)  # type: ignore[attr-defined]
        fault.install(tmp_path, os.open(os.devnull, os.O_WRONLY))
        write_three(tmp_path)

    assert in_child(work) == code
    assert "".join(sorted(path.name for path in tmp_path.iterdir())) == left


def test_what_faults_could_meet_is_counted_and_nothing_stays_watched(tmp_path: Path, faults: object) -> None:
    before = (open, os.write, os.fsync)
    with faults.counted(tmp_path) as met:  # type: ignore[attr-defined]
        write_three(tmp_path)
    assert met == Counter(change=4, open=3, write=3, read=met["read"]) and met["read"] >= 3
    assert before == (open, os.write, os.fsync)
    write_three(tmp_path)
    assert met["change"] == 4
