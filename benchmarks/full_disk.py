"""Runs on a disk that is full, or that fails: nothing that was there may be lost, and nothing half-written may stay.

    python benchmarks/full_disk.py [--folder FOLDER]      # as root, for the file system of a few MiB that it mounts

Two sweeps. A training on a small tmpfs, of which less and less is left free, then every verb that writes into its run.
And a training in which the n-th call that flushes, renames, links or makes a file is refused, for every n until none
is. After each refusal: exit code 1 or 2 with a sentence, checkpoints that load, no temporary file; and with room again
the training ends in the bits of one that was never disturbed. Writes docs/results/full_disk.json and .md.
"""

import argparse
import errno
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from kills import COMMON, Plan, compare, ended, examine, make_data, start, train_or_resume

FIRED = b"[refused]\n"
SIZE, MOST_FREE = 6 * 2**20, 24 * 2**15
CALLS = ("fsync", "replace", "link", "mkdir")
FLAGS = [*COMMON, "--steps", "12", "--tick-steps", "4"]
VERBS = {
    "sample npy": ["sample", "RUN", "--count", "3000", "--out", "RUN/a.npy"],
    "sample png": ["sample", "RUN", "--count", "64", "--out", "RUN/a.png"],
    "sample folder": ["sample", "RUN", "--count", "300", "--out", "RUN/pictures"],
    "report": ["report", "RUN"],
    "export": ["export", "RUN", "--format", "safetensors"],
    "evaluate": ["evaluate", "RUN", "--count", "200"],
    "visualize": ["visualize", "RUN", "--count", "200"],
}


def refuse_call(number: int) -> Plan:
    """In the child: the n-th call that changes files finds no space."""

    def install() -> None:
        seen = 0

        def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
            def refused(*args: Any, **options: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == number:
                    os.write(2, FIRED)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return call(*args, **options)

            return refused

        for name in CALLS:
            setattr(os, name, wrapped(getattr(os, name)))

    return install


def check(code: int, out: Path, folder: Path, seen: Counter[str], what: str) -> None:
    said = out.read_text(encoding="utf-8", errors="replace")
    out.write_text("")
    if code not in (0, 1, 2) or "Traceback" in said or (code and "wassergan: " not in said):
        raise SystemExit(f"{what}: exit code {code}\n{said[-2000:]}")
    left = [str(path) for path in folder.rglob(".*") if ".tmp" in path.name or path.name == ".lock"]
    if left:
        raise SystemExit(f"{what} left {left}\n{said[-2000:]}")
    examine(folder, Counter())
    seen["refused" if code else "went through"] += 1


def fill(folder: Path, free: int) -> None:
    """Leave so many bytes free."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    room = os.statvfs(folder)
    with filler.open("wb") as file:
        file.write(bytes(max(0, room.f_bavail * room.f_frsize - free)))


def small_disk(disk: Path, whole: Path, out: Path, seen: Counter[str]) -> list[str]:
    lost: list[str] = []
    for free in range(0, MOST_FREE, MOST_FREE // 24):
        run = disk / f"run-{free}"
        fill(disk, free)
        check(ended(start(train_or_resume(run, FLAGS), out)), out, run, seen, f"train with {free} bytes")
        (disk / "filler").unlink()
        argv = train_or_resume(run, FLAGS)
        code = ended(start(argv, out))
        if code and "reached its end" not in out.read_text():
            raise SystemExit(f"{argv}: {out.read_text()}")
        out.write_text("")
        lost += compare(run, whole)
        for name, verb in VERBS.items() if free % (MOST_FREE // 6) == 0 else ():
            fill(disk, free // 4)
            check(
                ended(start([each.replace("RUN", str(run)) for each in verb], out)), out, run, seen, f"{name}, {free}"
            )
        subprocess.run(["rm", "-r", str(run), str(disk / "filler")], check=False, capture_output=True)
    return lost


def failing_calls(root: Path, whole: Path, out: Path, seen: Counter[str]) -> list[str]:
    lost: list[str] = []
    for number in range(1, 400):
        run = root / f"failing-{number}"
        code = ended(start(train_or_resume(run, FLAGS), out, refuse_call(number)))
        finished = FIRED.decode() not in out.read_text()
        check(code, out, run, seen, f"call {number}")
        if not finished and code:
            code = ended(start(train_or_resume(run, FLAGS), out))
            # The last refusals come after the last checkpoint: then nothing is left to train.
            if code and "reached its end" not in out.read_text():
                raise SystemExit(out.read_text())
            out.write_text("")
            ignored = "curves.png", "report.html"  # drawn after the end; `wassergan report` draws them again
            lost += [each for each in compare(run, whole) if not any(name in each for name in ignored)]
        subprocess.run(["rm", "-r", str(run)], check=False)
        if finished:
            return lost
    raise SystemExit("there is no end to the calls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made")
    options = parser.parse_args()
    for each in (
        *("wassergan.plots", "wassergan.runs.train", "wassergan.runs.evaluate", "wassergan.runs.visualize"),
        *("wassergan.data.readers.digits", "wassergan.runs.export"),
    ):  # what every child would import
        import_module(each)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        out, disk = root / "out.txt", root / "disk"
        make_data(root)
        if ended(start(train_or_resume(root / "whole", FLAGS), out)):
            raise SystemExit(out.read_text())
        disk.mkdir()
        seen: Counter[str] = Counter()
        lost = failing_calls(root, root / "whole", out, seen)
        rows.append({"what": "calls that fail", **seen, "lost": "; ".join(lost[:5]) or "nothing"})
        print(rows[-1], flush=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
        try:
            make_data(disk)
            seen = Counter()
            lost = small_disk(disk, root / "whole", out, seen)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        rows.append({"what": "a small disk", **seen, "lost": "; ".join(lost[:5]) or "nothing"})
        print(rows[-1], flush=True)
    from results import write_results

    write_results("full_disk", "Full and failing disks", rows, summary={}, command="python benchmarks/full_disk.py")
    sys.exit(any(row["lost"] != "nothing" for row in rows))


if __name__ == "__main__":
    main()
