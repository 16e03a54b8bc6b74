"""A forked program finds what a fresh interpreter finds, and ends as it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import forked

PROBE = """
import os, signal, sys, threading, warnings
print(sys.argv[1:], os.getcwd(), os.environ.get("PROBE"), sorted(os.environ), __name__)
print(sys.stdin.read(), sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdout.line_buffering)
mask = os.umask(0)
os.umask(mask)
print(oct(mask), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(), threading.active_count())
print([line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))])
print(*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)))
print([(action, category.__name__) for action, _, category, *_ in warnings.filters])
warnings.warn("a word")
print("not written at once", end="")
match sys.argv[1]:
    case "falls": raise ValueError("fallen")
    case "is interrupted": os.kill(os.getpid(), signal.SIGINT)
    case "stops": sys.exit("stopped")
    case "is killed": sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)
    case "leaves": os._exit(7)
    case "answers": sys.exit(3)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at signals in /proc")
@pytest.mark.parametrize("end", ["falls", "is interrupted", "stops", "is killed", "leaves", "answers", "ends"])
@pytest.mark.parametrize("own_session", [False, True])
def test_a_forked_program_is_as_a_fresh_one(tmp_path: Path, end: str, own_session: bool) -> None:
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    environment = os.environ | {"PROBE": "here", "PYTHONPATH": str(tmp_path)}
    command, pipe = ["probe", end], subprocess.PIPE
    found = []
    sys.path.insert(0, str(tmp_path))
    try:
        for start in (forked.start, fresh):
            process = start(  # type: ignore[operator]
                command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, env=environment,
                start_new_session=own_session,
            )  # fmt: skip
            out, err = process.communicate("given", timeout=120)
            found.append((process.returncode, out, err.splitlines()[-1:]))
    finally:
        sys.path.remove(str(tmp_path))
    assert found[0] == found[1]


def fresh(command: list[str], **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", *command], **options)  # type: ignore[call-overload, no-any-return]
