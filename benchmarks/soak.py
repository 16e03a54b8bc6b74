"""A long run watched from outside: memory, open file handles and disk, once a minute.

    python benchmarks/soak.py [--budget 2h] [--every 60] [--folder FOLDER]

Trains on the digits with a tick every 1000 steps, previews, W1 bounds, checkpoints and TensorBoard, as
`wassergan train` does, and reads the process's numbers from /proc. Meanwhile `wassergan evaluate` and
`wassergan sample` read the live run every quarter of an hour, in processes of their own. Memory is flat when the
slope of the last three quarters, times the length of the run, is small beside the process; disk is flat when only
what is meant to grow (one picture and one log line per tick) does. Writes docs/results/soak.json and .md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TICK_STEPS, BOUND_STEPS = 1000, 20_000
READERS_EVERY = 900.0
SETTLED = 0.25  # share of the run before which imports, caches and allocators still fill


def size_of(path: Path) -> int:
    """Bytes below a path; a file with two names counts once."""
    files = [path] if path.is_file() else list(path.rglob("*"))
    seen: dict[int, int] = {}
    for each in files:
        try:
            facts = each.stat()
        except FileNotFoundError:  # pruned, or moved into place, meanwhile
            continue
        if each.is_file():
            seen[facts.st_ino] = facts.st_size
    return sum(seen.values())


def sample(process: int, run: Path, started: float) -> dict[str, Any]:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    )
    log = run / "log.jsonl"
    last = log.read_text(encoding="utf-8").splitlines()[-1:] if log.exists() else []
    checkpoints = run / "checkpoints"
    numbered = len(list(checkpoints.glob("step-*.pt"))) if checkpoints.exists() else 0
    return {
        "minute": round((time.time() - started) / 60, 2),
        "step": json.loads(last[0])["step"] if last else 0,
        "RSS MiB": int(status["VmRSS"].split()[0]) / 1024,
        "threads": int(status["Threads"]),
        "handles": sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()),
        "checkpoints": numbered,
        "checkpoints MiB": size_of(checkpoints) / 2**20 if numbered else 0.0,
        "pictures MiB": size_of(run / "samples") / 2**20,
        "log MiB": size_of(log) / 2**20 if last else 0.0,
        "tensorboard MiB": size_of(run / "tensorboard") / 2**20,
        "all MiB": size_of(run) / 2**20,
        "temporaries": len(list(run.rglob(".*.tmp*"))),
    }


class Readers:
    """Evaluate and sample the live run now and then, beside it, so that the looks at it go on."""

    def __init__(self, run: Path, folder: Path) -> None:
        sampling = ["sample", str(run), "--count", "1000", "--out", str(folder / "beside.npy")]
        self._verbs = (["evaluate", str(run), "--count", "500"], sampling)
        self._running: list[tuple[str, subprocess.Popen[str]]] = []
        self.done, self.complaints = 0, list[str]()

    def start(self) -> None:
        if not self._running:  # on a busy machine the last ones may still be at it
            self._running = [(verb[0], self._process(verb)) for verb in self._verbs]

    def collect(self, *, wait: bool = False) -> None:
        """Take in those that have ended; what went wrong, if anything."""
        for name, process in list(self._running):
            if wait or process.poll() is not None:
                _, said = process.communicate()
                self._running.remove((name, process))
                self.done += 1
                if process.returncode:
                    self.complaints.append(f"{name}: {said.strip()[-300:]}")

    @staticmethod
    def _process(verb: list[str]) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "wassergan", *verb]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def watch(folder: Path, budget: str, every: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    run = folder / "run"
    argv = ["train", "digits", "--budget", budget, "--tick-steps", str(TICK_STEPS), "--w1-every", str(BOUND_STEPS)]
    started = time.time()
    rows, readers = [], Readers(run, folder)
    read_at = started + READERS_EVERY
    with (folder / "out.txt").open("w", encoding="utf-8") as out:
        training = subprocess.Popen(
            [sys.executable, "-m", "wassergan", *argv, "--out", str(run)], stdout=out, stderr=subprocess.STDOUT
        )
        while training.poll() is None:
            try:
                training.wait(every)
                break
            except subprocess.TimeoutExpired:
                rows.append(sample(training.pid, run, started))
                print(rows[-1], flush=True)
            readers.collect()
            if time.time() > read_at:
                read_at += READERS_EVERY
                readers.start()
        readers.collect(wait=True)
    beside = {"reads beside": readers.done, "complaints": "; ".join(readers.complaints) or "none"}
    return rows, {"exit code": training.returncode, **beside}


def slope(rows: list[dict[str, Any]], name: str) -> float:
    """Growth per hour over the settled part."""
    settled = [row for row in rows if row["minute"] >= SETTLED * rows[-1]["minute"]]
    minutes = np.array([row["minute"] for row in settled])
    return float(np.polyfit(minutes, np.array([row[name] for row in settled]), 1)[0] * 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="2h")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--folder", type=Path, default=None, help="where the run is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        rows, facts = watch(Path(name), options.budget, options.every)
    from results import write_results

    facts |= {f"{name} per hour": round(slope(rows, name), 4) for name in ("RSS MiB", "handles", "checkpoints MiB")}
    write_results(
        "soak", "A long run watched once a minute", rows, summary=facts,
        command=f"python benchmarks/soak.py --budget {options.budget} --every {options.every:g}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
