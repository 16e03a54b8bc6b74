"""Two processes of a run, round after round beside busy loops: what the tests of processes ask, without the starts.

    python fuzz/processes.py [ROUNDS] [--busy N] [--seconds S] [--folder FOLDER] [--counts FILE]

The processes are forks of one that has imported everything, which torchrun's are not; they meet, train, save and judge
as those do, but figures are drawn by the stand-in of `states.py`, and either process may come up to two seconds late,
as a start on a busy machine does. A round, as in `tests/cli/test_processes.py`: two train, SIGTERM to one at a random
moment stops and saves both; one process goes on, then two do; two judge the run as one does. Every call must end with
the code and the words of that test. Exits with 1 at the first round that does not, and prints what all processes said.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from states import stand_in

from wassergan.cli.main import main as wassergan
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.run_log import read_log

TINY = [
    *("--latent-dim", "2", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"),
    *("--critic-steps", "1", "--no-tensorboard", "--tick-steps", "20", "--threads", "1"),
]
LONGEST_SECONDS = 600  # of a call
ENDED_BY_SIGNAL = 130
CLOSE = 1e-5
LATEST_SECONDS = 2.0  # that a process may come later than the other
# What verbs load when they are called.
HEAVY = (
    *("wassergan.runs.train", "wassergan.runs.evaluate", "wassergan.plots", "wassergan.report.page"),
    *("wassergan.evaluation.evaluate", "ot", "sklearn.neighbors", "scipy.stats"),
)


class Processes:
    """Forks that do one call together.

    Args:
        argv: of the command line.
        count: of processes.
        folder: for what they say.
        rng: by how much they come late.
    """

    def __init__(self, argv: Sequence[str], count: int, folder: Path, rng: random.Random) -> None:
        self.argv, self.count = list(argv), count
        self.said = [folder / f"said-{rank}" for rank in range(count)]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        late = [LATEST_SECONDS * rng.random() ** 3 * (count > 1) for _ in range(count)]
        self.children = [self._fork(rank, late[rank]) for rank in range(count)]

    def _fork(self, rank: int, late: float) -> int:
        child = os.fork()
        if child:
            return child
        code = 70
        try:
            with self.said[rank].open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            if self.count > 1:
                place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self._port), "WORLD_SIZE": str(self.count)}
                os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(self.count))
            signal.alarm(LONGEST_SECONDS)
            time.sleep(late)
            code = wassergan(self.argv)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:
            os.write(2, f"Traceback: {error!r}\n".encode())
        finally:
            os._exit(code)

    def codes(self) -> list[int]:
        """How all ended."""
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in self.children]

    def words(self) -> str:
        """What all said."""
        return "".join(f"--- process {rank}\n{path.read_text(errors='replace')}" for rank, path in enumerate(self.said))


def require(holds: bool, what: str, processes: Processes) -> None:
    """Raise with what the processes said unless it holds."""
    if not holds:
        raise SystemExit(f"BROKE: {' '.join(processes.argv[:4])}: {what}\n{processes.words()}")


def together(argv: Sequence[str], count: int, folder: Path, rng: random.Random) -> str:
    """A call that must end well; what was said."""
    processes = Processes(argv, count, folder, rng)
    codes = processes.codes()
    require(codes == [0] * count, f"ended with {codes}", processes)
    require("wassergan: " not in processes.words() and "Traceback" not in processes.words(), "complained", processes)
    return processes.words()


def interrupted(points: Path, run: Path, folder: Path, rng: random.Random) -> int:
    """Train with two, of which one hears a signal after some ticks; the step that was saved."""
    processes = Processes(["train", str(points), "--out", str(run), "--steps", "1000000", *TINY], 2, folder, rng)
    begun = time.monotonic()
    wanted = rng.choice((0, 20, 60))
    while not any(record["step"] >= wanted for record in read_log(run / "log.jsonl")):
        gone = time.monotonic() - begun > LONGEST_SECONDS
        require(not gone and all(Path(f"/proc/{each}").exists() for each in processes.children), "began not", processes)
        time.sleep(0.02)
    time.sleep(rng.random() / 4)
    os.kill(processes.children[rng.randrange(2)], signal.SIGTERM)
    codes, words = processes.codes(), processes.words()
    require(codes == [ENDED_BY_SIGNAL] * 2, f"ended with {codes}", processes)
    require(words.count(f"saved. Go on with: wassergan resume {run}") == 1, "did not say where it is saved", processes)
    require("wassergan: " not in words and "Traceback" not in words, "complained", processes)
    return reached(run)


def reached(run: Path) -> int:
    """The step of the latest checkpoint."""
    step: int = load_checkpoint(Checkpoints(run / "checkpoints").path("latest"))["trainer"]["step"]
    return step


def judged(run: Path, count: int, folder: Path, rng: random.Random) -> Any:
    """An evaluation by so many processes, without its seconds."""
    together(["evaluate", str(run), "--count", "300", "--json"], count, folder, rng)
    found = json.loads((run / "metrics.json").read_text())
    found["protocol"].pop("seconds")
    return found


def close(one: Any, other: Any) -> bool:
    """Whether two results are the same but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(each, other[name]) for name, each in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=CLOSE, atol=0, equal_nan=True))
    return bool(one == other)


def a_round(points: Path, folder: Path, rng: random.Random) -> None:
    """Train, stop, go on with one and with two, judge with one and with two."""
    run = folder / "run"
    step = interrupted(points, run, folder, rng)
    for count, more in ((1, 3), (2, 6)):
        together(["resume", str(run), "--steps", str(step + more)], count, folder, rng)
        if reached(run) != step + more:
            raise SystemExit(f"BROKE: a resume by {count} ended at step {reached(run)}, not {step + more}")
    one, two = judged(run, 1, folder, rng), judged(run, 2, folder, rng)
    if not close(one, two):
        raise SystemExit(f"BROKE: judged by one {json.dumps(one)}\nby two {json.dumps(two)}")


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Loops beside all."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


def main() -> None:
    """So many rounds, or as many as fit into a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=50)
    parser.add_argument("--busy", type=int, default=2, help="loops beside")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the runs are made")
    parser.add_argument("--counts", type=Path, help="a file for the figures, renewed after each round")
    options = parser.parse_args()
    for each in HEAVY:
        import_module(each)
    stand_in()
    gc.freeze()
    torch.set_num_threads(1)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun, done, loads = time.monotonic(), 0, []
    with busy(options.busy), tempfile.TemporaryDirectory(dir=options.folder) as name:
        points = Path(name) / "points.npy"
        np.save(points, np.random.default_rng(0).normal(size=(400, 2)).astype("f4"))
        while done < options.rounds and time.monotonic() - begun < options.seconds:
            folder = Path(name) / f"{done}"
            folder.mkdir()
            a_round(points, folder, random.Random(f"{options.seed} {done}"))
            done += 1
            loads.append(os.getloadavg()[0])
            found = {"rounds": done, "seconds": round(time.monotonic() - begun), "load": [min(loads), max(loads)]}
            if options.counts:
                options.counts.write_text(json.dumps(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
